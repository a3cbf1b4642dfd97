/* SPDX-License-Identifier: MIT */
/*
 * A kernel in C on Quire's C face: from the boot loader to a heap, a page on demand of nobody's
 * page-table entry, and a fault report, in one file.
 */
#include "quire/quire.h"

#include "machine.h"

/* From linker.ld and boot.S; the addresses are the values. */
extern char image_begin[], image_end[], virtual_offset[];
extern char text_begin[], rodata_begin[], data_begin[], data_end[];
extern uint32_t boot_window[1024];

static void log_line(int severity, const char* text) {
    if (severity >= 2) print("quire: %s\n", text);
}

static void panic(const char* text) {
    print("panic: %s\n", text);
    stop(STOP_BADLY);
}

static struct quire_mapping section(const char* name, char* begin, char* end, unsigned rights) {
    return (struct quire_mapping){
        .address = (uintptr_t)begin,
        .physical = (uintptr_t)begin - (uintptr_t)virtual_offset,
        .bytes = (size_t)(end - begin),
        .rights = rights | QUIRE_GLOBAL,
        .type = QUIRE_WRITE_BACK,
        .name = name,
    };
}

static void start_memory(uint32_t magic, uint32_t information) {
    const struct quire_mapping fixed[] = {
        section("text", text_begin, rodata_begin, QUIRE_READ | QUIRE_EXECUTE),
        section("rodata", rodata_begin, data_begin, QUIRE_READ),
        section("data", data_begin, data_end, QUIRE_READ | QUIRE_WRITE),
    };
    const struct quire_start start = {
        .multiboot_magic = magic,
        .multiboot_information = information,
        .image_begin = (uintptr_t)image_begin,
        .image_end = (uintptr_t)image_end,
        .fixed = fixed,
        .fixed_count = sizeof(fixed) / sizeof(fixed[0]),
        .reach = QUIRE_REACH_DIRECT,
        .kernel_first = 0xC0000000,
        .kernel_last = 0xFF3FFFFF,
        .direct_map_first = 0xD0000000,
        .direct_map_last = 0xEFFFFFFF,
        .metadata_first = 0xFEC00000,
        .metadata_last = 0xFEFFFFFF,
        .windows_first = 0xFF000000,
        .windows_last = 0xFF3FFFFF,
        .boot_window = 0xFF800000,
        .boot_window_entries = boot_window,
        .boot_window_pages = 1024,
        .log = log_line,
        .panic = panic,
    };
    const int error = quire_start(&start);
    if (error != QUIRE_OK) panic(quire_error_text(error));
}

static void require(int error, const char* what) {
    if (error == QUIRE_OK) return;
    print("%s: %s\n", what, quire_error_text(error));
    stop(STOP_BADLY);
}

/* Faults that Quire resolves go unseen; this one is provoked, reported, and mended by hand. */
static uintptr_t provoked;

void page_fault(uintptr_t address, uint32_t code, uintptr_t instruction) {
    const struct quire_fault fault = {
        .address = address,
        .instruction = instruction,
        .present = (code & 1) != 0,
        .write = (code & 2) != 0,
        .user = (code & 4) != 0,
    };
    static char report[1024];
    if (quire_fault(&fault, report, sizeof(report)) == QUIRE_OK) return;
    print("%s\n", report);
    if (address != provoked) stop(STOP_BADLY);
    require(quire_protect((void*)address, 4096, QUIRE_READ | QUIRE_WRITE), "protect");
}

static void show_heap(void) {
    char* const name = quire_malloc(100);
    if (name == NULL) panic("no memory for a hundred bytes");
    name[0] = 'Q';
    char* const longer = quire_realloc(name, 100000);
    if (longer == NULL || longer[0] != 'Q') panic("reallocation lost the contents");
    print("heap: a block of %u bytes at 0x%x\n", (unsigned)quire_malloc_usable_size(longer),
          (unsigned)(uintptr_t)longer);
    quire_free(longer);
}

static void show_pages(void) {
    void* address = NULL;
    require(quire_pages_allocate(8192, QUIRE_READ | QUIRE_WRITE, &address), "allocate");
    volatile uint32_t* const word = address;
    *word = 42;
    struct quire_query answer;
    require(quire_query(address, &answer), "query");
    print("pages: 0x%x lies at physical 0x%x\n", (unsigned)(uintptr_t)address,
          (unsigned)answer.physical);

    require(quire_protect(address, 4096, QUIRE_READ), "protect");
    provoked = (uintptr_t)address;
    print("a store to a page that may only be read:\n");
    *word = 43; /* faults, is reported, and is let through by page_fault() */
    if (*word != 43) panic("the store was lost");
    require(quire_unmap(address, 8192), "unmap");
}

void kernel_main(uint32_t magic, uint32_t information);

void kernel_main(uint32_t magic, uint32_t information) {
    take_page_faults();
    start_memory(magic, information);
    uint64_t total = 0, free_frames = 0;
    quire_frames_count(&total, &free_frames);
    print("frames: %u owned, %u free\n", (unsigned)total, (unsigned)free_frames);
    show_heap();
    show_pages();
    print("a kernel in C stands on Quire\n");
    stop(STOP_WELL);
}
