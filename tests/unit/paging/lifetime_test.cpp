// SPDX-License-Identifier: MIT
// Page tables made, taken over, checked and ended.
#include "unit/paging/paging_worlds.hpp"

namespace quire::paging_test {
namespace {

class LifetimeTest : public EveryWay {};
INSTANTIATE_TEST_SUITE_P(Ways, LifetimeTest, testing::ValuesIn(all_ways()), name_of);

TEST_P(LifetimeTest, DoesNothingBeforeThereIsATable) {
    const auto made = another_table();
    if (!made) GTEST_SKIP() << no_room;
    AnyTable& none = *made;
    EXPECT_TRUE(none->reach().empty());
    EXPECT_EQ(none->table_frames(), FrameCount(0));
    EXPECT_EQ(none->map(pages_at(area, 1), free_frame, data).error(), Error::out_of_range);
    EXPECT_EQ(none->query(at(area)).error(), Error::out_of_range);
    EXPECT_EQ(none.destroy().error(), Error::out_of_range);
    EXPECT_TRUE(none->validate().ok());
}

TEST_P(LifetimeTest, IsMadeOnceOnly) {
    EXPECT_EQ(tested().create(m.frames).error(), Error::in_use);
    EXPECT_EQ(tested().adopt(table().root(), m.frames).error(), Error::in_use);
}

TEST_P(LifetimeTest, ANewTableIsEmptyWhateverItsFrameHeld) {
    const auto made = another_table();
    if (!made) GTEST_SKIP() << no_room;
    AnyTable& fresh = *made;
    ASSERT_TRUE(fresh.create(m.frames).ok());
    EXPECT_EQ(fresh->table_frames(), FrameCount(1 + mode.fixed_tables));
    const uint64_t root = address_of(fresh->root()).value();
    const uint64_t filled = uint64_t{mode.fixed_tables} * mode.entry_bytes;
    EXPECT_TRUE(m.ram.holds(root + filled, page_size - filled, 0));
    for (unsigned i = 0; i < mode.fixed_tables; ++i) {
        const Frame directory = table_in(leaf_entry_in(fresh->root(), i));
        EXPECT_TRUE(m.ram.holds(address_of(directory).value(), page_size, 0));
    }
    EXPECT_TRUE(fresh.destroy().ok());
    EXPECT_TRUE(m.pool.is_free(fresh->root()));
    EXPECT_EQ(fresh->table_frames(), FrameCount(0));
    EXPECT_EQ(fresh->map(pages_at(area, 1), free_frame, data).error(), Error::out_of_range);
}

TEST_P(LifetimeTest, IsNotEndedWhileSomethingIsMapped) {
    const auto made = another_table();
    if (!made) GTEST_SKIP() << no_room;
    AnyTable& other = *made;
    ASSERT_TRUE(other.create(m.frames).ok());
    const uint64_t used = area + 2 * large + page_size;
    ASSERT_TRUE(other->map(pages_at(used, 3), free_frame, data).ok());
    EXPECT_EQ(other.destroy().failure(), (Failure{Error::in_use, used}));
    other->unmap(pages_at(used, 3))->spend_unused();
    ASSERT_TRUE(other->park(pages_at(area, large_pages), 1).ok());
    EXPECT_EQ(other.destroy().failure(), (Failure{Error::in_use, area}));
    auto gone = other->unmap(pages_at(area, large_pages));
    ASSERT_TRUE(gone.ok());
    EXPECT_EQ(gone->empty(), mode.root_level <= 2);  // else the table above went with it
    gone->spend_unused();
    EXPECT_TRUE(other.destroy().ok());
}

// As a boot loader may have left it, with nothing in it.
TEST_P(LifetimeTest, IsNotEndedWhileATableIsLeft) {
    const auto made = another_table();
    if (!made) GTEST_SKIP() << no_room;
    AnyTable& other = *made;
    ASSERT_TRUE(other.create(m.frames).ok());
    const PageRange one = pages_at(area + 5 * page_size, 1);
    ASSERT_TRUE(other->map(one, free_frame, data).ok());
    const EntryPlace page = entry(other->root(), 0, area + 5 * page_size);
    const uint64_t whole = page;
    page = 0;
    EXPECT_EQ(other.destroy().failure(), (Failure{Error::in_use, area}));
    page = whole;
    other->unmap(one)->spend_unused();
    EXPECT_TRUE(other.destroy().ok());
}

TEST_P(LifetimeTest, AnotherObjectTakesOverTheSameTable) {
    const auto made = another_table();
    if (!made) GTEST_SKIP() << no_room;
    AnyTable& first = *made;
    ASSERT_TRUE(first.create(m.frames).ok());
    ASSERT_TRUE(first->map(pages_at(area + large - page_size, 2), free_frame, data).ok());
    ASSERT_TRUE(first->map(pages_at(area + 4 * large, large_pages), free_frame, data).ok());
    ASSERT_TRUE(first->park(pages_at(area + 3 * large, 1), 5).ok());

    const auto made_later = another_table();
    AnyTable& second = *made_later;
    ASSERT_TRUE(second.adopt(first->root(), m.frames).ok());
    EXPECT_EQ(second->root(), first->root());
    EXPECT_EQ(second->table_frames(), first->table_frames());
    EXPECT_EQ(second->reach(), first->reach());
    EXPECT_EQ(second->query(at(area + large))->frames.first(), free_frame + FrameCount(1));
    second->unmap(pages_at(area, 5 * large_pages), UnmappedFrames::keep, Holes::skip)
        ->spend_unused();
    EXPECT_EQ(second->table_frames(), FrameCount(1 + mode.fixed_tables));
    EXPECT_TRUE(second.destroy().ok());
}

TEST_P(LifetimeTest, TakesOverNothingThatIsUnfinishedOrBroken) {
    const auto made = another_table();
    if (!made) GTEST_SKIP() << no_room;
    AnyTable& first = *made;
    ASSERT_TRUE(first.create(m.frames).ok());
    ASSERT_TRUE(first->map(pages_at(area, 2), free_frame, data).ok());
    auto unmapped = first->unmap(pages_at(area, 1), UnmappedFrames::release);
    ASSERT_TRUE(unmapped.ok());
    const auto made_later = another_table();
    AnyTable& second = *made_later;
    EXPECT_EQ(second.adopt(first->root(), m.frames).failure(), (Failure{Error::busy, area}));
    EXPECT_EQ(second->table_frames(), FrameCount(0));
    sim::FramePool pool(m.ram, FrameRange(free_frame, FrameCount(1)));
    ASSERT_TRUE(pool.allocate_frame().ok());
    first->set_frame_source(pool);
    unmapped->spend_unused();
    first->set_frame_source(m.frames);

    const EntryPlace wrong = entry(first->root(), 1, area + 5 * large);
    wrong = 0x10;  // not present, of no kind
    EXPECT_EQ(second.adopt(first->root(), m.frames).failure(),
              (Failure{Error::corrupted, area + 5 * large}));
    wrong = 0;
    ASSERT_TRUE(second.adopt(first->root(), m.frames).ok());
    second->unmap(pages_at(area + page_size, 1))->spend_unused();
    EXPECT_TRUE(second.destroy().ok());
}

TEST_P(LifetimeTest, ValidateFindsWhatIsWrong) {
    map(pages_at(area, 1), free_frame);
    map(pages_at(area + large, large_pages), free_frame);
    ASSERT_TRUE(table().validate().ok());
    const auto broken_by = [&](const EntryPlace& entry, uint64_t value) -> Failure {
        const uint64_t old = entry;
        entry = value;
        const Status found = table().validate();
        entry = old;
        return found.ok() ? Failure{} : found.failure();
    };
    const EntryPlace page = leaf_entry(area);
    const EntryPlace next = leaf_entry(area + page_size);
    const EntryPlace large_page = large_entry(area + large);
    // An empty table.
    EXPECT_EQ(broken_by(page, 0), (Failure{Error::corrupted, area}));
    // Reserved bits of a large page (bits 20:13, and 21 where a page has 4 MiB).
    EXPECT_EQ(broken_by(large_page, large_page | (large >> 1)),
              (Failure{Error::corrupted, area + large}));
    EXPECT_EQ(broken_by(large_page, large_page | (1u << 13)),
              (Failure{Error::corrupted, area + large}));
    // Entries of no kind, and of kinds that wait for nothing.
    EXPECT_EQ(broken_by(next, 0x80), (Failure{Error::corrupted, area + page_size}));
    EXPECT_EQ(broken_by(next, 0x84), (Failure{Error::corrupted, area + page_size}));
    // More tables, and fewer, than there should be. One that is linked twice:
    EXPECT_EQ(broken_by(large_entry(area + 2 * large), large_entry(area)).error, Error::corrupted);
    EXPECT_EQ(broken_by(large_entry(area), 0).error, Error::corrupted);
    EXPECT_TRUE(table().validate().ok());
}

TEST_P(LifetimeTest, ValidateFindsATableInWhichEntriesOnlyWait) {
    map(pages_at(area, 1), *m.frames.allocate_frame());
    map(pages_at(area + page_size, 1), free_frame);
    auto unmapped = table().unmap(pages_at(area, 1), UnmappedFrames::release);
    ASSERT_TRUE(unmapped.ok());
    EXPECT_TRUE(table().validate().ok());
    const uint64_t other = leaf_entry(area + page_size);
    leaf_entry(area + page_size) = 0;
    EXPECT_EQ(table().validate().failure(), (Failure{Error::corrupted, area}));
    leaf_entry(area + page_size) = other;
    unmapped->spend(m.tlb);
}

// Root entries that lead to the root itself.
class SelfLinkTest : public PagingTestOf<Bits32, ThroughHost, Use::inactive> {};

TEST_F(SelfLinkTest, IsPassedOverAndLeftAlone) {
    HostTable none(access(), X86_32(all_features));
    EXPECT_EQ(none.link_self(800).error(), Error::out_of_range);
    ASSERT_TRUE(table().link_self(800).ok());
    EXPECT_EQ(table().link_self(800).failure(), (Failure{Error::already_mapped, 800 * large}));
    EXPECT_EQ(table().link_self(1024).failure(), (Failure{Error::out_of_range, 1024}));
    // No entry is split or merged by way of the one that shows the table itself.
    const PageRange shown(page_of(VirtualAddress(800 * large)) + PageCount(5), PageCount(2));
    EXPECT_EQ(table().split(shown).failure(),
              (Failure{Error::out_of_range, address_of(shown.first()).value()}));
    EXPECT_EQ(table().merge(address_of(shown.first())).failure(),
              (Failure{Error::out_of_range, address_of(shown.first()).value()}));
    EXPECT_EQ(table().table_frames(), FrameCount(1));
    const PageRange around(page_at(799 * large), PageCount(3 * large_pages));
    const uint64_t inside = 800 * large;
    EXPECT_EQ(table().map(around, free_frame, data).failure(),
              (Failure{Error::already_mapped, inside}));
    EXPECT_EQ(table().park(pages_at(inside + 0x5000, 1), 1).failure(),
              (Failure{Error::already_mapped, inside + 0x5000}));
    const Failure outside{Error::out_of_range, inside};
    EXPECT_EQ(table().unmap(around, UnmappedFrames::keep, Holes::skip).failure(), outside);
    EXPECT_EQ(table().protect(around, read_only, Holes::skip).failure(), outside);
    EXPECT_EQ(table().query(at(inside)).failure(), outside);
    map(pages_at(799 * large, large_pages), free_frame);
    map(pages_at(801 * large, 1), free_frame);
    std::vector<PageRange> seen;
    ASSERT_TRUE(table()
                    .walk(table().reach(),
                          [&](const Translation& found) {
                              seen.push_back(found.pages);
                              return true;
                          })
                    .ok());
    EXPECT_EQ(seen, (std::vector<PageRange>{pages_at(799 * large, large_pages),
                                            pages_at(801 * large, 1)}));
    EXPECT_TRUE(table().validate().ok());
    HostTable other(access(), X86_32(all_features));
    ASSERT_TRUE(other.adopt(table().root(), m.frames).ok());
    EXPECT_EQ(other.table_frames(), FrameCount(2));
    unmap(pages_at(799 * large, large_pages));
    unmap(pages_at(801 * large, 1));
    EXPECT_TRUE(table().destroy().ok());
    ASSERT_TRUE(table().create(m.frames).ok());
}

}  // namespace
}  // namespace quire::paging_test
