// SPDX-License-Identifier: MIT
#include "show.hpp"

#include "console.hpp"

namespace kernel {
namespace {

using namespace quire;

unsigned long long number(Bytes bytes) {
    return bytes.value();
}
unsigned long long number(FrameCount frames) {
    return frames.value();
}

const char* color_of(MemoryKind kind) {
    const Palette& colors = console().palette();
    if (kind == MemoryKind::usable) return colors.good;
    return kind < MemoryKind::beyond_reach ? colors.dim : colors.warning;
}

// "0xc0000000-0xc0000fff" in columns of equal width; what needs more than 32 bits is
// "0xffff820000000000-ffff820000000fff", so that a line has room for the rest.
void show_addresses(uint64_t first, uint64_t last) {
    print(first > UINT32_MAX ? "0x%016llx-%016llx" : "0x%08llx-0x%08llx",
          static_cast<unsigned long long>(first), static_cast<unsigned long long>(last));
}

// What stands between two columns: less where addresses are wide.
const char* gap_after(uint64_t address) {
    return address > UINT32_MAX ? " " : "  ";
}

// A memory type by name, or where addresses are wide as the manual abbreviates it (SDM 3A, 12.3).
const char* type_text(MemoryType type, uint64_t address) {
    if (address <= UINT32_MAX) return to_string(type);
    switch (type) {
        case MemoryType::write_back:
            return "WB";
        case MemoryType::write_through:
            return "WT";
        case MemoryType::write_combining:
            return "WC";
        case MemoryType::uncached:
            return "UC-";
        case MemoryType::device:
            return "UC";
    }
    return "?";
}

// Mappings that follow one another with the same attributes and page size.
class MappingRun {
  public:
    explicit MappingRun(Detail detail) : detail_(detail) {}

    // Adds the entry, or shows the run and starts another with it.
    void take(const Translation& entry) {
        if (pages_ != 0 && continues_with(entry)) {
            scattered_ = scattered_ || !is_next_frame(entry);
            ++pages_;
            return;
        }
        show();
        first_ = entry;
        pages_ = 1;
        scattered_ = false;
    }

    void show() const {
        if (pages_ == 0) return;
        const uint64_t page_bytes = bytes_of(first_.pages.count()).value();
        const uint64_t first = address_of(first_.pages.first()).value();
        const char* const gap = gap_after(first);
        print("  ");
        show_addresses(first, first + pages_ * page_bytes - 1);
        print(" -> ");
        if (scattered_) {
            print("%-10s", "scattered");
        } else {
            print("0x%08llx",
                  static_cast<unsigned long long>(address_of(first_.frames.first()).value()));
        }
        print(first > UINT32_MAX ? "%s%s%s%-3s %5llu x %s\n" : "%s%s%s%-15s %6llu x %s\n", gap,
              protection_text(first_.attributes.protection).text, gap,
              type_text(first_.attributes.type, first), static_cast<unsigned long long>(pages_),
              size_text(page_bytes).text);
    }

  private:
    bool continues_with(const Translation& next) const {
        const uint64_t stride = first_.pages.count().value();
        return next.pages.first().value() == first_.pages.first().value() + pages_ * stride &&
               next.attributes == first_.attributes && next.pages.count() == first_.pages.count() &&
               (detail_ == Detail::brief || is_next_frame(next));
    }
    bool is_next_frame(const Translation& next) const {
        const uint64_t stride = first_.frames.count().value();
        return next.frames.first().value() == first_.frames.first().value() + pages_ * stride;
    }

