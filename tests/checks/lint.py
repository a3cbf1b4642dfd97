#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs clang-tidy, as .clang-tidy sets it up, over the library's sources and the headers that they
include. What was clean stays so until it changes."""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))
import toolchain

FLAGS = ["-std=c++20", "-ffreestanding", "-fno-exceptions", "-fno-rtti", "-Iinclude", "-nostdinc++"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=toolchain.ROOT)
    parser.add_argument("--build", type=pathlib.Path, help="where results are kept")
    options = parser.parse_args()
    root = options.root.resolve()
    build = (options.build or root / "build" / "checks" / "lint").resolve()
    build.mkdir(parents=True, exist_ok=True)
    tool = toolchain.llvm_tool("clang-tidy")
    settings = (root / ".clang-tidy").read_text()
    tally = toolchain.Tally()

    def one(source):
        name = source.relative_to(root).as_posix().replace("/", "_")
        version = toolchain.compiler_version(tool)
        mark = build / f"{name}.{toolchain.fingerprint(root, source, version, settings, FLAGS)}"
        if mark.exists():
            return []
        for old in build.glob(f"{name}.*"):
            old.unlink(missing_ok=True)
        command = [tool, "--quiet", "--warnings-as-errors=*", source, "--", *FLAGS]
        result = toolchain.run(command, cwd=root)
        if result.returncode == 0:
            mark.touch()
            return []
        return [f"{source.relative_to(root)}:\n{result.stdout.strip()}"]

    for problems in toolchain.parallel(one, toolchain.library_sources(root)):
        tally.case(problems)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
