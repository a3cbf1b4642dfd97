// SPDX-License-Identifier: MIT
// What tests of every boot protocol's parser have: an image, and the map that comes of it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "boot_image.hpp"
#include "quire/boot/memory_map.hpp"

namespace quire::test {

class ParserTest : public testing::Test {
  protected:
    explicit ParserTest(BootImage image = {}) : image_(std::move(image)) {}

    // What `parse` says, which is given a builder; the map is finished then, all of it in reach.
    template <class Parse>
    auto build(Parse parse) {
        map_ = std::make_unique<MemoryMap>();
        MemoryMapBuilder builder(*map_);
        const auto parsed = parse(builder);
        finished_ = builder.finish(PhysicalAddress(0xffffffff));
        return parsed;
    }
    MemoryKind kind_at(uint64_t address) const {
        const MemoryEntry* entry = map_->find(PhysicalAddress(address));
        return entry == nullptr ? MemoryKind::bad : entry->kind;
    }

    BootImage image_;
    std::unique_ptr<MemoryMap> map_;
    Status finished_;
};

}  // namespace quire::test
