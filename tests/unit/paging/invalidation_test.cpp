// SPDX-License-Identifier: MIT
// What an invalidation promises: nothing is given back before it is spent, everything afterwards,
// and no translation outlives it.
#include "unit/paging/paging_fixture.hpp"

namespace quire::paging_test {
namespace {

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

class InvalidationTest : public EveryWay {
  protected:
    // Maps frames of the pool, so that they can be released.
    void map_pool_pages(uint64_t address, uintptr_t count) {
        for (uintptr_t i = 0; i < count; ++i) {
            const auto frame = m.frames.allocate_frame();
            ASSERT_TRUE(frame.ok());
            map(pages_at(address + i * page_size, 1), *frame);
        }
    }
};
INSTANTIATE_TEST_SUITE_P(Ways, InvalidationTest, testing::ValuesIn(all_ways()), name_of);

TEST_P(InvalidationTest, AsksForTheChangedPagesOfItsRoot) {
    map(pages_at(area, 8), free_frame);
    auto changed = table().protect(pages_at(area + 0x2000, 3), read_only);
    ASSERT_TRUE(changed.ok());
    ASSERT_FALSE(changed->empty());
    EXPECT_EQ(changed->request().root, table().root());
    EXPECT_EQ(changed->request().pages, pages_at(area + 0x2000, 3));
    EXPECT_FALSE(changed->request().global);
    RecordingTlb tlb(m.tlb);
    changed->spend(tlb);
    EXPECT_TRUE(changed->empty());
    ASSERT_EQ(tlb.requests.size(), 1u);
    EXPECT_EQ(tlb.requests[0].pages, pages_at(area + 0x2000, 3));
    changed->spend(tlb);  // empty by now: nothing happens
    EXPECT_EQ(tlb.requests.size(), 1u);
}

TEST_P(InvalidationTest, SaysWhetherGlobalEntriesWentToo) {
    map(pages_at(area, 2), free_frame, {read_write | Protection::global, {}});
    map(pages_at(area + 0x2000, 2), free_frame);
    auto local = table().unmap(pages_at(area + 0x2000, 1));
    ASSERT_TRUE(local.ok());
    EXPECT_FALSE(local->request().global);
    local->spend(m.tlb);
    auto both = table().unmap(pages_at(area + 0x1000, 3), UnmappedFrames::keep, Holes::skip);
    ASSERT_TRUE(both.ok());
    EXPECT_TRUE(both->request().global);
    both->spend(m.tlb);
    auto less = table().protect(pages_at(area, 1), read_write);
    ASSERT_TRUE(less.ok());
    EXPECT_TRUE(less->request().global);
    less->spend(m.tlb);
}

TEST_P(InvalidationTest, ASplitConcernsTheWholeLargePage) {
    map(pages_at(area, 2 * large_pages), free_frame);
    auto changed = table().protect(pages_at(area + 0x5000, 1), read_only);
    ASSERT_TRUE(changed.ok());
    EXPECT_EQ(changed->request().pages, pages_at(area, large_pages));
    changed->spend(m.tlb);
    auto unmapped = table().unmap(pages_at(area + large + 0x5000, 1));
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(unmapped->request().pages, pages_at(area + large, large_pages));
    unmapped->spend(m.tlb);
}

TEST_P(InvalidationTest, KeepsFramesThatAreKept) {
    const auto used = m.pool.used();
    map_pool_pages(area, 3);
    unmap(pages_at(area, 3), UnmappedFrames::keep);
    EXPECT_EQ(m.pool.used(), used + FrameCount(3));
}

TEST_P(InvalidationTest, ReleasesSinglePagesOnlyWhenSpent) {
    const auto used = m.pool.used();
    map(pages_at(area + 0x10000, 1), free_frame);
    map_pool_pages(area, 3);
    const auto mapped = m.pool.used();
    auto unmapped = table().unmap(pages_at(area, 3), UnmappedFrames::release);
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(m.pool.used(), mapped);
    EXPECT_EQ(query(area).state, EntryState::empty);
    EXPECT_EQ(frame_behind(area), std::nullopt);
    EXPECT_TRUE(table().validate().ok());
    unmapped->spend(m.tlb);
    EXPECT_EQ(m.pool.used(), used + FrameCount(1));
    EXPECT_EQ(dump().count(area | 1), 1u);
    EXPECT_EQ(leaf_entry(area), 0u);
}

TEST_P(InvalidationTest, ReleasesWholeTablesOnlyWhenSpent) {
    const auto used = m.pool.used();
    map_pool_pages(area + large - 2 * page_size, large_pages + 4);
    ASSERT_TRUE(table().park(pages_at(area + 2 * large + 0x2000, 1), 3).ok());
    const auto mapped = m.pool.used();
    EXPECT_EQ(mapped, used + FrameCount(large_pages + 4 + 3));
    auto unmapped =
        table().unmap(pages_at(area, 3 * large_pages), UnmappedFrames::release, Holes::skip);
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(m.pool.used(), mapped);
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(3));
    EXPECT_TRUE(table().validate().ok());
    for (uint64_t i = 0; i < 3; ++i) {
        EXPECT_EQ(query(area + i * large + 0x5000).state, EntryState::empty);
        EXPECT_EQ(frame_behind(area + i * large + 0x5000), std::nullopt);
    }
    unmapped->spend(m.tlb);
    EXPECT_EQ(m.pool.used(), used);
    EXPECT_EQ(table().table_frames(), tables_before_);
    EXPECT_TRUE(dump().empty());
}

TEST_P(InvalidationTest, ReleasesEveryFrameOfALargePage) {
    // A pool of its own, whose frames are taken in order.
    sim::FramePool pool(m.ram, FrameRange(Frame(0x2000), FrameCount(large_pages + 2)));
    std::set<uint64_t> taken;
    for (uintptr_t i = 0; i < large_pages; ++i)
        taken.insert(pool.allocate_frame()->value());
    map(pages_at(area, large_pages), Frame(0x2000));
    ASSERT_EQ(query(area).pages.count(), PageCount(large_pages));
    table().set_frame_source(pool);
    auto unmapped = table().unmap(pages_at(area, large_pages), UnmappedFrames::release);
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(pool.used(), FrameCount(large_pages));
    EXPECT_TRUE(table().validate().ok());
    unmapped->spend(m.tlb);
    EXPECT_EQ(pool.used(), FrameCount(0));

    // And those of a part of one, split.
    for (uintptr_t i = 0; i < large_pages; ++i)
        ASSERT_TRUE(pool.allocate_frame().ok());
    map(pages_at(area, large_pages), Frame(0x2000));
    auto part = table().unmap(pages_at(area + 0x1000, 2), UnmappedFrames::release);
    ASSERT_TRUE(part.ok());
    part->spend(m.tlb);
    EXPECT_TRUE(pool.is_free(Frame(0x2001)));
    EXPECT_TRUE(pool.is_free(Frame(0x2002)));
    EXPECT_FALSE(pool.is_free(Frame(0x2000)));
    EXPECT_FALSE(pool.is_free(Frame(0x2003)));
    unmap(pages_at(area, large_pages), UnmappedFrames::keep, Holes::skip);
    table().set_frame_source(m.frames);
}

TEST_P(InvalidationTest, OneUnmapWaitsAtATime) {
    map_pool_pages(area, 4);
    map_pool_pages(area + large, 1);
    const uint64_t gone = area + 0x1000;
    auto first = table().unmap(pages_at(gone, 1), UnmappedFrames::release);
    ASSERT_TRUE(first.ok());
    const auto before = dump();
    EXPECT_EQ(table().unmap(pages_at(area + large, 1)).failure(),
              (Failure{Error::busy, area + large}));
    EXPECT_EQ(table().map(pages_at(gone, 1), free_frame, data).failure(),
              (Failure{Error::busy, gone}));
    EXPECT_EQ(table().park(pages_at(gone, 1), 1).failure(), (Failure{Error::busy, gone}));
    EXPECT_EQ(table().protect(pages_at(gone, 1), read_only).failure(),
              (Failure{Error::not_mapped, gone}));
    EXPECT_EQ(tested().destroy().error(), Error::busy);
    EXPECT_EQ(dump(), before);
    // Elsewhere, mapping and protecting go on; what that leaves to flush gives nothing back.
    map(pages_at(area + 0x5000, 1), free_frame);
    const auto used = m.pool.used();
    protect(pages_at(area, 4), read_only, Holes::skip);
    EXPECT_EQ(m.pool.used(), used);
    first->spend(m.tlb);
    EXPECT_EQ(m.pool.used(), used - FrameCount(1));
    map(pages_at(gone, 1), free_frame);
    unmap(pages_at(area + large, 1), UnmappedFrames::release);
}

TEST_P(InvalidationTest, NothingIsMappedWhereATableWaits) {
    map(pages_at(area, 4), free_frame);
    auto unmapped = table().unmap(pages_at(area, 4));
    ASSERT_TRUE(unmapped.ok());
    ASSERT_FALSE(unmapped->empty());
    EXPECT_EQ(table().map(pages_at(area + 0x9000, 1), free_frame, data).failure(),
              (Failure{Error::busy, area + 0x9000}));
    EXPECT_EQ(query(area + 0x9000).state, EntryState::empty);
    EXPECT_EQ(query(area + 0x9000).pages, pages_at(area + 0x9000, 1));
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(1));
    unmapped->spend_unused();
    EXPECT_EQ(table().table_frames(), tables_before_);
    map(pages_at(area + 0x9000, 1), free_frame);
}

