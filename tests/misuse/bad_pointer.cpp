// SPDX-License-Identifier: MIT
// What is freed is no block: a pointer from elsewhere, one into a block, one that no allocation can
// have had; or it is a block of another size.
#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "misuse.hpp"

namespace misuse {
namespace {

alignas(64) unsigned char in_static_data[8192] = {1};
alignas(64) unsigned char in_bss[8192];
alignas(64) const unsigned char in_constant_data[256] = {1};
alignas(16) thread_local unsigned char in_thread_data[256];

Effect free_it(const volatile void* pointer) {
    free(hide(const_cast<void*>(pointer)));
    return Effect::done;
}

unsigned char* map_pages() {
    void* pages =
        mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(pages != MAP_FAILED, "no memory");
    return static_cast<unsigned char*>(pages);
}

// What a boundary-tag heap keeps before a block, with its flag for a used neighbour: sizes that
// agree with one another.
unsigned char* put_tags_at(unsigned char* at, size_t bytes) {
    const uint64_t size = ((bytes + 15) & ~uint64_t{15}) | 1;
    for (size_t offset = 0; offset < 2 * bytes; offset += size & ~uint64_t{15}) {
        const uint64_t before = 0;
        memcpy(at + offset, &before, 8);
        memcpy(at + offset + 8, &size, 8);
    }
    return at + 16;
}

Effect stack(size_t) {
    alignas(16) volatile unsigned char array[256] = {};
    return free_it(array + 64);
}
Effect stack_with_tags(size_t) {
    alignas(16) unsigned char array[1024] = {};
    return free_it(put_tags_at(array, 64));
}
Effect stack_of_a_thread(size_t) {
    in_thread([](void*) { stack(0); }, nullptr);
    return Effect::done;
}
Effect static_data(size_t) {
    return free_it(in_static_data + 64);
}
Effect static_data_with_tags(size_t) {
    return free_it(put_tags_at(in_static_data, 64));
}
Effect bss(size_t) {
    return free_it(in_bss + 4096);
}
Effect constant_data(size_t) {
    return free_it(in_constant_data + 64);
}
Effect thread_data(size_t) {
    return free_it(in_thread_data + 64);
}
Effect code(size_t) {
    return free_it(hide((reinterpret_cast<uintptr_t>(&code) + 15) & ~15ull));
}
Effect environment(size_t) {
    return free_it(hide((reinterpret_cast<uintptr_t>(environ[0]) + 15) & ~15ull));
}
Effect mapped_page(size_t) {
    return free_it(map_pages());
}
Effect inside_mapped_page(size_t) {
    return free_it(map_pages() + 4096 + 64);
}
Effect mapped_page_with_tags(size_t) {
    return free_it(put_tags_at(map_pages(), 64));
}
Effect program_break(size_t) {
    void* memory = sbrk(8192);
    require(memory != reinterpret_cast<void*>(-1), "no memory");
    const auto start = reinterpret_cast<uintptr_t>(memory);
    return free_it(hide((start + 4095) & ~4095ull));
}
Effect small_number(size_t) {
    return free_it(hide(uintptr_t{0x40}));
}
Effect wild(size_t) {
    return free_it(hide(uintptr_t{0x123456789ab0}));
}
Effect wild_unaligned(size_t) {
    return free_it(hide(uintptr_t{0x123456789abd}));
}
Effect wild_near_a_block(size_t bytes) {
    return free_it(moved(get(bytes), ptrdiff_t{64} << 30));
}
Effect not_canonical(size_t) {
    return free_it(hide(uintptr_t{0x4141414141414140}));
}
Effect upper_half(size_t) {
    return free_it(hide(uintptr_t{0xffff'8000'0000'1000}));
}
Effect unmapped_page(size_t) {
    unsigned char* pages = map_pages();
    munmap(pages, 1 << 20);
    return free_it(pages + 64);
}
// Another heap's: its blocks lie in its own pages, with a word of its own before each.
Effect of_another_heap(size_t bytes) {
    unsigned char* pages = map_pages();
    const uint64_t word = bytes;
    memcpy(pages + 8, &word, sizeof word);
    return free_it(pages + 16);
}
Effect by_delete(size_t) {
    alignas(16) volatile unsigned char array[256] = {};
    ::operator delete(hide(const_cast<unsigned char*>(array + 64)));
    return Effect::done;
}

constexpr Row foreign_rows[] = {
    {"stack", stack, {}},
    {"stack-with-tags", stack_with_tags, {}},
    {"stack-of-a-thread", stack_of_a_thread, {}},
    {"static-data", static_data, {}},
    {"static-data-with-tags", static_data_with_tags, {}},
    {"bss", bss, {}},
    {"constant-data", constant_data, {}},
    {"thread-data", thread_data, {}},
    {"code", code, {}},
    {"environment", environment, {}},
    {"mapped-page", mapped_page, {}},
    {"inside-mapped-page", inside_mapped_page, {}},
    {"mapped-page-with-tags", mapped_page_with_tags, {}},
    {"program-break", program_break, {}},
    {"small-number", small_number, {}},
    {"wild", wild, {}},
    {"wild-unaligned", wild_unaligned, {}},
    {"wild-near-a-block", wild_near_a_block, {}},
    {"not-canonical", not_canonical, {}},
    {"upper-half", upper_half, {}},
    {"unmapped-page", unmapped_page, {}},
    {"of-another-heap", of_another_heap, {}},
    {"by-delete", by_delete, {}},
};

// Memory from elsewhere is used beside the heap's, and given back where it came from.
void foreign_control() {
    unsigned char* pages = map_pages();
    unsigned char* block = get(medium);
    memcpy(pages, block, medium);
    memcpy(in_bss, pages, medium);
    free(block);
    munmap(pages, 1 << 20);
    free(hide(static_cast<void*>(nullptr)));
}

// ---- into a block
// --------------------------------------------------------------------------------

template <int bytes_on>
Effect moved_on(size_t bytes) {
    return free_it(moved(get(bytes), bytes_on));
}
Effect half_way(size_t bytes) {
    return free_it(moved(get(bytes), static_cast<ptrdiff_t>(bytes / 2 & ~size_t{15})));
}
Effect last_granule(size_t bytes) {
    return free_it(moved(get(bytes), static_cast<ptrdiff_t>((bytes - 1) & ~size_t{15})));
}
Effect tags_inside(size_t bytes) {
    return free_it(put_tags_at(get(bytes), bytes / 4));
}
Effect second_page(size_t bytes) {
    return free_it(moved(get(bytes), 4096));
}
Effect before_the_start(size_t bytes) {
    Neighbours blocks(bytes);
    return free_it(moved(blocks.in_the_middle(), -16));
}
Effect interior_in_a_thread(size_t bytes) {
    free_in_thread(moved(get(bytes), 16));
    return Effect::done;
}

constexpr Row interior_rows[] = {
    {"16-bytes-on", moved_on<16>, {small, medium, large}},
    {"half-way", half_way, {small, medium, large}},
    {"last-granule", last_granule, {small, medium, large}},
    {"tags-inside", tags_inside, {medium, large}},
    {"second-page", second_page, {large}},
    {"before-the-start", before_the_start, {small, medium, large}},
    {"in-a-thread", interior_in_a_thread, {small, medium, large}},
};
constexpr Row misaligned_rows[] = {
    {"1-byte-on", moved_on<1>, {small, medium, large}},
    {"4-bytes-on", moved_on<4>, {small, medium, large}},
    {"8-bytes-on", moved_on<8>, {small, medium, large}},
    {"1-byte-before", moved_on<-1>, {small, medium, large}},
};

// Pointers wander through a block and come back.
void interior_control() {
    for (const size_t bytes : {small, power, medium, large}) {
        unsigned char* at = get(bytes);
        for (size_t i = 0; i < bytes; ++i)
            *at++ = 1;
        free(at - bytes);
    }
}
// Blocks of every alignment.
void misaligned_control() {
    for (size_t alignment = sizeof(void*); alignment <= 65536; alignment *= 2) {
        void* block = nullptr;
        require(posix_memalign(&block, alignment, small) == 0, "no memory");
        require((reinterpret_cast<uintptr_t>(block) & (alignment - 1)) == 0, "not aligned");
        free(hide(block));
    }
}

// ---- of another size
// -----------------------------------------------------------------------------

template <class Wrong>
Effect delete_with(size_t bytes, Wrong wrong) {
    void* block = hide(::operator new(bytes));
    memset(block, 1, bytes);
    ::operator delete(block, wrong(bytes));
    return Effect::done;
}
Effect one_less(size_t bytes) {
    return delete_with(bytes, [](size_t right) { return right - 1; });
}
Effect one_more(size_t bytes) {
    return delete_with(bytes, [](size_t right) { return right + 1; });
}
Effect half(size_t bytes) {
    return delete_with(bytes, [](size_t right) { return right / 2; });
}
Effect twice(size_t bytes) {
    return delete_with(bytes, [](size_t right) { return right * 2; });
}
Effect far_too_large(size_t bytes) {
    return delete_with(bytes, [](size_t right) { return right << 20; });
}
Effect array_by_its_element(size_t bytes) {
    void* block = hide(::operator new[](bytes));
    ::operator delete[](block, bytes / 4);
    return Effect::done;
}

constexpr Row wrong_size_rows[] = {
    {"one-less", one_less, {small, medium, large}},
    {"one-more", one_more, {small, medium, large}},
    {"half", half, {small, medium, large}},
    {"twice", twice, {small, medium, large}},
    {"far-too-large", far_too_large, {small, medium, large}},
    {"array-by-its-element", array_by_its_element, {small, medium, large}},
};

void wrong_size_control() {
    for (size_t bytes = 0; bytes < 5000; ++bytes) {
        ::operator delete(hide(::operator new(bytes)), bytes);
        ::operator delete[](hide(::operator new[](bytes)), bytes);
    }
    ::operator delete(hide(::operator new(large)), large);
    ::operator delete(hide(::operator new(small, std::align_val_t{512})), small,
                      std::align_val_t{512});
}

}  // namespace

extern const Class foreign_free, interior_free, misaligned_free, wrong_size_free;
const Class foreign_free{"foreign-free", foreign_rows, foreign_control};
const Class interior_free{"interior-free", interior_rows, interior_control};
const Class misaligned_free{"misaligned-free", misaligned_rows, misaligned_control};
const Class wrong_size_free{"wrong-size-free", wrong_size_rows, wrong_size_control};

}  // namespace misuse
