// SPDX-License-Identifier: MIT
// Clears frames through any access.
#pragma once

#include "quire/base/frame_access.hpp"

namespace quire {

// Holds a reference to the access, which must outlive it.
template <FrameAccess Access>
class AccessZeroer final : public FrameZeroer {
  public:
    constexpr explicit AccessZeroer(Access& access) : access_(access) {}

    // Errors: as the access says when it opens the frame.
    Status zero(Frame frame) override {
        auto opened = access_.open(frame);
        if (!opened.ok()) return opened.failure();
        __builtin_memset(opened->data(), 0, page_size);
        return {};
    }

  private:
    Access& access_;
};

}  // namespace quire
