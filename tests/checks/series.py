#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the tutorial series' interface for i386, with GCC and with Clang:

- quire/series.h, and a use of everything in it, compile as C11 and as C++17 with -pedantic;
- src/series has every function that the header promises;
- no instruction of it changes whether interrupts are on;
- it compiles with each of the choices in quire/series_config.h, and refuses contradictions.
"""

import argparse
import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))
import toolchain

STRICT = ["-Werror", "-Wall", "-Wextra", "-pedantic"]
KERNEL = ["-march=i686", "-ffreestanding", "-fno-stack-protector", "-fno-pic", "-O1"]
LIBRARY = ["-std=c++20", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"]

CHOICES = [
    [],
    ["REACH=QUIRE_SERIES_DIRECT", "MAP_ADDRESS=0xC0000000", "MAP_BYTES=0x1000000"],
    ["REACH=QUIRE_SERIES_RECURSIVE"],
    ["REACH=QUIRE_SERIES_RECURSIVE", "SELF_SLOT=500", "FOREIGN_SLOT=501", "SCRATCH_SLOT=502"],
    ["REACH=QUIRE_SERIES_WINDOW", "DIRECTORY_ADDRESS=0xE0000000", "DIRECTORIES=1000"],
    ["KERNEL_ADDRESS=0x80000000", "TABLE_RESERVE=8", "MAP_PAGE_FLAGS=6"],
    ["LOCK=0", "LOG=0", "BITMAP_BYTES=65536"],
    ["MEMORY_KIB=131072"],
]
CONTRADICTIONS = [
    ["MAP_ADDRESS=0x1000"],
    ["MAP_BYTES=0x1000"],
    ["MAP_ADDRESS=0xFFC00000", "MAP_BYTES=0x800000"],
    ["KERNEL_ADDRESS=0xC0001000"],
    ["DIRECTORIES=0"],
    ["DIRECTORY_ADDRESS=0xB0000000"],
    ["DIRECTORY_ADDRESS=0xFD3FF000"],
    ["MAP_PAGE_FLAGS=0x1002"],
]


def compilers():
    """name -> command lines for C and for C++."""
    clang = ["--target=i686-unknown-none-elf"]
    return {
        "Clang": (
            [toolchain.llvm_tool("clang"), *clang],
            [toolchain.llvm_tool("clang++"), *clang],
        ),
        "GCC": ([toolchain.gcc_tool("gcc"), "-m32"], [toolchain.gcc_tool("g++"), "-m32"]),
    }


def defines(choices):
    return [f"-DQUIRE_SERIES_{choice}" for choice in choices]


def declared(root):
    """Names of the functions that the header declares."""
    text = (root / "include" / "quire" / "series.h").read_text()
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"^#.*(\\\n.*)*$", " ", text, flags=re.MULTILINE)
    text = re.sub(r"\{[^{}]*\}", " ", text.replace('extern "C" {', ""))
    return {match[1] for match in re.finditer(r"(\w+)\s*\((?!\*)[^;]*\)\s*;", text)}


def symbols(objects, kinds):
    listing = toolchain.run([toolchain.llvm_tool("llvm-nm"), *objects]).stdout
    lines = re.finditer(r"^[0-9a-f ]*([A-Za-z]) (\S+)$", listing, re.MULTILINE)
    return {line[2] for line in lines if line[1] in kinds}


def check(root, folder, name, c, cxx, choices_to_try, tally):
    use = root / "tests" / "checks" / "series_api.h"
    users = []
    for language, command, standard in (("c", c, "c11"), ("c++", cxx, "c++17")):
        product = folder / f"{name}-{language}.o"
        flags = [f"-std={standard}", *STRICT, *KERNEL, "-I", root / "include"]
        result = toolchain.run([*command, *flags, "-x", language, "-c", use, "-o", product])
        words = f"series.h as {standard}, {name}:\n{result.stderr}"
        tally.case([words] if result.returncode else [])
        users.append(product)

    objects = []
    for number, choices in enumerate(CHOICES[:choices_to_try]):
        problems = []
        for source in sorted((root / "src" / "series").glob("*.cpp")):
            product = folder / f"{name}-{number}-{source.stem}.o"
            flags = [*LIBRARY, *STRICT, *KERNEL, *defines(choices), "-I", root / "include"]
            result = toolchain.run([*cxx, *flags, "-c", source, "-o", product])
            if result.returncode:
                problems.append(f"{source.name} with {choices}, {name}:\n{result.stderr}")
            elif number == 0:
                objects.append(product)
        tally.case(problems)

    text = toolchain.run([toolchain.llvm_tool("llvm-objdump"), "-d", *objects]).stdout
    touching = re.findall(r"\t(?:cli|sti|popfl?|popf[dw]|iret[ld]?|hlt)\b.*", text)
    seen = [] if "invlpg" in text else ["it has no INVLPG: nothing was disassembled"]
    tally.case([f"src/series, {name}: {what.strip()}" for what in touching] + seen)

    defined = symbols(objects, "T")
    wanted = declared(root) - {"quire_series"}
    used = symbols(users, "U")
    tally.case([f"{name}: nothing defines {call}" for call in sorted(wanted - defined)])
    tally.case([f"tests/checks/series_api.h does not use {call}" for call in sorted(wanted - used)])

    for choices in CONTRADICTIONS:
        source = root / "src" / "series" / "series_i386.cpp"
        flags = [*LIBRARY, *KERNEL, *defines(choices), "-I", root / "include", "-fsyntax-only"]
        result = toolchain.run([*cxx, *flags, source])
        told = result.returncode != 0 and "QUIRE_SERIES_" in result.stderr
        tally.case([] if told else [f"{name} accepts {choices}"])


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=pathlib.Path, default=toolchain.ROOT)
    parser.add_argument("--compiler", choices=["Clang", "GCC"], help="only this one")
    parser.add_argument(
        "--choices", type=int, default=len(CHOICES), metavar="N", help="only the first N of them"
    )
    options = parser.parse_args()
    root = options.root.resolve()
    tally = toolchain.Tally()
    with tempfile.TemporaryDirectory() as folder:
        for name, (c, cxx) in compilers().items():
            if options.compiler in (None, name):
                check(root, pathlib.Path(folder), name, c, cxx, options.choices, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
