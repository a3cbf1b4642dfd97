// SPDX-License-Identifier: MIT
// All that the machine-independent kernel asks of kernel/arch/<isa>. Everything here runs on the
// first CPU, with interrupts off, but for what says otherwise.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/kernel_memory.hpp"

namespace kernel {

class ConsoleSink;

namespace machine {

// One section of the kernel's image, as it is linked; on page boundaries.
struct ImageSection {
    const char* name;
    uintptr_t begin;
    uintptr_t end;
    bool writable;
    bool executable;
};

// Whether to use page tables that reach more physical memory than the machine's plain ones do
// (i386: PAE). Elsewhere there is nothing to choose.
enum class WideTables { as_needed, always, never };
// Say it first, together with how tables will be reached.
void choose_tables(WideTables wide, quire::TableReach reach);
// Pages that one leaf table maps.
uintptr_t pages_per_table();
// The last byte of physical memory that a page-table entry can name.
uint64_t highest_physical();

// Where the kernel is, physically and virtually. Physical is virtual less `virtual_offset`, except
// for the sections that run where they are loaded, which are not listed.
struct Image {
    uintptr_t physical_begin;
    uintptr_t physical_end;
    uintptr_t virtual_offset;
    ImageSection sections[3];
    // A page inside the data section that must stay unmapped, and the stack above it.
    uintptr_t stack_guard;
    uintptr_t stack_begin;
    uintptr_t stack_end;
};
Image image();

// Sets up what the CPU needs to take traps, and the serial line. Call once, first.
void initialize();
// The serial line, and the text screen when the machine has one; null when there is no second.
ConsoleSink& serial_sink();
ConsoleSink* screen_sink();
// One byte of input, or -1 when there is none.
int read_input();
// Sleeps until there may be input.
void wait_for_input();

// Names what the CPU offers beyond the baseline ("PSE PGE PAT TSC").
const char* features_text();
bool has_large_pages();
// Whether pages can be kept from being executed.
bool can_deny_execute();

// The clock with the finest grain: cycles, or 0 when there is none.
uint64_t cycles();
// Keeps interrupts away until `restore_interrupts` gets what this returned.
uint32_t disable_interrupts();
void restore_interrupts(uint32_t state);
// Whether this CPU is in an interrupt or fault handler. Any CPU.
bool in_handler();

// CPUs, numbered from 0, which is the first. Any CPU may ask; there is one until start_cpus.
inline constexpr unsigned most_cpus = 8;
unsigned cpu_count();
unsigned this_cpu();
// Starts others on the kernel's page table until `wanted` run in all, and waits for them, at most
// some 10 seconds: cpu_count() then says how many came. Call once. Errors: too_many (more than
// most_cpus), unsupported (this machine has no way), and as AddressSpace::allocate.
quire::Status start_cpus(quire::KernelMemory& memory, unsigned wanted);
// Interrupts them; their invalidations are served then. Any CPU; never itself.
void interrupt(const quire::CpuMask& cpus);
// Has another CPU, that does nothing, call a function, with interrupts on. Returns at once.
using CpuFunction = void (*)(void* context);
void run_on(unsigned cpu, CpuFunction function, void* context);
// Until that function has returned. What it wrote is visible then.
void wait_for(unsigned cpu);
// Calls a function on this CPU with interrupts on, as run_on does.
void with_interrupts(CpuFunction function, void* context);

// Has the first CPU interrupted so many times a second (19 to 100000), to call a function in the
// handler. Where there is no timer, it is never called. By the first CPU.
void start_ticks(unsigned hertz, CpuFunction function, void* context);
void stop_ticks();

// Page tables beside the kernel's, for spaces of their own, numbered from 0: the addresses below
// the kernel's are theirs, and they show the kernel's as well. By the first CPU. Errors:
// unsupported (this machine has no way), and as FormatPageTable::create_sharing.
inline constexpr unsigned most_spaces = 3;
struct OwnTable {
    quire::PageTable* table;
    quire::TlbInvalidator* tlb;  // for its own pages
};
quire::Result<OwnTable> make_table(unsigned number, quire::KernelMemory& memory);
// Nothing may be mapped in it, and no CPU may run it.
quire::Status destroy_table(unsigned number);
// This CPU runs that table from now on, or the kernel's. Any CPU.
void run_table(unsigned number);
void run_kernel_table();
// Whether a CPU keeps translations of tables that it does not run at the moment.
bool has_pcids();

enum class Access { read, write, execute };
enum class Verdict {
    resolved,    // run the instruction again
    unresolved,  // recover by try_load or try_store; anything else is the end
};
struct PageFault {
    uintptr_t address;              // that could not be accessed
    uintptr_t instruction_pointer;  // of the instruction that tried
    Access access;
    bool present;       // the page was mapped, and the access forbidden
    bool reserved_bit;  // an entry on the way has bits set that must be zero
};
using PageFaultHandler = Verdict (*)(void* context, const PageFault& fault);
// Who is asked about page faults; null for nobody.
void set_page_fault_handler(PageFaultHandler handler, void* context);

// Any CPU. One byte accessed, through the page fault handler; false when that did not resolve the
// fault. The store leaves the byte as it was.
bool try_load(uintptr_t address, uint8_t& value);
bool try_store(uintptr_t address);
// Calls what is there, which must be a return instruction (return_instruction) if it can be
// fetched at all; false when the fetch faulted.
bool try_execute(uintptr_t address);
extern const uint8_t return_instruction;

// Reads physical memory through the boot mapping; usable as a quire::PhysicalReader until that is
// dropped. Null when it cannot be shown.
const unsigned char* read_physical(quire::PhysicalAddress address, size_t bytes);

// Builds the kernel's memory managers and drops the boot mapping: the machine's part is where
// things go in its address space, and its page-table format. `map` must outlive them. Call once.
quire::Result<quire::KernelMemory*> start_memory(const quire::MemoryMap& map,
                                                 quire::TableReach reach,
                                                 quire::Platform& platform);

enum class Outcome { success, failure, panic };
// Ends the machine, with a status for the emulator; halts when there is no emulator.
[[noreturn]] void stop(Outcome outcome);

// Prints the chain of return addresses from here.
void print_backtrace(uintptr_t frame_pointer);

}  // namespace machine

// Says why, in red, with a backtrace, and stops the machine.
[[noreturn]] void panic(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace kernel
