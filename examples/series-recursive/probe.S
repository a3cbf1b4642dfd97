// SPDX-License-Identifier: MIT
// int probe_store(uint32_t address, uint32_t value): 1 when the value was stored. The page-fault
// handler goes on at probe_store_failed when the fault came from probe_store_at.

        .text
        .globl probe_store, probe_store_at, probe_store_failed
probe_store:
        movl    4(%esp), %edx
        movl    8(%esp), %eax
probe_store_at:
        movl    %eax, (%edx)
        movl    $1, %eax
        ret
probe_store_failed:
        xorl    %eax, %eax
        ret

        .section .note.GNU-stack, "", @progbits
