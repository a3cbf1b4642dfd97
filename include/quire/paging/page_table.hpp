// SPDX-License-Identifier: MIT
// The page table, whatever its format and however its bytes are reached.
//
// An entry is empty, present, or absent with a payload. All operations take ranges of pages, use
// the largest pages that both sides' alignment allows, and are all or nothing: on failure the table
// is what it was, to the bit, and no frame is lost. Not synchronised: whoever owns the table locks
// (AddressSpace does). Any context that may wait for that lock. No function needs storage that
// grows with the range.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/function_ref.hpp"
#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/attributes.hpp"
#include "quire/paging/frame_source.hpp"
#include "quire/paging/invalidation.hpp"

namespace quire {

enum class EntryState : uint8_t { empty, present, absent };

// One entry of a page table, as a walk finds it.
struct Translation {
    EntryState state = EntryState::empty;
    PageRange pages;        // all that the entry covers: one page, or a large page's many
    FrameRange frames;      // present: what backs them
    Attributes attributes;  // present: what the CPU grants, as the entries of all levels say
    bool accessed = false;  // present: the CPU has used it
    bool dirty = false;     // present: the CPU has written through it
    uint64_t payload = 0;   // absent

    // Present only: the physical address behind an address inside `pages`.
    PhysicalAddress physical(VirtualAddress address) const {
        return address_of(frames.first()) + (address - address_of(pages.first()));
    }
};

// What unmap does with the frames that were mapped.
enum class UnmappedFrames : uint8_t {
    keep,     // they are the caller's
    release,  // they go to the frame source when the invalidation is spent
};
// What a change does about pages of its range where nothing is mapped.
enum class Holes : uint8_t {
    refuse,  // Error::not_mapped, with the first such page's address
    skip,
};

// Whether CPUs may be walking a page table while it is changed.
enum class TableUse : uint8_t { active, inactive };

class PageTable {
  public:
    // What this table can map: the format's addresses less what its access keeps for itself.
    virtual PageRange reach() const = 0;
    // The last frame that the format can address.
    virtual Frame highest_frame() const = 0;
    // Payloads of absent entries are below this power of two.
    virtual uint64_t payload_limit() const = 0;
    // The table's top level, for the CPU's root register.
    virtual Frame root() const = 0;
    // Frames that the table itself occupies, its root included. O(1).
    virtual FrameCount table_frames() const = 0;
    // Where tables come from and go to from now on, and frames released by unmap.
    virtual void set_frame_source(FrameSource source) = 0;

    // Maps pages to frames that follow one another, as many as there are pages.
    // Errors: zero_size; out_of_range (pages outside reach(), frames above highest_frame());
    // unsupported (attributes the format cannot express); already_mapped (with the address of the
    // first page that is not empty); busy (that page waits for an unspent invalidation);
    // out_of_frames (for tables); unreachable (a table's frame, by the access).
    virtual Result<Invalidation> map(const PageRange& pages, Frame first,
                                     const Attributes& attributes) = 0;

    // Makes entries empty, present and absent ones alike, and frees tables that become empty.
    // Errors: zero_size; out_of_range; not_mapped (see Holes); out_of_frames (a large page has to
    // be split and there is no frame for the table); busy (an invalidation of an earlier unmap of
    // this table, which has something to give back, is not yet spent).
    virtual Result<UnmapInvalidation> unmap(const PageRange& pages,
                                            UnmappedFrames frames = UnmappedFrames::keep,
                                            Holes holes = Holes::refuse) = 0;

    // Changes the protection of present entries; memory type, accessed and dirty stay. Absent
    // entries count as holes. Errors: as unmap, and unsupported.
    virtual Result<Invalidation> protect(const PageRange& pages, Protection protection,
                                         Holes holes = Holes::refuse) = 0;

    // Makes sure that no entry reaches across an end of the range: large pages and payloads that do
    // are split, into entries as large as can be, which say the same. So changes of the range, or
    // of what is beside it, need no further table for that. Errors: zero_size; out_of_range;
    // out_of_frames; unreachable. O(levels).
    virtual Result<Invalidation> split(const PageRange& pages) = 0;

    // Makes one large page of the table whose entry decides about an address, where all its entries
    // are leaves that grant the same and whose frames follow one another and are aligned as the
    // large page must be. Accessed and dirty become those of all of them. Spending the invalidation
    // frees the table. Errors: out_of_range; unsupported (the format has no such large page, the
    // table is the root, or an entry on the way to it withholds rights); not_mapped, misaligned
    // (with the address of the first page that does not fit: no leaf there, or not the one that
    // should follow); busy (as unmap). O(entries).
    virtual Result<UnmapInvalidation> merge(VirtualAddress address) = 0;

    // Clears accessed and dirty in all leaves that overlap the range, and calls `visit` for each
    // that had one of them, as it was. Until the invalidation is spent, CPUs may use pages and not
    // say so. `visit` must not change the table. Errors: zero_size; out_of_range.
    // O(entries of the tables in the range).
    virtual Result<Invalidation> harvest(const PageRange& pages,
                                         FunctionRef<void(const Translation&)> visit) = 0;

    // Makes empty entries absent with a payload (swapped, parked, promised). Errors: as map;
    // bad_argument (payload not below payload_limit()).
    virtual Status park(const PageRange& pages, uint64_t payload) = 0;

    // The entry that decides about an address; an empty one covers the page alone. Error:
    // out_of_range. O(levels).
    virtual Result<Translation> query(VirtualAddress address) const = 0;

    // The physical address behind an address. Errors: out_of_range; not_mapped. Remembers where it
    // was, and so counts as a change to whoever locks. O(levels), and less work than query.
    virtual Result<PhysicalAddress> translate(VirtualAddress address);

    // Calls `visit` for every entry that is not empty and overlaps the range, in ascending order,
    // until it returns false. It must not change the table. Error: out_of_range.
    // O(tables in the range).
    virtual Status walk(const PageRange& pages,
                        FunctionRef<bool(const Translation&)> visit) const = 0;

    // Checks that no table is empty, no entry holds bits the format reserves, and that
    // table_frames() is right. Error: corrupted, with the address concerned. O(tables).
    virtual Status validate() const = 0;

  protected:
    PageTable() = default;
    PageTable(const PageTable&) = delete;
    PageTable& operator=(const PageTable&) = delete;
    ~PageTable() = default;

  private:
    friend class UnmapInvalidation;
    // The flush of `request` is done: gives back what waits in its range.
    virtual void finish(const FlushRequest& request) = 0;
};

inline Result<PhysicalAddress> PageTable::translate(VirtualAddress address) {
    const auto found = query(address);
    if (!found.ok()) return found.failure();
    if (found->state != EntryState::present) return Failure{Error::not_mapped, address.value()};
    return found->physical(address);
}

}  // namespace quire
