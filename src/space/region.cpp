// SPDX-License-Identifier: MIT
#include "quire/space/region.hpp"

namespace quire {

const char* to_string(Backing backing) {
    switch (backing) {
        case Backing::anonymous:
            return "anonymous";
        case Backing::on_demand:
            return "on demand";
        case Backing::reserved:
            return "reserved";
        case Backing::frames:
            return "frames";
        case Backing::adopted:
            return "adopted";
        case Backing::guard:
            return "guard";
    }
    return "unknown";
}

}  // namespace quire
