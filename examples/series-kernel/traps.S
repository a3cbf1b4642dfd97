// SPDX-License-Identifier: MIT
// From the CPU's exceptions to trap_taken(struct trap*): see hal.h.

        .text
        .balign 16
        .globl trap_stubs
trap_stubs:
        .set vector, 0
        .rept 32
        .balign 16
        .if ((0x00027D00 >> vector) & 1) == 0   // those that bring an error code: SDM 3A, 6.13
        pushl   $0
        .endif
        pushl   $vector
        jmp     trap_common
        .set vector, vector + 1
        .endr
        .balign 16

trap_common:
        pushal
        cld
        movl    %esp, %ebp
        andl    $-16, %esp
        subl    $12, %esp
        pushl   %ebp
        call    trap_taken
        movl    %ebp, %esp
        popal
        addl    $8, %esp
        iretl

        .section .note.GNU-stack, "", @progbits
