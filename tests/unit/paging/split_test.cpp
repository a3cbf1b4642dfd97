// SPDX-License-Identifier: MIT
// Large pages of which a part changes, at every edge; and the ends of the address space.
#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

constexpr uint64_t large = uint64_t{4} << 20;
constexpr uintptr_t page_edges[] = {0, 1, 2, 511, 512, 1022, 1023, 1024};
constexpr uintptr_t probed_pages[] = {0, 1, 2, 3, 510, 511, 512, 513, 1021, 1022, 1023};

template <class W>
class SplitTest : public PagingTest<W> {};
TYPED_TEST_SUITE(SplitTest, AllWays, WayNames);

TYPED_TEST(SplitTest, UnmapsEveryPartOfALargePage) {
    for (const uintptr_t begin : page_edges) {
        for (const uintptr_t end : page_edges) {
            if (begin >= end) continue;
            this->map(pages_at(area, 1024), free_frame,
                      {read_only | Protection::user, MemoryType::write_combining});
            this->unmap(pages_at(area + begin * page_size, end - begin));
            for (const uintptr_t i : probed_pages) {
                const bool gone = i >= begin && i < end;
                const auto frame = this->frame_behind(area + i * page_size);
                ASSERT_EQ(frame.has_value(), !gone) << begin << ' ' << end << ' ' << i;
                if (gone) continue;
                EXPECT_EQ(*frame, free_frame.value() + i);
                EXPECT_EQ(
                    this->query(area + i * page_size).attributes,
                    (Attributes{read_execute | Protection::user, MemoryType::write_combining}));
                EXPECT_EQ(this->look(area + i * page_size)->type, sim::MemoryType::write_combining);
            }
            const bool all = begin == 0 && end == 1024;
            EXPECT_EQ(this->table().table_frames(), this->tables_before_ + FrameCount(all ? 0 : 1));
            ASSERT_TRUE(this->table().validate().ok());
            this->unmap(pages_at(area, 1024), UnmappedFrames::keep, Holes::skip);
            EXPECT_EQ(this->table().table_frames(), this->tables_before_);
        }
    }
}

TYPED_TEST(SplitTest, ProtectsEveryPartOfALargePage) {
    for (const uintptr_t begin : page_edges) {
        for (const uintptr_t end : page_edges) {
            if (begin >= end) continue;
            this->map(pages_at(area, 1024), free_frame);
            // As if the CPU had written through it.
            this->m.table(this->table().root())[area >> 22] |= 0x60;
            this->protect(pages_at(area + begin * page_size, end - begin), read_only);
            for (const uintptr_t i : probed_pages) {
                const Translation found = this->query(area + i * page_size);
                ASSERT_EQ(this->frame_behind(area + i * page_size), free_frame.value() + i);
                EXPECT_EQ(has(found.attributes.protection, Protection::write),
                          i < begin || i >= end);
                EXPECT_TRUE(found.accessed && found.dirty);
            }
            const bool all = begin == 0 && end == 1024;
            EXPECT_EQ(this->query(area).pages.count(), PageCount(all ? 1024 : 1));
            this->unmap(pages_at(area, 1024));
            EXPECT_EQ(this->table().table_frames(), this->tables_before_);
        }
    }
}

TYPED_TEST(SplitTest, SplitsAtBothEndsOfARange) {
    this->map(pages_at(area, 4 * 1024), free_frame);
    const auto before = this->table().table_frames();
    this->protect(pages_at(area + large - page_size, 2 * 1024 + 2), read_only);
    EXPECT_EQ(this->table().table_frames(), before + FrameCount(2));
    EXPECT_EQ(this->query(area + large).pages.count(), PageCount(1024));
    EXPECT_EQ(this->query(area + 2 * large).pages.count(), PageCount(1024));
    EXPECT_TRUE(this->look(area + large - 2 * page_size)->writable);
    EXPECT_FALSE(this->look(area + large - page_size)->writable);
    EXPECT_FALSE(this->look(area + 3 * large)->writable);
    EXPECT_TRUE(this->look(area + 3 * large + page_size)->writable);
    // Unmapped in the middle of two tables and two large pages between them.
    this->unmap(pages_at(area + large - 2 * page_size, 2 * 1024 + 4));
    EXPECT_EQ(this->frame_behind(area + large - 3 * page_size), free_frame.value() + 1021);
    EXPECT_EQ(this->frame_behind(area + large - 2 * page_size), std::nullopt);
    EXPECT_EQ(this->frame_behind(area + 2 * large), std::nullopt);
    EXPECT_EQ(this->frame_behind(area + 3 * large + 2 * page_size),
              free_frame.value() + 3 * 1024 + 2);
    EXPECT_EQ(this->table().table_frames(), before + FrameCount(2));
}

