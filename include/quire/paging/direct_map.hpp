// SPDX-License-Identifier: MIT
// The access for machines whose RAM is visible all the time: identity, an offset, or a host's
// alias.
#pragma once

#include "quire/base/frame_access.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/table_access.hpp"

namespace quire {

// A run of frames, shown at consecutive addresses. It has no state of its own: copies are as good,
// any number of frames is open at once, on any CPU, and nothing is locked. Opening is O(1).
class DirectMap {
  public:
    struct Session {};

    // An opened frame, as bytes or as a table's entries.
    class Opened {
      public:
        // Becomes a pointer to whatever the table's format calls an entry.
        struct Entries {
            void* bytes;
            template <class Entry>
            operator Entry*() const {
                return static_cast<Entry*>(bytes);
            }
        };
        constexpr Opened() = default;
        constexpr explicit Opened(void* bytes) : bytes_(bytes) {}
        void* data() const { return bytes_; }
        Entries entries() const { return {bytes_}; }

      private:
        void* bytes_ = nullptr;
    };

    // `frames` appear from `first` on; identity is the same number for both. `first` must be page
    // aligned and the run must end within the address space; traps otherwise.
    constexpr DirectMap(const FrameRange& frames, VirtualAddress first, AddressView view = {})
        : frames_(frames),
          first_(first),
          shift_(first.value() + view.bias() -
                 (static_cast<uintptr_t>(frames.first().value()) << page_shift)) {
        if (!first.is_aligned(Bytes(page_size))) trap();
        if (!frames.empty() && !first.checked_add(bytes_of(frames.count()) - Bytes(1)).ok()) trap();
    }

    // Error::unreachable, with the frame's address, outside the run.
    Result<Opened> open(Frame frame) const {
        if (!frames_.contains(frame)) return Failure{Error::unreachable, address_of(frame).value()};
        return Opened(bytes_of_unchecked(frame));
    }

    Session begin() const { return {}; }
    Result<Opened> open(const Session&, const TableLocation& location) const {
        return open(location.table);
    }
    constexpr bool keeps(unsigned) const { return false; }
    // The bytes of a frame of the run, or null.
    void* visible_table(Frame table) const {
        const uint64_t offset = table.value() - frames_.first().value();
        return offset < frames_.count().value() ? bytes_of_unchecked(table) : nullptr;
    }
    // Only for frames of the run.
    void* visible_table_unchecked(Frame table) const { return bytes_of_unchecked(table); }

    const FrameRange& frames() const { return frames_; }
    VirtualAddress first() const { return first_; }

  private:
    void* bytes_of_unchecked(Frame frame) const {
        const auto number = static_cast<uintptr_t>(frame.value());
        return reinterpret_cast<void*>((number << page_shift) + shift_);
    }

    FrameRange frames_;
    VirtualAddress first_;
    uintptr_t shift_;  // from a frame's physical address to where it is seen, modulo 2^bits
};

static_assert(FrameAccess<DirectMap>);
static_assert(TableAccess<DirectMap, uint32_t>);

}  // namespace quire
