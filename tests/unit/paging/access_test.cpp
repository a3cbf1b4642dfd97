// SPDX-License-Identifier: MIT
// What is particular to each access.
#include "quire/paging/access_zeroer.hpp"
#include "unit/paging/paging_worlds.hpp"

namespace quire::paging_test::access_test {
namespace {

using HostTable = FormatPageTable<X86_32, DirectMap>;
using Window32 = ThroughWindow<X86_32>;
using Slot32 = ThroughRecursiveSlot<X86_32, Slots32>;

static_assert(TableAccess<Window32::Access, uint32_t> && FrameAccess<Window32::Access>);
static_assert(TableAccess<Slot32::Access, uint32_t>);
static_assert(!FrameAccess<Slot32::Access>);
// Which access goes with which format: as docs/architecture.md says.
static_assert(RecursivePagingFormat<X86_32> && RecursivePagingFormat<X86_64>);
static_assert(!RecursivePagingFormat<X86Pae>);

constexpr uint64_t area = 0x50000000;
constexpr Frame free_frame{0x2000};

struct Machine32 : Machine {
    Machine32() : Machine(Bits32::mode, Shown{}) {}
};

TEST(DirectMapTest, ShowsItsFramesAndNoOthers) {
    alignas(4096) static unsigned char bytes[2 * page_size];
    const VirtualAddress there(reinterpret_cast<uintptr_t>(bytes));
    const DirectMap map(FrameRange(Frame(10), FrameCount(2)), there);
    EXPECT_EQ(map.open(Frame(10))->data(), bytes);
    EXPECT_EQ(map.open(Frame(11))->data(), bytes + page_size);
    EXPECT_EQ(map.open(Frame(9)).failure(), (Failure{Error::unreachable, 9 * page_size}));
    EXPECT_EQ(map.open(Frame(12)).failure(), (Failure{Error::unreachable, 12 * page_size}));
    const uint32_t* const entries =
        map.open(map.begin(), TableLocation{Frame(10), Frame(11), 0, VirtualAddress(), true})
            ->entries();
    EXPECT_EQ(static_cast<const void*>(entries), bytes + page_size);
    EXPECT_FALSE(map.keeps(1023));
}

TEST(DirectMapTest, ClearsFrames) {
    alignas(4096) static unsigned char bytes[2 * page_size];
    for (unsigned char& byte : bytes)
        byte = 0x77;
    DirectMap map(FrameRange(Frame(0), FrameCount(2)),
                  VirtualAddress(reinterpret_cast<uintptr_t>(bytes)));
    AccessZeroer zeroer(map);
    ASSERT_TRUE(zeroer.zero(Frame(1)).ok());
    EXPECT_EQ(bytes[page_size - 1], 0x77);
    EXPECT_EQ(bytes[page_size], 0);
    EXPECT_EQ(bytes[2 * page_size - 1], 0);
    EXPECT_EQ(zeroer.zero(Frame(2)).error(), Error::unreachable);
}

TEST(DirectMapDeathTest, RefusesAnUnfitPlace) {
    const FrameRange frames(Frame(0), FrameCount(2));
    EXPECT_DEATH(DirectMap(frames, VirtualAddress(0x800)), "");
    EXPECT_DEATH(DirectMap(frames, VirtualAddress(UINTPTR_MAX - page_size + 1)), "");
}

// Tables that the direct map does not show.
TEST(DirectMapTest, TableOutOfReachIsAnError) {
    Machine32 m;
    DirectMap all = m.host_access();
    HostTable whole(all, X86_32(all_features));
    ASSERT_TRUE(whole.create(m.frames).ok());
    ASSERT_TRUE(whole.map(pages_at(area, 2), free_frame, data).ok());
    const Frame leaf(m.words(whole.root())[area >> 22] >> 12);
    // Shows the root, but not the leaf table.
    const Frame low = min(leaf, whole.root());
    const Frame high = max(leaf, whole.root());
    const FrameRange shown = leaf == low ? FrameRange::between(low + FrameCount(1), high)
                                         : FrameRange::between(Frame(0), high - FrameCount(1));
    DirectMap part(shown, VirtualAddress(address_of(shown.first()).value()), m.ram.physical_view());
    HostTable table(part, X86_32(all_features));
    const Failure unreachable{Error::unreachable, address_of(leaf).value()};
    EXPECT_EQ(table.adopt(whole.root(), m.frames).failure(), unreachable);
    ASSERT_TRUE(table.table_frames() == FrameCount(0));
    // Taken over while all was in reach, it stays what it was.
    m.words(whole.root())[0] = 0;
    const uint32_t link = m.words(whole.root())[area >> 22];
    m.words(whole.root())[area >> 22] = 0;
    ASSERT_TRUE(table.adopt(whole.root(), m.frames).ok());
    m.words(whole.root())[area >> 22] = link;
    const auto outstanding = m.frames.outstanding_frames();
    EXPECT_EQ(table.map(pages_at(area + 0x5000, 1), free_frame, data).failure(), unreachable);
    EXPECT_EQ(table.unmap(pages_at(area, 1)).failure(), unreachable);
    EXPECT_EQ(table.protect(pages_at(area, 1), read_only).failure(), unreachable);
    EXPECT_EQ(table.query(at(area)).failure(), unreachable);
    EXPECT_EQ(table.walk(table.reach(), [](const Translation&) { return true; }).failure(),
              unreachable);
    EXPECT_EQ(m.frames.outstanding_frames(), outstanding);
    EXPECT_EQ(m.words(whole.root())[area >> 22], link);
}

// A direct map may show more than the format's entries can name.
TEST(DirectMapTest, TablesAboveTheFormatsHighestFrameAreRefused) {
    alignas(4096) static uint32_t bytes[2][1024];
    DirectMap map(FrameRange(X86_32::highest_frame(), FrameCount(2)),
                  VirtualAddress(reinterpret_cast<uintptr_t>(bytes)));
    struct Ascending {
        Result<Frame> allocate_frame() { return X86_32::highest_frame() + FrameCount(given++); }
        Status free_frame(Frame frame) {
            freed.push_back(frame);
            return {};
        }
        uint64_t given = 0;
        std::vector<Frame> freed;
    } frames;
    HostTable table(map, X86_32(all_features));
    ASSERT_TRUE(table.create(frames).ok());
    EXPECT_EQ(table.map(pages_at(area, 1), free_frame, data).failure(),
              (Failure{Error::unreachable, uint64_t{1} << 32}));
    EXPECT_EQ(frames.freed, std::vector<Frame>{Frame(0x100000)});

    Ascending too_high{1, {}};
    HostTable rootless(map, X86_32(all_features));
    EXPECT_EQ(rootless.create(too_high).failure(),
              (Failure{Error::unreachable, uint64_t{1} << 32}));
    EXPECT_EQ(too_high.freed, std::vector<Frame>{Frame(0x100000)});
}

class WindowTest : public PagingTestOf<Bits32, Window32, Use::active> {
  protected:
    using Opened = Access::Opened;
    static constexpr Frame one{0x2001}, two{0x2002};
    uint64_t flushes() { return m.machine.counters().cpu.page_invalidations; }
};

TEST_F(WindowTest, ShowsAnyFrame) {
    m.words(one)[5] = 12345;
    auto opened = access().open(one);
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(static_cast<uint32_t*>(opened->data())[5], 12345u);
    opened->entries()[6] = 678;
    EXPECT_EQ(m.words(one)[6], 678u);
    EXPECT_EQ(access().open(Frame(0x100000)).failure(),
              (Failure{Error::unreachable, uint64_t{1} << 32}));
}

TEST_F(WindowTest, ShowsANewFrameAtThePageOfAnOld) {
    m.words(one)[0] = 1;
    m.words(two)[0] = 2;
    // The least window has one page for frames.
    EXPECT_EQ(access().open(one)->entries()[0], 1u);
    EXPECT_EQ(access().open(two)->entries()[0], 2u);
    EXPECT_EQ(access().open(one)->entries()[0], 1u);
}

TEST_F(WindowTest, WhatIsStillShownCostsNothing) {
    static_cast<void>(access().open(one));
    const uint64_t before = flushes();
    static_cast<void>(access().open(one));
    EXPECT_EQ(flushes(), before);
    static_cast<void>(access().open(two));
    EXPECT_EQ(flushes(), before + 1);
}

// What this CPU's TLB says of a page of the window may be older than what another CPU shows there.
struct SharedTlb : sim::MappedMachine::LocalTlb {
    using LocalTlb::LocalTlb;
    static constexpr bool shares_windows = true;
};
static_assert(SharesWindows<SharedTlb> && !SharesWindows<sim::MappedMachine::LocalTlb>);

TEST_F(WindowTest, WhatIsStillShownIsFlushedWhereCpusShareTheWindow) {
    Window<X86_32, SharedTlb> window(access().place(), SharedTlb(m.machine), m.machine.view());
    static_cast<void>(window.open(one));
    const uint64_t before = flushes();
    static_cast<void>(window.open(one));
    EXPECT_EQ(flushes(), before + 1);
}

TEST_F(WindowTest, IsBusyWhenEveryPageIsInUse) {
    auto first = access().open(one);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(access().open(two).failure(), (Failure{Error::busy, address_of(two).value()}));
    // The same frame again is no burden, and tables have pages of their own.
    EXPECT_TRUE(access().open(one).ok());
    map(pages_at(area, 2), free_frame);
    {
        Opened moved = move(*first);
        EXPECT_FALSE(access().open(two).ok());
        Opened assigned;
        assigned = move(moved);
        EXPECT_FALSE(access().open(two).ok());
    }
    EXPECT_TRUE(access().open(two).ok());
}

TEST_F(WindowTest, OpensLevelsAndOneTablesAtOnce) {
    const auto session = access().begin();
    std::vector<Opened> open;
    for (uint64_t i = 0; i < Access::table_pages; ++i) {
        auto opened = access().open(session, TableLocation{table().root(), one + FrameCount(i), 0,
                                                           VirtualAddress(), false});
        ASSERT_TRUE(opened.ok());
        open.push_back(move(*opened));
        open.back().entries()[1] = static_cast<uint32_t>(i);
    }
    for (uint64_t i = 0; i < Access::table_pages; ++i)
        EXPECT_EQ(m.words(one + FrameCount(i))[1], i);
    EXPECT_EQ(
        access()
            .open(session, TableLocation{table().root(), Frame(0x2100), 0, VirtualAddress(), false})
            .error(),
        Error::busy);
}

TEST_F(WindowTest, ClearsFrames) {
    m.ram.fill(address_of(one).value(), 2 * page_size, 0x77);
    AccessZeroer zeroer(access());
    ASSERT_TRUE(zeroer.zero(one).ok());
    EXPECT_TRUE(m.ram.holds(address_of(one).value(), page_size, 0));
    EXPECT_TRUE(m.ram.holds(address_of(two).value(), page_size, 0x77));
    auto held = access().open(one);
    EXPECT_EQ(zeroer.zero(two).error(), Error::busy);
}

TEST_F(WindowTest, ItsPagesAreTaken) {
    for (const Page page : access().place().pages) {
        EXPECT_EQ(table().map(PageRange(page, PageCount(1)), free_frame, data).error(),
                  Error::already_mapped);
    }
}

TEST_F(WindowTest, IsInstalledWhole) {
    const uint64_t place = 0xb0000000;
    const auto tables = table().table_frames();
    EXPECT_EQ(install_window(table(), pages_at(place, Access::least_pages)).failure(),
              (Failure{Error::bad_argument, place}));
    EXPECT_EQ(install_window(table(), pages_at(place + large - page_size, 6)).failure(),
              (Failure{Error::bad_argument, place + large + 4 * page_size}));
    m.frames.fail_at(1);
    EXPECT_EQ(install_window(table(), pages_at(place, 6)).error(), Error::out_of_frames);
    m.frames.never_fail();
    EXPECT_EQ(table().map_own_leaf_table(PageRange()).error(), Error::zero_size);
    EXPECT_EQ(table().table_frames(), tables);

    const auto installed = install_window(table(), pages_at(place + 0x10000, 6));
    ASSERT_TRUE(installed.ok());
    EXPECT_EQ(installed->pages, pages_at(place + 0x11000, 5));
    EXPECT_EQ(installed->entries, at(place + 0x10000 + 0x11 * sizeof(uint32_t)));
    EXPECT_EQ(table().table_frames(), tables + FrameCount(1));
    EXPECT_EQ(install_window(table(), pages_at(place + 0x10000, 6)).error(), Error::already_mapped);

    // It works, in this very table, and the table can be changed through it.
    Access second(*installed, m.machine.tlb(), m.machine.view(), X86_32(all_features));
    m.words(two)[0] = 22;
    EXPECT_EQ(second.open(two)->entries()[0], 22u);
    Table through_second(second, X86_32(all_features));
    ASSERT_TRUE(through_second.adopt(table().root(), m.frames).ok());
    ASSERT_TRUE(through_second.map(pages_at(area, 2), free_frame, data).ok());
    EXPECT_EQ(frame_behind(area), free_frame.value());
    through_second.unmap(pages_at(area, 2))->spend(m.tlb);
}

TEST_F(WindowTest, AWholeLeafTableIsNotMistakenForALargePage) {
    ASSERT_TRUE(install_window(table(), pages_at(0xb0000000, 1024)).ok());
    EXPECT_EQ(query(0xb0000000).pages.count(), PageCount(1));
    EXPECT_EQ(frame_behind(0xb03ff000), table_in(large_entry(0xb0000000)).value());
}

TEST_F(WindowTest, TakesALeafTableThatOthersUse) {
    map(pages_at(0xb0000000, 1), free_frame);
    const auto tables = table().table_frames();
    ASSERT_TRUE(install_window(table(), pages_at(0xb0010000, 6)).ok());
    EXPECT_EQ(table().table_frames(), tables);
    EXPECT_EQ(frame_behind(0xb0000000), free_frame.value());
}

TEST(WindowDeathTest, NeedsEnoughPages) {
    Machine32 m;
    const WindowPlace place{pages_at(area, Window32::Access::least_pages - 1), at(area)};
    EXPECT_DEATH(Window32::Access(place, m.machine.tlb()), "");
}

class RecursiveSlotTest : public PagingTestOf<Bits32, Slot32, Use::active> {
  protected:
    static constexpr RecursiveSlots slots = Slot32::slots;
    // Where a root shows the table in one of its slots.
    static uint64_t shown_at(unsigned slot) {
        return (uint64_t{slots.self} << 22) | (uint64_t{slot} << 12);
    }
    bool can_load(uint64_t address) { return m.machine.probe_load<uint32_t>(address).ok(); }
};

TEST_F(RecursiveSlotTest, ItsSlotsAreOutOfReach) {
    EXPECT_EQ(table().reach(), PageRange(Page(0), PageCount(1021 * 1024)));
    EXPECT_EQ(access().active_root(), table().root());
    for (const unsigned slot : {slots.self, slots.foreign, slots.scratch}) {
        const PageRange pages = pages_at(slot * large, 1);
        const Failure outside{Error::out_of_range, slot * large};
        EXPECT_EQ(table().map(pages, free_frame, data).failure(), outside);
        EXPECT_EQ(table().unmap(pages).failure(), outside);
        EXPECT_EQ(table().query(at(slot * large)).failure(), outside);
    }
    // In the middle, the longer side is what can be reached.
    Slot32::Access middle(RecursiveSlots{300, 301, 302}, m.machine.tlb(), m.machine.view(),
                          X86_32(all_features));
    ASSERT_TRUE(table().link_self(300).ok());
    Late<Table> other;
    other.make(middle, X86_32(all_features));
    ASSERT_TRUE(other->adopt(table().root(), m.frames).ok());
    EXPECT_EQ(other->reach(), PageRange(Page(303 * 1024), PageCount(721 * 1024)));
}

TEST_F(RecursiveSlotTest, SharedSlotsAreEmptyBetweenOperations) {
    Table other(access(), X86_32(all_features));
    ASSERT_TRUE(other.create(m.frames).ok());
    ASSERT_TRUE(other.map(pages_at(area, 3), free_frame, data).ok());
    const uint32_t* const root = m.words(table().root());
    EXPECT_EQ(root[slots.foreign], 0u);
    EXPECT_EQ(root[slots.scratch], 0u);
    // The CPU knows of it: no walk goes on through a table that may be given back now.
    EXPECT_FALSE(can_load(shown_at(slots.foreign)));
    EXPECT_FALSE(can_load(shown_at(slots.scratch)));
    EXPECT_TRUE(m.machine.stale_structures().empty());
    EXPECT_EQ(other.query(at(area))->frames.first(), free_frame);
    EXPECT_FALSE(can_load(shown_at(slots.foreign)));
    other.unmap(pages_at(area, 3))->spend_unused();
    EXPECT_FALSE(can_load(shown_at(slots.scratch)));
    ASSERT_TRUE(other.destroy().ok());
}

TEST_F(RecursiveSlotTest, EditsSeveralInactiveTablesInTurn) {
    Late<Table> others[3];
    for (auto& other : others) {
        other.make(access(), X86_32(all_features));
        ASSERT_TRUE(other->create(m.frames).ok());
    }
    for (unsigned round = 0; round < 3; ++round) {
        for (unsigned i = 0; i < 3; ++i) {
            const uint64_t address = area + round * page_size;
            ASSERT_TRUE(
                others[i]
                    ->map(pages_at(address, 1), free_frame + FrameCount(8 * i + round), data)
                    .ok());
        }
    }
    map(pages_at(area, 3), free_frame + FrameCount(100));
    for (unsigned i = 0; i < 3; ++i) {
        for (unsigned round = 0; round < 3; ++round) {
            const uint64_t address = area + round * page_size;
            EXPECT_EQ(m.look(others[i]->root(), address).translation->frame / page_size,
                      free_frame.value() + 8 * i + round);
        }
        others[i]->unmap(pages_at(area, 3))->spend_unused();
        ASSERT_TRUE(others[i]->destroy().ok());
    }
    EXPECT_EQ(frame_behind(area), free_frame.value() + 100);
}

TEST_F(RecursiveSlotTest, OpensOneUnlinkedTableAtATime) {
    const auto session = access().begin();
    const TableLocation unlinked{table().root(), Frame(0x2001), 0, VirtualAddress(), false};
    {
        auto first = access().open(session, unlinked);
        ASSERT_TRUE(first.ok());
        first->entries()[3] = 33;
        EXPECT_EQ(m.words(Frame(0x2001))[3], 33u);
        EXPECT_EQ(access().open(session, unlinked).error(), Error::busy);
        Access::Opened moved = move(*first);
        EXPECT_EQ(access().open(session, unlinked).error(), Error::busy);
        moved = Access::Opened();
        EXPECT_TRUE(access().open(session, unlinked).ok());
    }
    TableLocation above = unlinked;
    above.table = Frame(0x100000);
    EXPECT_EQ(access().open(session, above).failure(),
              (Failure{Error::unreachable, uint64_t{1} << 32}));
}

TEST_F(RecursiveSlotTest, ShowsTheRootThatIsMeant) {
    const Frame roots[] = {Frame(0x2001), Frame(0x2002)};
    for (const Frame root : roots)
        m.words(root)[7] = static_cast<uint32_t>(root.value());
    const auto session = access().begin();
    for (const Frame root : {roots[0], roots[1], roots[1], roots[0]}) {
        const auto opened =
            access().open(session, TableLocation{root, root, 1, VirtualAddress(), true});
        ASSERT_TRUE(opened.ok());
        EXPECT_EQ(opened->entries()[7], root.value());
    }
}

// A leaf table that comes back in the place of another shows itself, not the other.
TEST_F(RecursiveSlotTest, SeesTheTableThatIsLinkedNow) {
    for (unsigned round = 0; round < 5; ++round) {
        map(pages_at(area, 2), free_frame + FrameCount(round));
        EXPECT_EQ(frame_behind(area + page_size), free_frame.value() + round + 1);
        // Another table in between, so that the frame is not the same.
        map(pages_at(area + large * (round + 1), 1), free_frame);
        unmap(pages_at(area, 2));
    }
}

TEST_F(RecursiveSlotTest, WorksInWhateverTableIsActive) {
    Table other(access(), X86_32(all_features));
    ASSERT_TRUE(other.create(m.frames).ok());
    ASSERT_TRUE(other.link_self(slots.self).ok());
    m.machine.load_cr3(other.root());
    EXPECT_EQ(access().active_root(), other.root());
    // What was active is edited as a foreign one now, and the other way round.
    ASSERT_TRUE(other.map(pages_at(area, 1), free_frame, data).ok());
    map(pages_at(area, 1), free_frame + FrameCount(1));
    EXPECT_EQ(m.look(other.root(), area).translation->frame / page_size, free_frame.value());
    EXPECT_EQ(frame_behind(area), free_frame.value() + 1);
    m.machine.load_cr3(table().root());
    EXPECT_EQ(frame_behind(area), free_frame.value() + 1);
    other.unmap(pages_at(area, 1))->spend_unused();
    ASSERT_TRUE(other.destroy().ok());
}

TEST(RecursiveSlotDeathTest, NeedsThreeDifferentSlots) {
    Machine32 m;
    using Access = Slot32::Access;
    EXPECT_DEATH(Access(RecursiveSlots{1, 1, 2}, m.machine.tlb()), "");
    EXPECT_DEATH(Access(RecursiveSlots{1, 2, 1}, m.machine.tlb()), "");
    EXPECT_DEATH(Access(RecursiveSlots{1, 2, 2}, m.machine.tlb()), "");
    EXPECT_DEATH(Access(RecursiveSlots{1024, 2, 3}, m.machine.tlb()), "");
    EXPECT_DEATH(Access(RecursiveSlots{1, 1024, 3}, m.machine.tlb()), "");
    EXPECT_DEATH(Access(RecursiveSlots{1, 2, 1024}, m.machine.tlb()), "");
}

}  // namespace
}  // namespace quire::paging_test::access_test
