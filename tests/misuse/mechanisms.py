# SPDX-License-Identifier: MIT
"""What each of our heap's mechanisms catches by itself, and what it costs: time and instructions of
a malloc and a free, and memory."""

import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools" / "lib"))
import heaps  # noqa: E402
import toolchain  # noqa: E402

# What QUIRE_MALLOC_LEVEL says, and with what else it is measured.
MECHANISMS = (
    "default",
    "slack",
    "poison",
    "quarantine",
    "random",
    "sample",
    "hardened",
    "hardened+sample",
    "hardened+quarantine+random",
)
ROWS = ("pairs/64 B", "pairs/1 KiB", "random/100k live")
LIFE = "memory/a life"
REPETITIONS = 5
CALLS = 8192  # by which the longer of two counted runs is longer


def bench_program():
    return toolchain.BUILD / "release" / "bench" / "heap" / "quire_heap_bench"


def measured(row, heap):
    """name -> value, as the benchmark prints them."""
    result = subprocess.run([bench_program(), row, "--quick"], env=heap.environment(), check=True,
                            capture_output=True, text=True)  # fmt: skip
    return dict(line.split("\t") for line in result.stdout.splitlines())


def least(row, chosen):
    """heap's name -> least time; the heaps take turns."""
    times = {heap.name: [] for heap in chosen}
    for _ in range(REPETITIONS):
        for heap in chosen:
            times[heap.name].append(float(measured(row, heap)["least"]))
    return {name: min(values) for name, values in times.items()}


def stripped(path, folder):
    """A copy without debug information, which valgrind does not read from every compiler."""
    copy = pathlib.Path(folder) / pathlib.Path(path).name
    subprocess.run([toolchain.llvm_tool("llvm-strip"), "--strip-debug", "-o", copy, path],
                   check=True)  # fmt: skip
    return copy


def instructions(heap):
    """Of a malloc and a free of 64 bytes, from two runs of different length."""
    totals = []
    with tempfile.TemporaryDirectory() as folder:
        program = stripped(bench_program(), folder)
        library = stripped(heap.library, folder)
        environment = heap.environment() | {"LD_PRELOAD": str(library)}
        for length in ("few", "many"):
            out = pathlib.Path(folder) / "out"
            subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=malloc",
                            "--toggle-collect=free", f"--callgrind-out-file={out}", program,
                            f"count/64 B pairs, {length}"],
                           env=environment, check=True, capture_output=True)  # fmt: skip
            totals.append(int(re.search(r"^totals: (\d+)$", out.read_text(), re.M)[1]))
    return (totals[1] - totals[0]) / CALLS


def table(caught_under):
    """Lines of cells. `caught_under(heaps)`: heap's name -> (cases caught, cases)."""
    chosen = heaps.ours(levels=MECHANISMS)
    floors = [heaps.floor(), heaps.filling_floor()]
    caught = caught_under(chosen)
    times = {row: least(row, chosen + floors) for row in ROWS}
    lines = [["mechanism", "caught", "instructions", *(f"{row}, ns" for row in ROWS),
              "peak / live", "reuse / live"]]  # fmt: skip
    for heap in floors:
        # They want more address space than valgrind has.
        lines.append([heap.name, "-", "-",
                      *(f"{times[row][heap.name]:.1f}" for row in ROWS), "-", "-"])  # fmt: skip
    for heap in chosen:
        life = measured(LIFE, heap)
        lines.append([
            heap.level,
            "{} of {}".format(*caught[heap.name]),
            f"{instructions(heap):.0f}",
            *(f"{times[row][heap.name]:.1f}" for row in ROWS),
            *(f"{float(life[key]):.3f}" for key in ("peak/live", "reuse/live")),
        ])  # fmt: skip
    return lines
