# SPDX-License-Identifier: MIT
"""What the heap is to reach, and what others reach.

The figures of others were measured by this project on a machine of two cores, by LD_PRELOAD,
the best of several runs. They are comparable as ratios only: run the peers beside ours. Ours are
goals that the project set itself from these.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Target:
    table: str
    row: str
    most: float
    value: str = "least"
    level: str = "default"  # of ours


# A row behind the best peer of the same run by more than this is missed as well.
MOST_OF_BEST_PEER = 1.25
# Of real programs: instructions against the best peer's, peak memory against the leanest's.
MOST_INSTRUCTIONS = 1.02
MOST_PEAK = 1.10

TARGETS = [
    Target("pairs", "64 B", 3.0),
    Target("pairs", "1 KiB", 3.5),
    Target("pairs", "64 KiB", 16),
    Target("pairs", "1 MiB", 16),
    Target("batches", "64 B lifo", 4.3),
    Target("batches", "64 B fifo", 4.3),
    Target("batches", "64 B shuffled", 4.3),
    Target("random", "100k live", 15),
    Target("threads", "random, 1k live, 2 threads", 10),
    Target("threads", "freed by the other, 64 B", 12),
    Target("latency", "random, 100k live", 200, value="malloc 99.9"),
    Target("latency", "random, 100k live", 100, value="free 99.9"),
    Target("memory", "peak / live", 1.08),
    Target("memory", "reuse / live", 1.4),
    Target("memory", "all freed and trimmed, MiB", 16),
    Target("instructions", "malloc, 64 B pairs", 25),
    Target("instructions", "free, 64 B pairs", 25),
    Target("pairs", "64 B", 8, level="hardened"),
]

# What is known of heaps that are not run here, in words.
OTHERS = {
    ("pairs", "64 B"): "snmalloc 3.2, rpmalloc 4.0, TLSF+lock 33, frigg 8.8, SLUB 10.6",
    ("pairs", "1 KiB"): "snmalloc 4.3, rpmalloc 5.9, frigg 8.4",
    ("pairs", "64 KiB"): "snmalloc 5.4, rpmalloc 16, frigg 3365",
    ("pairs", "1 MiB"): "snmalloc 110, rpmalloc 16, frigg 3063",
    ("batches", "64 B fifo"): "snmalloc 5.9, rpmalloc 4.9, frigg 8.0",
    ("random", "100k live"): "snmalloc 18, rpmalloc 31, frigg 32",
    ("threads", "random, 1k live, 2 threads"): "snmalloc 10, rpmalloc 12, TLSF+lock 843",
    ("threads", "freed by the other, 64 B"): "snmalloc 12, rpmalloc 22, TLSF+lock 517",
    ("latency", "random, 100k live"): "99.9: snmalloc 211/100, scudo 246/490",
    ("memory", "peak / live"): "snmalloc 1.13, rpmalloc 1.08",
    ("memory", "reuse / live"): "snmalloc 1.52, rpmalloc 1.60",
    ("memory", "all freed and trimmed, MiB"): "hardened_malloc 13, rpmalloc 153",
}
