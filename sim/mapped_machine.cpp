// SPDX-License-Identifier: MIT
#include "sim/mapped_machine.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

namespace quire::sim {

namespace {
// A fault that its handler claims to have resolved so often in a row never will be.
constexpr unsigned patience = 64;

MappedMachine* newest = nullptr;

// So that the sanitizer lets the machine have the signal. An option given in the environment or by
// the program's own function of this name would come first.
#if defined(__SANITIZE_ADDRESS__)
#define QUIRE_SIM_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define QUIRE_SIM_ADDRESS_SANITIZER 1
#endif
#endif
}  // namespace

#ifdef QUIRE_SIM_ADDRESS_SANITIZER
extern "C" __attribute__((weak, visibility("default"))) const char* __asan_default_options() {
    return "allow_user_segv_handler=1";
}
#endif

struct MappedMachine::ProbeFrame {
    sigjmp_buf jump;
    unsigned depth;
    ProbeFrame* outer;
};

MappedMachine::MappedMachine(const Ram& ram, const MappedShape& shape)
    : ram_(ram),
      shape_(shape),
      mmu_(shape.mmu ? shape.mmu : std::make_shared<X86Mmu32>(shape.features)),
      first_shown_(shape.first_shown),
      bytes_shown_(shape.bytes_shown != 0 ? shape.bytes_shown : uint64_t{1} << 32),
      window_(*this, bytes_shown_, shape.host_address),
      core_(ram, *mmu_, shape.cpu, 0, [this](const Translation& gone) { hide(gone); }),
      previous_(newest) {
    newest = this;
}

MappedMachine::~MappedMachine() {
    if (newest == this) {
        newest = previous_;
    } else {
        for (MappedMachine* machine = newest; machine != nullptr; machine = machine->previous_) {
            if (machine->previous_ == this) machine->previous_ = previous_;
        }
    }
}

MappedMachine* MappedMachine::current() {
    return newest;
}

void MappedMachine::set_control(const Control& control, bool cr3_written) {
    const bool rights_change = control.write_protect != core_.control().write_protect;
    core_.set_control(control, cr3_written);
    // WP changes what cached translations allow, so the host's mappings have to be made anew.
    if (rights_change) window_.hide_all();
}

void MappedMachine::enable_paging(Frame root) {
    Control control = core_.control();
    control.paging = control.write_protect = true;
    control.large_pages = control.global_pages = true;
    control.cr3 = address_of(root).value();
    set_control(control, true);
}

void MappedMachine::load_cr3(Frame root) {
    Control control = core_.control();
    control.cr3 = address_of(root).value();
    set_control(control, true);
}

void MappedMachine::invalidate_all(Globals globals) {
    core_.invalidate_all(globals);
}

MappedCounters MappedMachine::counters() const {
    return {core_.counters(), host_faults_, device_pages_, remappings_};
}

void MappedMachine::hide(const Translation& gone) {
    const uint64_t offset = gone.page - first_shown_;
    const uint64_t before = first_shown_ - gone.page;  // bytes of it that lie before what is shown
    if (offset < bytes_shown_) {
        window_.hide(offset, std::min(gone.bytes(), bytes_shown_ - offset));
    } else if (before < gone.bytes()) {
        window_.hide(0, std::min(gone.bytes() - before, bytes_shown_));
    }
}

bool MappedMachine::host_fault(uint64_t offset, bool write) {
    ++host_faults_;
    const uint64_t address = first_shown_ + offset;
    const Access access{address, write ? AccessKind::write : AccessKind::read,
                        Privilege::supervisor};
    if (const auto translation = resolve(access)) {
        realise(*translation, address);
        return true;
    }
    // Only the access that is being probed may be abandoned: leaving a fault handler in the middle
    // would leave the library's locks held.
    if (probe_ != nullptr && probe_->depth == depth_) siglongjmp(probe_->jump, 1);
    stop(unresolved_, depth_ == 0 ? "and nobody resolved it" : "inside a page-fault handler");
}

std::optional<Translation> MappedMachine::resolve(const Access& access) {
    for (;;) {
        const auto outcome = core_.translate(access);
        if (const auto* translation = std::get_if<Translation>(&outcome)) {
            repetitions_ = 0;
            return *translation;
        }
        const PageFault fault = std::get<PageFault>(outcome);
        repetitions_ = fault == repeated_ ? repetitions_ + 1 : 0;
        repeated_ = fault;
        if (repetitions_ > patience) stop(fault, "and its handler resolves it in vain");
        if (!handler_) {
            unresolved_ = fault;
            return std::nullopt;
        }
        ++depth_;
        const bool again = handler_(fault);
        --depth_;
        if (!again) {
            unresolved_ = fault;
            return std::nullopt;
        }
    }
}

void MappedMachine::realise(const Translation& translation, uint64_t address) {
    if (window_.shown() >= shape_.host_mappings) {
        window_.hide_all();
        ++remappings_;
    }
    // A clean page is shown read-only, so that the first write comes by and marks it.
    const bool writable = translation.dirty && mmu_->permits(core_.control(), translation,
                                                             {address, AccessKind::write, {}});
    const HostAccess rights = writable ? HostAccess::read_write : HostAccess::read_only;
    // Pages of 1 GiB, in which the TLB may have pages of two sizes, are shown in small pieces.
    if (translation.shift == mmu_->large_shift() && core_.tlb().small_entries_in(address) == 0 &&
        shows(translation.page, translation.bytes()) &&
        ram_.backs(translation.frame, translation.bytes())) {
        window_.show(translation.page - first_shown_, translation.bytes(), ram_.file(),
                     translation.frame, rights);
        return;
    }
    const uint64_t page = address & ~uint64_t{page_size - 1};
    const uint64_t frame = translation.physical(page);
    if (ram_.backs(frame, page_size)) {
        window_.show(page - first_shown_, page_size, ram_.file(), frame, rights);
    } else {
        window_.show_nothing(page - first_shown_, rights);
        ++device_pages_;
    }
}

bool MappedMachine::attempt(void (*access)(void*), void* argument) {
    ProbeFrame frame;
    frame.depth = depth_;
    frame.outer = probe_;
    // The signal is not blocked while its handler runs (SA_NODEFER), so there is no mask to save.
    if (sigsetjmp(frame.jump, 0) == 0) {
        probe_ = &frame;
        access(argument);
        probe_ = frame.outer;
        return true;
    }
    probe_ = frame.outer;
    return false;
}

std::byte* MappedMachine::modelled(const Access& access, bool& ok) {
    ok = false;
    if (!mmu_->has_address(access.address)) {
        unresolved_ = {access.address, 0};
        return nullptr;
    }
    const auto translation = resolve(access);
    if (!translation) return nullptr;
    ok = true;
    const uint64_t physical = translation->physical(access.address);
    return ram_.backs(physical) ? ram_.at(physical) : nullptr;
}

Probe<uint8_t> MappedMachine::probe_fetch(uint64_t address, Privilege privilege) {
    bool ok = false;
    const std::byte* from = modelled({address, AccessKind::execute, privilege}, ok);
    if (!ok) return {std::nullopt, unresolved_};
    return {from != nullptr ? std::to_integer<uint8_t>(*from) : uint8_t{0xff}, {}};
}

void MappedMachine::stop(const PageFault& fault, const char* why) const {
    std::fprintf(stderr, "sim: %s, %s\nsim: %s\n", to_string(fault).c_str(), why,
                 mmu_->describe(ram_, core_.control(), fault.address).c_str());
    if (const Translation* cached = core_.tlb().find(fault.address)) {
        std::fprintf(stderr, "sim: the TLB holds %s\n", to_string(*cached).c_str());
    }
    for (const StaleEntry& stale : core_.stale_entries()) {
        if (stale.harmful) std::fprintf(stderr, "sim: %s\n", to_string(stale).c_str());
    }
    std::abort();
}

}  // namespace quire::sim