    Detail detail_;
    Translation first_;
    uint64_t pages_ = 0;
    bool scattered_ = false;
};

}  // namespace

void show_heading(const char* text) {
    print("\n%s%s%s\n", console().palette().heading, text, console().palette().plain);
}

void show_range(uint64_t first, uint64_t last, uint64_t bytes, const Attributes& attributes) {
    const char* const gap = gap_after(first);
    print("  ");
    show_addresses(first, last);
    print("%s%9s%s%s%s", gap, size_text(bytes).text, gap,
          protection_text(attributes.protection).text, gap);
    print(first > UINT32_MAX ? "%-3s" : "%-15s", type_text(attributes.type, first));
}

void show_failure(const char* what, Failure failure) {
    const Palette& colors = console().palette();
    print("%s%s: %s%s (0x%llx)\n", colors.bad, what, to_string(failure.error), colors.plain,
          static_cast<unsigned long long>(failure.where));
}

ProtectionText protection_text(Protection protection) {
    return {{has(protection, Protection::read) ? 'r' : '-',
             has(protection, Protection::write) ? 'w' : '-',
             has(protection, Protection::execute) ? 'x' : '-',
             has(protection, Protection::user) ? 'u' : '-',
             has(protection, Protection::global) ? 'g' : '-', '\0'}};
}

void show_firmware_entry(uint64_t base, uint64_t bytes, const char* kind) {
    print("  0x%012llx-0x%012llx  %9s  %s\n", static_cast<unsigned long long>(base),
          static_cast<unsigned long long>(base + bytes - 1), size_text(bytes).text, kind);
}

void show_map(const MemoryMap& map) {
    for (const MemoryEntry& entry : map.entries()) {
        print("  0x%012llx-0x%012llx  %9s  %s%s%s\n",
              static_cast<unsigned long long>(entry.range.first().value()),
              static_cast<unsigned long long>(entry.range.last().value()),
              size_text(entry.range.count().value()).text, color_of(entry.kind),
              to_string(entry.kind), console().palette().plain);
    }
}

void show_repairs(const MemoryMap& map) {
    if (map.repair_count() == 0) {
        print("  nothing to repair\n");
        return;
    }
    for (const Repair& repair : map.repairs()) {
        print("  %s%s at 0x%llx%s\n      %s\n", console().palette().warning,
              size_text(repair.bytes).text, static_cast<unsigned long long>(repair.first),
              console().palette().plain, to_string(repair.kind));
    }
    if (map.repair_count() > map.repairs().size()) {
        print("  and %zu more\n", map.repair_count() - map.repairs().size());
    }
}

bool show_reservations(const MemoryMap& map, const FrameAllocator& frames) {
    Bytes rest = map.firmware_usable_raw();
    print("  %-27s %11llu bytes\n", "usable by the firmware's map", number(rest));
    print("  less %-22s %11llu\n", "partial frames", number(map.partial_frames()));
    rest -= map.partial_frames();
    for (size_t i = 0; i < memory_kinds; ++i) {
        const auto kind = static_cast<MemoryKind>(i);
        const Bytes taken = map.taken_from_usable(kind);
        if (kind == MemoryKind::usable || taken == Bytes(0)) continue;
        print("  less %-22s %11llu\n", to_string(kind), number(taken));
        rest -= taken;
    }
    const FrameCount owned = frames.counters().total;
    const bool equal = bytes_of(owned) == rest;
    const Palette& colors = console().palette();
    print("  %-27s %11llu = %llu frames\n", "is left", number(rest), number(frames_for(rest)));
    print("  %-27s %11llu = %llu frames  %s%s%s\n", "owned by the allocator",
          number(bytes_of(owned)), number(owned), equal ? colors.good : colors.bad,
          equal ? "equal, to the frame" : "NOT EQUAL", colors.plain);
    return equal;
}

void show_frames(const FrameAllocator& frames) {
    const FrameCounters counters = frames.counters();
    print("  zone        frames        free\n");
    for (size_t i = 0; i < zones; ++i) {
        print("  %-8s %9llu   %9llu  %9s\n", to_string(static_cast<Zone>(i)),
              number(counters.zone[i].total), number(counters.zone[i].free),
              size_text(bytes_of(counters.zone[i].free).value()).text);
    }
    print("  %-8s %9llu   %9llu  %9s\n", "all", number(counters.total), number(counters.free),
          size_text(bytes_of(counters.free).value()).text);
    print("  longest free run: %llu frames\n", number(frames.largest_free_run()));
}

void show_regions(const AddressSpace& space) {
    space.for_each_region([](const RegionInfo& region) {
        const VirtualRange range = bytes_of(region.pages);
        const char* const gap = gap_after(range.first().value());
        print("  ");
        show_addresses(range.first().value(), range.last().value());
        print("%s%9s%s%s%s%-9s %s\n", gap, size_text(range.count().value()).text, gap,
              protection_text(region.attributes.protection).text, gap, to_string(region.backing),
              region.name);
        return true;
    });
}

void show_heap(const CpuHeap& heap) {
    const HeapCounters counters = heap.counters();
    print("  live blocks  %9zu   in %s asked for, %s given\n", counters.live_blocks,
          size_text(counters.live_bytes).text, size_text(counters.usable_bytes).text);
    print("  committed    %9s   at most so far %s\n", size_text(counters.committed_bytes).text,
          size_text(counters.peak_committed_bytes).text);
    print("  allocations  %9llu   frees %llu\n",
          static_cast<unsigned long long>(counters.allocations),
          static_cast<unsigned long long>(counters.frees));
}

void show_mappings(const PageTable& table, Detail detail) {
    MappingRun run(detail);
    const Status walked = table.walk(table.reach(), [&run](const Translation& entry) {
        if (entry.state == EntryState::present) run.take(entry);
        return true;
    });
    run.show();
    if (!walked.ok()) show_failure("walk", walked.failure());
}

void show_translation(const Translation& translation, VirtualAddress address) {
    const unsigned long shown = static_cast<unsigned long>(address.value());
    switch (translation.state) {
        case EntryState::empty:
            print("  0x%08lx: nothing is mapped\n", shown);
            break;
        case EntryState::absent:
            print("  0x%08lx: absent, with payload 0x%llx\n", shown,
                  static_cast<unsigned long long>(translation.payload));
            break;
        case EntryState::present:
            print("  0x%08lx -> 0x%08llx  %s  %s, %s page%s%s\n", shown,
                  static_cast<unsigned long long>(translation.physical(address).value()),
                  protection_text(translation.attributes.protection).text,
                  to_string(translation.attributes.type),
                  size_text(bytes_of(translation.pages.count()).value()).text,
                  translation.accessed ? ", accessed" : "", translation.dirty ? ", dirty" : "");
            break;
    }
}

}  // namespace kernel
