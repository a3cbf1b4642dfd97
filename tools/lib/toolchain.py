# SPDX-License-Identifier: MIT
"""The tools and the sources that Quire's own scripts work with."""

import concurrent.futures
import functools
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"

# In order of preference; cmake/llvm.cmake and tools/install use the same.
LLVM_RELEASES = (19, 22, 21, 20, 18, 17, 16)


@functools.cache
def llvm_suffix():
    """'-19' or whichever release is installed."""
    for release in LLVM_RELEASES:
        if shutil.which(f"clang++-{release}"):
            return f"-{release}"
    if shutil.which("clang++"):
        return ""
    sys.exit("no clang++ found; './quire test' installs it")


@functools.cache
def llvm_tool(name):
    """The full path of a tool of the chosen LLVM release."""
    path = shutil.which(name + llvm_suffix()) or shutil.which(name)
    if not path:
        sys.exit(f"no {name}{llvm_suffix()} found; './quire check' installs it")
    return path


@functools.cache
def gcc_tool(name):
    path = shutil.which(name)
    if not path:
        sys.exit(f"no {name} found; './quire test' installs it")
    return path


def jobs():
    return len(os.sched_getaffinity(0))


def parallel(function, items):
    """The results of function(item), in order, computed on all CPUs (by child processes that the
    function starts; Python threads suffice for that)."""
    with concurrent.futures.ThreadPoolExecutor(jobs()) as pool:
        return list(pool.map(function, items))


def run(command, **options):
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, errors="replace", **options
    )


# ---- sources -------------------------------------------------------------------------------------

SKIPPED_FOLDERS = {"build", ".git", ".cache", "__pycache__", ".vscode", ".idea"}


def files(root, *suffixes):
    """All files of the tree at root with one of the suffixes, sorted; build products left out."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        for name in sorted(names):
            if not suffixes or name.endswith(suffixes):
                found.append(pathlib.Path(folder) / name)
    return found


def public_headers(root):
    return [p for p in files(root / "include", ".hpp", ".h")] if (root / "include").is_dir() else []


def library_sources(root):
    """The library's sources as sources.txt lists them."""
    lines = (root / "sources.txt").read_text().split()
    return [root / line for line in lines]


INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


@functools.cache
def includes(path):
    """(quote, name) of every #include in a file, with its line."""
    text = path.read_text(errors="replace")
    return [
        (match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in INCLUDE.finditer(text)
    ]


def closure(root, path, seen=None):
    """The file and every Quire header it reaches."""
    seen = set() if seen is None else seen
    if path in seen or not path.exists():
        return seen
    seen.add(path)
    for _, name, _ in includes(path):
        for candidate in (root / "include" / name, path.parent / name):
            if candidate.exists():
                closure(root, candidate.resolve(), seen)
                break
    return seen


@functools.cache
def _content(path):
    return path.read_bytes()


def fingerprint(root, path, *extra):
    """A hash that changes when the file, a header it reaches, or anything in extra changes."""
    digest = hashlib.sha256()
    for part in extra:
        digest.update(str(part).encode() + b"\0")
    for source in sorted(closure(root, path)):
        digest.update(str(source).encode() + b"\0" + _content(source))
    return digest.hexdigest()[:24]


@functools.cache
def compiler_version(compiler):
    return run([compiler, "--version"]).stdout.split("\n")[0]


# ---- results -------------------------------------------------------------------------------------


class Tally:
    """Counts what passed and failed, shows failures, and ends with the line that ./quire test adds
    up: 'N passed, N failed'."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def case(self, problems):
        """One test: passed when the list of its problems is empty."""
        if problems:
            self.failed += 1
            for problem in problems:
                print(f"FAILED {problem}", flush=True)
        else:
            self.passed += 1

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed else 0
