# SPDX-License-Identifier: MIT
"""The example kernel in C boots and does what its README says."""

import re

from machine import EXAMPLES, Options, Session, check

C_KERNEL = EXAMPLES / "c-kernel" / "c-kernel.elf"


def c_kernel(memory):
    with Session(Options(memory=memory, kernel=C_KERNEL), limit=60) as machine:
        verdict = machine.wait_for_exit()
        text = machine.text
        check(verdict == "success", f"it ended with {verdict}:\n{machine.tail()}")
        check("a kernel in C stands on Quire" in text, f"no last word:\n{machine.tail()}")
        match = re.search(r"frames: (\d+) owned, (\d+) free", text)
        check(match and 0 < int(match[2]) < int(match[1]), "the frames make no sense")
        check("a store to a page that may only be read" in text and "write" in text,
              f"the fault was not reported:\n{text}")


def cases():
    for memory in ("8M", "128M"):
        yield f"examples/c-kernel/{memory}", c_kernel, memory
