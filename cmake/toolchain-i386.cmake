# SPDX-License-Identifier: MIT
#
# A bare i686 machine.
set(CMAKE_SYSTEM_PROCESSOR i686)
set(QUIRE_ISA i386)
set(QUIRE_TARGET i686-unknown-none-elf)
set(QUIRE_EMULATION elf_i386)
include(${CMAKE_CURRENT_LIST_DIR}/bare.cmake)
add_compile_options(-march=i686)
