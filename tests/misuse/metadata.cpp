// SPDX-License-Identifier: MIT
// Attacks on what a heap keeps for itself: words before blocks, links in free ones. An attack has
// an effect when the heap then hands out memory that is not its own to give: a live block's, or the
// program's own data. A heap whose books are out of reach goes on as if nothing had happened.
#include "misuse.hpp"

namespace misuse {
namespace {

alignas(64) unsigned char target[4096];

bool overlap(const void* a, size_t a_bytes, const void* b, size_t b_bytes) {
    const auto first = reinterpret_cast<uintptr_t>(a);
    const auto second = reinterpret_cast<uintptr_t>(b);
    return first < second + b_bytes && second < first + a_bytes;
}

// Allocates 64 blocks; whether one lies in the target or overlaps another or one of the live ones.
Effect look_at_new_blocks(size_t bytes, unsigned char* const* live, int live_count,
                          size_t live_bytes) {
    constexpr int count = 64;
    void* blocks[count];
    for (int i = 0; i < count; ++i) {
        blocks[i] = hide(malloc(bytes));
        require(blocks[i] != nullptr, "no memory");
        if (overlap(blocks[i], bytes, target, sizeof target)) return Effect::done;
        for (int j = 0; j < i; ++j)
            if (overlap(blocks[i], bytes, blocks[j], bytes)) return Effect::done;
        for (int j = 0; j < live_count; ++j)
            if (overlap(blocks[i], bytes, live[j], live_bytes)) return Effect::done;
    }
    for (void* block : blocks)
        free(block);
    return Effect::none;
}

void write_word(unsigned char* at, uint64_t word) {
    memcpy(hide(at), &word, sizeof word);
}

// ---- words before a block
// ------------------------------------------------------------------------

// The middle one of a row of blocks has the words before it changed, and is freed; the ones behind
// it live on.
template <class Smash>
Effect smash_then_free(size_t bytes, size_t next_bytes, Smash smash) {
    Neighbours blocks(bytes);
    smash(blocks.in_the_middle());
    free(blocks.in_the_middle());
    constexpr int live = Neighbours::count - Neighbours::middle - 1;
    return look_at_new_blocks(next_bytes, blocks.block + Neighbours::middle + 1, live, bytes);
}
uint64_t boundary_tag(size_t bytes) {
    return ((bytes + 8 + 15) & ~uint64_t{15}) | 1;
}

Effect size_word_grown(size_t bytes) {
    return smash_then_free(bytes, bytes * 2, [bytes](unsigned char* block) {
        write_word(block - 8, boundary_tag(bytes * 2));
    });
}
Effect size_word_grown_by_one_granule(size_t bytes) {
    return smash_then_free(bytes, bytes + 16, [bytes](unsigned char* block) {
        write_word(block - 8, boundary_tag(bytes + 16));
    });
}
Effect words_before_zeroed(size_t bytes) {
    return smash_then_free(bytes, bytes, [](unsigned char* block) {
        write_word(block - 16, 0);
        write_word(block - 8, 0);
    });
}
Effect words_before_point_to_data(size_t bytes) {
    return smash_then_free(bytes, bytes, [](unsigned char* block) {
        write_word(block - 16, reinterpret_cast<uintptr_t>(target + 64));
        write_word(block - 8, reinterpret_cast<uintptr_t>(target + 64));
    });
}
// The flag of a used neighbour before it is cleared, and the neighbour's size says too much.
Effect neighbour_said_free(size_t bytes) {
    return smash_then_free(bytes, bytes * 4, [bytes](unsigned char* block) {
        write_word(block - 16, boundary_tag(bytes * 2) & ~uint64_t{1});
        write_word(block - 8, boundary_tag(bytes) & ~uint64_t{1});
    });
}
// What is written behind a block grows the next one, which is freed.
Effect next_one_grown(size_t bytes) {
    Neighbours blocks(bytes);
    unsigned char* block = blocks.in_the_middle();
    write_word(block + ((bytes + 8 + 15) & ~size_t{15}) - 8, boundary_tag(bytes * 3));
    free(blocks.block[Neighbours::middle + 1]);
    return look_at_new_blocks(bytes * 3, blocks.block + Neighbours::middle + 2,
                              Neighbours::count - Neighbours::middle - 2, bytes);
}

// ---- links in free blocks
// ------------------------------------------------------------------------

// Three blocks are freed, and the words at the start of the last are changed.
template <class Smash>
Effect smash_links(size_t bytes, Smash smash) {
    Neighbours blocks(bytes);
    constexpr int freed = 3;
    for (int i = 0; i < freed; ++i)
        free(blocks.block[i]);
    smash(hide(blocks.block[freed - 1]), blocks.block[freed]);
    return look_at_new_blocks(bytes, blocks.block + freed, Neighbours::count - freed, bytes);
}
Effect link_to_data(size_t bytes) {
    return smash_links(bytes, [](unsigned char* block, unsigned char*) {
        write_word(block, reinterpret_cast<uintptr_t>(target + 64));
    });
}
Effect second_link_to_data(size_t bytes) {
    return smash_links(bytes, [](unsigned char* block, unsigned char*) {
        write_word(block + 8, reinterpret_cast<uintptr_t>(target + 64));
    });
}
Effect both_links_to_data(size_t bytes) {
    write_word(target + 64 + 16, reinterpret_cast<uintptr_t>(target + 64));
    write_word(target + 64 + 24, reinterpret_cast<uintptr_t>(target + 64));
    return smash_links(bytes, [](unsigned char* block, unsigned char*) {
        write_word(block, reinterpret_cast<uintptr_t>(target + 64));
        write_word(block + 8, reinterpret_cast<uintptr_t>(target + 64));
    });
}
Effect link_to_a_live_block(size_t bytes) {
    return smash_links(bytes, [](unsigned char* block, unsigned char* live) {
        write_word(block, reinterpret_cast<uintptr_t>(live));
    });
}
Effect link_to_itself(size_t bytes) {
    return smash_links(bytes, [](unsigned char* block, unsigned char*) {
        write_word(block, reinterpret_cast<uintptr_t>(block));
    });
}
Effect link_cut(size_t bytes) {
    return smash_links(bytes, [](unsigned char* block, unsigned char*) {
        write_word(block, 0);
        write_word(block + 8, 0);
    });
}
Effect link_moved_by_a_granule(size_t bytes) {
    return smash_links(bytes, [](unsigned char* block, unsigned char*) {
        uint64_t word = 0;
        memcpy(&word, block, sizeof word);
        write_word(block, word + 16);
    });
}

constexpr Row rows[] = {
    {"size-word-grown", size_word_grown, {small, medium, large}},
    {"size-word-grown-by-a-granule", size_word_grown_by_one_granule, {small, medium}},
    {"words-before-zeroed", words_before_zeroed, {small, medium, large}},
    {"words-before-point-to-data", words_before_point_to_data, {small, medium}},
    {"neighbour-said-free", neighbour_said_free, {small, medium}},
    {"next-one-grown", next_one_grown, {small, medium}},
    {"link-to-data", link_to_data, {small, medium, large}},
    {"second-link-to-data", second_link_to_data, {small, medium}},
    {"both-links-to-data", both_links_to_data, {small, medium}},
    {"link-to-a-live-block", link_to_a_live_block, {small, medium}},
    {"link-to-itself", link_to_itself, {small, medium}},
    {"link-cut", link_cut, {small, medium}},
    {"link-moved-by-a-granule", link_moved_by_a_granule, {small, medium}},
};

void control() {
    for (const size_t bytes : {small, medium, large}) {
        Neighbours blocks(bytes);
        free(blocks.in_the_middle());
        constexpr int live = Neighbours::count - Neighbours::middle - 1;
        require(look_at_new_blocks(bytes, blocks.block + Neighbours::middle + 1, live, bytes) ==
                    Effect::none,
                "blocks overlap without an attack");
        blocks.free_others();
    }
}

}  // namespace

extern const Class metadata;
const Class metadata{"metadata", rows, control};

}  // namespace misuse
