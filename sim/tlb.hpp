// SPDX-License-Identifier: MIT
// One CPU's translation caches: a TLB that by default never evicts, and paging-structure caches
// likewise. Hardware may forget any entry at any time, and may keep each until it is told to drop
// it; what keeps everything is the worst it can do to software that forgot to tell it.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <unordered_map>
#include <vector>

#include "sim/mmu.hpp"

namespace quire::sim {

// Which entry goes when there is no room for another.
enum class Eviction : uint8_t { oldest, random };
// Whether global entries survive, and those of other contexts.
enum class Globals : uint8_t { keep, drop };
// Which contexts' entries are meant: what the CPU may use as it is, or all that is cached.
enum class Contexts : uint8_t { current, all };

struct TlbShape {
    // Entries held at most, at least 8 (one instruction may need several pages at once). Nothing
    // is evicted before.
    size_t capacity = std::numeric_limits<size_t>::max();
    Eviction eviction = Eviction::oldest;
    uint64_t seed = 1;            // of random evictions
    bool keep_structures = true;  // cache what walks go through, too
};

class Tlb {
  public:
    // `dropped` is told of each entry that goes, for whatever reason but replacement by an entry
    // of the same page and frame. Throws std::invalid_argument for a capacity below 8.
    Tlb(unsigned small_shift, unsigned large_shift, const TlbShape& shape,
        std::function<void(const Translation&)> dropped);

    // Entries are tagged with the context (PCID) that is current when they are made, and used in it
    // alone; global ones in every context (Intel SDM vol. 3A, 4.10.2.4). It is 0 unless set.
    void set_context(uint16_t pcid) { context_ = pcid; }

    // The entry used for an address, or null. Where pages of several sizes are cached, the
    // smallest.
    const Translation* find(uint64_t address) const;
    // Where a walk for it may start: the lowest level that is cached.
    const StructureEntry* find_structure(uint64_t address) const;

    // Returns the entry as cached. It replaces the one of the same page and size.
    const Translation& insert(const Translation& translation);
    void insert(const StructureEntry& structure);

    // All entries, of any size, that cover an address, in the current context or global; and every
    // paging-structure entry of the current context (Intel SDM vol. 3A, 4.10.4.1, INVLPG).
    void invalidate_page(uint64_t address);
    // What a page fault drops: the entries that cover the address, and the structure entries that
    // a walk for it would use (same section).
    void forget(uint64_t address);
    // Globals::keep: all of the current context that is not global. Globals::drop: everything.
    void invalidate_all(Globals globals);

    // Small entries inside the large page at an address.
    size_t small_entries_in(uint64_t address) const;
    size_t size() const;
    uint64_t evictions() const { return evictions_; }
    std::vector<Translation> entries(Contexts contexts = Contexts::all) const;
    std::vector<StructureEntry> structures(Contexts contexts = Contexts::all) const;

  private:
    struct Slot {
        Translation translation;
        uint64_t sequence;
    };
    using Map = std::unordered_map<uint64_t, Slot>;
    using Structures = std::unordered_map<uint64_t, StructureEntry>;
    struct Size {
        unsigned shift;
        Map map{};
    };
    struct Level {
        unsigned shift;
        Structures map{};
    };

    // Of an entry for an address: the context above the number of its page or region, of which
    // canonical addresses have 48 bits that matter.
    static constexpr uint64_t global_context = 4096;
    static uint64_t key(uint64_t context, uint64_t address, unsigned shift) {
        return context << 48 | (address >> shift & ((uint64_t{1} << 48) - 1));
    }
    bool is_usable(uint64_t key) const {
        return key >> 48 == context_ || key >> 48 == global_context;
    }
    void erase(Size& size, Map::iterator slot);
    void erase_covering(uint64_t address);
    void evict_one();
    Size& size_for(unsigned shift);

    const unsigned small_shift_;
    const unsigned large_shift_;
    const TlbShape shape_;
    const std::function<void(const Translation&)> dropped_;
    std::array<Size, 3> sizes_;    // of pages, ascending
    std::array<Level, 4> levels_;  // of structure entries, ascending
    uint64_t context_ = 0;
    std::unordered_map<uint64_t, size_t> small_per_large_;
    // Entries by age, for eviction only: sequence -> (key, shift).
    std::map<uint64_t, std::pair<uint64_t, unsigned>> by_age_;
    uint64_t next_sequence_ = 0;
    uint64_t evictions_ = 0;
    std::mt19937_64 random_;
};

}  // namespace quire::sim