TEST_P(InvalidationTest, TablesThatOthersShareStay) {
    map(pages_at(area, 1), free_frame);
    map(pages_at(area + 0x1000, 3), free_frame);
    ASSERT_TRUE(table().park(pages_at(area + large - page_size, 1), 1).ok());
    unmap(pages_at(area + 0x1000, 3));
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(1));
    unmap(pages_at(area, 1));
    EXPECT_EQ(table().table_frames(), tables_before_ + FrameCount(1));
    unmap(pages_at(area + large - page_size, 1));
    EXPECT_EQ(table().table_frames(), tables_before_);
}

TEST_P(InvalidationTest, IsEmptyWhenMovedFrom) {
    map(pages_at(area, 2), free_frame);
    auto unmapped = table().unmap(pages_at(area, 1));
    ASSERT_TRUE(unmapped.ok());
    UnmapInvalidation first = move(*unmapped);
    EXPECT_TRUE(unmapped->empty());
    UnmapInvalidation second;
    second = move(first);
    EXPECT_TRUE(first.empty());
    EXPECT_FALSE(second.empty());
    second.spend(m.tlb);
}

TEST_P(InvalidationTest, DroppedUnspentTraps) {
    if (!debug_checks) GTEST_SKIP() << "the library was built without its debug checks";
    map(pages_at(area, 2), free_frame);
    auto unmapped = table().unmap(pages_at(area, 1));
    ASSERT_TRUE(unmapped.ok());
    EXPECT_DEATH({ UnmapInvalidation dropped = move(*unmapped); }, "");
    UnmapInvalidation other = move(*unmapped);
    EXPECT_DEATH(other = UnmapInvalidation(), "");
    other.spend(m.tlb);
}

