// SPDX-License-Identifier: MIT
// Question 1: pages by address alone.
#include <stdint.h>

#include "faults.hpp"
#include "show.hpp"
#include "tour.hpp"

namespace kernel {
namespace {

using namespace quire;

constexpr uint32_t pattern = 0x51517265;

volatile uint32_t& word_of(quire::KernelMemory& memory, Page page) {
    return *memory.layout().view.pointer<volatile uint32_t>(address_of(page));
}

unsigned long shown(Page page) {
    return static_cast<unsigned long>(address_of(page).value());
}

// Leaves frames behind that are not zero, as a kernel has them after its first minutes.
bool leave_traces(quire::KernelMemory& memory) {
    const auto pages = memory.space().allocate(PageCount(3));
    if (!pages.ok()) return false;
    for (const Page page : *pages) {
        word_of(memory, page) = ~pattern;
    }
    return memory.space().unmap(*pages).ok();
}

}  // namespace

bool tour_addresses(quire::KernelMemory& memory) {
    if (!leave_traces(memory)) return tour_check(false, "pages to leave traces in");
    AllocateOptions options;
    options.name = "tour";
    tour_call("space.allocate(3 pages)");
    const auto allocated = memory.space().allocate(PageCount(3), options);
    if (!allocated.ok()) {
        show_failure("allocate", allocated.failure());
        return false;
    }
    const PageRange pages = *allocated;
    for (const Page page : pages) {
        const auto found = memory.space().query(address_of(page));
        if (!found.ok()) return tour_check(false, "query");
        tour_show(found->translation, address_of(page));
    }
    bool well = true;
    bool zero = true;
    bool kept = true;
    for (const Page page : pages) {
        zero = zero && word_of(memory, page) == 0;
        word_of(memory, page) = pattern + static_cast<uint32_t>(page.value());
    }
    for (const Page page : pages) {
        kept = kept && word_of(memory, page) == pattern + static_cast<uint32_t>(page.value());
    }
    well = tour_check(zero, "they come zeroed") && well;
    well = tour_check(kept, "they keep what is written to them") && well;

    const Page middle = pages.first() + PageCount(1);
    tour_call("space.protect(the middle page, read only)");
    const Status changed =
        memory.space().protect(PageRange(middle, PageCount(1)), read_only | Protection::global);
    if (!changed.ok()) {
        show_failure("protect", changed.failure());
        return false;
    }
    const Probe read_only_page = probe(address_of(middle).value());
    const Probe page_before = probe(address_of(pages.first()).value());
    well = tour_check(read_only_page.loads && !read_only_page.stores,
                      "the CPU loads from 0x%08lx and faults on a store", shown(middle)) &&
           well;
    well = tour_check(page_before.loads && page_before.stores, "and does both at 0x%08lx",
                      shown(pages.first())) &&
           well;

    tour_call("space.unmap(the three pages)");
    const Status unmapped = memory.space().unmap(pages);
    if (!unmapped.ok()) {
        show_failure("unmap", unmapped.failure());
        return false;
    }
    const TouchOutcome outcome = touch(address_of(middle).value(), Touch::load);
    well = tour_check(!outcome.done, "touching them faults, and the report says why:") && well;
    if (!outcome.done) show_fault(outcome.report);
    return well;
}

}  // namespace kernel
