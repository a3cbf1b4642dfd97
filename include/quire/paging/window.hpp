// SPDX-License-Identifier: MIT
// The access for machines whose RAM does not fit into the address space: a few pages of kernel
// space, at which frames are shown as needed.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/atomic.hpp"
#include "quire/base/frame_access.hpp"
#include "quire/base/lock.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/entry.hpp"
#include "quire/paging/format.hpp"
#include "quire/paging/table_access.hpp"
#include "quire/paging/tlb.hpp"

namespace quire {

// Where a window is: its pages, and the address at which the entries of those pages can be written.
// The entries must be those of the leaf table that the CPU uses for the pages, in every address
// space in which the window is used.
struct WindowPlace {
    PageRange pages;
    VirtualAddress entries;
};

// Shows frames at the pages of a WindowPlace, and remembers what each page shows, so that a frame
// that is still shown costs nothing. The first levels + 1 pages serve tables, the rest frames'
// bytes: at least levels + 2 pages are needed, and at most `most_pages` are used.
//
// One CPU's: what it shows, other CPUs' TLBs do not know; the lock keeps apart the threads that
// take turns on that CPU. CPUs that share a window take a Tlb that says so (SharesWindows): what is
// still shown then costs a flush of its page. An opened frame stays shown while its object lives,
// which must end on the same CPU.
template <PagingFormat Format, LocalTlb Tlb, Lockable Lock = SpinLock>
class Window {
  public:
    using Entry = typename Format::Entry;
    static constexpr size_t table_pages = Format::levels + 1;
    static constexpr size_t least_pages = table_pages + 1;
    static constexpr size_t most_pages = 16;

    class [[nodiscard]] Session {
      public:
        explicit Session(Window& window) : guard_(window.lock_) {}

      private:
        LockGuard<Lock> guard_;
    };

    // A frame that is shown; its page is free for others when the object ends.
    class Opened {
      public:
        constexpr Opened() = default;
        Opened(Opened&& other) : window_(exchange(other.window_, nullptr)), slot_(other.slot_) {}
        Opened& operator=(Opened&& other) {
            close();
            window_ = exchange(other.window_, nullptr);
            slot_ = other.slot_;
            return *this;
        }
        ~Opened() { close(); }

        void* data() const { return window_->template pointer<void>(slot_); }
        Entry* entries() const { return window_->template pointer<Entry>(slot_); }

      private:
        friend class Window;
        Opened(Window& window, size_t slot) : window_(&window), slot_(slot) {}
        void close() {
            if (window_ != nullptr) window_->users_[slot_].fetch_sub(1, MemoryOrder::release);
            window_ = nullptr;
        }

        Window* window_ = nullptr;
        size_t slot_ = 0;
    };

    // Takes over the pages; their entries may hold anything that was written by a Window, or be
    // empty. Traps when there are too few pages.
    explicit Window(const WindowPlace& place, Tlb tlb = Tlb(), AddressView view = {},
                    Format format = Format())
        : place_(place), tlb_(tlb), view_(view), format_(format) {
        if (place.pages.count().value() < least_pages) trap();
    }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;

    // A frame's bytes. Errors: unreachable (the format cannot address the frame), busy (every page
    // for frames is in use). Takes the lock for a moment, so not inside a session of this window.
    // O(pages of the window).
    Result<Opened> open(Frame frame) {
        LockGuard guard(lock_);
        return show_locked(frame, table_pages, page_count());
    }

    // Holds the lock while it lives.
    Session begin() { return Session(*this); }
    // A table's entries. Errors: unreachable. O(levels).
    Result<Opened> open(const Session&, const TableLocation& location) {
        return show_locked(location.table, 0, table_pages);
    }
    constexpr bool keeps(unsigned) const { return false; }

    const WindowPlace& place() const { return place_; }

  private:
    friend class Opened;

    size_t page_count() const { return min<size_t>(place_.pages.count().value(), most_pages); }
    VirtualAddress address(size_t slot) const {
        return address_of(place_.pages.first() + PageCount(slot));
    }
    template <class T>
    T* pointer(size_t slot) const {
        return view_.template pointer<T>(address(slot));
    }
    Entry& entry(size_t slot) const { return view_.template pointer<Entry>(place_.entries)[slot]; }
    bool in_use(size_t slot) const { return users_[slot].load(MemoryOrder::acquire) != 0; }
    bool shows(size_t slot, Frame frame) const {
        const Entry shown = load_entry(entry(slot));
        return format_.kind(0, shown) == EntryKind::leaf && format_.frame_of(0, shown) == frame;
    }

    Result<Opened> show_locked(Frame frame, size_t begin, size_t end) {
        if (frame > format_.highest_frame()) {
            return Failure{Error::unreachable, address_of(frame).value()};
        }
        size_t slot = end;
        for (size_t i = begin; i < end && slot == end; ++i) {
            if (shows(i, frame)) slot = i;
        }
        if constexpr (SharesWindows<Tlb>) {
            if (slot != end) tlb_.flush_page(address(slot));
        }
        if (slot == end) {
            slot = unused_slot_locked(begin, end);
            if (slot == end) return Failure{Error::busy, address_of(frame).value()};
            store_entry(entry(slot), format_.leaf(0, frame, Attributes{}), MemoryOrder::release);
            tlb_.flush_page(address(slot));
        }
        users_[slot].fetch_add(1, MemoryOrder::relaxed);
        return Opened(*this, slot);
    }
    // Takes turns, so that what was shown last stays longest.
    size_t unused_slot_locked(size_t begin, size_t end) {
        size_t& next = begin == 0 ? next_table_ : next_frame_;
        for (size_t tries = begin; tries < end; ++tries) {
            const size_t slot = begin + next;
            next = begin + next + 1 == end ? 0 : next + 1;
            if (!in_use(slot)) return slot;
        }
        return end;
    }

    WindowPlace place_;
    Tlb tlb_;
    AddressView view_;
    Format format_;
    Lock lock_;
    size_t next_table_ = 0;
    size_t next_frame_ = 0;
    Atomic<uint32_t> users_[most_pages];
};

}  // namespace quire
