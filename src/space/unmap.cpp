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

Status SpaceCore::unmap(const PageRange& pages) {
    if (const Status good = check_changeable(pages); !good.ok()) return good;
    const Region& lowest = *regions_.at_or_above(pages.first());
    const bool makes_hole = lowest.pages.contains(pages) && lowest.pages.first() < pages.first() &&
                            pages.last() < lowest.pages.last();
    if (const Status ready = want_nodes(makes_hole ? 1 : 0); !ready.ok()) return ready;
    if (const Status unmapped = unmap_runs(pages); !unmapped.ok()) return unmapped;
    remove_from_regions(pages);
    changed();
    return {};
}

// The page table's side. A run can fail only where an end of the range cuts a large page: the first
// run then changes nothing, and before any other the far end has been cut.
Status SpaceCore::unmap_runs(const PageRange& pages) {
    constexpr const char* broken = "space: part of a range could not be unmapped";
    Runs runs(regions_, pages);
    Run run = runs.next();
    if (run.pages.empty()) return {};
    Cut cut;
    if (!Runs(runs).next().pages.empty()) {
        if (const Status ready = cut_after(pages.last(), cut); !ready.ok()) return ready;
    }
    const Status first = change_unmap(run.pages, run.frames);
    if (!first.ok()) {
        undo_cut(cut);
        return first;
    }
    for (run = runs.next(); !run.pages.empty(); run = runs.next()) {
        must(change_unmap(run.pages, run.frames), broken);
    }
    return {};
}

// When a large page reaches beyond `page`, has the table split it by giving this one page another
// protection for a moment.
Status SpaceCore::cut_after(Page page, Cut& cut) {
    Translation found;
    look_up(address_of(page), found);
    if (found.state != EntryState::present || found.pages.last() == page) return {};
    const Protection before = found.attributes.protection;
    const Protection other = has(before, Protection::write) ? without(before, Protection::write)
                                                            : before | Protection::write;
    const Status made = change_protect(PageRange(page, PageCount(1)), other);
    if (made.ok()) cut = {page, before, true};
    return made;
}

void SpaceCore::undo_cut(const Cut& cut) {
    if (!cut.made) return;
    must(change_protect(PageRange(cut.page, PageCount(1)), cut.before),
         "space: a page could not be given its protection back");
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
