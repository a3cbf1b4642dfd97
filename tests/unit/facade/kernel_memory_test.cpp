// SPDX-License-Identifier: MIT
// The facade on the simulated machine: from the firmware's map to a heap, through every reach.
#include "quire/kernel_memory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "quire/kernel_memory_on.hpp"
#include "quire/paging/x86_32.hpp"
#include "sim/booted_machine.hpp"

namespace quire::kernel_memory_test {
namespace {

using namespace quire::literals;
using sim::BootedMachine;
using sim::BootedShape;

class KernelMemoryTest : public ::testing::TestWithParam<TableReach> {
  protected:
    static BootedShape shape(uint64_t memory_bytes = 16 << 20) {
        BootedShape shape;
        shape.reach = GetParam();
        shape.memory_bytes = memory_bytes;
        return shape;
    }
};

std::string name_of(const ::testing::TestParamInfo<TableReach>& info) {
    switch (info.param) {
        case TableReach::direct:
            return "Direct";
        case TableReach::recursive:
            return "Recursive";
        case TableReach::window:
            return "Window";
    }
    return "";
}

INSTANTIATE_TEST_SUITE_P(Reaches, KernelMemoryTest,
                         ::testing::Values(TableReach::direct, TableReach::recursive,
                                           TableReach::window),
                         name_of);

TEST_P(KernelMemoryTest, OwnsExactlyWhatTheMapLeaves) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    const MemoryMap& map = booted.map();
    uint64_t left = map.firmware_usable().value();
    for (size_t kind = 0; kind < memory_kinds; ++kind) {
        left -= map.taken_from_usable(static_cast<MemoryKind>(kind)).value();
    }
    EXPECT_EQ(booted.memory().frames().counters().total, FrameCount(left / page_size));
    EXPECT_TRUE(booted.memory().frames().validate().ok());
    EXPECT_TRUE(booted.memory().table().validate().ok());
    EXPECT_TRUE(booted.memory().space().validate().ok());
    EXPECT_TRUE(booted.memory().heap().validate().ok());
}

TEST_P(KernelMemoryTest, EveryFrameInUseIsAccountedFor) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    KernelMemory& memory = booted.memory();
    const FrameCounters counters = memory.frames().counters();
    const uint64_t heap_pages = memory.heap().counters().committed_bytes / page_size;
    uint64_t node_pages = 0;
    memory.space().for_each_region([&](const RegionInfo& region) {
        if (std::strcmp(region.name, "region nodes") == 0) {
            node_pages += region.pages.count().value();
        }
        return true;
    });
    EXPECT_EQ(counters.total.value() - counters.free.value(),
              memory.table().table_frames().value() + memory.metadata_frames().value() +
                  heap_pages + node_pages);
}

// Live entries of a leaf table of the kernel's, as the simulated RAM has them.
size_t live_entries(BootedMachine& booted, uint64_t table) {
    const auto* const entries = booted.ram().as<uint32_t>(table << page_shift);
    return static_cast<size_t>(std::count_if(entries, entries + X86_32::entries,
                                             [](uint32_t entry) { return entry != 0; }));
}
// The numbers of the frames that the root leads to, but for large pages and the root itself.
std::vector<uint64_t> leaf_tables(BootedMachine& booted) {
    const uint64_t root = booted.memory().table().root().value();
    const auto* const entries = booted.ram().as<uint32_t>(root << page_shift);
    std::vector<uint64_t> tables;
    for (size_t index = 0; index < X86_32::entries; ++index) {
        const bool leads_to_table = (entries[index] & 0x81) == 1;
        const uint64_t frame = entries[index] >> page_shift;
        if (leads_to_table && frame != root) tables.push_back(frame);
    }
    return tables;
}

