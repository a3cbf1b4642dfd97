// SPDX-License-Identifier: MIT
// Self-tests of page table and address space, by what the CPU does.
#include <stdint.h>

#include "console.hpp"
#include "faults.hpp"
#include "machine.hpp"
#include "selftest.hpp"

namespace kernel {
namespace {

using namespace quire;

volatile uint32_t& word_at(KernelMemory& memory, VirtualAddress address) {
    return *memory.layout().view.pointer<volatile uint32_t>(address);
}

bool can(VirtualAddress address, Probe wanted) {
    const Probe found = probe(address.value());
    return found.loads == wanted.loads && found.stores == wanted.stores;
}
constexpr Probe both = {true, true};
constexpr Probe loads_only = {true, false};
constexpr Probe neither = {false, false};

// Regions of a test, unmapped at its end.
class Pages {
  public:
    Pages(KernelMemory& memory, Result<PageRange> made) : memory_(memory), made_(move(made)) {}
    ~Pages() {
        if (made_.ok() && !memory_.space().unmap(*made_).ok()) panic("a test's pages are stuck");
    }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    bool ok() const { return made_.ok(); }
    VirtualAddress address(uintptr_t page = 0) const {
        return address_of(made_->first() + PageCount(page));
    }
    PageRange range() const { return *made_; }

