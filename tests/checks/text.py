#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looks at every file of the repository as text: each source names its licence, nothing is left
unfinished, no path of one person's machine slipped in, and no file grew into two things."""

import argparse
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))
import toolchain

LICENCE = "SPDX-License-Identifier: MIT"
SOURCES = (".cpp", ".hpp", ".h", ".c", ".S", ".ld", ".py", ".cmake", ".sh")
CODE = (".cpp", ".hpp", ".h", ".c", ".S")
MOST_LINES = 600
MOST_COLUMNS = 100

# The words are put together here so that this file does not match itself.
WORDS = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]
UNFINISHED = re.compile(r"\b(" + "|".join(WORDS) + r")\b")
MACHINE = re.compile(r"(?<![\w.$}/])/(home|root|Users|work|srv)/\w|/tmp/[a-z]/")
TICKET = re.compile(r"\b[Ii]ssue #?\d+\b")


def problems_of(root, path):
    shown = path.relative_to(root)
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return []  # an image or a captured table
    if "\0" in text or "corpus" in shown.parts:
        return []  # a fuzzer's input
    lines = text.split("\n")
    problems = []
    is_script = text.startswith("#!")
    if path.suffix in SOURCES or is_script or path.name in ("CMakeLists.txt", "Makefile"):
        if not any(LICENCE in line for line in lines[:2]):
            problems.append(f"{shown}: does not begin with a line '{LICENCE}'")
    for number, line in enumerate(lines, 1):
        at = f"{shown}:{number}"
        if UNFINISHED.search(line):
            problems.append(f"{at}: unfinished: {line.strip()}")
        if MACHINE.search(line):
            problems.append(f"{at}: a path of one machine: {line.strip()}")
        if TICKET.search(line):
            problems.append(f"{at}: a ticket's number, which readers cannot see: {line.strip()}")
        if path.suffix in SOURCES or is_script:
            if "\t" in line:
                problems.append(f"{at}: a tab")
            if line != line.rstrip():
                problems.append(f"{at}: white space at the end of the line")
            if len(line) > MOST_COLUMNS:
                problems.append(f"{at}: {len(line)} columns; the limit is {MOST_COLUMNS}")
    if path.suffix in CODE and len(lines) > MOST_LINES:
        problems.append(f"{shown}: {len(lines)} lines; over {MOST_LINES} it is two things")
    if text and not text.endswith("\n"):
        problems.append(f"{shown}: no line break at the end")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=toolchain.ROOT)
    root = parser.parse_args().root.resolve()
    tally = toolchain.Tally()
    for path in toolchain.files(root):
        tally.case(problems_of(root, path))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
