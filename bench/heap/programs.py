# SPDX-License-Identifier: MIT
"""Real programs, run under one heap after the other: those of these that are installed."""

import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "lib"))
import toolchain  # noqa: E402

LAUNCH = ROOT / "build" / "release" / "bench" / "heap" / "quire_launch"

PYTHON = """
import json, collections
words = [f"w{i * 7919 % 10007}" for i in range(150000)]
count = collections.Counter(words)
tree = {w: {"n": n, "at": [i for i in range(n)]} for w, n in count.items()}
text = json.dumps(tree)
print(len(text), len(json.loads(text)), sum(count.values()))
"""
PERL = """
my %h; for my $i (1..200000) { my $w = "w" . ($i * 7919 % 50021); push @{$h{$w}}, "$i" x 3; }
my $n = 0; $n += length(join ",", @{$h{$_}}) for sort keys %h; print "$n\\n";
"""
RUBY = """
table = Hash.new { |all, key| all[key] = [] }
150_000.times { |i| table["w#{i * 7919 % 20_011}"] << "x" * (i % 61) }
puts table.size, table.values.map { |list| list.join(',').size }.sum
"""
# The server is redis-check-rdb under another name; its own benchmark is its load.
REDIS = r"""
folder=$(mktemp -d); cd "$folder"
ln -s "$(command -v redis-check-rdb)" redis-server
./redis-server --port 0 --unixsocket "$folder/s" --save '' >log 2>&1 &
until redis-cli -s s ping >ping 2>&1; do kill -0 $! || exit 1; sleep 0.1; done
redis-benchmark -s s -q -c 20 -n 50000 -r 20000 -d 200 -P 16 \
    -t set,get,lpush,rpop,hset,mset >load 2>&1
redis-cli -s s info stats | grep -c total_commands
redis-cli -s s shutdown; wait; rm -r "$folder"
"""
SQL = """
create table t (id integer primary key, name text, value real);
with recursive c(i) as (select 1 union all select i + 1 from c where i < 120000)
insert into t select i, 'name ' || (i * 7919 % 10007), i * 0.5 from c;
create index by_name on t (name);
select count(*), sum(value) from t where name like 'name 1%';
select name, count(*) from t group by name order by 2 desc, 1 limit 5;
"""


@dataclasses.dataclass(frozen=True)
class Program:
    name: str
    command: tuple
    text: str = ""  # on its standard input
    settings: tuple = ()  # of its environment


def programs():
    compile_one = ("-std=c++20", "-Iinclude", "-O1", "-S", "-o", "-", "src/heap/heap_core.cpp")
    known = [
        Program("git", ("git", "-C", str(ROOT), "log", "-p", "--stat", "-100")),
        Program("python3", (real_python(), "-c", PYTHON),
                settings=(("PYTHONMALLOC", "malloc"), ("PYTHONHASHSEED", "1"))),
        Program("perl", ("perl", "-e", PERL), settings=(("PERL_HASH_SEED", "1"),)),
        Program("ruby", ("ruby", "-e", RUBY)),
        *([Program("redis", ("bash", "-c", REDIS))] if shutil.which("redis-check-rdb") else []),
        Program("sqlite3", ("sqlite3", ":memory:"), SQL),
        Program("g++", ("g++", *compile_one)),
        Program("clang++", (toolchain.llvm_tool("clang++"), *compile_one)),
    ]  # fmt: skip
    return [program for program in known if shutil.which(program.command[0])]


def real_python():
    """Not what may stand before it and choose among releases."""
    return "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


@dataclasses.dataclass(frozen=True)
class Run:
    seconds: float  # of CPU time, the host's kernel included
    peak_bytes: int
    output: str  # a hash of it


def run(program, heap):
    """One run, children included; a program that fails has an output that says so."""
    environment = {**heap.environment(), **dict(program.settings)}
    with tempfile.NamedTemporaryFile("r") as figures:
        result = subprocess.run([LAUNCH, figures.name, *program.command], env=environment, cwd=ROOT,
                                input=program.text.encode(), stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)  # fmt: skip
        seconds, peak = figures.read().split()
    output = hashlib.sha256(result.stdout).hexdigest()
    if result.returncode != 0:
        output = f"status {result.returncode}"
    return Run(float(seconds), int(peak), output)


def instructions(program, heap):
    """Counted by valgrind, children included: every instruction of the process, not only of the
    heap."""
    environment = {**heap.environment(), **dict(program.settings)}
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--trace-children=yes",
                   f"--log-file={folder}/log.%p", f"--cachegrind-out-file={folder}/out.%p",
                   *program.command]  # fmt: skip
        subprocess.run(command, env=environment, input=program.text.encode(), cwd=ROOT,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        counts = [
            int(match[1].replace(",", ""))
            for log in pathlib.Path(folder).glob("log.*")
            for match in [re.search(r"I +refs: +([\d,]+)", log.read_text())]
            if match
        ]
    return sum(counts)
