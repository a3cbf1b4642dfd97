// SPDX-License-Identifier: MIT
// quire_paging_count SUBJECT: runs the single-page operations under valgrind --tool=callgrind
// --instr-atstart=no, each on few pages and on many, and has callgrind write its counts down after
// each run. The difference is the instructions of so many pages, and of nothing else.
#include <valgrind/callgrind.h>

#include <cstdint>
#include <cstdio>
#include <string>

#include "subjects.hpp"

namespace quire::bench {
namespace {

constexpr uint64_t first = uint64_t{1} << 18;
constexpr uint64_t pages_counted[] = {10 * 512, 60 * 512};

template <class Step>
void count(const char* row, uint64_t pages, Step step) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    for (uint64_t page = first; page < first + pages; ++page)
        step(page);
    const std::string what = std::string(row) + " " + std::to_string(pages);
    CALLGRIND_DUMP_STATS_AT(what.c_str());
    CALLGRIND_STOP_INSTRUMENTATION;
}
void keep(uint64_t value) {
    __asm__ __volatile__("" : : "r"(value));
}

template <class Mapper>
void count_all(const std::string& how, Mapper& mapper, uint64_t pages) {
    count(("map, " + how).c_str(), pages, [&](uint64_t page) { mapper.map(page, page + 1); });
    count(("translate, " + how).c_str(), pages,
          [&](uint64_t page) { keep(mapper.translate(page)); });
    count(("protect, " + how).c_str(), pages, [&](uint64_t page) { mapper.protect(page, false); });
    count(("unmap, " + how).c_str(), pages, [&](uint64_t page) { mapper.unmap(page); });
}

template <class S>
void count_subject() {
    for (const uint64_t pages : pages_counted) {
        Arena arena(256);
        S subject(arena);
        // What both runs have in common, so that only so many pages and leaf tables differ.
        subject.map(first - 1, 1);
        if constexpr (S::has_singles) count_all("single", subject, pages);
        if constexpr (S::has_cursor) {
            auto cursor = subject.cursor();
            count_all("cursor", cursor, pages);
        }
    }
}

}  // namespace
}  // namespace quire::bench

int main(int count, char** arguments) {
    using namespace quire::bench;
    bool found = false;
    for_each_subject([&]<class S>() {
        if constexpr (S::has_singles) {
            if (count != 2 || std::string(arguments[1]) != S::name) return;
            found = true;
            count_subject<S>();
        }
    });
    if (!found) std::fprintf(stderr, "usage: quire_paging_count SUBJECT\n");
    return found ? 0 : 2;
}
