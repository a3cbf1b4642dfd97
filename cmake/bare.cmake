# SPDX-License-Identifier: MIT
#
# What the toolchains of bare machines have in common: Clang and LLD, no C library, no floating
# point or vector registers. Link options given to a target go to ld.lld as they stand (-T script,
# -Map=..., --gc-sections). QUIRE_TARGET is the machine as Clang names it, QUIRE_EMULATION as LLD
# does.
set(CMAKE_SYSTEM_NAME Generic)

include(${CMAKE_CURRENT_LIST_DIR}/llvm.cmake)
quire_find_llvm()
if(NOT QUIRE_LLD)
    message(FATAL_ERROR "no ld.lld found; install lld${QUIRE_LLVM_SUFFIX}")
endif()

set(CMAKE_C_COMPILER ${QUIRE_CLANG})
set(CMAKE_CXX_COMPILER ${QUIRE_CLANGXX})
set(CMAKE_ASM_COMPILER ${QUIRE_CLANG})
foreach(language C CXX ASM)
    set(CMAKE_${language}_COMPILER_TARGET ${QUIRE_TARGET})
    string(JOIN " " CMAKE_${language}_LINK_EXECUTABLE
        "<CMAKE_LINKER> -m ${QUIRE_EMULATION} -static -nostdlib <LINK_FLAGS> <OBJECTS>"
        "-o <TARGET> <LINK_LIBRARIES>")
endforeach()
# Not by CMAKE_<LANG>_FLAGS_INIT: a preset that sets CMAKE_<LANG>_FLAGS overrides that when CMake
# runs again.
add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-mgeneral-regs-only>
                    $<$<COMPILE_LANGUAGE:C,CXX>:-fno-pic> $<$<COMPILE_LANGUAGE:C,CXX>:-nostdlibinc>)
set(CMAKE_LINKER ${QUIRE_LLD} CACHE FILEPATH "linker")
set(CMAKE_AR ${QUIRE_LLVM_AR} CACHE FILEPATH "archiver")
set(CMAKE_RANLIB ${QUIRE_LLVM_RANLIB} CACHE FILEPATH "archive indexer")
set(CMAKE_OBJCOPY ${QUIRE_LLVM_OBJCOPY} CACHE FILEPATH "object copier")

# Nothing links without the kernel's own start code, so the compiler is tried on a library.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
