// SPDX-License-Identifier: MIT
// The access that needs no memory of its own: a root entry that leads back to the root makes every
// table of the active page table visible. For tables only; for formats whose table entries can
// serve as entries of any level (x86-32, x86-64; not PAE, not RISC-V).
#pragma once

#include <stdint.h>

#include "quire/base/frame_access.hpp"
#include "quire/base/lock.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/entry.hpp"
#include "quire/paging/format.hpp"
#include "quire/paging/table_access.hpp"
#include "quire/paging/tlb.hpp"

namespace quire {

// Three entries of every root, different from one another, that belong to the access. `self` leads
// to the root itself in every page table that is ever active; the others are empty but within a
// session.
struct RecursiveSlots {
    unsigned self;
    unsigned foreign;  // leads to the root of an inactive page table while that is edited
    unsigned scratch;  // leads to a table that no root leads to
};

// With n levels and self slot s, a table of level k that the active root leads to appears at the
// page whose indices, from the highest level down, are k + 1 times s and then those of the table's
// own addresses. Through the foreign slot f an inactive page table appears likewise: k times s,
// once f, then its own. A table in the scratch slot appears at n - 1 times s, then the slot.
//
// These addresses mean something else whenever a table is linked, unlinked or replaced. So the page
// is flushed from the local TLB each time a table is opened there, and what other CPUs still hold
// for it does not matter: they flush before they look. Both shared slots are emptied and flushed
// before the frames they lead to can become ordinary memory, scratch when its table is closed and
// foreign at the end of the session, so that no CPU walks on through them (SDM vol. 3A 4.10.3:
// paging-structure caches; any INVLPG drops all of them).
//
// Shared by all users of the active page table, hence the lock, which a session holds. A session
// must stay on its CPU. The table that is active must not change within it.
template <PagingFormat Format, LocalTlb Tlb, Lockable Lock = SpinLock>
class RecursiveSlot {
    static_assert(
        RecursivePagingFormat<Format>,
        "no entry of this format's root can lead to the root: PAE's four have no bits for "
        "rights and lead to page directories alone. Use a DirectMap or a Window.");

  public:
    using Entry = typename Format::Entry;

    class [[nodiscard]] Session {
      public:
        explicit Session(RecursiveSlot& access) : access_(access), guard_(access.lock_) {}
        ~Session() { access_.close_foreign_locked(); }

      private:
        RecursiveSlot& access_;
        LockGuard<Lock> guard_;
    };

    // An opened table. When it is one that is not linked, the scratch slot is emptied at the end.
    class Opened {
      public:
        constexpr Opened() = default;
        Opened(Opened&& other)
            : entries_(other.entries_), scratch_of_(exchange(other.scratch_of_, nullptr)) {}
        Opened& operator=(Opened&& other) {
            close();
            entries_ = other.entries_;
            scratch_of_ = exchange(other.scratch_of_, nullptr);
            return *this;
        }
        ~Opened() { close(); }

        Entry* entries() const { return entries_; }

      private:
        friend class RecursiveSlot;
        Opened(Entry* entries, RecursiveSlot* scratch_of)
            : entries_(entries), scratch_of_(scratch_of) {}
        void close() {
            if (scratch_of_ != nullptr) scratch_of_->close_scratch_locked();
            scratch_of_ = nullptr;
        }

        Entry* entries_ = nullptr;
        RecursiveSlot* scratch_of_ = nullptr;  // null for a linked table
    };

    // Traps when the slots are not three different entries of a root.
    explicit RecursiveSlot(const RecursiveSlots& slots, Tlb tlb = Tlb(), AddressView view = {},
                           Format format = Format())
        : slots_(slots), tlb_(tlb), view_(view), format_(format) {
        if (slots.self >= Format::entries || slots.foreign >= Format::entries ||
            slots.scratch >= Format::entries) {
            trap();
        }
        if (slots.self == slots.foreign || slots.self == slots.scratch ||
            slots.foreign == slots.scratch) {
            trap();
        }
    }
    RecursiveSlot(const RecursiveSlot&) = delete;
    RecursiveSlot& operator=(const RecursiveSlot&) = delete;

