// SPDX-License-Identifier: MIT
// From the boot loader's hands to the monitor.
#include <stdint.h>

#include "console.hpp"
#include "faults.hpp"
#include "heap.hpp"
#include "machine.hpp"
#include "monitor.hpp"
#include "options.hpp"
#include "platform.hpp"
#include "quire/boot/memory_map.hpp"
#include "quire/boot/multiboot.hpp"
#include "quire/boot/pvh.hpp"
#include "quire/kernel_memory.hpp"
#include "selftest.hpp"
#include "show.hpp"
#include "tour.hpp"

extern "C" [[noreturn]] void kernel_main(uint32_t magic, uintptr_t information);

namespace kernel {
namespace {

// Keeps the firmware's entries until colours are known: the command line comes with them.
class FirmwareEntries final : public quire::FirmwareListener {
  public:
    void entry(uint64_t base, uint64_t bytes, quire::MemoryKind kind) override {
        if (count_ < capacity) entries_[count_] = {base, bytes, kind};
        ++count_;
    }

    void show() const {
        const uint32_t kept = count_ < capacity ? count_ : capacity;
        for (uint32_t i = 0; i < kept; ++i) {
            show_firmware_entry(entries_[i].base, entries_[i].bytes, to_string(entries_[i].kind));
        }
        if (count_ > kept) print("  and %u more\n", count_ - kept);
    }

  private:
    static constexpr uint32_t capacity = 64;
    struct Entry {
        uint64_t base;
        uint64_t bytes;
        quire::MemoryKind kind;
    };
    Entry entries_[capacity] = {};
    uint32_t count_ = 0;
};

// The machine's own objects: several KiB, so not on the stack.
constinit FirmwareEntries firmware_entries;
constinit quire::MemoryMap memory_map;

[[noreturn]] void stop_for(const char* what, quire::Failure failure) {
    panic("%s: %s (0x%llx)", what, to_string(failure.error),
          static_cast<unsigned long long>(failure.where));
}

// Reads the boot information and the options in it, and makes the canonical map, with the kernel's
// image taken out.
Options read_boot_information(uint32_t magic, uintptr_t information, quire::BootInformation& found,
                              quire::Status& built) {
    using namespace quire;
    MemoryMapBuilder builder(memory_map, &firmware_entries);
    const auto read = [](PhysicalAddress address, size_t bytes) {
        return machine::read_physical(address, bytes);
    };
    const PhysicalAddress at(information);
    const Status parsed = magic == pvh_magic ? parse_pvh(at, read, builder, found)
                                             : parse_multiboot(magic, at, read, builder, found);
    if (!parsed.ok()) stop_for("the boot information cannot be used", parsed.failure());
    const machine::Image image = machine::image();
    const Status reserved =
        builder.reserve(PhysicalRange(PhysicalAddress(image.physical_begin),
                                      Bytes(image.physical_end - image.physical_begin)),
                        MemoryKind::kernel);
    if (!reserved.ok()) stop_for("the kernel's image cannot be reserved", reserved.failure());
    const Options options = parse_options(found.command_line);
    machine::choose_tables(options.wide, options.reach);
    built = builder.finish(PhysicalAddress(machine::highest_physical()));
    return options;
}

void show_beyond_reach() {
    using namespace quire;
    const Bytes beyond = memory_map.taken_from_usable(MemoryKind::beyond_reach);
    if (beyond == Bytes(0)) return;
    print("  %s%s of RAM lie beyond the reach of this page-table format%s\n",
          console().palette().warning, size_text(beyond.value()).text, console().palette().plain);
}

void greet(const quire::BootInformation& information, const Options& options) {
    console().set_color(options.color == Color::on);
    const Palette& colors = console().palette();
    print("\n%sQuire%s: the memory management of a kernel, on the bare machine\n", colors.heading,
          colors.plain);
    print("  booted by %s", information.protocol);
    if (information.loader_name != nullptr) print(" (%s)", information.loader_name);
    print("\n  CPU features: %s\n", machine::features_text());
    if (options.has_unknown_word) {
        print("  %sthe command line's word '%s' means nothing here%s\n", colors.warning,
              options.unknown_word, colors.plain);
    }
}

void show_start(quire::KernelMemory& memory) {
    show_heading("A page table of our own");
    print("  root at 0x%08llx, %llu tables and %llu frames of books made from boot frames\n",
          static_cast<unsigned long long>(address_of(memory.table().root()).value()),
          static_cast<unsigned long long>(memory.boot_table_frames().value()),
          static_cast<unsigned long long>(memory.metadata_frames().value()));
    print("  tables are reached through the %s\n", to_string(memory.reach()));
    show_mappings(memory.table(), Detail::brief);
    show_heading("The boot mapping is gone");
    const uintptr_t image = machine::image().physical_begin;
    print("  the CPU at 0x%08lx, where the kernel was loaded: %s\n",
          static_cast<unsigned long>(image), probe(image).loads ? "loads" : "faults");
    show_heading("Frames");
    show_frames(memory.frames());
    show_heading("Regions of the kernel's address space");
    show_regions(memory.space());
    show_heading("The kernel's heap");
    show_heap(heap());
}

// True when as many run as were asked for.
bool start_cpus(quire::KernelMemory& memory, unsigned wanted) {
    show_heading("CPUs");
    const quire::Status started = machine::start_cpus(memory, wanted);
    if (!started.ok()) show_failure("starting the others", started.failure());
    const unsigned count = machine::cpu_count();
    const Palette& colors = console().palette();
    const bool all = count >= wanted;
    print("  %s%u of %u run%s, all on this page table\n", all ? colors.good : colors.bad, count,
          wanted, colors.plain);
    return all;
}

}  // namespace
}  // namespace kernel

void kernel_main(uint32_t magic, uintptr_t information) {
    using namespace kernel;
    machine::initialize();
    console().attach(machine::serial_sink());
    if (machine::screen_sink() != nullptr) console().attach(*machine::screen_sink());

    quire::Status built;
    quire::BootInformation boot;
    const Options options = read_boot_information(magic, information, boot, built);
    greet(boot, options);
    show_heading("The firmware's memory map, as found");
    firmware_entries.show();
    show_heading("Repairs");
    show_repairs(memory_map);
    show_heading("The canonical map");
    show_map(memory_map);
    show_beyond_reach();
    if (!built.ok()) stop_for("there is no memory to work with", built.failure());

    const auto started = machine::start_memory(memory_map, options.reach, platform());
    if (!started.ok()) stop_for("the memory managers cannot start", started.failure());
    quire::KernelMemory& memory = **started;
    start_heap(memory);
    handle_faults_with(memory.space());
    show_start(memory);
    bool well = start_cpus(memory, options.cpus);
    show_heading("Where the firmware's usable memory went");
    well = show_reservations(memory_map, memory.frames()) && well;

    well = tour(memory) && well;
    show_heading("Self-tests on the machine");
    well = run_selftests(memory) && well;
    if (options.after_tour == AfterTour::monitor) run_monitor(memory);
    print("\n%s\n", well ? "All is well." : "NOT all is well.");
    machine::stop(well ? machine::Outcome::success : machine::Outcome::failure);
}
