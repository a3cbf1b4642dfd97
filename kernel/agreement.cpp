// SPDX-License-Identifier: MIT
#include "agreement.hpp"

#include "console.hpp"
#include "faults.hpp"
#include "machine.hpp"
#include "random.hpp"

namespace kernel {
namespace {

using namespace quire;

// In every frame: return instructions, so that it can be executed anywhere, and here its number.
constexpr size_t number_at = 64;
constexpr unsigned other_pages = 4;
constexpr const char* name = "agreement";

constexpr Protection protections[] = {
    read_only,
    read_write,
    read_execute,
    read_write | Protection::execute,
    read_only | Protection::global,
    read_write | Protection::global | Protection::user,
    read_execute | Protection::user,
};

class Agreement {
  public:
    Agreement(KernelMemory& memory, uint32_t seed) : memory_(memory), random_(seed) {}

    // A stretch of addresses of two large pages and more, and frames to show there: a large page's
    // where the machine has such a run, else a few.
    bool prepare() {
        const FrameCount large(machine::pages_per_table());
        FrameConstraints constraints;
        constraints.alignment = large;
        auto frames = memory_.frames().allocate_run(large, constraints);
        if (!frames.ok()) frames = memory_.frames().allocate_run(FrameCount(8));
        if (!frames.ok()) return false;
        frames_ = *frames;
        if (!mark_frames()) return false;
        AllocateOptions options;
        options.placement.alignment = PageCount(machine::pages_per_table());
        const PageCount wanted(2 * machine::pages_per_table() + 16);
        const auto found = memory_.space().reserve(wanted, options);
        if (!found.ok() || !memory_.space().unmap(*found).ok()) return false;
        area_ = *found;
        return true;
    }

    bool step() {
        const PageRange pages = random_pages();
        switch (random_.below(4)) {
            case 0:
                if (has_regions(pages)) (void)memory_.space().unmap(pages);
                break;
            case 1:
                if (has_regions(pages)) {
                    (void)memory_.space().protect(pages, random_protection());
                    break;
                }
                [[fallthrough]];
            default:
                map(pages);
                break;
        }
        bool agree = check(pages.first()) && check(pages.last());
        if (pages.first() != area_.first()) agree = check(pages.first() - PageCount(1)) && agree;
        if (pages.last() != area_.last()) agree = check(pages.last() + PageCount(1)) && agree;
        for (unsigned i = 0; i < other_pages; ++i) {
            const auto count = static_cast<uint32_t>(area_.count().value());
            agree = check(area_.first() + PageCount(random_.below(count))) && agree;
        }
        return agree;
    }

    // False when something could not be given back.
    bool finish() {
        bool well = true;
        for (const Page page : area_) {
            // The space's own records may have come to lie here.
            const auto found = memory_.space().query(address_of(page));
            if (!found.ok() || found->region.name != name) continue;
            well = memory_.space().unmap(PageRange(page, PageCount(1))).ok() && well;
        }
        return (frames_.empty() || memory_.frames().free(frames_).ok()) && well;
    }

  private:
    Protection random_protection() {
        return protections[random_.below(sizeof(protections) / sizeof(protections[0]))];
    }

    // Mostly a few pages; now and then a whole large page where it can be one.
    PageRange random_pages() {
        const auto count = static_cast<uint32_t>(area_.count().value());
        const auto large = static_cast<uint32_t>(machine::pages_per_table());
        if (random_.below(8) == 0) {
            return PageRange(area_.first() + PageCount(random_.below(2) * large), PageCount(large));
        }
        const uint32_t length = 1 + random_.below(random_.below(4) == 0 ? 64 : 4);
        const uint32_t first = random_.below(count - length + 1);
        return PageRange(area_.first() + PageCount(first), PageCount(length));
    }

    // Whether the range lies in regions from its first page to its last.
    bool has_regions(const PageRange& pages) {
        PageRange rest = pages;
        while (!rest.empty()) {
            const auto found = memory_.space().query(address_of(rest.first()));
            if (!found.ok()) return false;
            const PageCount behind = found->region.pages.last() - rest.first() + PageCount(1);
            rest = rest.without_prefix(behind < rest.count() ? behind : rest.count());
        }
        return true;
    }

    void map(const PageRange& pages) {
        for (const Page page : pages) {
            const PageRange one(page, PageCount(1));
            if (has_regions(one)) (void)memory_.space().unmap(one);
        }
        const auto have = static_cast<uint32_t>(frames_.count().value());
        const auto wanted = static_cast<uint32_t>(pages.count().value());
        const uint32_t count = wanted < have ? wanted : have;
        MapOptions options;
        options.attributes.protection = random_protection();
        options.name = name;
        options.placement.fixed = true;
        options.placement.at = pages.first();
        const FrameCount from(random_.below(have - count + 1));
        (void)memory_.space().map(FrameRange(frames_.first() + from, FrameCount(count)), options);
    }

    bool mark_frames() {
        const auto shown = memory_.space().map(frames_);
        if (!shown.ok()) return false;
        auto* bytes = memory_.layout().view.pointer<unsigned char>(address_of(shown->first()));
        for (uint32_t i = 0; i < frames_.count().value(); ++i, bytes += page_size) {
            __builtin_memset(bytes, machine::return_instruction, page_size);
            __builtin_memcpy(bytes + number_at, &i, sizeof(i));
        }
        return memory_.space().unmap(*shown).ok();
    }

    uint32_t number_in(VirtualAddress address) const {
        uint32_t number = 0;
        __builtin_memcpy(&number, memory_.layout().view.pointer<unsigned char>(address) + number_at,
                         sizeof(number));
        return number;
    }

    bool check(Page page) {
        const VirtualAddress address = address_of(page);
        const auto found = memory_.table().query(address);
        if (!found.ok()) return false;
        const bool present = found->state == EntryState::present;
        const auto may = [&](Protection right) {
            return present && has(found->attributes.protection, right);
        };
        const Probe done = probe(address.value());
        const bool executes = probe_execute(address.value());
        bool agree = done.loads == present && done.stores == may(Protection::write) &&
                     executes == may(Protection::execute);
        // Frames of others may have come to lie here: the space's own records.
        if (agree && present && is_ours(found->physical(address))) {
            const uint64_t index = frame_of(found->physical(address)).value();
            agree = number_in(address) == index - frames_.first().value();
        }
        if (!agree) {
            print("# at 0x%lx the CPU loads %d, stores %d, executes %d; the library says %s\n",
                  static_cast<unsigned long>(address.value()), done.loads, done.stores, executes,
                  present ? "otherwise" : "nothing is mapped");
        }
        return agree;
    }

    bool is_ours(PhysicalAddress address) const { return frames_.contains(frame_of(address)); }

    KernelMemory& memory_;
    Random random_;
    FrameRange frames_;
    PageRange area_;
};

}  // namespace

bool library_and_cpu_agree(KernelMemory& memory, uint32_t layouts, uint32_t seed) {
    Agreement agreement(memory, seed);
    bool agree = agreement.prepare();
    for (uint32_t i = 0; agree && i < layouts; ++i) {
        agree = agreement.step();
        if (!agree) print("# in layout %u of seed %u\n", i, seed);
    }
    return agreement.finish() && agree;
}

}  // namespace kernel
