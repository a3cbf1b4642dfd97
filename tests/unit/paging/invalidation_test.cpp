// SPDX-License-Identifier: MIT
// What an invalidation promises: nothing is given back before it is spent, everything afterwards,
// and no translation outlives it.
#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

constexpr uint64_t large = uint64_t{4} << 20;

// Remembers what was asked, and passes it on.
class RecordingTlb final : public TlbInvalidator {
  public:
    explicit RecordingTlb(TlbInvalidator& next) : next_(next) {}
    void invalidate(const FlushRequest& request) override {
        requests.push_back(request);
        next_.invalidate(request);
    }
    std::vector<FlushRequest> requests;

  private:
    TlbInvalidator& next_;
};

template <class W>
class InvalidationTest : public PagingTest<W> {
  protected:
    // Maps frames of the pool, so that they can be released.
    void map_pool_pages(uint64_t address, uintptr_t count) {
        for (uintptr_t i = 0; i < count; ++i) {
            const auto frame = this->m.frames.allocate_frame();
            ASSERT_TRUE(frame.ok());
            this->map(pages_at(address + i * page_size, 1), *frame);
        }
    }
};
TYPED_TEST_SUITE(InvalidationTest, AllWays, WayNames);

TYPED_TEST(InvalidationTest, AsksForTheChangedPagesOfItsRoot) {
    this->map(pages_at(area, 8), free_frame);
    auto changed = this->table().protect(pages_at(area + 0x2000, 3), read_only);
    ASSERT_TRUE(changed.ok());
    ASSERT_FALSE(changed->empty());
    EXPECT_EQ(changed->request().root, this->table().root());
    EXPECT_EQ(changed->request().pages, pages_at(area + 0x2000, 3));
    EXPECT_FALSE(changed->request().global);
    RecordingTlb tlb(this->m.tlb);
    changed->spend(tlb);
    EXPECT_TRUE(changed->empty());
    ASSERT_EQ(tlb.requests.size(), 1u);
    EXPECT_EQ(tlb.requests[0].pages, pages_at(area + 0x2000, 3));
    changed->spend(tlb);  // empty by now: nothing happens
    EXPECT_EQ(tlb.requests.size(), 1u);
}

TYPED_TEST(InvalidationTest, SaysWhetherGlobalEntriesWentToo) {
    this->map(pages_at(area, 2), free_frame, {read_write | Protection::global, {}});
    this->map(pages_at(area + 0x2000, 2), free_frame);
    auto local = this->table().unmap(pages_at(area + 0x2000, 1));
    ASSERT_TRUE(local.ok());
    EXPECT_FALSE(local->request().global);
    local->spend(this->m.tlb);
    auto both = this->table().unmap(pages_at(area + 0x1000, 3), UnmappedFrames::keep, Holes::skip);
    ASSERT_TRUE(both.ok());
    EXPECT_TRUE(both->request().global);
    both->spend(this->m.tlb);
    auto less = this->table().protect(pages_at(area, 1), read_write);
    ASSERT_TRUE(less.ok());
    EXPECT_TRUE(less->request().global);
    less->spend(this->m.tlb);
}

TYPED_TEST(InvalidationTest, ASplitConcernsTheWholeLargePage) {
    this->map(pages_at(area, 2048), free_frame);
    auto changed = this->table().protect(pages_at(area + 0x5000, 1), read_only);
    ASSERT_TRUE(changed.ok());
    EXPECT_EQ(changed->request().pages, pages_at(area, 1024));
    changed->spend(this->m.tlb);
    auto unmapped = this->table().unmap(pages_at(area + large + 0x5000, 1));
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(unmapped->request().pages, pages_at(area + large, 1024));
    unmapped->spend(this->m.tlb);
}

TYPED_TEST(InvalidationTest, KeepsFramesThatAreKept) {
    const auto used = this->m.pool.used();
    this->map_pool_pages(area, 3);
    this->unmap(pages_at(area, 3), UnmappedFrames::keep);
    EXPECT_EQ(this->m.pool.used(), used + FrameCount(3));
}

