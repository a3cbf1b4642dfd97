// SPDX-License-Identifier: MIT
// The facade: from a memory map to a kernel heap, assembled for the usual case.
//
// A kernel brings a canonical MemoryMap, says where in its half of the address space things go, and
// calls `start` once, early, on one CPU. When that returns, the boot mapping is gone, the kernel
// runs on a page table that identity-maps nothing, and frames, space and heap are ready:
//
//     constinit quire::KernelMemoryOn<quire::X86_32, Cpu, quire::TableReach::direct> memory;
//     auto started = memory.start(parts, format, boot_window);
//     void* block = memory.heap().allocate(100).value();
//     PageRange pages = memory.space().allocate(PageCount(4)).value();
//
// Whoever wants other parts assembles the layers himself: this is all the facade does.
#pragma once

#include "quire/base/late.hpp"
#include "quire/boot/memory_map.hpp"
#include "quire/heap/heap.hpp"
#include "quire/phys/frame_allocator.hpp"
#include "quire/space/address_space.hpp"
#include "quire/space_page_source.hpp"

namespace quire {

// How the kernel reaches page tables once its own table is active (docs/architecture.md has the
// matrix of which way goes with which format).
enum class TableReach : uint8_t {
    direct,     // RAM is shown at an offset, as far as the direct map goes
    recursive,  // the table maps itself
    window,     // a few pages, remapped as needed
};
const char* to_string(TableReach reach);

// Something that is mapped from the first moment: a section of the image, a text screen. Without
// the right to read it is a guard: pages that stay unmapped and that nothing else is put at.
struct FixedMapping {
    PageRange pages;
    Frame first;
    Attributes attributes;
    const char* name = "";

    bool is_guard() const { return !has(attributes.protection, Protection::read); }
};

// Where things go in the kernel's half. Ranges must be disjoint and inside `kernel`.
struct KernelLayout {
    PageRange kernel;      // where regions go, wherever nothing else is; without the slots below
    PageRange direct_map;  // TableReach::direct: RAM from frame 0, as far as it fits
    // Room for the frame allocator's books (see BasicFrameAllocator); and, as far as it goes, for
    // two bytes for each frame that a page table may have (see TableWords): 1 MiB more for 2 GiB.
    PageRange metadata;
    PageRange windows;  // for windows; at least 17 pages, all decided about by one leaf table
    // TableReach::recursive: entries of the root, see RecursiveSlot.
    unsigned self_slot = 0;
    unsigned foreign_slot = 0;
    unsigned scratch_slot = 0;
    AddressView view;  // nothing to say in a kernel
};

// What start() builds on; all of it must outlive the KernelMemory but for `fixed`.
struct KernelParts {
    const MemoryMap& map;
    const KernelLayout& layout;
    Span<const FixedMapping> fixed;
    Platform& platform;
    TlbInvalidator& tlb;
    HeapOptions heap = {};
    // When free frames get scarce the heap is asked to trim itself, at its next call. No marks: low
    // is a 64th of what is free at the start, at most 1024 frames, and high twice as many.
    FrameWatermarks watermarks = {};
};

// The pages at which the boot mapping shows any frame, before there is another way: `entries` are
// the entries of the leaf table that decides about `pages`, one a page, in static memory.
template <class Format>
struct BootWindow {
    PageRange pages;
    typename Format::Entry* entries = nullptr;
};

// What the kernel works with, whatever the format and the reach.
class KernelMemory {
  public:
    const MemoryMap& map() const { return *map_; }
    const KernelLayout& layout() const { return *layout_; }
    FrameAllocator& frames() { return *frames_; }
    PageTable& table() { return *table_; }
    AddressSpace& space() { return *space_; }
    Heap& heap() { return *heap_; }
    // Clears any frame.
    FrameZeroer& zeroer() { return *zeroer_; }
    // Where page tables' frames come from: those that the reach can show.
    FrameSource table_frames() { return FrameSource(tables_from_); }
    TableReach reach() const { return reach_; }
    // Whether the kernel's range has become one that further roots can have (share_kernel).
    bool kernel_is_shared() const { return kernel_is_shared_; }
    // For the SpaceParts of further spaces.
    ShownFrames direct_map() const;

    // What start() took before the frame allocator owned the rest.
    FrameCount metadata_frames() const { return as_frames(metadata_.count()); }
    FrameCount boot_table_frames() const { return boot_table_frames_; }

  protected:
    constexpr explicit KernelMemory(TableReach reach) : reach_(reach) {}
    ~KernelMemory() = default;
    KernelMemory(const KernelMemory&) = delete;
    KernelMemory& operator=(const KernelMemory&) = delete;

    // The steps of start() that do not depend on the format: in a table that is being built, and
    // then in the active one.
    Status map_fixed(PageTable& table, const KernelParts& parts);
    Status map_direct(PageTable& table, const KernelParts& parts);
    Status map_metadata(PageTable& table, BootFrames& boot, const KernelParts& parts);
    Status start_frames(const KernelParts& parts, BootFrames& boot);
    [[gnu::noinline]] void take_tables_from_frames(const KernelParts& parts);
    void start_space(const KernelParts& parts);
    Status adopt_fixed(const KernelParts& parts);
    Status adopt_direct_map(const KernelParts& parts);
    Status adopt_own();
    Status start_heap(const KernelParts& parts);
    // Apart, since starting the heap has a long way to go below.
    [[gnu::noinline]] Status watch_frames(const KernelParts& parts);
    // How many frames, from frame 0 up, the direct map has room for; none without one.
    FrameCount shown_frames(const KernelParts& parts) const;
    // Those among which all frames for tables are: the reach can show them.
    FrameRange table_hull(const KernelParts& parts) const;

    struct TableFrames {  // as a FrameSource: frames that the reach can show
        FrameAllocator* frames;
        Zone zone;
        TableWords words;
        Result<Frame> allocate_frame() { return frames->allocate(zone); }
        Result<Frame> allocate_frame_up_to(Frame highest);
        Status free_frame(Frame frame) { return frames->free(frame); }
        TableWords table_words() const { return words; }
    };

  private:
    Status keep_unmapped(const PageRange& pages, const char* name);

  protected:
    TableReach reach_;
    bool kernel_is_shared_ = false;
    const MemoryMap* map_ = nullptr;
    const KernelLayout* layout_ = nullptr;
    PageTable* table_ = nullptr;
    FrameZeroer* zeroer_ = nullptr;
    Late<FrameAllocator> frames_;
    TableFrames tables_from_{};
    Late<AddressSpace> space_;
    Late<SpacePageSource> pages_;
    Late<Heap> heap_;
    class HeapPressure final : public FramePressure {
      public:
        explicit HeapPressure(Heap& heap) : heap_(heap) {}
        // The heap, or the space, may be in the middle of something: only a word is left.
        void on_pressure(FrameCount) override { heap_.request_trim(); }
        void on_relief(FrameCount) override {}

      private:
        Heap& heap_;
    };
    Late<HeapPressure> pressure_;
    PageRange metadata_;
    PageCount words_pages_;  // at its end, for
    FrameRange counted_tables_;
    PageRange windows_;
    FrameCount boot_table_frames_;
    alignas(Region) unsigned char first_nodes_[16 * sizeof(Region)] = {};
};

// The facade for a format, a CPU and a reach is KernelMemoryOn, in kernel_memory_on.hpp.

}  // namespace quire
