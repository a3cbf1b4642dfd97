// SPDX-License-Identifier: MIT
// What is special about page tables of the PAE format: a root below 4 GiB whose four page
// directories are there from the start to the end.
#include <gtest/gtest.h>

#include <set>

#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/x86_pae.hpp"
#include "sim/failing_frames.hpp"
#include "sim/frame_pool.hpp"

namespace quire {
namespace {

constexpr Attributes data{read_write, MemoryType::write_back};
constexpr uint64_t gigabyte = 512 * 512;  // in pages

PageRange pages(uint64_t first, uint64_t count) {
    return PageRange(Page(first), PageCount(count));
}

class X86PaeTableTest : public testing::Test {
  protected:
    static constexpr uint64_t ram_frames = 0x1800;
    using Table = FormatPageTable<X86Pae, DirectMap>;

    void TearDown() override { EXPECT_TRUE(table.validate().ok()); }

    // The root's entries, which must lead to tables of their own.
    std::set<uint64_t> directories() {
        std::set<uint64_t> found;
        const auto* const root = ram.as<uint64_t>(address_of(table.root()).value());
        for (unsigned i = 0; i < 4; ++i) {
            EXPECT_EQ(root[i] & ~uint64_t{0xfffff000}, 1u) << i;
            found.insert(root[i] >> 12);
        }
        EXPECT_EQ(found.size(), 4u);
        for (unsigned i = 4; i < 512; ++i)
            EXPECT_EQ(root[i], 0u) << i;
        return found;
    }
    uint64_t& root_entry(unsigned index) {
        return ram.as<uint64_t>(address_of(table.root()).value())[index];
    }

