# SPDX-License-Identifier: MIT
"""What the boot tests share: starting a machine, and reading its console's tables."""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from emulator_session import ROOT, Options, Session, kernel_image  # noqa: E402

PAGE = 4096
EXAMPLES = kernel_image("i386").parent.parent / "examples"
PROMPT = "quire> "
UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

MEMORIES = ("8M", "16M", "128M", "1G", "3500M", "3584M")
ACCESSES = ("direct", "recursive", "window")


def check(condition, words):
    if not condition:
        raise AssertionError(words)


def booted(limit=120.0, **options):
    """A machine whose monitor shows its prompt."""
    session = Session(Options(**options), limit=limit)
    try:
        session.wait_for("\n" + PROMPT)
    except BaseException:
        session.close()
        raise
    return session


def section(text, heading):
    """The lines below a heading of the boot log, up to the next blank line."""
    start = text.find("\n" + heading + "\n")
    check(start >= 0, f"the console shows no '{heading}':\n{text[-2000:]}")
    body = text[start + len(heading) + 2:]
    return body.split("\n\n", 1)[0].splitlines()


ENTRY = re.compile(r"^  0x([0-9a-f]{12})-0x([0-9a-f]{12})\s+[0-9.]+ \w+\s+(.*)$")


def entries(lines):
    """(first, last, kind) of a memory map's lines."""
    found = [ENTRY.match(line) for line in lines]
    return [(int(m[1], 16), int(m[2], 16), m[3].strip()) for m in found if m]


MAPPING = re.compile(r"^  0x([0-9a-f]{8,16})-(?:0x)?([0-9a-f]{8,16}) -> 0x([0-9a-f]{8,}) "
                     r"+([rwxug-]{5}) +(\S+) +(\d+) x (\d+) (KiB|MiB|GiB)$")


def mappings(text):
    """(first, last, physical, rights, type, page bytes) of the monitor's `walk`."""
    found = [MAPPING.match(line) for line in text.splitlines()]
    return [(int(m[1], 16), int(m[2], 16), int(m[3], 16), m[4], m[5], int(m[7]) * UNITS[m[8]])
            for m in found if m]
