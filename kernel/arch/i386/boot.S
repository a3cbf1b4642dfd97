// SPDX-License-Identifier: MIT
//
// From the boot loader to kernel_main: paging off on entry, a minimal boot mapping on exit.
//
// The boot mapping is built of 4 KiB pages in static tables:
//   - physical memory from the second page up to the kernel's end, at identity (needed for the two
//     instructions around the switch) and at 3 GiB (where the kernel is linked);
//   - one more table, empty, at boot_window: pages for whoever must reach a frame before the
//     kernel's own page table exists (the boot information may lie anywhere).
// Page zero and the stack's guard page are mapped nowhere, so that a null pointer and an overrun
// stack fault from the first instruction on. The kernel drops all of this when its own table is
// loaded.

#define VIRTUAL_OFFSET 0xC0000000
#define BOOT_WINDOW 0xFF800000
#define PHYSICAL(symbol) (symbol - VIRTUAL_OFFSET)
#define BOOT_TABLES 2

#define PRESENT_WRITABLE 0x003
#define CR0_WRITE_PROTECT 0x00010000
#define CR0_PAGING 0x80000000

#define MULTIBOOT1_MAGIC 0x1BADB002
// Modules on page boundaries, memory information wanted.
#define MULTIBOOT1_FLAGS 0x00000003
#define MULTIBOOT2_MAGIC 0xE85250D6

// boot_segments, in x86/trampoline.S.
#define BOOT_DATA 0x10

#define STACK_BYTES 0x4000

        .section .boot.headers, "a", @progbits
        .balign 4
        .long MULTIBOOT1_MAGIC
        .long MULTIBOOT1_FLAGS
        .long -(MULTIBOOT1_MAGIC + MULTIBOOT1_FLAGS)

        .balign 8
multiboot2_header:
        .long MULTIBOOT2_MAGIC
        .long 0                         // architecture: i386
        .long multiboot2_header_end - multiboot2_header
        .long -(MULTIBOOT2_MAGIC + (multiboot2_header_end - multiboot2_header))
        // Tag 1: the information we cannot do without: the command line (1), the map (6).
        .balign 8
        .short 1
        .short 0
        .long 16
        .long 1
        .long 6
        // Tag 6: modules on page boundaries.
        .balign 8
        .short 6
        .short 0
        .long 8
        // Tag 0: the end.
        .balign 8
        .short 0
        .short 0
        .long 8
multiboot2_header_end:

        .section .boot.text, "ax", @progbits
        .code32
        .globl boot_entry
        .type boot_entry, @function
boot_entry:
        cli
        cld
        movl    $PHYSICAL(boot_stack_top), %esp
        // The magic number and the information's address, for kernel_main.
        movl    %eax, %esi
        movl    %ebx, %ebp

        // Leaf entries for [4 KiB, kernel end), but for the guard page; the tables are zero (.bss).
        movl    $0x1000, %ecx
        movl    $PHYSICAL(boot_tables) + 4, %edi
fill_next:
        cmpl    $PHYSICAL(kernel_stack_guard), %ecx
        je      fill_skip
        movl    %ecx, %eax
        orl     $PRESENT_WRITABLE, %eax
        movl    %eax, (%edi)
fill_skip:
        addl    $4, %edi
        addl    $0x1000, %ecx
        cmpl    $kernel_physical_end, %ecx
        jb      fill_next

        movl    $PHYSICAL(boot_tables) + PRESENT_WRITABLE, %eax
        xorl    %ecx, %ecx
link_next:
        movl    %eax, PHYSICAL(boot_directory)(, %ecx, 4)
        movl    %eax, PHYSICAL(boot_directory) + (VIRTUAL_OFFSET >> 20)(, %ecx, 4)
        addl    $0x1000, %eax
        incl    %ecx
        cmpl    $BOOT_TABLES, %ecx
        jb      link_next
        movl    $PHYSICAL(boot_window_table) + PRESENT_WRITABLE, %eax
        movl    %eax, PHYSICAL(boot_directory) + (BOOT_WINDOW >> 20)

        movl    $PHYSICAL(boot_directory), %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $(CR0_PAGING | CR0_WRITE_PROTECT), %eax
        movl    %eax, %cr0
        movl    $higher_half, %eax
        jmp     *%eax

// Where trampoline.S leads the other CPUs: protected mode, paging off. One at a time goes on.
        .globl ap_entry
        .type ap_entry, @function
ap_entry:
        movl    $BOOT_DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %eax, %ss
wait_for_gate:
        pause
        lock btsl $0, PHYSICAL(ap_gate)
        jc      wait_for_gate
        movl    $PHYSICAL(boot_directory), %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $(CR0_PAGING | CR0_WRITE_PROTECT), %eax
        movl    %eax, %cr0
        movl    $ap_higher_half, %eax
        jmp     *%eax

        .text
        .type ap_higher_half, @function
ap_higher_half:
        movl    $ap_stack_top, %esp
        xorl    %ebp, %ebp
        call    ap_main
        jmp     halt

        .type higher_half, @function
higher_half:
        movl    $boot_stack_top, %esp
        pushl   %ebp                    // the information's physical address
        movl    %esi, %eax
        xorl    %ebp, %ebp              // the end of every backtrace
        popl    %edx
        subl    $8, %esp                // the ABI: 16-byte aligned at the call
        pushl   %edx
        pushl   %eax
        call    kernel_main
halt:
        cli
        hlt
        jmp     halt

        .section .bss.pages, "aw", @nobits
        .balign 4096
        .globl boot_window_table
boot_directory:
        .skip 4096
boot_tables:
        .skip 4096 * BOOT_TABLES
boot_window_table:
        .skip 4096
        .globl kernel_stack_guard
        .globl kernel_stack_begin
        .globl kernel_stack_end
kernel_stack_guard:
        .skip 4096
kernel_stack_begin:
        .skip STACK_BYTES
boot_stack_top:
kernel_stack_end:

        .section .note.GNU-stack, "", @progbits
