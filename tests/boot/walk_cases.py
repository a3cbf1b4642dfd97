# SPDX-License-Identifier: MIT
"""The library's walk of the live page table, the emulator's own view of it (`info tlb` and
`info mem`), and what the CPU does when it is asked must be the same."""

import re

from machine import ACCESSES, PAGE, booted, check, mappings

LARGE = {"i386": 4 << 20, "x86_64": 2 << 20}
NO_EXECUTE = 1 << 63  # which `info tlb` leaves in the physical address (PAE)
TLB_LINE = re.compile(r"^([0-9a-f]+): ([0-9a-f]+) ([XGPDACTUW-]{9})\s*$")
MEM_LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) ([0-9a-f]+) ([-urw]{3})\s*$")
REACH = re.compile(r"reach 0x([0-9a-f]{8,16})-0x([0-9a-f]{8,16})")


def emulator_pages(text, large):
    """address -> (physical, page bytes, writable, executable, global) by `info tlb`."""
    pages = {}
    for line in text.splitlines():
        match = TLB_LINE.match(line)
        if match:
            flags = match[3]
            size = large if "P" in flags else PAGE
            # Physical addresses of large pages are shown with the flag bits masked out.
            pages[int(match[1], 16)] = (int(match[2], 16) & ~NO_EXECUTE, size, "W" in flags,
                                        "X" not in flags, "G" in flags)
    return pages


def library_pages(runs):
    """The same by the library's walk."""
    pages = {}
    for first, last, physical, rights, _, size in runs:
        for offset in range(0, last + 1 - first, size):
            pages[first + offset] = (physical + offset, size, "w" in rights,
                                     "x" in rights, "g" in rights)
    return pages


def windows(machine):
    """The addresses of the window access's pages."""
    match = re.search(r"^  0x([0-9a-f]+)-(?:0x)?([0-9a-f]+) .*windows$", machine.text, re.M)
    return int(match[1], 16), int(match[2], 16)


def check_tlb(machine, walk, reach, large, access):
    library = library_pages(mappings(walk))
    check(library, f"the walk shows nothing:\n{walk}")
    emulator = emulator_pages(machine.monitor("info tlb"), large)
    outside = [page for page in emulator if not reach[0] <= page <= reach[1]]
    inside = {page: entry for page, entry in emulator.items() if page not in outside}
    shown = windows(machine) if access == "window" else (0, 0)
    for page in sorted(set(library) | set(inside)):
        if shown[0] <= page <= shown[1] and page in library and page in inside:
            continue  # they show another frame with each table that the walk looks at
        check(library.get(page) == inside.get(page),
              f"at 0x{page:08x} the library walks to {library.get(page)}, "
              f"the emulator to {inside.get(page)}")
    check(access == "recursive" or not outside,
          f"outside the table's reach there are mappings: {[hex(page) for page in outside]}")


def check_mem(machine, walk, reach):
    """`info mem` joins neighbours with the same rights; so joined, the walk must be equal."""
    joined = []
    for first, last, _, rights, _, _ in mappings(walk):
        right = "-rw" if "w" in rights else "-r-"
        if joined and joined[-1][1] == first and joined[-1][2] == right:
            joined[-1][1] = last + 1
        else:
            joined.append([first, last + 1, right])
    shown = []
    for line in machine.monitor("info mem").splitlines():
        match = MEM_LINE.match(line)
        if match and reach[0] <= int(match[1], 16) <= reach[1]:
            shown.append([int(match[1], 16), int(match[2], 16), match[4]])
    if shown and shown[-1][1] > reach[1] + 1:
        shown[-1][1] = reach[1] + 1  # joined with what the access keeps for itself
    check(joined == shown, "the walk and `info mem` differ:\n"
          f"  {[(hex(a), hex(b), r) for a, b, r in joined]}\n"
          f"  {[(hex(a), hex(b), r) for a, b, r in shown]}")