// So that an emptied table is known to be empty without a look into it.
TEST_P(KernelMemoryTest, TablesAreCountedFromTheBootOn) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    KernelMemory& memory = booted.memory();
    ASSERT_TRUE(memory.space().allocate(PageCount(3)).ok());
    const TableWords words = memory.table_frames().table_words();
    const std::vector<uint64_t> tables = leaf_tables(booted);
    EXPECT_GE(tables.size(), 4U);
    for (const uint64_t table : tables) {
        const uint16_t* const word = words.word_of(Frame(table));
        ASSERT_NE(word, nullptr) << table;
        EXPECT_EQ(*word & 0x7fff, live_entries(booted, table)) << table;
    }
    EXPECT_TRUE(memory.table().validate().ok());
    uint16_t* const word = words.word_of(Frame(tables.front()));
    ++*word;
    EXPECT_EQ(memory.table().validate().error(), Error::corrupted);
    --*word;
    // Each frame that may become a table has a word, and no other has its bytes.
    const PageRange metadata = booted.layout().metadata;
    EXPECT_EQ(words.frames.last(), memory.map().usable_hull().last());
    const auto last = reinterpret_cast<uintptr_t>(words.word_of(words.frames.last()));
    const auto first = reinterpret_cast<uintptr_t>(words.words);
    const AddressView view = booted.layout().view;
    const auto begin =
        reinterpret_cast<uintptr_t>(view.pointer<unsigned char>(address_of(metadata.first())));
    EXPECT_GE(first, begin + FrameAllocator::metadata_bytes(memory.map()).value());
    EXPECT_LT(last + 1, begin + memory.metadata_frames().value() * page_size);
}

TEST_P(KernelMemoryTest, TablesAreCountedAsFarAsTheMetadataHasRoom) {
    const PageCount books =
        *pages_for(FrameAllocator::metadata_bytes(BootedMachine(shape(64 << 20)).map()));
    {
        BootedMachine booted(shape(64 << 20));
        booted.layout().metadata = booted.layout().metadata.prefix(books);
        ASSERT_TRUE(booted.start().ok());
        EXPECT_TRUE(booted.memory().table_frames().table_words().frames.empty());
        EXPECT_EQ(booted.memory().metadata_frames(), as_frames(books));
    }
    BootedMachine booted(shape(64 << 20));
    booted.layout().metadata = booted.layout().metadata.prefix(books + PageCount(1));
    ASSERT_TRUE(booted.start().ok());
    const TableWords words = booted.memory().table_frames().table_words();
    EXPECT_EQ(words.frames.count(), FrameCount(page_size / 2));
    EXPECT_EQ(words.word_of(words.frames.last() + FrameCount(1)), nullptr);
    // Those without are looked into.
    const auto pages = booted.memory().space().allocate(PageCount(2048));
    ASSERT_TRUE(pages.ok());
    const FrameCount tables = booted.memory().table().table_frames();
    ASSERT_TRUE(booted.memory().space().unmap(*pages).ok());
    EXPECT_LT(booted.memory().table().table_frames(), tables);
    EXPECT_TRUE(booted.memory().table().validate().ok());
}

TEST_P(KernelMemoryTest, NothingOfTheBootMappingIsLeft) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.machine().probe_load<uint8_t>(BootedMachine::image_virtual).ok());
    ASSERT_TRUE(booted.start().ok());
    // The image's first page, which no section covers, and identity.
    EXPECT_FALSE(booted.machine().probe_load<uint8_t>(BootedMachine::image_virtual).ok());
    EXPECT_FALSE(booted.machine().probe_load<uint8_t>(BootedMachine::image_physical).ok());
    EXPECT_FALSE(booted.machine().probe_load<uint8_t>(0).ok());
}

TEST_P(KernelMemoryTest, SectionsHaveTheirProtections) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    sim::MappedMachine& cpu = booted.machine();
    const auto at = [](const sim::ImageSection& section) {
        return BootedMachine::image_virtual + section.begin;
    };
    EXPECT_TRUE(cpu.probe_load<uint8_t>(at(BootedMachine::text)).ok());
    EXPECT_FALSE(cpu.probe_store<uint8_t>(at(BootedMachine::text), 1).ok());
    EXPECT_FALSE(cpu.probe_store<uint8_t>(at(BootedMachine::rodata), 1).ok());
    EXPECT_TRUE(cpu.probe_store<uint8_t>(at(BootedMachine::data), 1).ok());
    EXPECT_FALSE(cpu.probe_load<uint8_t>(at(BootedMachine::guard)).ok());
    EXPECT_STREQ(booted.last_fault().region.name, "stack guard");
    EXPECT_TRUE(cpu.probe_store<uint8_t>(at(BootedMachine::stack), 1).ok());
}

