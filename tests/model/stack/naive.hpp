// SPDX-License-Identifier: MIT
// The naive side of the model: what an address space, an owner of frames and a heap are, without
// any structure that could be wrong in the same way as the library's.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "quire/space/region.hpp"

namespace quire::model {

// A page of a region: whether a frame is behind it, and what was written there last.
struct NaivePage {
    bool present = false;
    bool written = false;
    uint32_t tag = 0;
};

struct NaiveRegion {
    uintptr_t first = 0;  // page number
    uintptr_t guard_before = 0;
    uintptr_t guard_after = 0;
    Backing backing = Backing::anonymous;
    Attributes attributes;
    uint64_t first_frame = 0;  // Backing::frames
    std::vector<NaivePage> pages;

    uintptr_t end() const { return first + pages.size(); }
    uintptr_t outer_first() const { return first - guard_before; }
    uintptr_t outer_end() const { return end() + guard_after; }
    bool owns_frames() const { return backing != Backing::frames; }
    uint64_t present_pages() const;
};

// Regions by their first page. Everything is looked at one by one.
class NaiveSpace {
  public:
    std::map<uintptr_t, NaiveRegion>& regions() { return regions_; }
    const std::map<uintptr_t, NaiveRegion>& regions() const { return regions_; }
    // The region whose pages or guards include a page; null when none does.
    NaiveRegion* find(uintptr_t page);
    bool overlaps(uintptr_t first, uintptr_t end) const;
    // Whether a region shows one of the frames, and with another memory type.
    bool shows_with_other_type(uint64_t first_frame, uint64_t count, MemoryType type) const;
    void insert(NaiveRegion region);
    // Takes pages [first, end) out of the region that holds them all.
    void remove(uintptr_t first, uintptr_t end);
    // Gives them another protection.
    void protect(uintptr_t first, uintptr_t end, Protection protection);
    uint64_t owned_pages() const { return owned_pages_; }
    // A page of an owning region came to be present, or ceased to be.
    void note_present(int64_t change) { owned_pages_ += static_cast<uint64_t>(change); }

  private:
    std::map<uintptr_t, NaiveRegion> regions_;
    uint64_t owned_pages_ = 0;
};

struct NaiveBlock {
    unsigned char* at = nullptr;
    size_t bytes = 0;
    uint8_t tag = 0;

    void fill() const;
    // Empty when the block holds what `fill` wrote into its first `count` bytes; else what is
    // wrong.
    std::string check(size_t count) const;
};

}  // namespace quire::model
