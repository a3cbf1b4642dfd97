// SPDX-License-Identifier: MIT
//
// How the other CPUs come in: a start-up interrupt sets them going in real mode, at the first byte
// of a frame below 1 MiB, to which the code below is copied. It does no more than turn protected
// mode on and jump into the image, where ap_entry (boot.S) goes the first CPU's way.

#define CR0_PROTECTED 0x00000001
#define CR0_CACHE_DISABLE 0x60000000    // CD and NW, as INIT leaves them

        .section .rodata
        .globl trampoline_begin
        .globl trampoline_end
        .code16
trampoline_begin:
        cli
        cld
        movw    %cs, %ax
        movw    %ax, %ds
        lgdtl   (trampoline_register - trampoline_begin)
        movl    %cr0, %eax
        andl    $~CR0_CACHE_DISABLE, %eax
        orl     $CR0_PROTECTED, %eax
        movl    %eax, %cr0
        ljmpl   $0x08, $ap_entry
        .balign 4
trampoline_register:
        .short  boot_segments_end - boot_segments - 1
        .long   boot_segments
trampoline_end:

        .section .boot.headers, "a", @progbits
        .balign 8
        .globl boot_segments
        .globl boot_segments_register
boot_segments:
        .quad 0
        .quad 0x00CF9A000000FFFF        // 0x08: flat 32-bit code
        .quad 0x00CF92000000FFFF        // 0x10: flat data
        .quad 0x00209A0000000000        // 0x18: 64-bit code
boot_segments_end:
boot_segments_register:
        .short boot_segments_end - boot_segments - 1
        .long boot_segments

// One CPU comes in at a time: whoever finds the gate open closes it, and opens it again when it
// stands on a stack of its own.
        .section .bss
        .balign 4
        .globl ap_gate
ap_gate:
        .skip 4
        .balign 16
        .skip 4096
        .globl ap_stack_top
ap_stack_top:

        .section .note.GNU-stack, "", @progbits
