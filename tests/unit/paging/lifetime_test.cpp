// SPDX-License-Identifier: MIT
// Page tables made, taken over, checked and ended.
#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

constexpr uint64_t large = uint64_t{4} << 20;

template <class W>
class LifetimeTest : public PagingTest<W> {};
TYPED_TEST_SUITE(LifetimeTest, AllWays, WayNames);

TYPED_TEST(LifetimeTest, DoesNothingBeforeThereIsATable) {
    typename TestFixture::Table none(this->access(), X86_32(all_features));
    EXPECT_TRUE(none.reach().empty());
    EXPECT_EQ(none.table_frames(), FrameCount(0));
    EXPECT_EQ(none.map(pages_at(area, 1), free_frame, data).error(), Error::out_of_range);
    EXPECT_EQ(none.query(at(area)).error(), Error::out_of_range);
    EXPECT_EQ(none.destroy().error(), Error::out_of_range);
    EXPECT_EQ(none.link_self(1000).error(), Error::out_of_range);
    EXPECT_TRUE(none.validate().ok());
}

TYPED_TEST(LifetimeTest, IsMadeOnceOnly) {
    EXPECT_EQ(this->table().create(this->m.frames).error(), Error::in_use);
    EXPECT_EQ(this->table().adopt(this->table().root(), this->m.frames).error(), Error::in_use);
}

TYPED_TEST(LifetimeTest, ANewTableIsEmptyWhateverItsFrameHeld) {
    typename TestFixture::Table fresh(this->access(), X86_32(all_features));
    ASSERT_TRUE(fresh.create(this->m.frames).ok());
    EXPECT_TRUE(this->m.ram.holds(address_of(fresh.root()).value(), page_size, 0));
    EXPECT_EQ(fresh.table_frames(), FrameCount(1));
    EXPECT_TRUE(fresh.destroy().ok());
    EXPECT_TRUE(this->m.pool.is_free(fresh.root()));
    EXPECT_EQ(fresh.table_frames(), FrameCount(0));
    EXPECT_EQ(fresh.map(pages_at(area, 1), free_frame, data).error(), Error::out_of_range);
}

TYPED_TEST(LifetimeTest, IsNotEndedWhileSomethingIsMapped) {
    typename TestFixture::Table other(this->access(), X86_32(all_features));
    ASSERT_TRUE(other.create(this->m.frames).ok());
    ASSERT_TRUE(other.map(pages_at(area + 2 * large, 3), free_frame, data).ok());
    EXPECT_EQ(other.destroy().failure(), (Failure{Error::in_use, area + 2 * large}));
    other.unmap(pages_at(area + 2 * large, 3))->spend_unused();
    ASSERT_TRUE(other.park(pages_at(area, 1024), 1).ok());
    EXPECT_EQ(other.destroy().failure(), (Failure{Error::in_use, area}));
    EXPECT_TRUE(other.unmap(pages_at(area, 1024))->empty());
    EXPECT_TRUE(other.destroy().ok());
}

TYPED_TEST(LifetimeTest, AnotherObjectTakesOverTheSameTable) {
    typename TestFixture::Table first(this->access(), X86_32(all_features));
    ASSERT_TRUE(first.create(this->m.frames).ok());
    ASSERT_TRUE(first.map(pages_at(area + 0x3ff000, 2), free_frame, data).ok());
    ASSERT_TRUE(first.map(pages_at(area + 4 * large, 1024), free_frame, data).ok());
    ASSERT_TRUE(first.park(pages_at(area + 3 * large, 1), 5).ok());

    typename TestFixture::Table second(this->access(), X86_32(all_features));
    ASSERT_TRUE(second.adopt(first.root(), this->m.frames).ok());
    EXPECT_EQ(second.root(), first.root());
    EXPECT_EQ(second.table_frames(), first.table_frames());
    EXPECT_EQ(second.reach(), first.reach());
    EXPECT_EQ(second.query(at(area + large))->frames.first(), free_frame + FrameCount(1));
    second.unmap(pages_at(area, 5 * 1024), UnmappedFrames::keep, Holes::skip)->spend_unused();
    EXPECT_EQ(second.table_frames(), FrameCount(1));
    EXPECT_TRUE(second.destroy().ok());
}

TYPED_TEST(LifetimeTest, TakesOverNothingThatIsUnfinishedOrBroken) {
    typename TestFixture::Table first(this->access(), X86_32(all_features));
    ASSERT_TRUE(first.create(this->m.frames).ok());
    ASSERT_TRUE(first.map(pages_at(area, 2), free_frame, data).ok());
    auto unmapped = first.unmap(pages_at(area, 1), UnmappedFrames::release);
    ASSERT_TRUE(unmapped.ok());
    typename TestFixture::Table second(this->access(), X86_32(all_features));
    EXPECT_EQ(second.adopt(first.root(), this->m.frames).failure(), (Failure{Error::busy, area}));
    EXPECT_EQ(second.table_frames(), FrameCount(0));
    sim::FramePool pool(this->m.ram, FrameRange(free_frame, FrameCount(1)));
    ASSERT_TRUE(pool.allocate_frame().ok());
    first.set_frame_source(pool);
    unmapped->spend_unused();
    first.set_frame_source(this->m.frames);

    uint32_t& entry = this->m.table(first.root())[5];
    entry = 0x10;  // not present, of no kind
    EXPECT_EQ(second.adopt(first.root(), this->m.frames).failure(),
              (Failure{Error::corrupted, 5 * large}));
    entry = 0;
    ASSERT_TRUE(second.adopt(first.root(), this->m.frames).ok());
    second.unmap(pages_at(area + page_size, 1))->spend_unused();
    EXPECT_TRUE(second.destroy().ok());
}

