#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Proves that the library is freestanding, with every compiler and machine it promises to serve:

- every public header compiles alone, with the compiler's own C headers and nothing else in sight;
- every source compiles for a kernel (no floating point or vector registers), and the objects
  together want no symbol but memcpy, memmove, memset and memcmp;
- the objects hold no static constructor, no thread-local and no writable global.

Results are kept below build/checks, so that only what changed is compiled again.
"""

import argparse
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))
import toolchain

ALLOWED_SYMBOLS = {"memcpy", "memmove", "memset", "memcmp"}
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
KERNEL = ["-ffreestanding", "-fno-stack-protector", "-fno-pic", "-fno-asynchronous-unwind-tables"]
KERNEL_CXX = ["-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-nostdinc++"]

# The C face and the tutorial's interface keep one kernel's state; everything else is an object.
MAY_HAVE_GLOBALS = {"c", "series"}


def clang(target, *flags):
    return {
        "cxx": [toolchain.llvm_tool("clang++"), f"--target={target}", "-nostdlibinc", *flags],
        "c": [toolchain.llvm_tool("clang"), f"--target={target}", "-nostdlibinc", *flags],
    }


def gcc(*flags):
    def driver(name):
        compiler = toolchain.gcc_tool(name)
        own = toolchain.run([compiler, "-print-file-name=include"]).stdout.strip()
        # A host's GCC continues <limits.h> with the C library's, a cross-compiler does not; the
        # macro says that the C library's has been seen.
        return [compiler, "-nostdinc", "-isystem", own, "-D_LIBC_LIMITS_H_", "-fno-pie", *flags]

    return {"cxx": driver("g++"), "c": driver("gcc")}


def machines():
    """name -> compiler command lines by language."""
    general = "-mgeneral-regs-only"
    kernel_64 = ("-mcmodel=kernel", "-mno-red-zone", general)
    return {
        "clang-i686": clang("i686-unknown-none-elf", "-march=i686", general),
        "clang-x86_64": clang("x86_64-unknown-none-elf", *kernel_64),
        "clang-aarch64": clang("aarch64-unknown-none-elf", general),
        "clang-riscv64": clang("riscv64-unknown-none-elf", "-march=rv64imac", "-mabi=lp64"),
        "gcc-i686": gcc("-m32", "-march=i686", general),
        "gcc-x86_64": gcc("-m64", *kernel_64),
    }


class Cache:
    """Remembers by content what compiled without complaint."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def compile(self, root, source, command, suffix):
        """The file that the command makes of the source, or what the compiler said."""
        version = toolchain.compiler_version(command[0])
        name = source.relative_to(root).as_posix().replace("/", "_")
        product = self.folder / (
            f"{name}.{toolchain.fingerprint(root, source, version, *command)}{suffix}"
        )
        if product.exists():
            return product, ""
        for old in self.folder.glob(f"{name}.*{suffix}"):
            old.unlink(missing_ok=True)
        result = toolchain.run(command, cwd=root)
        if result.returncode != 0:
            return None, result.stderr.strip()
        if not product.exists():
            made = self.folder / f"{name}.new"
            made.rename(product) if made.exists() else product.touch()
        return product, ""

    def object(self, root, source, command):
        name = source.relative_to(root).as_posix().replace("/", "_")
        return self.compile(
            root, source, [*command, "-c", source, "-o", self.folder / f"{name}.new"], ".o"
        )


def header_commands(root, header, languages, main_file):
    """The command lines that compile the header alone."""
    shown = header.relative_to(root / "include").as_posix()
    common = [*WARNINGS, *KERNEL, "-Iinclude", "-fsyntax-only"]
    # The header is included by force into a file of its own, since it is no main file itself.
    commands = [
        [*languages["cxx"], *KERNEL_CXX, "-std=c++20", *common, "-include", shown, "-xc++"]
    ]
    if header.suffix == ".h":
        commands.append([*languages["c"], "-std=c11", *common, "-include", shown, "-xc"])
    return [[*command, main_file] for command in commands]


