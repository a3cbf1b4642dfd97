// SPDX-License-Identifier: MIT
// quire_remote_free: blocks that one CPU allocates and another frees, by two designs reduced to
// what they do for a block, and the floor of both. Prints nanoseconds of CPU time a block.
//
// arrays: the one that frees fills arrays; full ones go by a locked depot to who allocates.
// messages: each block is linked to those of its span that were freed before; a chain goes to the
// span's owner when it is long enough, or another span wants its place.
// Both check and write a state byte a block, by whoever frees or allocates, as the heap does.
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "rows.hpp"

namespace quire::bench {
namespace {

constexpr size_t cell_bytes = 64;
constexpr size_t span_cells = 256;
constexpr size_t cells = 16 * span_cells;
constexpr size_t array_cells = 63;
constexpr size_t batch = 512;
constexpr size_t depth = 4;

struct Cell {
    Cell* next;
    unsigned char rest[cell_bytes - sizeof(Cell*)];
};

struct Memory {
    Pages<Cell> blocks{cells};
    Pages<unsigned char> states{cells};

    size_t number_of(const Cell* cell) { return static_cast<size_t>(cell - blocks.begin()); }
    void give(Cell* cell) { states[number_of(cell)] = 3; }
    void take_back(Cell* cell) {
        unsigned char& state = states[number_of(cell)];
        if (state != 3) abort();
        state = 1;
    }
};

class SpinGuard {
  public:
    explicit SpinGuard(std::atomic<bool>& lock) : lock_(lock) {
        while (lock_.exchange(true, std::memory_order_acquire))
            std::this_thread::yield();
    }
    ~SpinGuard() { lock_.store(false, std::memory_order_release); }
    SpinGuard(const SpinGuard&) = delete;
    SpinGuard& operator=(const SpinGuard&) = delete;

  private:
    std::atomic<bool>& lock_;
};

class Arrays {
  public:
    explicit Arrays(Memory& memory) : memory_(memory) {
        for (size_t i = 0; i < cells; ++i) {
            if (i % array_cells == 0) depot_.push_back(std::make_unique<Array>());
            depot_.back()->cells[depot_.back()->count++] = &memory.blocks[i];
        }
    }
    Cell* allocate() {
        if (giving_ == nullptr || giving_->count == 0) exchange_empty();
        Cell* const cell = giving_->cells[--giving_->count];
        memory_.give(cell);
        return cell;
    }
    void free(Cell* cell) {
        if (taking_ == nullptr || taking_->count == array_cells) exchange_full();
        memory_.take_back(cell);
        taking_->cells[taking_->count++] = cell;
    }

  private:
    struct Array {
        size_t count = 0;
        Cell* cells[array_cells];
    };
    void exchange_empty() {
        for (;;) {
            const SpinGuard guard(lock_);
            if (giving_ != nullptr) empty_.push_back(std::move(giving_));
            if (depot_.empty()) continue;
            giving_ = std::move(depot_.back());
            depot_.pop_back();
            return;
        }
    }
    void exchange_full() {
        const SpinGuard guard(lock_);
        if (taking_ != nullptr) depot_.push_back(std::move(taking_));
        if (empty_.empty()) empty_.push_back(std::make_unique<Array>());
        taking_ = std::move(empty_.back());
        empty_.pop_back();
    }

    Memory& memory_;
    std::vector<std::unique_ptr<Array>> depot_, empty_;
    std::atomic<bool> lock_{false};
    alignas(64) std::unique_ptr<Array> giving_;  // of the one that allocates
    alignas(64) std::unique_ptr<Array> taking_;  // of the one that frees
};

class Messages {
  public:
    explicit Messages(Memory& memory) : memory_(memory) {
        for (size_t i = cells; i-- > 0;) {
            memory.blocks[i].next = local_;
            local_ = &memory.blocks[i];
        }
    }
    Cell* allocate() {
        while (local_ == nullptr)
            receive();
        Cell* const cell = local_;
        local_ = cell->next;
        memory_.give(cell);
        return cell;
    }
    void free(Cell* cell) {
        memory_.take_back(cell);
        const size_t span = memory_.number_of(cell) / span_cells;
        Chain& chain = chains_[span % most_chains];
        if (chain.count != 0 && chain.span != span) send(chain);
        if (chain.count == 0) chain = {span, 0, nullptr, cell};
        cell->next = chain.first;
        chain.first = cell;
        if (++chain.count == longest) send(chain);
    }
    // Rounds end with it: a chain is not kept from its owner for ever.
    void send_all() {
        for (Chain& chain : chains_)
            if (chain.count != 0) send(chain);
    }

