// SPDX-License-Identifier: MIT
#include "quire/phys/frame_sections.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "quire/phys/free_runs.hpp"
#include "unit/phys/frame_machine.hpp"

namespace quire::frame_sections_test {
namespace {

using test::make_map;
using test::Memory;
using test::run_of;

constexpr uint64_t tebi_frames = uint64_t{1} << (40 - page_shift);

class Sections {
  public:
    explicit Sections(const std::vector<Memory>& memory, Frame direct_limit = test::no_limit)
        : map(make_map(memory)),
          layout(frame_layout(*map)),
          ends(direct_limit),
          table(layout.sections),
          sections(*map, ends, {table.data(), table.size()}) {}
    size_t count() const { return sections.all().size(); }
    const FrameSection& operator[](size_t i) const { return sections.all()[i]; }

    std::unique_ptr<MemoryMap> map;
    FrameLayout layout;
    ZoneEnds ends;
    std::vector<FrameSection> table;
    FrameSections sections;
};

TEST(ZoneEnds, BandsByFrameNumber) {
    const ZoneEnds ends(Frame(10000));
    EXPECT_EQ(ends.of(0), Zone::dma);
    EXPECT_EQ(ends.of(4095), Zone::dma);
    EXPECT_EQ(ends.of(4096), Zone::direct);
    EXPECT_EQ(ends.of(9999), Zone::direct);
    EXPECT_EQ(ends.of(10000), Zone::high);
    EXPECT_EQ(ends.of(Frame::highest), Zone::high);
    EXPECT_EQ(ends.first(Zone::direct), 4096u);
    EXPECT_EQ(ends.end(Zone::direct), 10000u);
}

// What the direct map does not show is high, however low it lies.
TEST(ZoneEnds, ADirectMapBelowSixteenMebibytes) {
    const ZoneEnds ends(Frame(100));
    EXPECT_EQ(ends.of(99), Zone::dma);
    EXPECT_EQ(ends.of(100), Zone::high);
    EXPECT_EQ(ends.of(5000), Zone::high);
    EXPECT_EQ(ZoneEnds(Frame(0)).of(0), Zone::high);
}

TEST(ZoneEnds, ZonesHaveNames) {
    EXPECT_STREQ(to_string(Zone::dma), "dma");
    EXPECT_STREQ(to_string(Zone::direct), "direct");
    EXPECT_STREQ(to_string(Zone::high), "high");
    EXPECT_STREQ(to_string(static_cast<Zone>(17)), "unknown zone");
}

TEST(FrameSections, OneForMemoryWithoutHoles) {
    const Sections s({{1, 4000}});
    ASSERT_EQ(s.count(), 1u);
    EXPECT_EQ(s[0].first, 1u);
    EXPECT_EQ(s[0].last, 4000u);
    EXPECT_EQ(s[0].blocks(), 8u);
    EXPECT_EQ(s.sections.blocks(), 8u);
    EXPECT_EQ(s.sections.hull(), run_of(1, 4000));
    EXPECT_TRUE(s.sections.agrees_with(*s.map, s.ends));
}

TEST(FrameSections, NoneWithoutMemory) {
    const Sections s({{100, 5, MemoryKind::reserved}});
    EXPECT_EQ(s.count(), 0u);
    EXPECT_EQ(s.sections.blocks(), 0u);
    EXPECT_TRUE(s.sections.hull().empty());
    EXPECT_EQ(s.sections.piece(run_of(100, 7)).block, BlockPiece::outside);
    EXPECT_EQ(s.sections.piece(run_of(100, 7)).count, 7u);
}

TEST(FrameSections, SmallHolesAreKeptLargeOnesSkipped) {
    // 15 whole blocks between, then 16. All above 16 MiB.
    const Sections small({{512 * 10, 512}, {512 * 26, 512}});
    EXPECT_EQ(small.count(), 1u);
    EXPECT_EQ(small.sections.blocks(), 17u);
    const Sections large({{512 * 10, 512}, {512 * 27, 512}});
    ASSERT_EQ(large.count(), 2u);
    EXPECT_EQ(large.sections.blocks(), 2u);
    EXPECT_EQ(large[1].first_block, 1u);
}

TEST(FrameSections, HolesOfTebibytesCostNothing) {
    const Sections s({{1, 600}, {tebi_frames, 1}, {16 * tebi_frames - 700, 700}});
    EXPECT_EQ(s.count(), 3u);
    EXPECT_EQ(s.sections.blocks(), 2u + 1 + 2);
    EXPECT_EQ(s.sections.first_frame(2), Frame(tebi_frames));
    EXPECT_EQ(s.sections.frame(3, 511), Frame(16 * tebi_frames - 513));
    EXPECT_EQ(s.sections.first_frame(3), Frame(16 * tebi_frames - 700));
    EXPECT_EQ(s.sections.hull().last(), Frame(16 * tebi_frames - 1));
}

TEST(FrameSections, EndAtTheEndOfAZone) {
    const Sections s({{1, 9999}}, Frame(5000));
    ASSERT_EQ(s.count(), 3u);
    EXPECT_EQ(s[0].last, 4095u);
    EXPECT_EQ(s[0].zone, Zone::dma);
    EXPECT_EQ(s[1].first, 4096u);
    EXPECT_EQ(s[1].last, 4999u);
    EXPECT_EQ(s[1].zone, Zone::direct);
    EXPECT_EQ(s[2].first, 5000u);
    EXPECT_EQ(s[2].zone, Zone::high);
    // Block 9 of physical memory (4608 to 5119) has an entry in both.
    EXPECT_EQ(s[2].first_block, 10u);
    EXPECT_EQ(s.sections.first_frame(9), Frame(4608));
    EXPECT_EQ(s.sections.first_frame(10), Frame(5000));
    EXPECT_EQ(s.sections.frame(10, 392), Frame(5000));
    const BlockPiece before = s.sections.piece(run_of(4990, 100));
    EXPECT_EQ(before.block, 9u);
    EXPECT_EQ(before.first, 382u);
    EXPECT_EQ(before.count, 10u);
    const BlockPiece after = s.sections.piece(run_of(5000, 1000));
    EXPECT_EQ(after.block, 10u);
    EXPECT_EQ(after.first, 392u);
    EXPECT_EQ(after.count, 120u);
}

TEST(FrameSections, PiecesEndWhereBlocksSectionsAndHolesEnd) {
    const Sections s({{512, 600}, {512 * 100 + 10, 100}});
    EXPECT_EQ(s.sections.piece(run_of(0, 5)).block, BlockPiece::outside);
    EXPECT_EQ(s.sections.piece(run_of(0, 5)).count, 5u);
    EXPECT_EQ(s.sections.piece(run_of(0, 600)).count, 512u);
    EXPECT_EQ(s.sections.piece(run_of(600, 3)).count, 3u);
    EXPECT_EQ(s.sections.piece(run_of(600, 1000)).count, 424u);
    EXPECT_EQ(s.sections.piece(run_of(1024, 1000)).count, 88u);  // to the section's end
    EXPECT_EQ(s.sections.piece(run_of(1112, 100000)).block, BlockPiece::outside);
    EXPECT_EQ(s.sections.piece(run_of(1112, 100000)).count, 512u * 100 + 10 - 1112);
    EXPECT_EQ(s.sections.piece(run_of(512 * 100 + 10, 1000)).count, 100u);
    EXPECT_EQ(s.sections.piece(run_of(512 * 100 + 110, 77)).count, 77u);
}

TEST(FrameSections, ReleasableMemoryIsCoveredNearUsableMemoryOnly) {
    // A kernel right above, and ACPI tables that claim a tebibyte.
    const Sections s({{1, 4000},
                      {4001, 99, MemoryKind::kernel},
                      {tebi_frames, tebi_frames, MemoryKind::acpi_reclaimable}});
    ASSERT_EQ(s.count(), 2u);
    EXPECT_EQ(s.sections.hull(), run_of(1, 4099));
    const Sections t({{100000, 4000}, {104000, tebi_frames, MemoryKind::acpi_reclaimable}});
    EXPECT_EQ(t.sections.hull(), run_of(100000, 4000 + 8192));
    const Sections u({{100000, 4000}, {1, 99999, MemoryKind::acpi_reclaimable}});
    EXPECT_EQ(u.sections.hull(), run_of(100000 - 8192, 4000 + 8192));
}

TEST(FrameSections, LayoutCountsMasksOnce) {
    // Ends of zones may need 4 masks, 2 blocks and 2 sections more than the map itself.
    EXPECT_EQ(Sections({{512, 512}}).layout.masks, 4u);
    EXPECT_EQ(Sections({{512, 100}}).layout.masks, 5u);
    EXPECT_EQ(Sections({{600, 100}}).layout.masks, 5u);  // both ends in one block
    EXPECT_EQ(Sections({{600, 1000}}).layout.masks, 6u);
    EXPECT_EQ(Sections({{520, 1}, {522, 1}, {524, 1}}).layout.masks, 5u);
    EXPECT_EQ(Sections({{512, 512}, {1024, 1024, MemoryKind::module}}).layout.masks, 6u);
    EXPECT_EQ(Sections({{512, 510}, {1022, 1026, MemoryKind::module}}).layout.masks, 7u);
    EXPECT_EQ(Sections({{512, 512}}).layout.sections, 3u);
    EXPECT_EQ(Sections({{512, 512}}).layout.blocks, 3u);
}

TEST(FrameSections, NoticeWhenTheirTableChanges) {
    Sections s({{1, 4000}, {100000, 5000}});
    for (FrameSection& section : s.table) {
        const FrameSection saved = section;
        section.last ^= 1;
        EXPECT_EQ(s.sections.agrees_with(*s.map, s.ends), &section >= &s.table[s.count()]);
        section = saved;
    }
    EXPECT_TRUE(s.sections.agrees_with(*s.map, s.ends));
    EXPECT_FALSE(s.sections.agrees_with(*make_map({{1, 4000}}), s.ends));
    EXPECT_FALSE(FrameSections().agrees_with(*s.map, s.ends));
}

// Walks the free runs of a window.
class FreeRunsTest : public ::testing::Test {
  protected:
    FreeRunsTest()
        : s({{1, 3000}, {600, 50, MemoryKind::reserved}, {50000, 1000}}, Frame(1500)),
          headers(s.sections.blocks()),
          bits(s.sections.blocks()),
          groups(1, BlockTable::Group::mixed) {
        table.headers = {headers.data(), headers.size()};
        table.bits = {bits.data(), bits.size()};
        table.groups = {groups.data(), groups.size()};
        for (BlockBits& block : bits)
            block.clear_all();
    }
    void set_free(uint64_t first, uint64_t count) {
        for (FrameRange rest = run_of(first, count); !rest.empty();) {
            const BlockPiece piece = s.sections.piece(rest);
            ASSERT_NE(piece.block, BlockPiece::outside);
            bits[piece.block].set(piece.first, static_cast<unsigned>(piece.count));
            headers[piece.block].free =
                static_cast<uint16_t>(headers[piece.block].free + piece.count);
            rest = rest.without_prefix(FrameCount(piece.count));
        }
    }
    FreeRuns walk(uint64_t first, uint64_t last) {
        for (size_t i = 0; i < headers.size(); ++i)
            headers[i].largest = static_cast<uint8_t>(bits[i].largest_order());
        return {s.sections.all(), table, first, last};
    }
    static std::vector<FrameRange> collect(FreeRuns& walk) {
        std::vector<FrameRange> found;
        for (FrameRange run = walk.next(); !run.empty(); run = walk.next())
            found.push_back(run);
        return found;
    }
    std::vector<FrameRange> runs(uint64_t first, uint64_t last) {
        FreeRuns all = walk(first, last);
        return collect(all);
    }

