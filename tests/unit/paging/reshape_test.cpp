// SPDX-License-Identifier: MIT
// Large pages split and merged by request, and accessed and dirty harvested.
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/x86_64.hpp"
#include "quire/paging/x86_pae.hpp"
#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test::reshape_test {
namespace {

constexpr uint64_t accessed = 0x20;
constexpr uint64_t dirty = 0x40;

class ReshapeTest : public EveryWay {
  protected:
    void split(const PageRange& pages) {
        auto change = table().split(pages);
        ASSERT_TRUE(change.ok()) << to_string(change.error());
        change->spend(m.tlb);
    }
    // A large page at the area's start, in single pages.
    void map_apart() {
        map(pages_at(area, large_pages), free_frame);
        split(pages_at(area, 1));
        ASSERT_EQ(query(area).pages.count(), PageCount(1));
    }
    Failure merge_failure(uint64_t address) {
        auto change = table().merge(at(address));
        EXPECT_FALSE(change.ok());
        if (!change.ok()) return change.failure();
        change->spend_unused();
        return {};
    }
    struct Seen {
        uint64_t address;
        uintptr_t pages;
        bool accessed, dirty;
        friend bool operator==(const Seen&, const Seen&) = default;
    };
    std::vector<Seen> harvest(const PageRange& pages, std::optional<PageRange> flushed) {
        std::vector<Seen> seen;
        auto change = table().harvest(pages, [&](const Translation& found) {
            seen.push_back({address_of(found.pages.first()).value(), found.pages.count().value(),
                            found.accessed, found.dirty});
        });
        EXPECT_TRUE(change.ok());
        if (!change.ok()) return seen;
        EXPECT_EQ(change->empty(), !flushed);
        if (flushed && !change->empty()) {
            EXPECT_EQ(change->request().pages, *flushed);
        }
        change->spend(m.tlb);
        return seen;
    }
};
INSTANTIATE_TEST_SUITE_P(Ways, ReshapeTest, testing::ValuesIn(all_ways()), name_of);

TEST_P(ReshapeTest, SplitsWhatReachesAcrossTheEnds) {
    map(pages_at(area, 3 * large_pages), free_frame);
    const PageRange middle = pages_at(area + page_size, 3 * large_pages - 2);
    auto change = table().split(middle);
    ASSERT_TRUE(change.ok());
    EXPECT_EQ(change->request().pages, pages_at(area, 3 * large_pages));
    change->spend(m.tlb);
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(2));
    EXPECT_EQ(query(area).pages.count(), PageCount(1));
    EXPECT_EQ(query(area + large).pages.count(), PageCount(large_pages));
    EXPECT_EQ(query(area + 2 * large).pages.count(), PageCount(1));
    for (const uintptr_t i : {uintptr_t{0}, uintptr_t{1}, large_pages - 1, large_pages,
                              2 * large_pages - 1, 2 * large_pages, 3 * large_pages - 1})
        EXPECT_EQ(frame_behind(area + i * page_size), free_frame.value() + i);
    // What follows needs no table.
    m.frames.fail_from(1);
    unmap(middle);
    EXPECT_EQ(m.frames.requests(), 0u);
    m.frames.never_fail();
    unmap(pages_at(area, 3 * large_pages), UnmappedFrames::keep, Holes::skip);
}

TEST_P(ReshapeTest, SplitsOneThatReachesAcrossBothEnds) {
    map(pages_at(area, large_pages), free_frame);
    split(pages_at(area + 5 * page_size, 1));
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(1));
    EXPECT_EQ(frame_behind(area + 6 * page_size), free_frame.value() + 6);
    unmap(pages_at(area, large_pages));
}

TEST_P(ReshapeTest, SplitsNothingWhereEntriesEndWithTheRange) {
    map(pages_at(area, large_pages + 3), free_frame);
    const auto before = dump();
    auto change = table().split(pages_at(area, large_pages));
    ASSERT_TRUE(change.ok());
    EXPECT_TRUE(change->empty());
    ASSERT_TRUE(table().split(pages_at(area + large + page_size, 5 * large_pages)).ok());
    EXPECT_EQ(dump(), before);
    unmap(pages_at(area, large_pages + 3));
}

