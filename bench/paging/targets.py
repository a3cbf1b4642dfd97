# SPDX-License-Identifier: MIT
"""What the page table is to reach, and what others reach: nanoseconds a page.

The figures of others were measured by this project with the peers' own code, on the x86-64 format
in a process, RAM simulated and work on TLBs left out, on a machine of two cores, the best of
several runs. Ours are goals that the project set itself from these and from bare loops at
the same memory traffic.
"""

# row: at most, in 1 GiB and in 64 GiB of address space; None where the memory alone takes longer.
TARGETS = {
    "map, single": (3.6, 3.6),
    "translate, single": (2.0, 2.0),
    "unmap, single": (3, 3),
    "translate, random": (5.5, None),
    "map, cursor": (2.5, 2.5),
    "map, range": (0.5, 1.0),
    "unmap, range": (1, 1),
    "map large, range": (0.6, 0.6),
}
# How far the formats may lie apart in those rows.
MOST_APART = 1.3

# row: the best of the peers, then a bare loop with the same memory traffic; 1 GiB / 64 GiB.
OTHERS = {
    "map, single": "3.6/3.7, bare 2.0/2.4",
    "map, random": "7.3/14, bare 7.1/40",
    "unmap, single": "1.8/4.2 and no table freed, bare 2.9/5.1",
    "translate, single": "1.9/4.5, bare 2.5/4.2",
    "translate, random": "5.4/30, bare 5.6/32",
    "map, range": "1.0/1.4, bare 0.29/0.77",
    "unmap, range": "1.0/1.7, bare 0.30/0.62",
    "map large, range": "1.5/1.8, bare 0.49/0.49",
}