TYPED_TEST(InvalidationTest, ReleasesSinglePagesOnlyWhenSpent) {
    const auto used = this->m.pool.used();
    this->map(pages_at(area + 0x10000, 1), free_frame);
    this->map_pool_pages(area, 3);
    const auto mapped = this->m.pool.used();
    auto unmapped = this->table().unmap(pages_at(area, 3), UnmappedFrames::release);
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(this->m.pool.used(), mapped);
    EXPECT_EQ(this->query(area).state, EntryState::empty);
    EXPECT_EQ(this->frame_behind(area), std::nullopt);
    EXPECT_TRUE(this->table().validate().ok());
    unmapped->spend(this->m.tlb);
    EXPECT_EQ(this->m.pool.used(), used + FrameCount(1));
    EXPECT_EQ(this->dump().count((area >> 22 << 32) | 1), 1u);
    EXPECT_EQ(this->leaf_entry(area), 0u);
}

TYPED_TEST(InvalidationTest, ReleasesWholeTablesOnlyWhenSpent) {
    const auto used = this->m.pool.used();
    this->map_pool_pages(area + large - 2 * page_size, 1024 + 4);
    ASSERT_TRUE(this->table().park(pages_at(area + 2 * large + 0x2000, 1), 3).ok());
    const auto mapped = this->m.pool.used();
    EXPECT_EQ(mapped, used + FrameCount(1024 + 4 + 3));
    auto unmapped =
        this->table().unmap(pages_at(area, 3 * 1024), UnmappedFrames::release, Holes::skip);
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(this->m.pool.used(), mapped);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_ + FrameCount(3));
    EXPECT_TRUE(this->table().validate().ok());
    for (uint64_t i = 0; i < 3; ++i) {
        EXPECT_EQ(this->query(area + i * large + 0x5000).state, EntryState::empty);
        EXPECT_EQ(this->frame_behind(area + i * large + 0x5000), std::nullopt);
    }
    unmapped->spend(this->m.tlb);
    EXPECT_EQ(this->m.pool.used(), used);
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
    EXPECT_TRUE(this->dump().empty());
}

TYPED_TEST(InvalidationTest, ReleasesEveryFrameOfALargePage) {
    // A pool of its own, whose frames are taken in order.
    sim::FramePool pool(this->m.ram, FrameRange(Frame(0x2000), FrameCount(0x402)));
    std::set<uint64_t> taken;
    for (int i = 0; i < 1024; ++i)
        taken.insert(pool.allocate_frame()->value());
    this->map(pages_at(area, 1024), Frame(0x2000));
    ASSERT_EQ(this->query(area).pages.count(), PageCount(1024));
    this->table().set_frame_source(pool);
    auto unmapped = this->table().unmap(pages_at(area, 1024), UnmappedFrames::release);
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(pool.used(), FrameCount(1024));
    EXPECT_TRUE(this->table().validate().ok());
    unmapped->spend(this->m.tlb);
    EXPECT_EQ(pool.used(), FrameCount(0));

    // And those of a part of one, split.
    for (int i = 0; i < 1024; ++i)
        ASSERT_TRUE(pool.allocate_frame().ok());
    this->map(pages_at(area, 1024), Frame(0x2000));
    auto part = this->table().unmap(pages_at(area + 0x1000, 2), UnmappedFrames::release);
    ASSERT_TRUE(part.ok());
    part->spend(this->m.tlb);
    EXPECT_TRUE(pool.is_free(Frame(0x2001)));
    EXPECT_TRUE(pool.is_free(Frame(0x2002)));
    EXPECT_FALSE(pool.is_free(Frame(0x2000)));
    EXPECT_FALSE(pool.is_free(Frame(0x2003)));
    this->unmap(pages_at(area, 1024), UnmappedFrames::keep, Holes::skip);
    this->table().set_frame_source(this->m.frames);
}

