// SPDX-License-Identifier: MIT
// What quire_start of quire.h does, for any format and CPU: from the C structure to a memory
// manager. src/c/start_i386.cpp makes it the function for i386.
#pragma once

#include "quire/boot/multiboot.hpp"
#include "quire/c_face.hpp"
#include "quire/kernel_memory_on.hpp"
#include "quire/quire.h"

namespace quire {

// The structure, whose name the function of the same name hides.
using StartParts = struct ::quire_start;

namespace detail {

// Fixed mappings that a CStart can keep.
inline constexpr size_t fixed_capacity = 16;
inline constexpr size_t least_boot_window_pages = 64;

// The parts of quire_start that do not depend on the format (src/c/c_start.cpp).
Result<KernelLayout> layout_from_c(const StartParts& start, AddressView view);
// How many of `fixed` were written.
Result<size_t> fixed_from_c(const StartParts& start, Span<FixedMapping> fixed);
Status read_map_from_c(const StartParts& start, PhysicalReader read, MemoryMapBuilder& builder,
                       BootInformation& information);

// The kernel's two callbacks.
class CPlatform final : public Platform {
  public:
    void use(const StartParts& start) {
        log_ = start.log;
        panic_ = start.panic;
    }
    void log(Severity severity, const char* text) override;
    [[noreturn]] void panic(const Report& report) override;

  private:
    void (*log_)(int, const char*) = nullptr;
    void (*panic_)(const char*) = nullptr;
};

// Shows physical memory through the first half of the boot window, while the boot information is
// read; the second half is left to the page table's birth.
template <PagingFormat Format, PagingCpu Cpu>
class BootReader {
  public:
    BootReader(const StartParts& start, const Cpu& cpu, AddressView view)
        : entries_(static_cast<typename Format::Entry*>(start.boot_window_entries)),
          address_(start.boot_window),
          pages_(start.boot_window_pages / 2),
          cpu_(cpu),
          view_(view) {}

    // Null when the format cannot address the bytes, or there is no page left to show them at.
    const unsigned char* show(PhysicalAddress physical, size_t bytes) {
        const Result<PhysicalRange> range = PhysicalRange::from(physical, Bytes(bytes));
        if (!range.ok() || range->empty()) return nullptr;
        const FrameRange frames = frames_covering(*range);
        if (frames.last() > format_.highest_frame()) return nullptr;
        size_t slot = shown_at(frames);
        if (slot == pages_) {
            if (frames.count() > FrameCount(pages_ - used_)) return nullptr;
            slot = used_;
            for (const Frame frame : frames)
                show_next(frame);
        }
        return view_.pointer<const unsigned char>(
            VirtualAddress(address_ + slot * page_size + offset_in_page(physical)));
    }

  private:
    void show_next(Frame frame) {
        entries_[used_] = format_.leaf(0, frame, Attributes{read_only, {}});
        cpu_.flush_page(VirtualAddress(address_ + used_ * page_size));
        ++used_;
    }
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

    typename Format::Entry* entries_;
    uintptr_t address_;
    size_t pages_;
    size_t used_ = 0;
    Format format_;
    Cpu cpu_;
    AddressView view_;
};

}  // namespace detail

// Everything that lives for ever, for static storage: it needs no static constructor.
template <PagingFormat Format, PagingCpu Cpu>
class CStart {
  public:
    constexpr explicit CStart(Cpu cpu = Cpu(), AddressView view = {})
        : cpu_(cpu), view_(view), tlb_(cpu), direct_(cpu), recursive_(cpu), window_(cpu) {}

    // Reads the structure and the boot information; changes nothing but the boot window. Errors: as
    // parse_multiboot and MemoryMapBuilder; in_use (started already); bad_argument, misaligned,
    // too_many (what the structure says makes no sense).
    [[gnu::noinline]] Status prepare(const StartParts& start) {
        if (started_) return Failure{Error::in_use, 0};
        if (start.boot_window_pages < detail::least_boot_window_pages) {
            return Failure{Error::bad_argument, start.boot_window_pages};
        }
        platform_.use(start);
        const Status read = read_map(start);
        if (!read.ok()) return read;
        return set_layout(start);
    }

    // After prepare, with the same structure: starts the memory manager, and the functions of
    // quire.h work. Errors: as KernelMemoryOn::start; bad_argument (no such reach).
    Status start(const StartParts& start, const Format& format) {
        switch (start.reach) {
            case QUIRE_REACH_DIRECT:
                return start_on(direct_, start, format);
            case QUIRE_REACH_RECURSIVE:
                return start_on(recursive_, start, format);
            case QUIRE_REACH_WINDOW:
                return start_on(window_, start, format);
        }
        return Failure{Error::bad_argument, static_cast<uint64_t>(start.reach)};
    }

  private:
    [[gnu::noinline]] Status read_map(const StartParts& start) {
        reader_.end();
        builder_.end();
        reader_.make(start, cpu_, view_);
        builder_.make(map_);
        const auto read = [this](PhysicalAddress address, size_t bytes) {
            return reader_->show(address, bytes);
        };
        return detail::read_map_from_c(start, read, *builder_, information_);
    }

    [[gnu::noinline]] Status set_layout(const StartParts& start) {
        const Result<KernelLayout> layout = detail::layout_from_c(start, view_);
        if (!layout.ok()) return layout.failure();
        layout_ = *layout;
        const Result<size_t> fixed = detail::fixed_from_c(start, fixed_);
        if (!fixed.ok()) return fixed.failure();
        fixed_count_ = *fixed;
        return {};
    }

    template <class Memory>
    [[gnu::noinline]] Status start_on(Memory& memory, const StartParts& start,
                                      const Format& format) {
        parts_.end();
        parts_.make(map_, layout_, Span<const FixedMapping>(fixed_, fixed_count_), platform_, tlb_);
        const size_t half = start.boot_window_pages / 2;
        boot_window_.pages = PageRange(page_of(VirtualAddress(start.boot_window)) + PageCount(half),
                                       PageCount(start.boot_window_pages - half));
        boot_window_.entries =
            static_cast<typename Format::Entry*>(start.boot_window_entries) + half;
        const Status status = memory.start(*parts_, format, boot_window_);
        if (!status.ok()) return status;
        started_ = true;
        use_from_c(memory);
        return {};
    }

    Cpu cpu_;
    AddressView view_;
    bool started_ = false;
    MemoryMap map_;
    // In here and not on the stack, which may be small.
    Late<KernelParts> parts_;
    BootWindow<Format> boot_window_;
    Late<detail::BootReader<Format, Cpu>> reader_;
    Late<MemoryMapBuilder> builder_;
    BootInformation information_;
    KernelLayout layout_;
    FixedMapping fixed_[detail::fixed_capacity];
    size_t fixed_count_ = 0;
    detail::CPlatform platform_;
    SingleCpuInvalidator<Cpu> tlb_;
    KernelMemoryOn<Format, Cpu, TableReach::direct> direct_;
    KernelMemoryOn<Format, Cpu, TableReach::recursive> recursive_;
    KernelMemoryOn<Format, Cpu, TableReach::window> window_;
};

}  // namespace quire
