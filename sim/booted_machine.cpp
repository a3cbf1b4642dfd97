// SPDX-License-Identifier: MIT
#include "sim/booted_machine.hpp"

#include <stdexcept>

#include "quire/boot/e820.hpp"
#include "quire/kernel_memory_on.hpp"
#include "quire/paging/x86_32.hpp"
#include "sim/firmware.hpp"

namespace quire::sim {

namespace {

// The boot mapping's tables are the first frames of the image's data.
constexpr uint64_t boot_tables = BootedMachine::image_physical + BootedMachine::data.begin;
constexpr uint64_t boot_root = boot_tables;
constexpr uint64_t boot_window_table = boot_tables + 0x1000;
constexpr uint64_t boot_image_table = boot_tables + 0x2000;

PageRange pages(uintptr_t first, uintptr_t last) {
    return PageRange::between(page_of(VirtualAddress(first)), page_of(VirtualAddress(last)));
}

KernelLayout layout_for(const BootedShape& shape, AddressView view) {
    KernelLayout layout;
    layout.kernel = pages(0xC0000000, 0xFF3FFFFF);
    layout.direct_map = PageRange(page_of(VirtualAddress(0xC4000000)),
                                  PageCount(shape.direct_map_bytes >> page_shift));
    layout.metadata = pages(0xF8000000, 0xF80FFFFF);
    layout.windows = pages(0xFF000000, 0xFF3FFFFF);
    layout.self_slot = 1023;
    layout.foreign_slot = 1022;
    layout.scratch_slot = 1021;
    layout.view = view;
    return layout;
}

MappedShape machine_shape(const BootedShape& shape) {
    MappedShape machine;
    machine.cpu.tlb.capacity = shape.tlb_capacity;
    return machine;
}

quire::AccessKind kind_of(const PageFault& fault) {
    if (fault.fetch()) return quire::AccessKind::execute;
    return fault.write() ? quire::AccessKind::write : quire::AccessKind::read;
}

}  // namespace

struct BootedMachine::Reaches {
    template <TableReach reach>
    using Memory = KernelMemoryOn<X86_32, SimulatedCpu, reach>;

    explicit Reaches(SimulatedCpu cpu) : direct(cpu), recursive(cpu), window(cpu) {}

    Memory<TableReach::direct> direct;
    Memory<TableReach::recursive> recursive;
    Memory<TableReach::window> window;
};

BootedMachine::BootedMachine(const BootedShape& shape)
    : shape_(shape),
      ram_(shape.memory_bytes),
      machine_(ram_, machine_shape(shape)),
      invalidator_(SimulatedCpu(machine_)),
      map_(std::make_unique<MemoryMap>()),
      layout_(layout_for(shape, machine_.view())),
      memory_(std::make_unique<Reaches>(SimulatedCpu(machine_))) {
    MemoryMapBuilder builder(*map_);
    for (const FirmwareEntry& entry : pc_firmware_map(shape.memory_bytes)) {
        add_e820(builder, entry.base, entry.length, static_cast<uint32_t>(entry.type));
    }
    const PhysicalRange image{PhysicalAddress(image_physical), Bytes(image_bytes)};
    if (!reserve_pc_low_memory(builder).ok() || !builder.reserve(image, MemoryKind::kernel).ok() ||
        !builder.finish(PhysicalAddress(UINT32_MAX)).ok()) {
        throw std::runtime_error("the simulated firmware's map is not usable");
    }
    make_boot_mapping();
    machine_.on_page_fault([this](const PageFault& fault) {
        Fault told;
        told.address = VirtualAddress(fault.address);
        told.access = kind_of(fault);
        told.user = fault.user();
        told.was_present = fault.present();
        fault_ = memory().space().fault(told);
        return fault_.resolved;
    });
}

BootedMachine::~BootedMachine() {
    machine_.on_page_fault(nullptr);
}

// The image where it is linked, and a leaf table for the boot window; nothing else.
void BootedMachine::make_boot_mapping() {
    constexpr uint32_t present_writable = 3;
    const auto entry_of = [&](uint64_t table, uint64_t index) {
        return ram_.as<uint32_t>(table + 4 * index);
    };
    *entry_of(boot_root, image_virtual >> 22) = boot_image_table | present_writable;
    *entry_of(boot_root, boot_window >> 22) = boot_window_table | present_writable;
    for (uint64_t offset = 0; offset < image_bytes; offset += page_size) {
        *entry_of(boot_image_table, ((image_virtual + offset) >> 12) & 1023) =
            static_cast<uint32_t>(image_physical + offset) | present_writable;
    }
    machine_.enable_paging(frame_of(PhysicalAddress(boot_root)));
}

uint32_t* BootedMachine::boot_window_entries() {
    return ram_.as<uint32_t>(boot_window_table);
}

Status BootedMachine::start() {
    return start(*map_, platform_);
}

Status BootedMachine::start(const MemoryMap& map, Platform& platform) {
    const auto fixed_mapping = [](const ImageSection& section) {
        return FixedMapping{pages(image_virtual + section.begin, image_virtual + section.end - 1),
                            frame_of(PhysicalAddress(image_physical + section.begin)),
                            {section.protection | Protection::global, {}},
                            section.name};
    };
    const FixedMapping fixed[] = {fixed_mapping(text), fixed_mapping(rodata), fixed_mapping(data),
                                  fixed_mapping(guard), fixed_mapping(stack)};
    HeapOptions heap;
    heap.arena_bytes = shape_.heap_arena_bytes;
    heap.sample_interval = shape_.heap_sample_interval;
    const KernelParts parts{map, layout_, fixed, platform, invalidator_, heap};
    const X86_32 format(quire::X86Features{shape_.large_pages, true, true});
    const BootWindow<X86_32> window{PageRange(page_of(VirtualAddress(boot_window)), PageCount(16)),
                                    boot_window_entries()};
    switch (shape_.reach) {
        case TableReach::direct:
            return memory_->direct.start(parts, format, window);
        case TableReach::recursive:
            return memory_->recursive.start(parts, format, window);
        case TableReach::window:
            return memory_->window.start(parts, format, window);
    }
    return Error::bad_argument;
}

KernelMemory& BootedMachine::memory() {
    switch (shape_.reach) {
        case TableReach::direct:
            return memory_->direct;
        case TableReach::recursive:
            return memory_->recursive;
        case TableReach::window:
            return memory_->window;
    }
    throw std::logic_error("no such reach");
}

}  // namespace quire::sim
