// SPDX-License-Identifier: MIT
#include "unit/paging/paging_worlds.hpp"

namespace quire::paging_test {

std::vector<Way> ways_of_64_bits() {
    using Window64 = ThroughWindow<X86_64>;
    using SlotLow4 = ThroughRecursiveSlot<X86_64, SlotsBefore<Low4>>;
    using SlotHigh4 = ThroughRecursiveSlot<X86_64, SlotsBefore<High4>>;
    using SlotHigh5 = ThroughRecursiveSlot<X86_64, SlotsBefore<High5>>;
    using SlotLast5 = ThroughRecursiveSlot<X86_64, SlotsInARow>;
    return {
        way<High4, ThroughDirectMap, Use::active>(),   way<Low4, ThroughDirectMap, Use::inactive>(),
        way<High4, SlotHigh4, Use::active>(),          way<Low4, SlotLow4, Use::inactive>(),
        way<High4, Window64, Use::active>(),           way<Low4, Window64, Use::inactive>(),
        way<Low4, ThroughHost, Use::inactive>(),       way<Low5, ThroughDirectMap, Use::active>(),
        way<High5, ThroughDirectMap, Use::inactive>(), way<High5, SlotHigh5, Use::active>(),
        way<Last5, SlotLast5, Use::inactive, Low5>(),  way<Low5, Window64, Use::active>(),
        way<High5, Window64, Use::inactive>(),         way<High5, ThroughHost, Use::inactive>(),
    };
}

}  // namespace quire::paging_test