// The image must not be writable through the direct map either.
TEST(KernelMemoryDirectTest, NoFrameOfTheImageIsWritableThroughTheDirectMap) {
    BootedMachine booted(BootedShape{});
    ASSERT_TRUE(booted.start().ok());
    const uint64_t direct = address_of(booted.memory().layout().direct_map.first()).value();
    const uint64_t image = direct + BootedMachine::image_physical;
    EXPECT_TRUE(booted.machine().probe_load<uint8_t>(image).ok());
    EXPECT_FALSE(booted.machine().probe_store<uint8_t>(image, 1).ok());
    EXPECT_TRUE(booted.machine().probe_store<uint8_t>(image + BootedMachine::image_bytes, 1).ok());
}

TEST(KernelMemoryDirectTest, FramesAboveTheDirectMapAreZeroedAndUsedAllTheSame) {
    BootedShape shape;
    shape.memory_bytes = 64 << 20;
    shape.direct_map_bytes = 24 << 20;
    BootedMachine booted(shape);
    ASSERT_TRUE(booted.start().ok());
    KernelMemory& memory = booted.memory();
    EXPECT_GT(memory.frames().counters().zone[static_cast<size_t>(Zone::high)].free, FrameCount(0));
    // Frames that hold something before they are given out, above the direct map.
    const auto pages = memory.space().allocate(PageCount(8));
    ASSERT_TRUE(pages.ok());
    const VirtualAddress first = address_of(pages->first());
    const auto found = memory.space().query(first);
    ASSERT_TRUE(found.ok());
    EXPECT_GE(found->translation.physical(first).value(), shape.direct_map_bytes);
    std::memset(memory.layout().view.pointer(first), 0xff, 8 * page_size);
    ASSERT_TRUE(memory.space().unmap(*pages).ok());
    const auto again = memory.space().allocate(PageCount(8));
    ASSERT_TRUE(again.ok());
    const auto* bytes = memory.layout().view.pointer<unsigned char>(address_of(again->first()));
    for (size_t i = 0; i < 8 * page_size; ++i)
        ASSERT_EQ(bytes[i], 0);
}

TEST_P(KernelMemoryTest, RamIsNoDeviceWhereTheDirectMapShowsIt) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    AddressSpace& space = booted.memory().space();
    const Frame frame = booted.memory().frames().allocate().value();
    MapOptions options;
    options.attributes = {read_write, MemoryType::device};
    const auto device = space.map(FrameRange(frame, FrameCount(1)), options);
    EXPECT_EQ(device.ok(), GetParam() != TableReach::direct);
    if (!device.ok()) {
        EXPECT_EQ(device.error(), Error::in_use);
        EXPECT_EQ(device.failure().where, address_of(frame).value());
    }
}

TEST_P(KernelMemoryTest, WorksWithoutLargePages) {
    BootedShape without = shape();
    without.large_pages = false;
    BootedMachine booted(without);
    ASSERT_TRUE(booted.start().ok());
    EXPECT_TRUE(booted.memory().space().allocate(PageCount(3)).ok());
    EXPECT_TRUE(booted.memory().table().validate().ok());
}

TEST_P(KernelMemoryTest, AnAddressIsEnough) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    KernelMemory& memory = booted.memory();
    const auto pages = memory.space().allocate(PageCount(4));
    ASSERT_TRUE(pages.ok());
    auto* const words = memory.layout().view.pointer<uint32_t>(address_of(pages->first()));
    words[0] = 1;
    words[4095] = 2;
    EXPECT_EQ(words[0] + words[4095], 3u);
    ASSERT_TRUE(memory.space().unmap(*pages).ok());
    EXPECT_FALSE(booted.machine().probe_load<uint32_t>(address_of(pages->first()).value()).ok());
}

TEST_P(KernelMemoryTest, TheHeapGrowsAndGivesBack) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    KernelMemory& memory = booted.memory();
    const FrameCount free_before = memory.frames().counters().free;
    std::vector<void*> blocks;
    for (int i = 0; i < 500; ++i) {
        const auto block = memory.heap().allocate(2000);
        ASSERT_TRUE(block.ok());
        std::memset(*block, i, 2000);
        blocks.push_back(*block);
    }
    EXPECT_LT(memory.frames().counters().free.value(), free_before.value() - 200);
    for (void* block : blocks)
        memory.heap().free(block);
    memory.heap().trim();
    // A page of the heap's own books and the tables of its arena may stay.
    EXPECT_GE(memory.frames().counters().free.value(), free_before.value() - 8);
}

