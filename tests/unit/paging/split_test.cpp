// SPDX-License-Identifier: MIT
// Large pages of which a part changes, at every edge; and the ends of the address space.
#include "unit/paging/paging_worlds.hpp"

namespace quire::paging_test {
namespace {

class SplitTest : public EveryWay {
  protected:
    const uintptr_t middle = large_pages / 2;
    const std::vector<uintptr_t> page_edges{
        0, 1, 2, middle - 1, middle, large_pages - 2, large_pages - 1, large_pages};
    const std::vector<uintptr_t> probed_pages{0,
                                              1,
                                              2,
                                              3,
                                              middle - 2,
                                              middle - 1,
                                              middle,
                                              middle + 1,
                                              large_pages - 3,
                                              large_pages - 2,
                                              large_pages - 1};
};
INSTANTIATE_TEST_SUITE_P(Ways, SplitTest, testing::ValuesIn(all_ways()), name_of);

TEST_P(SplitTest, UnmapsEveryPartOfALargePage) {
    for (const uintptr_t begin : page_edges) {
        for (const uintptr_t end : page_edges) {
            if (begin >= end) continue;
            map(pages_at(area, large_pages), free_frame,
                {read_only | Protection::user, MemoryType::write_combining});
            unmap(pages_at(area + begin * page_size, end - begin));
            for (const uintptr_t i : probed_pages) {
                const bool gone = i >= begin && i < end;
                const auto frame = frame_behind(area + i * page_size);
                ASSERT_EQ(frame.has_value(), !gone) << begin << ' ' << end << ' ' << i;
                if (gone) continue;
                EXPECT_EQ(*frame, free_frame.value() + i);
                EXPECT_EQ(query(area + i * page_size).attributes,
                          (Attributes{granted(read_only | Protection::user),
                                      MemoryType::write_combining}));
                EXPECT_EQ(look(area + i * page_size)->type, sim::MemoryType::write_combining);
            }
            const bool all = begin == 0 && end == large_pages;
            EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(all ? 0 : 1));
            ASSERT_TRUE(table().validate().ok());
            unmap(pages_at(area, large_pages), UnmappedFrames::keep, Holes::skip);
            EXPECT_EQ(table().table_frames(), tables_before_);
        }
    }
}

TEST_P(SplitTest, ProtectsEveryPartOfALargePage) {
    for (const uintptr_t begin : page_edges) {
        for (const uintptr_t end : page_edges) {
            if (begin >= end) continue;
            map(pages_at(area, large_pages), free_frame);
            // As if the CPU had written through it.
            large_entry(area) |= 0x60;
            protect(pages_at(area + begin * page_size, end - begin), read_only);
            for (const uintptr_t i : probed_pages) {
                const Translation found = query(area + i * page_size);
                ASSERT_EQ(frame_behind(area + i * page_size), free_frame.value() + i);
                EXPECT_EQ(has(found.attributes.protection, Protection::write),
                          i < begin || i >= end);
                EXPECT_TRUE(found.accessed && found.dirty);
            }
            const bool all = begin == 0 && end == large_pages;
            EXPECT_EQ(query(area).pages.count(), PageCount(all ? large_pages : 1));
            unmap(pages_at(area, large_pages));
            EXPECT_EQ(table().table_frames(), tables_before_);
        }
    }
}

TEST_P(SplitTest, SplitsAtBothEndsOfARange) {
    map(pages_at(area, 4 * large_pages), free_frame);
    const auto before = table().table_frames();
    protect(pages_at(area + large - page_size, 2 * large_pages + 2), read_only);
    EXPECT_EQ(table().table_frames(), before + FrameCount(2));
    EXPECT_EQ(query(area + large).pages.count(), PageCount(large_pages));
    EXPECT_EQ(query(area + 2 * large).pages.count(), PageCount(large_pages));
    EXPECT_TRUE(look(area + large - 2 * page_size)->writable);
    EXPECT_FALSE(look(area + large - page_size)->writable);
    EXPECT_FALSE(look(area + 3 * large)->writable);
    EXPECT_TRUE(look(area + 3 * large + page_size)->writable);
    // Unmapped in the middle of two tables and two large pages between them.
    unmap(pages_at(area + large - 2 * page_size, 2 * large_pages + 4));
    EXPECT_EQ(frame_behind(area + large - 3 * page_size), free_frame.value() + large_pages - 3);
    EXPECT_EQ(frame_behind(area + large - 2 * page_size), std::nullopt);
    EXPECT_EQ(frame_behind(area + 2 * large), std::nullopt);
    EXPECT_EQ(frame_behind(area + 3 * large + 2 * page_size),
              free_frame.value() + 3 * large_pages + 2);
    EXPECT_EQ(table().table_frames(), before + FrameCount(2));
}

// The ends of the address space, and all of it; the accesses' own slots lie at its top.
class WholeSpaceTest : public PagingTestOf<Bits32, ThroughHost, Use::inactive> {};

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
    EXPECT_EQ(m.frames.outstanding(), kernel().table_frames().value() + 1);
}

TEST_F(WholeSpaceTest, UsesNoLargePagesWhereTheCpuHasNone) {
    HostTable small(access(), X86_32(X86Features{}));
    ASSERT_TRUE(small.create(m.frames).ok());
    auto mapped = small.map(pages_at(area, large_pages), free_frame, data);
    ASSERT_TRUE(mapped.ok());
    EXPECT_EQ(small.query(at(area))->pages.count(), PageCount(1));
    EXPECT_EQ(small.table_frames(), FrameCount(2));
    EXPECT_EQ(
        small.map(pages_at(area, 1), free_frame, {read_write, MemoryType::write_combining}).error(),
        Error::unsupported);
}

}  // namespace
}  // namespace quire::paging_test
