#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures the frame allocator beside the baselines, and shows the figures in tables with ratios
and the targets beside them.

Subjects: quire (magazines for each CPU, delayed reuse), quire lifo (reuse at once), quire+homes
(blocks of its own for each of two CPUs), quire alone (one CPU, no lock), quire+lock (no magazines);
a textbook buddy with a lock, and with a magazine for each CPU; the tutorial's bitmap; empty, which
is what the loops cost; and for pairs of order 9 the floor: a compare-and-exchange on a block's
header for the get, and one for the put. Times are nanoseconds, the least and the median of the
repetitions; ratios are of the least, to buddy+lock. Instructions are counted by valgrind, where it
is installed. What two threads do together tells nothing on a machine that has other work.
"""

import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import targets

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "support"))
import callgrind  # noqa: E402
import in_kernel  # noqa: E402
from tables import figure, print_lines  # noqa: E402

PROGRAMS = ROOT / "build" / "release" / "bench" / "frames"
COUNTER = PROGRAMS / "quire_frames_count"
REFERENCE = "buddy+lock"

TITLES = {
    "steady": "Half full, fragmented by a random fill: a get and a put, ns",
    "instructions": "The same, and pairs on memory filled in order: instructions",
    "emulator": "The same in the reference kernel, i386, 1 GiB: instructions",
    "pairs": "A get and a put of the same block, memory filled in order: ns",
    "bulk": "All of 8 GiB, one after the other (bitmap: of 256 MiB): ns each",
    "threads": "Steps a second of two threads, as a multiple of one's",
    "latency": "Single calls, half full and fragmented, random replacement: ns, percentiles",
    "metadata": "Metadata: bytes a frame",
    "start": "From a memory map to a ready allocator: ns (16 TiB: with the host's page faults)",
    "fragmentation": "Free blocks of 2 MiB after a program of requests, in percent of the ideal",
}
PERCENTILES = ("50", "99", "99.9", "max")


# ---- measuring -----------------------------------------------------------------------------------


def names_in_order(options):
    """(table, row, subject) of all benchmarks, as the program lists them."""
    command = [PROGRAMS / "quire_frames_bench", "--benchmark_list_tests=true",
               f"--benchmark_filter={options.pattern}"]  # fmt: skip
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [tuple(line.split("/")[:3]) for line in listing.splitlines() if line.count("/") >= 2]


def run_benchmarks(options):
    """The entries of Google Benchmark's own JSON, and what the program says of its parameters."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [
            PROGRAMS / "quire_frames_bench",
            f"--benchmark_out={out.name}",
            "--benchmark_out_format=json",
            f"--benchmark_repetitions={options.repetitions}",
            "--benchmark_enable_random_interleaving=true",
            f"--benchmark_filter={options.pattern}",
        ]
        if options.quick:
            command.append("--quick")
        print("measuring", flush=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        result = json.loads(pathlib.Path(out.name).read_text() or '{"benchmarks": []}')
    own = ("date", "host_name", "executable", "num_cpus", "mhz_per_cpu", "cpu_scaling_enabled",
           "caches", "load_avg", "library_build_type")  # fmt: skip
    context = result.get("context", {})
    return result["benchmarks"], {k: v for k, v in context.items() if k not in own}


def nanoseconds(entry):
    """Of CPU time, where one thread works and never waits: other processes are none of its cost."""
    if "items_per_second" in entry:
        return 1e9 / entry["items_per_second"]
    return entry["cpu_time"] if "manual_time" not in entry["name"] else entry["real_time"]


def collect(entries, order):
    """table -> row -> subject -> values, in the order of the program's listing."""
    repeated = {}
    for entry in entries:
        if entry.get("run_type") == "aggregate":
            continue
        table, row, subject = entry["name"].split("/")[:3]
        repeated.setdefault((table, row, subject), []).append(entry)
    tables = {}
    for table, row, subject in order:
        runs = repeated.get((table, row, subject), [])
        if runs:
            for name, values in rows_of(table, row, runs):
                tables.setdefault(table, {}).setdefault(name, {})[subject] = values
    return tables


def rows_of(table, row, runs):
    """(row, values) for each row of a table that the repetitions of a benchmark fill."""
    if table == "latency":
        for call in ("get", "put"):
            yield f"{call} {row}", {p: min(r[f"{call} {p}"] for r in runs) for p in PERCENTILES}
    elif table == "fragmentation":
        seeds = sorted(k.split()[1] for k in runs[0] if k.startswith("before "))
        yield row, {w: [runs[0][f"{w} {s}"] for s in seeds] for w in ("before", "after")}
    elif table == "metadata":
        yield row, {"least": runs[0]["bytes"]}
    else:
        times = [nanoseconds(run) for run in runs]
        yield row, {"least": min(times), "median": statistics.median(times)}


def scale_threads(rows):
    """From the times of one thread and of two: how many times one thread's work two do."""
    scaled = {}
    for row, subjects in rows.items():
        workload, threads = row.split(", ")
        for subject, values in subjects.items():
            scaled.setdefault(workload, {}).setdefault(subject, {})[threads] = values["least"]
    for subjects in scaled.values():
        for values in subjects.values():
            if len(values) == 2:
                values["least"] = values["1 thread"] / values["2 threads"]
    return scaled


# ---- showing -------------------------------------------------------------------------------------


def cell(table, values):
    if table == "latency":
        return " ".join(figure(values[p]) for p in PERCENTILES)
    if table == "fragmentation":
        pairs = (f"{b:.1f}/{a:.1f}" for b, a in zip(values["before"], values["after"]))
        return " ".join(pairs)
    if "least" not in values:
        return "-"
    if "median" in values:
        return f"{figure(values['least'])} {figure(values['median'])}"
    return figure(values["least"])


def concerns(target, subject):
    """Whether a target is set for one of our subjects: those of its mode; single frames are not
    meant to be fast without magazines."""
    if not subject.startswith("quire") or ("lifo" in subject) != (target.mode == "lifo"):
        return False
    of_magazines = target.table in ("steady", "instructions", "threads")
    return subject != "quire+lock" or not of_magazines


def limit_text(target):
    limit = f"<= {figure(target.most)}" if target.most is not None else f">= {target.least:g}"
    if target.of:
        limit += f" of {target.of}"
    if target.value != "least":
        limit += f" ({target.value})"
    return limit + (" lifo" if target.mode == "lifo" else "")


def beside(table, row):
    limits = []
    for target in targets.TARGETS:
        if (target.table, target.row) == (table, row) and limit_text(target) not in limits:
            limits.append(limit_text(target))
    return "; ".join(limits), targets.OTHERS.get((table, row), "")


def print_table(table, rows):
    subjects = list(dict.fromkeys(s for values in rows.values() for s in values))
    lines = [[""] + subjects + ["target", "others"]]
    for row, values in rows.items():
        lines.append([row] + [cell(table, values[s]) if s in values else "" for s in subjects])
        lines[-1] += beside(table, row)
        if table == "fragmentation" and row in targets.FRAGMENTATION:
            llfree, buddy, _ = targets.FRAGMENTATION[row]
            lines[-1][-1] = f"LLFree {llfree}, a buddy {buddy}"
        reference = values.get(REFERENCE, {}).get("least")
        if reference and table in ("steady", "pairs", "bulk", "instructions"):
            ratios = [f"x{values[s]['least'] / reference:.2f}" if s in values else ""
                      for s in subjects]  # fmt: skip
            lines.append([f"  of {REFERENCE}"] + ratios + ["", ""])
    print_lines(TITLES[table], lines)


def judge(tables):
    """Each target with each of our subjects it is set for: (target, subject, value, met)."""
    verdicts = []
    for target in targets.TARGETS:
        row = tables.get(target.table, {}).get(target.row, {})
        for subject, values in row.items():
            if not concerns(target, subject):
                continue
            if target.table == "fragmentation":
                value = min(values["before"] + values["after"])
            elif target.value in values:
                value = values[target.value]
            else:
                continue
            if target.of:
                if target.of not in row:
                    continue
                value /= row[target.of]["least"]
            met = value <= target.most if target.most is not None else value >= target.least
            verdicts.append((target, subject, value, met))
    return verdicts


def print_verdicts(verdicts):
    if not verdicts:
        return
    print("\nTargets")
    for target, subject, value, met in verdicts:
        what = f"{target.table}: {target.row}"
        print(f"  {'met   ' if met else 'missed'}  {what:46} {subject:16} "
              f"{figure(value):>8}  {limit_text(target)}")  # fmt: skip
    print(f"{sum(v[3] for v in verdicts)} of {len(verdicts)} met")


def parse():
    parser = argparse.ArgumentParser(
        prog="./quire bench frames",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("pattern", nargs="?", default=".*", metavar="PATTERN",
                        help="a regular expression on names like steady/lifo/quire")  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="write all figures and targets to a file")
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, to try it out")
    parser.add_argument("--no-kernel", dest="kernel", action="store_false",
                        help="do not count instructions in the emulator")  # fmt: skip
    parser.add_argument("--repetitions", type=int, default=5, metavar="N")
    return parser.parse_args()


def main():
    options = parse()
    order = names_in_order(options)
    entries, parameters = run_benchmarks(options)
    tables = collect(entries, order)
    if "threads" in tables:
        tables["threads"] = scale_threads(tables["threads"])
    subjects = list(dict.fromkeys(s for row in tables.get("steady", {}).values() for s in row))
    if subjects and shutil.which("valgrind") and COUNTER.exists():
        print("counting instructions", flush=True)
        for subject in subjects:
            if subject == "bitmap":
                continue
            for row, count in callgrind.count_instructions(COUNTER, subject).items():
                rows = tables.setdefault("instructions", {}).setdefault(row, {})
                rows[subject] = {"least": count}
    if "steady" in tables and options.kernel:
        print("counting instructions in the emulator", flush=True)
        try:
            tables["emulator"] = in_kernel.count("frames")
        except in_kernel.Failed as problem:
            print(f"not counted: {problem}", file=sys.stderr)
    for table in TITLES:
        if table in tables:
            print_table(table, tables[table])
    if "fragmentation" in tables:
        print("  each: before/after draining magazines, one pair of figures for each seed")
    verdicts = judge(tables)
    print_verdicts(verdicts)
    print()
    for what, value in parameters.items():
        print(f"{what}: {value}")
    if options.json:
        result = {
            "parameters": parameters,
            "repetitions": options.repetitions,
            "tables": tables,
            "targets": [
                {"table": t.table, "row": t.row, "mode": t.mode, "value_of": t.value,
                 "at_most": t.most, "at_least": t.least, "of": t.of,
                 "subject": subject, "value": value, "met": met}
                for t, subject, value, met in verdicts
            ],
            "others": {" / ".join(k): v for k, v in targets.OTHERS.items()},
        }  # fmt: skip
        pathlib.Path(options.json).write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
