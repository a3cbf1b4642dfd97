# SPDX-License-Identifier: MIT
"""The runner itself: what it says when something is missing, and its exit status."""

import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time

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
    arch = run("--arch", "pdp11")
    check(arch.returncode == 2 and "pdp11" in arch.stderr, "a bad architecture is taken")
    for arch, boot in (("i386", "pvh"), ("i386", "uefi"), ("x86_64", "multiboot")):
        wrong = run("--arch", arch, "--boot", boot)
        check(wrong.returncode == 2 and f"a kernel for {arch} is booted by" in wrong.stderr,
              f"{arch} by {boot}: {wrong.stderr}")
    for count in ("0", "-1", "9", "many"):
        wrong = run("--tour", f"--smp={count}")
        check(wrong.returncode == 2 and count in wrong.stderr, f"--smp {count}: {wrong.stderr}")
    unbuilt = run("--tour", QUIRE_KERNEL_IMAGE="/nonexistent/kernel")
    check(unbuilt.returncode == 2 and "not built" in unbuilt.stderr, f"unbuilt: {unbuilt.stderr}")


def exit_status():
    good = run("--tour", "--mem", "16M")
    check(good.returncode == 0, f"a good tour ends with {good.returncode}:\n{good.stderr}")
    check("\x1b" not in good.stdout, "colours are sent where there is no terminal")
    late = run("--tour", "--timeout", "0.01")
    check(late.returncode == 1 and "did not end within" in late.stderr,
          f"a run out of time: {late.returncode} {late.stderr}")


def on_a_terminal(keys):
    """`./quire run` as a person has it: a terminal, keys, and a way out. Returns its exit status
    and what was shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, str(EMULATE), "--no-build", "--mem", "16M"])
    shown = b""
    sent = False
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the other side is closed
                break
            if not data:
                break
            shown += data
        if not sent and shown.endswith(b"quire> \x1b[0m"):
            sent = True
            os.write(terminal, keys)
    else:
        os.kill(process, signal.SIGKILL)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status), shown.decode(errors="replace")


def terminal():
    for keys, wanted in ((b"heap\rquit\r", "live blocks"), (b"\x01x", "QEMU: Terminated"),
                         (b"\x03heap\rquit\r", "^C")):
        status, shown = on_a_terminal(keys)
        check(status == 0, f"{keys}: the runner ended with {status}:\n{shown[-500:]}")
        check(wanted in shown, f"{keys}: '{wanted}' was not shown:\n{shown[-500:]}")
        check("\x1b[" in shown, "no colours on a terminal")


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
    yield "runner/terminal", terminal
    yield "runner/screenshot", screenshot
