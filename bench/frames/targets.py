# SPDX-License-Identifier: MIT
"""What the frame allocator is to reach, and what others reach.

The figures of others were measured by this project with the peers' own code, in a process on a
machine of two cores, 8 GiB of frames simulated (4 GiB for fragmentation), the best of several runs.
They are comparable as ratios only: run the baselines beside ours. Ours are goals that the project
set itself from these and from the floors that bare loops reach at the same memory traffic.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Target:
    table: str
    row: str
    most: float = None  # at most this
    least: float = None  # at least this
    mode: str = "default"  # or "lifo": frees are reused at once
    of: str = None  # in place of a figure, its ratio to this subject's
    value: str = "least"  # which of a row's values: the least or the median of repetitions, ...


# Nanoseconds, or instructions, of a get and a put together; orders 3 and 9 come straight from the
# backend and have one mode.
TARGETS = [
    Target("steady", "lifo", most=3, mode="lifo"),
    Target("instructions", "lifo", most=50, mode="lifo"),
    Target("steady", "lifo", most=6),
    Target("instructions", "lifo", most=80),
    Target("steady", "fifo", most=10),
    Target("steady", "random", most=0.5, of="buddy+lock"),
    Target("pairs", "order 9, 50 % full", most=15),
    Target("metadata", "bytes per frame", most=0.3),
    Target("start", "16 TiB", most=1e6),
    Target("latency", "get random", most=1000, value="99.9"),
    Target("latency", "put random", most=1000, value="99.9"),
    Target("threads", "lifo", least=1.9),
    Target("threads", "random", least=1.9),
]

# Blocks of 2 MiB left, in percent of those that all free frames could make up: with either seed,
# before magazines are drained and after. The last column is a
# prototype of the placement that the frame allocator has, and the least it is to reach. Its
# programs of requests were like those of fragmentation.hpp, not the same.
FRAGMENTATION = {
    # row: (LLFree in C, a textbook buddy, the prototype)
    "refill, 90 % freed": (94.7, 0, 100),
    "ageing, 50 % small + 0 % huge": (48.8, 98.2, 98.8),
    "ageing, 80 % small + 0 % huge": (0, 93.9, 94.5),
    "ageing, 30 % small + 30 % huge": (56.3, 98.2, 99.1),
    "ageing, 45 % small + 35 % huge": (6.5, 97.3, 97.5),
    "lifetimes, up to 60 % full": (67.4, 95.7, 97.2),
    "lifetimes, up to 90 % full": (40.6, 82.5, 84.5),
}
TARGETS += [
    Target("fragmentation", row, least=figures[2]) for row, figures in FRAGMENTATION.items()
]

# What is known of others for a row, in words.
OTHERS = {
    ("steady", "lifo"): "LLFree 60-69, floor 1.4",
    ("pairs", "order 0, 50 % full"): "LLFree 60-69, floor 1.4",
    ("pairs", "order 9, 50 % full"): "LLFree 79-82",
    ("bulk", "order 0 get"): "LLFree 33-41, floor 0.7",
    ("bulk", "order 0 put in order"): "LLFree 29-32, floor 0.7",
    ("bulk", "order 9 get"): "LLFree 51-60, floor 8",
    ("bulk", "order 9 put in order"): "LLFree 22-28, floor 8",
    ("instructions", "lifo"): "LLFree 587",
    ("metadata", "bytes per frame"): "LLFree 0.142, floor 0.125",
    ("start", "8 GiB"): "LLFree 24-29 us",
}