TEST_P(KernelMemoryTest, TheHeapTrimsItselfWhenFramesGetScarce) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    KernelMemory& memory = booted.memory();
    memory.heap().free(memory.heap().allocate(3000).value());
    ASSERT_NE(memory.heap().counters().cached_bytes, 0u);
    const uint64_t low = memory.frames().counters().free.value() / 64;
    std::vector<Frame> taken;
    while (memory.frames().counters().free.value() >= low) {
        ASSERT_NE(memory.heap().counters().cached_bytes, 0u);
        taken.push_back(memory.frames().allocate().value());
        memory.heap().free(nullptr);
        if (memory.heap().counters().cached_bytes == 0) break;
    }
    EXPECT_EQ(memory.heap().counters().cached_bytes, 0u);
    EXPECT_NEAR(static_cast<double>(memory.frames().counters().free.value()),
                static_cast<double>(low), 8.0);
    for (const Frame frame : taken)
        EXPECT_TRUE(memory.frames().free(frame).ok());
}

// Isolated frames: the heap grows, the contiguous way fails.
TEST_P(KernelMemoryTest, TheHeapGrowsOnIsolatedFrames) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    KernelMemory& memory = booted.memory();
    const FrameRange hull = booted.map().usable_hull();
    std::vector<Frame> taken;
    for (uint64_t number = hull.first().value() | 1; number <= hull.last().value(); number += 2) {
        if (memory.frames().allocate_at(FrameRange(Frame(number), FrameCount(1))).ok()) {
            taken.push_back(Frame(number));
        }
    }
    const auto run = memory.frames().allocate_run(FrameCount(2));
    ASSERT_FALSE(run.ok());
    EXPECT_EQ(run.error(), Error::out_of_frames);
    const auto block = memory.heap().allocate(100000);
    ASSERT_TRUE(block.ok());
    std::memset(*block, 0x5a, 100000);
    memory.heap().free(*block);
    for (const Frame frame : taken)
        EXPECT_TRUE(memory.frames().free(frame).ok());
}

TEST_P(KernelMemoryTest, FaultsInTheHeapsGuardsAreExplained) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    const auto pages = [&] {
        AllocateOptions options;
        options.name = "guarded";
        options.placement.guard_after = PageCount(1);
        return booted.memory().space().allocate(PageCount(1), options);
    }();
    ASSERT_TRUE(pages.ok());
    const uint64_t behind = address_of(pages->last()).value() + page_size;
    EXPECT_FALSE(booted.machine().probe_store<uint8_t>(behind, 1).ok());
    EXPECT_EQ(booted.last_fault().error, Error::guard_hit);
    char buffer[1024];
    TextWriter text(buffer);
    write(text, booted.last_fault());
    EXPECT_THAT(text.text(), ::testing::HasSubstr("guarded"));
}

TEST_P(KernelMemoryTest, StartingTwiceIsRefused) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    const Status again = booted.start();
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error(), Error::in_use);
    EXPECT_TRUE(booted.memory().space().validate().ok());
}

// What is wrong with the layout is found before anything becomes active, and start can be repeated.
TEST_P(KernelMemoryTest, AFailedStartLeavesTheBootMappingAndCanBeRepeated) {
    BootedMachine booted(shape());
    KernelLayout& layout = booted.layout();
    const KernelLayout good = layout;

    layout.metadata = PageRange(good.metadata.first(), PageCount(0));
    Status started = booted.start();
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(started.error(), Error::out_of_address_space);

    layout = good;
    layout.metadata = PageRange(page_of(VirtualAddress(BootedMachine::image_virtual)) +
                                    PageCount(BootedMachine::text.begin >> page_shift),
                                PageCount(16));
    started = booted.start();
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(started.error(), Error::already_mapped);

    layout = good;
    layout.windows = good.windows.prefix(PageCount(5));
    started = booted.start();
    ASSERT_FALSE(started.ok());
    EXPECT_EQ(started.error(), Error::out_of_address_space);

    EXPECT_TRUE(booted.machine().probe_load<uint8_t>(BootedMachine::image_virtual).ok());
    layout = good;
    EXPECT_TRUE(booted.start().ok());
}

