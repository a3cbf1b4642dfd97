#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that every check can fail: feeds each one trees that break its rule, and a sound one."""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lib"))
import mutant_cases
import toolchain

CHECKS = pathlib.Path(__file__).resolve().parent
TOOLS = toolchain.ROOT / "tools"

# The smallest tree that every check accepts; a case changes or adds files. (The series' check gets
# the repository's own interface.)
SOUND = {
    "sources.txt": "src/base/thing.cpp\nsrc/phys/frames.cpp\n",
    "include/quire/base/thing.hpp": """\
// SPDX-License-Identifier: MIT
#pragma once

#include <stdint.h>

namespace quire {

int thing(int value);

}  // namespace quire
""",
    "include/quire/phys/frames.hpp": """\
// SPDX-License-Identifier: MIT
#pragma once

#include "quire/base/thing.hpp"

namespace quire {

int frames(int value);
int many_frames(int value);
int as_many_frames(int value);

}  // namespace quire
""",
    "src/base/thing.cpp": """\
// SPDX-License-Identifier: MIT
#include "quire/base/thing.hpp"

namespace quire {

int thing(int value) {
    return value + 1;
}

}  // namespace quire
""",
    "src/phys/frames.cpp": """\
// SPDX-License-Identifier: MIT
#include "quire/phys/frames.hpp"

namespace quire {

int frames(int value) {
    return thing(value) * 2;
}

[[gnu::noinline]] int many_frames(int value) {
    volatile char room[600];
    room[1] = 1;
    return frames(value) + room[1];
}

// Runs many_frames in its own place, not on top of it.
int as_many_frames(int value) {
    volatile char room[600];
    room[1] = 1;
    return many_frames(value + room[1]);
}

}  // namespace quire
""",
    "quire": """\
#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
case "$1" in
    run | test) exec "tools/$1" ;;
    help) echo help ;;
esac
""",
    "tools/run": "#!/usr/bin/env bash\n# SPDX-License-Identifier: MIT\n# --mem SIZE\n",
    "tools/test": "#!/usr/bin/env bash\n# SPDX-License-Identifier: MIT\n",
    "tools/stack-indirect.txt": "",
    "README.md": "# Sound\n\nTry `./quire run --mem 8M`; see [changes](CHANGELOG.md#unreleased).\n",
    "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- All of it.\n",
    "LICENSE": "MIT License\n",
}


def source(*lines):
    """A source file of phys with these lines in the namespace."""
    body = "\n".join(lines)
    return (
        '// SPDX-License-Identifier: MIT\n#include "quire/phys/frames.hpp"\n\n'
        f"namespace quire {{\n\n{body}\n\n}}  // namespace quire\n"
    )


def header(*lines):
    body = "\n".join(lines)
    return f"// SPDX-License-Identifier: MIT\n#pragma once\n\n{body}\n"


FRAMES = "src/phys/frames.cpp"
KEEP = "int frames(int value) { return thing(value) * 2; }"
FREESTANDING = [CHECKS / "freestanding.py", "--machine"]
SERIES_HEADER = "include/quire/series.h"
SERIES = [CHECKS / "series.py", "--compiler", "Clang", "--choices", "1"]


def in_place(name, old, new):
    """A file of this repository with one place changed."""
    text = (toolchain.ROOT / name).read_text()
    assert text.count(old) >= 1, f"{name} has no {old}"
    return {name: text.replace(old, new, 1)}


