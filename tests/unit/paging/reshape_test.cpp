// SPDX-License-Identifier: MIT
// Large pages split and merged by request, and accessed and dirty harvested.
#include "quire/paging/x86_64.hpp"
#include "quire/paging/x86_pae.hpp"
#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

constexpr uint64_t large = uint64_t{4} << 20;
constexpr uint32_t accessed = 0x20;
constexpr uint32_t dirty = 0x40;

template <class W>
class ReshapeTest : public PagingTest<W> {
  protected:
    void split(const PageRange& pages) {
        auto change = this->table().split(pages);
        ASSERT_TRUE(change.ok()) << to_string(change.error());
        change->spend(this->m.tlb);
    }
    // A large page at the area's start, in single pages.
    void map_apart() {
        this->map(pages_at(area, 1024), free_frame);
        split(pages_at(area, 1));
        ASSERT_EQ(this->query(area).pages.count(), PageCount(1));
    }
    Failure merge_failure(uint64_t address) {
        auto change = this->table().merge(at(address));
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
        auto change = this->table().harvest(pages, [&](const Translation& found) {
            seen.push_back({address_of(found.pages.first()).value(), found.pages.count().value(),
                            found.accessed, found.dirty});
        });
        EXPECT_TRUE(change.ok());
        if (!change.ok()) return seen;
        EXPECT_EQ(change->empty(), !flushed);
        if (flushed && !change->empty()) {
            EXPECT_EQ(change->request().pages, *flushed);
        }
        change->spend(this->m.tlb);
        return seen;
    }
};
TYPED_TEST_SUITE(ReshapeTest, AllWays, WayNames);

TYPED_TEST(ReshapeTest, SplitsWhatReachesAcrossTheEnds) {
    this->map(pages_at(area, 3 * 1024), free_frame);
    const PageRange middle = pages_at(area + page_size, 3 * 1024 - 2);
    auto change = this->table().split(middle);
    ASSERT_TRUE(change.ok());
    EXPECT_EQ(change->request().pages, pages_at(area, 3 * 1024));
    change->spend(this->m.tlb);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_ + FrameCount(2));
    EXPECT_EQ(this->query(area).pages.count(), PageCount(1));
    EXPECT_EQ(this->query(area + large).pages.count(), PageCount(1024));
    EXPECT_EQ(this->query(area + 2 * large).pages.count(), PageCount(1));
    for (const uintptr_t i : {0u, 1u, 1023u, 1024u, 2047u, 2048u, 3070u, 3071u})
        EXPECT_EQ(this->frame_behind(area + i * page_size), free_frame.value() + i);
    // What follows needs no table.
    this->m.frames.fail_from(1);
    this->unmap(middle);
    EXPECT_EQ(this->m.frames.requests(), 0u);
    this->m.frames.never_fail();
    this->unmap(pages_at(area, 3 * 1024), UnmappedFrames::keep, Holes::skip);
}

TYPED_TEST(ReshapeTest, SplitsOneThatReachesAcrossBothEnds) {
    this->map(pages_at(area, 1024), free_frame);
    this->split(pages_at(area + 5 * page_size, 1));
    EXPECT_EQ(this->table().table_frames(), this->tables_before_ + FrameCount(1));
    EXPECT_EQ(this->frame_behind(area + 6 * page_size), free_frame.value() + 6);
    this->unmap(pages_at(area, 1024));
}

TYPED_TEST(ReshapeTest, SplitsNothingWhereEntriesEndWithTheRange) {
    this->map(pages_at(area, 1024 + 3), free_frame);
    const auto before = this->dump();
    auto change = this->table().split(pages_at(area, 1024));
    ASSERT_TRUE(change.ok());
    EXPECT_TRUE(change->empty());
    ASSERT_TRUE(this->table().split(pages_at(area + large + page_size, 5 * 1024)).ok());
    EXPECT_EQ(this->dump(), before);
    this->unmap(pages_at(area, 1024 + 3));
}

