// SPDX-License-Identifier: MIT
// Bytes are written behind the end of a block, as it was asked for, or before its start. The block
// lies among others of its size. Then it and the others are freed, or nothing is done and the
// process ends.
#include "misuse.hpp"

namespace misuse {
namespace {

enum class Then { free, end };
enum class Side { behind, before };

template <Side side, size_t extent, Then then, unsigned char value = 0xa5>
Effect write(size_t bytes) {
    Neighbours blocks(bytes);
    unsigned char* block = blocks.in_the_middle();
    if constexpr (side == Side::behind) {
        memset(block + bytes, value, extent);
    } else {
        memset(block - extent, value, extent);
    }
    hide(block);
    if (then == Then::free) blocks.free_all();
    return Effect::done;
}
template <size_t extent, Then then>
constexpr auto behind = write<Side::behind, extent, then>;
template <size_t extent, Then then>
constexpr auto before = write<Side::before, extent, then>;

// A string without room for the zero at its end.
constexpr auto zero_behind = write<Side::behind, 1, Then::free, 0>;

// The last byte of a page-sized stride: what lies between is not touched.
Effect one_byte_a_page_on(size_t bytes) {
    Neighbours blocks(bytes);
    *moved(blocks.in_the_middle(), static_cast<ptrdiff_t>(bytes + 4095)) = 0xa5;
    blocks.free_all();
    return Effect::done;
}

constexpr Row overflow_rows[] = {
    {"by-1-then-free", behind<1, Then::free>, {small, power, medium, large}},
    {"by-8-then-free", behind<8, Then::free>, {small, power, medium, large}},
    {"by-16-then-free", behind<16, Then::free>, {small, page, medium, large}},
    {"by-a-page-then-free", behind<4096, Then::free>, {small, medium, large}},
    {"by-1-then-end", behind<1, Then::end>, {small, medium, large}},
    {"by-8-then-end", behind<8, Then::end>, {small, medium, large}},
    {"by-16-then-end", behind<16, Then::end>, {small, medium, large}},
    {"by-a-page-then-end", behind<4096, Then::end>, {small, medium, large}},
    {"by-a-zero-then-free", zero_behind, {small, medium, large}},
    {"one-byte-a-page-on", one_byte_a_page_on, {large}},
};
constexpr Row underflow_rows[] = {
    {"by-1-then-free", before<1, Then::free>, {small, power, medium, large}},
    {"by-8-then-free", before<8, Then::free>, {small, power, medium, large}},
    {"by-16-then-free", before<16, Then::free>, {small, page, medium, large}},
    {"by-a-page-then-free", before<4096, Then::free>, {small, medium, large}},
    {"by-8-then-end", before<8, Then::end>, {small, medium, large}},
    {"by-a-page-then-end", before<4096, Then::end>, {small, medium, large}},
};

// Every byte of blocks of very many sizes is written, and no other.
void control() {
    for (size_t bytes = 1; bytes < 20'000; bytes += 1 + bytes / 16) {
        Neighbours blocks(bytes);
        for (unsigned char* block : blocks.block)
            memset(block, 0xa5, bytes);
        blocks.free_all();
    }
    Neighbours blocks(large);
    blocks.free_all();
}

}  // namespace

extern const Class overflow, underflow;
const Class overflow{"overflow", overflow_rows, control};
const Class underflow{"underflow", underflow_rows, control};

}  // namespace misuse
