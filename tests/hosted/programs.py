#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""programs.py LIBRARY: runs real programs on libquire-malloc.so and on the host's own malloc; what
they print must be the same. Those that are not installed are named and passed over."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

PYTHON = """
import hashlib, json, random, re, threading, zlib
random.seed(7)
table = {str(i): [random.random() for _ in range(random.randrange(40))] for i in range(20000)}
text = json.dumps(table)
assert json.loads(text) == table
sums = [None] * 4
def work(n):
    pieces = [text[i:i + 5000] for i in range(0, 400000, 5000)]
    parts = [re.sub('[0-3]', lambda m: m.group() * n, piece) for piece in pieces]
    sums[n] = hashlib.sha256(zlib.compress(''.join(parts).encode())).hexdigest()
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(hashlib.sha256(text.encode()).hexdigest(), sums)
"""

PYTHON_FORKS = """
import os, threading, hashlib
stop = False
def churn():
    while not stop: [bytes(i) for i in range(2000)]
threads = [threading.Thread(target=churn) for _ in range(2)]
for t in threads: t.start()
for n in range(20):
    child = os.fork()
    if child == 0:
        print(hashlib.md5(b''.join(bytes([n]) * i for i in range(300))).hexdigest(), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
stop = True
for t in threads: t.join()
"""

PERL = r"""
my %h; srand(3); $h{int(rand(1e5))} .= "x" x rand(200) for 1..200000;
my $s = 0; $s += length $h{$_} for keys %h;
my $t = join ",", map { "$_=" . length $h{$_} } sort { $a <=> $b } keys %h;
print scalar(keys %h), " $s ", unpack("%32C*", $t), "\n";
"""

RUBY = """
srand(5)
table = Hash.new { |all, key| all[key] = [] }
100_000.times { |i| table["k#{i * 7919 % 20_011}"] << "v" * rand(60) }
sums = 4.times.map { |n| Thread.new { table.values.map { |v| v.join(',').sum * n }.sum } }
puts table.size, table.values.flatten.sort.uniq.size, sums.map(&:value).inspect
"""

# The server is the same program as redis-check-rdb under another name, and that one comes without a
# service which starts by itself. What its own benchmark stored is then told by one digest.
REDIS = r"""
cd "$1"
(exec -a redis-server redis-check-rdb --port 0 --unixsocket "$PWD/redis" --save '' --io-threads 2 \
    --enable-debug-command yes) >redis.log 2>&1 &
ask() { redis-cli -s redis "$@"; }
for _ in $(seq 500); do ask ping >redis.ping 2>&1 && break; sleep 0.02; done
redis-benchmark -s redis -q -c 20 -n 5000 -P 16 \
    -t set,get,incr,lpush,rpop,hset,lrange_100,mset >/dev/null
for n in $(seq 300); do echo "set k$n $(printf 'v%.0s' $(seq $n))"; done | ask >/dev/null
for n in $(seq 300); do echo "append k$n $n"; echo "sadd all k$n"; echo "del k$((n - 9))"; done |
    ask >/dev/null
ask dbsize || exit 2
ask debug digest
ask shutdown
wait
"""

# Each checks what it stored. A fixed number of rounds, so that there is an end.
STRESS = ["--malloc", "2", "--malloc-ops", "200000", "--bigheap", "1", "--bigheap-ops", "300"]
STRESS += ["--tree", "1", "--tree-size", "60000", "--tree-ops", "1"]
STRESS += ["--list", "1", "--list-ops", "20", "--hsearch", "1", "--hsearch-ops", "20"]
STRESS += ["--verify", "--timeout", "60"]

SQL = """
create table t(id integer primary key, name text, value real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000)
insert into t select i, hex(i * 7919 % 10007), i * 1.5 from n;
create index by_name on t(name);
select count(*), sum(value), min(name), max(name) from t where name > '3';
select name, count(*) from t group by name order by 2 desc, 1 limit 5;
delete from t where id % 3 = 0;
select group_concat(name) from (select name from t order by value desc limit 20);
"""

