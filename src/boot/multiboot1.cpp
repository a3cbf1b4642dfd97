// SPDX-License-Identifier: MIT
// Multiboot Specification 0.6.96, 3.3 "Boot information format". Every structure lies wherever the
// loader put it, so each is read and reserved by itself.
#include "boot_bytes.hpp"
#include "quire/boot/e820.hpp"

namespace quire::detail {

namespace {

// Bits of `flags`, the first field, and where the fields they vouch for lie.
enum : uint32_t {
    has_sizes = 1u << 0,
    has_command_line = 1u << 2,
    has_modules = 1u << 3,
    has_aout_symbols = 1u << 4,
    has_elf_sections = 1u << 5,
    has_map = 1u << 6,
    has_loader_name = 1u << 9,
};
enum : size_t {
    lower_at = 4,
    upper_at = 8,
    command_line_at = 16,
    module_count_at = 20,
    modules_at = 24,
    map_bytes_at = 44,
    map_at = 48,
    loader_name_at = 64,
};

// Where the fields end that each bit of `flags` vouches for.
constexpr uint8_t end_of_fields[] = {12, 16, 20, 28, 44, 44, 52, 60, 64, 68, 72, 88, 116};

constexpr size_t flags_bytes = 4;
constexpr size_t module_bytes = 16;
constexpr size_t entry_header_bytes = 4;  // an entry's size, which does not count itself
constexpr size_t entry_least_bytes = 20;  // base, length, type

// Its steps are kept apart in the object code too: inlined into one function, they would all have
// their room on the stack at the same time.
class Parser {
  public:
    Parser(PhysicalReader read, MemoryMapBuilder& builder, BootInformation& information)
        : read_(read), builder_(builder), information_(information) {}

    Status parse(PhysicalAddress address) {
        const auto flags_field = read_bytes(read_, address, flags_bytes);
        if (!flags_field.ok()) return flags_field.failure();
        const uint32_t flags = field32(*flags_field, 0);
        if ((flags & has_aout_symbols) != 0 && (flags & has_elf_sections) != 0) {
            return Failure{Error::bad_boot_information, address.value()};
        }
        const auto fields = read_bytes(read_, address, end_of(flags));
        if (!fields.ok()) return fields.failure();
        Status done = reserve(address, fields->size());
        if (done.ok()) done = parse_memory(*fields, flags, address);
        if (done.ok() && (flags & has_command_line) != 0) {
            done = parse_string(field32(*fields, command_line_at), information_.command_line);
        }
        if (done.ok() && (flags & has_loader_name) != 0) {
            done = parse_string(field32(*fields, loader_name_at), information_.loader_name);
        }
        if (done.ok() && (flags & has_modules) != 0) {
            done = parse_modules(PhysicalAddress(field32(*fields, modules_at)),
                                 field32(*fields, module_count_at));
        }
        return done;
    }

  private:
    static size_t end_of(uint32_t flags) {
        size_t end = flags_bytes;
        for (size_t bit = 0; bit < sizeof(end_of_fields); ++bit) {
            if ((flags >> bit & 1) != 0) end = end_of_fields[bit];
        }
        return end;
    }

    Status reserve(PhysicalAddress address, size_t bytes) {
        return builder_.reserve(PhysicalRange(address, Bytes(bytes)), MemoryKind::boot_information);
    }

    // A string at address zero is one that is not there.
    [[gnu::noinline]] Status parse_string(uint32_t address, const char*& string) {
        if (address == 0) return {};
        const auto bytes = read_string(read_, PhysicalAddress(address));
        if (!bytes.ok()) return bytes.failure();
        string = reinterpret_cast<const char*>(bytes->data());
        return reserve(PhysicalAddress(address), bytes->size());
    }

    [[gnu::noinline]] Status parse_memory(BootBytes fields, uint32_t flags,
                                          PhysicalAddress address) {
        size_t entries = 0;
        if ((flags & has_map) != 0) {
            const auto parsed =
                parse_map(PhysicalAddress(field32(fields, map_at)), field32(fields, map_bytes_at));
            if (!parsed.ok()) return parsed.failure();
            entries = *parsed;
        }
        if (entries != 0) return {};
        if ((flags & has_sizes) == 0) {
            return Failure{Error::bad_boot_information, address.value()};
        }
        return add_lower_and_upper(builder_, field32(fields, lower_at), field32(fields, upper_at));
    }

    // The entries in the map.
    [[gnu::noinline]] Result<size_t> parse_map(PhysicalAddress address, size_t bytes) {
        if (bytes == 0) return size_t{0};
        const auto map = read_bytes(read_, address, bytes);
        if (!map.ok()) return map.failure();
        const Status reserved = reserve(address, bytes);
        if (!reserved.ok()) return reserved.failure();
        size_t entries = 0;
        for (BootBytes rest = *map; !rest.empty(); ++entries) {
            const uint64_t where = address.value() + (bytes - rest.size());
            const size_t size = rest.size() < entry_header_bytes ? 0 : field32(rest, 0);
            if (rest.size() < entry_header_bytes || size > rest.size() - entry_header_bytes) {
                builder_.note(RepairKind::truncated_entry, where, rest.size());
                break;
            }
            if (size < entry_least_bytes) return Failure{Error::bad_boot_information, where};
            const BootBytes entry = rest.subspan(entry_header_bytes, size);
            add_e820(builder_, field64(entry, 0), field64(entry, 8), field32(entry, 16));
            rest = rest.subspan(entry_header_bytes + size, rest.size() - entry_header_bytes - size);
        }
        return entries;
    }

    [[gnu::noinline]] Status parse_modules(PhysicalAddress address, size_t count) {
        if (count == 0) return {};
        if (count > boot_module_capacity) return Failure{Error::too_many, address.value()};
        const auto list = read_bytes(read_, address, count * module_bytes);
        if (!list.ok()) return list.failure();
        Status done = reserve(address, list->size());
        for (size_t i = 0; done.ok() && i < count; ++i) {
            const BootBytes fields = list->subspan(i * module_bytes, module_bytes);
            const char* command_line = nullptr;
            done = parse_string(field32(fields, 8), command_line);
            if (!done.ok()) return done;
            done = add_module(builder_, information_, field32(fields, 0), field32(fields, 4),
                              command_line);
        }
        return done;
    }

    PhysicalReader read_;
    MemoryMapBuilder& builder_;
    BootInformation& information_;
};

}  // namespace

Status parse_multiboot1(PhysicalAddress address, PhysicalReader read, MemoryMapBuilder& builder,
                        BootInformation& information) {
    return Parser(read, builder, information).parse(address);
}

}  // namespace quire::detail
