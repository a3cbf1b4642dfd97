#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares every C and C++ file with what clang-format makes of it; --fix rewrites them."""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))
import toolchain


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=toolchain.ROOT)
    parser.add_argument("--fix", action="store_true", help="rewrite what differs")
    options = parser.parse_args()
    root = options.root.resolve()
    tool = toolchain.llvm_tool("clang-format")
    tally = toolchain.Tally()

    def one(path):
        if options.fix:
            result = toolchain.run([tool, "-i", path], cwd=root)
        else:
            result = toolchain.run([tool, "--dry-run", "--Werror", path], cwd=root)
        if result.returncode == 0:
            return []
        first = result.stderr.split("\n")[0]
        return [f"{path.relative_to(root)}: not as clang-format writes it\n    {first}"]

    for problems in toolchain.parallel(one, toolchain.files(root, ".cpp", ".hpp", ".h", ".c")):
        tally.case(problems)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
