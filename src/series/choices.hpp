// SPDX-License-Identifier: MIT
// What a kernel is like, as a type: quire/series_config.h says what each of these costs.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/frame_access.hpp"
#include "quire/base/lock.hpp"
#include "quire/base/traits.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/recursive_slot.hpp"
#include "quire/paging/window.hpp"
#include "quire/paging/x86_32.hpp"
#include "quire/series_config.h"

namespace quire::series {

template <bool condition, class A, class B>
struct Choose {
    using Type = A;
};
template <class A, class B>
struct Choose<false, A, B> {
    using Type = B;
};
// For types of expressions; never called.
template <class T>
T example();

enum class Reach : uint8_t {
    direct = QUIRE_SERIES_DIRECT,
    recursive = QUIRE_SERIES_RECURSIVE,
    window = QUIRE_SERIES_WINDOW,
};

// The choices that quire/series_config.h holds. Others derive from it and change what differs; they
// bring a Cpu in any case:
//     using Local (a LocalTlb); Local local() const; AddressView view() const;
//     bool is_paging() const; void set_paging(bool) const; bool large_pages() const;
//     Frame root() const; void load_root(Frame) const;      CR3, global translations may stay
//     void flush_page(VirtualAddress) const; void flush_all() const;      global ones too
//     uint32_t code() const; uint32_t stack() const;        addresses in use right now
struct ChoicesOfConfig {
    static constexpr Reach reach = static_cast<Reach>(QUIRE_SERIES_REACH);
    static constexpr uint32_t map_address = QUIRE_SERIES_MAP_ADDRESS;
    static constexpr uint32_t map_bytes = QUIRE_SERIES_MAP_BYTES;
    static constexpr uint32_t table_reserve = QUIRE_SERIES_TABLE_RESERVE;
    static constexpr RecursiveSlots slots = {QUIRE_SERIES_SELF_SLOT, QUIRE_SERIES_FOREIGN_SLOT,
                                             QUIRE_SERIES_SCRATCH_SLOT};
    static constexpr uint32_t kernel_address = QUIRE_SERIES_KERNEL_ADDRESS;
    static constexpr size_t directories = QUIRE_SERIES_DIRECTORIES;
    static constexpr uint32_t directory_address = QUIRE_SERIES_DIRECTORY_ADDRESS;
    static constexpr uint32_t map_page_flags = QUIRE_SERIES_MAP_PAGE_FLAGS;
    static constexpr bool logs = QUIRE_SERIES_LOG != 0;
    using Lock = Choose<QUIRE_SERIES_LOCK != 0, SpinLock, NoLock>::Type;
};

// Contradictions between choices.
template <class Choices>
constexpr bool choices_fit() {
    constexpr uint32_t large = uint32_t{1} << 22;
    static_assert(Choices::map_address % large == 0, "QUIRE_SERIES_MAP_ADDRESS: not 4 MiB aligned");
    static_assert(Choices::map_bytes % large == 0 && Choices::map_bytes != 0,
                  "QUIRE_SERIES_MAP_BYTES: not a multiple of 4 MiB");
    static_assert(
        Choices::map_bytes <= UINT32_MAX - Choices::map_address + 1U || Choices::map_address == 0,
        "QUIRE_SERIES_MAP_BYTES: the map ends past 4 GiB");
    static_assert(Choices::kernel_address % large == 0,
                  "QUIRE_SERIES_KERNEL_ADDRESS: not 4 MiB aligned");
    static_assert(Choices::directories != 0 && Choices::directories <= 1024,
                  "QUIRE_SERIES_DIRECTORIES: 1 to 1024");
    static_assert(
        Choices::directory_address % page_size == 0 &&
            Choices::directory_address >= Choices::kernel_address &&
            (Choices::directory_address % large) / page_size + Choices::directories <= 1024,
        "QUIRE_SERIES_DIRECTORY_ADDRESS: not pages of one 4 MiB of the kernel's part");
    static_assert((Choices::map_page_flags & ~uint32_t{0xffe}) == 0,
                  "QUIRE_SERIES_MAP_PAGE_FLAGS: not flags of an entry");
    return true;
}

// How page tables are opened. Locks are taken around all of it, hence none here.
template <class Choices, Reach = Choices::reach>
struct AccessFor {
    using Type = DirectMap;
};
template <class Choices>
struct AccessFor<Choices, Reach::recursive> {
    using Type = RecursiveSlot<X86_32, typename Choices::Cpu::Local, NoLock>;
};
template <class Choices>
struct AccessFor<Choices, Reach::window> {
    using Type = Window<X86_32, typename Choices::Cpu::Local, NoLock>;
};

}  // namespace quire::series
