// SPDX-License-Identifier: MIT
// quire_start on i386: the C face's choice of format, CPU and objects.
#if defined(__i386__)

#include "quire/boot/multiboot.hpp"
#include "quire/c_face.hpp"
#include "quire/kernel_memory_on.hpp"
#include "quire/paging/x86/cpu.hpp"
#include "quire/quire.h"

namespace quire {

namespace {

// The structure, whose name the function of the same name hides.
using StartParts = struct ::quire_start;

constexpr size_t fixed_capacity = 16;

class CallbackPlatform final : public Platform {
  public:
    void use(const StartParts& start) {
        log_ = start.log;
        panic_ = start.panic;
    }
    void log(Severity severity, const char* text) override {
        if (log_ != nullptr) log_(static_cast<int>(severity), text);
    }
    [[noreturn]] void panic(const Report& report) override {
        char buffer[256];
        TextWriter text(buffer);
        write(text, report);
        if (panic_ != nullptr) panic_(text.text());
        trap();
    }

  private:
    void (*log_)(int, const char*) = nullptr;
    void (*panic_)(const char*) = nullptr;
};

// Shows physical memory through the first half of the boot window, while the boot information is
// read; the second half is left to the page table's birth.
class BootReader {
  public:
    explicit BootReader(const StartParts& start)
        : entries_(static_cast<uint32_t*>(start.boot_window_entries)),
          address_(start.boot_window),
          pages_(start.boot_window_pages / 2) {}

    const unsigned char* show(PhysicalAddress physical, size_t bytes) {
        const Result<PhysicalRange> range = PhysicalRange::from(physical, Bytes(bytes));
        if (!range.ok() || range->empty()) return nullptr;
        const FrameRange frames = frames_covering(*range);
        if (frames.last() > X86_32::highest_frame) return nullptr;
        const auto count = static_cast<size_t>(frames.count().value());
        size_t slot = shown_at(frames);
        if (slot == pages_) {
            if (count > pages_ - used_) return nullptr;
            slot = used_;
            for (const Frame frame : frames) {
                entries_[used_] = format_.leaf(0, frame, Attributes{read_only, {}});
                cpu_.flush_page(VirtualAddress(address_ + used_ * page_size));
                ++used_;
            }
        }
        return reinterpret_cast<const unsigned char*>(address_ + slot * page_size +
                                                      offset_in_page(physical));
    }

  private:
    // The first of consecutive pages that show these frames already, or pages_.
    size_t shown_at(const FrameRange& frames) const {
        const auto count = static_cast<size_t>(frames.count().value());
        for (size_t slot = 0; slot + count <= used_; ++slot) {
            size_t same = 0;
            while (same < count && format_.frame_of(0, entries_[slot + same]) ==
                                       frames.first() + FrameCount(same)) {
                ++same;
            }
            if (same == count) return slot;
        }
        return pages_;
    }

