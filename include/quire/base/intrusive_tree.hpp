// SPDX-License-Identifier: MIT
// An ordered balanced tree through links inside its elements: no memory of its own, no recursion.
// Each subtree can carry a summary of its elements (the largest, the sum, ...), kept up to date.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/result.hpp"
#include "quire/base/traits.hpp"
#include "quire/base/trap.hpp"

namespace quire {

// To stand in a tree, a type has a member of this type; Summary is Order::Summary of that tree.
template <class T, class SummaryType>
class TreeLink {
  public:
    using Summary = SummaryType;

    constexpr TreeLink() = default;
    TreeLink(const TreeLink&) = delete;
    TreeLink& operator=(const TreeLink&) = delete;
    constexpr bool linked() const { return height_ != 0; }

  private:
    template <class U, class Order, TreeLink<U, typename Order::Summary> U::*>
    friend class IntrusiveTree;
    friend struct TreeLinkDamage;  // tests break links to see validate() find it

    T* parent_ = nullptr;
    T* left_ = nullptr;
    T* right_ = nullptr;
    [[no_unique_address]] Summary summary_{};
    uint8_t height_ = 0;  // of the subtree below and with this element; 0: in no tree
};

// For an Order to inherit from whose tree keeps no summary.
struct NoSummary {
    friend constexpr bool operator==(const NoSummary&, const NoSummary&) = default;
};
struct Unsummarised {
    using Summary = NoSummary;
    template <class T>
    static constexpr Summary summarise(const T&, const Summary&, const Summary&) {
        return {};
    }
};

// Order says how elements compare and what a subtree's summary is:
//
//   using Summary = ...;                       comparable; Summary{} stands for "no element"
//   static bool before(const T&, const Key&);  for T itself, and for keys to look up
//   static Summary summarise(const T& element, const Summary& left, const Summary& right);
//
// Balanced as Adelson-Velsky and Landis have it: n elements are at most 1.44 log2(n) deep. Owns
// nothing; not synchronised. Equal elements stand in the order of their insertion. What is said to
// be O(log n) is so in the worst case. Inserting what is linked already and removing what is not
// are traps.
template <class T, class Order, TreeLink<T, typename Order::Summary> T::* Link>
class IntrusiveTree {
  public:
    using Summary = typename Order::Summary;

    constexpr IntrusiveTree() = default;
    IntrusiveTree(const IntrusiveTree&) = delete;
    IntrusiveTree& operator=(const IntrusiveTree&) = delete;

    constexpr bool empty() const { return root_ == nullptr; }
    constexpr size_t size() const { return size_; }

    // The ends; null when the tree is empty. O(log n).
    constexpr T* first() const { return root_ == nullptr ? nullptr : leftmost(root_); }
    constexpr T* last() const { return root_ == nullptr ? nullptr : rightmost(root_); }
    // Neighbours in order; null past the ends. O(log n), O(1) amortised over a traversal.
    static constexpr T* next(const T& element) { return neighbour<&L::right_, &L::left_>(element); }
    static constexpr T* previous(const T& element) {
        return neighbour<&L::left_, &L::right_>(element);
    }

    // The first element that is not before the key; null when all are. O(log n).
    template <class Key>
    constexpr T* lower_bound(const Key& key) const {
        T* found = nullptr;
        for (T* node = root_; node != nullptr;) {
            if (Order::before(*node, key)) {
                node = link(node).right_;
            } else {
                found = node;
                node = link(node).left_;
            }
        }
        return found;
    }

    // O(log n).
    constexpr void insert(T& element) {
        if (link(&element).linked()) trap();
        T* parent = nullptr;
        T** slot = &root_;
        while (*slot != nullptr) {
            parent = *slot;
            slot = Order::before(element, *parent) ? &link(parent).left_ : &link(parent).right_;
        }
        *slot = &element;
        link(&element).parent_ = parent;
        ++size_;
        retrace(&element);
    }

    // O(log n).
    constexpr void remove(T& element) {
        L& removed = link(&element);
        if (!removed.linked()) trap();
        T* changed = removed.parent_;  // the lowest element whose subtree is another now
        if (removed.left_ == nullptr || removed.right_ == nullptr) {
            T* child = removed.left_ != nullptr ? removed.left_ : removed.right_;
            replace_child(removed.parent_, &element, child);
        } else {
            T* heir = leftmost(removed.right_);
            changed = heir;
            if (link(heir).parent_ != &element) {
                changed = link(heir).parent_;
                replace_child(changed, heir, link(heir).right_);
                set_right(heir, removed.right_);
            }
            set_left(heir, removed.left_);
            replace_child(removed.parent_, &element, heir);
        }
        removed.parent_ = removed.left_ = removed.right_ = nullptr;
        removed.summary_ = Summary{};
        removed.height_ = 0;
        --size_;
        retrace(changed);
    }

    // After a change inside the element that its summary depends on; its place in the order must
    // still be right. O(log n).
    constexpr void refresh(T& element) {
        if (!link(&element).linked()) trap();
        retrace(&element);
    }

    // The shape, for searches that steer by summaries. Null where there is no such element.
    constexpr T* root() const { return root_; }
    static constexpr T* parent(const T& element) { return (element.*Link).parent_; }
    static constexpr T* left(const T& element) { return (element.*Link).left_; }
    static constexpr T* right(const T& element) { return (element.*Link).right_; }
    // Of the subtree below and with the element.
    static constexpr const Summary& summary(const T& element) { return (element.*Link).summary_; }
    // Of a subtree that may be empty.
    static constexpr Summary summary_of(const T* element) {
        return element == nullptr ? Summary{} : (element->*Link).summary_;
    }

