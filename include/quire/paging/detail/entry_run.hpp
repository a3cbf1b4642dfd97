// SPDX-License-Identifier: MIT
// Runs of neighbouring entries of one table. Unrolled by hand: kernels have no vector registers.
#pragma once

#include <stddef.h>

#include "quire/paging/entry.hpp"
#include "quire/paging/format.hpp"

namespace quire::detail {

// Calls put(place, value) for `count` entries from `to` on, with `first`, `first + step` and so on.
template <class Entry, class Put>
[[gnu::always_inline]] inline void put_run(Entry* to, size_t count, Entry first, Entry step,
                                           Put put) {
    const auto next = [](Entry entry, Entry by) { return static_cast<Entry>(entry + by); };
    // Four at once, each from the one four before: no addition waits for the last one.
    const Entry four = static_cast<Entry>(step * 4);
    Entry second = next(first, step);
    Entry third = next(second, step);
    Entry fourth = next(third, step);
    for (; count >= 4; count -= 4, to += 4) {
        put(to[0], first);
        put(to[1], second);
        put(to[2], third);
        put(to[3], fourth);
        first = next(first, four);
        second = next(second, four);
        third = next(third, four);
        fourth = next(fourth, four);
    }
    for (; count > 0; --count, ++to, first = next(first, step))
        put(*to, first);
}
// Into a table that CPUs may walk. Out of line, as the next: what a run takes of the stack is not
// added to what its callers take for longer.
template <PageTableEntry Entry>
[[gnu::noinline]] void store_run(Entry* to, size_t count, Entry first, Entry step) {
    put_run(to, count, first, step, [](Entry& place, Entry value) { store_entry(place, value); });
}
// Into one that no entry leads to yet.
template <PageTableEntry Entry>
[[gnu::noinline]] void write_run(Entry* to, size_t count, Entry first, Entry step) {
    put_run(to, count, first, step, [](Entry& place, Entry value) { place = value; });
}
// Empty entries into one that no entry leads to yet.
template <PagingFormat Format>
[[gnu::always_inline]] inline void write_empty(typename Format::Entry* to, size_t count) {
    static_assert(Format::empty == 0);
    __builtin_memset(to, 0, count * sizeof *to);
}

// How many entries from `from` on, of `count`, are equal to `value`.
template <PageTableEntry Entry>
size_t count_equal(const Entry* from, size_t count, Entry value) {
    size_t equal = 0;
    for (; equal + 4 <= count; equal += 4) {
        const Entry* const four = from + equal;
        const Entry different =
            static_cast<Entry>((load_entry(four[0]) ^ value) | (load_entry(four[1]) ^ value) |
                               (load_entry(four[2]) ^ value) | (load_entry(four[3]) ^ value));
        if (different != 0) break;
    }
    while (equal < count && load_entry(from[equal]) == value)
        ++equal;
    return equal;
}

}  // namespace quire::detail
