# SPDX-License-Identifier: MIT
"""Every size of machine, every access, both boot protocols: the tour ends well, and what the kernel
says of its memory adds up."""

import re

from machine import ACCESSES, MEMORIES, PAGE, ROOT, Options, Session, check, entries, section

SENTENCES = (
    "Question 1.",
    "touching them faults, and the report says why:  ok",
    "Question 2.",
    "this heap ends where its region ends  ok",
    "the contiguous way ends here",
    "contiguous for its user, scattered underneath  ok",
    "all frames are back",
    "Question 3.",
    "no identity mapping shows it",
    "The tour is over: everything was as told.",
    "equal, to the frame",
    "All is well.",
)


def check_tap(text):
    plan = re.search(r"^1\.\.(\d+)$", text, re.M)
    check(plan, "there is no TAP plan")
    results = re.findall(r"^(ok|not ok) (\d+) - (.*)$", text, re.M)
    check(len(results) == int(plan[1]), f"{len(results)} results of {plan[1]} planned")
    failed = [name for state, _, name in results if state != "ok"]
    check(not failed, f"self-tests failed: {failed}")


def check_frames(text):
    """Adds up the firmware's own map, independently of the kernel, and compares."""
    found = entries(section(text, "The firmware's memory map, as found"))
    check(found, "the firmware's map was not shown")
    usable = sum(last + 1 - first for first, last, kind in found if kind == "usable")
    lines = "\n".join(section(text, "Where the firmware's usable memory went"))
    said = int(re.search(r"usable by the firmware's map\s+(\d+) bytes", lines)[1])
    check(said == usable, f"usable by the firmware: {usable}, the kernel says {said}")
    taken = sum(int(m) for m in re.findall(r"^  less .*?(\d+)$", lines, re.M))
    owned = int(re.search(r"owned by the allocator\s+\d+ = (\d+) frames", lines)[1])
    check(owned * PAGE == said - taken, f"{owned} frames owned, {(said - taken) // PAGE} expected")
    canonical = entries(section(text, "The canonical map"))
    check(canonical == sorted(canonical), "the canonical map is not sorted")
    for (_, last, _), (first, _, _) in zip(canonical, canonical[1:]):
        check(last < first, "the canonical map overlaps itself")
    listed = sum(last + 1 - first for first, last, kind in canonical if kind == "usable")
    check(listed == owned * PAGE, f"the canonical map lists {listed} usable bytes, "
                                  f"{owned * PAGE} are owned")


def check_width(text):
    """Every line fits the text screen; what the boot loader says is not ours."""
    for line in text[text.find("Quire: "):].splitlines():
        check(len(line) < 80, f"too long for the screen: {line}")


def check_identity_gone(text):
    lines = "\n".join(section(text, "The boot mapping is gone"))
    check("faults" in lines, f"the boot mapping still serves: {lines}")


PROTOCOLS = {"multiboot": "Multiboot 1", "pvh": "PVH", "grub": "Multiboot 2", "uefi": "Multiboot 2"}


def check_cpus(text, count):
    """All CPUs came, and on each other's pages none saw what was no longer there."""
    check(f"{count} of {count} run, all on this page table" in text, "not all CPUs run")
    race = re.search(r"^# (\d+) CPUs: (\d+) maps, .* (\d+) stale$", text, re.M)
    check(race and int(race[1]) == count and int(race[2]) > 0, f"no race of {count} CPUs")
    if count > 1:
        check("no CPU saw a page that was no longer there  ok" in text, "no scene of all CPUs")


