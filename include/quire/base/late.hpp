// SPDX-License-Identifier: MIT
// Room for an object that is made later: for objects in static storage, which must not need a
// static constructor, whose parts are known only while the kernel starts.
#pragma once

#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"

namespace quire {

// Not synchronised. The object is never destroyed by itself, so that one in static storage needs no
// destructor to be registered either.
template <class T>
class Late {
  public:
    constexpr Late() = default;
    Late(const Late&) = delete;
    Late& operator=(const Late&) = delete;

    // Makes the object; traps when it is made already.
    template <class... Arguments>
    T& make(Arguments&&... arguments) {
        if (made_) trap();
        T* const object = quire::construct_at(address(), static_cast<Arguments&&>(arguments)...);
        made_ = true;
        return *object;
    }
    // Ends the object, so that another can be made; nothing when there is none.
    void end() {
        if (made_) address()->~T();
        made_ = false;
    }
    bool made() const { return made_; }
    // Trap when the object is not made yet.
    T& operator*() {
        if (!made_) trap();
        return *address();
    }
    const T& operator*() const {
        if (!made_) trap();
        return *reinterpret_cast<const T*>(bytes_);
    }
    T* operator->() { return &**this; }
    const T* operator->() const { return &**this; }

  private:
    T* address() { return reinterpret_cast<T*>(bytes_); }

    alignas(T) unsigned char bytes_[sizeof(T)] = {};
    bool made_ = false;
};

}  // namespace quire
