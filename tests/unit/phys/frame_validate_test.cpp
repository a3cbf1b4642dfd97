// SPDX-License-Identifier: MIT
// Books that were overwritten are noticed, whichever bit it was, and never by a crash.
#include <gtest/gtest.h>

#include "quire/phys/block_table.hpp"
#include "quire/phys/frame_pool.hpp"
#include "quire/phys/frame_sections.hpp"
#include "unit/phys/frame_machine.hpp"

namespace quire {
namespace {

using test::Machine;
using test::run_of;

// A machine with blocks that are whole, cut, full, reserved, and across the end of a zone; some of
// what was reserved has been released.
class FrameValidateTest : public ::testing::Test {
  protected:
    FrameValidateTest()
        : machine({{1, 6000},
                   {600, 70, MemoryKind::reserved},
                   {1600, 60, MemoryKind::module},
                   {2048, 512, MemoryKind::reserved},
                   {100000, 700}},
                  Frame(5000)),
          layout(frame_layout(*machine.map)) {
        EXPECT_TRUE(machine.frames.release_reserved(run_of(1610, 20)).ok());
        machine.take(3000, 600);
        machine.take(100, 1);
        machine.take(5100, 3);
        EXPECT_TRUE(machine.frames.validate().ok());
    }

    // How many of the flips of single bits in `bytes` pass unnoticed.
    unsigned unnoticed(size_t from, size_t bytes) {
        unsigned missed = 0;
        for (size_t at = from; at < from + bytes; ++at) {
            for (unsigned bit = 0; bit < 8; ++bit) {
                unsigned char& byte = machine.books.span()[at];
                byte = static_cast<unsigned char>(byte ^ 1u << bit);
                const Status found = machine.frames.validate();
                if (found.ok()) {
                    if (missed++ == 0) ADD_FAILURE() << "byte " << at - from << ", bit " << bit;
                } else {
                    EXPECT_EQ(found.error(), Error::corrupted);
                }
                byte = static_cast<unsigned char>(byte ^ 1u << bit);
            }
        }
        EXPECT_TRUE(machine.frames.validate().ok());
        return missed;
    }

    template <class T>
    T& at(size_t offset, size_t index) {
        return reinterpret_cast<T*>(machine.books.span().data() + offset)[index];
    }
    BlockBits& bits(size_t block) { return at<BlockBits>(bits_at(), block); }
    BlockHeader& header(size_t block) { return at<BlockHeader>(headers_at(), block); }
    BlockBits& mask_of(size_t block) { return at<BlockBits>(masks_at(), header(block).mask); }

    size_t bits_at() const { return 0; }
    size_t masks_at() const { return layout.blocks * sizeof(BlockBits); }
    size_t pools_at() const {
        return masks_at() + (layout.masks + BlockTable::spare_masks) * sizeof(BlockBits);
    }
    size_t headers_at() const { return pools_at() + zones * sizeof(FramePool); }
    size_t sections_at() const { return headers_at() + layout.blocks * sizeof(BlockHeader); }
    size_t groups_at() const { return sections_at() + layout.sections * sizeof(FrameSection); }