// A source that takes nothing back: the frames were never its own.
struct Unwilling {
    static Result<Frame> allocate_frame() { return Failure{Error::out_of_frames}; }
    static Status free_frame(Frame frame) { return Failure{Error::foreign, frame.value()}; }
};

class HostInvalidationTest : public PagingTest {
  protected:
    HostInvalidationTest() : PagingTest(world()) {}

  private:
    static std::unique_ptr<World> world() {
        for (const Way& way : all_ways()) {
            if (way.reach == Reach::host) return way.make();
        }
        return nullptr;
    }
};

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
class StaleTranslationTest : public EveryWay {
  protected:
    uint32_t load(uint64_t address) {
        const auto probe = m.machine.probe_load<uint32_t>(address);
        return probe.ok() ? *probe.value : no_load;
    }
    bool can_store(uint64_t address) {
        return m.machine.probe_store<uint32_t>(address, 0x5a5a5a5a).ok();
    }
    // RecursiveSlot's own pages are flushed before they are looked at, not after.
    void expect_nothing_stale() {
        for (const auto& stale : m.machine.stale_entries()) {
            EXPECT_TRUE(!stale.harmful || access_keeps(stale.cached.page)) << sim::to_string(stale);
        }
    }
    // Marks each frame with its number, so that a load tells which one it saw.
    void mark(Frame first, uint64_t count) {
        for (uint64_t i = 0; i < count; ++i)
            m.words(first + FrameCount(i))[0] = static_cast<uint32_t>(first.value() + i);
    }
    static constexpr uint32_t no_load = 0xffffffff;
};
INSTANTIATE_TEST_SUITE_P(Ways, StaleTranslationTest, testing::ValuesIn(active_ways()), name_of);