# (name, command, changed files, a word that the failure must hold)
CASES = [
    (
        "layers: an include that reaches upward",
        [CHECKS / "layers.py"],
        {"include/quire/base/thing.hpp": header('#include "quire/phys/frames.hpp"')},
        "stands above it",
    ),
    (
        "layers: a header of the C++ library",
        [CHECKS / "layers.py"],
        {"include/quire/base/thing.hpp": header("#include <vector>")},
        "<vector>",
    ),
    (
        "layers: a file outside the layers",
        [CHECKS / "layers.py"],
        {"include/quire/misc/thing.hpp": header("")},
        "no layer",
    ),
    (
        "layers: an include of nothing",
        [CHECKS / "layers.py"],
        {"include/quire/base/thing.hpp": header('#include "quire/base/gone.hpp"')},
        "does not exist",
    ),
    (
        "layers: a source missing from the list",
        [CHECKS / "layers.py"],
        {"src/base/other.cpp": source("")},
        "is missing",
    ),
    (
        "freestanding: a header that leans on another",
        [*FREESTANDING, "clang-i686"],
        {"include/quire/base/thing.hpp": header("inline size_t thing_size;")},
        "alone",
    ),
    (
        "freestanding: a header of the C library",
        [*FREESTANDING, "gcc-x86_64"],
        {"include/quire/base/thing.hpp": header("#include <string.h>", "int thing(int);")},
        "string.h",
    ),
    (
        "freestanding: a 64-bit division on a 32-bit machine, Clang",
        [*FREESTANDING, "clang-i686"],
        {
            FRAMES: source(
                KEEP,
                "uint64_t share(uint64_t a, uint64_t b);",
                "uint64_t share(uint64_t a, uint64_t b) { return a / b; }",
            )
        },
        "__udivdi3",
    ),
    (
        "freestanding: a 64-bit division on a 32-bit machine, GCC",
        [*FREESTANDING, "gcc-i686"],
        {
            FRAMES: source(
                KEEP,
                "uint64_t share(uint64_t a, uint64_t b);",
                "uint64_t share(uint64_t a, uint64_t b) { return a / b; }",
            )
        },
        "__udivdi3",
    ),
    (
        "freestanding: a function of somebody else",
        [*FREESTANDING, "clang-riscv64"],
        {
            FRAMES: source(
                KEEP,
                'extern "C" int puts(const char*);',
                "int say();",
                'int say() { return puts("x"); }',
            )
        },
        "wants puts",
    ),
    (
        "freestanding: floating point",
        [*FREESTANDING, "gcc-x86_64"],
        {FRAMES: source(KEEP, "double half(double x);", "double half(double x) { return x / 2; }")},
        "SSE register return",
    ),
    (
        "freestanding: floating point by library calls",
        [*FREESTANDING, "clang-aarch64"],
        {
            FRAMES: source(
                KEEP, "int half(int x);", "int half(int x) { return static_cast<int>(x * 0.7); }"
            )
        },
        "__muldf3",
    ),
    (
        "freestanding: a static constructor",
        [*FREESTANDING, "clang-x86_64"],
        {FRAMES: source(KEEP, "extern const int made;", "const int made = thing(3);")},
        "static constructor",
    ),
    (
        "freestanding: a writable global",
        [*FREESTANDING, "clang-x86_64"],
        {FRAMES: source(KEEP, "extern int counter;", "int counter = 3;")},
        "writable global",
    ),
    (
        "stack: a chain that is too deep",
        [TOOLS / "stack"],
        {
            FRAMES: source(
                KEEP,
                "int deep();",
                "int deep() { volatile char room[2000]; room[1] = 1; return thing(room[1]); }",
            )
        },
        "bytes of stack",
    ),
    (
        "stack: a chain that is too deep in sum",
        [TOOLS / "stack"],
        {
            FRAMES: source(
                KEEP,
                "int deep();",
                "int deeper();",
                "int deep() { volatile char room[600]; room[1] = 1; return thing(room[1]); }",
                "[[gnu::noinline]] int deeper() {",
                "volatile char room[600]; room[1] = 1; return deep() + room[1]; }",
            )
        },
        "bytes of stack",
    ),
    (
        "stack: a call through a pointer that nothing explains",
        [TOOLS / "stack"],
        {FRAMES: source(KEEP, "int any(int (*f)());", "int any(int (*f)()) { return f() + 1; }")},
        "nothing tells",
    ),
    (
        "stack: recursion without a bound",
        [TOOLS / "stack"],
        {
            FRAMES: source(
                KEEP,
                "int again(int n, const int* list);",
                "int again(int n, const int* list) {",
                "if (n == 0) return 0;",
                "int sum = thing(n);",
                "for (int i = 0; i < n; i++) sum += again(list[i], list + i) ^ sum;",
                "return sum; }",
            )
        },
        "without a stated bound",
    ),
    (
        "stack: a statement that resolves nothing",
        [TOOLS / "stack"],
        {"tools/stack-indirect.txt": "call gone -> outside\n"},
        "resolves nothing",
    ),
    (
        "series: a function that nothing defines",
        SERIES,
        in_place(SERIES_HEADER, "int series_validate(void);", "int series_validates(void);"),
        "nothing defines series_validates",
    ),
    (
        "series: a header that is no C",
        SERIES,
        in_place(SERIES_HEADER, "int series_validate(void);", "int series_validate(bool = true);"),
        "series.h as c11",
    ),
    (
        "series: an instruction that changes whether interrupts are on",
        SERIES,
        in_place(
            "src/series/outcome.cpp",
            "    high_.store(",
            '    asm volatile("sti");\n    high_.store(',
        ),
        "sti",
    ),
    (
        "series: a contradiction that is accepted",
        SERIES,
        in_place(
            "src/series/choices.hpp",
            '"QUIRE_SERIES_DIRECTORIES: 1 to 1024"',
            '"DIRECTORIES: 1 to 1024"',
        ),
        "accepts",
    ),
    (
        "text: no licence line",
        [CHECKS / "text.py"],
        {FRAMES: '#include "quire/phys/frames.hpp"\n'},
        "SPDX",
    ),
    (
        "text: unfinished work",
        [CHECKS / "text.py"],
        {FRAMES: source(KEEP, "// TO" + "DO: the rest")},
        "unfinished",
    ),
    (
        "text: a path of one machine",
        [CHECKS / "text.py"],
        {"README.md": "See /ho" + "me/somebody/notes.\n"},
        "one machine",
    ),
    (
        "text: a file that is two things",
        [CHECKS / "text.py"],
        {FRAMES: source(*["// line"] * 700)},
        "lines",
    ),
    (
        "text: a tab",
        [CHECKS / "text.py"],
        {FRAMES: source("\tint x;")},
        "tab",
    ),
    (
        "docs: a link to nothing",
        [CHECKS / "docs.py"],
        {"README.md": "# A\n\nSee [that](docs/gone.md).\n"},
        "gone.md",
    ),
    (
        "docs: a link to no heading",
        [CHECKS / "docs.py"],
        {"README.md": "# A\n\nSee [that](CHANGELOG.md#gone).\n"},
        "#gone",
    ),
    (
        "docs: a command that the script does not know",
        [CHECKS / "docs.py"],
        {"README.md": "# A\n\n    ./quire fly --far\n"},
        "fly",
    ),
    (
        "docs: an option that the command does not know",
        [CHECKS / "docs.py"],
        {"README.md": "# A\n\n`./quire run --wings`\n"},
        "--wings",
    ),
    (
        "docs: no changelog",
        [CHECKS / "docs.py"],
        {"CHANGELOG.md": None, "README.md": "# A\n"},
        "CHANGELOG.md",
    ),
    (
        "format: a line that clang-format would write otherwise",
        [CHECKS / "format.py"],
        {FRAMES: source("int   frames( int value ){return thing(value)*2;}")},
        "frames.cpp",
    ),
    (
        "lint: a name against the conventions",
        [CHECKS / "lint.py"],
        {FRAMES: source(KEEP, "int FramesLeft();", "int FramesLeft() { return 1; }")},
        "readability-identifier-naming",
    ),
    (
        "lint: a mistake that clang-tidy knows",
        [CHECKS / "lint.py"],
        {
            FRAMES: source(
                KEEP, "unsigned long long area(int a, int b);",
                "unsigned long long area(int a, int b) { return sizeof(sizeof(a + b)); }",
            )
        },
        "bugprone",
    ),
]  # fmt: skip