// The ends of the address space, and all of it; the accesses' own slots lie at its top.
class WholeSpaceTest : public PagingTest<Way<ThroughHost, Use::inactive>> {};

TEST_F(WholeSpaceTest, MapsTheFirstAndTheLastPage) {
    EXPECT_EQ(table().reach(), PageRange(Page(0), PageCount(0x100000)));
    map(pages_at(0, 1), free_frame);
    map(PageRange(Page(0xfffff), PageCount(1)), Frame(0xfffff));
    EXPECT_EQ(frame_behind(0), free_frame.value());
    EXPECT_EQ(frame_behind(0xffffffff), 0xfffffu);
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(2));
    protect(PageRange(Page(0xfffff), PageCount(1)), read_only);
    EXPECT_FALSE(look(0xffffffff)->writable);
    unmap(PageRange(Page(0), PageCount(0x100000)), UnmappedFrames::keep, Holes::skip);
    EXPECT_EQ(table().table_frames(), FrameCount(1));
}

TEST_F(WholeSpaceTest, MapsAllOfItWithLargePages) {
    const PageRange all(Page(0), PageCount(0x100000));
    map(all, Frame(0));
    EXPECT_EQ(table().table_frames(), FrameCount(1));
    size_t entries = 0;
    ASSERT_TRUE(table()
                    .walk(all,
                          [&](const Translation& found) {
                              EXPECT_EQ(found.frames.first().value(), found.pages.first().value());
                              ++entries;
                              return true;
                          })
                    .ok());
    EXPECT_EQ(entries, 1024u);
    // All but the first and the last page.
    unmap(PageRange(Page(1), PageCount(0xffffe)));
    EXPECT_EQ(table().table_frames(), FrameCount(3));
    EXPECT_EQ(frame_behind(0xfff), 0u);
    EXPECT_EQ(frame_behind(0x1000), std::nullopt);
    EXPECT_EQ(frame_behind(0xfffff000), 0xfffffu);
    unmap(all, UnmappedFrames::keep, Holes::skip);
    EXPECT_EQ(table().table_frames(), FrameCount(1));
}

TEST_F(WholeSpaceTest, MapsTheLastEighthWithSmallPages) {
    // Frames that no large page can use.
    const PageRange pages(Page(0xe0000), PageCount(0x20000));
    map(pages, Frame(1));
    EXPECT_EQ(table().table_frames(), FrameCount(1 + 128));
    for (uint64_t i = 0; i < 0x20000; i += 1021)
        ASSERT_EQ(look((0xe0000 + i) * page_size)->frame, (i + 1) * page_size);
    EXPECT_EQ(frame_behind(0xffffffff), 0x20000u);
    EXPECT_EQ(frame_behind(0xdfffffff), std::nullopt);
    ASSERT_TRUE(table().validate().ok());
    unmap(pages);
    EXPECT_EQ(table().table_frames(), FrameCount(1));
    EXPECT_EQ(m.frames.outstanding(), kernel_->table_frames().value() + 1);
}

TEST_F(WholeSpaceTest, UsesNoLargePagesWhereTheCpuHasNone) {
    HostTable small(*access_, X86_32(X86Features{}));
    ASSERT_TRUE(small.create(m.frames).ok());
    auto mapped = small.map(pages_at(area, 1024), free_frame, data);
    ASSERT_TRUE(mapped.ok());
    EXPECT_EQ(small.query(at(area))->pages.count(), PageCount(1));
    EXPECT_EQ(small.table_frames(), FrameCount(2));
    EXPECT_EQ(
        small.map(pages_at(area, 1), free_frame, {read_write, MemoryType::write_combining}).error(),
        Error::unsupported);
}

}  // namespace
}  // namespace quire::paging_test
