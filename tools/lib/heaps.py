# SPDX-License-Identifier: MIT
"""The heaps that the misuse suite and the benchmarks put under a program by LD_PRELOAD."""

import dataclasses
import os
import pathlib
import subprocess

import toolchain

# Other people's heaps: name -> where Debian and Ubuntu, or the compiler, keep them.
PEERS = {
    "mimalloc": ("libmimalloc.so.2", "libmimalloc.so.3"),
    "jemalloc": ("libjemalloc.so.2",),
    "tcmalloc": ("libtcmalloc_minimal.so.4",),
}
# Those that look for mistakes and are not fast.
STRICT_PEERS = {"tcmalloc-debug": ("libtcmalloc_minimal_debug.so.4",)}

# What QUIRE_MALLOC_LEVEL may say of ours.
LEVELS = ("default", "hardened")


@dataclasses.dataclass(frozen=True)
class Heap:
    name: str
    library: pathlib.Path = None  # None: the C library's own
    level: str = None  # of ours only

    def environment(self):
        """The environment of a program that is to run on it."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("QUIRE_MALLOC")}
        if self.library is not None:
            environment["LD_PRELOAD"] = str(self.library)
        if self.level is not None:
            environment["QUIRE_MALLOC_LEVEL"] = self.level
        return environment

    def works(self):
        """Whether the loader takes it: a library that it cannot take is left out with a word."""
        result = subprocess.run(["/bin/true"], env=self.environment(), capture_output=True)
        return result.returncode == 0 and b"cannot be preloaded" not in result.stderr


def library_folders():
    multiarch = toolchain.run(["gcc", "-print-multiarch"]).stdout.strip()
    return [pathlib.Path(p) for p in (f"/usr/lib/{multiarch}", "/usr/lib64", "/usr/lib") if p]


def find(names):
    for folder in library_folders():
        for name in names:
            if (folder / name).exists():
                return folder / name
    return None


def scudo():
    """The compiler brings it as a library of its own."""
    clang = toolchain.run([toolchain.llvm_tool("clang"), "-print-resource-dir"]).stdout.strip()
    found = sorted(pathlib.Path(clang).glob("lib/*/libclang_rt.scudo_standalone*.so"))
    machine = os.uname().machine
    return next((path for path in found if machine in path.name or machine in str(path)), None)


def peers(strict=False):
    """The C library's heap and what is installed of the others; `strict`: also slow ones."""
    found = [Heap("glibc")]
    for name, files in (PEERS | STRICT_PEERS if strict else PEERS).items():
        library = find(files)
        if library is not None:
            found.append(Heap(name, library))
    if strict and scudo() is not None:
        found.insert(len(PEERS) + 1, Heap("scudo", scudo()))
    return [heap for heap in found if heap.works()]


def first_fit(build=toolchain.BUILD / "release"):
    """The baseline of bench/heap."""
    return Heap("first-fit", build / "bench" / "heap" / "libfirst-fit-malloc.so")


def floor(build=toolchain.BUILD / "release"):
    """Of bench/heap: the least that a heap does."""
    return Heap("floor", build / "bench" / "heap" / "libfloor-malloc.so")


def filling_floor(build=toolchain.BUILD / "release"):
    """As floor, and it fills small free blocks and looks at them."""
    return Heap("floor, filling", build / "bench" / "heap" / "libfloor-filling-malloc.so")


def ours(build=toolchain.BUILD / "release", levels=LEVELS):
    """Ours at each level, when the build in that folder has it."""
    library = next(iter(sorted(build.glob("**/libquire-malloc.so"))), None)
    found = [Heap(f"quire-{level}", library, level) for level in levels] if library else []
    return [heap for heap in found if heap.works()]
