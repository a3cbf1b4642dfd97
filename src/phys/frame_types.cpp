// SPDX-License-Identifier: MIT
#include "quire/phys/frame_types.hpp"

namespace quire {

const char* to_string(Zone zone) {
    switch (zone) {
        case Zone::dma:
            return "dma";
        case Zone::direct:
            return "direct";
        case Zone::high:
            return "high";
    }
    return "unknown zone";
}

}  // namespace quire
