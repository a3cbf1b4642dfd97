// SPDX-License-Identifier: MIT
#include "unit/paging/paging_worlds.hpp"

namespace quire::paging_test {

std::vector<Way> ways_of_32_bits() {
    using Window32 = ThroughWindow<X86_32>;
    using Slot32 = ThroughRecursiveSlot<X86_32, Slots32>;
    using WindowPae = ThroughWindow<X86Pae>;
    return {
        way<Bits32, ThroughDirectMap, Use::active>(),
        way<Bits32, ThroughDirectMap, Use::inactive>(),
        way<Bits32, Slot32, Use::active>(),
        way<Bits32, Slot32, Use::inactive>(),
        way<Bits32, Window32, Use::active>(),
        way<Bits32, Window32, Use::inactive>(),
        way<Bits32, ThroughHost, Use::inactive>(),
        way<Pae, ThroughDirectMap, Use::active>(),
        way<Pae, ThroughDirectMap, Use::inactive>(),
        way<Pae, WindowPae, Use::active>(),
        way<Pae, WindowPae, Use::inactive>(),
        way<Pae, ThroughHost, Use::inactive>(),
    };
}

}  // namespace quire::paging_test
