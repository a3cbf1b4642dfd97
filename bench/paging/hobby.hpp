// SPDX-License-Identifier: MIT
// What is measured against: the mapper that most hobby kernels have, and a bare loop that has no
// more to do than the memory traffic asks for. Both write the 4-level format of x86-64, 4 KiB pages
// unless they say otherwise, and check nothing.
#pragma once

#include <cstdint>
#include <cstring>

#include "arena.hpp"

namespace quire::bench {

namespace bare {
inline constexpr uint64_t present = 1;
inline constexpr uint64_t writable = 2;
inline constexpr uint64_t large = 0x80;
inline constexpr uint64_t address = 0x000ffffffffff000;

inline unsigned index(uint64_t page, unsigned level) {
    return static_cast<unsigned>(page >> (9 * level)) & 511;
}
}  // namespace bare

// Walks from the root for each page, zeroes each table, and never gives a table back. A range is a
// loop over its pages.
class Hobby {
  public:
    static constexpr const char* name = "hobby";
    static constexpr bool has_singles = true;
    static constexpr bool has_cursor = false;
    static constexpr unsigned large_pages = 512;

    explicit Hobby(Arena& arena) : arena_(arena), bias_(arena.bias()), root_(new_table()) {}

    [[gnu::always_inline]] void map(uint64_t page, uint64_t frame) {
        uint64_t* table = at(root_);
        for (unsigned level = 3; level > 0; --level)
            table = next(table[bare::index(page, level)]);
        table[bare::index(page, 0)] = frame << 12 | bare::present | bare::writable;
    }
    void map_large_range(uint64_t page, uint64_t count, uint64_t frame) {
        for (uint64_t i = 0; i < count; i += large_pages)
            map_large(page + i, frame + i);
    }
    void unmap_large_range(uint64_t page, uint64_t count) {
        for (uint64_t i = 0; i < count; i += large_pages)
            unmap(page + i);
    }
    void unmap_large(uint64_t page) { unmap(page); }
    void protect_large_range(uint64_t page, uint64_t count, bool writable) {
        for (uint64_t i = 0; i < count; i += large_pages)
            protect(page + i, writable);
    }
    void map_range(uint64_t page, uint64_t count, uint64_t frame) {
        for (uint64_t i = 0; i < count; ++i)
            map(page + i, frame + i);
    }
    void unmap_range(uint64_t page, uint64_t count) {
        for (uint64_t i = 0; i < count; ++i)
            unmap(page + i);
    }
    void protect_range(uint64_t page, uint64_t count, bool writable) {
        for (uint64_t i = 0; i < count; ++i)
            protect(page + i, writable);
    }
    void map_large(uint64_t page, uint64_t frame) {
        uint64_t* table = at(root_);
        for (unsigned level = 3; level > 1; --level)
            table = next(table[bare::index(page, level)]);
        table[bare::index(page, 1)] = frame << 12 | bare::present | bare::writable | bare::large;
    }
    [[gnu::always_inline]] void unmap(uint64_t page) {
        if (uint64_t* entry = find(page)) *entry = 0;
    }
    [[gnu::always_inline]] void protect(uint64_t page, bool writable) {
        uint64_t* entry = find(page);
        if (entry == nullptr) return;
        *entry = (*entry & ~bare::writable) | (writable ? bare::writable : 0);
    }
    // The frame behind a page.
    [[gnu::always_inline]] uint64_t translate(uint64_t page) const {
        const uint64_t* entry = find(page);
        return entry == nullptr ? 0 : (*entry & bare::address) >> 12;
    }

  private:
    uint64_t* at(uint64_t physical) const { return reinterpret_cast<uint64_t*>(bias_ + physical); }
    [[gnu::noinline]] uint64_t new_table() {
        const uint64_t table = arena_.allocate_frame().value().value() << 12;
        std::memset(at(table), 0, page_size);
        return table;
    }
    [[gnu::always_inline]] uint64_t* next(uint64_t& entry) {
        if ((entry & bare::present) == 0) entry = new_table() | bare::present | bare::writable;
        return at(entry & bare::address);
    }
    [[gnu::always_inline]] uint64_t* find(uint64_t page) const {
        uint64_t* table = at(root_);
        for (unsigned level = 3; level > 0; --level) {
            uint64_t& entry = table[bare::index(page, level)];
            if ((entry & bare::present) == 0) return nullptr;
            if ((entry & bare::large) != 0) return &entry;
            table = at(entry & bare::address);
        }
        uint64_t& entry = table[bare::index(page, 0)];
        return (entry & bare::present) != 0 ? &entry : nullptr;
    }

    Arena& arena_;
    uintptr_t bias_;
    uint64_t root_;
};

// The floor: tables are found as above; a leaf table is filled or emptied in one go, is not zeroed
// first, and goes back when a range ends that covers it. A range must begin and end with a leaf
// table.
class Floor {
  public:
    static constexpr const char* name = "floor";
    static constexpr bool has_singles = false;
    static constexpr bool has_cursor = true;
    static constexpr unsigned large_pages = 512;

