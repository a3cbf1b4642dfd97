// SPDX-License-Identifier: MIT
// quire_heap_bench TABLE/ROW [--quick]: measures malloc and free, whosever they are, and prints a
// value a line: its name, a tab, the figure. --list names all rows. `./quire bench heap` runs this
// under one heap after the other and makes tables of it.
#include <cstdio>
#include <cstring>

#include "rows.hpp"

namespace {

using quire::bench::HeapRow;

bool is_called(const HeapRow& row, const char* name) {
    const size_t table = strlen(row.table);
    return strncmp(row.table, name, table) == 0 && name[table] == '/' &&
           strcmp(row.row, name + table + 1) == 0;
}

}  // namespace

int main(int count, char** arguments) {
    const std::span<const HeapRow> all[] = {quire::bench::time_rows(), quire::bench::thread_rows(),
                                            quire::bench::memory_rows()};
    if (count < 2) {
        fputs("quire_heap_bench --list | TABLE/ROW [--quick]\n", stderr);
        return 2;
    }
    quire::bench::Effort effort;
    if (count > 2 && strcmp(arguments[2], "--quick") == 0)
        effort = {.seconds = 0.02, .latency_calls = 100'000, .live_bytes = size_t{128} << 20};
    const bool list = strcmp(arguments[1], "--list") == 0;
    for (const std::span<const HeapRow> rows : all) {
        for (const HeapRow& row : rows) {
            if (list) {
                printf("%s/%s\n", row.table, row.row);
            } else if (is_called(row, arguments[1])) {
                row.run(row, effort);
                return 0;
            }
        }
    }
    return list ? 0 : 2;
}
