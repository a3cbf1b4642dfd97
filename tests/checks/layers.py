#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Enforces the layers: reads every #include of the library and fails when one reaches upward, or
leaves the library for anything but the C headers that every freestanding compiler has.

    base < boot < phys < paging < space < heap < check < observe < facade < series

A layer includes only what comes before it. config.hpp and platform.hpp count as base; every other
header directly in include/quire as the facade, which stands above everything but the tutorial
series' interface.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))
import toolchain

ORDER = ["base", "boot", "phys", "paging", "space", "heap", "check", "observe", "facade", "series"]
C_HEADERS = {"stdint.h", "stddef.h", "limits.h", "stdarg.h"}
BASE_HEADERS = {"config.hpp", "platform.hpp"}
# std/ holds opt-in adapters for kernels that have a C++ library; nothing else includes them.
ADAPTERS = "std"


def layer_of(parts):
    """The layer of a file, from its path below include/quire or src; None when it has none."""
    if len(parts) > 1 and parts[0] == "c":
        return "facade"  # the C face
    if len(parts) > 1:
        return parts[0] if parts[0] in ORDER or parts[0] == ADAPTERS else None
    return "base" if parts[0] in BASE_HEADERS else "facade"


def problems_of(root, path, parts):
    """What is wrong with the includes of one file, a line each."""
    shown = path.relative_to(root)
    layer = layer_of(parts)
    if layer is None:
        return [f"{shown}: belongs to no layer; the layers are {', '.join(ORDER)}"]
    problems = []
    for quote, name, line in toolchain.includes(path):
        at = f"{shown}:{line}"
        if quote == "<":
            if name not in C_HEADERS and layer != ADAPTERS:
                allowed = ", ".join(f"<{header}>" for header in sorted(C_HEADERS))
                problems.append(f"{at}: includes <{name}>; the library may use only {allowed}")
            continue
        if name.startswith("quire/"):
            target = root / "include" / name
            target_layer = layer_of(pathlib.PurePath(name).parts[1:])
        elif path.is_relative_to(root / "include"):
            problems.append(f'{at}: includes "{name}"; public headers are named as "quire/..."')
            continue
        else:
            # A private header, named from its own folder or from src/.
            beside, below_src = path.parent / name, root / "src" / name
            target = beside if beside.exists() else below_src
            if not target.resolve().is_relative_to(root / "src"):
                problems.append(f'{at}: includes "{name}", which is outside src/')
                continue
            target_layer = layer_of(target.resolve().relative_to(root / "src").parts)
        if not target.exists():
            problems.append(f'{at}: includes "{name}", which does not exist')
        elif target_layer is None or (target_layer == ADAPTERS and layer != ADAPTERS):
            problems.append(f'{at}: includes "{name}", which belongs to no layer it may use')
        elif layer != ADAPTERS and ORDER.index(target_layer) > ORDER.index(layer):
            problems.append(
                f'{at}: {layer} includes "{name}" of {target_layer}, which stands above it'
            )
    return problems


def list_problems(root, on_disk):
    """What is wrong with sources.txt."""
    listed = (root / "sources.txt").read_text().split("\n")
    if listed[-1] == "":
        listed.pop()
    present = {str(p.relative_to(root)) for p in on_disk if p.suffix in (".cpp", ".c")}
    problems = []
    if listed != sorted(set(listed)):
        problems.append("sources.txt: lines must be sorted, and each stand there once")
    problems += [f"sources.txt: {n} does not exist" for n in sorted(set(listed) - present)]
    problems += [f"sources.txt: {n} is missing" for n in sorted(present - set(listed))]
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=pathlib.Path, default=toolchain.ROOT)
    root = parser.parse_args().root.resolve()
    tally = toolchain.Tally()
    for path in toolchain.public_headers(root):
        tally.case(problems_of(root, path, path.relative_to(root / "include" / "quire").parts))
    on_disk = toolchain.files(root / "src", ".cpp", ".hpp", ".h", ".c")
    for path in on_disk:
        tally.case(problems_of(root, path, path.relative_to(root / "src").parts))
    tally.case(list_problems(root, on_disk))
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