TYPED_TEST(LifetimeTest, ValidateFindsWhatIsWrong) {
    this->map(pages_at(area, 1), free_frame);
    this->map(pages_at(area + large, 1024), free_frame);
    ASSERT_TRUE(this->table().validate().ok());
    const auto broken_by = [&](uint32_t& entry, uint32_t value) -> Failure {
        const uint32_t old = entry;
        entry = value;
        const Status found = this->table().validate();
        entry = old;
        return found.ok() ? Failure{} : found.failure();
    };
    uint32_t* const root = this->m.table(this->table().root());
    uint32_t& page = this->leaf_entry(area);
    uint32_t& next = (&page)[1];
    uint32_t& large_page = root[(area >> 22) + 1];
    // An empty table.
    EXPECT_EQ(broken_by(page, 0), (Failure{Error::corrupted, area}));
    // Reserved bits of a large page (bits 21 and 20:13).
    EXPECT_EQ(broken_by(large_page, large_page | (1u << 21)),
              (Failure{Error::corrupted, area + large}));
    EXPECT_EQ(broken_by(large_page, large_page | (1u << 13)),
              (Failure{Error::corrupted, area + large}));
    // Entries of no kind, and of kinds that wait for nothing.
    EXPECT_EQ(broken_by(next, 0x80), (Failure{Error::corrupted, area + page_size}));
    EXPECT_EQ(broken_by(next, 0x84), (Failure{Error::corrupted, area + page_size}));
    // More tables, and fewer, than there should be. One that is linked twice:
    EXPECT_EQ(broken_by(root[(area >> 22) + 2], root[area >> 22]).error, Error::corrupted);
    EXPECT_EQ(broken_by(root[area >> 22], 0),
              (Failure{Error::corrupted, address_of(this->table().root()).value()}));
    EXPECT_TRUE(this->table().validate().ok());
}

TYPED_TEST(LifetimeTest, ValidateFindsATableInWhichEntriesOnlyWait) {
    this->map(pages_at(area, 1), *this->m.frames.allocate_frame());
    this->map(pages_at(area + page_size, 1), free_frame);
    auto unmapped = this->table().unmap(pages_at(area, 1), UnmappedFrames::release);
    ASSERT_TRUE(unmapped.ok());
    EXPECT_TRUE(this->table().validate().ok());
    const uint32_t other = exchange(this->leaf_entry(area + page_size), 0u);
    EXPECT_EQ(this->table().validate().failure(), (Failure{Error::corrupted, area}));
    this->leaf_entry(area + page_size) = other;
    unmapped->spend(this->m.tlb);
}

// Root entries that lead to the root itself.
class SelfLinkTest : public PagingTest<Way<ThroughHost, Use::inactive>> {};

TEST_F(SelfLinkTest, IsPassedOverAndLeftAlone) {
    ASSERT_TRUE(table().link_self(800).ok());
    EXPECT_EQ(table().link_self(800).failure(), (Failure{Error::already_mapped, 800 * large}));
    EXPECT_EQ(table().link_self(1024).failure(), (Failure{Error::out_of_range, 1024}));
    EXPECT_EQ(table().table_frames(), FrameCount(1));
    const PageRange around(page_at(799 * large), PageCount(3 * 1024));
    const uint64_t inside = 800 * large;
    EXPECT_EQ(table().map(around, free_frame, data).failure(),
              (Failure{Error::already_mapped, inside}));
    EXPECT_EQ(table().park(pages_at(inside + 0x5000, 1), 1).failure(),
              (Failure{Error::already_mapped, inside + 0x5000}));
    const Failure outside{Error::out_of_range, inside};
    EXPECT_EQ(table().unmap(around, UnmappedFrames::keep, Holes::skip).failure(), outside);
    EXPECT_EQ(table().protect(around, read_only, Holes::skip).failure(), outside);
    EXPECT_EQ(table().query(at(inside)).failure(), outside);
    map(pages_at(799 * large, 1024), free_frame);
    map(pages_at(801 * large, 1), free_frame);
    std::vector<PageRange> seen;
    ASSERT_TRUE(table()
                    .walk(table().reach(),
                          [&](const Translation& found) {
                              seen.push_back(found.pages);
                              return true;
                          })
                    .ok());
    EXPECT_EQ(seen,
              (std::vector<PageRange>{pages_at(799 * large, 1024), pages_at(801 * large, 1)}));
    EXPECT_TRUE(table().validate().ok());
    HostTable other(*access_, X86_32(all_features));
    ASSERT_TRUE(other.adopt(table().root(), m.frames).ok());
    EXPECT_EQ(other.table_frames(), FrameCount(2));
    unmap(pages_at(799 * large, 1024));
    unmap(pages_at(801 * large, 1));
    EXPECT_TRUE(table().destroy().ok());
    ASSERT_TRUE(table().create(m.frames).ok());
}

}  // namespace
}  // namespace quire::paging_test
