// SPDX-License-Identifier: MIT
//
// From the boot loader to kernel_main: 32-bit code with paging off on entry, 64-bit code on a
// minimal boot mapping on exit. There are two doors: PVH's, which `qemu -kernel` uses, and
// Multiboot 2's, which GRUB uses, from BIOS and from UEFI.
//
// The boot mapping is built of 4 KiB pages in static tables:
//   - physical memory from the second page up to the kernel's end, at identity (needed for the
//     instructions around the switch) and 2 GiB below the top (where the kernel is linked);
//   - two more tables, empty, at the last 4 MiB: pages for whoever must reach a frame before the
//     kernel's own page table exists (the boot information may lie anywhere).
// Page zero and the stack's guard page are mapped nowhere, so that a null pointer and an overrun
// stack fault from the first instruction on. The kernel drops all of this when its own table is
// loaded. Where the CPU has five levels of tables they are used: that has to be chosen here, since
// it cannot be changed in 64-bit mode.

#define VIRTUAL_OFFSET 0xFFFFFFFF80000000
#define PHYSICAL(symbol) (symbol - VIRTUAL_OFFSET)
#define BOOT_TABLES 4
#define WINDOW_TABLES 2
// Entries of a directory pointer table that stand for 2 GiB and 1 GiB below the top.
#define KERNEL_SLOT 510
#define WINDOW_SLOT 511

#define PRESENT_WRITABLE 0x003
#define CR0_PROTECTED 0x00000001
#define CR0_WRITE_PROTECT 0x00010000
#define CR0_PAGING 0x80000000
#define CR4_PHYSICAL_ADDRESS_EXTENSION 0x00000020
#define CR4_FIVE_LEVELS 0x00001000
#define EFER 0xC0000080
#define EFER_LONG_MODE 0x00000100

// What is in the first field of PVH's start information; quire::pvh_magic.
#define PVH_MAGIC 0x336EC578
#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define MULTIBOOT2_MAGIC 0xE85250D6

// boot_segments, in x86/trampoline.S.
#define BOOT_DATA 0x10
#define BOOT_CODE_64 0x18

#define STACK_BYTES 0x8000

        .section .note.pvh, "a", @note
        .balign 4
        .long 4                         // bytes of the name
        .long 8                         // and of the address
        .long XEN_ELFNOTE_PHYS32_ENTRY
        .asciz "Xen"
        .quad pvh_entry

        .section .boot.headers, "a", @progbits
        .balign 8
multiboot2_header:
        .long MULTIBOOT2_MAGIC
        .long 0                         // architecture: i386, in which state we are entered
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
        .globl pvh_entry
        .type pvh_entry, @function
pvh_entry:
        movl    $PVH_MAGIC, %eax
        .globl boot_entry
        .type boot_entry, @function
boot_entry:
        cli
        cld
        movl    $PHYSICAL(boot_stack_top), %esp
        // The magic number and the information's address, for kernel_main.
        movl    %eax, %esi
        movl    %ebx, %ebp

        // 64-bit mode: CPUID 80000001H, EDX bit 29.
        movl    $0x80000000, %eax
        cpuid
        cmpl    $0x80000001, %eax
        jb      no_long_mode
        movl    $0x80000001, %eax
        cpuid
        btl     $29, %edx
        jnc     no_long_mode

        // Leaf entries for [4 KiB, kernel end), but for the guard page; the tables are zero (.bss).
        movl    $0x1000, %ecx
        movl    $PHYSICAL(boot_tables) + 8, %edi
fill_next:
        cmpl    $PHYSICAL(kernel_stack_guard), %ecx
        je      fill_skip
        movl    %ecx, %eax
        orl     $PRESENT_WRITABLE, %eax
        movl    %eax, (%edi)
fill_skip:
        addl    $8, %edi
        addl    $0x1000, %ecx
        cmpl    $kernel_physical_end, %ecx
        jb      fill_next

        movl    $PHYSICAL(boot_tables) + PRESENT_WRITABLE, %eax
        xorl    %ecx, %ecx
