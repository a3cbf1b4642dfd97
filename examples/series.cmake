# SPDX-License-Identifier: MIT
#
# What the two kernels of the tutorial series have in common.
include_guard(GLOBAL)

# quire_series_kernel(<target> <file> <linker script> SOURCES ... CHOICES ...)
#
# quire/series.h is fitted to a kernel at compile time, so each of the two compiles src/series with
# its own choices (see quire/series_config.h). A project with one kernel gives them to the library:
#     target_compile_definitions(quire PUBLIC QUIRE_SERIES_REACH=QUIRE_SERIES_RECURSIVE)
function(quire_series_kernel target file script)
    cmake_parse_arguments(PARSE_ARGV 3 kernel "" "" "SOURCES;CHOICES")
    file(STRINGS ${PROJECT_SOURCE_DIR}/sources.txt fitted REGEX "^src/series/")
    list(TRANSFORM fitted PREPEND ${PROJECT_SOURCE_DIR}/)
    add_library(${target}_fitted STATIC ${fitted})
    target_compile_definitions(${target}_fitted PUBLIC ${kernel_CHOICES})
    quire_library_options(${target}_fitted)
    target_link_libraries(${target}_fitted PUBLIC quire::quire)

    set(script ${CMAKE_CURRENT_SOURCE_DIR}/${script})
    add_executable(${target} ${kernel_SOURCES})
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME ${file} LINK_DEPENDS ${script}
        C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
    quire_warnings(${target})
    target_compile_options(${target} PRIVATE -ffreestanding -fno-builtin -fno-stack-protector
                                             -fno-asynchronous-unwind-tables)
    target_link_options(${target} PRIVATE -T ${script} -z max-page-size=4096 --no-undefined)
    target_link_libraries(${target} PRIVATE ${target}_fitted)
endfunction()
