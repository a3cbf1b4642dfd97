// SPDX-License-Identifier: MIT
#include "quire/space/region_set.hpp"

namespace quire {
namespace {

// Gaps that are large enough are tried this many times with the alignment asked for; after that one
// is taken that has room for it wherever it starts.
constexpr unsigned exact_tries = 16;

bool shows_frames(const Region& region) {
    return region.backing == Backing::frames;
}
// Whether it says more than that its frames are RAM like all other.
bool is_special(const Region& region) {
    return shows_frames(region) && region.attributes.type != MemoryType::write_back;
}
bool conflicts(const Region& region, const FrameRange& frames, MemoryType type) {
    return shows_frames(region) && region.attributes.type != type &&
           FrameRange(region.first_frame, as_frames(region.pages.count())).overlaps(frames);
}

PageCount whole(const GapRequest& request) {
    return request.guard_before + request.pages + request.guard_after;
}

// Where the body would start in a gap; fails when it does not fit.
Result<Page> fit(Page gap, PageCount size, const GapRequest& request) {
    const Failure failure{Error::out_of_address_space, request.pages.value()};
    if (size < whole(request)) return failure;
    const auto first = (gap + request.guard_before).align_up(request.alignment);
    if (!first.ok()) return failure;
    const PageCount before = *first - gap;
    if (before > size || size - before < request.pages + request.guard_after) return failure;
    return first;
}

}  // namespace

Region* RegionSet::find(Page page) const {
    Region* region = at_or_above(page);
    return region != nullptr && region->extent().contains(page) ? region : nullptr;
}

PageCount RegionSet::gap_below(const Region& region) const {
    const Region* below = previous(region);
    const Page first = region.extent().first();
    if (below == nullptr) return first - bounds_.first();
    return (first - below->extent().last()) - PageCount(1);
}

PageCount RegionSet::gap_above() const {
    const Region* top = last();
    return top == nullptr ? bounds_.count() : bounds_.last() - top->extent().last();
}

void RegionSet::update_gap(Region* region) {
    if (region == nullptr) return;
    region->gap_below = gap_below(*region);
    tree_.refresh(*region);
}

const Region* RegionSet::with_other_type(const FrameRange& frames, MemoryType type) const {
    if (type == MemoryType::write_back) {
        for (const Region& region : special_) {
            if (conflicts(region, frames, type)) return &region;
        }
        return nullptr;
    }
    for (const Region* region = first(); region != nullptr; region = next(*region)) {
        if (conflicts(*region, frames, type)) return region;
    }
    return nullptr;
}

void RegionSet::insert(Region& region) {
    if (is_special(region)) special_.push_back(region);
    tree_.insert(region);
    resized(region);
}

void RegionSet::remove(Region& region) {
    if (region.special_link.linked()) special_.remove(region);
    Region* above = next(region);
    tree_.remove(region);
    update_gap(above);
}

void RegionSet::resized(Region& region) {
    update_gap(&region);
    update_gap(next(region));
}

Region* RegionSet::leftmost_with_gap(Region* subtree, PageCount pages) {
    if (Tree::summary_of(subtree).pages < pages) return nullptr;
    while (subtree != nullptr) {
        Region* left = Tree::left(*subtree);
        if (left != nullptr && Tree::summary(*left).pages >= pages) {
            subtree = left;
        } else if (subtree->gap_below >= pages) {
            return subtree;
        } else {
            subtree = Tree::right(*subtree);
        }
    }
    return nullptr;
}

Region* RegionSet::first_with_gap(PageCount pages) const {
    return leftmost_with_gap(tree_.root(), pages);
}

Region* RegionSet::next_with_gap(const Region& region, PageCount pages) {
    if (Region* found = leftmost_with_gap(Tree::right(region), pages)) return found;
    const Region* child = &region;
    for (Region* up = Tree::parent(region); up != nullptr; up = Tree::parent(*up)) {
        if (Tree::left(*up) == child) {
            if (up->gap_below >= pages) return up;
            if (Region* found = leftmost_with_gap(Tree::right(*up), pages)) return found;
        }
        child = up;
    }
    return nullptr;
}

Result<Page> RegionSet::find_gap(const GapRequest& request) const {
    const PageCount wanted = whole(request);
    const auto fit_below = [&](const Region& region) {
        return fit(region.extent().first() - region.gap_below, region.gap_below, request);
    };
    Region* region = first_with_gap(wanted);
    for (unsigned tries = 0; region != nullptr && tries < exact_tries; ++tries) {
        if (const auto page = fit_below(*region); page.ok()) return page;
        region = next_with_gap(*region, wanted);
    }
    if (region != nullptr) {
        // An alignment beyond the bounds is not worth a search; this also keeps the sum in range.
        const PageCount slack = min(request.alignment, bounds_.count()) - PageCount(1);
        if (Region* ample = first_with_gap(wanted + slack)) {
            if (const auto page = fit_below(*ample); page.ok()) return page;
        }
    }
    for (; region != nullptr; region = next_with_gap(*region, wanted)) {
        if (const auto page = fit_below(*region); page.ok()) return page;
    }
    const PageCount above = gap_above();
    return fit(above == PageCount(0) ? bounds_.last() : bounds_.last() - (above - PageCount(1)),
               above, request);
}

Status RegionSet::validate() const {
    if (const Status status = tree_.validate(); !status.ok()) return status;
    const Region* below = nullptr;
    size_t special = 0;
    for (const Region* region = first(); region != nullptr; region = next(*region)) {
        const Failure broken{Error::corrupted, address_of(region->pages.first()).value()};
        if (region->pages.empty() || !bounds_.contains(region->extent())) return broken;
        if (below != nullptr && below->extent().last() >= region->extent().first()) return broken;
        if (region->gap_below != gap_below(*region)) return broken;
        if (is_special(*region)) ++special;
        below = region;
    }
    if (special != special_.size()) {
        return Failure{Error::corrupted, address_of(bounds_.first()).value()};
    }
    return {};
}

}  // namespace quire
