# SPDX-License-Identifier: MIT
"""The emulated machine: how it is started, and a session that tests drive it with.

    with Session(Options(memory="16M", access="window")) as machine:
        machine.wait_for("quire>")
        machine.send("map")
        print(machine.monitor("info mem"))
        machine.screenshot("screen.png")

Everything that waits has a limit, and the emulator never outlives its session.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))
import toolchain

ROOT = pathlib.Path(__file__).resolve().parent.parent
ARCHITECTURES = ("i386", "x86_64")
ISO_CACHE = ROOT / "build" / "iso"
ISO_CACHE_ENTRIES = 24
# How a kernel for each architecture can be booted; the first is what is meant by no choice.
BOOTS = {"i386": ("multiboot", "grub"), "x86_64": ("pvh", "grub", "uefi")}
# The least CPU that each architecture is shown on; PSE-36 says that it can address 64 GiB.
CPUS = {"i386": "qemu32,+pse36", "x86_64": "qemu64"}
MOST_CPUS = 8
# For each way by GRUB: its files, the packages that hold them, and the modules that are wanted.
GRUBS = {
    "grub": (pathlib.Path("/usr/lib/grub/i386-pc"), "grub-pc-bin",
             "normal multiboot2 serial terminal iso9660 biosdisk"),
    "uefi": (pathlib.Path("/usr/lib/grub/x86_64-efi"), "grub-efi-amd64-bin",
             "normal multiboot2 serial terminal iso9660 fat part_acorn part_amiga part_apple "
             "part_bsd part_dfly part_dvh part_gpt part_msdos part_plan part_sun part_sunpc"),
}
UEFI_FIRMWARE = (pathlib.Path("/usr/share/OVMF/OVMF_CODE.fd"),
                 pathlib.Path("/usr/share/OVMF/OVMF_CODE_4M.fd"))

# What the kernel writes to the debug-exit port, as QEMU's exit status: (value << 1) | 1.
EXIT_MEANINGS = {33: "success", 35: "failure", 37: "panic"}

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class EmulatorError(Exception):
    """Something that the person at the keyboard can mend; the text says how."""


@dataclasses.dataclass
class Options:
    arch: str = "i386"  # or x86_64
    memory: str = "128M"
    boot: str = ""  # one of BOOTS[arch]; the first when empty
    access: str = "direct"  # or recursive, window
    smp: int = 1  # CPUs
    pae: str = ""  # on or off; where there is RAM beyond 4 GiB when empty (i386)
    tour: bool = False
    color: bool = True
    extra_arguments: str = ""  # more words for the kernel's command line
    cpu: str = ""  # a model as QEMU names them, with features added and taken away
    kernel: pathlib.Path = None
    modules: tuple = ()  # files for the boot loader to load; with multiboot and pvh only
    gdb: bool = False
    display: str = "none"
    count_instructions: bool = False  # the CPU's cycle counter counts those, and nothing else

    def __post_init__(self):
        if self.arch not in ARCHITECTURES:
            raise EmulatorError(f"--arch {self.arch}: give one of {', '.join(ARCHITECTURES)}")
        self.boot = self.boot or BOOTS[self.arch][0]
        if self.boot not in BOOTS[self.arch]:
            raise EmulatorError(f"--boot {self.boot}: a kernel for {self.arch} is booted by "
                                f"{', '.join(BOOTS[self.arch])}")
        if not 1 <= self.smp <= MOST_CPUS:
            raise EmulatorError(f"--smp {self.smp}: the kernel runs on 1 to {MOST_CPUS} CPUs")
        self.cpu = self.cpu or CPUS[self.arch]
        self.kernel = pathlib.Path(self.kernel or kernel_image(self.arch))

    def command_line(self):
        words = [f"access={self.access}"]
        if self.smp != 1:
            words.append(f"smp={self.smp}")
        if self.pae:
            words.append(f"pae={self.pae}")
        if self.tour:
            words.append("tour")
        if not self.color:
            words.append("color=off")
        if self.extra_arguments:
            words.append(self.extra_arguments)
        return " ".join(words)


def kernel_image(arch):
    """The reference kernel for an architecture, as it is built."""
    built = ROOT / "build" / arch / "kernel" / f"quire-{arch}.elf"
    return pathlib.Path(os.environ.get("QUIRE_KERNEL_IMAGE", built))


def check_memory(text):
    """A size as QEMU takes it: a number and M or G."""
    if not re.fullmatch(r"[1-9][0-9]{0,6}[MG]", text):
        raise EmulatorError(f"--mem {text}: give a number and M or G, such as 16M or 1G")
    if text == "1M":
        raise EmulatorError("--mem 1M: the kernel is loaded above the first MiB; give 2M or more")
    return text


def memory_bytes(text):
    return int(text[:-1]) << {"M": 20, "G": 30}[text[-1]]


def emulator_for(options):
    """The emulator's architecture. That for i386 walks page tables at 32-bit physical addresses
    only; its sibling has the same CPUs, and none of that, for machines with RAM beyond 4 GiB."""
    beyond = memory_bytes(check_memory(options.memory)) > 3 << 30
    return "x86_64" if beyond and options.pae != "off" else options.arch


def find_emulator(arch):
    path = shutil.which(f"qemu-system-{arch}")
    if path is None:
        raise EmulatorError(
            f"qemu-system-{arch} is not installed. Install it with\n"
            "    apt-get install qemu-system-x86\n"
            "or see the same tour without an emulator: ./quire run --sim")
    return path


def find_firmware():
    """UEFI for the emulated machine."""
    for path in UEFI_FIRMWARE:
        if path.exists():
            return path
    raise EmulatorError("--boot uefi needs UEFI for the emulator: apt-get install ovmf")


def make_iso(options):
    """A GRUB image that boots the kernel with these options by Multiboot 2; cached."""
    config = (
        "serial --unit=0 --speed=115200\n"
        "terminal_output serial\n"
        "set timeout=0\n"
        "set default=0\n"
        "menuentry quire {\n"
        f"    multiboot2 /boot/quire.elf {options.command_line()}\n"
        "    boot\n"
        "}\n")
    folder, package, modules = GRUBS[options.boot]
    digest = hashlib.sha256(options.kernel.read_bytes() + config.encode() +
                            options.boot.encode()).hexdigest()[:16]
    iso = ISO_CACHE / f"quire-{digest}.iso"
    if iso.exists():
        iso.touch()
        return iso
    for tool, owner in (("grub-mkrescue", "grub-common"), ("xorriso", "xorriso"),
                        ("mformat", "mtools")):
        if shutil.which(tool) is None:
            raise EmulatorError(
                f"--boot {options.boot} needs {tool}: apt-get install {owner} {package}")
    if not folder.is_dir():
        raise EmulatorError(f"--boot {options.boot} needs GRUB's files: apt-get install {package}")
    ISO_CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ISO_CACHE) as scratch:
        boot = pathlib.Path(scratch) / "image" / "boot"
        (boot / "grub").mkdir(parents=True)
        # GRUB reads the whole file into memory, of which there may be little.
        subprocess.run([toolchain.llvm_tool("llvm-objcopy"), "--strip-debug", options.kernel,
                        boot / "quire.elf"], check=True, timeout=60)
        (boot / "grub" / "grub.cfg").write_text(config)
        made = pathlib.Path(scratch) / "made.iso"
        run = subprocess.run(
            ["grub-mkrescue", f"--directory={folder}", "--fonts=", "--locales=",
             "--themes=", f"--install-modules={modules}", "-o", str(made), str(boot.parent)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        if run.returncode != 0 or not made.exists():
            raise EmulatorError(f"grub-mkrescue failed:\n{run.stdout}")
        made.rename(iso)
    cached = sorted(ISO_CACHE.glob("quire-*.iso"), key=lambda p: p.stat().st_mtime)
    for old in cached[:-ISO_CACHE_ENTRIES]:
        old.unlink(missing_ok=True)
    return iso


def emulator_command(options):
    """QEMU's arguments, but for where the serial line and the monitor go."""
    if not options.kernel.exists():
        raise EmulatorError(
            f"the kernel is not built ({options.kernel}); tools/build {options.arch}")
    command = [
        find_emulator(emulator_for(options)),
        "-accel", os.environ.get("QUIRE_ACCEL", "tcg"),
        "-cpu", options.cpu,
        "-smp", str(options.smp),
        "-m", check_memory(options.memory),
        "-display", options.display,
        "-no-reboot",
        "-nic", "none",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
    ]
    if options.boot == "uefi":
        command += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={find_firmware()}"]
    if options.boot in GRUBS:
        command += ["-boot", "d", "-cdrom", str(make_iso(options))]
    else:
        command += ["-kernel", str(options.kernel), "-append", options.command_line()]
        if options.modules:
            command += ["-initrd", ",".join(str(module) for module in options.modules)]
    if options.count_instructions:
        command += ["-icount", "shift=0"]
    if options.gdb:
        command += ["-s", "-S"]
    return command


