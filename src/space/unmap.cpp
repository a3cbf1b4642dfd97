// SPDX-License-Identifier: MIT
// Ending regions and parts of regions.
#include "quire/space/space_core.hpp"
#include "runs.hpp"

namespace quire {

// What unmap and protect demand of a range: all of it belongs to regions that may change.
Status SpaceCore::check_changeable(const PageRange& pages) const {
    if (pages.empty()) return Failure{Error::zero_size, address_of(pages.first()).value()};
    if (!bounds().contains(pages)) {
        return Failure{Error::out_of_range, address_of(pages.first()).value()};
    }
    Page expected = pages.first();
    for (const Region* region = regions_.at_or_above(expected);;
         region = RegionSet::next(*region)) {
        if (region == nullptr || !region->extent().contains(expected)) {
            return Failure{Error::no_region, address_of(expected).value()};
        }
        if (region->pinned) return Failure{Error::in_use, address_of(expected).value()};
        if (region->extent().last() >= pages.last()) return {};
        expected = region->extent().last() + PageCount(1);
    }
}

// Changes nothing.
Status SpaceCore::check_unmappable(const PageRange& pages) const {
    if (const Status good = check_changeable(pages); !good.ok()) return good;
    const PageRange& lowest = regions_.at_or_above(pages.first())->pages;
    const bool makes_hole =
        lowest.contains(pages) && lowest.first() < pages.first() && pages.last() < lowest.last();
    return want_nodes(makes_hole ? 1 : 0);
}

// A run can fail only where an end of the range cuts a large page, and has changed nothing then.
// Where there are several, such pages are split before, so that none fails when others are gone.
Status SpaceCore::unmap(const PageRange& pages) {
    Status status = check_unmappable(pages);
    if (!status.ok()) return status;
    const bool several = has_several_runs(pages);
    if (several) status = change_split(pages);
    if (!status.ok()) return status;
    status = unmap_runs(pages);
    if (several) must(status, "space: part of a range could not be unmapped");
    if (!status.ok()) return status;
    remove_from_regions(pages);
    changed();
    return {};
}

// The page table's side.
Status SpaceCore::unmap_runs(const PageRange& pages) {
    Runs runs(regions_, pages);
    for (Run run = runs.next(); !run.pages.empty(); run = runs.next()) {
        const Status unmapped = change_unmap(run.pages, run.frames);
        if (!unmapped.ok()) return unmapped;
    }
    return {};
}

bool SpaceCore::has_several_runs(const PageRange& pages) const {
    Runs runs(regions_, pages);
    runs.next();
    return !runs.next().pages.empty();
}

// The regions' side. Cannot fail.
void SpaceCore::remove_from_regions(const PageRange& pages) {
    Region* region = regions_.at_or_above(pages.first());
    while (region != nullptr && region->extent().first() <= pages.last()) {
        Region* next = RegionSet::next(*region);
        remove_from_region(*region, pages);
        region = next;
    }
}

void SpaceCore::remove_from_region(Region& region, const PageRange& pages) {
    const PageRange body = region.pages;
    const PageRange gone = body.intersection(pages);
    if (gone.empty()) {  // guards only: what is left of one is what touches the body
        if (pages.first() < body.first()) {
            region.guard_before = (body.first() - pages.last()) - PageCount(1);
        } else {
            region.guard_after = (pages.first() - body.last()) - PageCount(1);
        }
        regions_.resized(region);
        return;
    }
    remember_departed(region, gone);
    if (gone == body) {
        regions_.remove(region);
        nodes_.free(&region);
        return;
    }
    if (gone.first() > body.first() && gone.last() < body.last()) {
        split_at(region, gone.last() + PageCount(1));
    }
    if (gone.first() > body.first()) {
        region.pages = PageRange::between(body.first(), gone.first() - PageCount(1));
        region.guard_after = PageCount(0);
    } else {
        region.pages = PageRange::between(gone.last() + PageCount(1), body.last());
        region.guard_before = PageCount(0);
        if (region.backing == Backing::frames) region.first_frame += as_frames(gone.count());
    }
    regions_.resized(region);
}

}  // namespace quire
