// SPDX-License-Identifier: MIT
// The three ways to assemble the memory managers on a page-table format, of which one is used.
#pragma once

#include "../../heap.hpp"
#include "../../machine.hpp"
#include "boot_window.hpp"
#include "isa.hpp"
#include "quire/kernel_memory_on.hpp"
#include "smp.hpp"
#include "spaces.hpp"

namespace kernel::machine {

inline constexpr quire::PageRange pages_between(uintptr_t first, uintptr_t last) {
    return quire::PageRange::between(quire::page_of(quire::VirtualAddress(first)),
                                     quire::page_of(quire::VirtualAddress(last)));
}

template <class Format, class Cpu>
class Managers {
  public:
    constexpr Managers() = default;

    // Maps the image and the text screen, and starts the managers, with the boot window's building
    // pages, whose entries those are, to build the page table through. Error::unsupported for a
    // reach that the format does not have.
    quire::Result<quire::KernelMemory*> start(const quire::MemoryMap& map,
                                              const quire::KernelLayout& layout,
                                              quire::TableReach reach, quire::Platform& platform,
                                              quire::TlbInvalidator& tlb, const Format& format,
                                              typename Format::Entry* window_entries);

  private:
    // The managers, and page tables beside the kernel's.
    template <class Memory>
    struct Assembly final : SpaceTables {
        Memory memory;
        quire::Late<typename Memory::Table> tables[most_spaces];
        Format format{};  // of those

        quire::Result<quire::PageTable*> make(unsigned number) override {
            const quire::Status shared = memory.kernel_is_shared()
                                             ? quire::Status()
                                             : memory.share_kernel(smp::invalidator());
            if (!shared.ok()) return shared.failure();
            tables[number].make(memory.access(), format);
            const quire::Status created = memory.create_beside(*tables[number]);
            if (created.ok()) return static_cast<quire::PageTable*>(&*tables[number]);
            tables[number].end();
            return created.failure();
        }
        quire::Status destroy(unsigned number) override {
            const quire::Status destroyed = tables[number]->destroy();
            if (destroyed.ok()) tables[number].end();
            return destroyed;
        }
    };

    struct None {};
    template <class F>
    struct Recursive {
        using Type = None;
    };
    template <quire::RecursivePagingFormat F>
    struct Recursive<F> {
        using Type = Assembly<quire::KernelMemoryOn<F, Cpu, quire::TableReach::recursive>>;
    };
    using RecursiveAssembly = typename Recursive<Format>::Type;

    template <class Memory>
    static quire::Result<quire::KernelMemory*> start_one(Assembly<Memory>& assembly,
                                                         const quire::KernelParts& parts,
                                                         const Format& format,
                                                         typename Format::Entry* entries) {
        using namespace quire;
        const PageRange window(
            page_of(VirtualAddress(boot_window::base + boot_window::reading_pages * page_size)),
            PageCount(boot_window::building_pages));
        const Status started =
            assembly.memory.start(parts, format, BootWindow<Format>{window, entries});
        if (!started.ok()) return started.failure();
        assembly.format = isa::format_beside(format);
        set_space_tables(assembly);
        return static_cast<KernelMemory*>(&assembly.memory);
    }

    Assembly<quire::KernelMemoryOn<Format, Cpu, quire::TableReach::direct>> direct_;
    RecursiveAssembly recursive_;
    Assembly<quire::KernelMemoryOn<Format, Cpu, quire::TableReach::window>> window_;
};

// What is mapped from the first moment.
struct FixedMappings {
    quire::FixedMapping list[7];
};
FixedMappings fixed_mappings();

template <class Format, class Cpu>
quire::Result<quire::KernelMemory*> Managers<Format, Cpu>::start(
    const quire::MemoryMap& map, const quire::KernelLayout& layout, quire::TableReach reach,
    quire::Platform& platform, quire::TlbInvalidator& tlb, const Format& format,
    typename Format::Entry* window_entries) {
    const FixedMappings fixed = fixed_mappings();
    const quire::KernelParts parts{map, layout, fixed.list, platform, tlb, heap_options};
    switch (reach) {
        case quire::TableReach::direct:
            return start_one(direct_, parts, format, window_entries);
        case quire::TableReach::recursive:
            if constexpr (quire::RecursivePagingFormat<Format>) {
                return start_one(recursive_, parts, format, window_entries);
            } else {
                return quire::Error::unsupported;
            }
        case quire::TableReach::window:
            return start_one(window_, parts, format, window_entries);
    }
    return quire::Error::bad_argument;
}

}  // namespace kernel::machine
