// SPDX-License-Identifier: MIT
// Page tables beside the kernel's, as the managers for one format and reach make them.
#pragma once

#include "../../machine.hpp"

namespace kernel {

class SpaceTables {
  public:
    virtual quire::Result<quire::PageTable*> make(unsigned number) = 0;
    virtual quire::Status destroy(unsigned number) = 0;

  protected:
    ~SpaceTables() = default;
};

// Said once, when the managers have started.
void set_space_tables(SpaceTables& tables);

}  // namespace kernel
