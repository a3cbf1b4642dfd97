#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures our heap beside other people's, and shows the figures in tables with ratios and the
targets beside them.

One program that only knows malloc and free runs under each heap by LD_PRELOAD: ours at each level
(QUIRE_MALLOC_LEVEL), the C library's, mimalloc, jemalloc and tcmalloc where they are installed,
first-fit, a heap as tutorials have it, and floor, which does the least that any must and checks
nothing (floor_malloc.cpp). Each row is a process of its own; heaps take turns. Figures are
nanoseconds of CPU time a step, the least of the repetitions, unless a table says otherwise; a step
is a malloc and a free. "/best" is ours, at the default level, over the best peer, and "/floor" over
the floor; first-fit and floor are no peers. "slow": it would have taken too long. Instructions are
counted by valgrind.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import programs
import targets

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools" / "lib"))
sys.path.insert(0, str(HERE.parent / "support"))
import heaps  # noqa: E402
import in_kernel  # noqa: E402
import toolchain  # noqa: E402
from tables import figure, print_lines  # noqa: E402

BUILD = ROOT / "build" / "release"
PROGRAM = BUILD / "bench" / "heap" / "quire_heap_bench"
BASELINE = "first-fit"
FLOOR = "floor"
OURS = "quire-default"
SECONDS = 30
SECONDS_OF_BASELINE = 5
PERCENTILES = ("50", "99", "99.9", "max")
CALLS = 8192  # by which the longer of two counted runs is longer

TITLES = {
    "pairs": "A block, again and again: ns",
    "batches": "64 blocks, then none: ns a block",
    "random": "Any of the live blocks for a new one, 16 to 1023 bytes: ns",
    "chains": "Blocks that grow: ns a realloc",
    "threads": "Two threads: ns of CPU time of a thread, medians",
    "latency": "Single calls, random replacement of 100k live: ns, percentiles",
    "instructions": "Instructions of a call",
    "emulator": "In the reference kernel, i386: instructions of an allocate and a free",
    "memory": "Resident memory, as a multiple of what is live",
    "programs: time": "Real programs: CPU ms, the median of runs that take turns (and quartiles)",
    "programs: peak": "Real programs: peak memory, MiB",
    "programs: instructions": "Real programs: million instructions",
}
MEMORY_ROWS = {
    "peak/live": "peak / live",
    "sparse/live": "15 of 16 freed / live",
    "reuse/live": "reuse / live",
    "all freed": "all freed, MiB",
    "trimmed": "all freed and trimmed, MiB",
}


# ---- measuring -----------------------------------------------------------------------------------


def run_row(row, heap, options):
    """name -> value, or None when it takes too long."""
    command = [PROGRAM, row] + (["--quick"] if options.quick else [])
    seconds = SECONDS_OF_BASELINE if heap.name == BASELINE else SECONDS
    try:
        result = subprocess.run(command, env=heap.environment(), timeout=seconds,
                                capture_output=True, text=True)  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    if result.returncode != 0:
        sys.exit(f"{row} under {heap.name}: status {result.returncode}\n{result.stderr}")
    return {name: float(value) for name, value in
            (line.split("\t") for line in result.stdout.splitlines())}  # fmt: skip


def measure(rows, chosen, options):
    """table -> row -> heap -> values."""
    runs = {}
    for repetition in range(options.repetitions if rows else 0):
        print(f"measuring, {repetition + 1} of {options.repetitions}", flush=True)
        for row in rows:
            for heap in chosen:
                if heap.name == FLOOR and row.startswith("memory/"):
                    continue  # it gives nothing back
                taken = runs.setdefault((row, heap.name), [])
                if None not in taken and not (repetition > 0 and row.startswith("memory/")):
                    taken.append(run_row(row, heap, options))
    tables = {}
    for (name, heap), taken in runs.items():
        table, row = name.split("/", 1)
        if None in taken:
            tables.setdefault(table, {}).setdefault(row, {})[heap] = {}
            continue
        values = {key: min(run[key] for run in taken) for key in taken[0]}
        if "least" in values:
            values["median"] = statistics.median(run["least"] for run in taken)
        tables.setdefault(table, {}).setdefault(row, {})[heap] = values
    if "memory" in tables:
        lives = tables["memory"].pop("a life")
        for key, row in MEMORY_ROWS.items():
            tables["memory"][row] = {
                heap: {"least": values[key]} if values else {} for heap, values in lives.items()
            }
    return tables


def stripped(path, folder):
    """A copy without debug information, which valgrind does not read from every compiler."""
    copy = pathlib.Path(folder) / pathlib.Path(path).name
    subprocess.run([toolchain.llvm_tool("llvm-strip"), "--strip-debug", "-o", copy, path],
                   check=True)  # fmt: skip
    return copy