    Machine machine;
    FrameLayout layout;
    // Blocks 0 to 7, 8 to 9 (up to 5000), 10 to 12 (from 5000), 13 to 14 (100000 to 100699).
    static constexpr size_t blocks = 8 + 2 + 3 + 2;
};

TEST_F(FrameValidateTest, EveryBitOfTheBitmaps) {
    EXPECT_EQ(unnoticed(bits_at(), blocks * sizeof(BlockBits)), 0u);
}

TEST_F(FrameValidateTest, EveryBitOfWhatIsUsable) {
    // Block 0, two with holes, both halves of the block across 5000, and the three outer ends.
    EXPECT_EQ(unnoticed(masks_at(), 8 * sizeof(BlockBits)), 0u);
}

TEST_F(FrameValidateTest, EveryBitOfTheHeadersOfListedBlocks) {
    for (size_t block = 0; block < blocks; ++block) {
        if (block == 4 || block == 6) continue;  // reserved; full
        SCOPED_TRACE(block);
        EXPECT_EQ(unnoticed(headers_at() + block * sizeof(BlockHeader), sizeof(BlockHeader)), 0u);
    }
}

TEST_F(FrameValidateTest, EveryBitOfTheHeadersOfOtherBlocksButTheirLinks) {
    for (const size_t block : {4u, 6u}) {
        SCOPED_TRACE(block);
        // Nor is there anything that says for which mobility a full block is.
        EXPECT_EQ(unnoticed(headers_at() + block * sizeof(BlockHeader) + 8, 7), 0u);
        header(block).index ^= 2;
        EXPECT_FALSE(machine.frames.validate().ok());
        header(block).index ^= 2;
    }
}

TEST_F(FrameValidateTest, EveryBitOfTheSections) {
    for (size_t section = 0; section < 4; ++section) {
        SCOPED_TRACE(section);
        // All but the padding at its end.
        EXPECT_EQ(unnoticed(sections_at() + section * sizeof(FrameSection),
                            offsetof(FrameSection, zone) + 1),
                  0u);
    }
}

// From here on, what no single bit breaks: wrong books that agree with each other in part.

TEST_F(FrameValidateTest, ABlockThatIsInNoList) {
    ASSERT_TRUE(machine.frames.free(run_of(3000, 600)).ok());
    // Blocks 5 and 7 are whole, and follow each other in their list.
    BlockHeader& first = header(5).previous == no_block ? header(5) : header(7);
    ASSERT_NE(first.next, no_block);
    const uint32_t next = first.next;
    first.next = no_block;
    EXPECT_EQ(machine.frames.validate().failure().error, Error::corrupted);
    first.next = next;
}

TEST_F(FrameValidateTest, AFreeFrameThatIsNotUsable) {
    // One free frame of block 1 is exchanged for one that is reserved (600 is position 88); the
    // largest hole stays.
    bits(1).clear(200, 1);
    bits(1).set(100, 1);
    EXPECT_TRUE(test::fails_with(machine.frames.validate(), Error::corrupted, 512));
    bits(1).set(200, 1);
    bits(1).clear(100, 1);
    // And in a block that has none at all.
    bits(4).set(0, 1);
    header(4).free = 1;
    header(4).largest = 0;
    EXPECT_TRUE(test::fails_with(machine.frames.validate(), Error::corrupted, 2048));
    bits(4).clear(0, 1);
    header(4).free = 0;
    header(4).largest = BlockBits::no_hole;
}

TEST_F(FrameValidateTest, AUsableFrameThatIsMissing) {
    // Frame 100 is given out; 0 never was usable. Both are in block 0.
    mask_of(0).clear(100, 1);
    mask_of(0).set(0, 1);
    EXPECT_TRUE(test::fails_with(machine.frames.validate(), Error::corrupted, 1));
    mask_of(0).set(100, 1);
    mask_of(0).clear(0, 1);
}

TEST_F(FrameValidateTest, AReleaseThatWasForgotten) {
    machine.take(1610, 1);
    mask_of(3).clear(1610 - 1536, 1);
    mask_of(0).set(0, 1);
    EXPECT_TRUE(test::fails_with(machine.frames.validate(), Error::corrupted, 19));
    mask_of(3).set(1610 - 1536, 1);
    mask_of(0).clear(0, 1);
}

TEST_F(FrameValidateTest, AFrameTooMany) {
    // The pool's own count would have to be wrong as well.
    FramePool& dma = at<FramePool>(pools_at(), 0);
    ++dma.total;
    mask_of(0).set(0, 1);
    EXPECT_TRUE(test::fails_with(machine.frames.validate(), Error::corrupted,
                                 machine.map->usable_frames().value() + 21));
    mask_of(0).clear(0, 1);
    EXPECT_TRUE(test::fails_with(machine.frames.validate(), Error::corrupted, dma.free));
    --dma.total;
}

TEST_F(FrameValidateTest, CountersOfAPool) {
    FramePool& direct = at<FramePool>(pools_at(), 1);
    for (size_t* counter : {&direct.total, &direct.free, &direct.whole}) {
        ++*counter;
        EXPECT_EQ(machine.frames.validate().failure().error, Error::corrupted);
        --*counter;
    }
    ++direct.fresh_groups;
    EXPECT_EQ(machine.frames.validate().failure().error, Error::corrupted);
    --direct.fresh_groups;
}

TEST_F(FrameValidateTest, EveryBitOfAGroupsState) {
    EXPECT_EQ(unnoticed(groups_at(), 1), 0u);
}

TEST_F(FrameValidateTest, NamesTheBlock) {
    machine.books.span()[bits_at() + 1 * sizeof(BlockBits) + 5] ^= 1;
    EXPECT_TRUE(test::fails_with(machine.frames.validate(), Error::corrupted, 512));
    machine.books.span()[bits_at() + 1 * sizeof(BlockBits) + 5] ^= 1;
    machine.books.span()[bits_at() + sizeof(BlockBits) * (blocks - 2) + 60] ^= 1;
    EXPECT_TRUE(test::fails_with(machine.frames.validate(), Error::corrupted, 100000));
    machine.books.span()[bits_at() + sizeof(BlockBits) * (blocks - 2) + 60] ^= 1;
}

}  // namespace
}  // namespace quire