def check_headers(root, name, languages, build, tally):
    cache = Cache(build / name / "headers")
    # ISO C wants one declaration; a header of macros alone has none.
    main_file = build / "main_file"
    main_file.write_text("typedef int nothing;\n")
    headers = [
        h
        for h in toolchain.public_headers(root)
        if not h.is_relative_to(root / "include" / "quire" / "std")
    ]

    def one(header):
        problems = []
        for command in header_commands(root, header, languages, main_file):
            suffix = ".c.ok" if "-xc" in command else ".ok"
            product, words = cache.compile(root, header, command, suffix)
            if product is None:
                problems.append(f"{header.relative_to(root)} alone, {name}:\n{words}")
        return problems

    for problems in toolchain.parallel(one, headers):
        tally.case(problems)


def undefined_symbols(objects):
    """Symbols that the objects want and none of them has, with the object that wants each."""
    defined, wanted = set(), {}
    listing = toolchain.run([toolchain.llvm_tool("llvm-nm"), "-A", *objects]).stdout
    for line in listing.splitlines():
        match = re.match(r"(.*?):\s*(?:[0-9a-f]+ )?\s*([A-Za-z]) (\S+)$", line)
        if not match:
            continue
        path, kind, symbol = match.groups()
        if kind in "Uwv":
            wanted.setdefault(symbol, path)
        elif kind not in "tdbr":
            defined.add(symbol)
    return {s: p for s, p in wanted.items() if s not in defined}


def section_problems(objects, sources, root):
    """Static constructors, thread-locals and writable globals."""
    problems = []
    for path, source in zip(objects, sources):
        listing = toolchain.run([toolchain.llvm_tool("llvm-readelf"), "-S", "-W", path]).stdout
        layer = source.relative_to(root / "src").parts[0]
        for match in re.finditer(
            r"^\s*\[\s*\d+\]\s+(\.\S+)\s+(\S+)\s+[0-9a-f]+\s+[0-9a-f]+\s+([0-9a-f]+)",
            listing,
            re.MULTILINE,
        ):
            section, kind, size = match[1], match[2], int(match[3], 16)
            where = source.relative_to(root)
            if size == 0 or kind in ("REL", "RELA"):
                continue
            if section.startswith((".init_array", ".ctors", ".preinit_array", ".fini_array")):
                problems.append(f"{where}: a static constructor or destructor ({section})")
            elif section.startswith((".tdata", ".tbss")):
                problems.append(f"{where}: a thread-local variable ({section})")
            elif section.startswith((".data", ".bss")) and not section.startswith(".data.rel.ro"):
                if layer not in MAY_HAVE_GLOBALS:
                    problems.append(f"{where}: a writable global of {size} bytes ({section})")
    return problems


def check_objects(root, name, languages, level, build, tally):
    cache = Cache(build / name / level.strip("-"))
    sources = toolchain.library_sources(root)
    command = [*languages["cxx"], *KERNEL_CXX, "-std=c++20", *WARNINGS, *KERNEL, level, "-Iinclude"]

    results = toolchain.parallel(lambda source: cache.object(root, source, command), sources)
    objects = []
    for source, (product, words) in zip(sources, results):
        where = f"{source.relative_to(root)}, {name} {level}"
        tally.case([] if product else [f"{where}:\n{words}"])
        if product:
            objects.append(product)
    if len(objects) < len(sources):
        return
    unexpected = {
        s: p for s, p in undefined_symbols(objects).items() if s not in ALLOWED_SYMBOLS
    }
    tally.case(
        [
            f"{name} {level}: {pathlib.Path(path).name.split('.cpp')[0]}.cpp wants {symbol}"
            for symbol, path in sorted(unexpected.items())
            if symbol != "_GLOBAL_OFFSET_TABLE_"
        ]
    )
    tally.case([f"{name} {level}: {p}" for p in section_problems(objects, sources, root)])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=pathlib.Path, default=toolchain.ROOT)
    parser.add_argument("--build", type=pathlib.Path, help="where results are kept")
    parser.add_argument("--machine", action="append", help="only this one, e.g. gcc-i686")
    options = parser.parse_args()
    root = options.root.resolve()
    build = (options.build or root / "build" / "checks" / "freestanding").resolve()
    tally = toolchain.Tally()
    for name, languages in machines().items():
        if options.machine and name not in options.machine:
            continue
        check_headers(root, name, languages, build, tally)
        check_objects(root, name, languages, "-O2", build, tally)
        if name.endswith("i686"):
            # Unoptimised, a compiler calls helpers that it would otherwise do in line.
            check_objects(root, name, languages, "-O0", build, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
