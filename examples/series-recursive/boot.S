// SPDX-License-Identifier: MIT
// Entered by a Multiboot 1 loader with paging off. One table in static memory shows the first 4 MiB
// at 3 GiB, and the directory shows itself through its last entry. Nothing stays at identity.
// Then kernel_main(magic, information) with the information's address as the loader gave it.

#define OFFSET 0xC0000000
#define PHYSICAL(symbol) (symbol - OFFSET)
#define PRESENT_WRITABLE 3
#define SELF 1023

        .section .boot, "ax", @progbits
        .balign 4
        .long 0x1BADB002, 3, -(0x1BADB002 + 3)

        .globl boot_entry
boot_entry:
        cli
        cld
        movl    %eax, %esi
        movl    $PRESENT_WRITABLE, %eax
        movl    $PHYSICAL(boot_table), %edi
        movl    $1024, %ecx
fill:   stosl
        addl    $0x1000, %eax
        decl    %ecx
        jnz     fill

        movl    $PHYSICAL(boot_table) + PRESENT_WRITABLE, %eax
        movl    %eax, PHYSICAL(boot_directory)                  // until `high` is reached
        movl    %eax, PHYSICAL(boot_directory) + (OFFSET >> 20)
        movl    $PHYSICAL(boot_directory) + PRESENT_WRITABLE, %eax
        movl    %eax, PHYSICAL(boot_directory) + SELF * 4
        movl    $PHYSICAL(boot_directory), %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $0x80010000, %eax               // paging; read-only pages bind the kernel too
        movl    %eax, %cr0
        movl    $high, %eax
        jmp     *%eax

        .text
high:
        movl    $0, boot_directory
        movl    %cr3, %eax
        movl    %eax, %cr3
        movl    $stack_end, %esp
        xorl    %ebp, %ebp
        subl    $8, %esp                        // aligned to 16 bytes at the call
        pushl   %ebx
        pushl   %esi
        call    kernel_main

        .bss
        .balign 4096
        .globl boot_directory
boot_directory: .skip 4096
        .globl boot_table
boot_table:     .skip 4096
                .skip 16384
stack_end:

        .section .note.GNU-stack, "", @progbits
