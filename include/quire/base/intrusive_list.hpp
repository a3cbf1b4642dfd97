// SPDX-License-Identifier: MIT
// A doubly linked list through links inside its elements: no memory of its own, O(1) removal.
#pragma once

#include <stddef.h>

#include "quire/base/trap.hpp"

namespace quire {

// To be listed, a type has a member of this type. An element can be in as many lists at once as it
// has links.
template <class T>
class ListLink {
  public:
    constexpr ListLink() = default;
    ListLink(const ListLink&) = delete;
    ListLink& operator=(const ListLink&) = delete;
    constexpr bool linked() const { return linked_; }

  private:
    template <class U, ListLink<U> U::*>
    friend class IntrusiveList;
    T* previous_ = nullptr;
    T* next_ = nullptr;
    bool linked_ = false;
};

// Owns nothing; not synchronised. Every operation is O(1). Inserting what is linked already and
// removing what is not are traps.
template <class T, ListLink<T> T::* Link>
class IntrusiveList {
  public:
    constexpr IntrusiveList() = default;
    IntrusiveList(const IntrusiveList&) = delete;
    IntrusiveList& operator=(const IntrusiveList&) = delete;

    constexpr bool empty() const { return first_ == nullptr; }
    constexpr size_t size() const { return size_; }
    constexpr T* front() const { return first_; }
    constexpr T* back() const { return last_; }
    static constexpr T* next(const T& element) { return (element.*Link).next_; }
    static constexpr T* previous(const T& element) { return (element.*Link).previous_; }

    constexpr void push_front(T& element) { insert_between(nullptr, element, first_); }
    constexpr void push_back(T& element) { insert_between(last_, element, nullptr); }
    constexpr void insert_before(T& position, T& element) {
        insert_between((position.*Link).previous_, element, &position);
    }
    constexpr void remove(T& element) {
        auto& link = element.*Link;
        if (!link.linked_) trap();
        (link.previous_ != nullptr ? (link.previous_->*Link).next_ : first_) = link.next_;
        (link.next_ != nullptr ? (link.next_->*Link).previous_ : last_) = link.previous_;
        link.previous_ = link.next_ = nullptr;
        link.linked_ = false;
        --size_;
    }
    // The first element, taken out; null when the list is empty.
    constexpr T* pop_front() {
        T* element = first_;
        if (element != nullptr) remove(*element);
        return element;
    }

    class Iterator {
      public:
        constexpr explicit Iterator(T* element) : element_(element) {}
        constexpr T& operator*() const { return *element_; }
        constexpr T* operator->() const { return element_; }
        constexpr Iterator& operator++() {
            element_ = next(*element_);
            return *this;
        }
        constexpr bool operator==(const Iterator&) const = default;

      private:
        T* element_;
    };
    constexpr Iterator begin() const { return Iterator(first_); }
    constexpr Iterator end() const { return Iterator(nullptr); }

  private:
    constexpr void insert_between(T* previous, T& element, T* next) {
        auto& link = element.*Link;
        if (link.linked_) trap();
        link.previous_ = previous;
        link.next_ = next;
        link.linked_ = true;
        (previous != nullptr ? (previous->*Link).next_ : first_) = &element;
        (next != nullptr ? (next->*Link).previous_ : last_) = &element;
        ++size_;
    }

    T* first_ = nullptr;
    T* last_ = nullptr;
    size_t size_ = 0;
};

}  // namespace quire
