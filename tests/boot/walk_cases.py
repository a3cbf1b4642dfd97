# SPDX-License-Identifier: MIT
"""The library's walk of the live page table, the emulator's own view of it (`info tlb` and
`info mem`), and what the CPU does when it is asked must be the same."""

import re

from machine import ACCESSES, PAGE, booted, check, mappings

LARGE = 4 << 20
TLB_LINE = re.compile(r"^([0-9a-f]+): ([0-9a-f]+) ([XGPDACTUW-]{9})\s*$")
MEM_LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) ([0-9a-f]+) ([-urw]{3})\s*$")
REACH = re.compile(r"reach 0x([0-9a-f]{8})-0x([0-9a-f]{8})")


def emulator_pages(text):
    """address -> (physical, page bytes, writable, global) by `info tlb`."""
    pages = {}
    for line in text.splitlines():
        match = TLB_LINE.match(line)
        if match:
            flags = match[3]
            size = LARGE if "P" in flags else PAGE
            # Physical addresses of large pages are shown with the flag bits masked out.
            pages[int(match[1], 16)] = (int(match[2], 16), size, "W" in flags, "G" in flags)
    return pages


def library_pages(runs):
    """The same by the library's walk."""
    pages = {}
    for first, last, physical, rights, _, size in runs:
        for offset in range(0, last + 1 - first, size):
            pages[first + offset] = (physical + offset, size, "w" in rights, "g" in rights)
    return pages


def check_tlb(machine, walk, reach):
    library = library_pages(mappings(walk))
    check(library, f"the walk shows nothing:\n{walk}")
    emulator = emulator_pages(machine.monitor("info tlb"))
    outside = [page for page in emulator if not reach[0] <= page <= reach[1]]
    inside = {page: entry for page, entry in emulator.items() if page not in outside}
    for page in sorted(set(library) | set(inside)):
        check(library.get(page) == inside.get(page),
              f"at 0x{page:08x} the library walks to {library.get(page)}, "
              f"the emulator to {inside.get(page)}")
    check(all(page > reach[1] for page in outside),
          f"below the table's reach there are mappings: {[hex(page) for page in outside]}")


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
        if match and int(match[1], 16) <= reach[1]:
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


def check_cpu(machine, walk, reach):
    runs = mappings(walk)
    mapped = library_pages(runs)

    def expected(address):
        for page in (address & ~(PAGE - 1), address & ~(LARGE - 1)):
            entry = mapped.get(page)
            if entry and address < page + entry[1]:
                return "rw" if entry[2] else "r-"
        return "--"

    for first, last, *_ in runs:
        for address in (first - 1, first, last, last + 1):
            if 0 <= address <= reach[1]:
                found = probed(machine, address)
                check(found == expected(address),
                      f"at 0x{address:08x} the CPU does {found}, the walk says {expected(address)}")
    check(probed(machine, 0) == "--", "the CPU can read through a null pointer")


def walk_agrees(memory, access, cpu="qemu32"):
    with booted(memory=memory, access=access, cpu=cpu) as machine:
        walk = machine.ask("walk")
        match = REACH.search(walk)
        check(match, f"the walk does not say the table's reach:\n{walk}")
        reach = int(match[1], 16), int(match[2], 16)
        with machine.stopped():
            check_tlb(machine, walk, reach)
            check_mem(machine, walk, reach)
        check_cpu(machine, walk, reach)


def cases():
    for access in ACCESSES:
        yield f"walk/128M/{access}", walk_agrees, "128M", access
    yield "walk/plain CPU/direct", walk_agrees, "64M", "direct", "qemu32,-pse,-pge,-pat"
    yield "walk/8M/direct", walk_agrees, "8M", "direct"
    yield "walk/3500M/direct", walk_agrees, "3500M", "direct"
