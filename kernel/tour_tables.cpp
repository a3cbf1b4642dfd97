// SPDX-License-Identifier: MIT
// Question 3: a page table whose frame no identity mapping shows, made and edited all the same.
#include <stdint.h>

#include "faults.hpp"
#include "machine.hpp"
#include "show.hpp"
#include "tour.hpp"

namespace kernel {
namespace {

using namespace quire;

// Passes requests on and remembers the last table frame that was given out.
class RecordingSource {
  public:
    explicit RecordingSource(FrameSource inner) : inner_(inner) {}

    Result<Frame> allocate_frame() {
        const auto frame = inner_.allocate_frame();
        if (frame.ok()) {
            last_ = *frame;
            has_last_ = true;
        }
        return frame;
    }
    Status free_frame(Frame frame) { return inner_.free_frame(frame); }

    bool has_last() const { return has_last_; }
    Frame last() const { return last_; }

  private:
    FrameSource inner_;
    Frame last_;
    bool has_last_ = false;
};

// True when using the physical address as a pointer would reach that memory: an identity mapping.
bool is_identity_mapped(const PageTable& table, PhysicalAddress address) {
    if (address.value() > UINTPTR_MAX) return false;
    const VirtualAddress same(static_cast<uintptr_t>(address.value()));
    const auto found = table.query(same);
    return found.ok() && found->state == EntryState::present && found->physical(same) == address;
}

// A page in a stretch of the address space that no page table covers yet, so that one must be made.
Result<PageRange> allocate_under_new_table(quire::KernelMemory& memory) {
    AllocateOptions options;
    options.name = "tour: under a table of its own";
    options.placement.alignment = PageCount(machine::pages_per_table());
    // Guards keep neighbours out of the stretch.
    options.placement.guard_after = PageCount(machine::pages_per_table() - 1);
    return memory.space().allocate(PageCount(1), options);
}

bool edit_under_new_table(quire::KernelMemory& memory, const RecordingSource& source) {
    PageTable& table = memory.table();
    const FrameCount tables_before = table.table_frames();
    tour_call("space.allocate(1 page, where there is no page table yet)");
    const auto pages = allocate_under_new_table(memory);
    if (!pages.ok()) {
        show_failure("allocate", pages.failure());
        return false;
    }
    const VirtualAddress address = address_of(pages->first());
    tour_show(*table.query(address), address);
    if (!source.has_last() && memory.kernel_is_shared()) {
        tour_note("a table was there: since spaces share this half, its tables stay for ever");
        return tour_check(memory.space().unmap(*pages).ok(), "the page is gone again");
    }
    if (!source.has_last()) return tour_check(false, "a table was made");
    const PhysicalAddress made = address_of(source.last());
    bool well = tour_check(table.table_frames() > tables_before,
                           "a page table was made, in the frame at 0x%08llx",
                           static_cast<unsigned long long>(made.value()));
    well = tour_check(!is_identity_mapped(table, made),
                      "no identity mapping shows it: as a pointer, that address is no use") &&
           well;
    auto* const word = memory.layout().view.pointer<volatile uint32_t>(address);
    *word = 0x7461626c;
    well = tour_check(*word == 0x7461626c, "the table, written through the %s, maps the page",
                      to_string(memory.reach())) &&
           well;

    tour_call("space.protect(that page, read only)");
    const Status changed = memory.space().protect(*pages, read_only | Protection::global);
    const Probe found = probe(address.value());
    well = tour_check(changed.ok() && found.loads && !found.stores && *word == 0x7461626c,
                      "the table is edited through the %s, and the CPU obeys",
                      to_string(memory.reach())) &&
           well;

    tour_call("space.unmap(that page)");
    const Status unmapped = memory.space().unmap(*pages);
    const Probe gone = probe(address.value());
    return tour_check(unmapped.ok() && !gone.loads && table.table_frames() == tables_before,
                      "the page is gone, and its empty table has been freed") &&
           well;
}

}  // namespace

bool tour_tables(quire::KernelMemory& memory) {
    PageTable& table = memory.table();
    const PhysicalAddress root = address_of(table.root());
    tour_note("the root of the table in use lies at 0x%08llx; access: %s",
              static_cast<unsigned long long>(root.value()), to_string(memory.reach()));
    bool well = tour_check(!is_identity_mapped(table, root), "no identity mapping shows it");
    RecordingSource source(memory.table_frames());
    table.set_frame_source(FrameSource(source));
    well = edit_under_new_table(memory, source) && well;
    table.set_frame_source(memory.table_frames());
    tour_note("the other ways: ./quire run --access direct, recursive, window");
    return well;
}

}  // namespace kernel