    uint32_t* entries_;
    uintptr_t address_;
    size_t pages_;
    size_t used_ = 0;
    X86_32 format_;
    X86Cpu cpu_;
};

// Everything that lives for ever, in static storage, made by no static constructor.
struct Objects {
    MemoryMap map;
    KernelLayout layout;
    FixedMapping fixed[fixed_capacity];
    CallbackPlatform platform;
    SingleCpuInvalidator<X86Cpu> tlb;
    KernelMemoryOn<X86_32, X86Cpu, TableReach::direct> direct;
    KernelMemoryOn<X86_32, X86Cpu, TableReach::recursive> recursive;
    KernelMemoryOn<X86_32, X86Cpu, TableReach::window> window;
    bool started = false;
};
constinit Objects objects;

[[gnu::noinline]] Status read_map(const StartParts& start) {
    MemoryMapBuilder builder(objects.map);
    BootReader reader(start);
    const auto read = [&](PhysicalAddress address, size_t bytes) {
        return reader.show(address, bytes);
    };
    const auto parsed = parse_multiboot(
        start.multiboot_magic, PhysicalAddress(start.multiboot_information), read, builder);
    if (!parsed.ok()) return parsed.failure();
    if (start.image_end <= start.image_begin) return Failure{Error::zero_size, start.image_begin};
    const PhysicalRange image = PhysicalRange::between(PhysicalAddress(start.image_begin),
                                                       PhysicalAddress(start.image_end - 1));
    const Status reserved = builder.reserve(image, MemoryKind::kernel);
    if (!reserved.ok()) return reserved;
    return builder.finish(PhysicalAddress(UINT32_MAX));
}

Result<PageRange> pages_between(uintptr_t first, uintptr_t last) {
    if (first == 0 && last == 0) return PageRange();
    if (last < first) return Failure{Error::bad_argument, first};
    const VirtualRange bytes = VirtualRange::between(VirtualAddress(first), VirtualAddress(last));
    const PageRange pages = pages_inside(bytes);
    if (pages != pages_covering(bytes)) return Failure{Error::misaligned, first};
    return pages;
}

[[gnu::noinline]] Status set_layout(const StartParts& start) {
    const Result<PageRange> kernel = pages_between(start.kernel_first, start.kernel_last);
    if (!kernel.ok()) return kernel.failure();
    const Result<PageRange> direct = pages_between(start.direct_map_first, start.direct_map_last);
    if (!direct.ok()) return direct.failure();
    const Result<PageRange> metadata = pages_between(start.metadata_first, start.metadata_last);
    if (!metadata.ok()) return metadata.failure();
    const Result<PageRange> windows = pages_between(start.windows_first, start.windows_last);
    if (!windows.ok()) return windows.failure();
    objects.layout = KernelLayout{*kernel,
                                  *direct,
                                  *metadata,
                                  *windows,
                                  start.self_slot,
                                  start.foreign_slot,
                                  start.scratch_slot,
                                  AddressView()};
    return {};
}

[[gnu::noinline]] Status set_fixed(const StartParts& start) {
    if (start.fixed_count > fixed_capacity) return Failure{Error::too_many, start.fixed_count};
    for (size_t i = 0; i < start.fixed_count; ++i) {
        const quire_mapping& from = start.fixed[i];
        if (from.address % page_size != 0) return Failure{Error::misaligned, from.address};
        if (from.physical % page_size != 0) return Failure{Error::misaligned, from.physical};
        if (from.bytes % page_size != 0) return Failure{Error::misaligned, from.bytes};
        const Result<PageRange> pages = PageRange::from(page_of(VirtualAddress(from.address)),
                                                        PageCount(from.bytes >> page_shift));
        if (!pages.ok()) return pages.failure();
        objects.fixed[i] = FixedMapping{
            *pages, frame_of(PhysicalAddress(from.physical)),
            Attributes{static_cast<Protection>(from.rights), static_cast<MemoryType>(from.type)},
            from.name};
    }
    return {};
}

template <class Memory>
[[gnu::noinline]] Status start_on(Memory& memory, const StartParts& start,
                                  const X86Features& features) {
    const KernelParts parts{objects.map,
                            objects.layout,
                            Span<const FixedMapping>(objects.fixed, start.fixed_count),
                            objects.platform,
                            objects.tlb,
                            HeapOptions()};
    const size_t building = start.boot_window_pages / 2;
    const PageRange window(page_of(VirtualAddress(start.boot_window)) + PageCount(building),
                           PageCount(start.boot_window_pages - building));
    const Status started = memory.start(
        parts, X86_32(features),
        BootWindow<X86_32>{window, static_cast<uint32_t*>(start.boot_window_entries) + building});
    if (started.ok()) use_from_c(memory);
    return started;
}

Status start_all(const StartParts& start) {
    if (objects.started) return Failure{Error::in_use, 0};
    if (start.boot_window_pages < 64) {
        return Failure{Error::bad_argument, start.boot_window_pages};
    }
    objects.platform.use(start);
    Status prepared = read_map(start);
    if (prepared.ok()) prepared = set_layout(start);
    if (prepared.ok()) prepared = set_fixed(start);
    if (!prepared.ok()) return prepared;
    const X86Features features = x86_features();
    x86_enable(features);
    switch (start.reach) {
        case QUIRE_REACH_DIRECT:
            return start_on(objects.direct, start, features);
        case QUIRE_REACH_RECURSIVE:
            return start_on(objects.recursive, start, features);
        case QUIRE_REACH_WINDOW:
            return start_on(objects.window, start, features);
    }
    return Failure{Error::bad_argument, static_cast<uint64_t>(start.reach)};
}

}  // namespace

}  // namespace quire

extern "C" int quire_start(const struct quire_start* start) {
    const quire::Status started = quire::start_all(*start);
    quire::objects.started = quire::objects.started || started.ok();
    return started.ok() ? QUIRE_OK : static_cast<int>(started.error()) + 1;
}

#endif