TYPED_TEST(ReshapeTest, SplitsPayloads) {
    ASSERT_TRUE(this->table().park(pages_at(area, 1024), 77).ok());
    auto change = this->table().split(pages_at(area, 2));
    ASSERT_TRUE(change.ok());
    EXPECT_TRUE(change->empty());
    EXPECT_EQ(this->query(area + 4 * page_size).payload, 77u);
    EXPECT_EQ(this->query(area).pages.count(), PageCount(1));
    this->unmap(pages_at(area, 1024));
}

TYPED_TEST(ReshapeTest, SplitRefuses) {
    this->map(pages_at(area, 2 * 1024), free_frame);
    EXPECT_EQ(this->table().split(pages_at(area, 0)).failure(), (Failure{Error::zero_size, area}));
    const PageRange past = PageRange(this->table().reach().last(), PageCount(1));
    EXPECT_EQ(this->table().split(PageRange::between(page_at(0), past.last())).ok(),
              this->table().reach().contains(page_at(0)));
    const PageRange beyond(Page(0x100000), PageCount(1));
    if (Page::highest > 0xfffff) {
        EXPECT_EQ(this->table().split(beyond).error(), Error::out_of_range);
    }
    const auto before = this->dump();
    for (const uint64_t n : {1u, 2u}) {
        const auto outstanding = this->m.frames.outstanding_frames();
        this->m.frames.fail_at(n);
        auto change = this->table().split(pages_at(area + page_size, 2 * 1024 - 2));
        ASSERT_EQ(change.error(), Error::out_of_frames);
        this->m.frames.never_fail();
        EXPECT_EQ(this->dump(), before);
        EXPECT_EQ(this->m.frames.outstanding_frames(), outstanding);
    }
    this->unmap(pages_at(area, 2 * 1024));
}

TYPED_TEST(ReshapeTest, MergesWhatWasSplit) {
    const auto outstanding = this->m.frames.outstanding_frames();
    this->map_apart();
    const Frame table(this->root_entry(area) >> 12);
    this->leaf_entry(area + 3 * page_size) |= accessed;
    auto change = this->table().merge(at(area + 1000 * page_size));
    ASSERT_TRUE(change.ok());
    EXPECT_EQ(change->request().pages, pages_at(area, 1024));
    EXPECT_EQ(this->query(area).pages.count(), PageCount(1024));
    EXPECT_TRUE(this->query(area).accessed);
    EXPECT_FALSE(this->query(area).dirty);
    EXPECT_TRUE(this->table().validate().ok());
    // Until it is flushed, a CPU may mark entries of the old table.
    this->m.table(table)[4] |= dirty;
    EXPECT_EQ(this->merge_failure(area).error, Error::busy);
    EXPECT_EQ(this->table().unmap(pages_at(area, 1)).error(), Error::busy);
    change->spend(this->m.tlb);
    EXPECT_TRUE(this->query(area).dirty);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
    EXPECT_EQ(this->m.frames.outstanding_frames(), outstanding);
    EXPECT_EQ(this->frame_behind(area + 1000 * page_size), free_frame.value() + 1000);
    this->unmap(pages_at(area, 1024));
}

TYPED_TEST(ReshapeTest, MarksAreNotLostWhenAMergedPageIsSplitAtOnce) {
    this->map_apart();
    const Frame table(this->root_entry(area) >> 12);
    auto change = this->table().merge(at(area));
    ASSERT_TRUE(change.ok());
    this->m.table(table)[4] |= dirty;
    this->split(pages_at(area, 1));
    change->spend(this->m.tlb);
    EXPECT_TRUE(this->query(area + 4 * page_size).dirty);
    this->unmap(pages_at(area, 1024));
}

