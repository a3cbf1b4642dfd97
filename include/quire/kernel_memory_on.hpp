// SPDX-License-Identifier: MIT
// The facade's half that knows the format: include it where the kernel makes its KernelMemoryOn,
// and kernel_memory.hpp everywhere else.
#pragma once

#include "quire/kernel_memory.hpp"
#include "quire/paging/access_zeroer.hpp"
#include "quire/paging/direct_map.hpp"
#include "quire/paging/format_page_table.hpp"
#include "quire/paging/install_window.hpp"
#include "quire/paging/recursive_slot.hpp"
#include "quire/paging/single_cpu_invalidator.hpp"
#include "quire/paging/window.hpp"

namespace quire {

// What drops translations from this CPU's TLB and can load its root register (x86: MOV to CR3), and
// the part of it that drops single pages, as accesses keep it.
template <class C>
concept PagingCpu =
    LocalFlusher<C> && LocalTlb<typename C::Local> && convertible_to<const C&, typename C::Local> &&
    requires(const C& cpu, Frame root) { cpu.load_root(root); };

namespace detail {

// The access for page tables that goes with each reach.
template <class Format, class Cpu, TableReach Reach>
struct ReachAccess;
template <class Format, class Cpu>
struct ReachAccess<Format, Cpu, TableReach::direct> {
    using Type = DirectMap;
};
template <class Format, class Cpu>
struct ReachAccess<Format, Cpu, TableReach::recursive> {
    using Type = RecursiveSlot<Format, typename Cpu::Local>;
};
template <class Format, class Cpu>
struct ReachAccess<Format, Cpu, TableReach::window> {
    using Type = Window<Format, typename Cpu::Local>;
};

// Clears what the direct map shows through it, and everything else through a window.
template <class FrameWindow>
class DirectOrWindowZeroer final : public FrameZeroer {
  public:
    DirectOrWindowZeroer(DirectMap& direct, FrameWindow& window)
        : shown_(direct.frames()), direct_(direct), window_(window) {}
    Status zero(Frame frame) override {
        return shown_.contains(frame) ? direct_.zero(frame) : window_.zero(frame);
    }

  private:
    FrameRange shown_;
    AccessZeroer<DirectMap> direct_;
    AccessZeroer<FrameWindow> window_;
};

}  // namespace detail

template <PagingFormat Format, PagingCpu Cpu, TableReach Reach>
class KernelMemoryOn final : public KernelMemory {
  public:
    constexpr explicit KernelMemoryOn(Cpu cpu = Cpu()) : KernelMemory(Reach), cpu_(cpu) {}

    // Builds the kernel's page table through the boot window, makes it the active one, and starts
    // frames, space and heap on it. Call it once, on one CPU, with the boot mapping active; the
    // code that runs, its stack and this object must be among `parts.fixed` at their present
    // addresses.
    //
    // Errors: what the layers say (out_of_frames: too little memory; out_of_address_space: the
    // metadata range is too small; already_mapped: ranges of the layout overlap; unsupported).
    // When `activated()` is false afterwards, the boot mapping is still active, nothing is taken
    // from the map, and start may be called again.
    Status start(const KernelParts& parts, const Format& format,
                 const BootWindow<Format>& boot_window);
    // Whether the kernel's own table has become the active one.
    bool activated() const { return table_ != nullptr; }

    using Access = typename detail::ReachAccess<Format, Cpu, Reach>::Type;
    using Table = FormatPageTable<Format, Access>;
    // What further page tables are made on.
    Access& access();
    // After start: makes the layout's kernel range one that further roots can have as well (see
    // FormatPageTable::share, which says what that costs). Once, and while nobody else uses the
    // space. Errors: as share; nothing changes.
    Status share_kernel(TlbInvalidator& tlb);
    // Makes a page table beside the kernel's, made on access() with the format's other half, if it
    // has two. It shows the kernel's range, now and later, and can become the active one. Errors:
    // as FormatPageTable::create_sharing; nothing changes.
    Status create_beside(Table& table);

  private:
    using BootAccess = Window<Format, typename Cpu::Local>;
    // The first page of the layout's windows shows the leaf table that decides about them all.
    static constexpr PageCount window_pages{1 + BootAccess::most_pages};

    [[gnu::noinline]] Status build(const KernelParts& parts, const Format& format,
                                   const BootWindow<Format>& boot_window);
    [[gnu::noinline]] Status fill(FormatPageTable<Format, BootAccess>& table,
                                  const KernelParts& parts);
    [[gnu::noinline]] Status open_active_table(const KernelParts& parts, const Format& format);
    void roll_back_boot();

