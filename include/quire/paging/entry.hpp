// SPDX-License-Identifier: MIT
// Loads and stores of page-table entries, which the CPU reads, and marks as accessed and dirty, at
// any time.
#pragma once

#include <stdint.h>

#include "quire/base/atomic.hpp"

namespace quire {

// Entries are as wide as a pointer, or PAE's: 8 bytes on a 32-bit machine. That has no instruction
// to load or store so many at once but the x87's and the vector units', which a kernel does not
// touch, and CMPXCHG8B (any i686). So there:
//
// - A load takes the halves one after the other. The CPU itself writes the low half alone (SDM vol.
//   3A 4.8: accessed and dirty are bits 5 and 6), and whoever else writes holds the table's lock.
// - A store clears the low half first, in which bit 0 is present, then writes the high half, then
//   the low one. x86 keeps that order (SDM vol. 3A 10.2.2), so a CPU that walks meanwhile finds
//   the old entry, none, or the new one, never half of each. For entries that no CPU needs to find
//   present all the time.
// - A present entry that stays in use is changed by compare_exchange_entry alone, CMPXCHG8B, which
//   also loses no mark that the CPU sets meanwhile.
template <class T>
concept PageTableEntry = is_lock_free<T> || same_as<T, uint64_t>;

namespace detail {
using HalfEntry [[gnu::may_alias]] = uint32_t;
// The i386 ABI aligns 8 bytes to 4, and atomic builtins call a library for what may lie so; entries
// are aligned to their size.
using WholeEntry [[gnu::aligned(8)]] = uint64_t;
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}  // namespace detail

template <PageTableEntry Entry>
Entry load_entry(const Entry& place) {
    if constexpr (is_lock_free<Entry>) {
        return atomic::load(place);
    } else {
        const auto* const halves = reinterpret_cast<const detail::HalfEntry*>(&place);
        const uint64_t high = __atomic_load_n(halves + 1, __ATOMIC_RELAXED);
        return (high << 32) | __atomic_load_n(halves, __ATOMIC_RELAXED);
    }
}
// `order` is release where the entry leads to what was written before.
template <PageTableEntry Entry>
void store_entry(Entry& place, remove_const_reference<Entry> value,
                 MemoryOrder order = MemoryOrder::relaxed) {
    if constexpr (is_lock_free<Entry>) {
        atomic::store(place, value, order);
    } else {
        auto* const halves = reinterpret_cast<detail::HalfEntry*>(&place);
        __atomic_store_n(halves, 0, __ATOMIC_RELEASE);
        __atomic_store_n(halves + 1, static_cast<uint32_t>(value >> 32), __ATOMIC_RELEASE);
        __atomic_store_n(halves, static_cast<uint32_t>(value), __ATOMIC_RELEASE);
    }
}
// Stores `desired` when the entry is `expected`; otherwise loads it into `expected`.
template <PageTableEntry Entry>
bool compare_exchange_entry(Entry& place, Entry& expected, remove_const_reference<Entry> desired) {
    if constexpr (is_lock_free<Entry>) {
        return atomic::compare_exchange(place, expected, desired);
    } else {
        auto* const whole = reinterpret_cast<detail::WholeEntry*>(&place);
        const Entry found = __sync_val_compare_and_swap(whole, expected, desired);
        return exchange(expected, found) == found;
    }
}

}  // namespace quire
