// SPDX-License-Identifier: MIT
// Xen's xen/include/public/arch-x86/hvm/start_info.h. Every structure lies wherever the loader put
// it, so each is read and reserved by itself.
#include "quire/boot/pvh.hpp"

#include "boot_bytes.hpp"
#include "quire/boot/e820.hpp"

namespace quire {

namespace {

using detail::BootBytes;
using detail::field32;
using detail::field64;

// Where the fields of the start information lie.
enum : size_t {
    magic_at = 0,
    version_at = 4,
    module_count_at = 12,
    modules_at = 16,
    command_line_at = 24,
    map_at = 40,
    map_count_at = 48,
};
constexpr size_t version_0_bytes = 40;
constexpr size_t version_1_bytes = 56;

constexpr size_t module_bytes = 32;
constexpr size_t entry_bytes = 24;

// Its steps are kept apart in the object code too: inlined into one function, they would all have
// their room on the stack at the same time.
class Parser {
  public:
    Parser(PhysicalReader read, MemoryMapBuilder& builder, BootInformation& information)
        : read_(read), builder_(builder), information_(information) {}

    Status parse(PhysicalAddress address) {
        const auto header = detail::read_bytes(read_, address, version_0_bytes);
        if (!header.ok()) return header.failure();
        if (field32(*header, magic_at) != pvh_magic) {
            return Failure{Error::bad_boot_information, address.value()};
        }
        // Version 0 leaves the map to a hypercall.
        if (field32(*header, version_at) == 0) {
            return Failure{Error::bad_boot_information, address.value()};
        }
        const auto fields = detail::read_bytes(read_, address, version_1_bytes);
        if (!fields.ok()) return fields.failure();
        Status done = reserve(address, fields->size());
        if (done.ok()) {
            done = parse_map(PhysicalAddress(field64(*fields, map_at)),
                             field32(*fields, map_count_at));
        }
        if (done.ok()) {
            done = parse_string(field64(*fields, command_line_at), information_.command_line);
        }
        if (done.ok()) {
            done = parse_modules(PhysicalAddress(field64(*fields, modules_at)),
                                 field32(*fields, module_count_at));
        }
        return done;
    }

  private:
    Status reserve(PhysicalAddress address, size_t bytes) {
        return builder_.reserve(PhysicalRange(address, Bytes(bytes)), MemoryKind::boot_information);
    }

    // A string at address zero is one that is not there.
    [[gnu::noinline]] Status parse_string(uint64_t address, const char*& string) {
        if (address == 0) return {};
        const auto bytes = detail::read_string(read_, PhysicalAddress(address));
        if (!bytes.ok()) return bytes.failure();
        string = reinterpret_cast<const char*>(bytes->data());
        return reserve(PhysicalAddress(address), bytes->size());
    }

    [[gnu::noinline]] Status parse_map(PhysicalAddress address, uint32_t count) {
        if (count == 0) return Failure{Error::bad_boot_information, address.value()};
        if (count > pvh_map_capacity) return Failure{Error::too_many, address.value()};
        const auto map = detail::read_bytes(read_, address, count * entry_bytes);
        if (!map.ok()) return map.failure();
        for (size_t i = 0; i < count; ++i) {
            const BootBytes entry = map->subspan(i * entry_bytes, entry_bytes);
            add_e820(builder_, field64(entry, 0), field64(entry, 8), field32(entry, 16));
        }
        return reserve(address, map->size());
    }

    [[gnu::noinline]] Status parse_modules(PhysicalAddress address, uint32_t count) {
        if (count == 0) return {};
        if (count > boot_module_capacity) return Failure{Error::too_many, address.value()};
        const auto list = detail::read_bytes(read_, address, count * module_bytes);
        if (!list.ok()) return list.failure();
        Status done = reserve(address, list->size());
        for (size_t i = 0; done.ok() && i < count; ++i) {
            done = parse_module(list->subspan(i * module_bytes, module_bytes));
        }
        return done;
    }

    [[gnu::noinline]] Status parse_module(BootBytes fields) {
        const char* command_line = nullptr;
        const Status named = parse_string(field64(fields, 16), command_line);
        if (!named.ok()) return named;
        const uint64_t first = field64(fields, 0);
        const auto range = PhysicalRange::from(PhysicalAddress(first), Bytes(field64(fields, 8)));
        if (!range.ok()) return Failure{Error::bad_boot_information, first};
        return detail::add_module(builder_, information_, *range, command_line);
    }

    PhysicalReader read_;
    MemoryMapBuilder& builder_;
    BootInformation& information_;
};

}  // namespace

Status parse_pvh(PhysicalAddress address, PhysicalReader read, MemoryMapBuilder& builder,
                 BootInformation& information) {
    detail::clear(information);
    information.protocol = "PVH";
    const Status parsed = Parser(read, builder, information).parse(address);
    return parsed.ok() ? reserve_pc_low_memory(builder) : parsed;
}

}  // namespace quire
