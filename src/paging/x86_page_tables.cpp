// SPDX-License-Identifier: MIT
#include "quire/paging/x86/page_tables.hpp"

namespace quire {

template class FormatPageTable<X86_32, DirectMap>;
template class FormatPageTable<X86_32, X86Window>;
template class FormatPageTable<X86_32, X86RecursiveSlot>;

}  // namespace quire
