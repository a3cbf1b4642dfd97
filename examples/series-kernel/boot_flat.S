// SPDX-License-Identifier: MIT
// The same kernel where it is loaded: at 1 MiB, with paging off until vmmngr_initialize makes a
// directory and turns it on.

        .text
        .balign 4
        .long 0x1BADB002, 3, -(0x1BADB002 + 3)

        .globl boot_entry
boot_entry:
        cli
        cld
        movl    %eax, %esi
        movl    %cr0, %eax
        orl     $0x00010000, %eax       // read-only pages will bind the kernel too
        movl    %eax, %cr0
        movl    $stack_end, %esp
        xorl    %ebp, %ebp
        subl    $8, %esp                // aligned to 16 bytes at the call
        pushl   %ebx
        pushl   %esi
        call    kernel_main

        .bss
        .balign 16
        .skip   16384
stack_end:

        .section .note.GNU-stack, "", @progbits
