// SPDX-License-Identifier: MIT
// Making regions: where they go, and what is put behind them.
#include "agreement.hpp"
#include "quire/base/bits.hpp"
#include "quire/space/space_core.hpp"

namespace quire {
namespace {

// A run of frames in a row is mapped by one call; frames of reservations by runs too short for any
// large page, so that a part can be given back without splitting one.
constexpr FrameCount longest_run = FrameCount(4096);

}  // namespace

Status SpaceCore::check_wanted(const Wanted& wanted) const {
    const Placement& placement = wanted.placement;
    if (wanted.pages == PageCount(0)) return Failure{Error::zero_size};
    if (!is_power_of_two(placement.alignment.value())) {
        return Failure{Error::misaligned, placement.alignment.value()};
    }
    if (!placement.fixed) return {};
    const Page at = placement.at;
    if (!at.is_aligned(placement.alignment)) {
        return Failure{Error::misaligned, address_of(at).value()};
    }
    if (!bounds().contains(at) || at - bounds().first() < placement.guard_before) {
        return Failure{Error::out_of_range, address_of(at).value()};
    }
    const PageCount room = (bounds().last() - at) + PageCount(1);
    if (room < wanted.pages || room - wanted.pages < placement.guard_after) {
        return Failure{Error::out_of_range, address_of(at).value()};
    }
    return {};
}

// The first page of the body. Changes nothing.
Result<Page> SpaceCore::place(const Wanted& wanted) const {
    const Placement& placement = wanted.placement;
    if (!placement.fixed) {
        const PageCount most = bounds().count();
        if (wanted.pages > most || placement.guard_before > most || placement.guard_after > most) {
            return Failure{Error::out_of_address_space, wanted.pages.value()};
        }
        return regions_.find_gap({.pages = wanted.pages,
                                  .guard_before = placement.guard_before,
                                  .guard_after = placement.guard_after,
                                  .alignment = placement.alignment});
    }
    const Page first = placement.at - placement.guard_before;
    const PageRange extent(first, placement.guard_before + wanted.pages + placement.guard_after);
    const Region* taken = regions_.at_or_above(first);
    if (taken != nullptr && taken->extent().overlaps(extent)) {
        const Page where = max(first, taken->extent().first());
        return Failure{Error::already_mapped, address_of(where).value()};
    }
    return placement.at;
}

// The region in its place, and nothing more. Needs a node.
Result<Region*> SpaceCore::insert_region(const Wanted& wanted) {
    const auto first = place(wanted);
    if (!first.ok()) return first.failure();
    const auto node = nodes_.allocate();
    if (!node.ok()) return node.failure();
    Region& region = **node;
    region.pages = PageRange(*first, wanted.pages);
    region.guard_before = wanted.placement.guard_before;
    region.guard_after = wanted.placement.guard_after;
    region.attributes = wanted.attributes;
    region.backing = wanted.backing;
    region.first_frame = wanted.first_frame;
    region.name = wanted.name;
    region.origin = next_origin_++;
    regions_.insert(region);
    return &region;
}

void SpaceCore::undo_insert_region(Region& region) {
    regions_.remove(region);
    nodes_.free(&region);
}

// The region in its place, over pages where nothing is mapped unless it adopts what is.
Result<Region*> SpaceCore::begin_region(const Wanted& wanted) {
    if (const Status good = check_wanted(wanted); !good.ok()) return good.failure();
    if (const Status ready = want_nodes(1); !ready.ok()) return ready.failure();
    const auto region = insert_region(wanted);
    if (!region.ok() || wanted.backing == Backing::adopted) return region;
    const Status empty = check_nothing_mapped((*region)->extent());
    if (!empty.ok()) {
        undo_insert_region(**region);
        return empty.failure();
    }
    return region;
}

// Keeps the region when what was to be put behind it is there.
Result<PageRange> SpaceCore::end_region(Region& region, const Status& furnished) {
    if (!furnished.ok()) {
        undo_insert_region(region);
        return furnished.failure();
    }
    changed();
    return region.pages;
}

// Regions with nothing behind them yet.
Result<PageRange> SpaceCore::promise(const Wanted& wanted) {
    const auto region = begin_region(wanted);
    if (!region.ok()) return region.failure();
    return end_region(**region, check_expressible(**region));
}

Result<PageRange> SpaceCore::reserve(PageCount pages, const AllocateOptions& options) {
    return promise({.pages = pages,
                    .attributes = {options.protection},
                    .backing = Backing::reserved,
                    .name = options.name,
                    .placement = options.placement});
}

Result<PageRange> SpaceCore::allocate(PageCount pages, const AllocateOptions& options) {
    Wanted wanted{.pages = pages,
                  .attributes = {options.protection},
                  .backing = Backing::on_demand,
                  .name = options.name,
                  .placement = options.placement};
    if (options.populate == Populate::on_demand) return promise(wanted);
    wanted.backing = Backing::anonymous;
    const auto region = begin_region(wanted);
    if (!region.ok()) return region.failure();
    population_ = Population{
        .pages = (*region)->pages, .attributes = wanted.attributes, .longest_run = longest_run};
    return end_region(**region, populate());
}

Result<PageRange> SpaceCore::map(const FrameRange& frames, const MapOptions& options) {
    const Status consistent = check_memory_type(frames, options.attributes.type);
    if (!consistent.ok()) return consistent.failure();
    const auto region =
        begin_region({.pages = as_pages(min(frames.count(), FrameCount(UINTPTR_MAX))),
                      .attributes = options.attributes,
                      .backing = Backing::frames,
                      .name = options.name,
                      .placement = options.placement,
                      .first_frame = frames.first()});
    if (!region.ok()) return region.failure();
    return end_region(**region, change_map((*region)->pages, frames.first(), options.attributes));
}

Status SpaceCore::adopt(const PageRange& pages, const Attributes& attributes, const char* name) {
    const Placement there{.fixed = true, .at = pages.first()};
    const auto region = begin_region({.pages = pages.count(),
                                      .attributes = attributes,
                                      .backing = Backing::adopted,
                                      .name = name,
                                      .placement = there});
    if (!region.ok()) return region.failure();
    const auto adopted = end_region(**region, check_adoptable(pages, attributes));
    return adopted.ok() ? Status() : Status(adopted.failure());
}

Status SpaceCore::guard(const PageRange& pages, const char* name) {
    const Placement there{.fixed = true, .at = pages.first()};
    const auto region = begin_region({.pages = pages.count(),
                                      .attributes = {Protection::none},
                                      .backing = Backing::guard,
                                      .name = name,
                                      .placement = there});
    if (!region.ok()) return region.failure();
    changed();
    return {};
}

// Whether the table could map pages with the region's protection, asked while none is there.
Status SpaceCore::check_expressible(const Region& region) {
    return change_protect(region.pages.prefix(PageCount(1)), region.attributes.protection);
}

Status SpaceCore::check_nothing_mapped(const PageRange& pages) const {
    Status empty;
    const Status walked = table_.walk(pages, [&](const Translation& found) {
        const Page first = max(found.pages.first(), pages.first());
        empty = Failure{Error::already_mapped, address_of(first).value()};
        return false;
    });
    return walked.ok() ? empty : walked;
}

Status SpaceCore::check_adoptable(const PageRange& pages, const Attributes& attributes) const {
    Status agreed;
    PageCount seen;  // pages from the first one on that are well mapped
    const Status walked = table_.walk(pages, [&](const Translation& found) {
        const Page first = max(found.pages.first(), pages.first());
        if (found.state != EntryState::present || first - pages.first() != seen) return false;
        if (!agrees(found.attributes, attributes)) {
            agreed = Failure{Error::bad_argument, address_of(first).value()};
            return false;
        }
        seen = (min(found.pages.last(), pages.last()) - pages.first()) + PageCount(1);
        return true;
    });
    if (!walked.ok()) return walked;
    if (!agreed.ok()) return agreed;
    if (seen < pages.count()) {
        return Failure{Error::not_mapped, address_of(pages.first() + seen).value()};
    }
    return {};
}

}  // namespace quire
