// SPDX-License-Identifier: MIT
// A pool of equal nodes in storage that the caller supplies: bookkeeping memory for managers that
// stand below the heap.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "quire/base/result.hpp"
#include "quire/base/span.hpp"
#include "quire/base/traits.hpp"

namespace quire {

// Not synchronised. allocate and free are O(1); add_storage is O(nodes added). Storage added is
// never given back.
template <class T>
class NodePool {
  public:
    NodePool() = default;
    NodePool(const NodePool&) = delete;
    NodePool& operator=(const NodePool&) = delete;

    // Takes over raw storage, which must stay valid as long as the pool. Whatever does not hold a
    // whole aligned node at its edges is left unused. Returns the nodes added.
    size_t add_storage(Span<unsigned char> storage) {
        size_t added = 0;
        const auto begin = reinterpret_cast<uintptr_t>(storage.data());
        size_t offset = static_cast<size_t>((~begin + 1) & (alignof(Node) - 1));
        for (; offset <= storage.size() && storage.size() - offset >= sizeof(Node);
             offset += sizeof(Node)) {
            push(storage.data() + offset);
            ++added;
        }
        available_ += added;
        total_ += added;
        return added;
    }

    // A default-constructed T; Error::out_of_nodes, and no change, when none is left.
    Result<T*> allocate() {
        if (free_ == nullptr) return Failure{Error::out_of_nodes, total_};
        Node* node = free_;
        free_ = node->next;
        --available_;
        return quire::construct_at(reinterpret_cast<T*>(node));
    }
    // `node` must have come from this pool and is destroyed.
    void free(T* node) {
        node->~T();
        push(node);
        ++available_;
    }

    size_t available() const { return available_; }
    size_t total() const { return total_; }

  private:
    // One alignment: of several, GCC takes the last instead of the strictest.
    static constexpr size_t alignment = max(alignof(T), alignof(void*));
    union alignas(alignment) Node {
        Node* next;
        unsigned char bytes[sizeof(T)];
    };

    // A node begins to live where a T has ended or nothing was yet.
    void push(void* where) {
        Node* node = ::new (where, detail::PlacementTag{}) Node;
        node->next = free_;
        free_ = node;
    }

    Node* free_ = nullptr;
    size_t available_ = 0;
    size_t total_ = 0;
};

}  // namespace quire
