// SPDX-License-Identifier: MIT
#include "monitor.hpp"

#include <stdint.h>

#include "agreement.hpp"
#include "bench.hpp"
#include "bench_frames.hpp"
#include "bench_heap.hpp"
#include "console.hpp"
#include "faults.hpp"
#include "heap.hpp"
#include "line_editor.hpp"
#include "machine.hpp"
#include "selftest.hpp"
#include "show.hpp"
#include "stress.hpp"
#include "tour.hpp"
#include "walk.hpp"
#include "words.hpp"

namespace kernel {
namespace {

using namespace quire;

enum class Next { prompt, end };

struct Command {
    const char* name;
    const char* arguments;
    const char* help;
    Next (*run)(quire::KernelMemory& memory, const Words& words);
};

// An address argument; prints what is wrong with it, and is then not ok.
Result<VirtualAddress> address_argument(const Words& words, size_t index, const char* usage) {
    if (words[index] == nullptr) {
        print("usage: %s\n", usage);
        return Failure{Error::bad_argument, 0};
    }
    const Result<uint64_t> number = parse_number(words[index]);
    if (!number.ok() || *number > UINTPTR_MAX) {
        print("'%s' is no address: give 0x and hexadecimal digits, up to 0x%lx\n", words[index],
              static_cast<unsigned long>(UINTPTR_MAX));
        return Failure{Error::bad_argument, 0};
    }
    return VirtualAddress(static_cast<uintptr_t>(*number));
}

// A count argument, or `otherwise` when there is none.
Result<uint32_t> count_argument(const Words& words, size_t index, uint32_t otherwise,
                                uint32_t most) {
    if (words[index] == nullptr) return otherwise;
    const Result<uint64_t> number = parse_number(words[index]);
    if (!number.ok() || *number == 0 || *number > most) {
        print("'%s' is no count: give a number from 1 to %u\n", words[index], most);
        return Failure{Error::bad_argument, 0};
    }
    return static_cast<uint32_t>(*number);
}

Next run_map(quire::KernelMemory& memory, const Words&) {
    show_map(memory.map());
    print("repairs:\n");
    show_repairs(memory.map());
    return Next::prompt;
}

Next run_frames(quire::KernelMemory& memory, const Words&) {
    show_frames(memory.frames());
    show_reservations(memory.map(), memory.frames());
    return Next::prompt;
}

void show_tables(const PageTable& table) {
    const VirtualRange reach = bytes_of(table.reach());
    print("  the table: %llu frames, its root at 0x%08llx\n",
          static_cast<unsigned long long>(table.table_frames().value()),
          static_cast<unsigned long long>(address_of(table.root()).value()));
    print("  reach 0x%08lx-0x%08lx\n", static_cast<unsigned long>(reach.first().value()),
          static_cast<unsigned long>(reach.last().value()));
}

Next run_walk(quire::KernelMemory& memory, const Words& words) {
    if (words[1] == nullptr || same_text(words[1], "pages")) {
        if (words[1] == nullptr) {
            show_walk(memory);
        } else {
            show_mappings(memory.table(), Detail::full);
        }
        show_tables(memory.table());
        return Next::prompt;
    }
    const auto address = address_argument(words, 1, "walk [pages | ADDRESS]");
    if (!address.ok()) return Next::prompt;
    const auto translation = memory.table().query(*address);
    if (!translation.ok()) {
        show_failure("walk", translation.failure());
        return Next::prompt;
    }
    show_translation(*translation, *address);
    const auto found = memory.space().query(*address);
    if (found.ok()) {
        print("  in region '%s' (%s)\n", found->region.name, to_string(found->region.backing));
    } else {
        print("  in no region\n");
    }
    return Next::prompt;
}

Next run_probe(quire::KernelMemory&, const Words& words) {
    const auto address = address_argument(words, 1, "probe ADDRESS [PAGES]");
    if (!address.ok()) return Next::prompt;
    const auto pages = count_argument(words, 2, 1, 4096);
    if (!pages.ok()) return Next::prompt;
    for (uint32_t i = 0; i < *pages; ++i) {
        const auto at = address->checked_add(Bytes(page_size) * i);
        if (!at.ok()) break;
        const Probe found = probe(at->value());
        print("  0x%08lx: %s\n", static_cast<unsigned long>(at->value()),
              found.stores  ? "loads and stores"
              : found.loads ? "loads, faults on a store"
                            : "faults");
    }
    return Next::prompt;
}

Next run_regions(quire::KernelMemory& memory, const Words&) {
    show_regions(memory.space());
    return Next::prompt;
}

Next run_heap(quire::KernelMemory&, const Words&) {
    show_heap(heap());
    return Next::prompt;
}

Next run_fault(quire::KernelMemory&, const Words& words) {
    const auto address = address_argument(words, 1, "fault ADDRESS [write]");
    if (!address.ok()) return Next::prompt;
    const bool store = words[2] != nullptr && starts_with("write", words[2]);
    if (words[2] != nullptr && !store) {
        print("usage: fault ADDRESS [write]\n");
        return Next::prompt;
    }
    const TouchOutcome outcome = touch(address->value(), store ? Touch::store : Touch::load);
    if (outcome.done) {
        print("the %s went through\n", store ? "store" : "load");
    } else {
        show_fault(outcome.report);
    }
    return Next::prompt;
}

// Calls itself until the stack reaches so many bytes below `start`. What is done after the call
// keeps it from becoming a loop.
[[gnu::noinline]] void use_stack(uintptr_t start, size_t bytes) {
    volatile char here = 1;
    if (start - reinterpret_cast<uintptr_t>(&here) < bytes) use_stack(start, bytes);
    here = 0;
}

Next run_overflow(quire::KernelMemory&, const Words&) {
    const machine::Image image = machine::image();
    const size_t bytes = image.stack_end - image.stack_begin + 2 * page_size;
    use_stack(reinterpret_cast<uintptr_t>(__builtin_frame_address(0)), bytes);
    print("this machine's stack is larger than the kernel's, and has not run over\n");
    return Next::prompt;
}

Next run_stress(quire::KernelMemory& memory, const Words& words) {
    const auto rounds = count_argument(words, 1, 20000, 100000000);
    if (rounds.ok()) stress(memory, *rounds);
    return Next::prompt;
}

Next run_bench(quire::KernelMemory& memory, const Words& words) {
    if (words.count() > 1 && same_text(words[1], "frames")) {
        bench_frames(memory);
    } else if (words.count() > 1 && same_text(words[1], "heap")) {
        bench_heap(memory);
    } else {
        bench(memory);
    }
    return Next::prompt;
}

Next run_agree(quire::KernelMemory& memory, const Words& words) {
    const auto layouts = count_argument(words, 1, 10000, 100000000);
    if (!layouts.ok()) return Next::prompt;
    const auto seed = count_argument(words, 2, 1, UINT32_MAX);
    if (!seed.ok()) return Next::prompt;
    const bool agree = library_and_cpu_agree(memory, *layouts, *seed);
    print("%u layouts, seed %u: the library and the CPU %s\n", *layouts, *seed,
          agree ? "agree" : "DISAGREE");
    return Next::prompt;
}

Next run_tour(quire::KernelMemory& memory, const Words&) {
    tour(memory);
    return Next::prompt;
}

Next run_test(quire::KernelMemory& memory, const Words&) {
    run_selftests(memory);
    return Next::prompt;
}

Next run_help(quire::KernelMemory& memory, const Words& words);
Next run_quit(quire::KernelMemory&, const Words&) {
    return Next::end;
}

constexpr Command commands[] = {
    {"help", "[COMMAND]", "this list, or one command's line", run_help},
    {"map", "", "the firmware's memory map made canonical, and its repairs", run_map},
    {"frames", "", "physical frames by zone, and where the others went", run_frames},
    {"walk", "[pages|ADDRESS]", "the page table: by purpose, by pages, or at one address",
     run_walk},
    {"regions", "", "the regions of the kernel's address space", run_regions},
    {"heap", "", "the kernel heap's counters", run_heap},
    {"fault", "ADDRESS [write]", "touch an address and read the report if it faults", run_fault},
    {"probe", "ADDRESS [PAGES]", "ask the CPU what it can load and store", run_probe},
    {"overflow", "", "run the kernel's stack into its guard; the machine ends", run_overflow},
    {"stress", "[ROUNDS]", "random work on heap and space, checked (20000 rounds)", run_stress},
    {"agree", "[LAYOUTS [SEED]]", "random mappings, read by library and CPU alike", run_agree},
    {"bench", "[frames|heap]", "CPU cycles of the common operations, or of one layer", run_bench},
    {"tour", "", "the three questions again", run_tour},
    {"test", "", "the self-tests again", run_test},
    {"quit", "", "end the machine", run_quit},
};

void show_help(const Command& command) {
    print("  %s%-8s%s %-16s %s\n", console().palette().value, command.name,
          console().palette().plain, command.arguments, command.help);
}

Next run_help(quire::KernelMemory&, const Words& words) {
    bool shown = false;
    for (const Command& command : commands) {
        if (words[1] != nullptr && !same_text(words[1], command.name)) continue;
        show_help(command);
        shown = true;
    }
    if (!shown) print("there is no command '%s'\n", words[1]);
    return Next::prompt;
}

Next carry_out(quire::KernelMemory& memory, const char* line) {
    const Words words(line);
    if (words.count() == 0) return Next::prompt;
    for (const Command& command : commands) {
        if (same_text(words[0], command.name)) return command.run(memory, words);
    }
    print("there is no command '%s'; 'help' lists them\n", words[0]);
    return Next::prompt;
}

}  // namespace

void run_monitor(quire::KernelMemory& memory) {
    static LineEditor editor(console());
    print("\nThis is the monitor: 'help' lists its commands, 'quit' ends the machine.\n");
    for (;;) {
        editor.begin("quire> ");
        start_heap_ticks();  // idle from here on
        LineEditor::Event event = LineEditor::Event::none;
        while (event == LineEditor::Event::none) {
            const int input = machine::read_input();
            if (input < 0) {
                machine::wait_for_input();
                tend_heap();
                continue;
            }
            event = editor.feed(static_cast<char>(input));
        }
        machine::stop_ticks();
        if (event == LineEditor::Event::line && carry_out(memory, editor.line()) == Next::end)
            return;
    }
}

}  // namespace kernel