TYPED_TEST(InvalidationTest, OneUnmapWaitsAtATime) {
    this->map_pool_pages(area, 4);
    this->map_pool_pages(area + large, 1);
    const uint64_t gone = area + 0x1000;
    auto first = this->table().unmap(pages_at(gone, 1), UnmappedFrames::release);
    ASSERT_TRUE(first.ok());
    const auto before = this->dump();
    EXPECT_EQ(this->table().unmap(pages_at(area + large, 1)).failure(),
              (Failure{Error::busy, area + large}));
    EXPECT_EQ(this->table().map(pages_at(gone, 1), free_frame, data).failure(),
              (Failure{Error::busy, gone}));
    EXPECT_EQ(this->table().park(pages_at(gone, 1), 1).failure(), (Failure{Error::busy, gone}));
    EXPECT_EQ(this->table().protect(pages_at(gone, 1), read_only).failure(),
              (Failure{Error::not_mapped, gone}));
    EXPECT_EQ(this->table().destroy().error(), Error::busy);
    EXPECT_EQ(this->dump(), before);
    // Elsewhere, mapping and protecting go on; what that leaves to flush gives nothing back.
    this->map(pages_at(area + 0x5000, 1), free_frame);
    const auto used = this->m.pool.used();
    this->protect(pages_at(area, 4), read_only, Holes::skip);
    EXPECT_EQ(this->m.pool.used(), used);
    first->spend(this->m.tlb);
    EXPECT_EQ(this->m.pool.used(), used - FrameCount(1));
    this->map(pages_at(gone, 1), free_frame);
    this->unmap(pages_at(area + large, 1), UnmappedFrames::release);
}

TYPED_TEST(InvalidationTest, NothingIsMappedWhereATableWaits) {
    this->map(pages_at(area, 4), free_frame);
    auto unmapped = this->table().unmap(pages_at(area, 4));
    ASSERT_TRUE(unmapped.ok());
    ASSERT_FALSE(unmapped->empty());
    EXPECT_EQ(this->table().map(pages_at(area + 0x9000, 1), free_frame, data).failure(),
              (Failure{Error::busy, area + 0x9000}));
    EXPECT_EQ(this->query(area + 0x9000).state, EntryState::empty);
    EXPECT_EQ(this->query(area + 0x9000).pages, pages_at(area + 0x9000, 1));
    EXPECT_EQ(this->table().table_frames(), this->tables_before_ + FrameCount(1));
    unmapped->spend_unused();
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
    this->map(pages_at(area + 0x9000, 1), free_frame);
}

TYPED_TEST(InvalidationTest, TablesThatOthersShareStay) {
    this->map(pages_at(area, 1), free_frame);
    this->map(pages_at(area + 0x1000, 3), free_frame);
    ASSERT_TRUE(this->table().park(pages_at(area + 0x3ff000, 1), 1).ok());
    this->unmap(pages_at(area + 0x1000, 3));
    EXPECT_EQ(this->table().table_frames(), this->tables_before_ + FrameCount(1));
    this->unmap(pages_at(area, 1));
    EXPECT_EQ(this->table().table_frames(), this->tables_before_ + FrameCount(1));
    this->unmap(pages_at(area + 0x3ff000, 1));
    EXPECT_EQ(this->table().table_frames(), this->tables_before_);
}

TYPED_TEST(InvalidationTest, IsEmptyWhenMovedFrom) {
    this->map(pages_at(area, 2), free_frame);
    auto unmapped = this->table().unmap(pages_at(area, 1));
    ASSERT_TRUE(unmapped.ok());
    UnmapInvalidation first = move(*unmapped);
    EXPECT_TRUE(unmapped->empty());
    UnmapInvalidation second;
    second = move(first);
    EXPECT_TRUE(first.empty());
    EXPECT_FALSE(second.empty());
    second.spend(this->m.tlb);
}

