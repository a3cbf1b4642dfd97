// SPDX-License-Identifier: MIT
// quire_paging_count SUBJECT: runs the operations under valgrind --tool=callgrind
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

// 1 GiB and 2.
constexpr uint64_t range_counted[] = {uint64_t{1} << 18, uint64_t{2} << 18};

// `what` is done once; it concerns so many pages.
template <class What>
void count_whole(const std::string& row, uint64_t pages, What what_is_done) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
    what_is_done();
    const std::string what = row + " " + std::to_string(pages);
    CALLGRIND_DUMP_STATS_AT(what.c_str());
    CALLGRIND_STOP_INSTRUMENTATION;
}
template <class Step>
void count(const std::string& row, uint64_t pages, Step step) {
    count_whole(row, pages, [&] {
        for (uint64_t page = first; page < first + pages; ++page)
            step(page);
    });
}
void keep(uint64_t value) {
    __asm__ __volatile__("" : : "r"(value));
}

template <class Mapper, class Start>
void count_all(const std::string& how, Mapper& mapper, uint64_t pages, Start start) {
    start();
    count("map, " + how, pages, [&](uint64_t page) { mapper.map(page, page + 1); });
    start();
    count("translate, " + how, pages, [&](uint64_t page) { keep(mapper.translate(page)); });
    start();
    count("protect, " + how, pages, [&](uint64_t page) { mapper.protect(page, false); });
    start();
    count("unmap, " + how, pages, [&](uint64_t page) { mapper.unmap(page); });
    start();
}

template <class S>
void count_ranges() {
    for (const uint64_t pages : range_counted) {
        Arena arena(pages / 256 + 16);
        S subject(arena);
        const uint64_t large = pages / S::large_pages;
        count_whole("map large, range", large,
                    [&] { subject.map_large_range(first, pages, first); });
        count_whole("protect large, range", large,
                    [&] { subject.protect_large_range(first, pages, false); });
        count_whole("unmap large, range", large, [&] { subject.unmap_large_range(first, pages); });
        count_whole("map, range", pages, [&] { subject.map_range(first, pages, first + 1); });
        count_whole("protect, range", pages, [&] { subject.protect_range(first, pages, false); });
        count_whole("unmap, range", pages, [&] { subject.unmap_range(first, pages); });
    }
}

template <class S>
void count_subject() {
    for (const uint64_t pages : pages_counted) {
        Arena arena(256);
        S subject(arena);
        // What both runs have in common, so that only so many pages and leaf tables differ.
        subject.map(first - 1, 1);
        if constexpr (S::has_singles) count_all("single", subject, pages, [] {});
        if constexpr (S::has_cursor) {
            auto cursor = subject.cursor();
            count_all("cursor", cursor, pages, [&] { cursor.seek(first); });
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
            count_ranges<S>();
        }
    });
    if (!found) std::fprintf(stderr, "usage: quire_paging_count SUBJECT\n");
    return found ? 0 : 2;
}
