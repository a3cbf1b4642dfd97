// SPDX-License-Identifier: MIT
// A baseline: the bitmap of the well-known tutorial series, searched as they search it. One bit a
// frame, set when in use; full words are passed over, else each bit is tried, from the start of
// memory on every request. Runs are searched bit by bit. No lock, as there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "subject.hpp"

namespace quire::bench {

class TutorialBitmap {
  public:
    static constexpr const char* name = "bitmap";
    static constexpr bool is_slow = true;
    static constexpr bool is_shared = false;

    explicit TutorialBitmap(uint64_t frames) : words_(static_cast<size_t>(frames / 32)) {}

    Token get(unsigned order) { return order == 0 ? first_free() : first_free_run(1u << order); }
    void put(Token first, unsigned order) {
        for (uint32_t frame = first; frame < first + (1u << order); ++frame)
            words_[frame / 32] &= ~(1u << frame % 32);
    }
    // What hours of requests would lead to. `frames` is rounded down to a multiple of 32.
    void take_first(uint64_t frames) {
        std::fill_n(words_.begin(), static_cast<size_t>(frames / 32), ~0u);
    }

    void drain() {}
    uint64_t whole_blocks() const {
        uint64_t whole = 0;
        for (size_t word = 0; word < words_.size(); word += 16)
            whole += std::all_of(words_.data() + word, words_.data() + word + 16,
                                 [](uint32_t bits) { return bits == 0; });
        return whole;
    }
    uint64_t metadata_bytes() const { return words_.size() * sizeof(uint32_t); }

  private:
    bool test(uint64_t frame) const { return (words_[frame / 32] >> frame % 32 & 1) != 0; }

    Token first_free() {
        for (uint32_t word = 0; word < words_.size(); ++word) {
            if (words_[word] == ~0u) continue;
            for (uint32_t bit = 0; bit < 32; ++bit) {
                if ((words_[word] >> bit & 1) != 0) continue;
                words_[word] |= 1u << bit;
                return word * 32 + bit;
            }
        }
        return no_frames;
    }
    // As there, but right: it looks at every frame of the run, and aligned as the others' are.
    Token first_free_run(uint32_t count) {
        for (uint32_t first = 0; first + count <= words_.size() * 32; first += count) {
            uint32_t free = 0;
            while (free < count && !test(first + free))
                ++free;
            if (free < count) continue;
            for (uint32_t frame = first; frame < first + count; ++frame)
                words_[frame / 32] |= 1u << frame % 32;
            return first;
        }
        return no_frames;
    }

    std::vector<uint32_t> words_;
};

}  // namespace quire::bench