TYPED_TEST(InvalidationTest, DroppedUnspentTraps) {
    if (!debug_checks) GTEST_SKIP() << "the library was built without its debug checks";
    this->map(pages_at(area, 2), free_frame);
    auto unmapped = this->table().unmap(pages_at(area, 1));
    ASSERT_TRUE(unmapped.ok());
    EXPECT_DEATH({ UnmapInvalidation dropped = move(*unmapped); }, "");
    UnmapInvalidation other = move(*unmapped);
    EXPECT_DEATH(other = UnmapInvalidation(), "");
    other.spend(this->m.tlb);
}

// A source that takes nothing back: the frames were never its own.
struct Unwilling {
    static Result<Frame> allocate_frame() { return Failure{Error::out_of_frames}; }
    static Status free_frame(Frame frame) { return Failure{Error::foreign, frame.value()}; }
};

using HostInvalidationTest = PagingTest<Way<ThroughHost, Use::inactive>>;

TEST_F(HostInvalidationTest, ReleasingFramesOfSomebodyElseTraps) {
    if (!debug_checks) GTEST_SKIP() << "the library was built without its debug checks";
    map(pages_at(area, 2), free_frame);
    Unwilling source;
    auto unmapped = table().unmap(pages_at(area, 1), UnmappedFrames::release);
    ASSERT_TRUE(unmapped.ok());
    table().set_frame_source(source);
    EXPECT_DEATH(unmapped->spend_unused(), "");
    // The child shares this process's RAM: the entry is empty already, and nothing is given back.
    unmapped->spend_unused();
    EXPECT_EQ(leaf_entry(area), 0u);
    table().set_frame_source(m.frames);
}

// A machine whose CPU runs on the tested table.
using ActiveWays =
    testing::Types<Way<ThroughDirectMap, Use::active>, Way<ThroughRecursiveSlot, Use::active>,
                   Way<ThroughWindow, Use::active>>;
template <class W>
class StaleTranslationTest : public PagingTest<W> {
  protected:
    uint32_t load(uint64_t address) {
        const auto probe = this->m.machine.template probe_load<uint32_t>(address);
        return probe.ok() ? *probe.value : no_load;
    }
    bool can_store(uint64_t address) {
        return this->m.machine.template probe_store<uint32_t>(address, 0x5a5a5a5a).ok();
    }
    // RecursiveSlot's own pages are flushed before they are looked at, not after.
    void expect_nothing_stale() {
        for (const auto& stale : this->m.machine.stale_entries()) {
            const unsigned index = static_cast<unsigned>(stale.cached.page >> 22);
            EXPECT_TRUE(!stale.harmful || this->access().keeps(index)) << sim::to_string(stale);
        }
    }
    // Marks each frame with its number, so that a load tells which one it saw.
    void mark(Frame first, uint64_t count) {
        for (uint64_t i = 0; i < count; ++i)
            this->m.table(first + FrameCount(i))[0] = static_cast<uint32_t>(first.value() + i);
    }
    static constexpr uint32_t no_load = 0xffffffff;
};
TYPED_TEST_SUITE(StaleTranslationTest, ActiveWays, WayNames);

TYPED_TEST(StaleTranslationTest, UnmapLeavesOneUntilSpent) {
    this->mark(free_frame, 4);
    this->map(pages_at(area, 4), free_frame);
    EXPECT_EQ(this->load(area + 0x1000), free_frame.value() + 1);
    auto unmapped = this->table().unmap(pages_at(area + 0x1000, 1));
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(this->load(area + 0x1000), free_frame.value() + 1);  // this is why it must be spent
    unmapped->spend(this->m.tlb);
    EXPECT_EQ(this->load(area + 0x1000), this->no_load);
    EXPECT_EQ(this->load(area + 0x2000), free_frame.value() + 2);
    this->expect_nothing_stale();
}

TYPED_TEST(StaleTranslationTest, RemappedPagesShowTheNewFrames) {
    this->mark(free_frame, 16);
    for (unsigned round = 0; round < 4; ++round) {
        const Frame frame = free_frame + FrameCount(round * 3);
        this->map(pages_at(area + large - page_size, 3), frame);
        for (unsigned i = 0; i < 3; ++i)
            EXPECT_EQ(this->load(area + large - page_size + i * page_size), frame.value() + i);
        this->unmap(pages_at(area + large - page_size, 3));
        this->expect_nothing_stale();
    }
}

