// SPDX-License-Identifier: MIT
// How whole memory stays: programs of requests and frees that age a machine of 4 GiB, and what is
// left of its blocks of 2 MiB afterwards, as a share of what the free frames could make up.
//
//   refill      all memory is taken in single frames; a share of them, at random, is given back;
//               then, in 32 rounds, a tenth as many frames as memory has: one of those taken, at
//               random, is given back, and another is taken
//   ageing      memory is filled with blocks of a mix of orders to a level, which is then kept:
//               each step gives back a random block and takes others until the level is reached
//   lifetimes   processes come and grow side by side, and whenever memory is as full as it may
//               become, a random one ends; a few of their frames outlive them, as a page cache
//               does. Memory is looked at now and then when one has ended, and the mean is told.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "subject.hpp"
#include "support/random.hpp"
#include "workloads.hpp"

namespace quire::bench {

struct Block {
    Token first;
    uint8_t order;
};

// Requests for small blocks: of a hundred, so many for each order.
inline constexpr unsigned small_orders[] = {70, 12, 8, 6, 4};

struct Ageing {
    unsigned percent_small;  // of memory, in blocks of small_orders
    unsigned percent_huge;   // of memory, in blocks of 2 MiB
};
inline constexpr unsigned ageing_turnovers = 20;  // of what is taken

inline constexpr unsigned refill_rounds = 32;

inline constexpr unsigned lifetimes_ended = 4000;        // processes
inline constexpr unsigned ends_between_looks = 40;       // in the second half
inline constexpr unsigned least_process_order = 6;       // a process has 2^6 to 2^14 frames,
inline constexpr unsigned process_orders = 8;            // each power of two as likely
inline constexpr unsigned growing_at_least = 8;          // processes, of which one at a time
inline constexpr unsigned growth = 16;                   // makes so many requests
inline constexpr unsigned huge_requests_in_1000 = 1;     // of a process with 2^12 frames or more
inline constexpr unsigned lasting_requests_in_1000 = 1;  // single frames that outlive the process
inline constexpr unsigned lasting_percent = 1;           // of memory at most, the oldest go first

// An aged machine.
template <Subject S>
class Machine {
  public:
    Machine(uint64_t frames, uint64_t seed)
        : subject_(frames), random_(seed), frames_(frames), free_(frames) {}

    // Blocks of 2 MiB that could be given out, in percent of those that all free frames could make
    // up; and the same after what waits in magazines went back. The mean of all looks.
    double percent_whole() const { return sum_before_ / looks_; }
    double percent_whole_when_drained() const { return sum_after_ / looks_; }

    void refill(unsigned percent_given_back) {
        std::vector<Token> taken = take_all_frames(subject_, frames_);
        free_ = 0;
        shuffle(taken, random_);
        put_back(taken, taken.size() / 100 * percent_given_back);
        for (uint64_t step = 0; step < refill_rounds * frames_ / 10; ++step) {
            Token& any = taken[random_.below(taken.size())];
            put({any, 0});
            any = get(0).first;
        }
        look();
    }

    void age(const Ageing& mix) {
        Population small;
        Population huge;
        const uint64_t small_level = frames_ / 100 * mix.percent_small;
        const uint64_t huge_level = frames_ / 100 * mix.percent_huge;
        top_up(small, small_level, false);
        top_up(huge, huge_level, true);
        const uint64_t end = (small_level + huge_level) * ageing_turnovers;
        while (taken_in_all_ < end) {
            // Frames of either kind are turned over in proportion to how many there are.
            const bool of_huge =
                random_.below(small_level * frames_of_block + huge_level) < huge_level;
            Population& population = of_huge ? huge : small;
            if (!population.blocks.empty()) put_any(population);
            top_up(population, of_huge ? huge_level : small_level, of_huge);
        }
        look();
    }