TEST_P(ReshapeTest, SplitsPayloads) {
    ASSERT_TRUE(table().park(pages_at(area, large_pages), 77).ok());
    auto change = table().split(pages_at(area, 2));
    ASSERT_TRUE(change.ok());
    EXPECT_TRUE(change->empty());
    EXPECT_EQ(query(area + 4 * page_size).payload, 77u);
    EXPECT_EQ(query(area).pages.count(), PageCount(1));
    unmap(pages_at(area, large_pages));
}

TEST_P(ReshapeTest, SplitRefuses) {
    map(pages_at(area, 2 * large_pages), free_frame);
    EXPECT_EQ(table().split(pages_at(area, 0)).failure(), (Failure{Error::zero_size, area}));
    const PageRange past = PageRange(table().reach().last(), PageCount(1));
    EXPECT_EQ(table().split(PageRange::between(page_at(0), past.last())).ok(),
              table().reach().contains(page_at(0)));
    const PageRange outside(page_outside(), PageCount(1));
    EXPECT_EQ(table().split(outside).error(), Error::out_of_range);
    const auto before = dump();
    for (const uint64_t n : {1u, 2u}) {
        const auto outstanding = m.frames.outstanding_frames();
        m.frames.fail_at(n);
        auto change = table().split(pages_at(area + page_size, 2 * large_pages - 2));
        ASSERT_EQ(change.error(), Error::out_of_frames);
        m.frames.never_fail();
        EXPECT_EQ(dump(), before);
        EXPECT_EQ(m.frames.outstanding_frames(), outstanding);
    }
    unmap(pages_at(area, 2 * large_pages));
}

TEST_P(ReshapeTest, MergesWhatWasSplit) {
    const auto outstanding = m.frames.outstanding_frames();
    map_apart();
    const Frame apart = table_in(large_entry(area));
    leaf_entry(area + 3 * page_size) |= accessed;
    auto change = table().merge(at(area + (large_pages - 9) * page_size));
    ASSERT_TRUE(change.ok());
    EXPECT_EQ(change->request().pages, pages_at(area, large_pages));
    EXPECT_EQ(query(area).pages.count(), PageCount(large_pages));
    EXPECT_TRUE(query(area).accessed);
    EXPECT_FALSE(query(area).dirty);
    EXPECT_TRUE(table().validate().ok());
    // Until it is flushed, a CPU may mark entries of the old table.
    leaf_entry_in(apart, 4) |= dirty;
    EXPECT_EQ(merge_failure(area).error, Error::busy);
    EXPECT_EQ(table().unmap(pages_at(area, 1)).error(), Error::busy);
    change->spend(m.tlb);
    EXPECT_TRUE(query(area).dirty);
    EXPECT_EQ(table().table_frames(), tables_before_);
    EXPECT_EQ(m.frames.outstanding_frames(), outstanding);
    EXPECT_EQ(frame_behind(area + (large_pages - 9) * page_size),
              free_frame.value() + large_pages - 9);
    unmap(pages_at(area, large_pages));
}

TEST_P(ReshapeTest, MarksAreNotLostWhenAMergedPageIsSplitAtOnce) {
    map_apart();
    const Frame apart = table_in(large_entry(area));
    auto change = table().merge(at(area));
    ASSERT_TRUE(change.ok());
    leaf_entry_in(apart, 4) |= dirty;
    split(pages_at(area, 1));
    change->spend(m.tlb);
    EXPECT_TRUE(query(area + 4 * page_size).dirty);
    unmap(pages_at(area, large_pages));
}

