// SPDX-License-Identifier: MIT
//
// The 32 exception entries and the device interrupts in use, all leading to one C++ function; and
// the guarded accesses.

        .text

// Exceptions 8, 10-14, 17, 21, 29 and 30 push an error code; for the others we push a zero, so that
// there is one frame layout (struct TrapFrame).
.macro ENTRY_WITHOUT_CODE vector
        .balign 16
trap_entry_\vector:
        pushq   $0
        pushq   $\vector
        jmp     trap_common
.endm
.macro ENTRY_WITH_CODE vector
        .balign 16
trap_entry_\vector:
        pushq   $\vector
        jmp     trap_common
.endm

        ENTRY_WITHOUT_CODE 0
        ENTRY_WITHOUT_CODE 1
        ENTRY_WITHOUT_CODE 2
        ENTRY_WITHOUT_CODE 3
        ENTRY_WITHOUT_CODE 4
        ENTRY_WITHOUT_CODE 5
        ENTRY_WITHOUT_CODE 6
        ENTRY_WITHOUT_CODE 7
        ENTRY_WITH_CODE 8
        ENTRY_WITHOUT_CODE 9
        ENTRY_WITH_CODE 10
        ENTRY_WITH_CODE 11
        ENTRY_WITH_CODE 12
        ENTRY_WITH_CODE 13
        ENTRY_WITH_CODE 14
        ENTRY_WITHOUT_CODE 15
        ENTRY_WITHOUT_CODE 16
        ENTRY_WITH_CODE 17
        ENTRY_WITHOUT_CODE 18
        ENTRY_WITHOUT_CODE 19
        ENTRY_WITHOUT_CODE 20
        ENTRY_WITH_CODE 21
        ENTRY_WITHOUT_CODE 22
        ENTRY_WITHOUT_CODE 23
        ENTRY_WITHOUT_CODE 24
        ENTRY_WITHOUT_CODE 25
        ENTRY_WITHOUT_CODE 26
        ENTRY_WITHOUT_CODE 27
        ENTRY_WITHOUT_CODE 28
        ENTRY_WITH_CODE 29
        ENTRY_WITH_CODE 30
        ENTRY_WITHOUT_CODE 31
        // The timer: IRQ 0 of the first interrupt controller, moved to vector 32.
        ENTRY_WITHOUT_CODE 32
        // Serial input: IRQ 4 of the first interrupt controller, moved to vector 36.
        ENTRY_WITHOUT_CODE 36
        // What the two controllers send when a device withdraws its request: IRQ 7 and 15.
        ENTRY_WITHOUT_CODE 39
        ENTRY_WITHOUT_CODE 47
        // From other CPUs, and what a local APIC sends when there was nothing after all.
        ENTRY_WITHOUT_CODE 240
        ENTRY_WITHOUT_CODE 255

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

        .section .rodata
        .balign 8
        .globl trap_entries
trap_entries:
        .irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
        .quad trap_entry_\vector
        .endr
        .irp vector, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        .quad trap_entry_\vector
        .endr
        .globl device_entries
device_entries:
        .quad trap_entry_32, trap_entry_36, trap_entry_39, trap_entry_47
        .quad trap_entry_240, trap_entry_255

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
