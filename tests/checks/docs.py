#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads the documentation: links lead to files and headings that exist, and every `./quire ...`
line names a command, and options, that the script knows."""

import argparse
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))
import toolchain

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?<![\w/])\./quire\b[ ]?([^`\n]*)")
REQUIRED = ["README.md", "CHANGELOG.md", "LICENSE"]


def anchors(path):
    """The anchors of a Markdown file's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ +(.*)$", CODE_BLOCK.sub("", path.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = 1
        unique = anchor
        while unique in found:
            unique = f"{anchor}-{number}"
            number += 1
        found.add(unique)
    return found


def link_problems(root, path):
    problems = []
    text = CODE_BLOCK.sub(lambda m: "\n" * m[0].count("\n"), path.read_text())
    for match in LINK.finditer(text):
        target = match[1] or match[2]
        at = f"{path.relative_to(root)}:{text.count(chr(10), 0, match.start()) + 1}"
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.is_relative_to(root):
            problems.append(f"{at}: {target} leaves the repository")
        elif not file.exists():
            problems.append(f"{at}: {target} leads nowhere")
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            problems.append(f"{at}: {target}: no heading makes the anchor #{anchor}")
    return problems


def known_commands(root):
    """The words of the script's case branches."""
    commands = set()
    for branch in re.findall(r"^    ([\w| -]+)\)", (root / "quire").read_text(), re.MULTILINE):
        commands |= {word.strip() for word in branch.split("|")}
    return commands


def known_options(root, command):
    """The text of a command's program, of the programs that it calls, and of tests/<command>."""
    text = (root / "tools" / command).read_text(errors="replace")
    called = [p for p in (root / "tools").iterdir() if p.is_file() and f"/{p.name}" in text]
    if (root / "tests" / command).is_dir():
        called += toolchain.files(root / "tests" / command)
    return text + "".join(path.read_text(errors="replace") for path in called)


def command_problems(root, path, commands):
    problems = []
    text = path.read_text()
    for match in COMMAND.finditer(text):
        at = f"{path.relative_to(root)}:{text.count(chr(10), 0, match.start()) + 1}"
        # What follows two spaces or a sign of the shell is no part of the command any more.
        line = re.split(r"\s{2,}|[#;&|<>()]|\. |, ", match[1])[0]
        words = line.split()
        if not words or not re.fullmatch(r"[a-z]+", words[0]):
            continue
        if words[0] not in commands:
            problems.append(f"{at}: './quire {words[0]}' is no command of the script")
            continue
        program = root / "tools" / words[0]
        if not program.exists():
            if words[0] != "help":
                problems.append(f"{at}: './quire {words[0]}' has no program in tools/")
            continue
        known = known_options(root, words[0])
        for word in words[1:]:
            if word == "--":
                break
            option = re.match(r"--[\w-]+", word)
            if option and option[0] not in known and option[0] != "--help":
                problems.append(f"{at}: './quire {words[0]}' knows no {option[0]}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=toolchain.ROOT)
    root = parser.parse_args().root.resolve()
    tally = toolchain.Tally()
    tally.case([f"{name} is missing" for name in REQUIRED if not (root / name).exists()])
    commands = known_commands(root)
    tally.case([] if commands else ["quire: names no command"])
    for path in toolchain.files(root, ".md"):
        tally.case(link_problems(root, path))
        tally.case(command_problems(root, path, commands))
    tally.case(command_problems(root, root / "quire", commands))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
