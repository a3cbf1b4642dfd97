# SPDX-License-Identifier: MIT
"""The kernels of the tutorial series boot, and what they say adds up: with the memory that the
emulator gives them, with one another, and with what stands on their text screen."""

import re

from machine import EXAMPLES, PAGE, Options, Session, check

SERIES_KERNEL = EXAMPLES / "series-kernel" / "series-kernel.elf"
SERIES_KERNEL_FLAT = EXAMPLES / "series-kernel" / "series-kernel-flat.elf"
SERIES_RECURSIVE = EXAMPLES / "series-recursive" / "series-recursive.elf"

LAST_WORD = " All of it stands on Quire.\n"
RANGE = re.compile(r"0x([0-9a-f]+)-0x([0-9a-f]+)  (.*)")
TAKEN = ["low memory", "the kernel, its page tables, its stack", "Quire's books",
         "the last block, for a message"]
HEAP_BYTES = 16 << 20  # the most that the growing heap may have
KEPT_BYTES = HEAP_BYTES // 16 + 4 * PAGE  # what it keeps for next time, and its records of that
COLUMNS, ROWS = 80, 25
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def text_screen(machine):
    """The rows of the VGA text screen, as they lie in memory."""
    cells = []
    for line in machine.monitor(f"xp /{COLUMNS * ROWS}hx 0xb8000").splitlines():
        cells += [int(word, 16) for word in line.split(":")[1].split()]
    text = "".join(chr(cell & 0xFF) for cell in cells)
    return [text[start:start + COLUMNS].rstrip() for start in range(0, len(text), COLUMNS)]


def message(machine, address):
    """What a kernel left in physical memory, up to the zero that ends it."""
    words = machine.monitor(f"xp /16bx 0x{address:x}").replace("\n", " ").split()
    values = [int(word, 16) for word in words if not word.endswith(":")]
    return bytes(values[:values.index(0)]).decode(errors="replace")


def boot(kernel, memory, look=None):
    """All that a kernel says, once it has ended well and its screen has been compared. `look` is
    called with the machine before it ends."""
    options = Options(memory=memory, kernel=kernel, extra_arguments="wait")
    with Session(options, limit=60) as machine:
        machine.wait_for(LAST_WORD)
        screen = text_screen(machine)
        if look:
            look(machine)
        machine.send_bytes(b"\r")
        verdict = machine.wait_for_exit()
        check(verdict == "success", f"it ended with {verdict}:\n{machine.tail()}")
        lines = [line.rstrip() for line in machine.text.splitlines()]
    for line in lines:
        check(len(line) <= COLUMNS, f"a line is wider than the screen: {line}")
    shown = lines[-(ROWS - 1):]
    check(screen[:len(shown)] == shown and not any(screen[len(shown):]),
          "the screen and the serial line differ:\n" + "\n".join(screen))
    return "\n".join(lines)


def find(pattern, text):
    """The groups of the one place where a kernel says this; numbers as such."""
    found = re.findall(pattern, text)
    check(len(found) == 1, f"'{pattern}' is said {len(found)} times in:\n{text}")
    groups = found[0] if isinstance(found[0], tuple) else (found[0],)
    return [int(word, 16) if word.startswith("0x") else int(word) for word in groups]


def usable_memory(memory):
    """Where this emulator has RAM, by its manual: what does not fit below the devices' addresses
    begins at 4 GiB. The last 128 KiB below are the firmware's tables."""
    size = int(memory[:-1]) * {"M": MIB, "G": GIB}[memory[-1]]
    low = size if size < 0xE0000000 else 0xC0000000
    pieces = [(0, 0x9FBFF), (MIB, low - 128 * KIB - 1)]
    if size > low:
        pieces.append((4 * GIB, 4 * GIB + size - low - 1))
    return pieces


