# SPDX-License-Identifier: MIT
#
# Compiler options of the library, its tests and its tools.

# Warnings that every target of this repository is held to.
function(quire_warnings target)
    target_compile_options(${target} PRIVATE
        -Wall -Wextra -Wpedantic -Wshadow -Wconversion $<$<BOOL:${QUIRE_WERROR}>:-Werror>)
endfunction()

# The library proper. The hosted build differs from the freestanding one in three things only:
# RTTI stays on (tests derive from library classes and need their type information), the C++
# headers stay in reach, and sanitizers may be added.
function(quire_library_options target)
    quire_warnings(${target})
    target_compile_options(${target} PRIVATE
        -ffreestanding -fno-exceptions $<$<COMPILE_LANGUAGE:CXX>:-fno-threadsafe-statics>)
    if(QUIRE_FREESTANDING)
        target_compile_options(${target} PRIVATE
            $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti> $<$<COMPILE_LANGUAGE:CXX>:-nostdinc++>
            -fno-stack-protector -fno-asynchronous-unwind-tables)
    endif()
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()

# Hosted code beside the library: the simulated machine, tests, benchmarks.
function(quire_hosted_options target)
    quire_warnings(${target})
    # GCC 12 takes the empty state of a std::optional for an uninitialised value.
    target_compile_options(${target} PRIVATE
        $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_compile_features(${target} PRIVATE cxx_std_20)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()

# Sanitizers hold for every target of the build, or their runtime would see half of the program.
# The vptr check is left out: it needs type information that a kernel library does not have.
if(NOT QUIRE_FREESTANDING)
    if(QUIRE_SANITIZE STREQUAL "address")
        add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr
                            -fno-sanitize-recover=all -fno-omit-frame-pointer)
        add_link_options(-fsanitize=address,undefined)
    elseif(QUIRE_SANITIZE STREQUAL "thread")
        add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
        add_link_options(-fsanitize=thread)
    elseif(NOT QUIRE_SANITIZE STREQUAL "none")
        message(FATAL_ERROR
            "QUIRE_SANITIZE is '${QUIRE_SANITIZE}'; it may be none, address or thread")
    endif()
endif()
