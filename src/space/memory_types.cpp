// SPDX-License-Identifier: MIT
// Frames that are shown in several places have one memory type in all of them.
#include "quire/space/space_core.hpp"

namespace quire {

Status SpaceCore::check_memory_type(const FrameRange& frames, MemoryType type) const {
    if (frames.empty()) return {};
    const Region* const other = regions_.with_other_type(frames, type);
    if (other != nullptr) {
        return Failure{Error::in_use, address_of(max(other->first_frame, frames.first())).value()};
    }
    return check_direct_map(frames, type);
}

// What the direct map shows, as its page table says.
Status SpaceCore::check_direct_map(const FrameRange& frames, MemoryType type) const {
    const FrameRange shown = frames.intersection(direct_map_.frames);
    if (direct_map_.table == nullptr || shown.empty()) return {};
    const PageRange pages(direct_map_.first + as_pages(shown.first() - direct_map_.frames.first()),
                          as_pages(shown.count()));
    Status consistent;
    const Status walked = direct_map_.table->walk(pages, [&](const Translation& found) {
        if (found.state != EntryState::present || found.attributes.type == type) return true;
        const Page first = max(found.pages.first(), pages.first());
        const Frame frame = shown.first() + as_frames(first - pages.first());
        consistent = Failure{Error::in_use, address_of(frame).value()};
        return false;
    });
    return walked.ok() ? consistent : walked;
}

}  // namespace quire
