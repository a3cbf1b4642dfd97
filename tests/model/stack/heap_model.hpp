// SPDX-License-Identifier: MIT
// Blocks of the heap, and what was written into them.
#pragma once

#include <string>
#include <vector>

#include "naive.hpp"
#include "random.hpp"
#include "sim/booted_machine.hpp"

namespace quire::model {

class HeapModel {
  public:
    explicit HeapModel(sim::BootedMachine& machine) : machine_(machine) {}

    StepOutcome step(Random& random, std::string& told);
    void validate();

  private:
    Heap& heap();
    size_t pick_size(Random& random);
    StepOutcome allocate(Random& random, std::string& told);
    StepOutcome reallocate(Random& random, std::string& told);
    StepOutcome free(Random& random, std::string& told);
    StepOutcome free_wrongly(Random& random, std::string& told);
    void check_block(const NaiveBlock& block, size_t count);
    [[noreturn]] void fail(const std::string& what) const;

    sim::BootedMachine& machine_;
    std::vector<NaiveBlock> blocks_;
    size_t live_bytes_ = 0;
};

}  // namespace quire::model