TYPED_TEST(ReshapeTest, MergeRefuses) {
    this->map_apart();
    const auto refused = [&](Error error, uint64_t address) {
        const auto before = this->dump();
        EXPECT_EQ(this->merge_failure(area + 8 * page_size), (Failure{error, address}));
        EXPECT_EQ(this->dump(), before);
    };
    this->unmap(pages_at(area + 7 * page_size, 1));
    refused(Error::not_mapped, area + 7 * page_size);
    this->map(pages_at(area + 7 * page_size, 1), free_frame);
    refused(Error::misaligned, area + 7 * page_size);
    this->unmap(pages_at(area + 7 * page_size, 1));
    this->map(pages_at(area + 7 * page_size, 1), free_frame + FrameCount(7), {read_only});
    refused(Error::misaligned, area + 7 * page_size);
    this->unmap(pages_at(area, 1));
    refused(Error::not_mapped, area);
    this->unmap(pages_at(area, 1024), UnmappedFrames::keep, Holes::skip);
    this->map(pages_at(area, 1024), free_frame + FrameCount(1));
    refused(Error::misaligned, area);
    this->unmap(pages_at(area, 1024));

    this->map(pages_at(area, 1024), free_frame);
    EXPECT_EQ(this->merge_failure(area), (Failure{Error::unsupported, area}));
    this->unmap(pages_at(area, 1024));
    if (Page::highest > 0xfffff) {
        const uint64_t beyond = uint64_t{1} << 32;
        EXPECT_EQ(this->merge_failure(beyond), (Failure{Error::out_of_range, beyond}));
    }
}

TYPED_TEST(ReshapeTest, HarvestsMarks) {
    this->map(pages_at(area, 4), free_frame);
    this->map(pages_at(area + large, 1024), free_frame);
    ASSERT_TRUE(this->table().park(pages_at(area + 4 * page_size, 1), 9).ok());
    using Mark = typename TestFixture::Seen;
    const PageRange all = pages_at(area, 2 * 1024);
    EXPECT_TRUE(this->harvest(all, std::nullopt).empty());
    this->leaf_entry(area + page_size) |= accessed;
    this->leaf_entry(area + 3 * page_size) |= accessed | dirty;
    this->m.table(this->table().root())[(area + large) >> 22] |= dirty;
    const std::vector<Mark> first{{area + page_size, 1, true, false}};
    EXPECT_EQ(this->harvest(pages_at(area, 2), pages_at(area + page_size, 1)), first);
    const std::vector<Mark> rest{{area + 3 * page_size, 1, true, true},
                                 {area + large, 1024, false, true}};
    const PageRange concerned = pages_at(area + 3 * page_size, 1021 + 1024);
    EXPECT_EQ(this->harvest(pages_at(area, 1025), concerned), rest);
    EXPECT_TRUE(this->harvest(all, std::nullopt).empty());
    EXPECT_EQ(this->frame_behind(area + page_size), free_frame.value() + 1);
    this->unmap(all, UnmappedFrames::keep, Holes::skip);
}

TYPED_TEST(ReshapeTest, ACpuMarksAgainWhatWasHarvested) {
    if (!this->is_active) return;
    this->map(pages_at(area, 1), free_frame);
    for (int round = 0; round < 3; ++round) {
        ASSERT_TRUE(this->m.machine.template probe_store<uint32_t>(area, 1).ok());
        EXPECT_EQ(this->harvest(pages_at(area, 1), pages_at(area, 1)).size(), 1u) << round;
    }
    this->unmap(pages_at(area, 1));
}

TYPED_TEST(ReshapeTest, HarvestRefuses) {
    const auto none = [](const Translation&) { FAIL(); };
    EXPECT_EQ(this->table().harvest(pages_at(area, 0), none).error(), Error::zero_size);
    if (Page::highest > 0xfffff) {
        const PageRange beyond(Page(0x100000), PageCount(1));
        EXPECT_EQ(this->table().harvest(beyond, none).error(), Error::out_of_range);
    }
}

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
}  // namespace quire::paging_test
