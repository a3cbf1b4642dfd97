#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds the library the ways its users do: from the plain list of sources with make, and as a part
of another CMake project."""

import argparse
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))
import toolchain

PROJECT = """\
cmake_minimum_required(VERSION 3.22)
project(consumer LANGUAGES C CXX)
add_subdirectory({root} quire)
add_library(kernel OBJECT kernel.cpp)
target_link_libraries(kernel PRIVATE quire::quire)
foreach(option QUIRE_TESTS QUIRE_SIM QUIRE_BENCH QUIRE_KERNEL QUIRE_WERROR)
    if(${{option}})
        message(FATAL_ERROR "${{option}} is on in a project that only uses the library")
    endif()
endforeach()
"""


def makefile(root, build, compiler, machine):
    folder = build / f"make-{pathlib.Path(compiler).name}-{machine}"
    command = ["make", "-s", "-j", toolchain.jobs(), "-C", root / "examples" / "plain-makefile"]
    command += [f"QUIRE={root}", f"CXX={compiler}", f"ARCH={machine}", f"BUILD={folder}"]
    command += ["OPTIMISE=-O0"]  # what is asked is whether it builds; freestanding.py optimises
    result = toolchain.run(command)
    name = f"examples/plain-makefile with {pathlib.Path(compiler).name} for {machine}"
    if result.returncode != 0 or not (folder / "libquire.a").exists():
        return [f"{name}:\n{result.stdout}{result.stderr}"]
    members = toolchain.run([toolchain.llvm_tool("llvm-ar"), "t", folder / "libquire.a"])
    expected = sorted(p.with_suffix(".o").name for p in toolchain.library_sources(root))
    if sorted(members.stdout.split()) != expected:
        return [f"{name}: the archive holds other objects than sources.txt lists"]
    return []


def cmake(root, build):
    folder = build / "cmake"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "CMakeLists.txt").write_text(PROJECT.format(root=root))
    header = "quire.hpp" if (root / "include" / "quire" / "quire.hpp").exists() else "config.hpp"
    (folder / "kernel.cpp").write_text(
        f'#include "quire/{header}"\nunsigned long size() {{ return quire::page_size; }}\n'
    )
    toolchain_file = root / "cmake" / "toolchain-i386.cmake"
    configure = ["cmake", "-S", folder, "-B", folder / "build"]
    configure += [f"-DCMAKE_TOOLCHAIN_FILE={toolchain_file}", "-DCMAKE_BUILD_TYPE="]
    for command in (configure, ["cmake", "--build", folder / "build", "-j", toolchain.jobs()]):
        result = toolchain.run(command)
        if result.returncode != 0:
            return [f"as a subdirectory of another project:\n{result.stdout}{result.stderr}"]
    return []


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=toolchain.ROOT)
    parser.add_argument("--build", type=pathlib.Path, help="where products are kept")
    options = parser.parse_args()
    root = options.root.resolve()
    build = (options.build or root / "build" / "checks" / "consumers").resolve()
    tally = toolchain.Tally()
    for compiler in (toolchain.gcc_tool("g++"), toolchain.llvm_tool("clang++")):
        for machine in ("x86_64", "i686"):
            tally.case(makefile(root, build, compiler, machine))
    tally.case(cmake(root, build))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
