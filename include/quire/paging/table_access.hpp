// SPDX-License-Identifier: MIT
// How a page table's own bytes are reached. Three ways: DirectMap, RecursiveSlot, Window.
#pragma once

#include "quire/base/range.hpp"
#include "quire/base/result.hpp"

namespace quire {

// Everything an access may need to know to find a table's bytes.
struct TableLocation {
    Frame root;            // of the page table that it belongs to
    Frame table;           // the table's own frame
    unsigned level = 0;    // 0: its entries map single pages; the root has the highest
    VirtualAddress first;  // the first address that the table decides about
    bool linked = true;    // whether the root leads to it: false for a fresh or a detached table
};

// A session keeps others off what the access shares (windows, scratch slots) while one operation
// runs; inside it, opening a table that could be opened once does not fail again. An opened table
// yields its entries while the object lives. At most levels + 1 tables are open at once, and of
// those at most one that is not linked.
//
// `keeps` names the root entries that the access uses for itself: the page table leaves them alone,
// and nothing can be mapped there.
//
// While a session lives, nothing may be called that begins another on the same access: neither the
// frame source nor a visitor of PageTable::walk may come back to it.
template <class A, class Entry>
concept TableAccess = requires(A& access, const TableLocation& location, unsigned root_index) {
    { access.begin() };                              // the session
    { access.open(access.begin(), location).ok() };  // unreachable, busy
    { access.open(access.begin(), location).value().entries() } -> convertible_to<Entry*>;
    { access.keeps(root_index) } -> same_as<bool>;
};

// An access that shows every table at an address of its own all the time, and needs no session for
// it: so an open table can be remembered. `visible_table` is null for one that it cannot show;
// the unchecked one is for tables that can be opened, as all that a page table makes or adopts can.
template <class A>
concept VisibleTableAccess = requires(const A& access, Frame table) {
    { access.visible_table(table) } -> same_as<void*>;
    { access.visible_table_unchecked(table) } -> same_as<void*>;
};

}  // namespace quire
