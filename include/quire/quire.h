/* SPDX-License-Identifier: MIT */
/*
 * The C face of Quire: the whole of it in some thirty functions, for kernels written in C.
 *
 * There is one memory manager behind it. Call quire_start once, early, on one CPU; or, in a kernel
 * that also has C++, hand yours over with quire::use_from_c (quire/c_face.hpp).
 *
 * Unless said otherwise every function returns QUIRE_OK or the error that says why nothing
 * happened: on failure nothing has changed. Addresses and sizes of pages are multiples of 4096.
 * Locks as the C++ managers do; not for interrupt handlers.
 */
#ifndef QUIRE_QUIRE_H
#define QUIRE_QUIRE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
/* A structure and a function may share a name, as POSIX's stat do; GCC warns of it in C++. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif

/* Errors, in the order of quire::Error. */
enum quire_error {
    QUIRE_OK,
    QUIRE_MISALIGNED,
    QUIRE_ZERO_SIZE,
    QUIRE_OVERFLOW,
    QUIRE_OUT_OF_RANGE,
    QUIRE_BAD_ARGUMENT,
    QUIRE_UNSUPPORTED,
    QUIRE_OUT_OF_FRAMES,
    QUIRE_OUT_OF_ADDRESS_SPACE,
    QUIRE_OUT_OF_NODES,
    QUIRE_OUT_OF_MEMORY,
    QUIRE_TOO_MANY,
    QUIRE_ALREADY_MAPPED,
    QUIRE_NOT_MAPPED,
    QUIRE_ALREADY_FREE,
    QUIRE_IN_USE,
    QUIRE_RESERVED,
    QUIRE_FOREIGN,
    QUIRE_UNREACHABLE,
    QUIRE_NO_REGION,
    QUIRE_ACCESS_DENIED,
    QUIRE_GUARD_HIT,
    QUIRE_BUSY,
    QUIRE_BAD_BOOT_INFORMATION,
    QUIRE_TRUNCATED,
    QUIRE_NO_USABLE_MEMORY,
    QUIRE_CORRUPTED
};
/* One sentence; never null. */
const char* quire_error_text(int error);

/* Rights of a mapping; combine with |. */
enum quire_rights {
    QUIRE_READ = 1,
    QUIRE_WRITE = 2,
    QUIRE_EXECUTE = 4,
    QUIRE_USER = 8,
    QUIRE_GLOBAL = 16
};

enum quire_memory_type {
    QUIRE_WRITE_BACK,
    QUIRE_WRITE_THROUGH,
    QUIRE_WRITE_COMBINING,
    QUIRE_UNCACHED,
    QUIRE_DEVICE
};

/* ---- start --------------------------------------------------------------------------------- */

/* How page tables are reached once Quire's own table is active. */
enum quire_reach { QUIRE_REACH_DIRECT, QUIRE_REACH_RECURSIVE, QUIRE_REACH_WINDOW };

/* Something mapped from the first moment: a section of the image, a text screen. */
struct quire_mapping {
    uintptr_t address;
    uint64_t physical;
    size_t bytes;
    unsigned rights;
    enum quire_memory_type type;
    const char* name;
};

struct quire_start {
    /* The boot loader's magic number and what it left, Multiboot 1 or 2, as on entry. */
    uint32_t multiboot_magic;
    uint32_t multiboot_information;
    /* The kernel's image in physical memory, end excluded. */
    uint64_t image_begin, image_end;
    const struct quire_mapping* fixed;
    size_t fixed_count;

    enum quire_reach reach;
    /* Where things go in the kernel's half of the address space; ends included. */
    uintptr_t kernel_first, kernel_last;
    uintptr_t direct_map_first, direct_map_last;    /* QUIRE_REACH_DIRECT only */
    uintptr_t metadata_first, metadata_last;        /* 1 MiB serves 4 GiB of RAM; 2 more are used */
    uintptr_t windows_first, windows_last;          /* 4 MiB, aligned */
    unsigned self_slot, foreign_slot, scratch_slot; /* QUIRE_REACH_RECURSIVE only */

