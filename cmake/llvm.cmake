# SPDX-License-Identifier: MIT
#
# Finds the tools of one LLVM release: 19, which the project is developed with, else the newest
# from 16 on. Distributions install them side by side as clang++-19, clang++-18 and so on.

function(quire_find_llvm)
    set(versions 19 22 21 20 18 17 16)
    foreach(version IN LISTS versions)
        find_program(QUIRE_CLANGXX clang++-${version})
        if(QUIRE_CLANGXX)
            set(QUIRE_LLVM_SUFFIX "-${version}" CACHE INTERNAL "suffix of the LLVM tools")
            break()
        endif()
    endforeach()
    if(NOT QUIRE_CLANGXX)
        find_program(QUIRE_CLANGXX clang++)
        set(QUIRE_LLVM_SUFFIX "" CACHE INTERNAL "suffix of the LLVM tools")
    endif()
    if(NOT QUIRE_CLANGXX)
        message(FATAL_ERROR "no clang++ found; install clang-19, or the newest from clang-16 on")
    endif()
    find_program(QUIRE_CLANG clang${QUIRE_LLVM_SUFFIX})
    find_program(QUIRE_LLD NAMES ld.lld${QUIRE_LLVM_SUFFIX} ld.lld)
    find_program(QUIRE_LLVM_AR NAMES llvm-ar${QUIRE_LLVM_SUFFIX} llvm-ar ar)
    find_program(QUIRE_LLVM_RANLIB NAMES llvm-ranlib${QUIRE_LLVM_SUFFIX} llvm-ranlib ranlib)
    find_program(QUIRE_LLVM_OBJCOPY NAMES llvm-objcopy${QUIRE_LLVM_SUFFIX} llvm-objcopy objcopy)
    mark_as_advanced(QUIRE_CLANGXX QUIRE_CLANG QUIRE_LLD QUIRE_LLVM_AR QUIRE_LLVM_RANLIB
                     QUIRE_LLVM_OBJCOPY)
endfunction()