    void live(unsigned percent_full) {
        const uint64_t limit = frames_ / 100 * percent_full;
        std::vector<Process> processes;
        std::vector<Token> lasting;
        size_t oldest_lasting = 0;
        for (unsigned ended = 0; ended < lifetimes_ended;) {
            if (frames_ - free_ >= limit) {
                end_any(processes);
                if (++ended > lifetimes_ended / 2 && ended % ends_between_looks == 0) look();
                continue;
            }
            // Enough processes grow at a time that they lie among each other.
            size_t growing = 0;
            for (const Process& process : processes)
                growing += process.wanted != 0;
            if (growing < growing_at_least) {
                processes.push_back({});
                const unsigned order =
                    least_process_order + static_cast<unsigned>(random_.below(process_orders));
                processes.back().wanted = (uint64_t{1} << order) + random_.below(1u << order);
                processes.back().is_large = order >= 12;
            }
            Process& process = processes[random_.below(processes.size())];
            for (unsigned i = 0; i < growth && process.wanted != 0; ++i) {
                if (random_.below(1000) < lasting_requests_in_1000) {
                    lasting.push_back(get(0).first);
                    if (lasting.size() - oldest_lasting > frames_ / 100 * lasting_percent)
                        put({lasting[oldest_lasting++], 0});
                }
                grow(process);
            }
        }
    }

  private:
    struct Population {
        std::vector<Block> blocks;
        uint64_t frames = 0;
    };
    struct Process {
        std::vector<Block> blocks;
        uint64_t wanted = 0;
        bool is_large = false;
    };

    void look() {
        const double ideal = static_cast<double>(free_ / frames_of_block) / 100;
        sum_before_ += static_cast<double>(subject_.whole_blocks()) / ideal;
        subject_.drain();
        sum_after_ += static_cast<double>(subject_.whole_blocks()) / ideal;
        ++looks_;
    }

    Block get(unsigned order) {
        const Token first = subject_.get(order);
        if (first == no_frames && order == 0) {
            std::fprintf(stderr, "%s: a single frame was refused\n", S::name);
            std::abort();
        }
        if (first != no_frames) {
            free_ -= uint64_t{1} << order;
            taken_in_all_ += uint64_t{1} << order;
        }
        return {first, static_cast<uint8_t>(order)};
    }
    void put(const Block& block) {
        subject_.put(block.first, block.order);
        free_ += uint64_t{1} << block.order;
    }
    // The last `count` of them.
    void put_back(std::vector<Token>& taken, size_t count) {
        for (; count > 0; --count) {
            put({taken.back(), 0});
            taken.pop_back();
        }
    }
    unsigned small_order() {
        uint64_t draw = random_.below(100);
        unsigned order = 0;
        while (draw >= small_orders[order])
            draw -= small_orders[order++];
        return order;
    }
    // What cannot be had as one block is made up of single frames, or, when huge, done without.
    void top_up(Population& population, uint64_t level, bool is_huge) {
        const unsigned largest = is_huge ? block_frames_order : 0;
        while (population.frames + (uint64_t{1} << largest) <= level) {
            Block block = get(is_huge ? block_frames_order : small_order());
            if (block.first == no_frames && is_huge) {
                taken_in_all_ += frames_of_block;  // a turn passes all the same
                return;
            }
            if (block.first == no_frames) block = get(0);
            population.blocks.push_back(block);
            population.frames += uint64_t{1} << block.order;
        }
    }
    void put_any(Population& population) {
        Block& any = population.blocks[random_.below(population.blocks.size())];
        put(any);
        population.frames -= uint64_t{1} << any.order;
        any = population.blocks.back();
        population.blocks.pop_back();
    }
    void grow(Process& process) {
        unsigned order = random_.chance(90) ? 0 : small_order();
        if (process.is_large && process.wanted >= frames_of_block &&
            random_.below(1000) < huge_requests_in_1000) {
            order = block_frames_order;
        }
        Block block = get(order);
        if (block.first == no_frames) block = get(0);
        process.blocks.push_back(block);
        process.wanted -= std::min(process.wanted, uint64_t{1} << block.order);
    }
    void end_any(std::vector<Process>& processes) {
        Process& any = processes[random_.below(processes.size())];
        for (const Block& block : any.blocks)
            put(block);
        std::swap(any, processes.back());
        processes.pop_back();
    }

    S subject_;
    Random random_;
    uint64_t frames_;
    uint64_t free_;
    uint64_t taken_in_all_ = 0;
    double sum_before_ = 0;
    double sum_after_ = 0;
    int looks_ = 0;
};

}  // namespace quire::bench
