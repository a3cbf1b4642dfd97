# SPDX-License-Identifier: MIT
"""The monitor: its commands, what it says to nonsense, and line editing."""

import re

from machine import PROMPT, booted, check

COMMANDS = ("help", "map", "frames", "walk", "regions", "heap", "fault", "probe", "overflow",
            "stress", "bench", "tour", "test", "quit")


def says(machine, line, *wanted):
    answer = machine.ask(line)
    for words in wanted:
        check(words in answer, f"'{line}' does not say '{words}':\n{answer}")
    return answer


def commands():
    with booted(memory="32M") as machine:
        answer = machine.ask("help")
        for command in COMMANDS:
            check(re.search(rf"^  {command}\b", answer, re.M), f"help does not list {command}")
        says(machine, "help walk", "the page table")
        says(machine, "map", "usable", "kernel", "repairs")
        says(machine, "frames", "dma", "longest free run", "equal, to the frame")
        says(machine, "regions", "kernel text", "stack guard", "heap")
        says(machine, "heap", "committed")
        says(machine, "bench", "heap, 16 bytes")
        answer = says(machine, "bench heap", "interrupt guard")
        check("FAILED" not in answer, f"'bench heap' failed:\n{answer}")
        says(machine, "stress 3000", "all contents intact, all managers valid")
        says(machine, "tour", "everything was as told")
        says(machine, "test", ", 0 failed")
        says(machine, "walk 0xc0101000", "in region 'kernel text'")
        says(machine, "walk 0", "nothing is mapped", "in no region")
        machine.send("quit")
        verdict = machine.wait_for_exit()
        check(verdict == "success", f"quit ended the machine with {verdict}")


def nonsense():
    with booted(memory="32M") as machine:
        says(machine, "sausage", "there is no command 'sausage'")
        says(machine, "help sausage", "there is no command 'sausage'")
        says(machine, "fault", "usage: fault")
        says(machine, "fault here", "'here' is no address")
        says(machine, "fault 0x100000000", "is no address")
        says(machine, "fault 0 read", "usage: fault")
        says(machine, "probe", "usage: probe")
        says(machine, "probe 0 0", "is no count")
        says(machine, "stress many", "is no count")
        says(machine, "stress 99999999999999999999999", "is no count")
        says(machine, "walk 0x", "is no address")
        check(machine.ask("") == "", "an empty line is answered")
        check(machine.ask("   ") == "", "a blank line is answered")
        says(machine, "x" * 300, "there is no command 'xxx")
        says(machine, "heap", "committed")


def editing():
    left, right, up, down = b"\x1b[D", b"\x1b[C", b"\x1b[A", b"\x1b[B"
    home, end, delete = b"\x1b[H", b"\x1b[F", b"\x1b[3~"
    keys = {
        "backspace": b"heax\x7fp\r",
        "cursor left and right": b"hap" + left * 2 + b"e" + right * 2 + b"\r",
        "home, delete, end": b"xhea" + home + delete + end + b"p\r",
        "rubbing out the line": b"sausage\x15heap\r",
        "rubbing out to the end": b"heapsausage" + left * 7 + b"\x0b\r",
        "control A and E": b"eap\x01h\x05\r",
        "giving up the line": b"sausage\x03heap\r",
        "history": up + b"\r",
        "history, further back": b"sausage\r" + up + up + b"\r",
        "history, there and back": b"nonsense\r" + up * 3 + down + b"\r",
        "a key that means nothing": b"he\x1b[5~ap\r",
    }
    with booted(memory="32M") as machine:
        for what, sequence in keys.items():
            machine.send_bytes(sequence)
            try:
                machine.wait_for("live blocks", limit=10)
            except TimeoutError:
                raise AssertionError(
                    f"{what}: the line was not 'heap':\n{machine.tail()}") from None
            machine.wait_for("\n" + PROMPT)


def screen():
    """The text screen shows what the serial line shows: read from video memory by the emulator."""
    with booted(memory="32M", access="window") as machine:
        machine.ask("heap")
        dump = machine.monitor("xp /4000bx 0xb8000")
        cells = [int(cell, 16) for line in dump.splitlines() for cell in line.split()[1:]]
        text = bytes(cells[0::2]).decode("latin-1")
        rows = [text[row * 80:(row + 1) * 80].rstrip() for row in range(25)]
        check(PROMPT.strip() in rows, "no prompt on the screen:\n" + "\n".join(rows))
        check(any("live blocks" in row for row in rows), "no answer on the screen")
        check(any(cell != 7 for cell in cells[1::2]), "no colour on the screen")


def cases():
    yield "monitor/commands", commands
    yield "monitor/nonsense", nonsense
    yield "monitor/editing", editing
    yield "monitor/screen", screen
