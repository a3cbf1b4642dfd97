# SPDX-License-Identifier: MIT
"""The runner itself: what it says when something is missing, and its exit status."""

import os
import pathlib
import subprocess
import sys
import tempfile

from machine import Options, Session, check

EMULATE = pathlib.Path(__file__).resolve().parents[2] / "tools" / "emulate"


def run(*arguments, **environment):
    return subprocess.run([sys.executable, str(EMULATE), "--no-build", *arguments],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120,
                          env={**os.environ, **environment})


def errors():
    nowhere = run("--tour", PATH="/nonexistent")
    check(nowhere.returncode == 2 and "apt-get install qemu-system-x86" in nowhere.stderr,
          f"without an emulator: {nowhere.stderr}")
    for memory in ("lots", "0M", "-1M", "16", "1M"):
        wrong = run("--tour", f"--mem={memory}")
        check(wrong.returncode == 2 and f"--mem {memory}" in wrong.stderr,
              f"--mem {memory}: {wrong.stderr}")
    access = run("--access", "telepathy")
    check(access.returncode == 2 and "telepathy" in access.stderr, "a bad access is taken")
    unbuilt = run("--tour", QUIRE_KERNEL_IMAGE="/nonexistent/kernel")
    check(unbuilt.returncode == 2 and "not built" in unbuilt.stderr, f"unbuilt: {unbuilt.stderr}")


def exit_status():
    good = run("--tour", "--mem", "16M")
    check(good.returncode == 0, f"a good tour ends with {good.returncode}:\n{good.stderr}")
    check("\x1b" not in good.stdout, "colours are sent where there is no terminal")
    late = run("--tour", "--timeout", "0.01")
    check(late.returncode == 1 and "did not end within" in late.stderr,
          f"a run out of time: {late.returncode} {late.stderr}")


def screenshot():
    with Session(Options(memory="16M", tour=False), limit=60) as machine:
        machine.wait_for("\nquire> ")
        with tempfile.TemporaryDirectory() as folder:
            picture = pathlib.Path(folder) / "screen.png"
            machine.screenshot(picture)
            data = picture.read_bytes()
            check(data.startswith(b"\x89PNG") and len(data) > 1000, "the picture is no PNG")


def cases():
    yield "runner/errors", errors
    yield "runner/exit status", exit_status
    yield "runner/screenshot", screenshot
