// SPDX-License-Identifier: MIT
// The few type traits and utilities Quire needs from what <type_traits>, <utility>, <new> and
// <memory> offer elsewhere.
#pragma once

#include <stddef.h>

namespace quire {

namespace detail {
template <class T>
struct RemoveReference {
    using Type = T;
};
template <class T>
struct RemoveReference<T&> {
    using Type = T;
};
template <class T>
struct RemoveReference<T&&> {
    using Type = T;
};
template <class T>
struct RemoveConst {
    using Type = T;
};
template <class T>
struct RemoveConst<const T> {
    using Type = T;
};
template <class A, class B>
inline constexpr bool same = false;
template <class A>
inline constexpr bool same<A, A> = true;
struct PlacementTag {};
}  // namespace detail

template <class T>
using remove_reference = typename detail::RemoveReference<T>::Type;
template <class T>
using remove_const_reference = typename detail::RemoveConst<remove_reference<T>>::Type;

template <class T>
inline constexpr bool is_trivially_copyable = __is_trivially_copyable(T);
#if defined(__clang__)
template <class T>
inline constexpr bool is_trivially_destructible = __is_trivially_destructible(T);
#else
template <class T>
inline constexpr bool is_trivially_destructible = __has_trivial_destructor(T);
#endif

template <class A, class B>
concept same_as = detail::same<A, B> && detail::same<B, A>;
template <class From, class To>
concept convertible_to =
    requires(void (&accept)(To), From&& from) { accept(static_cast<From&&>(from)); };

template <class T>
constexpr remove_reference<T>&& move(T&& value) {
    return static_cast<remove_reference<T>&&>(value);
}
template <class T>
constexpr T&& forward(remove_reference<T>& value) {
    return static_cast<T&&>(value);
}
// An object, so that it is never found by argument-dependent lookup: hosted code that sorts frames
// with the C++ library would find it and std::swap alike.
struct Swap {
    template <class T>
    constexpr void operator()(T& a, T& b) const {
        T saved = quire::move(a);
        a = quire::move(b);
        b = quire::move(saved);
    }
};
inline constexpr Swap swap{};
template <class T>
constexpr T exchange(T& object, remove_const_reference<T> value) {
    T old = quire::move(object);
    object = quire::move(value);
    return old;
}
template <class T>
constexpr const T& min(const T& a, const T& b) {
    return b < a ? b : a;
}
template <class T>
constexpr const T& max(const T& a, const T& b) {
    return a < b ? b : a;
}

}  // namespace quire

// Placement new that cannot collide with the kernel's own or with <new>.
constexpr void* operator new(size_t, void* where, quire::detail::PlacementTag) noexcept {
    return where;
}

namespace quire {

// Constructs a T in raw storage that is large enough and aligned for it.
template <class T, class... Arguments>
constexpr T* construct_at(T* where, Arguments&&... arguments) {
    return ::new (static_cast<void*>(where), detail::PlacementTag{})
        T(static_cast<Arguments&&>(arguments)...);
}

}  // namespace quire
