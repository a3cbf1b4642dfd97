// SPDX-License-Identifier: MIT
// Frames behind pages: taken one by one, cleared, and mapped as far as they follow one another.
#include "quire/space/space_core.hpp"

namespace quire {
namespace {

// Shorter than any large page of any format, so that reservations are mapped by single pages and
// decommit never has to split one.
constexpr FrameCount longest_run_of_singles = FrameCount(256);

bool follows(const FrameRange& run, Frame frame) {
    return run.empty() || (frame > run.last() && frame - run.last() == FrameCount(1));
}

}  // namespace

Result<Frame> SpaceCore::take_zeroed_frame() {
    const auto frame = frames_.allocate_frame();
    if (!frame.ok()) return frame;
    const Status cleared = zeroer_.zero(*frame);
    if (!cleared.ok()) {
        undo_take_frame(*frame);
        return cleared.failure();
    }
    return frame;
}

void SpaceCore::undo_take_frame(Frame frame) const {
    must(frames_.free_frame(frame), "space: a frame just taken could not be given back");
}

Status SpaceCore::populate(const PageRange& pages, const Attributes& attributes,
                           FrameCount longest_run) {
    Population population{pages, attributes, PageCount(0), FrameRange()};
    for (PageCount taken; taken < pages.count(); taken += PageCount(1)) {
        const auto frame = take_zeroed_frame();
        if (!frame.ok()) {
            undo_populate(population);
            return frame.failure();
        }
        if (!follows(population.ready, *frame) || population.ready.count() >= longest_run) {
            if (const Status mapped = map_ready(population); !mapped.ok()) {
                undo_take_frame(*frame);
                undo_populate(population);
                return mapped;
            }
        }
        FrameRange& ready = population.ready;
        ready = ready.empty() ? FrameRange(*frame, FrameCount(1))
                              : FrameRange(ready.first(), ready.count() + FrameCount(1));
    }
    const Status mapped = map_ready(population);
    if (!mapped.ok()) undo_populate(population);
    return mapped;
}

Status SpaceCore::map_ready(Population& population) {
    const PageCount count = as_pages(population.ready.count());
    const PageRange pages(population.pages.first() + population.done, count);
    auto change = table_.map(pages, population.ready.first(), population.attributes);
    if (!change.ok()) return change.failure();
    change->spend(tlb_);
    population.done += count;
    population.ready = FrameRange();
    return {};
}

void SpaceCore::undo_populate(const Population& population) {
    for (const Frame frame : population.ready)
        undo_take_frame(frame);
    if (population.done == PageCount(0)) return;
    must_spend(table_.unmap(population.pages.prefix(population.done), UnmappedFrames::release),
               "space: pages just mapped could not be unmapped");
}

// The reservation that all of the pages belong to, or null.
Region* SpaceCore::reservation_of(const PageRange& pages) const {
    Region* region = regions_.find(pages.first());
    if (region == nullptr || region->backing != Backing::reserved) return nullptr;
    return region->pages.contains(pages) ? region : nullptr;
}

Status SpaceCore::commit(const PageRange& pages) {
    if (pages.empty()) return Failure{Error::zero_size};
    const Region* region = reservation_of(pages);
    if (region == nullptr) return Failure{Error::no_region, address_of(pages.first()).value()};
    if (const Status empty = check_nothing_mapped(pages); !empty.ok()) return empty;
    const Status done = populate(pages, region->attributes, longest_run_of_singles);
    if (done.ok()) changed();
    return done;
}

Status SpaceCore::decommit(const PageRange& pages) {
    if (pages.empty()) return Failure{Error::zero_size};
    if (reservation_of(pages) == nullptr) {
        return Failure{Error::no_region, address_of(pages.first()).value()};
    }
    auto change = table_.unmap(pages, UnmappedFrames::release, Holes::skip);
    if (!change.ok()) return change.failure();
    change->spend(tlb_);
    changed();
    return {};
}

}  // namespace quire
