// SPDX-License-Identifier: MIT
// How the kernel reaches the bytes of a frame whose number it knows. Nothing else in Quire turns a
// physical address into a pointer.
#pragma once

#include <stdint.h>

#include "quire/base/address.hpp"
#include "quire/base/result.hpp"

namespace quire {

// Where virtual address zero appears to the code that runs. In a kernel that is zero, and a virtual
// address is a pointer. A hosted machine, or a hypervisor that edits a guest through a mapping of
// its own, sees the addresses of its tables `bias` bytes further up.
class AddressView {
  public:
    constexpr AddressView() = default;
    constexpr explicit AddressView(uintptr_t bias) : bias_(bias) {}

    template <class T = void>
    T* pointer(VirtualAddress address) const {
        return reinterpret_cast<T*>(address.value() + bias_);
    }
    VirtualAddress address(const volatile void* pointer) const {
        return VirtualAddress(reinterpret_cast<uintptr_t>(pointer) - bias_);
    }
    constexpr uintptr_t bias() const { return bias_; }

  private:
    uintptr_t bias_ = 0;
};

// An access opens a frame and yields an object through whose `data()` its page_size bytes can be
// read and written while that object lives. Opening fails with Error::unreachable when the access
// cannot show that frame, and with Error::busy when it can show no more frames at once.
//
// Holding an opened frame may hold back the CPU it was opened on: see each access.
template <class A>
concept FrameAccess = requires(A& access, Frame frame) {
    { access.open(frame).ok() };
    { access.open(frame).value().data() } -> convertible_to<void*>;
};

// The same, erased, for compiled code that clears frames now and then.
class FrameZeroer {
  public:
    // Fills the frame with zero bytes. Error::unreachable or Error::busy as above. O(page_size).
    virtual Status zero(Frame frame) = 0;

  protected:
    ~FrameZeroer() = default;
};

}  // namespace quire
