// SPDX-License-Identifier: MIT
// A file for each, so that a kernel links only what it uses.
#include "quire/paging/x86/page_tables_pae.hpp"

namespace quire {

template class FormatPageTable<X86Pae, DirectMap>;

}  // namespace quire
