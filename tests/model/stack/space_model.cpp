// SPDX-License-Identifier: MIT
#include "space_model.hpp"

#include <algorithm>
#include <cstdio>

namespace quire::model {

namespace {

constexpr uintptr_t most_regions = 400;

std::string hex(uintptr_t page) {
    char text[32];
    std::snprintf(text, sizeof(text), "0x%llx",
                  static_cast<unsigned long long>(page) << page_shift);
    return text;
}

std::string text(uintptr_t first, uintptr_t end) {
    return hex(first) + "+" + std::to_string(end - first);
}

PageRange range(uintptr_t first, uintptr_t end) {
    return PageRange(Page(first), PageCount(end - first));
}

// What the format grants when it is asked for `protection`.
Protection granted(Protection protection) {
    return protection | Protection::execute;
}

// Where in a page its tag lies: not always the same place.
uint64_t tag_offset(uintptr_t page) {
    return (page * 52) & 0xffc;
}

}  // namespace

AddressSpace& SpaceModel::space() {
    return machine_.memory().space();
}
uint64_t SpaceModel::free_frames() {
    return machine_.memory().frames().counters().free.value();
}
void SpaceModel::fail(const std::string& what) const {
    throw Mismatch{"space: " + what};
}

void SpaceModel::allow_refusal(Error error, uint64_t wanted, const std::string& told) {
    // Records of regions need frames too, so that their want is one of frames.
    const bool scarce = error == Error::out_of_frames || error == Error::out_of_nodes;
    if (!scarce) fail("refused: " + told + ": " + to_string(error));
    // Tables, the region's node page and its table, one of each kind at most.
    if (free_frames() >= wanted + wanted / 1024 + 8) fail("refused while frames are free: " + told);
}

StepOutcome SpaceModel::step(Random& random, std::string& told) {
    const unsigned kind = random.below(100);
    const unsigned making = random.growing() ? 26 : 14;
    if (kind < making) {
        if (naive_.regions().size() >= most_regions) return unmap(random, told);
        return random.chance(75) ? allocate(random, told) : map_frames(random, told);
    }
    if (kind < making + 5) return commit(random, told);
    if (kind < making + 8) return decommit(random, told);
    if (kind < 45) return unmap(random, told);
    if (kind < 55) return protect(random, told);
    if (kind < 90) return touch(random, told);
    if (kind < 95) return touch_elsewhere(random, told);
    return misuse(random, told);
}

NaiveRegion* SpaceModel::pick_region(Random& random) {
    if (naive_.regions().empty()) return nullptr;
    auto chosen = naive_.regions().begin();
    std::advance(chosen, random.below64(naive_.regions().size()));
    return &chosen->second;
}

Placement SpaceModel::pick_placement(Random& random) {
    Placement placement;
    if (random.chance(40)) placement.guard_before = PageCount(random.below(3));
    if (random.chance(40)) placement.guard_after = PageCount(random.below(3));
    if (random.chance(20)) placement.alignment = PageCount(uintptr_t{1} << random.below(11));
    if (random.chance(15)) {
        // Anywhere in the part of the kernel's half where nothing else is by design.
        placement.fixed = true;
        const uintptr_t at = 0xD0000 + random.below64(0x20000);
        placement.at = Page(at & ~(placement.alignment.value() - 1));
    }
    return placement;
}

// The new region must lie where the model knows of nothing.
StepOutcome SpaceModel::insert(const Result<PageRange>& pages, NaiveRegion region,
                               const Placement& placement) {
    region.first = pages->first().value();
    region.guard_before = placement.guard_before.value();
    region.guard_after = placement.guard_after.value();
    if (pages->count().value() != region.pages.size()) fail("another size than asked for");
    if (region.first % placement.alignment.value() != 0) fail("the alignment is not kept");
    if (placement.fixed && pages->first() != placement.at) fail("not at the fixed place");
    if (naive_.overlaps(region.outer_first(), region.outer_end())) {
        fail("two regions overlap at " + text(region.first, region.end()));
    }
    naive_.insert(std::move(region));
    return StepOutcome::done;
}

StepOutcome SpaceModel::allocate(Random& random, std::string& told) {
    const uintptr_t count = random.skewed(random.chance(5) ? 1500 : 60);
    const unsigned form = random.below(3);
    AllocateOptions options;
    options.name = "model";
    options.placement = pick_placement(random);
    options.protection = random.chance(85) ? read_write : read_only;
    if (random.chance(30)) options.protection = options.protection | Protection::global;
    options.populate = form == 1 ? Populate::on_demand : Populate::at_once;
    told = "space: allocate " + std::to_string(count) + " (form " + std::to_string(form) + ")";
    const Result<PageRange> got = form == 2 ? space().reserve(PageCount(count), options)
                                            : space().allocate(PageCount(count), options);
    if (!got.ok()) {
        told += std::string(" -> ") + to_string(got.error());
        if (options.placement.fixed && got.error() == Error::already_mapped) {
            return StepOutcome::refused;
        }
        allow_refusal(got.error(), form == 0 ? count : 0, told);
        return StepOutcome::refused;
    }
    told += " -> " + hex(got->first().value());
    NaiveRegion region;
    region.backing = form == 0   ? Backing::anonymous
                     : form == 1 ? Backing::on_demand
                                 : Backing::reserved;
    region.attributes = {options.protection, MemoryType::write_back};
    region.pages.resize(count);
    for (NaivePage& page : region.pages)
        page.present = form == 0;
    return insert(got, std::move(region), options.placement);
}

StepOutcome SpaceModel::map_frames(Random& random, std::string& told) {
    // The screen's memory, or frames that the model owns.
    const bool device = random.chance(30);
    const FrameRange frames =
        device ? FrameRange(Frame(0xA0 + random.below(16)), FrameCount(1 + random.below(16)))
               : frames_.hold(random, 64);
    if (frames.empty()) return StepOutcome::refused;
    MapOptions options;
    options.name = "model frames";
    options.placement = pick_placement(random);
    options.attributes.protection = random.chance(80) ? read_write : read_only;
    static constexpr MemoryType types[] = {MemoryType::write_through, MemoryType::write_combining,
                                           MemoryType::uncached, MemoryType::device};
    if (device) options.attributes.type = types[random.below(4)];
    told = "space: map " + std::to_string(frames.count().value()) + " frames from " +
           std::to_string(frames.first().value());
    const bool contradicted = naive_.shows_with_other_type(
        frames.first().value(), frames.count().value(), options.attributes.type);
    const Result<PageRange> got = space().map(frames, options);
    if (got.ok() && contradicted) fail("frames with two memory types: " + told);
    if (!got.ok()) {
        told += std::string(" -> ") + to_string(got.error());
        if (!device) frames_.let_go(frames);
        if (contradicted && got.error() == Error::in_use) return StepOutcome::refused;
        if (!(options.placement.fixed && got.error() == Error::already_mapped)) {
            allow_refusal(got.error(), 0, told);
        }
        return StepOutcome::refused;
    }
    NaiveRegion region;
    region.backing = Backing::frames;
    region.attributes = options.attributes;
    region.first_frame = frames.first().value();
    region.pages.resize(frames.count().value());
    for (NaivePage& page : region.pages)
        page.present = true;
    return insert(got, std::move(region), options.placement);
}

StepOutcome SpaceModel::commit(Random& random, std::string& told) {
    NaiveRegion* region = pick_region(random);
    if (region == nullptr) return StepOutcome::refused;
    const uintptr_t first = region->first + random.below64(region->pages.size());
    const uintptr_t end =
        first + 1 + random.below64(std::min<uintptr_t>(region->end() - first, 40));
    told = "space: commit " + text(first, end);
    bool any_present = false;
    for (uintptr_t page = first; page < end; ++page) {
        any_present = any_present || region->pages[page - region->first].present;
    }
    const Status done = space().commit(range(first, end));
    if (done.ok()) {
        if (region->backing != Backing::reserved || any_present) fail("accepted: " + told);
        for (uintptr_t page = first; page < end; ++page) {
            region->pages[page - region->first] = NaivePage{true, false, 0};
        }
        naive_.note_present(static_cast<int64_t>(end - first));
        return StepOutcome::done;
    }
    told += std::string(" -> ") + to_string(done.error());
    if (region->backing != Backing::reserved) {
        if (done.error() != Error::no_region) fail("another error: " + told);
    } else if (any_present) {
        if (done.error() != Error::already_mapped) fail("another error: " + told);
    } else {
        allow_refusal(done.error(), end - first, told);
    }
    return StepOutcome::refused;
}

StepOutcome SpaceModel::decommit(Random& random, std::string& told) {
    NaiveRegion* region = pick_region(random);
    if (region == nullptr) return StepOutcome::refused;
    const uintptr_t first = region->first + random.below64(region->pages.size());
    const uintptr_t end = first + 1 + random.below64(region->end() - first);
    told = "space: decommit " + text(first, end);
    const Status done = space().decommit(range(first, end));
    if (done.ok() != (region->backing == Backing::reserved)) fail("wrong answer: " + told);
    if (!done.ok()) return StepOutcome::refused;
    for (uintptr_t page = first; page < end; ++page) {
        NaivePage& naive = region->pages[page - region->first];
        if (naive.present) naive_.note_present(-1);
        naive = NaivePage{};
    }
    return StepOutcome::done;
}

// Frames held for a mapping are let go when its last page goes; a mapping that was split holds them
// once more for each further piece.
void SpaceModel::release_held(const NaiveRegion& before, uintptr_t first, uintptr_t end) {
    if (before.backing != Backing::frames || before.first_frame < 0x100) return;
    const FrameRange frames(Frame(before.first_frame), FrameCount(before.pages.size()));
    const bool left = first > before.first;
    const bool right = end < before.end();
    if (left && right) frames_.hold_again(frames);
    if (!left && !right) frames_.let_go(frames);
}

StepOutcome SpaceModel::unmap(Random& random, std::string& told) {
    NaiveRegion* region = pick_region(random);
    if (region == nullptr) return StepOutcome::refused;
    uintptr_t first = region->first;
    uintptr_t end = region->end();
    if (random.chance(35)) {
        first += random.below64(region->pages.size());
        end = first + 1 + random.below64(end - first);
    }
    told = "space: unmap " + text(first, end);
    const Status done = space().unmap(range(first, end));
    if (!done.ok()) {
        allow_refusal(done.error(), 0, told);
        return StepOutcome::refused;
    }
    release_held(*region, first, end);
    naive_.remove(first, end);
    return StepOutcome::done;
}

StepOutcome SpaceModel::protect(Random& random, std::string& told) {
    NaiveRegion* region = pick_region(random);
    if (region == nullptr) return StepOutcome::refused;
    const uintptr_t first = region->first + random.below64(region->pages.size());
    const uintptr_t end = first + 1 + random.below64(region->end() - first);
    Protection protection = random.chance(50) ? read_write : read_only;
    if (random.chance(20)) protection = Protection::write;
    if (random.chance(20)) protection = protection | Protection::global;
    told = "space: protect " + text(first, end) + " as " +
           std::to_string(static_cast<unsigned>(protection));
    const Status done = space().protect(range(first, end), protection);
    if (!has(protection, Protection::read)) {
        if (done.ok() || done.error() != Error::unsupported) fail("wrong answer: " + told);
        return StepOutcome::refused;
    }
    if (!done.ok()) {
        allow_refusal(done.error(), 0, told);
        return StepOutcome::refused;
    }
    if (region->backing == Backing::frames && region->first_frame >= 0x100) {
        const FrameRange frames(Frame(region->first_frame), FrameCount(region->pages.size()));
        if (first > region->first) frames_.hold_again(frames);
        if (end < region->end()) frames_.hold_again(frames);
    }
    naive_.protect(first, end, protection);
    return StepOutcome::done;
}

// A real load or store, anywhere in a region or its guards: what the CPU does is what the model
// says.
StepOutcome SpaceModel::touch(Random& random, std::string& told) {
    NaiveRegion* region = pick_region(random);
    if (region == nullptr) return StepOutcome::refused;
    const uintptr_t span = region->outer_end() - region->outer_first();
    const uintptr_t page = region->outer_first() + random.below64(span);
    const bool store = random.chance(50);
    const uint64_t address = (uint64_t{page} << page_shift) + tag_offset(page);
    const auto tag = static_cast<uint32_t>(random.next());
    told = std::string("space: ") + (store ? "store at " : "load at ") + hex(page);
    sim::MappedMachine& cpu = machine_.machine();
    const sim::Probe<uint32_t> probe =
        store ? cpu.probe_store<uint32_t>(address, tag) : cpu.probe_load<uint32_t>(address);

    const bool inside = page >= region->first && page < region->end();
    NaivePage* naive = inside ? &region->pages[page - region->first] : nullptr;
    const bool backed = inside && (naive->present || region->backing == Backing::on_demand);
    const bool allowed =
        backed && (!store || has(region->attributes.protection, Protection::write));
    if (!probe.ok()) {
        const Error error = machine_.last_fault().error;
        told += std::string(" -> ") + to_string(error);
        if (allowed) {
            if (naive->present) fail("an access faulted: " + told);
            allow_refusal(error, 1, told);
        } else if (!inside && error != Error::guard_hit) {
            fail("a guard was not called one: " + told);
        } else if (backed && error != Error::access_denied) {
            fail("another error: " + told);
        }
        return StepOutcome::refused;
    }
    if (!allowed) fail("an access was allowed: " + told);
    if (!naive->present) {
        naive->present = true;
        naive_.note_present(1);
    }
    if (region->backing == Backing::frames) return StepOutcome::done;  // others may write there
    if (!store && *probe.value != (naive->written ? naive->tag : 0)) fail("contents: " + told);
    if (store) {
        naive->written = true;
        naive->tag = tag;
    }
    return StepOutcome::done;
}

// Where no region is, nothing may be mapped.
StepOutcome SpaceModel::touch_elsewhere(Random& random, std::string& told) {
    const uintptr_t page =
        random.chance(50) ? 0xC8000 + random.below64(0x30000) : random.below64(0xC0000);
    told = "space: load at " + hex(page);
    NaiveRegion* region = naive_.find(page);
    const auto found = space().query(address_of(Page(page)));
    if (region != nullptr) {
        if (!found.ok()) fail("query knows no region: " + told);
        check_page(*region, page);
        return StepOutcome::done;
    }
    if (found.ok()) return StepOutcome::refused;  // the library's own
    const sim::Probe<uint32_t> probe =
        machine_.machine().probe_load<uint32_t>(uint64_t{page} << page_shift);
    if (probe.ok()) fail("something is mapped where no region is: " + told);
    return StepOutcome::done;
}

StepOutcome SpaceModel::misuse(Random& random, std::string& told) {
    NaiveRegion* region = pick_region(random);
    Status done;
    Error expected = Error::zero_size;
    switch (random.below(5)) {
        case 0:
            told = "space: unmap nothing";
            done = space().unmap(range(0xD0000, 0xD0000));
            break;
        case 1:
            told = "space: unmap below the kernel";
            done = space().unmap(range(0x1000, 0x1004));
            expected = Error::out_of_range;
            break;
        case 2: {
            told = "space: allocate half of everything";
            const Result<PageRange> got = space().allocate(PageCount(uintptr_t{1} << 19));
            done = got.ok() ? Status() : Status(got.failure());
            expected = Error::out_of_address_space;
            break;
        }
        case 3: {
            if (region == nullptr) return StepOutcome::refused;
            told = "space: map over " + hex(region->first);
            AllocateOptions options;
            options.placement.fixed = true;
            options.placement.at = Page(region->first);
            const Result<PageRange> got = space().allocate(PageCount(1), options);
            done = got.ok() ? Status() : Status(got.failure());
            expected = Error::already_mapped;
            break;
        }
        default: {
            told = "space: align to three pages";
            AllocateOptions options;
            options.placement.alignment = PageCount(3);
            const Result<PageRange> got = space().allocate(PageCount(1), options);
            done = got.ok() ? Status() : Status(got.failure());
            expected = Error::misaligned;
            break;
        }
    }
    if (done.ok()) fail("accepted: " + told);
    if (done.error() != expected) fail("another error: " + told + ": " + to_string(done.error()));
    return StepOutcome::refused;
}

// What query says about a page of a region.
void SpaceModel::check_page(const NaiveRegion& region, uintptr_t page) {
    const auto found = space().query(address_of(Page(page)));
    if (!found.ok()) fail("query knows no region at " + hex(page));
    const bool inside = page >= region.first && page < region.end();
    const bool present = inside && region.pages[page - region.first].present;
    if (found->region.backing != region.backing) fail("another backing at " + hex(page));
    if (found->region.attributes != region.attributes) fail("other attributes at " + hex(page));
    const Translation& translation = found->translation;
    if ((translation.state == EntryState::present) != present) {
        fail(std::string(present ? "nothing" : "something") + " is mapped at " + hex(page));
    }
    if (!present) return;
    if (translation.attributes.protection != granted(region.attributes.protection) ||
        translation.attributes.type != region.attributes.type) {
        fail("the table grants something else at " + hex(page));
    }
    const uint64_t frame = translation.physical(address_of(Page(page))).value() >> page_shift;
    if (region.backing == Backing::frames) {
        if (frame != region.first_frame + (page - region.first))
            fail("another frame at " + hex(page));
    } else if (machine_.memory().frames().is_free(Frame(frame))) {
        fail("a free frame is mapped at " + hex(page));
    }
}

void SpaceModel::validate() {
    std::vector<bool> seen(static_cast<size_t>(machine_.ram().end() >> page_shift));
    for (const auto& [first, region] : naive_.regions()) {
        for (uintptr_t page = region.outer_first(); page < region.outer_end(); ++page) {
            check_page(region, page);
        }
        if (region.backing == Backing::frames) continue;
        for (uintptr_t page = region.first; page < region.end(); ++page) {
            const NaivePage& naive = region.pages[page - region.first];
            if (!naive.present) continue;
            const auto translation = space().query(address_of(Page(page)))->translation;
            const uint64_t physical = translation.physical(address_of(Page(page))).value();
            if (seen[physical >> page_shift]) fail("one frame behind two pages");
            seen[physical >> page_shift] = true;
            const auto tag = machine_.ram().load<uint32_t>(physical + tag_offset(page));
            if (tag != (naive.written ? naive.tag : 0)) fail("contents at " + hex(page));
        }
    }
}

}  // namespace quire::model