def tour(arch, memory, access, boot, cpu="", smp=1):
    """i386 without PAE; pae_cases.py has it with."""
    pae = "off" if arch == "i386" else ""
    options = Options(arch=arch, memory=memory, access=access, pae=pae, boot=boot, cpu=cpu, smp=smp,
                      tour=True)
    with Session(options, limit=180) as machine:
        verdict = machine.wait_for_exit()
        text = machine.text
        check(verdict == "success", f"the machine ended with {verdict}:\n{machine.tail(40)}")
        for sentence in SENTENCES:
            check(sentence in text, f"the console does not say '{sentence}'")
        check("FAILED" not in text, "the console says FAILED:\n" + machine.tail(40))
        check_tap(text)
        check_frames(text)
        check_identity_gone(text)
        check_width(text)
        check_cpus(text, smp)
        beyond = "512 MiB of RAM lie beyond the reach" in text
        check(beyond == (arch == "i386" and memory == "3584M"), f"beyond reach reported: {beyond}")
        check(f"booted by {PROTOCOLS[boot]}" in text, f"it was not booted by {PROTOCOLS[boot]}")
        if arch == "x86_64":
            levels = "5 levels" if "la57=on" in cpu else "4 levels"
            check(f"CPU features: {levels} NX" in text, f"the console does not say {levels} NX")


def plain_cpu(access):
    """An i686 without large pages, global pages and memory types by PAT."""
    with Session(Options(memory="64M", access=access, tour=True, cpu="qemu32,-pse,-pge,-pat,-pae"),
                 limit=180) as machine:
        verdict = machine.wait_for_exit()
        check(verdict == "success", f"the machine ended with {verdict}:\n{machine.tail(40)}")
        check("CPU features: TSC" in machine.text, "the CPU has features that were taken away")
        table = "\n".join(section(machine.text, "A page table of our own"))
        check("x 4 MiB" not in table and "x 4 KiB" in table, f"large pages are used:\n{table}")
        check(not re.search(r" [rwx-]{4}g ", table), f"global pages are used:\n{table}")
        check_tap(machine.text)
        check_frames(machine.text)


def readme():
    """What the README says that the tour prints, it prints: line by line, but for addresses."""
    def plain(line):
        return re.sub(r"0x[0-9a-f]+", "0x", line).strip()

    text = (ROOT / "README.md").read_text()
    start = text.index("## Three questions")
    quoted = [line for line in text[start:text.index("\n## ", start + 1)].splitlines()
              if line.startswith("    ")]
    check(len(quoted) > 20, "the README quotes no tour")
    with Session(Options(memory="128M", tour=True), limit=120) as machine:
        machine.wait_for_exit()
        said = {plain(line) for line in machine.text.splitlines()}
    for line in quoted:
        check(plain(line) in said, f"the README quotes what the tour does not say:\n{line}")


def cases():
    for memory in MEMORIES:
        for access in ACCESSES:
            yield f"tour/{memory}/{access}/multiboot", tour, "i386", memory, access, "multiboot"
    yield "tour/README", readme
    for access in ACCESSES:
        yield f"tour/plain CPU/{access}", plain_cpu, access
    for memory, access in (("8M", "window"), ("128M", "direct"), ("128M", "recursive"),
                           ("3584M", "direct")):
        yield f"tour/{memory}/{access}/grub", tour, "i386", memory, access, "grub"
    for memory, access, boot, smp in (
            ("8M", "window", "pvh", 1), ("128M", "direct", "pvh", 4),
            ("128M", "recursive", "pvh", 2), ("5G", "window", "pvh", 4),
            ("128M", "window", "grub", 2), ("128M", "direct", "uefi", 2)):
        yield (f"tour/x86_64/{memory}/{access}/{boot}/{smp} CPUs", tour, "x86_64", memory, access,
               boot, "", smp)
    for access, smp in (("direct", 4), ("recursive", 2), ("window", 1)):
        yield (f"tour/x86_64/5 levels/{access}/{smp} CPUs", tour, "x86_64", "128M", access, "pvh",
               "max,la57=on", smp)
    for memory, access, boot, smp in (("128M", "direct", "multiboot", 4),
                                      ("1G", "window", "multiboot", 4),
                                      ("64M", "recursive", "multiboot", 2),
                                      ("64M", "direct", "grub", 2)):
        yield (f"tour/{memory}/{access}/{boot}/{smp} CPUs", tour, "i386", memory, access, boot, "",
               smp)