def for_valgrind(heap, folder):
    if heap.library is None or not heap.library.is_relative_to(BUILD):
        return heap
    return dataclasses.replace(heap, library=stripped(heap.library, folder))


def count_calls(program, heap, function, row):
    """Instructions of a call of the function, from two runs of different length."""
    totals = []
    for length in ("few", "many"):
        out = program.parent / "out"
        command = ["valgrind", "--tool=callgrind", f"--toggle-collect={function}",
                   f"--callgrind-out-file={out}", program, f"count/{row}, {length}"]  # fmt: skip
        result = subprocess.run(command, env=heap.environment(), capture_output=True, text=True)
        total = re.search(r"^totals: (\d+)$", out.read_text() if out.exists() else "", re.M)
        if result.returncode != 0 or total is None:
            print(f"valgrind, {heap.name}: {result.stderr.strip()[-200:]}", file=sys.stderr)
            return {}
        totals.append(int(total[1]))
    return {"least": (totals[1] - totals[0]) / CALLS}


def count_instructions(chosen):
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        program = stripped(PROGRAM, folder)
        for heap in chosen:
            heap = for_valgrind(heap, folder)
            for row in ("64 B pairs", "64 B batches"):
                for function in ("malloc", "free"):
                    counted = count_calls(program, heap, function, row)
                    table.setdefault(f"{function}, {row}", {})[heap.name] = counted
    return table


def measure_programs(chosen, options):
    time, peak, count = {}, {}, {}
    found = programs.programs()
    runs = {}
    for program in found:
        print(f"running {program.name}", flush=True)
        for repetition in range(options.program_runs):
            # Not the same one first each time: whoever is pays for what the host has forgotten.
            first = repetition % len(chosen)
            for heap in chosen[first:] + chosen[:first]:
                runs.setdefault((program.name, heap.name), []).append(programs.run(program, heap))
    for program in found:
        right = runs[program.name, chosen[0].name][0].output
        for heap in chosen:
            taken = runs[program.name, heap.name]
            if any(run.output != right for run in taken):
                sys.exit(f"{program.name} under {heap.name} has another output")
            milliseconds = [run.seconds * 1000 for run in taken]
            quartiles = statistics.quantiles(milliseconds, n=4) if len(taken) > 1 else [0, 0, 0]
            time.setdefault(program.name, {})[heap.name] = {
                "least": statistics.median(milliseconds),
                "quartiles": [quartiles[0], quartiles[2]],
            }
            peak.setdefault(program.name, {})[heap.name] = {
                "least": statistics.median(run.peak_bytes for run in taken) / (1 << 20)
            }
            if options.count_programs:
                print(f"counting {program.name} under {heap.name}", flush=True)
                with tempfile.TemporaryDirectory() as folder:
                    counted = programs.instructions(program, for_valgrind(heap, folder))
                if counted == 0:
                    sys.exit(f"valgrind does not run {program.name} under {heap.name}")
                count.setdefault(program.name, {})[heap.name] = {"least": counted / 1e6}
    tables = {"programs: time": time, "programs: peak": peak, "programs: instructions": count}
    return {name: table for name, table in tables.items() if table}


# ---- showing -------------------------------------------------------------------------------------


def cell(table, values):
    if not values:
        return "slow"
    if table == "latency":
        return " ".join(figure(values[p]) for p in PERCENTILES)
    if "quartiles" in values:
        return f"{figure(values['least'])} ({'-'.join(figure(q) for q in values['quartiles'])})"
    return figure(values["least"])


def best_peer(row, value="least"):
    """The least of other people's real heaps, or None."""
    figures = [values[value] for heap, values in row.items()
               if not heap.startswith("quire") and heap not in (BASELINE, FLOOR)
               and values]  # fmt: skip
    return min(figures, default=None)


def ratios(row):
    """Of ours to the best peer, and to the floor."""
    ours = row.get(OURS, {}).get("least")
    others = [best_peer(row), row.get(FLOOR, {}).get("least")]
    return [f"x{ours / other:.2f}" if other and ours is not None else "" for other in others]


def beside(table, row):
    limits = [f"<= {figure(t.most)}" + ("" if t.value == "least" else f" ({t.value})")
              + ("" if t.level == "default" else f" {t.level}")
              for t in targets.TARGETS if (t.table, t.row) == (table, row)]  # fmt: skip
    return ["; ".join(limits), targets.OTHERS.get((table, row), "")]


