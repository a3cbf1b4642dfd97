// SPDX-License-Identifier: MIT
// The regions of a space in order, found by address, and the gaps between them, found by size.
#pragma once

#include <stddef.h>

#include "quire/base/intrusive_list.hpp"
#include "quire/base/intrusive_tree.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/space/region.hpp"

namespace quire {

// What a gap must hold: guards included, the first page of the body a multiple of `alignment`,
// which is a power of two. None of the amounts exceeds the bounds.
struct GapRequest {
    PageCount pages = {};
    PageCount guard_before = {};
    PageCount guard_after = {};
    PageCount alignment = PageCount(1);
};

// Regions whose extents (guards included) are disjoint and lie inside the bounds. Owns no memory;
// not synchronised.
class RegionSet {
  public:
    // Not empty.
    constexpr explicit RegionSet(const PageRange& bounds) : bounds_(bounds) {}

    const PageRange& bounds() const { return bounds_; }
    size_t size() const { return tree_.size(); }

    // The region whose extent holds the page, or null. O(log n).
    Region* find(Page page) const;
    // The first region whose extent ends at or above the page; null when all end below. O(log n).
    Region* at_or_above(Page page) const { return tree_.lower_bound(page); }
    Region* first() const { return tree_.first(); }
    Region* last() const { return tree_.last(); }
    static Region* next(const Region& region) { return Tree::next(region); }
    static Region* previous(const Region& region) { return Tree::previous(region); }

    // The lowest body that fits, as its first page, when one of the first few gaps of sufficient
    // size holds it, as it always does without alignment; else any that fits. Error:
    // out_of_address_space, with the pages wanted. O(log n), and O(n) only when no gap has room for
    // the size wherever it would be aligned.
    Result<Page> find_gap(const GapRequest& request) const;

    // A region of Backing::frames that shows one of the frames, and with another memory type; or
    // null. O(such regions that are not write-back), and O(n) when `type` is not.
    const Region* with_other_type(const FrameRange& frames, MemoryType type) const;

    // The extent must overlap no other. Backing and memory type stay. O(log n).
    void insert(Region& region);
    void remove(Region& region);
    // After the extent has changed without coming to overlap another. O(log n).
    void resized(Region& region);

    // Order, bounds, gaps and the tree itself. Error: corrupted, with the first address of the
    // region concerned. O(n).
    Status validate() const;

  private:
    struct Order {
        using Summary = LargestGap;
        static bool before(const Region& a, const Region& b) {
            return a.pages.first() < b.pages.first();
        }
        static bool before(const Region& a, Page page) { return a.extent().last() < page; }
        static Summary summarise(const Region& region, const Summary& left, const Summary& right) {
            return {max(region.gap_below, max(left.pages, right.pages))};
        }
    };
    using Tree = IntrusiveTree<Region, Order, &Region::link>;
    using List = IntrusiveList<Region, &Region::special_link>;

    PageCount gap_below(const Region& region) const;
    void update_gap(Region* region);
    // Pages above the last region.
    PageCount gap_above() const;
    // In ascending order, the regions with a gap of at least `pages` below them.
    Region* first_with_gap(PageCount pages) const;
    static Region* next_with_gap(const Region& region, PageCount pages);
    static Region* leftmost_with_gap(Region* subtree, PageCount pages);

    PageRange bounds_;
    Tree tree_;
    List special_;  // that show frames with a type other than write-back
};

}  // namespace quire
