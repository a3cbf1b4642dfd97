// SPDX-License-Identifier: MIT
#pragma once

#include "hobby.hpp"
#include "quire_subject.hpp"

namespace quire::bench {

// Calls `use.template operator()<Subject>()` for each; those of 32-bit machines come last.
template <class Use>
void for_each_subject(Use use) {
    use.template operator()<Hobby>();
    use.template operator()<Floor>();
    use.template operator()<Quire<FourLevels>>();
    use.template operator()<Quire<FiveLevels>>();
    use.template operator()<Quire<ThreeLevels>>();
    use.template operator()<Quire<TwoLevels>>();
}

// Whether its format has more addresses than 32 bits name.
template <class S>
inline constexpr bool is_wide = true;
template <class Mode>
inline constexpr bool is_wide<Quire<Mode>> = Mode::Format::levels > 3;

}  // namespace quire::bench
