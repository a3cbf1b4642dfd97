# SPDX-License-Identifier: MIT
"""What our heap is to say of each case, and which other ends are right.

The first entry whose pattern matches a case's name holds. `words` is a regular expression for the
report; `fault` says whether a memory fault, at the very access, is as good; `effect` whether it is
to make the mistake one without effect."""

import dataclasses
import fnmatch
import re

TWICE = r"freed twice"
FOREIGN = r"never gave out"
INTERIOR = r"middle of a block"
SIZE = r"another size"
OVERRUN = r"overwritten"
AFTER_FREE = r"after it was freed"


@dataclasses.dataclass(frozen=True)
class Expected:
    pattern: str
    words: str = None
    fault: bool = False
    effect: bool = False


EXPECTED = [
    Expected("double-free/after-a-write-to-it/*", f"{TWICE}|{AFTER_FREE}"),
    # The pages of a large block may lie inside another one by then.
    Expected("double-free/after-neighbours-were-reused/large", f"{TWICE}|{INTERIOR}"),
    Expected("double-free/*", TWICE),
    Expected("foreign-free/*", FOREIGN),
    Expected("interior-free/before-the-start/*", f"{INTERIOR}|{FOREIGN}"),
    Expected("interior-free/*", INTERIOR),
    Expected("misaligned-free/1-byte-before/*", f"{INTERIOR}|{FOREIGN}"),
    Expected("misaligned-free/*", INTERIOR),
    Expected("wrong-size-free/*", SIZE),
    Expected("overflow/*", OVERRUN, fault=True),
    # A page's worth of bytes may lie over free blocks as well.
    Expected("underflow/by-a-page-*", f"{OVERRUN}|{AFTER_FREE}", fault=True),
    Expected("underflow/*", OVERRUN, fault=True),
    Expected("read-after-free/*", fault=True, effect=True),
    Expected("write-after-free/*", AFTER_FREE, fault=True),
    Expected("uninitialised/*", fault=True, effect=True),
    Expected("metadata/*", f"{OVERRUN}|{AFTER_FREE}", fault=True, effect=True),
    Expected("bad-reallocate/freed*", TWICE, effect=True),
    Expected("bad-reallocate/twice/*", TWICE, effect=True),
    Expected("bad-reallocate/interior/*", INTERIOR, effect=True),
    Expected("bad-reallocate/misaligned/*", INTERIOR, effect=True),
    Expected("bad-reallocate/overflowed/*", OVERRUN, effect=True),
    Expected("bad-reallocate/*", FOREIGN, effect=True),
]


def is_right(case, end, report):
    """Whether a case that was caught was caught with the right report. `end`: as run() has it."""
    expected = next(e for e in EXPECTED if fnmatch.fnmatch(case, e.pattern))
    if end == "no effect":
        return expected.effect
    if expected.words is not None and re.search(expected.words, report):
        return True
    return expected.fault and end == "fault"
