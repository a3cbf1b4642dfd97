// SPDX-License-Identifier: MIT
#include "quire/paging/attributes.hpp"

namespace quire {

const char* to_string(MemoryType type) {
    switch (type) {
        case MemoryType::write_back:
            return "write-back";
        case MemoryType::write_through:
            return "write-through";
        case MemoryType::write_combining:
            return "write-combining";
        case MemoryType::uncached:
            return "uncached";
        case MemoryType::device:
            return "device";
    }
    return "unknown";
}

}  // namespace quire
