// SPDX-License-Identifier: MIT
// What a page table does with more than two levels, two sizes of large pages, and addresses that
// have a hole in the middle.
#include "unit/paging/long_mode_fixture.hpp"

#include <random>

namespace quire::long_mode_test {
namespace {

TYPED_TEST_SUITE(LongModeTest, LongWays, LongWayNames);

TYPED_TEST(LongModeTest, MapsAPageWhereTheCpuFindsIt) {
    this->map(this->pages(5, 1), this->free_frame);
    EXPECT_EQ(this->frame_behind(5), this->free_frame.value());
    EXPECT_EQ(this->frame_behind(4), std::nullopt);
    EXPECT_EQ(this->frame_behind(6), std::nullopt);
    EXPECT_EQ(this->query(5).attributes, (Attributes{read_write, MemoryType::write_back}));
    // A table of each level below the root, but for those that a window shares.
    EXPECT_GE(this->table().table_frames(), this->tables_before_ + FrameCount(2));
    EXPECT_LE(this->table().table_frames(), this->tables_before_ + FrameCount(this->root_level));
    this->unmap(this->pages(5, 1));
    EXPECT_EQ(this->frame_behind(5), std::nullopt);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
}

TYPED_TEST(LongModeTest, UsesTheLargestPagesThatBothSidesAllow) {
    // One page, 511 of 2 MiB, 1 GiB, 2 MiB, one page.
    const PageRange range = this->pages(511, 1 + 511 * 512 + gigabyte + 512 + 1);
    this->map(range, this->free_frame + FrameCount(511));
    EXPECT_EQ(this->query(511).pages.count(), PageCount(1));
    EXPECT_EQ(this->query(512).pages, this->pages(512, 512));
    EXPECT_EQ(this->query(gigabyte - 1).pages.count(), PageCount(512));
    EXPECT_EQ(this->query(gigabyte).pages, this->pages(gigabyte, gigabyte));
    EXPECT_EQ(this->query(2 * gigabyte).pages.count(), PageCount(512));
    EXPECT_EQ(this->query(2 * gigabyte + 512).pages.count(), PageCount(1));
    for (const uint64_t page : {uint64_t{511}, uint64_t{512}, gigabyte - 1, gigabyte,
                                gigabyte + 12345, 2 * gigabyte - 1, 2 * gigabyte + 512})
        EXPECT_EQ(this->frame_behind(page), this->free_frame.value() + page);
    EXPECT_EQ(this->frame_behind(510), std::nullopt);
    EXPECT_EQ(this->frame_behind(2 * gigabyte + 513), std::nullopt);
    this->unmap(range);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);

