// SPDX-License-Identifier: MIT
// Every sequence of up to seven operations on a machine of twelve frames that lie across the end of
// a block and the end of a zone; with magazines of either kind in front, which have many more
// states, of up to five, or of as many as QUIRE_SEQUENCE_LENGTH says: for seven, half a minute each
// where nothing is sanitized. Sequences that lead to the same state go on together.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
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
using Sequence = std::string;  // of operations; short ones take no memory of their own

std::string to_text(const Sequence& sequence) {
    std::string text;
    for (const char operation : sequence)
        text += std::to_string(int{operation}) + " ";
    return text;
}

template <class Frames>
size_t longest() {
    const char* const wanted = std::getenv("QUIRE_SEQUENCE_LENGTH");
    if (wanted != nullptr) return std::min<size_t>(std::strtoul(wanted, nullptr, 10), most_held);
    return Frames::most_kept == 0 ? most_held : 5;
}

// The allocator is made anew for each sequence, in zeroed memory, so that equal states are equal
// bytes.
template <class Frames>
class FrameExhaustiveSequencesTest : public ::testing::Test {
  protected:
    // Does all of a sequence, from the start.
    void replay(const Sequence& sequence) {
        frames_.reset();
        std::fill_n(memory_, sizeof(memory_), uint8_t{0});
        std::memset(books_.span().data(), 0xa5, books_.span().size());
        frames_.reset(new (memory_) Frames);
        boot_ = std::make_unique<BootFrames>(*map_, test::everything);
        EXPECT_TRUE(frames_->blocks.start(*boot_, books_.span(), direct_limit).ok());
        oracle_ = fresh_;
        held_.clear();
        for (const char operation : sequence)
            apply(static_cast<uint8_t>(operation));
    }

    // Every state that can be reached, once: `look` sees it right after the sequence led there.
    template <class Look>
    size_t visit_all(Look look) {
        std::unordered_set<uint64_t> seen;
        std::vector<Sequence> reached{{}};
        replay({});
        seen.insert(fingerprint());
        const size_t most = longest<Frames>();
        for (size_t length = 1; length <= most; ++length) {
            std::vector<Sequence> next;
            for (Sequence sequence : reached) {
                replay(sequence);
                const Snapshot before = snapshot();
                sequence.push_back(0);
                for (uint8_t operation = 0; operation < operations; ++operation) {
                    if (!makes_sense(operation, before.held)) continue;
                    sequence.back() = static_cast<char>(operation);
                    restore(before);
                    if (!apply(operation) || !seen.insert(fingerprint()).second) continue;
                    look();
                    if (HasFailure()) {
                        ADD_FAILURE() << "after operations " << to_text(sequence);
                        return seen.size();
                    }
                    if (length < most) next.push_back(sequence);
                }
            }
            reached = std::move(next);
        }
        return seen.size();
    }

    // The books, the allocator's own words, what magazines hold and remember, and who holds what,
    // as 64 bits. Of magazines, without what is left in places that are empty now.
    uint64_t fingerprint() const {
        uint64_t hash = 0xcbf29ce484222325u;
        const auto add_word = [&](uint64_t word) {
            hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
            hash ^= hash >> 29;
        };
        const auto add = [&](const void* bytes, size_t count) {
            for (size_t i = 0; i + sizeof(uint64_t) <= count; i += sizeof(uint64_t)) {
                uint64_t word;
                std::memcpy(&word, static_cast<const uint8_t*>(bytes) + i, sizeof word);
                add_word(word);
            }
        };
        add(books_bytes(), books_size_);
        add(&frames_->blocks, sizeof(frames_->blocks));
        if constexpr (Frames::most_kept != 0) {
            auto& mine = frames_->slots[0].value;
            for (const Frame frame : mine.frames.rest())
                add_word(frame.value());
            if constexpr (requires { mine.frames.returned(); }) {
                add_word(mine.frames.unjudged().size());
                for (const Frame frame : mine.frames.returned())
                    add_word(frame.value());
            }
            add(&mine.recent, sizeof(mine.recent));
            add_word(mine.near.first);
            add_word(mine.near.bits);
        }
        for (const FrameRange& block : held_) {
            add_word(block.first().value());
            add_word(block.count().value());
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
    // All that operations change, to come back to.
    struct Snapshot {
        std::vector<uint8_t> memory;
        std::vector<uint8_t> books;
        FrameOracle oracle;
        std::vector<FrameRange> held;
    };
    Snapshot snapshot() const {
        const auto* const books = static_cast<const uint8_t*>(books_bytes());
        return {{memory_, memory_ + sizeof(memory_)}, {books, books + books_size_}, oracle_, held_};
    }
    void restore(const Snapshot& before) {
        std::copy(before.memory.begin(), before.memory.end(), memory_);
        std::copy(before.books.begin(), before.books.end(), books_.span().data());
        oracle_ = before.oracle;
        held_ = before.held;
    }
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
    this->RecordProperty("states", std::to_string(states));
    if (std::getenv("QUIRE_SEQUENCE_LENGTH") != nullptr) std::printf("%zu states\n", states);
    EXPECT_GT(states, 10'000u);
}

}  // namespace
}  // namespace quire::frame_exhaustive_sequences_test
