// SPDX-License-Identifier: MIT
// What a mapper is made to do. Each step runs over all pages of a size of address space, and is
// timed by itself; where a mapper lacks something, it loops over what it has.
#pragma once

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include "arena.hpp"
#include "subjects.hpp"
#include "support/random.hpp"

namespace quire::bench {

struct Size {
    const char* name;
    uint64_t pages;
    uint64_t first_page;
    unsigned rounds;  // of which the least counts, for what is over too fast
};
inline constexpr Size one_gib{"1 GiB", uint64_t{1} << 18, uint64_t{1} << 18, 4};
inline constexpr Size many_gib{"64 GiB", uint64_t{1} << 24, uint64_t{1} << 24, 1};
inline constexpr uint64_t batch = 16;
// One in so many is in no random order: it holds its leaf table, of whatever format.
inline constexpr uint64_t pages_kept = 512;
// Of all pages, so many at random at most; enough that no cache holds what they touch.
inline constexpr uint64_t most_random = uint64_t{1} << 21;
// Frames are off by one from their pages, so that no large page fits, or by nothing.
inline constexpr uint64_t skew = 1;

// Time of this process alone: what others do meanwhile is none of a mapper's cost.
inline double cpu_nanoseconds() {
    timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// What asking for it takes, which is more than some steps do.
inline double clock_nanoseconds() {
    double least = 1e9;
    for (int i = 0; i < 1000; ++i) {
        const double start = cpu_nanoseconds();
        least = std::min(least, cpu_nanoseconds() - start);
    }
    return least;
}

// Calls report(row, nanoseconds a page) for each step.
template <class S, class Report>
class Workload {
  public:
    Workload(Size size, Report report) : size_(size), report_(report) {
        Random random(1);
        order_.resize(size.pages);
        for (uint64_t i = 0; i < size.pages; ++i)
            order_[i] = static_cast<uint32_t>(i);
        shuffle(order_, random);
        std::erase_if(order_, [](uint32_t number) { return number % pages_kept == 0; });
        if (order_.size() > most_random) order_.resize(most_random);
    }

    void run() {
        if constexpr (S::has_singles) run_on_new([&](S& subject) { singles(subject); });
        if constexpr (S::has_cursor) run_on_new([&](S& subject) { cursor(subject); });
        run_on_new([&](S& subject) { ranges(subject); });
    }

  private:
    uint64_t first() const { return size_.first_page; }
    uint64_t end() const { return size_.first_page + size_.pages; }

    template <class Use>
    void run_on_new(Use use) {
        // Whoever gives no table back needs new ones each time.
        Arena arena((size_.pages / 512 + size_.pages / (512 * 512) + 16) * size_.rounds);
        S subject(arena);
        for (unsigned round = 0; round < size_.rounds; ++round)
            use(subject);
    }
    template <class Step>
    void time(const std::string& row, uint64_t pages, Step step) {
        const double start = cpu_nanoseconds();
        step();
        const double taken = cpu_nanoseconds() - start - clock_;
        report_(row, std::max(taken, 0.0) / static_cast<double>(pages));
    }
    template <class Step>
    void each(const std::string& row, uint64_t pages_at_once, Step step) {
        const uint64_t counted = pages_at_once == batch ? 1 : pages_at_once;
        time(row, size_.pages / counted, [&] {
            for (uint64_t page = first(); page < end(); page += pages_at_once)
                step(page);
        });
    }
    template <class Step>
    void at_random(const std::string& row, Step step) {
        time(row, order_.size(), [&] {
            for (const uint32_t number : order_)
                step(first() + number);
        });
    }
    static void keep(uint64_t value) { __asm__ __volatile__("" : : "r"(value)); }

    template <class Mapper, class Start>
    void in_order(const std::string& how, Mapper& mapper, Start start) {
        start();
        each("map, " + how, 1, [&](uint64_t page) { mapper.map(page, page + skew); });
        start();
        each("translate, " + how, 1, [&](uint64_t page) { keep(mapper.translate(page)); });
        start();
        each("protect, " + how, 1, [&](uint64_t page) { mapper.protect(page, false); });
        start();
        each("unmap, " + how, 1, [&](uint64_t page) { mapper.unmap(page); });
        start();
    }
    void singles(S& subject) {
        in_order("single", subject, [] {});
        // A page of each leaf table stays, so that no table comes or goes.
        for (uint64_t page = first(); page < end(); page += pages_kept)
            subject.map(page, page + skew);
        at_random("map, random", [&](uint64_t page) { subject.map(page, page + skew); });
        at_random("translate, random", [&](uint64_t page) { keep(subject.translate(page)); });
        at_random("protect, random", [&](uint64_t page) { subject.protect(page, false); });
        at_random("unmap, random", [&](uint64_t page) { subject.unmap(page); });
        for (uint64_t page = first(); page < end(); page += pages_kept)
            subject.unmap(page);
    }
    void cursor(S& subject) {
        auto cursor = subject.cursor();
        in_order("cursor", cursor, [&] { cursor.seek(first()); });
    }
    void ranges(S& subject) {
        const uint64_t pages = size_.pages;
        constexpr uint64_t large = S::large_pages;
        // Large pages first: not everybody gives back the tables that would be in their way.
        time("map large, range", pages / large,
             [&] { subject.map_large_range(first(), pages, first()); });
        if constexpr (S::has_singles) {
            time("protect large, range", pages / large,
                 [&] { subject.protect_large_range(first(), pages, false); });
        }
        time("unmap large, range", pages / large,
             [&] { subject.unmap_large_range(first(), pages); });
        if constexpr (S::has_singles) {
            each("map large, single", large, [&](uint64_t page) { subject.map_large(page, page); });
            each("translate large, single", large,
                 [&](uint64_t page) { keep(subject.translate(page)); });
            each("protect large, single", large,
                 [&](uint64_t page) { subject.protect_large_range(page, large, false); });
            each("unmap large, single", large, [&](uint64_t page) { subject.unmap_large(page); });
        }
        time("map, range", pages, [&] { subject.map_range(first(), pages, first() + skew); });
        time("protect, range", pages, [&] { subject.protect_range(first(), pages, false); });
        time("unmap, range", pages, [&] { subject.unmap_range(first(), pages); });
        if constexpr (S::has_singles) {
            each("map, by 16", batch,
                 [&](uint64_t page) { subject.map_range(page, batch, page + skew); });
            each("unmap, by 16", batch, [&](uint64_t page) { subject.unmap_range(page, batch); });
        }
    }

    Size size_;
    Report report_;
    std::vector<uint32_t> order_;
    double clock_ = clock_nanoseconds();
};

}  // namespace quire::bench