    Cpu cpu_;
    // While the boot mapping is active.
    Late<BootFrames> boot_frames_;
    Late<BootAccess> boot_access_;
    Late<FormatPageTable<Format, BootAccess>> boot_table_;
    WindowPlace window_place_;
    // From then on. With TableReach::window one window serves tables and frames.
    Late<BootAccess> window_;
    Late<Access> access_;
    Late<Table> format_table_;
    Late<AccessZeroer<BootAccess>> window_zeroer_;
    Late<detail::DirectOrWindowZeroer<BootAccess>> direct_zeroer_;
};

template <PagingFormat Format, PagingCpu Cpu, TableReach Reach>
Status KernelMemoryOn<Format, Cpu, Reach>::start(const KernelParts& parts, const Format& format,
                                                 const BootWindow<Format>& boot_window) {
    if (activated()) return Failure{Error::in_use, 0};
    map_ = &parts.map;
    layout_ = &parts.layout;
    Status status = build(parts, format, boot_window);
    if (!status.ok()) {
        roll_back_boot();
        return status;
    }
    cpu_.load_root(boot_table_->root());
    status = open_active_table(parts, format);
    if (status.ok()) status = start_frames(parts, *boot_frames_);
    if (!status.ok()) return status;
    start_space(parts);
    status = adopt_fixed(parts);
    if (status.ok()) status = adopt_direct_map(parts);
    if (status.ok()) status = adopt_own();
    if (status.ok()) status = start_heap(parts);
    if (status.ok()) status = watch_frames(parts);
    return status;
}

template <PagingFormat Format, PagingCpu Cpu, TableReach Reach>
Status KernelMemoryOn<Format, Cpu, Reach>::build(const KernelParts& parts, const Format& format,
                                                 const BootWindow<Format>& boot_window) {
    boot_frames_.make(parts.map, table_hull(parts));
    const VirtualAddress entries = parts.layout.view.address(boot_window.entries);
    boot_access_.make(WindowPlace{boot_window.pages, entries}, cpu_, parts.layout.view, format);
    boot_table_.make(*boot_access_, format);
    const Status created = boot_table_->create(FrameSource(*boot_frames_));
    if (!created.ok()) return created;
    return fill(*boot_table_, parts);
}

template <PagingFormat Format, PagingCpu Cpu, TableReach Reach>
Status KernelMemoryOn<Format, Cpu, Reach>::fill(FormatPageTable<Format, BootAccess>& table,
                                                const KernelParts& parts) {
    Status mapped = map_fixed(table, parts);
    if (mapped.ok()) mapped = map_direct(table, parts);
    if (mapped.ok()) mapped = map_metadata(table, *boot_frames_, parts);
    if (!mapped.ok()) return mapped;
    if (parts.layout.windows.count() < window_pages) {
        return Failure{Error::out_of_address_space, window_pages.value()};
    }
    windows_ = parts.layout.windows.prefix(window_pages);
    const Result<WindowPlace> place = install_window(table, windows_);
    if (!place.ok()) return place.failure();
    window_place_ = *place;
    if constexpr (Reach == TableReach::recursive) return table.link_self(parts.layout.self_slot);
    return {};
}

template <PagingFormat Format, PagingCpu Cpu, TableReach Reach>
Status KernelMemoryOn<Format, Cpu, Reach>::open_active_table(const KernelParts& parts,
                                                             const Format& format) {
    const KernelLayout& layout = parts.layout;
    window_.make(window_place_, cpu_, layout.view, format);
    if constexpr (Reach == TableReach::direct) {
        access_.make(FrameRange(Frame(0), shown_frames(parts)),
                     address_of(layout.direct_map.first()), layout.view);
        direct_zeroer_.make(*access_, *window_);
        zeroer_ = &*direct_zeroer_;
        format_table_.make(*access_, format);
    } else {
        window_zeroer_.make(*window_);
        zeroer_ = &*window_zeroer_;
        if constexpr (Reach == TableReach::recursive) {
            access_.make(RecursiveSlots{layout.self_slot, layout.foreign_slot, layout.scratch_slot},
                         cpu_, layout.view, format);
            format_table_.make(*access_, format);
        } else {
            format_table_.make(*window_, format);
        }
    }
    table_ = &*format_table_;
    return format_table_->adopt(boot_table_->root(), FrameSource(*boot_frames_));
}

template <PagingFormat Format, PagingCpu Cpu, TableReach Reach>
auto KernelMemoryOn<Format, Cpu, Reach>::access() -> Access& {
    if constexpr (Reach == TableReach::window) {
        return *window_;
    } else {
        return *access_;
    }
}

template <PagingFormat Format, PagingCpu Cpu, TableReach Reach>
Status KernelMemoryOn<Format, Cpu, Reach>::share_kernel(TlbInvalidator& tlb) {
    auto shared = format_table_->share(layout_->kernel);
    if (!shared.ok()) return shared.failure();
    kernel_is_shared_ = true;
    shared->spend(tlb);
    return {};
}

template <PagingFormat Format, PagingCpu Cpu, TableReach Reach>
Status KernelMemoryOn<Format, Cpu, Reach>::create_beside(Table& table) {
    Status created = table.create_sharing(table_frames(), *format_table_);
    if constexpr (Reach == TableReach::recursive) {
        if (created.ok()) created = table.link_self(layout_->self_slot);
    }
    return created;
}

// The frames that were taken go with BootFrames, which is all that knew of them.
template <PagingFormat Format, PagingCpu Cpu, TableReach Reach>
void KernelMemoryOn<Format, Cpu, Reach>::roll_back_boot() {
    boot_table_.end();
    boot_access_.end();
    boot_frames_.end();
}

}  // namespace quire
