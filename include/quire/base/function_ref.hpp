// SPDX-License-Identifier: MIT
// A reference to anything callable, for callbacks that do not outlive the call.
#pragma once

#include "quire/base/traits.hpp"

namespace quire {

template <class Signature>
class FunctionRef;

// Two words; copies nothing and owns nothing, so it must not be kept after the call it was made
// for, unless it was made of a plain function.
template <class R, class... Arguments>
class FunctionRef<R(Arguments...)> {
  public:
    template <class Callable>
        requires(!same_as<remove_const_reference<Callable>, FunctionRef> &&
                 requires(remove_reference<Callable>& object) {
                     static_cast<const void*>(&object);
                 })
    constexpr FunctionRef(Callable&& callable)
        : object_(const_cast<void*>(static_cast<const void*>(&callable))),
          invoke_([](void* object, Arguments... arguments) -> R {
              return (*static_cast<remove_reference<Callable>*>(object))(
                  static_cast<Arguments&&>(arguments)...);
          }) {}

    // A function itself, which lives for ever.
    FunctionRef(R (&function)(Arguments...))
        : object_(reinterpret_cast<void*>(&function)),
          invoke_([](void* object, Arguments... arguments) -> R {
              return reinterpret_cast<R (*)(Arguments...)>(object)(
                  static_cast<Arguments&&>(arguments)...);
          }) {}

    constexpr R operator()(Arguments... arguments) const {
        return invoke_(object_, static_cast<Arguments&&>(arguments)...);
    }

  private:
    void* object_;
    R (*invoke_)(void*, Arguments...);
};

}  // namespace quire