TEST_P(ReshapeTest, MergeRefuses) {
    map_apart();
    const auto refused = [&](Error error, uint64_t address) {
        const auto before = dump();
        EXPECT_EQ(merge_failure(area + 8 * page_size), (Failure{error, address}));
        EXPECT_EQ(dump(), before);
    };
    unmap(pages_at(area + 7 * page_size, 1));
    refused(Error::not_mapped, area + 7 * page_size);
    map(pages_at(area + 7 * page_size, 1), free_frame);
    refused(Error::misaligned, area + 7 * page_size);
    unmap(pages_at(area + 7 * page_size, 1));
    map(pages_at(area + 7 * page_size, 1), free_frame + FrameCount(7), {read_only});
    refused(Error::misaligned, area + 7 * page_size);
    unmap(pages_at(area, 1));
    refused(Error::not_mapped, area);
    unmap(pages_at(area, large_pages), UnmappedFrames::keep, Holes::skip);
    map(pages_at(area, large_pages), free_frame + FrameCount(1));
    refused(Error::misaligned, area);
    unmap(pages_at(area, large_pages));

    map(pages_at(area, large_pages), free_frame);
    // With 1 GiB pages, that table could be one, if it were full.
    const uint64_t gigabyte = area & ~uint64_t{0x3fffffff};
    EXPECT_EQ(merge_failure(area), mode.kind == Mode::Kind::x86_64
                                       ? (Failure{Error::not_mapped, gigabyte})
                                       : (Failure{Error::unsupported, area}));
    unmap(pages_at(area, large_pages));
    const uint64_t outside = address_of(page_outside()).value();
    EXPECT_EQ(merge_failure(outside), (Failure{Error::out_of_range, outside}));
}

TEST_P(ReshapeTest, HarvestsMarks) {
    map(pages_at(area, 4), free_frame);
    map(pages_at(area + large, large_pages), free_frame);
    ASSERT_TRUE(table().park(pages_at(area + 4 * page_size, 1), 9).ok());
    using Mark = Seen;
    const PageRange all = pages_at(area, 2 * large_pages);
    EXPECT_TRUE(harvest(all, std::nullopt).empty());
    leaf_entry(area + page_size) |= accessed;
    leaf_entry(area + 3 * page_size) |= accessed | dirty;
    large_entry(area + large) |= dirty;
    const std::vector<Mark> first{{area + page_size, 1, true, false}};
    EXPECT_EQ(harvest(pages_at(area, 2), pages_at(area + page_size, 1)), first);
    const std::vector<Mark> rest{{area + 3 * page_size, 1, true, true},
                                 {area + large, large_pages, false, true}};
    const PageRange concerned = pages_at(area + 3 * page_size, large_pages - 3 + large_pages);
    EXPECT_EQ(harvest(pages_at(area, large_pages + 1), concerned), rest);
    EXPECT_TRUE(harvest(all, std::nullopt).empty());
    EXPECT_EQ(frame_behind(area + page_size), free_frame.value() + 1);
    unmap(all, UnmappedFrames::keep, Holes::skip);
}

TEST_P(ReshapeTest, ACpuMarksAgainWhatWasHarvested) {
    if (!is_active()) return;
    map(pages_at(area, 1), free_frame);
    for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(m.machine.probe_store<uint32_t>(area, 1).ok());
        EXPECT_EQ(harvest(pages_at(area, 1), pages_at(area, 1)).size(), 1u) << round;
    }
    unmap(pages_at(area, 1));
}

TEST_P(ReshapeTest, HarvestRefuses) {
    const auto none = [](const Translation&) { FAIL(); };
    EXPECT_EQ(table().harvest(pages_at(area, 0), none).error(), Error::zero_size);
    const PageRange outside(page_outside(), PageCount(1));
    EXPECT_EQ(table().harvest(outside, none).error(), Error::out_of_range);
}

constexpr uint64_t area = 0x40000000;

