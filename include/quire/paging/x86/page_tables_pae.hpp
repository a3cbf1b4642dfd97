// SPDX-License-Identifier: MIT
// The PAE page tables of an x86 kernel through each access, compiled once in the library.
#pragma once

#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/install_window.hpp"
#include "quire/paging/window.hpp"
#include "quire/paging/x86/local_tlb.hpp"
#include "quire/paging/x86_pae.hpp"

namespace quire {

using X86PaeWindow = Window<X86Pae, X86LocalTlb>;

static_assert(TableAccess<X86PaeWindow, X86Pae::Entry> && FrameAccess<X86PaeWindow>);

extern template class FormatPageTable<X86Pae, DirectMap>;
extern template class FormatPageTable<X86Pae, X86PaeWindow>;

}  // namespace quire
