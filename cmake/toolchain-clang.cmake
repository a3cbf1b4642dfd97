# SPDX-License-Identifier: MIT
#
# The host's own Clang, whichever release is installed.
include(${CMAKE_CURRENT_LIST_DIR}/llvm.cmake)
quire_find_llvm()
set(CMAKE_C_COMPILER ${QUIRE_CLANG})
set(CMAKE_CXX_COMPILER ${QUIRE_CLANGXX})
