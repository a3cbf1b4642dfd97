// SPDX-License-Identifier: MIT
// What is measured: an allocator of frames, ours or a baseline, behind the same few calls.
#pragma once

#include <concepts>
#include <cstdint>

namespace quire::bench {

// The number of the first frame of what was got. Where numbers start is the subject's affair.
using Token = uint32_t;
inline constexpr Token no_frames = UINT32_MAX;

inline constexpr unsigned block_frames_order = 9;
inline constexpr uint64_t frames_of_block = uint64_t{1} << block_frames_order;
inline constexpr uint64_t frames_of_gib = uint64_t{1} << 18;

// Which of the benchmark's threads this is, from 0: the CPU, to a policy that asks for one.
inline thread_local unsigned thread_number = 0;

// Made with a number of frames, a multiple of 2^18, all of them free.
template <class S>
concept Subject =
    std::constructible_from<S, uint64_t> && requires(S& subject, Token token, unsigned order) {
        { S::name } -> std::convertible_to<const char*>;
        { S::is_slow } -> std::convertible_to<bool>;    // a thousand times the others
        { S::is_shared } -> std::convertible_to<bool>;  // several threads may call it
        // 2^order frames, aligned, or no_frames.
        { subject.get(order) } -> std::same_as<Token>;
        subject.put(token, order);
        // Brings what waits in magazines back to where it can be joined. With one
        // thread.
        subject.drain();
        // Blocks of 2 MiB that could be given out whole as things stand.
        { subject.whole_blocks() } -> std::same_as<uint64_t>;
        { subject.metadata_bytes() } -> std::same_as<uint64_t>;
    };

}  // namespace quire::bench
