// SPDX-License-Identifier: MIT
// Frames for the tables that a change is going to need, taken before it starts.
#pragma once

#include <stddef.h>

#include "quire/paging/detail/cursor.hpp"
#include "quire/paging/detail/table_bytes.hpp"
#include "quire/paging/frame_source.hpp"

namespace quire::detail {

// The source of a page table that has none yet.
struct NoFrames {
    static Result<Frame> allocate_frame() { return Failure{Error::out_of_frames}; }
    static Status free_frame(Frame frame) { return Failure{Error::foreign, frame.value()}; }
};

// Any number of frames in constant space: some of them list the others in their bytes, each a
// table's worth less one, of which the first entry leads to the list before. So most are not
// touched. What has been opened here once can be opened again, so that using a reserved frame
// cannot fail.
template <PagingFormat Format, class Access>
class TableReserve {
  public:
    using Bytes = TableBytes<Format, Access>;
    using Session = typename Bytes::Session;
    using Entry = typename Format::Entry;

    explicit TableReserve(const Bytes& bytes) : bytes_(bytes) {}
    TableReserve(const TableReserve&) = delete;
    TableReserve& operator=(const TableReserve&) = delete;

    // Takes frames until there are `count`. Errors: as the source; unreachable (a frame above the
    // format's highest, or not in reach of the access). The caller rolls back then.
    [[gnu::noinline]] Status reserve(const Session& session, FrameSource source, size_t count) {
        while (count_ < count) {
            const auto frame = source.allocate_frame();
            if (!frame.ok()) return frame.failure();
            const Status added = add(session, *frame);
            if (!added.ok()) return added;
        }
        return {};
    }
    // One more, to be taken first, that can be a root. Apart from the others, so that the long
    // search for a low frame stands in no other chain of calls.
    [[gnu::noinline]] Status reserve_root(const Session& session, FrameSource source) {
        const Frame highest = bytes_.format().highest_root();
        if (highest == bytes_.format().highest_frame()) return reserve(session, source, count_ + 1);
        const auto frame = source.allocate_frame_up_to(highest);
        return frame.ok() ? add(session, *frame) : frame.failure();
    }
    // After a failure: gives back what was taken.
    [[gnu::noinline]] void roll_back_reserve(const Session& session, FrameSource source) {
        while (has_refused_ || count_ > 0) {
            const Frame frame = exchange(has_refused_, false) ? refused_ : take_last(session);
            must(source.free_frame(frame));
        }
    }

    // One of them, with anything in it. There must be one left. In the order in which the source
    // gave them: runs of frames, as sources often give, are written faster upwards.
    [[gnu::noinline]] Frame take(const Session& session) {
        const bool lists_more = first_listed_ <= listed_;
        const Frame found = taken(session, lists_more ? first_listed_ : 0);
        if (!lists_more) return exchange_list(found);
        ++first_listed_;
        return found;
    }
    // The one that was reserved last.
    [[gnu::noinline]] Frame take_last(const Session& session) {
        const bool lists_more = first_listed_ <= listed_;
        const Frame found = taken(session, lists_more ? listed_ : 0);
        if (!lists_more) return exchange_list(found);
        --listed_;
        return found;
    }

  private:
    [[gnu::always_inline]] Frame taken(const Session& session, unsigned index) {
        if (count_ == 0) trap();
        --count_;
        auto opened = bytes_.open_unlinked(session, list_);
        if (!opened.ok()) trap();
        const Entry* const entries = opened->entries();
        return Frame(bytes_.format().value_of(entries[index]));
    }
    // Goes back to the list before; returns the frame of the one that is used up.
    Frame exchange_list(Frame before) {
        first_listed_ = 1;
        listed_ = Format::entries - 1;
        return exchange(list_, before);
    }
    // Keeps a frame, among the reserved ones or as the refused one.
    [[gnu::noinline]] Status add(const Session& session, Frame frame) {
        const bool begins_list = count_ == 0 || listed_ == Format::entries - 1;
        const Status opens = try_open(session, frame);
        if (!opens.ok()) {
            refused_ = frame;
            has_refused_ = true;
            return opens;
        }
        listed_ = begins_list ? 0 : listed_ + 1;
        const Frame number = begins_list ? exchange(list_, frame) : frame;
        auto opened = bytes_.open_unlinked(session, list_);
        if (!opened.ok()) trap();
        Entry* const entries = opened->entries();
        entries[listed_] = bytes_.format().absent(EntryKind::parked, number.value());
        ++count_;
        return {};
    }
    [[gnu::noinline]] Status try_open(const Session& session, Frame frame) const {
        if (frame > bytes_.format().highest_frame()) {
            return Failure{Error::unreachable, address_of(frame).value()};
        }
        auto opened = bytes_.open_unlinked(session, frame);
        return opened.ok() ? Status() : Status(opened.failure());
    }

    const Bytes& bytes_;
    size_t count_ = 0;
    Frame list_;                 // the frame that lists others, if there is any
    unsigned listed_ = 0;        // the last that it lists; 0 is the list before
    unsigned first_listed_ = 1;  // of those not taken
    Frame refused_;              // the last one taken, when it could not be added
    bool has_refused_ = false;
};

}  // namespace quire::detail
