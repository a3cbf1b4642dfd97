# SPDX-License-Identifier: MIT
"""Faults are reported in words and the kernel goes on; machines that are too small are told so."""

import re
import tempfile

from machine import ACCESSES, PAGE, Options, Session, booted, check, entries, section


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
        for how, words in (("", "read of 0xc4"), (" write", "write to 0xc4")):
            nowhere = machine.ask("fault 0xc4c00000" + how)
            check(words in nowhere and "no region" in nowhere, f"nowhere{how}:\n{nowhere}")
        check("committed" in machine.ask("heap"), "the kernel did not go on")


def stack_overflow(arch, access):
    """The stack's guard is hit, there is no stack to say so on, and it is said all the same."""
    with booted(arch=arch, memory="32M", access=access) as machine:
        root = re.search(r"its root at 0x([0-9a-f]+)", machine.ask("walk"))[1]
        machine.send("overflow")
        verdict = machine.wait_for_exit()
        check(verdict == "panic", f"the machine ended with {verdict}:\n{machine.tail()}")
        check("PANIC: double fault" in machine.text, f"no word of it:\n{machine.tail()}")
        check("ran into its guard page" in machine.text, f"no cause:\n{machine.tail()}")
        check(re.search(rf"cr3 0x0*{root}\b", machine.text),
              f"it was said on another page table than 0x{root}:\n{machine.tail()}")


def too_little():
    """A module takes nearly all memory: the tour cannot end well, and says so; nothing is lost."""
    with tempfile.NamedTemporaryFile() as module:
        module.truncate(6700 << 10)
        with Session(Options(memory="8M", tour=True, modules=(module.name,)), limit=60) as machine:
            verdict = machine.wait_for_exit()
            text = machine.text
    check(verdict == "failure", f"the machine ended with {verdict}:\n{text[-1000:]}")
    check("The tour FAILED." in text and "NOT all is well." in text, "it was not said")
    check("PANIC" not in text, f"it died of it:\n{text[-1000:]}")
    for good in ("equal, to the frame", "all managers valid",
                 "- every manager's books are in order", "- the tests left no frame behind"):
        check(re.search(rf"^(?!not ok).*{re.escape(good)}", text, re.M), f"not so: {good}")
    check(re.search(r"all frames are back: (\d+) before, \1 now  ok", text), "frames were lost")


def modules(arch):
    """Modules are found and kept out of use, byte for byte."""
    with tempfile.NamedTemporaryFile() as module:
        module.truncate(123456)
        # By PVH the emulator passes one module alone.
        many = {"i386": 2, "x86_64": 1}[arch]
        with booted(arch=arch, memory="32M", modules=many * (module.name,)) as machine:
            text = machine.text
    frames = -(-123456 // PAGE)
    taken = re.search(r"less module\s+(\d+)", text)
    check(taken and int(taken[1]) == many * frames * PAGE, f"the modules took {taken and taken[0]}")
    kinds = [kind for *_, kind in entries(section(text, "The canonical map"))]
    check("module" in kinds, f"no module in the canonical map: {kinds}")


def no_long_mode():
    """The 64-bit kernel on a 32-bit CPU says what is wrong."""
    with Session(Options(arch="x86_64", memory="32M", cpu="qemu32"), limit=60) as machine:
        verdict = machine.wait_for_exit()
        check(verdict == "panic", f"the machine ended with {verdict}:\n{machine.tail()}")
        check("this CPU has no 64-bit mode" in machine.text, f"no word of it:\n{machine.tail()}")


def command_line():
    """A word that means nothing is named, and the others still count."""
    with booted(memory="32M", extra_arguments="sausage access=window") as machine:
        check("the command line's word 'sausage' means nothing" in machine.text, "it was not named")
        check("tables are reached through the window" in machine.text, "a later word was not taken")


def missing_cpus():
    """Fewer CPUs than were asked for: it is said, and the verdict is no good one."""
    with Session(Options(arch="x86_64", memory="32M", extra_arguments="smp=2", tour=True),
                 limit=90) as machine:
        verdict = machine.wait_for_exit()
        check(verdict == "failure", f"the machine ended with {verdict}:\n{machine.tail()}")
        check("1 of 2 run" in machine.text, f"no word of it:\n{machine.tail()}")
        check("The tour is over: everything was as told." in machine.text, machine.tail())


def cases():
    yield "faults/reports", reports
    for access in ACCESSES:
        yield f"faults/stack overflow/{access}", stack_overflow, "i386", access
    yield "faults/stack overflow/x86_64", stack_overflow, "x86_64", "direct"
    yield "faults/too little memory", too_little
    yield "faults/modules", modules, "i386"
    yield "faults/modules/x86_64", modules, "x86_64"
    yield "faults/no 64-bit mode", no_long_mode
    yield "faults/command line", command_line
    yield "faults/missing CPUs", missing_cpus
