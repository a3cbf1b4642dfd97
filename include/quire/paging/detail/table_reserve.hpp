// SPDX-License-Identifier: MIT
// Frames for the tables that a change is going to need, taken before it starts.
#pragma once

#include <stddef.h>

#include "quire/base/atomic.hpp"
#include "quire/paging/detail/cursor.hpp"
#include "quire/paging/detail/table_bytes.hpp"
#include "quire/paging/frame_source.hpp"

namespace quire::detail {

// The source of a page table that has none yet.
struct NoFrames {
    static Result<Frame> allocate_frame() { return Failure{Error::out_of_frames}; }
    static Status free_frame(Frame frame) { return Failure{Error::foreign, frame.value()}; }
};

// Any number of frames in constant space: the first entry of each holds the number of the next.
// What has been opened here once can be opened again, so that using a reserved frame cannot fail.
template <PagingFormat Format, class Access>
class TableReserve {
  public:
    using Bytes = TableBytes<Format, Access>;
    using Entry = typename Format::Entry;

    TableReserve(const Bytes& bytes, const typename Bytes::Session& session, FrameSource source)
        : bytes_(bytes), session_(session), source_(source) {}

    // Takes `count` frames, or none. Errors: as the source; unreachable (a frame above the
    // format's highest, or not in reach of the access).
    [[gnu::noinline]] Status reserve(size_t count) {
        while (count_ < count) {
            const auto frame = source_.allocate_frame();
            if (!frame.ok()) {
                roll_back_reserve();
                return frame.failure();
            }
            const Status added = add(*frame);
            if (!added.ok()) {
                give_back(*frame);
                roll_back_reserve();
                return added;
            }
        }
        return {};
    }

    // One of them, with anything in it. There must be one left.
    [[gnu::noinline]] Frame take() {
        if (count_ == 0) trap();
        const Frame frame = first_;
        auto opened = bytes_.open_unlinked(session_, frame);
        if (!opened.ok()) trap();
        const Entry* entries = opened->entries();
        first_ = Frame(bytes_.format().value_of(entries[0]));
        --count_;
        return frame;
    }

  private:
    [[gnu::noinline]] Status add(Frame frame) {
        if (frame > Format::highest_frame) {
            return Failure{Error::unreachable, address_of(frame).value()};
        }
        auto opened = bytes_.open_unlinked(session_, frame);
        if (!opened.ok()) return opened.failure();
        Entry* entries = opened->entries();
        entries[0] = bytes_.format().absent(EntryKind::parked, first_.value());
        first_ = frame;
        ++count_;
        return {};
    }
    [[gnu::noinline]] void roll_back_reserve() {
        while (count_ > 0)
            give_back(take());
    }
    // The source takes back what it gave just now.
    void give_back(Frame frame) { must(source_.free_frame(frame)); }

    const Bytes& bytes_;
    const typename Bytes::Session& session_;
    FrameSource source_;
    Frame first_;
    size_t count_ = 0;
};

}  // namespace quire::detail
