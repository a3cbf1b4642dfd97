// SPDX-License-Identifier: MIT
// A file for each, so that a kernel links only what it uses.
#include "quire/paging/x86/page_tables.hpp"

namespace quire {

template class FormatPageTable<X86_32, X86RecursiveSlot>;

}  // namespace quire
