// SPDX-License-Identifier: MIT
// What the series' second-stage loader does, for a Multiboot 1 loader that enters with paging off:
// the first 4 MiB at identity, physical 1 MiB at 3 GiB, paging on; then
// kernel_main(magic, information).

#define OFFSET 0xBFF00000               // 3 GiB shows physical 1 MiB, as in the series
#define PHYSICAL(symbol) (symbol - OFFSET)
#define PRESENT_WRITABLE 3

// Maps 4 MiB by a table of their own.
.macro map table, physical, virtual
        movl    $\physical + PRESENT_WRITABLE, %eax
        movl    $PHYSICAL(\table), %edi
        movl    $1024, %ecx
0:      stosl
        addl    $0x1000, %eax
        decl    %ecx
        jnz     0b
        movl    $PHYSICAL(\table) + PRESENT_WRITABLE, PHYSICAL(boot_directory) + (\virtual >> 20)
.endm

        .section .boot, "ax", @progbits
        .balign 4
        .long 0x1BADB002, 3, -(0x1BADB002 + 3)

        .globl boot_entry
boot_entry:
        cli
        cld
        movl    %eax, %esi
        map     boot_identity, 0x00000000, 0x00000000
        map     boot_kernel, 0x00100000, 0xC0000000
        movl    $PHYSICAL(boot_directory), %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $0x80010000, %eax       // paging; read-only pages bind the kernel too
        movl    %eax, %cr0
        movl    $high, %eax
        jmp     *%eax

        .text
high:
        movl    $stack_end, %esp
        xorl    %ebp, %ebp
        subl    $8, %esp                // aligned to 16 bytes at the call
        pushl   %ebx
        pushl   %esi
        call    kernel_main

        .bss
        .balign 4096
boot_directory: .skip 4096
boot_identity:  .skip 4096
boot_kernel:    .skip 4096
                .skip 16384
stack_end:

        .section .note.GNU-stack, "", @progbits
