// SPDX-License-Identifier: MIT
// What the C++ ABI calls when a pure virtual function is reached, which compilers refer to from the
// tables of abstract classes. Weak, so that a kernel that has its own keeps it.
#include "quire/base/trap.hpp"

extern "C" [[gnu::weak]] void __cxa_pure_virtual();
extern "C" void __cxa_pure_virtual() {
    quire::trap();
}