link_next:
        movl    %eax, PHYSICAL(boot_directory)(, %ecx, 8)
        addl    $0x1000, %eax
        incl    %ecx
        cmpl    $BOOT_TABLES, %ecx
        jb      link_next
        movl    $PHYSICAL(boot_window_table) + PRESENT_WRITABLE, %eax
        movl    %eax, PHYSICAL(boot_window_directory) + 8 * (512 - WINDOW_TABLES)
        addl    $0x1000, %eax
        movl    %eax, PHYSICAL(boot_window_directory) + 8 * (513 - WINDOW_TABLES)
        movl    $PHYSICAL(boot_directory) + PRESENT_WRITABLE, %eax
        movl    %eax, PHYSICAL(boot_low_pointers)
        movl    %eax, PHYSICAL(boot_high_pointers) + 8 * KERNEL_SLOT
        movl    $PHYSICAL(boot_window_directory) + PRESENT_WRITABLE, %eax
        movl    %eax, PHYSICAL(boot_high_pointers) + 8 * WINDOW_SLOT
        movl    $PHYSICAL(boot_low_pointers) + PRESENT_WRITABLE, %eax
        movl    %eax, PHYSICAL(boot_root)
        movl    $PHYSICAL(boot_high_pointers) + PRESENT_WRITABLE, %eax
        movl    %eax, PHYSICAL(boot_root) + 8 * 511
        movl    $PHYSICAL(boot_root) + PRESENT_WRITABLE, %eax
        movl    %eax, PHYSICAL(boot_root_of_five)
        movl    %eax, PHYSICAL(boot_root_of_five) + 8 * 511

        lgdtl   boot_segments_register
        xorl    %edi, %edi              // the first CPU
        jmp     enter_long_mode

// Where trampoline.S leads the others: protected mode, paging off. One at a time goes on.
        .globl ap_entry
        .type ap_entry, @function
ap_entry:
        movl    $BOOT_DATA, %eax
        movl    %eax, %ds
wait_for_gate:
        pause
        lock btsl $0, PHYSICAL(ap_gate)
        jc      wait_for_gate
        movl    $1, %edi                // not the first CPU

// Long mode on the boot mapping, with five levels where the CPU has them: CPUID 07H:0, ECX bit 16
// (SDM 3A, 4.1.4 and 10.8.5). Keeps %esi, %edi and %ebp.
enter_long_mode:
        xorl    %eax, %eax
        cpuid
        cmpl    $7, %eax
        jb      four_levels
        movl    $7, %eax
        xorl    %ecx, %ecx
        cpuid
        btl     $16, %ecx
        jnc     four_levels
        movl    $(CR4_PHYSICAL_ADDRESS_EXTENSION | CR4_FIVE_LEVELS), %eax
        movl    $PHYSICAL(boot_root_of_five), %ebx
        jmp     levels_chosen
four_levels:
        movl    $CR4_PHYSICAL_ADDRESS_EXTENSION, %eax
        movl    $PHYSICAL(boot_root), %ebx
levels_chosen:
        movl    %eax, %cr4
        movl    %ebx, %cr3
        movl    $EFER, %ecx
        rdmsr
        orl     $EFER_LONG_MODE, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $(CR0_PAGING | CR0_WRITE_PROTECT | CR0_PROTECTED), %eax
        movl    %eax, %cr0
        ljmpl   $BOOT_CODE_64, $long_mode

// A CPU for i386 alone: says so on the serial line and the text screen, and ends the emulator.
no_long_mode:
        movl    $no_long_mode_text, %esi
        movl    $0xB8000, %edi
        movb    $0x07, %ah
no_long_mode_next:
        lodsb
        testb   %al, %al
        jz      no_long_mode_end
        stosw
        movw    $0x3F8, %dx
        outb    %al, %dx
        jmp     no_long_mode_next
no_long_mode_end:
        movl    $0x12, %eax             // panic
        outl    %eax, $0xF4
no_long_mode_halt:
        cli
        hlt
        jmp     no_long_mode_halt
no_long_mode_text:
        .asciz "Quire: this CPU has no 64-bit mode. Boot the kernel for i386.\r\n"

        .code64
long_mode:
        movl    $BOOT_DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %eax, %ss
        movq    $higher_half, %rax
        movq    $ap_higher_half, %rdx
        testl   %edi, %edi
        cmovnzq %rdx, %rax
        jmp     *%rax

        .text
        .type higher_half, @function
higher_half:
        movq    $boot_stack_top, %rsp
        movl    %esi, %edi              // the magic number
        movl    %ebp, %esi              // the information's physical address
        xorl    %ebp, %ebp              // the end of every backtrace
        call    kernel_main
halt:
        cli
        hlt
        jmp     halt

        .type ap_higher_half, @function
ap_higher_half:
        movq    $ap_stack_top, %rsp
        xorl    %ebp, %ebp
        call    ap_main
        jmp     halt

        .section .bss.pages, "aw", @nobits
        .balign 4096
        .globl boot_window_table
boot_root_of_five:
        .skip 4096
boot_root:
        .skip 4096
boot_low_pointers:
        .skip 4096
boot_high_pointers:
        .skip 4096
boot_directory:
        .skip 4096
boot_tables:
        .skip 4096 * BOOT_TABLES
boot_window_directory:
        .skip 4096
boot_window_table:
        .skip 4096 * WINDOW_TABLES
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