    // Frames that are aligned to 2 MiB and no better.
    this->map(this->pages(0, gigabyte), this->free_frame + FrameCount(512));
    EXPECT_EQ(this->query(0).pages.count(), PageCount(512));
    EXPECT_EQ(this->frame_behind(gigabyte - 1), this->free_frame.value() + 512 + gigabyte - 1);
    this->unmap(this->pages(0, gigabyte));
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
}

TYPED_TEST(LongModeTest, SplitsAGigabyteDownToAPage) {
    const uint64_t hole = 77 * 512 + 13;
    const Attributes combining{read_execute | Protection::global, MemoryType::write_combining};
    this->map(this->pages(0, gigabyte), this->free_frame, combining);
    const FrameCount whole = this->table().table_frames();
    this->unmap(this->pages(hole, 1));
    EXPECT_EQ(this->table().table_frames(), whole + FrameCount(2));
    EXPECT_EQ(this->frame_behind(hole), std::nullopt);
    for (const uint64_t page : {uint64_t{0}, hole - 1, hole + 1, hole + 512, gigabyte - 1}) {
        EXPECT_EQ(this->frame_behind(page), this->free_frame.value() + page);
        EXPECT_EQ(this->query(page).attributes, combining);
    }
    EXPECT_EQ(this->query(0).pages.count(), PageCount(512));
    EXPECT_EQ(this->query(hole + 1).pages.count(), PageCount(1));
    this->unmap(this->pages(0, gigabyte), Holes::skip);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
}

TYPED_TEST(LongModeTest, ProtectsAPartOfAGigabyte) {
    this->map(this->pages(0, gigabyte), this->free_frame);
    auto changed = this->table().protect(this->pages(512, 513), read_execute);
    ASSERT_TRUE(changed.ok());
    EXPECT_EQ(changed->request().pages, this->pages(0, gigabyte));
    changed->spend(this->tlb);
    for (const uint64_t page : {uint64_t{511}, uint64_t{1025}, gigabyte - 1}) {
        EXPECT_EQ(this->frame_behind(page), this->free_frame.value() + page);
        EXPECT_EQ(this->query(page).attributes.protection, read_write);
    }
    for (const uint64_t page : {512u, 1023u, 1024u}) {
        EXPECT_EQ(this->frame_behind(page), this->free_frame.value() + page);
        EXPECT_EQ(this->query(page).attributes.protection, read_execute);
    }
    EXPECT_EQ(this->query(512).pages.count(), PageCount(512));
    EXPECT_EQ(this->query(1024).pages.count(), PageCount(1));
    this->unmap(this->pages(0, gigabyte));
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
}

TYPED_TEST(LongModeTest, TheHoleAndTheOtherHalfAreOutOfReach) {
    const PageRange half = this->format.pages();
    const uint64_t index_bits = 9 * (this->root_level + 1);
    const uint64_t sign = uint64_t{1} << (index_bits - 1);
    const Page highest(Page::highest);
    // Just outside on either side, in the middle of the hole, in the other half, across the edge.
    const PageRange outside[] = {
        PageRange(Page(sign), PageCount(1)),
        PageRange(highest - PageCount(sign), PageCount(1)),
        PageRange(Page(uintptr_t{1} << 51), PageCount(1)),
        TypeParam::half == AddressHalf::low ? PageRange(highest, PageCount(1))
                                            : PageRange(Page(0), PageCount(1)),
        TypeParam::half == AddressHalf::low ? PageRange(half.last(), PageCount(2))
                                            : PageRange(half.first() - PageCount(1), PageCount(2)),
    };
    PageTable& table = this->table();
    for (unsigned i = 0; i < 5; ++i) {
        SCOPED_TRACE(i);
        const PageRange& pages = outside[i];
        if (i < 4) {
            ASSERT_FALSE(half.contains(pages.first()));
            EXPECT_EQ(table.query(address_of(pages.first())).error(), Error::out_of_range);
        }
        const Failure refused{Error::out_of_range, address_of(pages.first()).value()};
        EXPECT_EQ(table.map(pages, this->free_frame, this->data).failure(), refused);
        EXPECT_EQ(table.unmap(pages, UnmappedFrames::keep, Holes::skip).failure(), refused);
        EXPECT_EQ(table.protect(pages, read_only, Holes::skip).failure(), refused);
        EXPECT_EQ(table.park(pages, 1).failure(), refused);
        EXPECT_EQ(table.walk(pages, [](const Translation&) { return true; }).failure(), refused);
    }
    EXPECT_EQ(table.table_frames(), this->tables_before_);
    EXPECT_TRUE(half.contains(table.reach()));
}

TYPED_TEST(LongModeTest, TheFirstAndTheLastPageOfItsReachCanBeMapped) {
    const PageRange reach = this->table().reach();
    for (const Page page : {reach.first(), reach.last()}) {
        const PageRange one(page, PageCount(1));
        this->map(one, this->free_frame);
        const auto seen = this->m.look(this->table().root(), address_of(page).value()).translation;
        ASSERT_TRUE(seen.has_value());
        EXPECT_EQ(seen->frame / page_size, this->free_frame.value());
        std::vector<Page> walked;
        ASSERT_TRUE(this->table()
                        .walk(one,
                              [&](const Translation& found) {
                                  walked.push_back(found.pages.first());
                                  return true;
                              })
                        .ok());
        EXPECT_EQ(walked, std::vector<Page>{page});
        EXPECT_TRUE(this->table().validate().ok());
        this->unmap(one);
        EXPECT_EQ(this->table().table_frames(), this->tables_before_);
    }
}

TYPED_TEST(LongModeTest, RefusesFramesThatTheCpuHasNoAddressFor) {
    const Frame highest((uint64_t{1} << 34) - 1);
    EXPECT_EQ(this->table().highest_frame(), highest);
    EXPECT_EQ(this->table().map(this->pages(0, 2), highest, this->data).error(),
              Error::out_of_range);
    EXPECT_EQ(this->table().map(this->pages(0, 1), highest + FrameCount(1), this->data).error(),
              Error::out_of_range);
    this->map(this->pages(0, 1), highest);
    EXPECT_EQ(this->frame_behind(0), highest.value());
}

TYPED_TEST(LongModeTest, FindsBitsThatTheFormatReserves) {
    this->map(this->pages(0, 512), this->free_frame);
    uint64_t* entries = this->m.table(this->table().root());
    for (uint64_t level = this->root_level; level > 1; --level) {
        const uint64_t index = this->area >> (12 + 9 * level) & 511;
        entries = this->m.table(Frame(entries[index] >> 12 & 0xffffffffff));
    }
    uint64_t& large = entries[this->area >> 21 & 511];
    large |= 0x2000;
    EXPECT_EQ(this->table().validate().failure(), (Failure{Error::corrupted, this->area}));
    large &= ~uint64_t{0x2000};
}

// Random changes whose ends lie at and around the edges of pages of every size, against an oracle
// that knows each stretch between two such places.
TYPED_TEST(LongModeTest, RandomChangesAgreeWithTheOracle) {
    constexpr uint64_t g = gigabyte;
    const std::vector<uint64_t> places = {
        0,     1, 511,   512,     513,         1024,        5 * 512,   g - 513, g - 512,
        g - 1, g, g + 1, g + 512, g + 9 * 512, 2 * g - 512, 2 * g - 1, 2 * g,   2 * g + 512};
    struct Known {
        EntryState state = EntryState::empty;
        uint64_t frame_minus_page = 0;
        uint64_t payload = 0;
        Attributes attributes;
    };
    std::vector<Known> known(places.size() - 1);
    std::mt19937_64 random(this->root_level);
    for (int step = 0; step < 120; ++step) {
        SCOPED_TRACE(step);
        size_t begin = random() % known.size();
        size_t end = random() % known.size() + 1;
        if (begin >= end) std::swap(begin, end);
        if (begin == end) ++end;
        const PageRange range = this->pages(places[begin], places[end] - places[begin]);
        bool empty = true;
        for (size_t i = begin; i < end; ++i)
            empty = empty && known[i].state == EntryState::empty;
        const Attributes attributes{static_cast<Protection>(1 + 2 * (random() % 16)),
                                    static_cast<MemoryType>(random() % 5)};
        const unsigned choice = random() % 4;
        if (choice == 0) {
            // Congruent to the pages by 1 GiB mostly, by 2 MiB, or (a short way) not at all.
            uint64_t offset = this->free_frame.value();
            if (random() % 3 == 0) offset += 512;
            if (places[end] - places[begin] < 4096 && random() % 2 == 0) ++offset;
            const auto mapped = this->table().map(range, Frame(offset + places[begin]), attributes);
            ASSERT_EQ(mapped.ok(), empty);
            if (!empty) {
                ASSERT_EQ(mapped.error(), Error::already_mapped);
            }
            for (size_t i = begin; i < end && empty; ++i)
                known[i] = {EntryState::present, offset, 0, attributes};
        } else if (choice == 1) {
            const uint64_t payload = random() >> 3;
            ASSERT_EQ(this->table().park(range, payload).ok(), empty);
            for (size_t i = begin; i < end && empty; ++i)
                known[i] = {EntryState::absent, 0, payload, {}};
        } else if (choice == 2) {
            this->unmap(range, Holes::skip);
            for (size_t i = begin; i < end; ++i)
                known[i] = {};
        } else {
            auto changed = this->table().protect(range, attributes.protection, Holes::skip);
            ASSERT_TRUE(changed.ok());
            changed->spend(this->tlb);
            for (size_t i = begin; i < end; ++i)
                known[i].attributes.protection = attributes.protection;
        }
        for (size_t i = 0; i < known.size(); ++i) {
            const uint64_t some = places[i] + random() % (places[i + 1] - places[i]);
            for (const uint64_t page : {places[i], some, places[i + 1] - 1}) {
                SCOPED_TRACE(page);
                const Translation found = this->query(page);
                ASSERT_EQ(found.state, known[i].state);
                const auto frame = this->frame_behind(page);
                if (found.state == EntryState::present) {
                    ASSERT_EQ(frame, known[i].frame_minus_page + page);
                    ASSERT_EQ(found.attributes, known[i].attributes);
                } else if (found.state == EntryState::absent) {
                    ASSERT_EQ(found.payload, known[i].payload);
                }
            }
        }
        if (step % 20 == 19) {
            ASSERT_TRUE(this->table().validate().ok());
        }
    }
    this->unmap(this->pages(0, places.back()), Holes::skip);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
}

// One root, and a page table for each half of it.
TEST(LongModeHalvesTest, TwoTablesShareARoot) {
    for (const bool five : {false, true}) {
        LongMachine m(five);
        DirectMap host(FrameRange(Frame(0), FrameCount(LongMachine::ram_bytes / page_size)),
                       VirtualAddress(0), m.ram.physical_view());
        const X86_64Features features{five, true, true, true, 46};
        HostTable lower(host, X86_64(features, AddressHalf::low));
        HostTable upper(host, X86_64(features, AddressHalf::high));
        ASSERT_TRUE(lower.create(m.frames).ok());
        const PageRange first(Page(0), PageCount(1));
        const PageRange last(Page(Page::highest), PageCount(1));
        ASSERT_TRUE(lower.map(first, Frame(1), {read_write, {}}).ok());
        ASSERT_TRUE(upper.adopt(lower.root(), m.frames).ok());
        EXPECT_EQ(upper.table_frames(), FrameCount(1));
        ASSERT_TRUE(upper.map(last, Frame(2), {read_write, {}}).ok());
        EXPECT_EQ(m.look(lower.root(), 0x123).translation->frame, 0x1000u);
        EXPECT_EQ(m.look(lower.root(), ~uint64_t{0}).translation->frame, 0x2000u);
        EXPECT_TRUE(lower.validate().ok() && upper.validate().ok());
        EXPECT_EQ(lower.table_frames(), upper.table_frames());
        // Each looks at its own half: a kernel's, which all roots share, does not keep a user's
        // root alive.
        EXPECT_EQ(lower.destroy().failure(), (Failure{Error::in_use, 0}));
        lower.unmap(first)->spend_unused();
        EXPECT_EQ(upper.destroy().error(), Error::in_use);
        HostTable user(host, X86_64(features, AddressHalf::low));
        ASSERT_TRUE(user.create(m.frames).ok());
        m.table(user.root())[511] = m.table(upper.root())[511];
        EXPECT_EQ(m.look(user.root(), ~uint64_t{0}).translation->frame, 0x2000u);
        EXPECT_TRUE(user.destroy().ok());
        EXPECT_EQ(upper.query(address_of(last.first()))->frames.first(), Frame(2));
        upper.unmap(last)->spend_unused();
        ASSERT_TRUE(upper.destroy().ok());
        EXPECT_EQ(m.frames.used(), FrameCount(0));
    }
}

// Without 1 GiB pages a gigabyte is 512 large pages.
TEST(LongModeHalvesTest, GigabytePagesNeedTheFeature) {
    LongMachine m(false);
    DirectMap host(FrameRange(Frame(0), FrameCount(LongMachine::ram_bytes / page_size)),
                   VirtualAddress(0), m.ram.physical_view());
    HostTable table(host, X86_64({false, true, false, true, 46}));
    ASSERT_TRUE(table.create(m.frames).ok());
    const PageRange gigabyte(Page(0), PageCount(512 * 512));
    ASSERT_TRUE(table.map(gigabyte, Frame(0), {read_write, {}}).ok());
    EXPECT_EQ(table.query(VirtualAddress(0))->pages.count(), PageCount(512));
    table.unmap(gigabyte)->spend_unused();
    EXPECT_TRUE(table.destroy().ok());
}

}  // namespace
}  // namespace quire::long_mode_test
