// SPDX-License-Identifier: MIT
// Frames behind pages: taken one by one and cleared, or from behind other pages, and mapped as far
// as they follow one another.
#include "quire/space/space_core.hpp"

namespace quire {
namespace {

// Shorter than any large page of any format, so that reservations are mapped by single pages and
// decommit never has to split one.
constexpr FrameCount longest_run_of_singles = FrameCount(256);

}  // namespace

Result<Frame> SpaceCore::take_cleared_frame() {
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

// As population_ says. All or nothing.
Status SpaceCore::populate() {
    const Status filled = fill();
    if (!filled.ok()) {
        undo_gather();
        undo_fill();
    }
    return filled;
}

Status SpaceCore::fill() {
    Population& population = population_;
    while (population.done < population.pages.count()) {
        if (population.from.empty()) {
            const Status gathered = gather();
            if (!gathered.ok()) return gathered;
        } else {
            gather_from_pages();
            if (population.ready.empty()) return {};
        }
        const PageCount count = as_pages(population.ready.count());
        const PageRange next(population.pages.first() + population.done, count);
        const Status mapped = change_map(next, population.ready.first(), population.attributes);
        if (!mapped.ok()) return mapped;
        population.done += count;
        population.ready = FrameRange();
    }
    return {};
}

// Takes frames for the pages that come next, as long as they follow one another; one that does not
// is kept for the next time.
Status SpaceCore::gather() {
    Population& population = population_;
    const FrameCount wanted =
        min(population.longest_run, as_frames(population.pages.count() - population.done));
    FrameRange& ready = population.ready;
    if (population.has_ahead) {
        ready = FrameRange(population.ahead, FrameCount(1));
        population.has_ahead = false;
    }
    while (ready.count() < wanted) {
        const auto frame = take_cleared_frame();
        if (!frame.ok()) return frame.failure();
        if (ready.empty()) {
            ready = FrameRange(*frame, FrameCount(1));
        } else if (*frame > ready.last() && *frame - ready.last() == FrameCount(1)) {
            ready = FrameRange::between(ready.first(), *frame);
        } else {
            population.ahead = *frame;
            population.has_ahead = true;
            return {};
        }
    }
    return {};
}

// The frames behind the pages that come next, as long as they follow one another. Passes over those
// without; none are left then at the end.
void SpaceCore::gather_from_pages() {
    Population& population = population_;
    FrameRange& ready = population.ready;
    for (PageCount next = population.done; next < population.from.count(); next += PageCount(1)) {
        const auto found = table_.query(address_of(population.from.first() + next));
        const bool present = found.ok() && found->state == EntryState::present;
        if (!present && ready.empty()) continue;
        if (!present || ready.count() == population.longest_run) return;
        const Frame frame = found->frames.first();
        if (ready.empty()) {
            ready = FrameRange(frame, FrameCount(1));
            population.done = next;
        } else if (frame > ready.last() && frame - ready.last() == FrameCount(1)) {
            ready = FrameRange::between(ready.first(), frame);
        } else {
            return;
        }
    }
}

void SpaceCore::undo_gather() const {
    for (const Frame frame : population_.ready)
        undo_take_frame(frame);
    if (population_.has_ahead) undo_take_frame(population_.ahead);
}

void SpaceCore::undo_fill() {
    if (population_.done == PageCount(0)) return;
    const bool moved = !population_.from.empty();
    must(change_unmap(population_.pages.prefix(population_.done),
                      moved ? UnmappedFrames::keep : UnmappedFrames::release),
         "space: pages just mapped could not be unmapped");
}

// The same for one page, with less stack.
Status SpaceCore::populate_page(Page page, const Attributes& attributes) {
    const auto frame = take_cleared_frame();
    if (!frame.ok()) return frame.failure();
    const Status mapped = change_map(PageRange(page, PageCount(1)), *frame, attributes);
    if (!mapped.ok()) undo_take_frame(*frame);
    return mapped;
}

// The reservation that all of the pages belong to, or null.
Region* SpaceCore::reservation_of(const PageRange& pages) const {
    Region* region = regions_.find(pages.first());
    if (region == nullptr || region->backing != Backing::reserved) return nullptr;
    return region->pages.contains(pages) ? region : nullptr;
}

Status SpaceCore::check_committable(const PageRange& pages) const {
    if (pages.empty()) return Failure{Error::zero_size};
    if (reservation_of(pages) == nullptr) {
        return Failure{Error::no_region, address_of(pages.first()).value()};
    }
    return check_nothing_mapped(pages);
}

Status SpaceCore::commit(const PageRange& pages) {
    if (const Status good = check_committable(pages); !good.ok()) return good;
    changed();
    population_ = Population{.pages = pages,
                             .attributes = reservation_of(pages)->attributes,
                             .longest_run = longest_run_of_singles};
    return populate();
}

Status SpaceCore::decommit(const PageRange& pages) {
    if (pages.empty()) return Failure{Error::zero_size};
    if (reservation_of(pages) == nullptr) {
        return Failure{Error::no_region, address_of(pages.first()).value()};
    }
    const Status done = change_unmap(pages, UnmappedFrames::release);
    if (done.ok()) changed();
    return done;
}

Status SpaceCore::check_movable(const PageRange& from, const PageRange& to) const {
    const Failure at_start{Error::bad_argument, address_of(from.first()).value()};
    if (from.count() != to.count()) return at_start;
    if (from.overlaps(to)) return at_start;
    if (reservation_of(from) == nullptr) {
        return Failure{Error::no_region, address_of(from.first()).value()};
    }
    return check_committable(to);
}

// For a moment the frames are shown at both places.
Status SpaceCore::move(const PageRange& from, const PageRange& to) {
    if (const Status good = check_movable(from, to); !good.ok()) return good;
    changed();
    population_ = Population{.pages = to,
                             .attributes = reservation_of(to)->attributes,
                             .longest_run = longest_run_of_singles,
                             .from = from};
    const Status shown = fill();
    if (!shown.ok()) {
        undo_fill();
        return shown;
    }
    must(change_unmap(from, UnmappedFrames::keep), "space: pages that moved could not be unmapped");
    return {};
}

}  // namespace quire
