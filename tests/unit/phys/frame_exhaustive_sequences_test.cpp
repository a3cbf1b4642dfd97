// SPDX-License-Identifier: MIT
// Every sequence of up to seven operations on a machine of twelve frames that lie across the end of
// a block and the end of a zone; with magazines of either kind in front, which have many more
// states, of up to five. Sequences that lead to the same state go on together.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <unordered_set>
#include <vector>

#include "model/frames/frame_oracle.hpp"
#include "model/frames/fronts.hpp"
#include "unit/phys/frame_machine.hpp"

namespace quire::frame_exhaustive_sequences_test {
namespace {

using test::FrameOracle;
using test::run_of;
using State = FrameOracle::State;

constexpr unsigned count_of_frames = 12;
constexpr uint64_t first_frame = 506;
constexpr Frame direct_limit{510};
constexpr unsigned most_held = 7;

// The alphabet. A block is named by its place among those that are held, in ascending order.
enum Operation : uint8_t {
    get_one = 0,
    get_two,    // order 1
    get_three,  // that follow one another
    get_at,     // and the 11 after it: each frame by its number
    put_whole = get_at + count_of_frames,
    put_lower_half = put_whole + most_held,
    put_upper_half = put_lower_half + most_held,
    operations = put_upper_half + most_held,
};
using Sequence = std::vector<uint8_t>;

std::string to_text(const Sequence& sequence) {
    std::string text;
    for (const uint8_t operation : sequence)
        text += std::to_string(operation) + " ";
    return text;
}

// Magazines have many more states.
template <class Frames>
constexpr size_t longest = Frames::most_kept == 0 ? most_held : 5;

// The allocator is made anew for each sequence, in zeroed memory, so that equal states are equal
// bytes.
template <class Frames>
class FrameExhaustiveSequencesTest : public ::testing::Test {
  protected:
    // Does all of a sequence, from the start. False when the last operation was refused.
    bool replay(const Sequence& sequence) {
        frames_.reset();
        std::fill_n(memory_, sizeof(memory_), uint8_t{0});
        std::memset(books_.span().data(), 0xa5, books_.span().size());
        frames_.reset(new (memory_) Frames);
        boot_ = std::make_unique<BootFrames>(*map_, test::everything);
        EXPECT_TRUE(frames_->blocks.start(*boot_, books_.span(), direct_limit).ok());
        oracle_ = fresh_;
        held_.clear();
        return std::all_of(sequence.begin(), sequence.end(),
                           [this](uint8_t operation) { return apply(operation); });
    }

    // Every state that can be reached, once: `look` sees it right after the sequence led there.
    template <class Look>
    size_t visit_all(Look look) {
        std::unordered_set<uint64_t> seen;
        struct Reached {
            Sequence sequence;
            std::vector<FrameRange> held;
        };
        std::vector<Reached> reached{{}};
        replay({});
        seen.insert(fingerprint());
        for (size_t length = 1; length <= longest<Frames>; ++length) {
            std::vector<Reached> next;
            for (const Reached& before : reached) {
                Sequence sequence = before.sequence;
                sequence.push_back(0);
                for (uint8_t operation = 0; operation < operations; ++operation) {
                    if (!makes_sense(operation, before.held)) continue;
                    sequence.back() = operation;
                    if (!replay(sequence) || !seen.insert(fingerprint()).second) continue;
                    look();
                    if (HasFailure()) {
                        ADD_FAILURE() << "after operations " << to_text(sequence);
                        return seen.size();
                    }
                    if (length < longest<Frames>) next.push_back({sequence, held_});
                }
            }
            reached = std::move(next);
        }
        return seen.size();
    }

    // The books, the allocator's own words, and who holds what, as 64 bits.
    uint64_t fingerprint() const {
        uint64_t hash = 0xcbf29ce484222325u;
        const auto add = [&](const void* bytes, size_t count) {
            for (size_t i = 0; i + sizeof(uint64_t) <= count; i += sizeof(uint64_t)) {
                uint64_t word;
                std::memcpy(&word, static_cast<const uint8_t*>(bytes) + i, sizeof word);
                hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
                hash ^= hash >> 29;
            }
        };
        add(books_bytes(), books_size_ / sizeof(uint64_t) * sizeof(uint64_t));
        add(memory_, sizeof(memory_));
        for (const FrameRange& block : held_) {
            const uint64_t words[] = {block.first().value(), block.count().value()};
            add(words, sizeof words);
        }
        return hash;
    }

    void check_all() {
        check_blocks();
        // With nothing in magazines, the allocator's view is the whole view.
        frames_->drain();
        check_blocks();
        for (uint64_t frame = first_frame; frame < first_frame + count_of_frames; ++frame) {
            ASSERT_EQ(frames_->blocks.is_free(Frame(frame)), oracle_.state(frame) == State::free);
        }
        for (const Zone zone : {Zone::dma, Zone::high})
            ASSERT_EQ(frames_->blocks.counters().of(zone).free.value(), oracle_.free(zone));
        ASSERT_EQ(frames_->blocks.largest_free_run().value(), oracle_.largest_free_run());
    }