// A page table beside the kernel's: the kernel goes on when it is the active one.
template <TableReach reach>
void expect_space_beside() {
    BootedShape shape;
    shape.reach = reach;
    shape.memory_bytes = 32 << 20;
    BootedMachine booted(shape);
    booted.machine().on_page_fault(nullptr);  // its own managers stay unused
    const X86_32 format(X86Features{true, true, true});
    auto memory = std::make_unique<KernelMemoryOn<X86_32, sim::SimulatedCpu, reach>>(booted.cpu());
    const KernelParts parts{booted.map(), booted.layout(), {}, booted.platform(), booted.tlb(), {}};
    const BootWindow<X86_32> window{
        PageRange(page_of(VirtualAddress(BootedMachine::boot_window)), PageCount(16)),
        booted.boot_window_entries()};
    ASSERT_TRUE(memory->start(parts, format, window).ok());
    using Table = typename KernelMemoryOn<X86_32, sim::SimulatedCpu, reach>::Table;
    Table table(memory->access(), format);
    EXPECT_EQ(memory->create_beside(table).error(), Error::bad_argument);
    ASSERT_TRUE(memory->share_kernel(booted.tlb()).ok());
    EXPECT_EQ(memory->share_kernel(booted.tlb()).error(), Error::in_use);
    ASSERT_TRUE(memory->create_beside(table).ok());
    EXPECT_FALSE(table.reach().overlaps(booted.layout().kernel));

    booted.cpu().load_root(table.root());
    const Frame own = memory->frames().allocate().value();
    auto mapped = table.map(PageRange(Page(0x40000), PageCount(1)), own, Attributes{});
    ASSERT_TRUE(mapped.ok());
    mapped->spend(booted.tlb());
    EXPECT_TRUE(booted.machine().template probe_store<uint8_t>(0x40000000, 7).ok());
    // The kernel's space changes, on another root than its own.
    const auto pages = memory->space().allocate(PageCount(2000));
    ASSERT_TRUE(pages.ok());
    const uint64_t last = address_of(pages->last()).value();
    EXPECT_TRUE(booted.machine().template probe_store<uint8_t>(last, 5).ok());

    booted.cpu().load_root(memory->table().root());
    EXPECT_FALSE(booted.machine().template probe_load<uint8_t>(0x40000000).ok());
    EXPECT_EQ(booted.machine().template probe_load<uint8_t>(last).value, 5);
    ASSERT_TRUE(memory->space().unmap(*pages).ok());
    booted.cpu().load_root(table.root());
    EXPECT_FALSE(booted.machine().template probe_load<uint8_t>(last).ok());
    auto unmapped = table.unmap(PageRange(Page(0x40000), PageCount(1)));
    ASSERT_TRUE(unmapped.ok());
    unmapped->spend(booted.tlb());
    booted.cpu().load_root(memory->table().root());
    ASSERT_TRUE(table.destroy().ok());
    ASSERT_TRUE(memory->frames().free(own).ok());
    EXPECT_TRUE(memory->table().validate().ok());
    EXPECT_TRUE(memory->space().validate().ok());
    EXPECT_TRUE(memory->frames().validate().ok());
}

TEST(KernelMemoryBeside, ThroughTheDirectMap) {
    expect_space_beside<TableReach::direct>();
}
TEST(KernelMemoryBeside, ThroughTheRecursiveSlot) {
    expect_space_beside<TableReach::recursive>();
}
TEST(KernelMemoryBeside, ThroughTheWindow) {
    expect_space_beside<TableReach::window>();
}

// The frame allocator's hook is called on the way from the heap to its frames.
class CallingBack final : public FramePressure {
  public:
    explicit CallingBack(Heap& heap) : heap_(heap) {}
    void on_pressure(FrameCount) override { called_back = heap_.allocate(100).error(); }
    void on_relief(FrameCount) override {}
    Error called_back{};

  private:
    Heap& heap_;
};

TEST_P(KernelMemoryTest, AHeapThatIsCalledOnItsOwnWayToFramesRefuses) {
    BootedMachine booted(shape());
    ASSERT_TRUE(booted.start().ok());
    Heap& heap = booted.memory().heap();
    CallingBack hook(heap);
    FrameWatermarks marks;
    marks.low = booted.memory().frames().counters().free;
    marks.high = marks.low + FrameCount(1);
    ASSERT_TRUE(booted.memory().frames().set_watermarks(marks, &hook).ok());
    const auto block = heap.allocate(100000);
    ASSERT_TRUE(block.ok());
    EXPECT_EQ(hook.called_back, Error::busy);
    heap.free(*block);
    heap.free(heap.allocate(100).value());
}

}  // namespace
}  // namespace quire::kernel_memory_test