TEST_P(StaleTranslationTest, UnmapLeavesOneUntilSpent) {
    mark(free_frame, 4);
    map(pages_at(area, 4), free_frame);
    EXPECT_EQ(load(area + 0x1000), free_frame.value() + 1);
    auto unmapped = table().unmap(pages_at(area + 0x1000, 1));
    ASSERT_TRUE(unmapped.ok());
    EXPECT_EQ(load(area + 0x1000), free_frame.value() + 1);  // this is why it must be spent
    unmapped->spend(m.tlb);
    EXPECT_EQ(load(area + 0x1000), no_load);
    EXPECT_EQ(load(area + 0x2000), free_frame.value() + 2);
    expect_nothing_stale();
}

TEST_P(StaleTranslationTest, RemappedPagesShowTheNewFrames) {
    mark(free_frame, 16);
    for (unsigned round = 0; round < 4; ++round) {
        const Frame frame = free_frame + FrameCount(round * 3);
        map(pages_at(area + large - page_size, 3), frame);
        for (unsigned i = 0; i < 3; ++i)
            EXPECT_EQ(load(area + large - page_size + i * page_size), frame.value() + i);
        unmap(pages_at(area + large - page_size, 3));
        expect_nothing_stale();
    }
}

TEST_P(StaleTranslationTest, ProtectedPagesCanBeWrittenUntilSpent) {
    map(pages_at(area, 2), free_frame);
    EXPECT_TRUE(can_store(area));
    auto changed = table().protect(pages_at(area, 2), read_only);
    ASSERT_TRUE(changed.ok());
    EXPECT_TRUE(can_store(area));
    changed->spend(m.tlb);
    EXPECT_FALSE(can_store(area));
    EXPECT_FALSE(can_store(area + page_size));
    protect(pages_at(area, 1), read_write);
    EXPECT_TRUE(can_store(area));
    EXPECT_FALSE(can_store(area + page_size));
}

TEST_P(StaleTranslationTest, SplitPagesAreAsTheTablesSay) {
    mark(Frame(0x2800), large_pages);
    map(pages_at(area, large_pages), Frame(0x2800));
    EXPECT_EQ(load(area + 0x5000), 0x2805u);
    unmap(pages_at(area + 0x5000, 1));
    EXPECT_EQ(load(area + 0x5000), no_load);
    EXPECT_EQ(load(area + 0x4000), 0x2804u);
    EXPECT_EQ(load(area + large - page_size), 0x2800 + large_pages - 1);
    protect(pages_at(area + 0x8000, 1), read_only);
    EXPECT_FALSE(can_store(area + 0x8000));
    EXPECT_TRUE(can_store(area + 0x9000));
    expect_nothing_stale();
    unmap(pages_at(area, large_pages), UnmappedFrames::keep, Holes::skip);
    EXPECT_EQ(load(area + 0x9000), no_load);
}

TEST_P(StaleTranslationTest, NoFrameIsGivenBackThatTheCpuStillSees) {
    for (uintptr_t i = 0; i < 70; ++i)
        map(pages_at(area + i * page_size, 1), *m.frames.allocate_frame());
    for (uintptr_t i = 0; i < 70; ++i)
        load(area + i * page_size);
    // More pages than are flushed one by one.
    const auto frames = m.frames.outstanding_frames();
    unmap(pages_at(area, 70), UnmappedFrames::release);
    for (const uint64_t frame : frames) {
        if (!m.pool.is_free(Frame(frame))) continue;
        // A direct map shows every frame for ever.
        if (GetParam().reach == Reach::recursive_slot) {
            EXPECT_FALSE(m.machine.sees(Frame(frame))) << frame;
        }
    }
    EXPECT_EQ(load(area + 69 * page_size), no_load);
    expect_nothing_stale();
}

TEST_P(StaleTranslationTest, GlobalPagesGoToo) {
    mark(free_frame, 100);
    map(pages_at(area, 100), free_frame, {read_write | Protection::global, {}});
    EXPECT_EQ(load(area + 99 * page_size), free_frame.value() + 99);
    unmap(pages_at(area, 100));
    EXPECT_EQ(load(area + 99 * page_size), no_load);
    expect_nothing_stale();
}

TEST_P(StaleTranslationTest, DirtyAndAccessedAreHarvestedFromTheCpu) {
    map(pages_at(area, 3), free_frame);
    load(area);
    can_store(area + page_size);
    EXPECT_TRUE(query(area).accessed);
    EXPECT_FALSE(query(area).dirty);
    EXPECT_TRUE(query(area + page_size).dirty);
    EXPECT_FALSE(query(area + 2 * page_size).accessed);
}

}  // namespace
}  // namespace quire::paging_test