  private:
    KernelMemory& memory_;
    Result<PageRange> made_;
};

bool two_views_of_one_frame(KernelMemory& memory) {
    const auto frame = memory.frames().allocate();
    if (!frame.ok()) return false;
    const FrameRange frames(*frame, FrameCount(1));
    bool same = false;
    {
        const Pages one(memory, memory.space().map(frames));
        const Pages two(memory, memory.space().map(frames));
        if (one.ok() && two.ok()) {
            word_at(memory, one.address()) = 0x12345678;
            same = word_at(memory, two.address()) == 0x12345678;
        }
    }
    return memory.frames().free(*frame).ok() && same;
}

bool unmapped_pages_fault(KernelMemory& memory) {
    VirtualAddress address;
    {
        const Pages pages(memory, memory.space().allocate(PageCount(1)));
        if (!pages.ok()) return false;
        address = pages.address();
        word_at(memory, address) = 1;  // so that the TLB knows it
        if (!can(address, both)) return false;
    }
    return can(address, neither);
}

bool protection_is_obeyed(KernelMemory& memory) {
    const Pages pages(memory, memory.space().allocate(PageCount(3)));
    if (!pages.ok()) return false;
    for (uintptr_t i = 0; i < 3; ++i) {
        word_at(memory, pages.address(i)) = 1;
    }
    const PageRange middle(page_of(pages.address(1)), PageCount(1));
    if (!memory.space().protect(middle, read_only).ok()) return false;
    const bool closed = can(pages.address(0), both) && can(pages.address(1), loads_only) &&
                        can(pages.address(2), both);
    if (!memory.space().protect(middle, read_write).ok()) return false;
    return closed && can(pages.address(1), both);
}

bool remapping_shows_the_new_frame(KernelMemory& memory) {
    const auto frames = memory.frames().allocate_run(FrameCount(2));
    if (!frames.ok()) return false;
    bool right = false;
    const Pages two(memory, memory.space().map(*frames));
    if (two.ok()) {
        word_at(memory, two.address(0)) = 1111;
        word_at(memory, two.address(1)) = 2222;
        MapOptions options;
        options.name = "test: remapped";
        VirtualAddress address;
        {
            const Pages first(memory, memory.space().map(frames->prefix(FrameCount(1)), options));
            if (!first.ok() || word_at(memory, first.address()) != 1111) return false;
            address = first.address();
        }
        options.placement.fixed = true;
        options.placement.at = page_of(address);
        const Pages second(memory,
                           memory.space().map(frames->without_prefix(FrameCount(1)), options));
        right = second.ok() && word_at(memory, address) == 2222;
    }
    return memory.frames().free(*frames).ok() && right;
}

bool large_pages_split(KernelMemory& memory) {
    const FrameCount count(machine::pages_per_table());
    FrameConstraints constraints;
    constraints.alignment = count;
    const auto frames = memory.frames().allocate_run(count, constraints);
    // A small or crowded machine has no such run; then single pages are all that is tested.
    const FrameCount taken = frames.ok() ? count : FrameCount(8);
    const auto run = frames.ok() ? frames : memory.frames().allocate_run(taken);
    if (!run.ok()) return false;
    bool right = false;
    {
        MapOptions options;
        options.placement.alignment = PageCount(machine::pages_per_table());
        const Pages pages(memory, memory.space().map(*run, options));
        if (pages.ok()) {
            const auto before = memory.table().query(pages.address());
            const bool is_large = before.ok() && before->pages.count() > PageCount(1);
            // Once spaces share the kernel's half, the root's entries lead to tables for ever: then
            // no page of x86-32 is large.
            const bool expected = !frames.ok() || !machine::has_large_pages() || is_large ||
                                  memory.kernel_is_shared();
            word_at(memory, pages.address(4)) = 4444;
            word_at(memory, pages.address(5)) = 5555;
            const PageRange one(page_of(pages.address(5)), PageCount(1));
            const bool changed = memory.space().protect(one, read_only).ok();
            right = expected && changed && can(pages.address(4), both) &&
                    can(pages.address(5), loads_only) && can(pages.address(6), both) &&
                    word_at(memory, pages.address(4)) == 4444 &&
                    word_at(memory, pages.address(5)) == 5555;
        }
    }
    return memory.frames().free(*run).ok() && right;
}

bool demand_pages_come_zeroed(KernelMemory& memory) {
    AllocateOptions options;
    options.populate = Populate::on_demand;
    const Pages pages(memory, memory.space().allocate(PageCount(3), options));
    if (!pages.ok()) return false;
    const bool absent = can(pages.address(1), neither);
    const bool zero = word_at(memory, pages.address(1)) == 0;
    word_at(memory, pages.address(1)) = 7;
    return absent && zero && word_at(memory, pages.address(1)) == 7 &&
           can(pages.address(0), neither) && can(pages.address(1), both) &&
           can(pages.address(2), neither);
}

bool guards_are_hit(KernelMemory& memory) {
    AllocateOptions options;
    options.placement.guard_before = PageCount(1);
    options.placement.guard_after = PageCount(1);
    const Pages pages(memory, memory.space().allocate(PageCount(2), options));
    if (!pages.ok()) return false;
    const TouchOutcome below = touch((pages.address(0) - Bytes(1)).value(), Touch::load);
    const TouchOutcome above = touch((pages.address(1) + Bytes(page_size)).value(), Touch::store);
    return !below.done && below.report.error == Error::guard_hit && !above.done &&
           above.report.error == Error::guard_hit && above.report.has_region;
}

bool reports_name_the_cause(KernelMemory& memory) {
    const Pages pages(memory, memory.space().allocate(PageCount(1)));
    if (!pages.ok() || !memory.space().protect(pages.range(), read_only).ok()) return false;
    const TouchOutcome denied = touch(pages.address().value(), Touch::store);
    const TouchOutcome null = touch(0, Touch::load);
    return !denied.done && denied.report.error == Error::access_denied &&
           denied.report.has_region && !null.done && null.report.error == Error::no_region;
}

bool wrong_requests_change_nothing(KernelMemory& memory) {
    AddressSpace& space = memory.space();
    const Pages pages(memory, space.allocate(PageCount(2)));
    if (!pages.ok()) return false;
    const FrameCount before = memory.frames().counters().free;
    const size_t regions = space.regions();
    AllocateOptions options;
    options.placement.fixed = true;
    options.placement.at = pages.range().last();
    const auto over = space.allocate(PageCount(2), options);
    const auto nothing = space.allocate(PageCount(0));
    const auto everything = space.allocate(PageCount(UINTPTR_MAX >> page_shift));
    const Status outside = space.unmap(PageRange(Page(0), PageCount(1)));
    return !over.ok() && over.error() == Error::already_mapped && !nothing.ok() &&
           nothing.error() == Error::zero_size && !everything.ok() && !outside.ok() &&
           memory.frames().counters().free == before && space.regions() == regions &&
           can(pages.address(), both);
}

bool image_is_protected(KernelMemory&) {
    const machine::Image image = machine::image();
    for (const machine::ImageSection& section : image.sections) {
        const Probe wanted = section.writable ? both : loads_only;
        if (!can(VirtualAddress(section.begin), wanted)) return false;
        if (!can(VirtualAddress(section.end - 1), wanted)) return false;
    }
    return can(VirtualAddress(image.stack_guard), neither) &&
           can(VirtualAddress(image.stack_begin), both);
}

bool boot_mapping_is_gone(KernelMemory&) {
    const machine::Image image = machine::image();
    return can(VirtualAddress(0), neither) && can(VirtualAddress(image.physical_begin), neither) &&
           can(VirtualAddress(image.physical_begin + image.virtual_offset), neither);
}

// Every mapping that the walk names behaves as it says, and its end is an end.
bool walk_agrees_with_the_cpu(KernelMemory& memory) {
    bool agrees = true;
    VirtualAddress expected_end;
    bool has_end = false;
    const auto check = [&](const Translation& entry) {
        if (entry.state != EntryState::present) return true;
        const VirtualAddress first = address_of(entry.pages.first());
        const VirtualAddress last = bytes_of(entry.pages).last();
        // Between two mappings there is nothing.
        if (has_end && expected_end < first) agrees = can(expected_end, neither) && agrees;
        const Probe wanted = {true, has(entry.attributes.protection, Protection::write)};
        // Loads only at the end: a store in each half of a large page would make the emulator's
        // host find memory for all of them.
        // The registers of a device are not asked.
        const bool right = entry.attributes.type == MemoryType::device ||
                           (can(first, wanted) && probe_load(last.value()));
        if (!right)
            print("# the CPU disagrees at 0x%lx\n", static_cast<unsigned long>(first.value()));
        agrees = agrees && right;
        const auto end = last.checked_add(Bytes(1));
        has_end = end.ok();
        if (end.ok()) expected_end = *end;
        return true;
    };
    return memory.table().walk(memory.table().reach(), check).ok() && agrees;
}

// RAM is a device nowhere while the direct map shows it, nor anything else while it is a device.
bool memory_types_agree(KernelMemory& memory) {
    const auto frame = memory.frames().allocate();
    if (!frame.ok()) return false;
    const FrameRange frames(*frame, FrameCount(1));
    MapOptions device;
    device.attributes = {read_write, MemoryType::device};
    bool agree = false;
    {
        const Pages one(memory, memory.space().map(frames, device));
        const Pages two(memory, memory.space().map(frames));
        const bool shown = memory.direct_map().frames.contains(*frame);
        agree = one.ok() != shown && two.ok() == shown;
        if (one.ok()) word_at(memory, one.address()) = 0x12345678;
    }
    return memory.frames().free(*frame).ok() && agree;
}

constexpr SelfTest tests[] = {
    {"one frame mapped twice shows the same bytes", two_views_of_one_frame},
    {"an unmapped page faults", unmapped_pages_fault},
    {"a store to a read-only page faults, its neighbours do not", protection_is_obeyed},
    {"a page mapped anew shows the new frame", remapping_shows_the_new_frame},
    {"RAM that the direct map shows is no device elsewhere", memory_types_agree},
    {"a large page splits when part of it changes", large_pages_split},
    {"a page on demand comes with the first access, zeroed", demand_pages_come_zeroed},
    {"guard pages are hit on both sides", guards_are_hit},
    {"fault reports name region and cause", reports_name_the_cause},
    {"wrong requests change nothing", wrong_requests_change_nothing},
    {"text and rodata cannot be written, the stack has a guard", image_is_protected},
    {"nothing of the boot mapping is left", boot_mapping_is_gone},
    {"the CPU obeys every entry that the walk shows", walk_agrees_with_the_cpu},
};

}  // namespace

Span<const SelfTest> mapping_tests() {
    return tests;
}

}  // namespace kernel
