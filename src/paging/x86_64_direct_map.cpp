// SPDX-License-Identifier: MIT
// A file for each, so that a kernel links only what it uses.
#include "quire/paging/x86/page_tables_64.hpp"

#if UINTPTR_MAX > UINT32_MAX

namespace quire {

template class FormatPageTable<X86_64, DirectMap>;

}  // namespace quire

#endif