// Formats of more than two levels, step by step from the largest page to single ones and back.
template <class Format>
void split_and_merge(const Format& format, uintptr_t pages) {
    constexpr uint64_t ram_frames = 0x1000;
    sim::Ram ram{ram_frames * page_size};
    sim::FramePool pool{ram, FrameRange(Frame(0x400), FrameCount(0x100))};
    DirectMap access{FrameRange(Frame(0), FrameCount(ram_frames)), VirtualAddress(0),
                     ram.physical_view()};
    FormatPageTable<Format, DirectMap> table(access, format);
    ASSERT_TRUE(table.create(pool).ok());
    const PageRange all = pages_at(area, pages);
    ASSERT_TRUE(table.map(all, Frame(pages), data).ok());
    const FrameCount before = table.table_frames();
    auto change = table.split(pages_at(area + 5 * page_size, 1));
    ASSERT_TRUE(change.ok());
    change->spend_unused();
    size_t splits = 0;
    for (uintptr_t size = pages; size > 1; size /= 512)
        ++splits;
    EXPECT_EQ(table.table_frames(), before + FrameCount(splits));
    for (uintptr_t size = 1; size < pages; size *= 512) {
        EXPECT_EQ(table.query(at(area))->pages.count(), PageCount(size));
        auto merged = table.merge(at(area + 5 * page_size));
        ASSERT_TRUE(merged.ok());
        merged->spend_unused();
        EXPECT_TRUE(table.validate().ok());
    }
    EXPECT_EQ(table.query(at(area))->pages, all);
    EXPECT_EQ(table.query(at(area))->attributes.type, MemoryType::write_back);
    EXPECT_EQ(table.merge(at(area)).error(), Error::unsupported);
    EXPECT_EQ(table.table_frames(), before);
    // Frames that follow one another from the wrong place on.
    const PageRange other = pages_at(area + pages * page_size, 512);
    ASSERT_TRUE(table.map(other, Frame(pages + 2), data).ok());
    const uint64_t first = address_of(other.first()).value();
    EXPECT_EQ(table.merge(at(first)).failure(), (Failure{Error::misaligned, first}));
}

TEST(ReshapeLevelsTest, X86_64) {
    const X86_64 format(X86_64Features{.no_execute = true, .gigabyte_pages = true});
    split_and_merge(format, 512 * 512);
    split_and_merge(X86_64(X86_64Features{.five_levels = true}), 512);
}
TEST(ReshapeLevelsTest, Pae) {
    split_and_merge(X86Pae(), 512);
}

// What lies before a large page may be a table, which starts at no frame that a page could.
TEST(ReshapeLevelsTest, ATableAmongLargePagesIsNotMerged) {
    sim::Ram ram{uint64_t{16} << 20};
    sim::FramePool pool{ram, FrameRange(Frame(0x400), FrameCount(0x100))};
    DirectMap access{FrameRange(Frame(0), FrameCount(0x1000)), VirtualAddress(0),
                     ram.physical_view()};
    const X86_64 format(X86_64Features{.no_execute = true, .gigabyte_pages = true});
    FormatPageTable<X86_64, DirectMap> table(access, format);
    ASSERT_TRUE(table.create(pool).ok());
    ASSERT_TRUE(table.map(pages_at(area, 1), Frame(7), data).ok());
    const uint64_t second = area + 512 * page_size;
    ASSERT_TRUE(table.map(pages_at(second, 512), Frame(512), data).ok());
    EXPECT_EQ(table.merge(at(second)).failure(), (Failure{Error::not_mapped, area}));
}

// The leaf table that was used last is not the one that decides any more.
TEST(ReshapeLevelsTest, MergedTablesAreNotRemembered) {
    sim::Ram ram{uint64_t{16} << 20};
    sim::FramePool pool{ram, FrameRange(Frame(0x400), FrameCount(0x100))};
    DirectMap access{FrameRange(Frame(0), FrameCount(0x1000)), VirtualAddress(0),
                     ram.physical_view()};
    FormatPageTable<X86_64, DirectMap> table(access, X86_64());
    ASSERT_TRUE(table.create(pool).ok());
    ASSERT_TRUE(table.map(pages_at(area, 512), Frame(512), data).ok());
    table.split(pages_at(area, 1))->spend_unused();
    EXPECT_EQ(table.translate(at(area))->value(), 512 * page_size);
    table.merge(at(area))->spend_unused();
    table.protect(pages_at(area, 1), read_only)->spend_unused();
    EXPECT_FALSE(has(table.query(at(area))->attributes.protection, Protection::write));
    EXPECT_TRUE(has(table.query(at(area + page_size))->attributes.protection, Protection::write));
    EXPECT_TRUE(table.validate().ok());
}