    sim::Ram ram{ram_frames * page_size};
    sim::FramePool pool{ram,
                        FrameRange(Frame(0x400), FrameCount(0x1000)),
                        {sim::FreedFrames::filled_with_junk, true, 3}};
    sim::FailingFrames<sim::FramePool> frames{pool};
    DirectMap access{FrameRange(Frame(0), FrameCount(ram_frames)), VirtualAddress(0),
                     ram.physical_view()};
    X86Pae format{{.no_execute = true, .global_pages = true, .page_attributes = true}};
    Table table{access, format};
};

TEST_F(X86PaeTableTest, HasItsDirectoriesFromTheStartToTheEnd) {
    ASSERT_TRUE(table.create(frames).ok());
    EXPECT_EQ(table.table_frames(), FrameCount(5));
    EXPECT_EQ(table.reach(), pages(0, 4 * gigabyte));
    const auto before = directories();
    // All of it, with 2 MiB pages: no further table. Then nothing of it.
    auto mapped = table.map(pages(0, 4 * gigabyte), Frame(0x100000), data);
    ASSERT_TRUE(mapped.ok());
    EXPECT_EQ(table.table_frames(), FrameCount(5));
    EXPECT_EQ(directories(), before);
    table.unmap(pages(0, 4 * gigabyte))->spend_unused();
    EXPECT_EQ(directories(), before);
    EXPECT_EQ(table.table_frames(), FrameCount(5));
    // Single pages at both ends of each directory.
    for (uint64_t i = 0; i < 8; ++i) {
        const Page page(i / 2 * gigabyte + i % 2 * (gigabyte - 1));
        ASSERT_TRUE(table.map(PageRange(page, PageCount(1)), Frame(i), data).ok());
        EXPECT_EQ(table.query(address_of(page))->frames.first(), Frame(i));
    }
    EXPECT_EQ(table.table_frames(), FrameCount(5 + 8));
    EXPECT_TRUE(table.validate().ok());
    table.unmap(pages(0, 4 * gigabyte), UnmappedFrames::keep, Holes::skip)->spend_unused();
    EXPECT_EQ(directories(), before);
    EXPECT_EQ(table.table_frames(), FrameCount(5));
    ASSERT_TRUE(table.destroy().ok());
    EXPECT_EQ(frames.outstanding(), 0u);
}

TEST_F(X86PaeTableTest, IsNotEndedWhileSomethingIsMappedAnywhere) {
    ASSERT_TRUE(table.create(frames).ok());
    for (const uint64_t page : {uint64_t{5}, gigabyte + 7, 3 * gigabyte + 512, 4 * gigabyte - 1}) {
        ASSERT_TRUE(table.map(pages(page, 1), Frame(1), data).ok());
        const Failure failure = table.destroy().failure();
        EXPECT_EQ(failure, (Failure{Error::in_use, page * page_size}));
        table.unmap(pages(page, 1))->spend_unused();
    }
    ASSERT_TRUE(table.destroy().ok());
    EXPECT_EQ(frames.outstanding(), 0u);
}

TEST_F(X86PaeTableTest, IsMadeWholeOrNotAtAll) {
    for (uint64_t n = 1;; ++n) {
        frames.fail_at(n);
        const Status created = table.create(frames);
        if (created.ok()) {
            EXPECT_EQ(n, 6u);
            break;
        }
        EXPECT_EQ(created.error(), Error::out_of_frames);
        EXPECT_EQ(frames.outstanding(), 0u);
        EXPECT_EQ(table.table_frames(), FrameCount(0));
    }
    frames.never_fail();
    EXPECT_TRUE(table.destroy().ok());
}

TEST_F(X86PaeTableTest, IsTakenOverWithAllItsDirectoriesOnly) {
    ASSERT_TRUE(table.create(frames).ok());
    ASSERT_TRUE(table.map(pages(gigabyte, 3), Frame(0x123456), data).ok());
    for (unsigned index = 0; index < 4; ++index) {
        for (const uint64_t wrong : {uint64_t{0}, uint64_t{8}, root_entry(index) | 2,
                                     root_entry(index) | uint64_t{1} << 63}) {
            const uint64_t right = exchange(root_entry(index), wrong);
            Table other(access, format);
            EXPECT_EQ(other.adopt(table.root(), frames).error(), Error::corrupted);
            EXPECT_EQ(table.validate().ok(), false);
            root_entry(index) = right;
        }
    }
    Table other(access, format);
    ASSERT_TRUE(other.adopt(table.root(), frames).ok());
    EXPECT_EQ(other.table_frames(), FrameCount(6));
    EXPECT_EQ(other.query(VirtualAddress(0x40001000))->frames.first(), Frame(0x123457));
}

// A source that gives what it has: frames of the pool, called by higher numbers.
struct HighFrames {
    sim::FramePool& pool;
    uint64_t up;
    Result<Frame> allocate_frame() {
        const auto frame = pool.allocate_frame();
        return frame.ok() ? Result<Frame>(*frame + FrameCount(up)) : frame;
    }
    Status free_frame(Frame frame) { return pool.free_frame(frame - FrameCount(up)); }
};
// One that can be asked.
struct BothFrames : HighFrames {
    sim::FramePool& low;
    Frame asked{};
    Result<Frame> allocate_frame_up_to(Frame highest) {
        asked = highest;
        return low.allocate_frame();
    }
    Status free_frame(Frame frame) {
        return low.owns(frame) ? low.free_frame(frame) : HighFrames::free_frame(frame);
    }
};

TEST_F(X86PaeTableTest, HasItsRootBelow4GiB) {
    // Frames from 4 GiB on, which an access of the host shows.
    const uint64_t up = 0x100000;
    DirectMap high(FrameRange(Frame(0), FrameCount(up + ram_frames)), VirtualAddress(0),
                   AddressView(ram.physical_view().bias() - up * page_size));
    HighFrames source{pool, up};
    Table above(high, format);
    EXPECT_EQ(above.create(source).error(), Error::unreachable);
    EXPECT_EQ(pool.used(), FrameCount(0));
    EXPECT_EQ(above.table_frames(), FrameCount(0));

    // An access that shows both kinds at the same places.
    struct Both {
        DirectMap low, high;
        struct Session {};
        Session begin() const { return {}; }
        Result<DirectMap::Opened> open(const Session&, const TableLocation& where) const {
            return where.table < Frame(0x100000) ? low.open(where.table) : high.open(where.table);
        }
        bool keeps(unsigned) const { return false; }
    } both{access, high};
    sim::FramePool low(ram, FrameRange(Frame(0x300), FrameCount(1)));
    BothFrames mixed{{pool, up}, low};
    FormatPageTable<X86Pae, Both> made(both, format);
    ASSERT_TRUE(made.create(mixed).ok());
    EXPECT_EQ(made.root(), Frame(0x300));
    EXPECT_EQ(mixed.asked, Frame(0xfffff));
    EXPECT_EQ(pool.used(), FrameCount(4));
    ASSERT_TRUE(made.map(pages(0, 1), Frame(0xffffff), data).ok());
    EXPECT_EQ(made.query(VirtualAddress(0))->frames.first(), Frame(0xffffff));
    made.unmap(pages(0, 1))->spend_unused();
    EXPECT_TRUE(made.destroy().ok());
    EXPECT_EQ(pool.used(), FrameCount(0));
    // The next root cannot be had.
    ASSERT_TRUE(low.allocate_frame().ok());
    EXPECT_EQ(made.create(mixed).error(), Error::out_of_frames);
    EXPECT_EQ(pool.used(), FrameCount(0));
}

}  // namespace
}  // namespace quire
