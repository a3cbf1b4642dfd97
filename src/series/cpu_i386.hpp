// SPDX-License-Identifier: MIT
// The CPU that runs the series' kernel: every privileged instruction of this folder.
#pragma once

#if defined(__i386__)

#include <stdint.h>

#include "quire/base/frame_access.hpp"
#include "quire/paging/x86/cpu.hpp"

namespace quire::series {

class CpuI386 : public X86Cpu {
  public:
    Local local() const { return {}; }
    AddressView view() const { return {}; }

    bool is_paging() const { return (read_cr0() & paging_bit) != 0; }
    // Write protection for the supervisor (CR0.WP) stays as the kernel has it.
    void set_paging(bool on) const {
        const uintptr_t others = read_cr0() & ~paging_bit;
        __asm__ __volatile__("mov %0, %%cr0\n\tjmp 1f\n1:"
                             :
                             : "r"(on ? others | paging_bit : others)
                             : "memory");
    }
    // Whether bit 7 of a directory entry means anything (SDM vol. 3A 4.3). The i386 and the i486
    // have no CR4; Quire's i686 has.
    bool large_pages() const { return (x86::ControlRegisters().cr4() & x86::cr4_large_pages) != 0; }

    Frame root() const { return frame_of(PhysicalAddress(x86::ControlRegisters().cr3())); }
    // Global translations stay: they are the kernel's part, which all directories share.
    void load_root(Frame root) const {
        x86::ControlRegisters().set_cr3(static_cast<uintptr_t>(address_of(root).value()));
    }

    [[gnu::noinline]] uint32_t code() const {
        return reinterpret_cast<uint32_t>(__builtin_return_address(0));
    }
    [[gnu::noinline]] uint32_t stack() const {
        return reinterpret_cast<uint32_t>(__builtin_frame_address(0));
    }

  private:
    static constexpr uintptr_t paging_bit = uintptr_t{1} << 31;

    static uintptr_t read_cr0() {
        uintptr_t value;
        __asm__ __volatile__("mov %%cr0, %0" : "=r"(value));
        return value;
    }
};

}  // namespace quire::series

#endif
