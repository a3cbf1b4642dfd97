// SPDX-License-Identifier: MIT
// Included by force in the copy of the library that ./quire mutants builds: the switch of a mutant.
#pragma once

// Whether mutant `number` is on; also notes that its site was reached.
extern "C" bool quire_mutant_reached(unsigned number) noexcept;

// Constant expressions are evaluated by the compiler and keep every check.
constexpr bool quire_mutant(unsigned number) {
    return __builtin_is_constant_evaluated() ? false : quire_mutant_reached(number);
}
