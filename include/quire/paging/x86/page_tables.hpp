// SPDX-License-Identifier: MIT
// The 32-bit page tables of an x86 kernel through each access, compiled once in the library.
#pragma once

#include "quire/base/lock.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/install_window.hpp"
#include "quire/paging/recursive_slot.hpp"
#include "quire/paging/window.hpp"
#include "quire/paging/x86/local_tlb.hpp"
#include "quire/paging/x86_32.hpp"

namespace quire {

using X86Window = Window<X86_32, X86LocalTlb>;
using X86RecursiveSlot = RecursiveSlot<X86_32, X86LocalTlb>;

static_assert(TableAccess<X86Window, X86_32::Entry> && FrameAccess<X86Window>);
static_assert(TableAccess<X86RecursiveSlot, X86_32::Entry>);

extern template class FormatPageTable<X86_32, DirectMap>;
extern template class FormatPageTable<X86_32, X86Window>;
extern template class FormatPageTable<X86_32, X86RecursiveSlot>;

}  // namespace quire
