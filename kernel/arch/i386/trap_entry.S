// SPDX-License-Identifier: MIT
//
// How this machine enters and leaves handle_trap, and the guarded accesses.

#define PUSH pushl
#define WORD .long
#define WORD_BYTES 4
#include "../x86/trap_entries.inc"

        .text
trap_common:
        pushal
        cld
        movl    %esp, %eax
        // A frame for backtraces: it looks as if the interrupted instruction had called us.
        pushl   40(%eax)
        pushl   %ebp
        movl    %esp, %ebp
        andl    $-16, %esp
        subl    $12, %esp
        pushl   %eax
        call    handle_trap
        movl    %ebp, %esp
        addl    $8, %esp
        popal
        addl    $8, %esp                // vector and error code
        iretl

// The double fault runs as a task of its own, with a stack of its own: the usual cause is a kernel
// stack that ran into its guard page, where there is nowhere left to push a frame.
        .globl double_fault_entry
double_fault_entry:
        cld
        xorl    %ebp, %ebp
        call    handle_double_fault
        // never returns

// Loads and stores that may fault. Each pair in .fixups says: a page fault at the first address
// that nobody resolved continues at the second.
        .text
        .globl try_load_byte
        .type try_load_byte, @function
try_load_byte:                          // int try_load_byte(uintptr_t address, uint8_t* value)
        movl    4(%esp), %ecx
        movl    8(%esp), %edx
load_instruction:
        movb    (%ecx), %al
        movb    %al, (%edx)
        movl    $1, %eax
        ret
        .globl try_touch_byte
        .type try_touch_byte, @function
try_touch_byte:                         // int try_touch_byte(uintptr_t address)
        movl    4(%esp), %ecx
        .globl store_instruction
store_instruction:
        lock orb $0, (%ecx)             // a store that changes nothing
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
        call    *4(%esp)
        .globl call_returned
call_returned:
        movl    $1, %eax
        ret
        .globl call_failed
call_failed:
        addl    $4, %esp
        xorl    %eax, %eax
        ret

        .section .fixups, "a", @progbits
        .long load_instruction, access_failed
        .long store_instruction, access_failed

        .section .note.GNU-stack, "", @progbits