def probed(machine, address):
    answer = machine.ask(f"probe 0x{address:08x}")
    for words, meaning in (("loads and stores", "rw"), ("loads, faults", "r-"), ("faults", "--")):
        if words in answer:
            return meaning
    raise AssertionError(f"probe said: {answer}")


def check_cpu(machine, walk, reach, large):
    runs = mappings(walk)
    mapped = library_pages(runs)

    def expected(address):
        for page in (address & ~(PAGE - 1), address & ~(large - 1)):
            entry = mapped.get(page)
            if entry and address < page + entry[1]:
                return "rw" if entry[2] else "r-"
        return "--"

    for first, last, *_ in runs:
        for address in (first - 1, first, last, last + 1):
            if reach[0] <= address <= reach[1]:
                found = probed(machine, address)
                check(found == expected(address),
                      f"at 0x{address:08x} the CPU does {found}, the walk says {expected(address)}")
    check(probed(machine, 0) == "--", "the CPU can read through a null pointer")


def check_purposes(machine, denies_execution):
    """The walk by purpose names everything, and warns of what is writable and executable."""
    said = machine.ask("walk")
    for name in ("kernel text", "kernel rodata", "kernel data", "kernel stack", "heap",
                 "text screen", "frame metadata", "windows"):
        check(re.search(rf" {name}$", said, re.M), f"the walk names no {name}:\n{said}")
    check("no region" not in said, f"there are mappings that nobody owns:\n{said}")
    verdict = ("both writable and executable: nothing" if denies_execution
               else "cannot deny execution")
    check(verdict in said, f"the walk does not say '{verdict}':\n{said}")
    text = re.search(r"^.* ([rwxug-]{5}) .*kernel text$", said, re.M)[1]
    check(text.startswith("r-x"), f"the kernel's text is {text}")


def walk_agrees(arch, memory, access, cpu="", pae=""):
    large = LARGE["x86_64" if pae == "on" else arch]
    with booted(arch=arch, memory=memory, access=access, cpu=cpu, pae=pae) as machine:
        check_purposes(machine, arch == "x86_64" or (pae == "on" and "+nx" in cpu))
        walk = machine.ask("walk pages")
        match = REACH.search(walk)
        check(match, f"the walk does not say the table's reach:\n{walk}")
        reach = int(match[1], 16), int(match[2], 16)
        with machine.stopped():
            check_tlb(machine, walk, reach, large, access)
            if "la57=on" not in cpu:  # of five levels, `info mem` of QEMU 7.2 shows nothing
                check_mem(machine, walk, reach)
        check_cpu(machine, walk, reach, large)


def layouts(arch, access, cpu="", pae=""):
    """Random mappings, looked up by the library and tried by the CPU; not the tour's seed."""
    with booted(arch=arch, memory="64M", access=access, cpu=cpu, pae=pae) as machine:
        answer = machine.ask("agree 3000 7")
        check("the library and the CPU agree" in answer, answer)


def cases():
    for access in ACCESSES:
        yield f"walk/128M/{access}", walk_agrees, "i386", "128M", access
    yield "walk/plain CPU/direct", walk_agrees, "i386", "64M", "direct", "qemu32,-pse,-pge,-pat"
    yield "walk/8M/direct", walk_agrees, "i386", "8M", "direct"
    yield "walk/3500M/direct", walk_agrees, "i386", "3500M", "direct"
    for access in ACCESSES:
        yield f"walk/x86_64/128M/{access}", walk_agrees, "x86_64", "128M", access
    yield "walk/x86_64/5 levels/direct", walk_agrees, "x86_64", "128M", "direct", "max,la57=on"
    yield "walk/layouts/i386", layouts, "i386", "direct"
    yield "walk/layouts/x86_64", layouts, "x86_64", "direct"
    yield "walk/layouts/x86_64/5 levels", layouts, "x86_64", "recursive", "max,la57=on"