CPLUSPLUS = """
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>
struct alignas(256) Wide { char data[300]; };
int main() {
    long sums[3] = {};
    std::vector<std::thread> threads;
    for (int n = 0; n < 3; ++n)
        threads.emplace_back([&sums, n] {
            std::map<std::string, std::vector<int>> map;
            for (int i = 0; i < 30000; ++i) map[std::to_string(i * 7919 % 5003)].push_back(i + n);
            for (auto& [name, list] : map) sums[n] += long(name.size()) * list.back();
            for (int i = 0; i < 100; ++i)
                sums[n] += reinterpret_cast<unsigned long>(std::make_unique<Wide>().get()) % 256;
        });
    for (auto& thread : threads) thread.join();
    try {
        std::vector<char> too_much(size_t(1) << 62);
    } catch (const std::bad_alloc&) {
        std::puts("bad_alloc");
    }
    std::printf("%ld %ld %ld\\n", sums[0], sums[1], sums[2]);
}
"""


def cases(folder: pathlib.Path):
    """(name, program, arguments, what it reads)"""
    source = folder / "program.cpp"
    source.write_text(CPLUSPLUS)
    sources = sorted((ROOT / "src").glob("*/*.cpp"))
    text = folder / "text"
    text.write_bytes(b"".join(path.read_bytes() for path in sources) * 4)
    python = os.path.realpath(sys.executable)
    yield "python", python, ["-c", PYTHON], b""
    yield "python, forks beside threads", python, ["-c", PYTHON_FORKS], b""
    yield "perl", "perl", ["-e", PERL], b""
    yield "ruby", "ruby", ["-e", RUBY], b""
    if shutil.which("redis-check-rdb"):
        yield "redis and its benchmark", "bash", ["-c", REDIS, "bash", str(folder)], b""
    yield "stress-ng", "stress-ng", [*STRESS, "--quiet"], b""
    yield "sqlite3", "sqlite3", [":memory:"], SQL.encode()
    repository = folder / "repository"
    yield "git init", "git", ["init", "-q", str(repository)], b""
    store = ["-C", str(repository), "hash-object", "-w", "--stdin"]
    yield "git hash-object", "git", store, text.read_bytes()
    folders = [str(ROOT / "src"), str(ROOT / "include")]
    yield "git diff", "git", ["diff", "--no-index", "--stat", *folders], b""
    yield "sort", "sort", ["--parallel=2", str(text)], b""
    yield "xz", "xz", ["-c", str(text)], b""
    compiler = next((c for c in ("g++", "clang++") if shutil.which(c)), "c++")
    yield "C++ compiler", compiler, ["-std=c++20", "-O1", "-S", "-o", "-", str(source)], b""
    program = folder / "program"
    built = subprocess.run([compiler, "-std=c++20", "-O1", "-o", program, source, "-pthread"])
    if built.returncode == 0:
        yield "a C++ program", str(program), [], b""


def run(program, arguments, stdin, library):
    environment = dict(os.environ, LC_ALL="C", PYTHONHASHSEED="0", PERL_HASH_SEED="0")
    if library:
        environment["LD_PRELOAD"] = library
    result = subprocess.run([program, *arguments], input=stdin, capture_output=True, timeout=200,
                            env=environment, check=False)
    return result.returncode, result.stdout, result.stderr


def main() -> int:
    library = str(pathlib.Path(sys.argv[1]).resolve())
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, program, arguments, stdin in cases(pathlib.Path(folder)):
            if shutil.which(program) is None:
                print(f"{name}: {program} is not installed")
                continue
            start = time.monotonic()
            expected = run(program, arguments, stdin, None)
            found = run(program, arguments, stdin, library)
            good = found == expected and expected[0] in (0, 1)  # 1: git diff's
            failed += not good
            print(f"{name}: {'same' if good else 'DIFFERS'}, {len(found[1])} bytes, "
                  f"{time.monotonic() - start:.1f} s for both")
            if not good:
                print(f"  status {found[0]}, on the host's own {expected[0]}")
                print(f"  {found[2][-600:]!r}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
