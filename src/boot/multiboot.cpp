// SPDX-License-Identifier: MIT
// What both protocols share.
#include "quire/boot/multiboot.hpp"

#include "boot_bytes.hpp"
#include "quire/boot/e820.hpp"

namespace quire {

namespace detail {

namespace {

constexpr BootInformation nothing_known;

}  // namespace

Result<BootBytes> read_bytes(PhysicalReader read, PhysicalAddress address, size_t bytes) {
    if (!PhysicalRange::from(address, Bytes(bytes)).ok()) {
        return Failure{Error::bad_boot_information, address.value()};
    }
    const unsigned char* data = read(address, bytes);
    if (data == nullptr) return Failure{Error::truncated, address.value()};
    return BootBytes(data, bytes);
}

// Asks for one byte more at a time, since the byte after the string may be unreadable.
Result<BootBytes> read_string(PhysicalReader read, PhysicalAddress address) {
    for (size_t length = 1; length <= boot_string_capacity; ++length) {
        const auto bytes = read_bytes(read, address, length);
        if (!bytes.ok()) return bytes.failure();
        if ((*bytes)[length - 1] == '\0') return *bytes;
    }
    return Failure{Error::bad_boot_information, address.value()};
}

Status add_lower_and_upper(MemoryMapBuilder& builder, uint32_t lower_kib, uint32_t upper_kib) {
    constexpr uint64_t upper_base = 1 << 20;
    if (lower_kib > upper_base >> 10) return Failure{Error::bad_boot_information, lower_kib};
    builder.add(0, static_cast<uint64_t>(lower_kib) << 10, MemoryKind::usable);
    builder.add(upper_base, static_cast<uint64_t>(upper_kib) << 10, MemoryKind::usable);
    return {};
}

Status add_module(MemoryMapBuilder& builder, BootInformation& information, uint32_t first,
                  uint32_t end, const char* command_line) {
    if (end < first) return Failure{Error::bad_boot_information, first};
    const PhysicalRange range(PhysicalAddress(first), Bytes(end - first));
    return add_module(builder, information, range, command_line);
}

Status add_module(MemoryMapBuilder& builder, BootInformation& information,
                  const PhysicalRange& range, const char* command_line) {
    if (information.module_count == boot_module_capacity) {
        return Failure{Error::too_many, range.first().value()};
    }
    if (!range.empty()) {
        const Status reserved = builder.reserve(range, MemoryKind::module);
        if (!reserved.ok()) return reserved;
    }
    information.modules[information.module_count++] = BootModule{range, command_line};
    return {};
}

void clear(BootInformation& information) {
    information = nothing_known;
}

}  // namespace detail

const unsigned char* BootMapping::operator()(PhysicalAddress address, size_t bytes) const {
    if (address >= limit_ || limit_ - address < Bytes(bytes)) return nullptr;
    if (address.value() > UINTPTR_MAX) return nullptr;
    return view_.pointer<const unsigned char>(
        VirtualAddress(static_cast<uintptr_t>(address.value())));
}

Status parse_multiboot(uint32_t magic, PhysicalAddress address, PhysicalReader read,
                       MemoryMapBuilder& builder, BootInformation& information) {
    const bool first_protocol = magic == multiboot1_magic;
    if (!first_protocol && magic != multiboot2_magic) return Failure{Error::bad_argument, magic};
    detail::clear(information);
    information.protocol = first_protocol ? "Multiboot 1" : "Multiboot 2";
    const Status parsed = first_protocol
                              ? detail::parse_multiboot1(address, read, builder, information)
                              : detail::parse_multiboot2(address, read, builder, information);
    return parsed.ok() ? reserve_pc_low_memory(builder) : parsed;
}

// One result, made where the caller wants it: it need not be on the stack twice.
Result<BootInformation> parse_multiboot(uint32_t magic, PhysicalAddress information,
                                        PhysicalReader read, MemoryMapBuilder& builder) {
    Result<BootInformation> result(detail::nothing_known);
    const Status parsed = parse_multiboot(magic, information, read, builder, *result);
    if (!parsed.ok()) construct_at(&result, parsed.failure());
    return result;
}

}  // namespace quire