// Where no CPU walks a table, and one page at a time, through the paths of their own.
TEST(SinglePagesTest, TranslateAndKeepTheirTableUntilTheLast) {
    sim::Ram ram{uint64_t{16} << 20};
    sim::FramePool pool{ram, FrameRange(Frame(0x400), FrameCount(0x100))};
    DirectMap access{FrameRange(Frame(0), FrameCount(0x1000)), VirtualAddress(0),
                     ram.physical_view()};
    FormatPageTable<X86_64, DirectMap> table(access, X86_64());
    EXPECT_EQ(table.translate(at(area)).error(), Error::out_of_range);
    ASSERT_TRUE(table.create(pool).ok());
    table.set_use(TableUse::inactive);
    for (const auto& order :
         {std::vector<uint64_t>{0, 1, 2, 511}, {511, 2, 1, 0}, {2, 511, 0, 1}}) {
        EXPECT_EQ(table.translate(at(area)).failure(), (Failure{Error::not_mapped, area}));
        for (const uint64_t page : order) {
            const uint64_t address = area + page * page_size;
            ASSERT_TRUE(table.map(pages_at(address, 1), Frame(page + 70), data).ok());
            EXPECT_EQ(table.map(pages_at(address, 1), Frame(1), data).failure(),
                      (Failure{Error::already_mapped, address}));
            EXPECT_EQ(table.translate(at(address + 123))->value(), (page + 70) * page_size + 123);
        }
        for (const uint64_t page : order) {
            const uint64_t address = area + page * page_size;
            EXPECT_EQ(table.table_frames(), FrameCount(4));
            auto changed = table.protect(pages_at(address, 1), read_only);
            ASSERT_TRUE(changed.ok());
            EXPECT_EQ(changed->request().pages, pages_at(address, 1));
            changed->spend_unused();
            EXPECT_EQ(table.query(at(address))->attributes.protection, read_execute);
            auto gone = table.unmap(pages_at(address, 1));
            ASSERT_TRUE(gone.ok());
            EXPECT_EQ(gone->request().pages, pages_at(address, 1));
            gone->spend_unused();
            EXPECT_EQ(table.translate(at(address)).failure(),
                      (Failure{Error::not_mapped, address}));
            EXPECT_EQ(table.unmap(pages_at(address, 1)).failure(),
                      (Failure{Error::not_mapped, address}));
            ASSERT_TRUE(table.validate().ok());
        }
        EXPECT_EQ(table.table_frames(), FrameCount(1));
    }
    ASSERT_TRUE(table.map(pages_at(area, 512), Frame(512), data).ok());
    EXPECT_EQ(table.translate(at(area + 0x1234))->value(), 512 * page_size + 0x1234);
    table.unmap(pages_at(area, 512))->spend_unused();
    ASSERT_TRUE(table.destroy().ok());
    EXPECT_EQ(table.translate(at(area)).error(), Error::out_of_range);
}

// More tables than one frame can list.
TEST(TableReserveTest, ManyTablesAtOnce) {
    sim::Ram ram{uint64_t{32} << 20};
    sim::FramePool pool{ram, FrameRange(Frame(0x400), FrameCount(0x1800))};
    sim::FailingFrames<sim::FramePool> frames{pool};
    DirectMap access{FrameRange(Frame(0), FrameCount(0x2000)), VirtualAddress(0),
                     ram.physical_view()};
    FormatPageTable<X86_64, DirectMap> table(access, X86_64());
    ASSERT_TRUE(table.create(frames).ok());
    const PageRange pages = pages_at(uint64_t{1} << 32, 1030 * 512);
    for (const uint64_t n : {1u, 2u, 511u, 512u, 513u, 1024u, 1025u, 1034u}) {
        frames.fail_at(n);
        EXPECT_EQ(table.map(pages, Frame(1), data).error(), Error::out_of_frames) << n;
        EXPECT_EQ(frames.outstanding_frames().size(), 1u) << n;
        EXPECT_TRUE(table.validate().ok());
    }
    frames.never_fail();
    ASSERT_TRUE(table.map(pages, Frame(1), data).ok());
    EXPECT_TRUE(table.validate().ok());
    for (const uint64_t page : {0u, 1u, 511u, 512u, 1030u * 512 - 1}) {
        const VirtualAddress address = address_of(pages.first() + PageCount(page));
        EXPECT_EQ(table.translate(address)->value(), (page + 1) * page_size);
    }
    table.unmap(pages)->spend_unused();
    EXPECT_EQ(frames.outstanding_frames().size(), 1u);
    ASSERT_TRUE(table.destroy().ok());
    EXPECT_EQ(frames.strangers(), 0u);
}

}  // namespace
}  // namespace quire::paging_test::reshape_test
