# SPDX-License-Identifier: MIT
#
# The host's own GCC.
set(CMAKE_C_COMPILER gcc)
set(CMAKE_CXX_COMPILER g++)