def write_tree(folder, changes):
    for name, text in {**SOUND, **changes}.items():
        if text is None:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in (".clang-format", ".clang-tidy"):
        if (toolchain.ROOT / name).exists():
            shutil.copy(toolchain.ROOT / name, folder / name)


def run_check(command, changes):
    with tempfile.TemporaryDirectory(prefix="quire-") as name:
        folder = pathlib.Path(name)
        if command == SERIES:  # it looks at the one interface that there is
            for part in ("include", "src", "tests/checks"):
                shutil.copytree(toolchain.ROOT / part, folder / part)
        write_tree(folder, changes)
        result = subprocess.run(
            [*map(str, command), "--root", name], capture_output=True, text=True
        )
        return result.returncode, result.stdout + result.stderr


def bad_case(case):
    name, command, changes, word = case
    status, text = run_check(command, changes)
    if status == 0 or "FAILED" not in text:
        return [f"{name}: the check passed"]
    if word not in text:
        return [f"{name}: the check failed without saying '{word}':\n{text}"]
    return []


def good_case(command):
    status, text = run_check(command, {})
    name = pathlib.Path(command[0]).name
    return [f"{name}: failed on a sound tree:\n{text}"] if status != 0 else []


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose names hold this word")
    parser.add_argument(
        "--all", action="store_true", help="also the checks that need clang-format and clang-tidy"
    )
    parser.add_argument("--rest", action="store_true", help="these alone, in place of the others")
    options = parser.parse_args()
    wanted = {False: not options.rest, True: options.all or options.rest}
    cases = [
        case
        for case in CASES
        if options.only in case[0] and wanted[case[0].startswith(("format", "lint"))]
    ]
    # That the repository's own tree passes, the check of the series' interface says by itself.
    commands = {str(c[1]): c[1] for c in cases if c[1] != SERIES}
    tally = toolchain.Tally()
    tally.case(mutant_cases.problems())
    for problems in toolchain.parallel(good_case, list(commands.values())):
        tally.case(problems)
    for problems in toolchain.parallel(bad_case, cases):
        tally.case(problems)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
