// SPDX-License-Identifier: MIT
// Entered by a Multiboot 1 loader with paging off. Maps the first 4 MiB at identity and at 3 GiB,
// and an empty table of windows at 0xFF800000; then calls kernel_main(magic, information).

#define OFFSET 0xC0000000

        .section .boot, "ax", @progbits
        .balign 4
        .long 0x1BADB002, 3, -(0x1BADB002 + 3)

        .globl boot_entry
boot_entry:
        cli
        movl    %eax, %esi
        movl    $3, %eax                        // present, writable
        movl    $boot_table - OFFSET, %edi
        movl    $1024, %ecx
fill:   stosl
        addl    $0x1000, %eax
        decl    %ecx
        jnz     fill

        movl    $boot_table - OFFSET + 3, boot_directory - OFFSET
        movl    $boot_table - OFFSET + 3, boot_directory - OFFSET + (OFFSET >> 20)
        movl    $boot_window - OFFSET + 3, boot_directory - OFFSET + (0xFF800000 >> 20)
        movl    $boot_directory - OFFSET, %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $0x80010000, %eax               // paging; read-only pages bind the kernel too
        movl    %eax, %cr0
        movl    $high, %eax
        jmp     *%eax

        .text
high:
        movl    $stack_end, %esp
        xorl    %ebp, %ebp
        subl    $8, %esp                        // aligned to 16 bytes at the call
        pushl   %ebx
        pushl   %esi
        call    kernel_main
stop:   hlt
        jmp     stop

// The one exception that this kernel takes: page faults, with their error code on the stack.
        .globl page_fault_entry
page_fault_entry:
        pushal
        cld
        movl    32(%esp), %eax                  // error code
        movl    36(%esp), %edx                  // instruction
        movl    %cr2, %ecx
        movl    %esp, %ebp
        andl    $-16, %esp
        subl    $4, %esp
        pushl   %edx
        pushl   %eax
        pushl   %ecx
        call    page_fault
        movl    %ebp, %esp
        popal
        addl    $4, %esp
        iretl

        .bss
        .balign 4096
boot_directory: .skip 4096
boot_table:     .skip 4096
        .globl boot_window
boot_window:    .skip 4096
        .globl boot_stack
boot_stack:     .skip 16384
stack_end:

        .section .note.GNU-stack, "", @progbits