  private:
    const void* books_bytes() const { return const_cast<test::Books&>(books_).span().data(); }
    void check_blocks() {
        const Status valid = frames_->blocks.validate();
        ASSERT_TRUE(valid.ok()) << to_string(valid.error()) << " " << valid.failure().where;
    }

    // Whether the block is there that the operation names, and has halves when it wants one.
    static bool makes_sense(uint8_t operation, const std::vector<FrameRange>& held) {
        if (operation < put_whole) return true;
        const size_t place = (operation - put_whole) % most_held;
        if (place >= held.size()) return false;
        return operation < put_lower_half || held[place].count() > FrameCount(1);
    }
    bool apply(uint8_t operation) {
        if (operation == get_one) {
            const Result<Frame> frame = frames_->front().allocate();
            if (!frame.ok()) return refused(frame.error(), {}, 1);
            return took(FrameRange(*frame, FrameCount(1)), {}, 1);
        }
        if (operation == get_two || operation == get_three) {
            const uint64_t count = operation == get_two ? 2 : 3;
            const FrameConstraints constraints{.alignment =
                                                   FrameCount(operation == get_two ? 2u : 1u)};
            const Result<FrameRange> run = operation == get_two
                                               ? frames_->front().allocate_order(1)
                                               : frames_->front().allocate_run(FrameCount(3));
            if (!run.ok()) return refused(run.error(), constraints, count);
            return took(*run, constraints, count);
        }
        if (operation < put_whole) {
            const FrameRange run = run_of(first_frame + operation - get_at, 1);
            const Status taken = frames_->front().allocate_at(run);
            const bool was_free = oracle_.state(run.first().value()) == State::free;
            EXPECT_EQ(taken.ok(), was_free);
            return taken.ok() && took(run, {}, 1);
        }
        const size_t place = (operation - put_whole) % most_held;
        const FrameRange block = held_[place];
        const FrameCount half(block.count().value() / 2);
        if (operation < put_lower_half) return put(place, block, {});
        if (operation < put_upper_half)
            return put(place, block.prefix(half), block.without_prefix(half));
        const FrameCount rest(block.count().value() - half.value());
        return put(place, block.without_prefix(rest), block.prefix(rest));
    }
    bool took(const FrameRange& run, const FrameConstraints& constraints, uint64_t count) {
        const uint64_t first = run.first().value();
        EXPECT_EQ(run.count().value(), count);
        EXPECT_TRUE(oracle_.meets(first, count, constraints));
        EXPECT_EQ(oracle_.refusal_of_allocate_at(first, count), std::nullopt);
        oracle_.set(first, count, State::taken);
        held_.insert(std::lower_bound(held_.begin(), held_.end(), run,
                                      [](const FrameRange& a, const FrameRange& b) {
                                          return a.first() < b.first();
                                      }),
                     run);
        return true;
    }
    // Refusals are right only when there is no room, and lead to no new state.
    bool refused(Error error, const FrameConstraints& constraints, uint64_t count) {
        EXPECT_EQ(error, Error::out_of_frames);
        EXPECT_FALSE(oracle_.fits(count, constraints, Zone::dma));
        return true;
    }
    bool put(size_t place, const FrameRange& given, const FrameRange& kept) {
        const Status freed = given.count() == FrameCount(1) ? frames_->front().free(given.first())
                                                            : frames_->front().free(given);
        EXPECT_TRUE(freed.ok());
        oracle_.set(given.first().value(), given.count().value(), State::free);
        if (kept.empty()) {
            held_.erase(held_.begin() + static_cast<ptrdiff_t>(place));
        } else {
            held_[place] = kept;
        }
        return true;
    }

    struct Destroy {
        void operator()(Frames* frames) const { frames->~Frames(); }
    };
    std::unique_ptr<MemoryMap> map_ = test::make_map({{first_frame, count_of_frames}});
    uint64_t books_size_ = FrameAllocator::metadata_bytes(*map_).value();
    test::Books books_{books_size_};
    alignas(Frames) uint8_t memory_[sizeof(Frames)];
    std::unique_ptr<BootFrames> boot_;
    std::unique_ptr<Frames, Destroy> frames_;
    const FrameOracle fresh_{*map_, direct_limit};
    FrameOracle oracle_ = fresh_;
    std::vector<FrameRange> held_;  // ascending
};

using Fronts = ::testing::Types<test::PlainFrames, test::FramesWithMagazines<Reuse::delayed, 2>,
                                test::FramesWithMagazines<Reuse::at_once, 2>>;
TYPED_TEST_SUITE(FrameExhaustiveSequencesTest, Fronts);

TYPED_TEST(FrameExhaustiveSequencesTest, EveryStateIsValid) {
    const size_t states = this->visit_all([this] { this->check_all(); });
    EXPECT_GT(states, 10'000u);
}

}  // namespace
}  // namespace quire::frame_exhaustive_sequences_test
