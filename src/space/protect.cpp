// SPDX-License-Identifier: MIT
// Changing protection, which cuts regions and joins their pieces.
#include "quire/space/space_core.hpp"

namespace quire {
namespace {

bool are_pieces_of_one(const Region& low, const Region& high) {
    return low.origin == high.origin && low.extent().last() == low.pages.last() &&
           high.extent().first() == high.pages.first() &&
           high.pages.first() - low.pages.last() == PageCount(1) &&
           low.attributes == high.attributes;
}

// Pieces that a change of protection adds to the lowest and the highest region of the range.
size_t pieces_added(const RegionSet& regions, const PageRange& pages, Protection protection) {
    size_t added = 0;
    const Region& lowest = *regions.at_or_above(pages.first());
    if (lowest.pages.contains(pages.first()) && lowest.pages.first() < pages.first() &&
        lowest.attributes.protection != protection) {
        ++added;
    }
    const Region& highest = *regions.at_or_above(pages.last());
    if (highest.pages.contains(pages.last()) && pages.last() < highest.pages.last() &&
        highest.attributes.protection != protection) {
        ++added;
    }
    return added;
}

}  // namespace

Status SpaceCore::protect(const PageRange& pages, Protection protection) {
    if (const Status good = check_changeable(pages); !good.ok()) return good;
    if (const Status open = check_no_guard(pages); !open.ok()) return open;
    const size_t added = pieces_added(regions_, pages, protection);
    if (const Status ready = want_nodes(added); !ready.ok()) return ready;
    if (const Status done = protect_mapped(pages, protection); !done.ok()) return done;
    Region* region = regions_.at_or_above(pages.first());
    while (region != nullptr && region->extent().first() <= pages.last()) {
        Region* next = RegionSet::next(*region);
        set_protection(*region, pages, protection);
        region = next;
    }
    join_pieces(pages);
    changed();
    return {};
}

// The range belongs to regions. Whether none of them is a guard.
Status SpaceCore::check_no_guard(const PageRange& pages) const {
    for (const Region* region = regions_.at_or_above(pages.first());
         region != nullptr && region->extent().first() <= pages.last();
         region = RegionSet::next(*region)) {
        const Page first = max(region->pages.first(), pages.first());
        if (region->backing == Backing::guard) {
            return Failure{Error::guard_hit, address_of(first).value()};
        }
    }
    return {};
}

// The page table's side, region by region: so each keeps no large page in common with its
// neighbours, should it have to be given its protection back.
Status SpaceCore::protect_mapped(const PageRange& pages, Protection protection) {
    for (const Region* region = regions_.at_or_above(pages.first());
         region != nullptr && region->extent().first() <= pages.last();
         region = RegionSet::next(*region)) {
        const PageRange part = region->pages.intersection(pages);
        if (part.empty()) continue;
        const Status changed = change_protect(part, protection);
        if (!changed.ok()) {
            undo_protect_mapped(pages, *region);
            return changed;
        }
    }
    return {};
}

// Gives what lies below `end` its protection back, which the regions still know.
void SpaceCore::undo_protect_mapped(const PageRange& pages, const Region& end) {
    for (const Region* region = regions_.at_or_above(pages.first()); region != &end;
         region = RegionSet::next(*region)) {
        const PageRange part = region->pages.intersection(pages);
        if (part.empty()) continue;
        must(change_protect(part, region->attributes.protection),
             "space: pages could not be given their protection back");
    }
}

void SpaceCore::set_protection(Region& region, const PageRange& pages, Protection protection) {
    const PageRange part = region.pages.intersection(pages);
    if (part.empty() || region.attributes.protection == protection) return;
    if (part.last() < region.pages.last()) split_at(region, part.last() + PageCount(1));
    Region& piece = region.pages.first() < part.first() ? split_at(region, part.first()) : region;
    piece.attributes.protection = protection;
}

// Cuts the body in two, of which this returns the upper. Needs a node.
Region& SpaceCore::split_at(Region& region, Page first_of_upper) {
    const auto node = nodes_.allocate();
    if (!node.ok()) must(node.failure(), "space: no record left for a piece of a region");
    Region& upper = **node;
    const PageRange body = region.pages;
    static_cast<RegionInfo&>(upper) = region;
    upper.origin = region.origin;
    upper.pages = PageRange::between(first_of_upper, body.last());
    upper.guard_before = PageCount(0);
    if (region.backing == Backing::frames) {
        upper.first_frame = region.first_frame + as_frames(first_of_upper - body.first());
    }
    region.pages = PageRange::between(body.first(), first_of_upper - PageCount(1));
    region.guard_after = PageCount(0);
    regions_.insert(upper);
    return upper;
}

// Joins the pieces of one region that have become equal, in the range and at its ends.
void SpaceCore::join_pieces(const PageRange& pages) {
    Region* low = regions_.at_or_above(pages.first());
    if (Region* below = RegionSet::previous(*low)) low = below;
    while (low != nullptr && low->pages.first() <= pages.last()) {
        Region* high = RegionSet::next(*low);
        if (high == nullptr || !are_pieces_of_one(*low, *high)) {
            low = high;
            continue;
        }
        const PageRange joined = PageRange::between(low->pages.first(), high->pages.last());
        const PageCount guard_after = high->guard_after;
        regions_.remove(*high);
        nodes_.free(high);
        low->pages = joined;
        low->guard_after = guard_after;
        regions_.resized(*low);
    }
}

}  // namespace quire
