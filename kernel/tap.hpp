// SPDX-License-Identifier: MIT
// Test results in the Test Anything Protocol, on the console.
#pragma once

#include <stdint.h>

namespace kernel {

class Tap {
  public:
    // Announces how many results follow.
    void plan(unsigned count);
    // One result. Returns `passed`.
    bool result(bool passed, const char* name);
    // One result that could not be had here, and why.
    void skip(const char* name, const char* reason);
    // The closing line. True when every planned result was there and passed.
    bool finish() const;

    unsigned failed() const { return failed_; }

  private:
    unsigned planned_ = 0;
    unsigned number_ = 0;
    unsigned failed_ = 0;
};

}  // namespace kernel