    explicit Floor(Arena& arena) : arena_(arena), bias_(arena.bias()), root_(new_table()) {}

    class Cursor {
      public:
        explicit Cursor(Floor& floor) : floor_(floor) {}
        void seek(uint64_t) {}
        void map(uint64_t page, uint64_t frame) {
            if (bare::index(page, 0) == 0) {
                uint64_t& parent = floor_.parent(page, 1);
                parent = floor_.new_table() | bare::present | bare::writable;
                leaf_ = floor_.at(parent & bare::address);
            }
            leaf_[bare::index(page, 0)] = frame << 12 | bare::present | bare::writable;
        }
        void unmap(uint64_t page) {
            if (bare::index(page, 0) == 0) open(page);
            leaf_[bare::index(page, 0)] = 0;
            if (bare::index(page, 0) == 511) floor_.drop(page);
        }
        void protect(uint64_t page, bool writable) {
            if (bare::index(page, 0) == 0) open(page);
            uint64_t& entry = leaf_[bare::index(page, 0)];
            entry = (entry & ~bare::writable) | (writable ? bare::writable : 0);
        }
        uint64_t translate(uint64_t page) {
            if (bare::index(page, 0) == 0) open(page);
            return (leaf_[bare::index(page, 0)] & bare::address) >> 12;
        }

      private:
        void open(uint64_t page) { leaf_ = floor_.at(floor_.parent(page, 1) & bare::address); }
        Floor& floor_;
        uint64_t* leaf_ = nullptr;
    };
    Cursor cursor() { return Cursor(*this); }

    void map_range(uint64_t page, uint64_t count, uint64_t frame) {
        for (const uint64_t end = page + count; page < end; page += 512, frame += 512) {
            uint64_t& entry = parent(page, 1);
            const uint64_t table = arena_.allocate_frame().value().value() << 12;
            fill(at(table), frame << 12 | bare::present | bare::writable, page_size);
            entry = table | bare::present | bare::writable;
        }
    }
    void map_large_range(uint64_t page, uint64_t count, uint64_t frame) {
        const uint64_t step = 512 * page_size;
        for (const uint64_t end = page + count; page < end; page += 512 * 512, frame += 512 * 512) {
            uint64_t& entry = parent(page, 2);
            const uint64_t table = arena_.allocate_frame().value().value() << 12;
            fill(at(table), frame << 12 | bare::present | bare::writable | bare::large, step);
            entry = table | bare::present | bare::writable;
        }
    }
    void unmap_range(uint64_t page, uint64_t count) {
        for (const uint64_t end = page + count; page < end; page += 512)
            drop(page);
    }
    void unmap_large_range(uint64_t page, uint64_t count) {
        for (const uint64_t end = page + count; page < end; page += 512 * 512) {
            uint64_t& entry = parent(page, 2);
            static_cast<void>(arena_.free_frame(Frame((entry & bare::address) >> 12)));
            entry = 0;
        }
    }
    void protect_range(uint64_t page, uint64_t count, bool writable) {
        const uint64_t bits = writable ? bare::writable : 0;
        for (const uint64_t end = page + count; page < end; page += 512) {
            uint64_t* const table = at(parent(page, 1) & bare::address);
            for (unsigned i = 0; i < 512; i += 4) {
                table[i] = (table[i] & ~bare::writable) | bits;
                table[i + 1] = (table[i + 1] & ~bare::writable) | bits;
                table[i + 2] = (table[i + 2] & ~bare::writable) | bits;
                table[i + 3] = (table[i + 3] & ~bare::writable) | bits;
                // As in a kernel, which has no vector registers.
                __asm__ __volatile__("" : : : "memory");
            }
        }
    }

  private:
    uint64_t* at(uint64_t physical) const { return reinterpret_cast<uint64_t*>(bias_ + physical); }
    uint64_t new_table() {
        const uint64_t table = arena_.allocate_frame().value().value() << 12;
        std::memset(at(table), 0, page_size);
        return table;
    }
    // The entry of that level for a page, with the tables above it made.
    uint64_t& parent(uint64_t page, unsigned down_to) {
        uint64_t* table = at(root_);
        for (unsigned level = 3; level > down_to; --level) {
            uint64_t& entry = table[bare::index(page, level)];
            if (entry == 0) entry = new_table() | bare::present | bare::writable;
            table = at(entry & bare::address);
        }
        return table[bare::index(page, down_to)];
    }
    void drop(uint64_t page) {
        uint64_t& entry = parent(page, 1);
        static_cast<void>(arena_.free_frame(Frame((entry & bare::address) >> 12)));
        entry = 0;
    }
    static void fill(uint64_t* entries, uint64_t entry, uint64_t step) {
        for (unsigned i = 0; i < 512; i += 8) {
            for (unsigned j = 0; j < 8; ++j, entry += step)
                __atomic_store_n(&entries[i + j], entry, __ATOMIC_RELAXED);
        }
    }

    Arena& arena_;
    uintptr_t bias_;
    uint64_t root_;
};

}  // namespace quire::bench
