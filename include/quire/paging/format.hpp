// SPDX-License-Identifier: MIT
// What a format is: how one architecture mode writes page-table entries.
#pragma once

#include <stdint.h>

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"
#include "quire/paging/attributes.hpp"

namespace quire {

// What an entry is. The first four are not present: hardware ignores all their other bits.
enum class EntryKind : uint8_t {
    empty,     // nothing
    payload,   // a number of the table's owner (see PageTable::park)
    parked,    // frames taken out, to be given back once the TLBs are flushed
    detached,  // a table taken out with all that is in it, likewise
    leaf,      // maps a page or a large page
    table,     // leads to a table one level down
};
constexpr bool is_present(EntryKind kind) {
    return kind == EntryKind::leaf || kind == EntryKind::table;
}
// Nothing is mapped or promised there, though something may wait to be given back.
constexpr bool is_vacant(EntryKind kind) {
    return kind == EntryKind::empty || kind == EntryKind::parked || kind == EntryKind::detached;
}

// A format is data and pure functions keyed by level: level 0 maps single pages, `root_level()` is
// the root, at most `levels - 1`. A table of any level has `entries` entries of which each covers
// 2^(index_bits * level) pages; it fills one frame.
//
// `pages()` are those that a table of the format is used for, one run. `canonical` makes a page of
// the bits that indices name, filling in those above as the CPU wants them. `highest_frame()` is
// the last that entries can name on this CPU.
//
// `highest_root()` is the last frame that the CPU's root register can name.
//
// Where a CPU reads the root's entries once, when it loads its root register (PAE), these must not
// change while the table lives: its first `fixed_root_entries` entries lead to tables from the
// start to the end. Elsewhere that number is 0, and nothing about the root is special.
//
// Marks are what the CPU notes in a leaf: accessed and dirty.
//
// A CPU grants what all entries on the way grant. Formats make tables' entries that grant every
// right, so that leaves alone decide; `table_rights` says what others' leave of a leaf's.
//
// `leads_to_table` is `kind` being `table`, of a well-formed entry of a level above 0, in fewer
// instructions. Frames stand in the same bits, `frame_bits`, of tables' entries and of leaves.
//
// `with_protection` sets and clears bits, the same of every leaf: what it makes of all ones and of
// zero says what it makes of any.
//
// A level that can hold leaves implies that all levels below can. `part` makes the leaf (or absent
// entry) one level down that does for the index-th part what the given entry does for the whole.
template <class F>
concept PagingFormat = requires(const F& format, typename F::Entry entry, unsigned level,
                                Frame frame, const Attributes& attributes, Protection protection,
                                EntryKind kind, uint64_t value, uintptr_t number) {
    { F::levels } -> convertible_to<unsigned>;
    { F::index_bits } -> convertible_to<unsigned>;
    { F::entries } -> convertible_to<unsigned>;
    { F::payload_bits } -> convertible_to<unsigned>;
    { F::fixed_root_entries } -> convertible_to<unsigned>;
    { F::empty } -> convertible_to<typename F::Entry>;
    { format.root_level() } -> same_as<unsigned>;
    { format.pages() } -> same_as<PageRange>;
    { format.canonical(number) } -> same_as<Page>;
    { format.highest_frame() } -> same_as<Frame>;
    { format.highest_root() } -> same_as<Frame>;
    { format.can_map_at(level) } -> same_as<bool>;
    { format.check(attributes) } -> same_as<Status>;
    { format.leaf(level, frame, attributes) } -> same_as<typename F::Entry>;
    { format.table(level, frame) } -> same_as<typename F::Entry>;
    { format.table_rights(level, entry) } -> same_as<Protection>;
    { format.absent(kind, value) } -> same_as<typename F::Entry>;
    { format.kind(level, entry) } -> same_as<EntryKind>;
    { format.value_of(entry) } -> same_as<uint64_t>;
    { format.frame_of(level, entry) } -> same_as<Frame>;
    { format.attributes_of(level, entry) } -> same_as<Attributes>;
    { format.accessed(entry) } -> same_as<bool>;
    { format.dirty(entry) } -> same_as<bool>;
    { format.without_marks(entry) } -> same_as<typename F::Entry>;
    { format.with_marks_of(entry, entry) } -> same_as<typename F::Entry>;
    { format.is_global(entry) } -> same_as<bool>;
    { format.leads_to_table(entry) } -> same_as<bool>;
    { format.frame_bits(frame) } -> same_as<typename F::Entry>;
    { format.with_protection(entry, protection) } -> same_as<typename F::Entry>;
    { format.part(level, entry, level) } -> same_as<typename F::Entry>;
    { format.is_well_formed(level, entry) } -> same_as<bool>;
};

// A format in which an entry of the root can lead to the root itself, so that tables show up as
// pages (see RecursiveSlot).
template <class F>
concept RecursivePagingFormat = PagingFormat<F> && requires(const F& format, Frame frame) {
    { format.recursive_table(frame) } -> same_as<typename F::Entry>;
};

}  // namespace quire
