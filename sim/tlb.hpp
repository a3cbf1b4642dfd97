// SPDX-License-Identifier: MIT
// One CPU's translation caches: a TLB that by default never evicts, and paging-structure caches
// likewise. Hardware may forget any entry at any time, and may keep each until it is told to drop
// it; what keeps everything is the worst it can do to software that forgot to tell it.
#pragma once

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
// Whether global entries survive.
enum class Globals : uint8_t { keep, drop };

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

    // The entry used for an address, or null. Where pages of both sizes are cached, the small one.
    const Translation* find(uint64_t address) const;
    const StructureEntry* find_structure(uint64_t address) const;

    // Returns the entry as cached. It replaces the one of the same page and size.
    const Translation& insert(const Translation& translation);
    void insert(const StructureEntry& structure);

    // All entries, of either size and global or not, that cover an address; and every
    // paging-structure entry (Intel SDM vol. 3A, 4.10.4.1, INVLPG).
    void invalidate_page(uint64_t address);
    // What a page fault drops: the entries that cover the address, and the structure entries that
    // a walk for it would use (same section).
    void forget(uint64_t address);
    void invalidate_all(Globals globals);

    // Small entries inside the large page at an address.
    size_t small_entries_in(uint64_t address) const;
    size_t size() const { return small_.size() + large_.size(); }
    uint64_t evictions() const { return evictions_; }
    std::vector<Translation> entries() const;
    std::vector<StructureEntry> structures() const;

  private:
    struct Slot {
        Translation translation;
        uint64_t sequence;
    };
    using Map = std::unordered_map<uint64_t, Slot>;

    void erase(Map& map, Map::iterator slot);
    void erase_covering(uint64_t address);
    void evict_one();
    Map& map_for(unsigned shift) { return shift == small_shift_ ? small_ : large_; }

    const unsigned small_shift_;
    const unsigned large_shift_;
    const TlbShape shape_;
    const std::function<void(const Translation&)> dropped_;
    Map small_;  // by page number of their own size
    Map large_;
    std::unordered_map<uint64_t, size_t> small_per_large_;
    std::unordered_map<uint64_t, StructureEntry> structures_;  // by region number
    // Entries by age, for eviction only: sequence -> (page number, shift).
    std::map<uint64_t, std::pair<uint64_t, unsigned>> by_age_;
    uint64_t next_sequence_ = 0;
    uint64_t evictions_ = 0;
    std::mt19937_64 random_;
};

}  // namespace quire::sim