    // Checks links, order, balance, summaries and the count. Error::corrupted with the address of
    // the first element found wrong (the tree's own for a wrong count). Ends even when links run in
    // circles. O(n).
    Status validate() const {
        size_t seen = 0;
        const T* before = nullptr;
        const T* node = root_;
        const T* from = nullptr;  // where the traversal came from
        while (node != nullptr) {
            const L& at = node->*Link;
            if (from == at.parent_) {  // down: the first visit
                if (seen == size_ || !is_sound(*node)) return damaged(node);
                from = node;
                if (at.left_ != nullptr) {
                    node = at.left_;
                    continue;
                }
            } else if (from == at.right_) {  // back from the right: up
                from = node;
                node = at.parent_;
                continue;
            }
            // The left side is done: this element's turn, then the right side.
            if (before != nullptr && Order::before(*node, *before)) return damaged(node);
            before = node;
            ++seen;
            from = node;
            node = at.right_ != nullptr ? at.right_ : at.parent_;
        }
        if (seen != size_) return damaged(this);
        return {};
    }

  private:
    using L = TreeLink<T, Summary>;

    static constexpr L& link(T* element) { return element->*Link; }
    static constexpr unsigned height(const T* element) {
        return element == nullptr ? 0 : (element->*Link).height_;
    }
    static constexpr T* leftmost(T* node) {
        while (link(node).left_ != nullptr)
            node = link(node).left_;
        return node;
    }
    static constexpr T* rightmost(T* node) {
        while (link(node).right_ != nullptr)
            node = link(node).right_;
        return node;
    }
    template <T* L::* Onward, T* L::* Back>
    static constexpr T* neighbour(const T& element) {
        const L& at = element.*Link;
        if (T* node = at.*Onward) {
            while (link(node).*Back != nullptr)
                node = link(node).*Back;
            return node;
        }
        const T* child = &element;
        T* node = at.parent_;
        while (node != nullptr && link(node).*Onward == child) {
            child = node;
            node = link(node).parent_;
        }
        return node;
    }

    constexpr void replace_child(T* parent, T* old_child, T* new_child) {
        if (parent == nullptr) {
            root_ = new_child;
        } else if (link(parent).left_ == old_child) {
            link(parent).left_ = new_child;
        } else {
            link(parent).right_ = new_child;
        }
        if (new_child != nullptr) link(new_child).parent_ = parent;
    }
    static constexpr void set_left(T* node, T* child) {
        link(node).left_ = child;
        if (child != nullptr) link(child).parent_ = node;
    }
    static constexpr void set_right(T* node, T* child) {
        link(node).right_ = child;
        if (child != nullptr) link(child).parent_ = node;
    }

    static constexpr unsigned height_from_children(const T& node) {
        return 1 + max(height((node.*Link).left_), height((node.*Link).right_));
    }
    static constexpr Summary summary_from_children(const T& node) {
        return Order::summarise(node, summary_of((node.*Link).left_),
                                summary_of((node.*Link).right_));
    }
    static constexpr void update(T* node) {
        link(node).height_ = static_cast<uint8_t>(height_from_children(*node));
        link(node).summary_ = summary_from_children(*node);
    }

    // The right child takes the place of `node`, which becomes its left child; and the mirror
    // image. Both return the one that rose.
    constexpr T* rotate_left(T* node) {
        T* risen = link(node).right_;
        replace_child(link(node).parent_, node, risen);
        set_right(node, link(risen).left_);
        set_left(risen, node);
        update(node);
        update(risen);
        return risen;
    }
    constexpr T* rotate_right(T* node) {
        T* risen = link(node).left_;
        replace_child(link(node).parent_, node, risen);
        set_left(node, link(risen).right_);
        set_right(risen, node);
        update(node);
        update(risen);
        return risen;
    }
    // Restores balance, height and summary of one element whose subtrees are right. Returns the
    // root of its subtree.
    constexpr T* rebalance(T* node) {
        T* left = link(node).left_;
        T* right = link(node).right_;
        if (height(left) > height(right) + 1) {
            if (height(link(left).right_) > height(link(left).left_)) rotate_left(left);
            return rotate_right(node);
        }
        if (height(right) > height(left) + 1) {
            if (height(link(right).left_) > height(link(right).right_)) rotate_right(right);
            return rotate_left(node);
        }
        update(node);
        return node;
    }
    // From a changed element up to the root, since summaries may change all the way.
    constexpr void retrace(T* node) {
        while (node != nullptr)
            node = link(rebalance(node)).parent_;
    }

    // Everything that can be said from an element and its children.
    bool is_sound(const T& node) const {
        const L& at = node.*Link;
        if (at.parent_ == nullptr && root_ != &node) return false;
        if (at.left_ != nullptr && (at.left_->*Link).parent_ != &node) return false;
        if (at.right_ != nullptr && (at.right_->*Link).parent_ != &node) return false;
        if (at.left_ != nullptr && at.left_ == at.right_) return false;
        const unsigned left = height(at.left_);
        const unsigned right = height(at.right_);
        if (left > right + 1 || right > left + 1) return false;
        return at.height_ == height_from_children(node) &&
               at.summary_ == summary_from_children(node);
    }
    static Failure damaged(const void* where) {
        return Failure{Error::corrupted, reinterpret_cast<uintptr_t>(where)};
    }

    T* root_ = nullptr;
    size_t size_ = 0;
};

}  // namespace quire