TYPED_TEST(StaleTranslationTest, ProtectedPagesCanBeWrittenUntilSpent) {
    this->map(pages_at(area, 2), free_frame);
    EXPECT_TRUE(this->can_store(area));
    auto changed = this->table().protect(pages_at(area, 2), read_only);
    ASSERT_TRUE(changed.ok());
    EXPECT_TRUE(this->can_store(area));
    changed->spend(this->m.tlb);
    EXPECT_FALSE(this->can_store(area));
    EXPECT_FALSE(this->can_store(area + page_size));
    this->protect(pages_at(area, 1), read_write);
    EXPECT_TRUE(this->can_store(area));
    EXPECT_FALSE(this->can_store(area + page_size));
}

TYPED_TEST(StaleTranslationTest, SplitPagesAreAsTheTablesSay) {
    this->mark(Frame(0x2800), 1024);
    this->map(pages_at(area, 1024), Frame(0x2800));
    EXPECT_EQ(this->load(area + 0x5000), 0x2805u);
    this->unmap(pages_at(area + 0x5000, 1));
    EXPECT_EQ(this->load(area + 0x5000), this->no_load);
    EXPECT_EQ(this->load(area + 0x4000), 0x2804u);
    EXPECT_EQ(this->load(area + 0x3ff000), 0x2bffu);
    this->protect(pages_at(area + 0x8000, 1), read_only);
    EXPECT_FALSE(this->can_store(area + 0x8000));
    EXPECT_TRUE(this->can_store(area + 0x9000));
    this->expect_nothing_stale();
    this->unmap(pages_at(area, 1024), UnmappedFrames::keep, Holes::skip);
    EXPECT_EQ(this->load(area + 0x9000), this->no_load);
}

TYPED_TEST(StaleTranslationTest, NoFrameIsGivenBackThatTheCpuStillSees) {
    for (uintptr_t i = 0; i < 70; ++i)
        this->map(pages_at(area + i * page_size, 1), *this->m.frames.allocate_frame());
    for (uintptr_t i = 0; i < 70; ++i)
        this->load(area + i * page_size);
    // More pages than are flushed one by one.
    const auto frames = this->m.frames.outstanding_frames();
    this->unmap(pages_at(area, 70), UnmappedFrames::release);
    for (const uint64_t frame : frames) {
        if (!this->m.pool.is_free(Frame(frame))) continue;
        // A direct map shows every frame for ever.
        if (std::is_same_v<typename TypeParam::Through, ThroughRecursiveSlot>) {
            EXPECT_FALSE(this->m.machine.sees(Frame(frame))) << frame;
        }
    }
    EXPECT_EQ(this->load(area + 69 * page_size), this->no_load);
    this->expect_nothing_stale();
}

TYPED_TEST(StaleTranslationTest, GlobalPagesGoToo) {
    this->mark(free_frame, 100);
    this->map(pages_at(area, 100), free_frame, {read_write | Protection::global, {}});
    EXPECT_EQ(this->load(area + 99 * page_size), free_frame.value() + 99);
    this->unmap(pages_at(area, 100));
    EXPECT_EQ(this->load(area + 99 * page_size), this->no_load);
    this->expect_nothing_stale();
}

TYPED_TEST(StaleTranslationTest, DirtyAndAccessedAreHarvestedFromTheCpu) {
    this->map(pages_at(area, 3), free_frame);
    this->load(area);
    this->can_store(area + page_size);
    EXPECT_TRUE(this->query(area).accessed);
    EXPECT_FALSE(this->query(area).dirty);
    EXPECT_TRUE(this->query(area + page_size).dirty);
    EXPECT_FALSE(this->query(area + 2 * page_size).accessed);
}

}  // namespace
}  // namespace quire::paging_test
