// SPDX-License-Identifier: MIT
// The image section by section, its stack apart, and the text screen.
#include "managers.hpp"
#include "text_screen.hpp"

namespace kernel::machine {
namespace {

using namespace quire;

FixedMapping fixed_mapping(uintptr_t begin, uintptr_t end, Protection protection, MemoryType type,
                           const char* name) {
    const PageRange pages = pages_between(begin, end - 1);
    const PhysicalAddress physical(begin - image().virtual_offset);
    return FixedMapping{pages, frame_of(physical), {protection | Protection::global, type}, name};
}

FixedMapping data_mapping(uintptr_t begin, uintptr_t end, const char* name) {
    return fixed_mapping(begin, end, read_write, MemoryType::write_back, name);
}

}  // namespace

FixedMappings fixed_mappings() {
    const Image here = image();
    const ImageSection& text = here.sections[0];
    const ImageSection& rodata = here.sections[1];
    const ImageSection& data = here.sections[2];
    const uintptr_t screen = TextScreen::physical + here.virtual_offset;
    return FixedMappings{{
        fixed_mapping(screen, screen + page_size, read_write, MemoryType::uncached, "text screen"),
        fixed_mapping(text.begin, text.end, read_execute, MemoryType::write_back, "kernel text"),
        fixed_mapping(rodata.begin, rodata.end, read_only, MemoryType::write_back, "kernel rodata"),
        data_mapping(data.begin, here.stack_guard, "kernel data"),
        fixed_mapping(here.stack_guard, here.stack_begin, Protection::none, MemoryType::write_back,
                      "stack guard"),
        data_mapping(here.stack_begin, here.stack_end, "kernel stack"),
        data_mapping(here.stack_end, data.end, "kernel data"),
    }};
}

const unsigned char* read_physical(PhysicalAddress address, size_t bytes) {
    return boot_window::show(address.value(), bytes);
}

}  // namespace kernel::machine