def exit_meaning(status):
    """success, failure, panic, or what else an emulator's exit status says."""
    return EXIT_MEANINGS.get(status, "quit" if status == 0 else f"emulator status {status}")


class Session:
    """A running machine: its serial line as text, and QEMU's monitor."""

    def __init__(self, options, limit=60.0):
        self.deadline = time.monotonic() + limit
        self.raw = ""
        self._mark = 0
        self._folder = tempfile.TemporaryDirectory(prefix="quire-")
        self._process = None
        self._serial = None
        self._qmp = None
        try:
            serial_path = os.path.join(self._folder.name, "serial")
            qmp_path = os.path.join(self._folder.name, "qmp")
            listeners = [socket.socket(socket.AF_UNIX) for _ in range(2)]
            for listener, path in zip(listeners, (serial_path, qmp_path)):
                listener.bind(path)
                listener.listen(1)
                listener.settimeout(20)
            self._process = subprocess.Popen(
                emulator_command(options) + [
                    "-chardev", f"socket,id=serial,path={serial_path}", "-serial", "chardev:serial",
                    "-chardev", f"socket,id=qmp,path={qmp_path}",
                    "-mon", "chardev=qmp,mode=control"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            connections = []
            for listener in listeners:
                connections.append(self._accept(listener))
                listener.close()
            self._serial, self._qmp = connections
            self._qmp_buffer = b""
            self._read_qmp()  # the greeting
            self._command("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    def _accept(self, listener):
        listener.settimeout(0.1)
        while True:
            try:
                return listener.accept()[0]
            except socket.timeout:
                if self._process.poll() is not None:
                    raise EmulatorError("the emulator ended at once: " +
                                        self._process.stdout.read().decode(errors="replace"))
                self._check_time("starting the emulator")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # The serial line.

    @property
    def text(self):
        """All output so far, without colours and carriage returns."""
        return ANSI.sub("", self.raw).replace("\r", "")

    def pump(self, seconds):
        """Takes what arrives on the serial line within `seconds`; False when the line is closed."""
        ready, _, _ = select.select([self._serial], [], [], seconds)
        if not ready:
            return True
        data = self._serial.recv(65536)
        self.raw += data.decode("latin-1")
        return bool(data)

    def wait_for(self, wanted, limit=None):
        """Waits for a text that comes after what earlier waits have seen, and returns the output up
        to its end."""
        deadline = self.deadline if limit is None else min(self.deadline, time.monotonic() + limit)
        while True:
            text = self.text
            found = text.find(wanted, self._mark)
            if found >= 0:
                start, self._mark = self._mark, found + len(wanted)
                return text[start:self._mark]
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {wanted!r} on the console; its last lines:\n" + self.tail())
            if not self.pump(0.1):
                text = self.text
                if text.find(wanted, self._mark) < 0:
                    raise TimeoutError(f"the machine ended without {wanted!r}; its last lines:\n" +
                                       self.tail())

    def wait_for_exit(self):
        """Takes output until the emulator ends; returns what its status means."""
        while self.pump(0.2):
            self._check_time("waiting for the machine to end")
        status = self._process.wait(timeout=10)
        return exit_meaning(status)

    def tail(self, lines=15):
        return "\n".join("    " + line for line in self.text.splitlines()[-lines:])

    def send_bytes(self, data):
        """Keys, slowly enough for a UART without flow control."""
        for byte in data:
            self._serial.sendall(bytes([byte]))
            self.pump(0.001)

    def send(self, line):
        self.send_bytes(line.encode() + b"\r")

    def ask(self, line, prompt="quire> "):
        """Sends a line to the kernel's monitor and returns the answer."""
        self.send(line)
        answer = self.wait_for("\n" + prompt)
        return answer[answer.find("\n") + 1:-len(prompt) - 1]

    # The emulator's monitor.

    def _read_qmp(self):
        while b"\n" not in self._qmp_buffer:
            self._check_time("waiting for the emulator's monitor")
            ready, _, _ = select.select([self._qmp], [], [], 0.5)
            if ready:
                data = self._qmp.recv(1 << 20)
                if not data:
                    raise EmulatorError("the emulator closed its monitor")
                self._qmp_buffer += data
        line, self._qmp_buffer = self._qmp_buffer.split(b"\n", 1)
        return json.loads(line)

    def _command(self, name, **arguments):
        message = {"execute": name}
        if arguments:
            message["arguments"] = arguments
        self._qmp.sendall(json.dumps(message).encode() + b"\n")
        while True:
            answer = self._read_qmp()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise EmulatorError(f"{name}: {answer['error'].get('desc')}")

    def monitor(self, line):
        """A command of QEMU's human monitor ("info mem"), and its answer."""
        return self._command("human-monitor-command", **{"command-line": line}).replace("\r", "")

    def stopped(self):
        """A context in which the machine stands still."""
        session = self

        class Stopped:
            def __enter__(self):
                session._command("stop")

            def __exit__(self, *_):
                session._command("cont")

        return Stopped()

    def screenshot(self, path):
        """The text screen as a PNG file."""
        ppm = os.path.join(self._folder.name, "screen.ppm")
        self._command("screendump", filename=ppm)
        with open(ppm, "rb") as file:
            pathlib.Path(path).write_bytes(png_from_ppm(file.read()))

    # The end.

    def _check_time(self, doing):
        if time.monotonic() > self.deadline:
            raise TimeoutError(f"took too long: {doing}; the console's last lines:\n" + self.tail())

    def close(self):
        """Ends the emulator, whatever it is doing. Safe to call twice."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait(timeout=10)
            self._process.stdout.close()
        for connection in (self._serial, self._qmp):
            if connection is not None:
                connection.close()
        self._folder.cleanup()


def png_from_ppm(ppm):
    """Turns a binary portable pixmap (P6, 8 bits) into a PNG."""
    match = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", ppm)
    if match is None:
        raise EmulatorError("the emulator's screen dump is no P6 pixmap")
    width, height = int(match[1]), int(match[2])
    pixels = ppm[match.end():]
    stride = width * 3
    rows = b"".join(b"\0" + pixels[y * stride:(y + 1) * stride] for y in range(height))

    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
            chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))
