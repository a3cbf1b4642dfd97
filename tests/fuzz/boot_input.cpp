// SPDX-License-Identifier: MIT
#include "boot_input.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "quire/boot/pvh.hpp"
#include "unit/boot/map_oracle.hpp"

namespace quire::test {

namespace {

void check_text(const char* text) {
    // Under the address sanitizer, an unterminated one ends the process here.
    if (text != nullptr && std::strlen(text) > SIZE_MAX / 2) broken("a string without an end");
}

void check(const BootInformation& information, const MemoryMap& map) {
    check_text(information.command_line);
    check_text(information.loader_name);
    if (information.module_count > boot_module_capacity) broken("too many modules");
    for (size_t i = 0; i < information.module_count; ++i) {
        const BootModule& module = information.modules[i];
        check_text(module.command_line);
        if (module.range.empty()) continue;
        for (PhysicalAddress at : {module.range.first(), module.range.last()}) {
            const MemoryEntry* entry = map.find(at);
            if (entry == nullptr || entry->kind != MemoryKind::module) {
                broken("a module that is not reserved");
            }
        }
    }
}

}  // namespace

void broken(const char* what) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
}

void parse_and_check(uint32_t magic, uint64_t base, const uint8_t* data, size_t size) {
    const FuzzedMemory memory(base, data, size);
    const auto map = std::make_unique<MemoryMap>();
    MemoryMapBuilder builder(*map);
    BootInformation said;
    const Status parsed =
        magic == pvh_magic ? parse_pvh(PhysicalAddress(base), memory, builder, said)
                           : parse_multiboot(magic, PhysicalAddress(base), memory, builder, said);
    if (!parsed.ok()) {
        switch (parsed.failure().error) {
            case Error::bad_boot_information:
            case Error::truncated:
            case Error::too_many:
                break;
            default:
                broken("an error that the header does not name");
        }
    }
    const Status finished = builder.finish(PhysicalAddress(0xffffffff));
    const std::string promise = broken_promise(*map);
    if (!promise.empty()) broken(promise.c_str());
    if (!finished.ok() && finished.error() == Error::too_many) return;
    if (finished.ok() != (map->usable_frames() != FrameCount(0))) {
        broken("finish and the map disagree on whether memory is usable");
    }
    if (!parsed.ok()) return;
    check(said, *map);
    const MemoryEntry* information = map->find(PhysicalAddress(base));
    if (information == nullptr || information->kind < MemoryKind::boot_information) {
        broken("boot information that is not reserved");
    }
    const MemoryEntry* video = map->find(PhysicalAddress(0xa0000));
    if (video == nullptr || video->kind < MemoryKind::low_memory) broken("video memory is free");
}

}  // namespace quire::test