def whole_blocks(first, last):
    return range(-(-first // PAGE), (last + 1) // PAGE)


def touched_blocks(first, last):
    return range(first // PAGE, last // PAGE + 1)


def check_blocks(text, memory):
    """Free are the usable blocks below 4 GiB less those that the kernel took back."""
    told = [(int(first, 16), int(last, 16), what) for first, last, what in RANGE.findall(text)]
    expected = usable_memory(memory)
    usable, taken = told[:len(expected)], told[len(expected):]
    for (first, last), piece in zip(expected, usable):
        what = f"usable, {(last + 1 - first) // KIB} KiB" if first < 4 * GIB else \
            "outside the range that is managed here"
        check(piece == (first, last, what), f"0x{first:x}-0x{last:x} is told as {piece}")
    check([what for _, _, what in taken] == TAKEN, f"taken are {taken}")
    blocks = set().union(*(whole_blocks(*piece) for piece in expected if piece[0] < 4 * GIB))
    blocks.difference_update(*(touched_blocks(first, last) for first, last, _ in taken))
    total, size, free = find(r"blocks     (\d+) of (\d+) bytes; (\d+) are free", text)
    check(size == PAGE and total == (expected[1][1] + 1) // PAGE, f"{total} blocks of {size} bytes")
    check(free == len(blocks), f"{free} blocks are free, {len(blocks)} ought to be")
    return free, [(first, last) for first, last, _ in taken]


def check_lessons(text, free):
    one, run = find(r"given out  one block at (0x\w+), sixteen in a row at (0x\w+)", text)
    check(one % PAGE == 0 and run % PAGE == 0 and one >= MIB and run >= MIB,
          "the blocks given out make no sense")
    page, frame, entry = find(r"by entry: +(0x\w+) lies at (0x\w+), its entry at (0x\w+)",
                              text)
    check(page == 0x40000000 and frame % PAGE == 0 and entry % PAGE == 0 and entry < 4 * MIB,
          "the page by entry makes no sense")
    find(r"by address: (0x40000000) lies at (0x\w+), in one call", text)
    check("made read-only: a store faulted, the handler let it through" in text, "no fault")
    check("0x40000000 holds 111 here and 222 in another directory" in text,
          "the two directories do not differ")
    region_kib, region, block = find(r"over a region: (\d+) KiB at (0x\w+); kmalloc gave (0x\w+)",
                                     text)
    check(region <= block < region + region_kib * KIB, "a heap block outside its region")
    more, cells, size, kept = find(
        r"that grows: +(\d+) blocks more for (\d+) kmalloc\((\d+)\), (\d+) kept", text)
    least = cells * size // PAGE - 16  # the 64 KiB that were there at first
    check(least <= more <= least * 5 // 4, f"the heap grew by {more} blocks, not {least} or so")
    check(kept * PAGE <= KEPT_BYTES and kept < more, f"the heap keeps {kept} blocks")
    left, tables = find(r"left       (\d+) blocks are free; (\d+) became the kernel's page tables",
                        text)
    check(left + tables == free and tables == 2, f"{free} blocks were free, {left} are left")


REFUSALS = {
    "freeing a block twice": "it is free already",
    "freeing block zero": "it is reserved and was never to be given out",
    "a run of all the blocks": "no free frames satisfy the request",
    "mapping over a mapping": "something is mapped there already",
}


def look_for_message(machine):
    """The message is where the kernel says that it is: at the end of memory, above 2 GiB or not."""
    address, = find(r"0x40000000 shows (0x\w+), where a message lies now", machine.text)
    check(message(machine, address) == "all is well", f"no message at 0x{address:x}")


def series_kernel(memory, kernel=SERIES_KERNEL, tables_made=0):
    text = boot(kernel, memory, look_for_message)
    free, taken = check_blocks(text, memory)
    directory, high = find(r"directory (0x\w+); 0x00100000 is seen at (0x\w+) too", text)
    check(high == 0xC0000000, "the kernel is not seen at 3 GiB")
    its_own = any(first <= directory <= last for first, last in taken)
    check(its_own == (tables_made == 0) and directory < 4 * MIB, f"directory 0x{directory:x}")
    check_lessons(text, free - tables_made)
    end = usable_memory(memory)[1][1] + 1
    check(find(r"shows (0x\w+), where", text) == [end - PAGE], "the message is elsewhere")
    for what, why in REFUSALS.items():
        check(re.search(f"{what} +{why}$", text, re.MULTILINE), f"'{what}' was not '{why}'")


def series_recursive(memory):
    text = boot(SERIES_RECURSIVE, memory)
    free, first, last = find(r"blocks     (\d+) free; low memory and (0x\w+)-(0x\w+) are taken",
                             text)
    owned = len(whole_blocks(*usable_memory(memory)[1]))  # the piece from 1 MiB on
    taken = len(touched_blocks(first, last))
    check(first == MIB and free == owned - taken, f"{free} blocks are free, not {owned - taken}")

    directory, pages, virtual, physical = find(
        r"directory (0x\w+) with (\d+) pages; (0x\w+) is at (0x\w+)", text)
    check(pages == 1024 and directory == physical and virtual == physical + 3 * GIB,
          "the boot tables are not seen as they are")
    check(find(r"an entry written through the slot: (0x\w+) shows (0x\w+)", text) ==
          [0xE0000000, 0xB8000], "an entry written by hand is not seen")

    home, other = find(r"CR3 was (0x\w+) and is (0x\w+)", text)
    check(home == directory and other != home and other % PAGE == 0, "CR3 did not change")
    check("0x00400000 holds 111 here and 222 there" in text, "the two spaces do not differ")
    check("the kernel's later pages are in both: 333 seen there, 444 seen here" in text,
          "the kernel's part is not shared")
    check("and so is what the driver mapped by hand, at 0xe0400000" in text, "nor the driver's")

    faults = re.findall(r"page fault at (0x\w+), from (0x\w+): (.*)", text)
    resolved = [(at, "a page is there now") for at in (0x10000000, 0x10002010, 0x10000000)]
    check([(int(at, 16), why) for at, _, why in faults] ==
          resolved + [(0x20000000, "nothing is mapped there")], f"the faults were {faults}")
    check(all(int(origin, 16) >= 3 * GIB for _, origin, _ in faults), "who faulted?")
    kept = re.findall(r"^  pmmngr_free_block: it is reserved and was never to be given out "
                      r"\((0x\w+)\)$", text, re.MULTILINE)
    check(len(kept) == 3 and int(kept[0], 16) == directory and
          all(first <= int(table, 16) <= last for table in kept),
          f"three static tables should have been kept, not {kept}")
    check(find(r"unmapped: (\d+) blocks more are free", text) == [0], "a static table was freed")
    left, fewer = find(r"left       (\d+) blocks are free, (\d+) fewer than before", text)
    check(left + fewer == free and fewer == 3, f"{fewer} blocks are gone; two are tables of the "
          "kernel's later pages, one of the pages that show directories")


def cases():
    for memory in ("16M", "128M", "3584M"):
        yield f"examples/series-kernel/{memory}", series_kernel, memory
    # The directory and its two tables are Quire's.
    yield "examples/series-kernel flat/128M", series_kernel, "128M", SERIES_KERNEL_FLAT, 3
    for memory in ("16M", "128M", "3584M"):
        yield f"examples/series-recursive/{memory}", series_recursive, memory
