# SPDX-License-Identifier: MIT
#
# A bare x86-64 machine.
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(QUIRE_ISA x86_64)
set(QUIRE_TARGET x86_64-unknown-none-elf)
set(QUIRE_EMULATION elf_x86_64)
include(${CMAKE_CURRENT_LIST_DIR}/bare.cmake)
# Code of a kernel: in the last 2 GiB, interrupted on its own stack, which so has no red zone.
add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-mcmodel=kernel>
                    $<$<COMPILE_LANGUAGE:C,CXX>:-mno-red-zone>)