def print_table(table, rows):
    names = list(dict.fromkeys(heap for values in rows.values() for heap in values))
    lines = [[""] + names + ["/best", "/floor", "target", "others"]]
    for row, values in rows.items():
        if table == "latency":
            for call in ("malloc", "free"):
                single = {h: {p: v[f"{call} {p}"] for p in PERCENTILES} if v else {}
                          for h, v in values.items()}  # fmt: skip
                lines.append([call] + [cell(table, single[h]) for h in names] + ["", ""])
                lines[-1] += beside(table, row) if call == "malloc" else ["", ""]
            continue
        lines.append([row] + [cell(table, values[h]) if h in values else "" for h in names])
        lines[-1] += ratios(values) + beside(table, row)
    print_lines(TITLES[table], lines)


def verdicts(tables):
    """(what, our figure, limit, met) of each target that was measured."""
    for target in targets.TARGETS:
        values = tables.get(target.table, {}).get(target.row, {}).get(f"quire-{target.level}", {})
        if target.value in values:
            value = values[target.value]
            what = f"{target.table}: {target.row}, quire-{target.level}"
            what += "" if target.value == "least" else f", {target.value}"
            yield what, value, target.most, value <= target.most
    limits = {"programs: instructions": targets.MOST_INSTRUCTIONS,
              "programs: peak": targets.MOST_PEAK, "programs: time": None}  # fmt: skip
    for table, rows in tables.items():
        most = limits.get(table, targets.MOST_OF_BEST_PEER)
        for row, values in rows.items():
            for value in ("malloc 99.9", "free 99.9") if table == "latency" else ("least",):
                best, ours = best_peer(values, value), values.get(OURS, {}).get(value)
                if best and ours is not None and most is not None:
                    what = f"{table}: {row}" + ("" if value == "least" else f", {value}")
                    yield f"{what}, of the best peer", ours / best, most, ours / best <= most


def print_verdicts(found):
    if not found:
        return
    print("\nTargets")
    for what, value, most, met in found:
        print(f"  {'met   ' if met else 'missed'}  {what:62} {figure(value):>8}  "
              f"<= {figure(most)}")  # fmt: skip
    print(f"{sum(met for *_, met in found)} of {len(found)} met")


def parse():
    parser = argparse.ArgumentParser(prog="./quire bench heap", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pattern", nargs="?", default="", metavar="PATTERN",
                        help="a regular expression on names like 'pairs/64 B', 'instructions',"
                        " 'emulator' or 'programs'")
    parser.add_argument("--json", metavar="FILE", help="write all figures and targets to a file")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, to try it out")
    parser.add_argument("--heap", action="append", metavar="NAME", help="only this one, repeatable")
    parser.add_argument("--repetitions", type=int, metavar="N", help="5, or 2 with --quick")
    parser.add_argument("--program-runs", type=int, metavar="N",
                        help="of real programs: 20, or 3 with --quick")
    parser.add_argument("--count-programs", action="store_true",
                        help="also count real programs' instructions: minutes each")  # fmt: skip
    options = parser.parse_args()
    options.repetitions = options.repetitions or (2 if options.quick else 5)
    options.program_runs = options.program_runs or (3 if options.quick else 20)
    return options


def main():
    options = parse()
    chosen = heaps.ours() + heaps.peers() + [heaps.first_fit(), heaps.floor()]
    if options.heap:
        chosen = [heap for heap in chosen if heap.name in options.heap]
    wanted = re.compile(options.pattern)
    listing = subprocess.run([PROGRAM, "--list"], check=True, capture_output=True, text=True)
    rows = [row for row in listing.stdout.splitlines()
            if wanted.search(row) and not row.startswith("count/")]  # fmt: skip
    tables = measure(rows, chosen, options)
    chosen = [heap for heap in chosen if heap.name != FLOOR]
    if wanted.search("instructions") and shutil.which("valgrind"):
        print("counting instructions", flush=True)
        tables["instructions"] = count_instructions(chosen)
    if wanted.search("emulator"):
        print("counting instructions in the emulator", flush=True)
        try:
            tables["emulator"] = in_kernel.count("heap")
        except in_kernel.Failed as problem:
            print(f"not counted: {problem}", file=sys.stderr)
    if wanted.search("programs"):
        tables |= measure_programs([h for h in chosen if h.name != BASELINE], options)
    for table in TITLES:
        if table in tables:
            print_table(table, tables[table])
    found = list(verdicts(tables))
    print_verdicts(found)
    load = os.getloadavg()[1]
    print(f"\nload of the host in the last five minutes: {load:.1f}, on {toolchain.jobs()} CPUs")
    if options.json:
        result = {
            "repetitions": options.repetitions,
            "quick": options.quick,
            "load": load,
            "tables": tables,
            "targets": [{"what": what, "value": value, "at most": most, "met": met}
                        for what, value, most, met in found],
            "others": {" / ".join(key): text for key, text in targets.OTHERS.items()},
        }  # fmt: skip
        pathlib.Path(options.json).write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
