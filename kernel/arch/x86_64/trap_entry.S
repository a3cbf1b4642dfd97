// SPDX-License-Identifier: MIT
//
// How this machine enters and leaves handle_trap, and the guarded accesses.

#define PUSH pushq
#define WORD .quad
#define WORD_BYTES 8
#include "../x86/trap_entries.inc"

        .text
trap_common:
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rbx
        pushq   %rbp
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        cld
        movq    %rsp, %rdi
        // A frame for backtraces: it looks as if the interrupted instruction had called us.
        pushq   136(%rdi)
        pushq   %rbp
        movq    %rsp, %rbp
        andq    $-16, %rsp
        call    handle_trap
        movq    %rbp, %rsp
        addq    $16, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rbp
        popq    %rbx
        popq    %rdx
        popq    %rcx
        popq    %rax
        addq    $16, %rsp               // vector and error code
        iretq

// Loads and stores that may fault. Each pair in .fixups says: a page fault at the first address
// that nobody resolved continues at the second.
        .text
        .globl try_load_byte
        .type try_load_byte, @function
try_load_byte:                          // int try_load_byte(uintptr_t address, uint8_t* value)
load_instruction:
        movb    (%rdi), %al
        movb    %al, (%rsi)
        movl    $1, %eax
        ret
        .globl try_touch_byte
        .type try_touch_byte, @function
try_touch_byte:                         // int try_touch_byte(uintptr_t address)
        .globl store_instruction
store_instruction:
        lock orb $0, (%rdi)             // a store that changes nothing
        movl    $1, %eax
        ret
access_failed:
        xorl    %eax, %eax
        ret

// A call of code that may not be there to fetch: a page fault at the address itself, with the
// return address still on the stack, continues at call_failed.
        .globl try_call
        .type try_call, @function
try_call:                               // int try_call(uintptr_t address)
        call    *%rdi
        .globl call_returned
call_returned:
        movl    $1, %eax
        ret
        .globl call_failed
call_failed:
        addq    $8, %rsp
        xorl    %eax, %eax
        ret

        .section .fixups, "a", @progbits
        .quad load_instruction, access_failed
        .quad store_instruction, access_failed

        .section .note.GNU-stack, "", @progbits