  private:
    static constexpr size_t most_chains = 8;
    static constexpr size_t longest = 32;
    struct Chain {
        size_t span = 0;
        size_t count = 0;
        Cell* first = nullptr;
        Cell* last = nullptr;
    };
    void send(Chain& chain) {
        Cell* head = queue_.load(std::memory_order_relaxed);
        do {
            chain.last->next = head;
        } while (!queue_.compare_exchange_weak(head, chain.first, std::memory_order_release,
                                               std::memory_order_relaxed));
        chain.count = 0;
    }
    void receive() { local_ = queue_.exchange(nullptr, std::memory_order_acquire); }

    Memory& memory_;
    alignas(64) Cell* local_ = nullptr;      // of the one that allocates
    alignas(64) Chain chains_[most_chains];  // of the one that frees
    alignas(64) std::atomic<Cell*> queue_{nullptr};
};

// Pointers alone go into the array of one and out of it.
class Floor {
  public:
    explicit Floor(Memory& memory) : memory_(memory) {}
    Cell* allocate() { return &memory_.blocks[next_++ % cells]; }
    void free(Cell* cell) { stack_[freed_++ % array_cells] = cell; }

  private:
    Memory& memory_;
    alignas(64) size_t next_ = 0;
    alignas(64) size_t freed_ = 0;
    Cell* volatile stack_[array_cells];
};

enum class Order { as_made, shuffled };

template <class Design>
void measure(const char* name, Order order) {
    Memory memory;
    Design design(memory);
    Pages<Cell*> blocks(depth * batch);
    std::array<uint16_t, batch> places;
    Random random(1);
    for (size_t i = 0; i < batch; ++i)
        places[i] = static_cast<uint16_t>(i);
    for (size_t left = batch; order == Order::shuffled && left > 1; --left)
        std::swap(places[left - 1], places[random.below(left)]);
    std::atomic<size_t> made{0}, freed{0};
    constexpr size_t rounds = 4000;
    Chunks allocations, frees;
    const auto per_block = [](double seconds) { return seconds * 1e9 / batch; };
    std::thread other([&] {
        for (size_t round = 0; round < rounds; ++round) {
            while (round >= made)
                std::this_thread::yield();
            Cell** const here = &blocks[round % depth * batch];
            const double before = cpu_seconds();
            for (const uint16_t at : places)
                design.free(here[at]);
            if constexpr (requires { design.send_all(); }) design.send_all();
            frees.add(per_block(cpu_seconds() - before));
            ++freed;
        }
    });
    for (size_t round = 0; round < rounds; ++round) {
        while (round >= freed + depth)
            std::this_thread::yield();
        Cell** const here = &blocks[round % depth * batch];
        const double before = cpu_seconds();
        for (size_t i = 0; i < batch; ++i)
            here[i] = static_cast<Cell*>(use(design.allocate()));
        allocations.add(per_block(cpu_seconds() - before));
        ++made;
    }
    other.join();
    printf("%-10s %-9s allocate %6.2f  free %6.2f  both %6.2f\n", name,
           order == Order::shuffled ? "shuffled" : "as made", allocations.median(), frees.median(),
           allocations.median() + frees.median());
}

// One thread, one array: what a pair costs at least.
void measure_pairs() {
    Pages<void*> array(array_cells);
    void** top = array.begin();
    *top++ = &array;
    Chunks chunks;
    constexpr size_t steps = 8192;
    for (size_t chunk = 0; chunk < 500; ++chunk) {
        const double before = cpu_seconds();
        for (size_t i = 0; i < steps; ++i) {
            void* block = *--top;
            __asm__ __volatile__("" : "+r"(block), "+m"(top) : : "memory");
            *top++ = block;
            __asm__ __volatile__("" : "+m"(top) : : "memory");
        }
        chunks.add((cpu_seconds() - before) * 1e9 / steps);
    }
    printf("floor      pair      %.2f\n", chunks.least());
}

}  // namespace
}  // namespace quire::bench

int main() {
    using namespace quire::bench;
    measure_pairs();
    for (const Order order : {Order::as_made, Order::shuffled}) {
        measure<Floor>("floor", order);
        measure<Arrays>("arrays", order);
        measure<Messages>("messages", order);
    }
    return 0;
}
