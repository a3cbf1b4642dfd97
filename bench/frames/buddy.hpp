// SPDX-License-Identifier: MIT
// Baselines: the buddy system of the textbooks, with a lock around it, and with a magazine of
// single frames for each CPU in front. A record of 12 bytes a frame; free blocks in a doubly linked
// list for each order, the last one freed first; a block freed is joined with its buddy at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "quire/base/lock.hpp"
#include "subject.hpp"

namespace quire::bench {

class Buddy {
  public:
    static constexpr unsigned top_order = 10;

    explicit Buddy(uint64_t frames) : records_(static_cast<size_t>(frames)) {
        for (Token& head : heads_)
            head = no_frames;
        for (Token first = 0; first < frames; first += 1u << top_order)
            push(first, top_order);
    }

    Token get(unsigned order) {
        unsigned found = order;
        while (found <= top_order && heads_[found] == no_frames)
            ++found;
        if (found > top_order) return no_frames;
        const Token first = heads_[found];
        remove(first, found);
        while (found > order) {
            --found;
            push(first + (1u << found), found);
        }
        return first;
    }
    void put(Token first, unsigned order) {
        while (order < top_order) {
            const Token buddy = first ^ (1u << order);
            if (!records_[buddy].is_free || records_[buddy].order != order) break;
            remove(buddy, order);
            first &= ~(1u << order);
            ++order;
        }
        push(first, order);
    }

    uint64_t whole_blocks() const {
        uint64_t whole = 0;
        for (unsigned order = block_frames_order; order <= top_order; ++order)
            for (Token at = heads_[order]; at != no_frames; at = records_[at].next)
                whole += uint64_t{1} << (order - block_frames_order);
        return whole;
    }
    uint64_t metadata_bytes() const { return records_.size() * sizeof(Record); }

  private:
    struct Record {
        Token next = no_frames;
        Token previous = no_frames;
        uint8_t order = 0;
        bool is_free = false;
    };
    static_assert(sizeof(Record) == 12);

    void push(Token first, unsigned order) {
        const Token next = heads_[order];
        records_[first] = {next, no_frames, static_cast<uint8_t>(order), true};
        if (next != no_frames) records_[next].previous = first;
        heads_[order] = first;
    }
    void remove(Token first, unsigned order) {
        const Record& record = records_[first];
        if (record.previous == no_frames) {
            heads_[order] = record.next;
        } else {
            records_[record.previous].next = record.next;
        }
        if (record.next != no_frames) records_[record.next].previous = record.previous;
        records_[first].is_free = false;
    }

    std::vector<Record> records_;
    Token heads_[top_order + 1];
};

class BuddyWithLock {
  public:
    static constexpr const char* name = "buddy+lock";
    static constexpr bool is_slow = false;
    static constexpr bool is_shared = true;

    explicit BuddyWithLock(uint64_t frames) : buddy_(frames) {}

    Token get(unsigned order) {
        LockGuard guard(lock_);
        return buddy_.get(order);
    }
    void put(Token first, unsigned order) {
        LockGuard guard(lock_);
        buddy_.put(first, order);
    }
    void drain() {}
    uint64_t whole_blocks() const { return buddy_.whole_blocks(); }
    uint64_t metadata_bytes() const { return buddy_.metadata_bytes(); }

  private:
    alignas(64) SpinLock lock_;
    alignas(64) Buddy buddy_;
};

// A stack of single frames for each CPU: what was freed last is given out first. Empty, it takes
// half its size from the buddy under the lock; full, it gives half back.
class BuddyWithMagazine {
  public:
    static constexpr const char* name = "buddy+magazine";
    static constexpr bool is_slow = false;
    static constexpr bool is_shared = true;

    explicit BuddyWithMagazine(uint64_t frames) : buddy_(frames) {}

    Token get(unsigned order) {
        if (order != 0) {
            LockGuard guard(lock_);
            return buddy_.get(order);
        }
        Magazine& mine = magazines_[thread_number];
        if (mine.count == 0 && !refill(mine)) return no_frames;
        return mine.frames[--mine.count];
    }
    void put(Token first, unsigned order) {
        if (order != 0) {
            LockGuard guard(lock_);
            return buddy_.put(first, order);
        }
        Magazine& mine = magazines_[thread_number];
        if (mine.count == size) empty_to(mine, size / 2);
        mine.frames[mine.count++] = first;
    }
    void drain() {
        for (Magazine& magazine : magazines_)
            empty_to(magazine, 0);
    }
    uint64_t whole_blocks() const { return buddy_.whole_blocks(); }
    uint64_t metadata_bytes() const { return buddy_.metadata_bytes() + sizeof(magazines_); }

  private:
    static constexpr unsigned size = 128;
    static constexpr unsigned cpus = 4;
    struct alignas(64) Magazine {
        unsigned count = 0;
        Token frames[size];
    };

    bool refill(Magazine& mine) {
        LockGuard guard(lock_);
        while (mine.count < size / 2) {
            const Token frame = buddy_.get(0);
            if (frame == no_frames) break;
            mine.frames[mine.count++] = frame;
        }
        return mine.count != 0;
    }
    void empty_to(Magazine& mine, unsigned count) {
        LockGuard guard(lock_);
        while (mine.count > count)
            buddy_.put(mine.frames[--mine.count], 0);
    }

    alignas(64) SpinLock lock_;
    alignas(64) Buddy buddy_;
    Magazine magazines_[cpus];
};

}  // namespace quire::bench
