#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the page table's benchmark and shows it in tables with ratios and the targets beside them.

Subjects: the page table in each format, through a direct map; "hobby", a mapper as most hobby
kernels have it (4 levels; walks from the root for each page, zeroes each table, gives no table
back, checks nothing); and "floor", bare loops that do no more than the memory traffic asks for.

Each figure is nanoseconds of CPU time a page (a large page: 2 MiB, or 4 MiB in x86-32), the least
of the repetitions, and below it the ratio to "hobby". 1 GiB or 64 GiB of address space are mapped
to frames that need not exist; the tables stand in sparse memory that has been touched before. No
TLB is flushed. "random": one page in 512 stays mapped, so that tables neither come nor go.
Instructions are counted by valgrind, where it is installed.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

import targets

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "support"))
import callgrind  # noqa: E402

PROGRAMS = ROOT / "build" / "release" / "bench" / "paging"
REFERENCE = "hobby"
BASELINES = ("hobby", "floor")
SIZES = ("1 GiB", "64 GiB")


def measure(options):
    """size -> row -> subject -> all figures."""
    command = [PROGRAMS / "quire_paging_bench", "--repetitions", str(options.repetitions)]
    if options.quick:
        command.append("--quick")
    print("measuring", flush=True)
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    tables = {}
    for line in output.splitlines():
        size, subject, row, value = line.split("\t")
        rows = tables.setdefault(size, {})
        rows.setdefault(row, {}).setdefault(subject, []).append(float(value))
    return {
        size: {r: {s: min(v) for s, v in subjects.items()} for r, subjects in rows.items()}
        for size, rows in tables.items()
    }


def count(subjects):
    """row -> subject -> instructions."""
    rows = {}
    for subject in subjects:
        counts = callgrind.count_instructions(PROGRAMS / "quire_paging_count", subject)
        for row, instructions in counts.items():
            rows.setdefault(row, {})[subject] = instructions
    return rows


def figure(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def limit(row, size):
    return targets.TARGETS.get(row, (None, None))[SIZES.index(size)] if size in SIZES else None


def print_table(title, rows, size):
    subjects = list(dict.fromkeys(s for values in rows.values() for s in values))
    lines = [[""] + subjects + ["target", "peers" if size in SIZES else ""]]
    for row, values in rows.items():
        most = limit(row, size)
        lines.append([row] + [figure(values[s]) if s in values else "" for s in subjects])
        others = targets.OTHERS.get(row, "") if size in SIZES else ""
        lines[-1] += [f"<= {most:g}" if most else "", others]
        reference = values.get(REFERENCE)
        if reference:
            ratios = [f"x{values[s] / reference:.2f}" if s in values else "" for s in subjects]
            lines.append([f"  of {REFERENCE}"] + ratios + ["", ""])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    print(f"\n{title}")
    for first, *rest in lines:
        cells = [first.ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(rest[:-2], widths[1:-2])]
        cells += [c.ljust(w) for c, w in zip(rest[-2:], widths[-2:])]
        print("  " + "  ".join(cells).rstrip())


def judge(tables):
    """(size, row, subject, value, at most) for each target and each of our subjects."""
    verdicts = []
    for size, rows in tables.items():
        for row, values in rows.items():
            most = limit(row, size)
            ours = {s: v for s, v in values.items() if s not in BASELINES}
            if most is not None:
                verdicts += [(size, row, s, v, most) for s, v in ours.items()]
            if row in targets.TARGETS and len(ours) > 1:
                apart = max(ours.values()) / min(ours.values())
                verdicts.append((size, row, "most of least", apart, targets.MOST_APART))
    return verdicts


def print_verdicts(verdicts):
    print("\nTargets")
    for size, row, subject, value, most in verdicts:
        verdict = "met   " if value <= most else "missed"
        print(f"  {verdict}  {size:7} {row:20} {subject:14} {figure(value):>6}  <= {most:g}")
    print(f"{sum(v[3] <= v[4] for v in verdicts)} of {len(verdicts)} met")


def main():
    parser = argparse.ArgumentParser(
        prog="./quire bench paging",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures and targets to a file")
    parser.add_argument("--quick", action="store_true", help="1 GiB alone, to try it out")
    parser.add_argument("--repetitions", type=int, default=5, metavar="N")
    options = parser.parse_args()
    tables = measure(options)
    verdicts = judge(tables)
    if shutil.which("valgrind") and (PROGRAMS / "quire_paging_count").exists():
        print("counting instructions", flush=True)
        subjects = tables[SIZES[0]]["map, single"]
        tables["instructions"] = count(subjects)
    for size, rows in tables.items():
        title = f"{size} of address space: ns a page"
        print_table(title if size in SIZES else "Instructions a page", rows, size)
    print_verdicts(verdicts)
    if options.json:
        keys = ("size", "row", "subject", "value", "at_most")
        result = {
            "repetitions": options.repetitions,
            "tables": tables,
            "targets": [dict(zip(keys, v), met=v[3] <= v[4]) for v in verdicts],
            "others": targets.OTHERS,
        }
        pathlib.Path(options.json).write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
