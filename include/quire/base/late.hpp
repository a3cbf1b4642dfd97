// SPDX-License-Identifier: MIT
// Room for an object that is made later: for objects in static storage, which must not need a
// static constructor, whose parts are known only while the kernel starts.
#pragma once

#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"

namespace quire {

// Not synchronised. The object is never destroyed by itself.
template <class T>
class Late {
  public:
    constexpr Late() : nothing_{} {}
    constexpr ~Late() {}
    Late(const Late&) = delete;
    Late& operator=(const Late&) = delete;

    // Makes the object; traps when it is made already.
    template <class... Arguments>
    T& make(Arguments&&... arguments) {
        if (made_) trap();
        quire::construct_at(&object_, static_cast<Arguments&&>(arguments)...);
        made_ = true;
        return object_;
    }
    // Ends the object, so that another can be made; nothing when there is none.
    void end() {
        if (made_) object_.~T();
        made_ = false;
    }
    bool made() const { return made_; }
    // Trap when the object is not made yet.
    T& operator*() {
        if (!made_) trap();
        return object_;
    }
    const T& operator*() const {
        if (!made_) trap();
        return object_;
    }
    T* operator->() { return &**this; }
    const T* operator->() const { return &**this; }

  private:
    union {
        char nothing_;
        T object_;
    };
    bool made_ = false;
};

}  // namespace quire
