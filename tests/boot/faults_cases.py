# SPDX-License-Identifier: MIT
"""Faults are reported in words and the kernel goes on; machines that are too small are told so."""

import re

from machine import Options, Session, booted, check


def region(machine, name):
    answer = machine.ask("regions")
    match = re.search(rf"^  0x([0-9a-f]+)-0x([0-9a-f]+) .*\b{name}$", answer, re.M)
    check(match, f"there is no region '{name}':\n{answer}")
    return int(match[1], 16), int(match[2], 16)


def reports():
    with booted(memory="32M") as machine:
        null = machine.ask("fault 0")
        check("0x0" in null and "went through" not in null, f"a null pointer's report:\n{null}")
        text, _ = region(machine, "kernel text")
        check("the load went through" in machine.ask(f"fault 0x{text:x}"), "text cannot be read")
        denied = machine.ask(f"fault 0x{text:x} write")
        check("kernel text" in denied and "went through" not in denied,
              f"a store to the kernel's text is reported as:\n{denied}")
        guard, _ = region(machine, "stack guard")
        answer = machine.ask(f"fault 0x{guard:x} write")
        check("stack guard" in answer and "went through" not in answer,
              f"a hit of the stack's guard is reported as:\n{answer}")
        check("committed" in machine.ask("heap"), "the kernel did not go on")


def too_little(memory):
    """Words and the status of a failure, never silence or a fault."""
    with Session(Options(memory=memory, tour=True), limit=60) as machine:
        verdict = machine.wait_for_exit()
        check(verdict == "panic", f"the machine ended with {verdict}:\n{machine.tail()}")
        check("PANIC: " in machine.text, f"no word of it:\n{machine.tail()}")
        check("exception" not in machine.text, f"it died of an exception:\n{machine.tail()}")


def cases():
    yield "faults/reports", reports
