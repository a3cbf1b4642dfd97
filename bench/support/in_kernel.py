# SPDX-License-Identifier: MIT
"""Instructions of a step in the reference kernel, counted by the emulator."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import emulator_session as emulator  # noqa: E402

Failed = (emulator.EmulatorError, TimeoutError)


def count(what):
    """workload -> guard -> instructions, as the monitor's `bench WHAT` has them, on i386."""
    subprocess.run([ROOT / "tools" / "build", "i386", "quire_kernel"], check=True)
    options = emulator.Options(count_instructions=True, color=False)
    with emulator.Session(options, limit=300) as machine:
        machine.wait_for("quire> ")
        answer = machine.ask(f"bench {what}")
    rows = {}
    for guard, workload, steps in re.findall(r"^  (\S.*?) {2,}(\S.*?) +(\d+)$", answer, re.M):
        rows.setdefault(workload, {})[guard] = {"least": int(steps)}
    if not rows or "FAILED" in answer:
        sys.exit(f"the kernel's benchmark went wrong:\n{answer}")
    return rows
