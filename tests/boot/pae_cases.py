# SPDX-License-Identifier: MIT
"""i386 with PAE: chosen where there is RAM beyond 4 GiB, and where it is asked for."""

import re

from machine import Options, Session, check, section
from tour_cases import (SENTENCES, check_cpus, check_frames, check_identity_gone, check_tap,
                        check_width)
from walk_cases import layouts, walk_agrees

GIB = 1 << 30
WITH_NX = "qemu32,+pse36,+nx"


def usable(text):
    """Bytes that the frame allocator owns."""
    lines = "\n".join(section(text, "Where the firmware's usable memory went"))
    return int(re.search(r"owned by the allocator\s+(\d+) =", lines)[1])


def tour(memory, access, pae, boot="", cpu="", smp=1):
    with Session(Options(memory=memory, access=access, pae=pae, boot=boot, cpu=cpu, smp=smp,
                         tour=True),
                 limit=180) as machine:
        verdict = machine.wait_for_exit()
        text = machine.text
        check(verdict == "success", f"the machine ended with {verdict}:\n{machine.tail(40)}")
        for sentence in SENTENCES:
            check(sentence in text, f"the console does not say '{sentence}'")
        check_tap(text)
        check_frames(text)
        check_identity_gone(text)
        check_cpus(text, smp)
        check_width(text)
        check("beyond the reach" not in text, "RAM is left out")
        table = "\n".join(section(text, "A page table of our own"))
        check("x 4 MiB" not in table, f"these are no tables of PAE:\n{table}")
        check("x 2 MiB" in table or access != "direct", f"large pages are not used:\n{table}")
        if cpu == WITH_NX:
            check(not re.search(r" rwx", table), f"writable and executable:\n{table}")
        if memory.endswith("G"):
            size = int(memory[:-1]) * GIB
            check(usable(text) > size - (4 << 20), f"of {size} bytes {usable(text)} are used")


def refused(options, sentence):
    """What cannot be had is refused, before the boot mapping is left."""
    with Session(options, limit=60) as machine:
        verdict = machine.wait_for_exit()
        check(verdict == "panic" and sentence in machine.text,
              f"the machine ended with {verdict}:\n{machine.tail(10)}")


def left_out(options):
    """Without PAE, what lies beyond 4 GiB is left out, and everything else works."""
    with Session(options, limit=180) as machine:
        verdict = machine.wait_for_exit()
        check(verdict == "success", f"the machine ended with {verdict}:\n{machine.tail(40)}")
        check("5 GiB of RAM lie beyond the reach" in machine.text, "nothing is left out")
        check_tap(machine.text)
        check_frames(machine.text)


def cases():
    yield "pae/8G/window", tour, "8G", "window", ""
    yield "pae/8G/direct", tour, "8G", "direct", "", "", WITH_NX
    yield "pae/8G/direct/grub", tour, "8G", "direct", "", "grub"
    yield "pae/16M/direct", tour, "16M", "direct", "on", "", WITH_NX
    yield "pae/128M/direct/2 CPUs", tour, "128M", "direct", "on", "", WITH_NX, 2
    yield "pae/128M/window", tour, "128M", "window", "on"
    for access in ("direct", "window"):
        yield f"pae/walk/{access}", walk_agrees, "i386", "128M", access, WITH_NX, "on"
        yield f"pae/layouts/{access}", layouts, "i386", access, WITH_NX, "on"
    yield "pae/off", left_out, Options(memory="8G", pae="off", tour=True)
    yield "pae/recursive needs none", left_out, Options(memory="8G", access="recursive", tour=True)
    yield "pae/a CPU without", left_out, Options(memory="8G", cpu="qemu32,-pae", tour=True)
    unsupported = "the memory managers cannot start: the hardware's page-table format cannot"
    yield ("pae/recursive is refused", refused,
           Options(memory="64M", access="recursive", pae="on", tour=True), unsupported)
    yield ("pae/on without", refused,
           Options(memory="64M", cpu="qemu32,-pae", pae="on", tour=True), unsupported)
