# SPDX-License-Identifier: MIT
"""Instructions of a step, counted by valgrind."""

import pathlib
import re
import subprocess
import sys
import tempfile


def count_instructions(program, subject):
    """row -> instructions of a step, from the difference of two runs of different length."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no",
                   f"--callgrind-out-file={out}", program, subject]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"valgrind: {result.stderr.strip().splitlines()[-1:]}")
        runs = {}
        dumps = sorted(out.parent.glob("out.*"), key=lambda path: int(path.suffix[1:]))
        for dump in dumps:
            text = dump.read_text()
            what = re.search(r"^desc: Trigger: Client Request: (.*) (\d+)$", text, re.M)
            total = re.search(r"^totals: (\d+)$", text, re.M)
            runs.setdefault(what[1], []).append((int(what[2]), int(total[1])))
    counts = {}
    for row, pair in runs.items():
        (few, less), (many, more) = sorted(pair)
        counts[row] = (more - less) / (many - few)
    return counts