    // Holds the lock while it lives. The active page table must have its self slot.
    Session begin() { return Session(*this); }
    // Errors: unreachable (the format cannot address the frame), busy (a table that is not linked
    // is open already). O(levels).
    Result<Opened> open(const Session&, const TableLocation& location);
    constexpr bool keeps(unsigned root_index) const {
        return root_index == slots_.self || root_index == slots_.foreign ||
               root_index == slots_.scratch;
    }

    const RecursiveSlots& slots() const { return slots_; }
    // The root of the active page table, as its own self slot says.
    Frame active_root() const {
        return format_.frame_of(root_level(), load_entry(active_entry(slots_.self)));
    }

  private:
    unsigned root_level() const { return format_.root_level(); }

    // Adds an index to a page number on its way down.
    static constexpr uintptr_t step(uintptr_t page, unsigned index) {
        return (page << Format::index_bits) | index;
    }
    // Where a table of that level appears when the root in `slot` is the one that leads to it.
    Page page_of_table(unsigned slot, unsigned level, VirtualAddress first) const {
        uintptr_t page = 0;
        for (unsigned i = 0; i < level; ++i)
            page = step(page, slots_.self);
        page = step(page, slot);
        for (unsigned upper = root_level(); upper > level; --upper) {
            const uintptr_t index = quire::page_of(first).value() >> (upper * Format::index_bits);
            page = step(page, static_cast<unsigned>(index & (Format::entries - 1)));
        }
        return format_.canonical(page);
    }
    Page page_of_root(unsigned slot) const {
        return page_of_table(slot, root_level(), VirtualAddress());
    }
    Entry* pointer(Page page) const { return view_.template pointer<Entry>(address_of(page)); }
    Entry& active_entry(unsigned index) const { return pointer(page_of_root(slots_.self))[index]; }

    Entry* show_locked(Page page) {
        tlb_.flush_page(address_of(page));
        return pointer(page);
    }
    // Makes a shared slot of the active root lead to a table.
    void point_locked(unsigned slot, Frame table) {
        Entry& place = active_entry(slot);
        const Entry old = load_entry(place);
        const bool right = format_.kind(root_level(), old) == EntryKind::table &&
                           format_.frame_of(root_level(), old) == table;
        if (!right) store_entry(place, format_.recursive_table(table), MemoryOrder::release);
    }
    void empty_locked(unsigned slot) {
        store_entry(active_entry(slot), Format::empty);
        tlb_.flush_page(address_of(page_of_root(slot)));
    }
    void close_scratch_locked() {
        empty_locked(slots_.scratch);
        scratch_open_ = false;
    }
    void close_foreign_locked() {
        if (foreign_open_) empty_locked(slots_.foreign);
        foreign_open_ = false;
    }

    RecursiveSlots slots_;
    Tlb tlb_;
    AddressView view_;
    Format format_;
    Lock lock_;
    bool scratch_open_ = false;
    bool foreign_open_ = false;
};

template <PagingFormat Format, LocalTlb Tlb, Lockable Lock>
auto RecursiveSlot<Format, Tlb, Lock>::open(const Session&, const TableLocation& location)
    -> Result<Opened> {
    if (location.table > format_.highest_frame()) {
        return Failure{Error::unreachable, address_of(location.table).value()};
    }
    if (!location.linked) {
        if (scratch_open_) return Failure{Error::busy, address_of(location.table).value()};
        point_locked(slots_.scratch, location.table);
        scratch_open_ = true;
        return Opened(show_locked(page_of_root(slots_.scratch)), this);
    }
    unsigned slot = slots_.self;
    if (location.root != active_root()) {
        point_locked(slots_.foreign, location.root);
        foreign_open_ = true;
        slot = slots_.foreign;
    }
    return Opened(show_locked(page_of_table(slot, location.level, location.first)), nullptr);
}

}  // namespace quire