    /* The pages through which the boot mapping can show any frame: a leaf page table of yours in
       static memory that the boot mapping uses. At least 64 pages; half of them, from the first
       on, show the boot information while it is read. */
    uintptr_t boot_window;
    void* boot_window_entries;
    size_t boot_window_pages;

    /* One line of text, without its line break; may be null. Severity: 0 debug to 3 error. */
    void (*log)(int severity, const char* text);
    /* Must not return. */
    void (*panic)(const char* text);
};
/* Builds everything: memory map, page table, frames, address space, heap. The structure is copied;
   the names in it must stay. */
int quire_start(const struct quire_start* start);

/* ---- physical memory ----------------------------------------------------------------------- */

/* `count` frames that follow one another; *physical is the first one's address. */
int quire_frames_allocate(size_t count, uint64_t* physical);
/* The same, with the last byte at or below `highest` and the first aligned to `alignment` bytes. */
int quire_frames_allocate_below(size_t count, uint64_t highest, uint64_t alignment,
                                uint64_t* physical);
int quire_frames_free(uint64_t physical, size_t count);
/* Frames owned, and free ones among them. */
void quire_frames_count(uint64_t* total, uint64_t* free_frames);

/* ---- virtual memory ------------------------------------------------------------------------ */

/* Zeroed memory somewhere in the kernel's half, on whatever frames there are. */
int quire_pages_allocate(size_t bytes, unsigned rights, void** address);
/* Shows physical memory somewhere in the kernel's half. */
int quire_map(uint64_t physical, size_t bytes, unsigned rights, enum quire_memory_type type,
              void** address);
/* Shows physical memory at `address`. */
int quire_map_at(void* address, uint64_t physical, size_t bytes, unsigned rights,
                 enum quire_memory_type type);
/* Ends what the three above made, in whole or in part. */
int quire_unmap(void* address, size_t bytes);
int quire_protect(void* address, size_t bytes, unsigned rights);

struct quire_query {
    uint64_t physical; /* of the address asked about; valid when `present` */
    int present;
    unsigned rights;
    enum quire_memory_type type;
    uintptr_t region_address;
    size_t region_bytes;
    const char* region_name;
};
int quire_query(const void* address, struct quire_query* answer);

/* To be called from the page-fault handler with CR2 and the error code's bits. QUIRE_OK: run the
   instruction again. Otherwise `report` holds several lines of text that say what happened. */
struct quire_fault {
    uintptr_t address;
    uintptr_t instruction;
    int write, user, execute, present;
};
int quire_fault(const struct quire_fault* fault, char* report, size_t report_bytes);

/* ---- heap ---------------------------------------------------------------------------------- */

/* Null when memory is out. A block freed twice, a foreign pointer and an overrun found at free end
   in `panic` with a report. */
void* quire_malloc(size_t bytes);
void* quire_calloc(size_t count, size_t bytes);
void* quire_realloc(void* block, size_t bytes);
void* quire_aligned_alloc(size_t alignment, size_t bytes);
void quire_free(void* block);
/* As quire_free, and the size (and alignment) must be what was asked for: another ends in `panic`.
   (C23's free_sized and free_aligned_sized.) */
void quire_free_sized(void* block, size_t bytes);
void quire_free_aligned_sized(void* block, size_t alignment, size_t bytes);
/* Bytes that can be used; 0 for what is no block. */
size_t quire_malloc_usable_size(const void* block);
/* Gives back what the heap keeps for reuse; how many bytes. */
size_t quire_malloc_trim(void);
/* Live blocks, the bytes asked for in them, and the bytes of memory that the heap has. */
void quire_malloc_count(size_t* blocks, size_t* live_bytes, size_t* committed_bytes);

/* ---- memory for devices -------------------------------------------------------------------- */

/* `bytes`, rounded up to whole pages, of zeroed memory that is contiguous: its last byte at or
   below `highest`, its first aligned to `alignment` bytes (a power of two), and no multiple of
   `boundary` inside (a power of two; 0: any may be). */
int quire_device_allocate(uint64_t bytes, uint64_t highest, uint64_t alignment, uint64_t boundary,
                          void** address, uint64_t* physical);
/* By the address; QUIRE_FOREIGN for any other. */
int quire_device_free(void* address);

#ifdef __cplusplus
#pragma GCC diagnostic pop
}
#endif

#endif