    Sections s;
    std::vector<BlockHeader> headers;
    std::vector<BlockBits> bits;
    std::vector<BlockTable::Group> groups;
    BlockTable table;
};

TEST_F(FreeRunsTest, NoneWhenNothingIsFree) {
    EXPECT_TRUE(runs(0, Frame::highest).empty());
}

TEST_F(FreeRunsTest, CrossBlocksSectionsAndZones) {
    set_free(500, 100);
    set_free(700, 1000);  // the direct map ends inside, at 1500
    set_free(50000, 1);
    EXPECT_EQ(runs(0, Frame::highest),
              (std::vector{run_of(500, 100), run_of(700, 1000), run_of(50000, 1)}));
}

TEST_F(FreeRunsTest, SkipFullBlocksAndTakeFreeOnesWhole) {
    set_free(1024, 476);  // up to the end of the zone
    EXPECT_EQ(runs(0, Frame::highest), (std::vector{run_of(1024, 476)}));
    set_free(1500, 1501);
    EXPECT_EQ(runs(0, Frame::highest), (std::vector{run_of(1024, 1977)}));
    EXPECT_EQ(runs(1600, Frame::highest), (std::vector{run_of(1600, 1401)}));
}

TEST_F(FreeRunsTest, EndAtTheWindow) {
    set_free(500, 100);
    set_free(1000, 100);
    EXPECT_EQ(runs(510, 519), (std::vector{run_of(510, 10)}));
    EXPECT_EQ(runs(599, 1000), (std::vector{run_of(599, 1), run_of(1000, 1)}));
    EXPECT_TRUE(runs(600, 999).empty());
    EXPECT_TRUE(runs(3500, 49999).empty());
}

// Runs of the length asked for are all shown; most shorter ones inside a block are not.
TEST_F(FreeRunsTest, SkipBlocksThatHaveNoRunLongEnough) {
    set_free(10, 5);      // inside block 0
    set_free(100, 3);     // as well
    set_free(508, 7);     // from block 0 to block 1
    set_free(1400, 120);  // in block 2, across the end of a zone
    set_free(2100, 30);   // inside block 4
    set_free(2990, 11);   // the end of a section
    const auto longer = [&](uint64_t count) {
        FreeRuns walk = this->walk(0, Frame::highest);
        walk.skip_shorter_than(FrameCount(count));
        return collect(walk);
    };
    EXPECT_EQ(longer(3), runs(0, Frame::highest));
    // The largest hole of block 0 is of order 2, so it may have runs of up to 14.
    EXPECT_EQ(longer(14), runs(0, Frame::highest));
    EXPECT_EQ(longer(15),
              (std::vector{run_of(508, 7), run_of(1400, 120), run_of(2100, 30), run_of(2990, 11)}));
    EXPECT_EQ(longer(100), (std::vector{run_of(508, 7), run_of(1400, 120), run_of(2990, 11)}));
    FreeRuns aligned = walk(0, Frame::highest);
    aligned.skip_below_order(4);
    aligned.skip_below_order(0);  // asks for no more than before
    EXPECT_EQ(collect(aligned),
              (std::vector{run_of(508, 7), run_of(1400, 120), run_of(2100, 30), run_of(2990, 11)}));
    FreeRuns more = walk(0, Frame::highest);
    more.skip_below_order(5);
    EXPECT_EQ(collect(more), (std::vector{run_of(508, 7), run_of(1400, 120), run_of(2990, 11)}));
}

TEST_F(FreeRunsTest, SkipFromInsideARun) {
    set_free(508, 7);
    FreeRuns walk = this->walk(510, Frame::highest);
    walk.skip_shorter_than(FrameCount(100));
    EXPECT_EQ(walk.next(), run_of(510, 5));
    EXPECT_TRUE(walk.next().empty());
}

TEST_F(FreeRunsTest, SkipInTheMiddleOfAWalk) {
    set_free(10, 5);
    set_free(512, 5);
    set_free(700, 30);
    set_free(1030, 3);
    FreeRuns walk = this->walk(0, Frame::highest);
    EXPECT_EQ(walk.next(), run_of(10, 5));
    EXPECT_EQ(walk.next(), run_of(512, 5));
    walk.skip_shorter_than(FrameCount(20));
    EXPECT_EQ(walk.next(), run_of(700, 30));
    EXPECT_TRUE(walk.next().empty());
}

// A free run that ends a section does not reach over the hole to the next.
TEST_F(FreeRunsTest, DoNotCrossHoles) {
    set_free(2990, 11);
    set_free(50000, 10);
    EXPECT_EQ(runs(0, Frame::highest), (std::vector{run_of(2990, 11), run_of(50000, 10)}));
}

}  // namespace
}  // namespace quire::frame_sections_test
