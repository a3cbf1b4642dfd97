// SPDX-License-Identifier: MIT
// The 64-bit page tables of an x86 kernel through each access, compiled once in the library. On
// 32-bit machines this header is empty.
#pragma once

#include "quire/paging/x86_64.hpp"

#if UINTPTR_MAX > UINT32_MAX

#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/install_window.hpp"
#include "quire/paging/recursive_slot.hpp"
#include "quire/paging/window.hpp"
#include "quire/paging/x86/local_tlb.hpp"

namespace quire {

using X86_64Window = Window<X86_64, X86LocalTlb>;
using X86_64RecursiveSlot = RecursiveSlot<X86_64, X86LocalTlb>;

static_assert(TableAccess<X86_64Window, X86_64::Entry> && FrameAccess<X86_64Window>);
static_assert(TableAccess<X86_64RecursiveSlot, X86_64::Entry>);

extern template class FormatPageTable<X86_64, DirectMap>;
extern template class FormatPageTable<X86_64, X86_64Window>;
extern template class FormatPageTable<X86_64, X86_64RecursiveSlot>;

}  // namespace quire

#endif
