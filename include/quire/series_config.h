/* SPDX-License-Identifier: MIT */
/*
 * The choices by which quire/series.h fits the kernel it lands in. All of them are made here, at
 * compile time: define a macro on the command line, for the library and for the kernel alike, where
 * the default does not fit. docs/from-the-series.md says which kernel wants which.
 */
#ifndef QUIRE_SERIES_CONFIG_H
#define QUIRE_SERIES_CONFIG_H

/* ---- how Quire reaches page tables and directories once paging is on -------------------------
 *
 * QUIRE_SERIES_DIRECT     Memory from physical zero up is mapped all the time: identity, as in the
 *                         tutorial (the default), or at an offset, as in many higher halves. Costs
 *                         no addresses of its own. Tables come from frames that the map shows and
 *                         from nowhere else; see QUIRE_SERIES_TABLE_RESERVE.
 * QUIRE_SERIES_RECURSIVE  A directory entry leads back to the directory: the kernel's own slot, any
 *                         of the 1024. Tables may lie anywhere in RAM. Costs 12 MiB of addresses:
 *                         that slot and two more, which the kernel leaves empty and to Quire.
 * QUIRE_SERIES_WINDOW     A few pages of the kernel's, pointed at whatever is needed: for kernels
 *                         that have neither. Told by series_set_window. Tables may lie anywhere.
 *                         Costs 4 to 16 pages, and an INVLPG for each table looked at.
 *
 * With the latter two, directories are shown at QUIRE_SERIES_DIRECTORY_ADDRESS. */
#define QUIRE_SERIES_DIRECT 0
#define QUIRE_SERIES_RECURSIVE 1
#define QUIRE_SERIES_WINDOW 2
#ifndef QUIRE_SERIES_REACH
#define QUIRE_SERIES_REACH QUIRE_SERIES_DIRECT
#endif

/* QUIRE_SERIES_DIRECT: physical p, below QUIRE_SERIES_MAP_BYTES, is at virtual
   QUIRE_SERIES_MAP_ADDRESS + p in every directory. Both are multiples of 4 MiB. At address 0 this
   is what vmmngr_initialize identity-maps. */
#ifndef QUIRE_SERIES_MAP_ADDRESS
#define QUIRE_SERIES_MAP_ADDRESS 0
#endif
#ifndef QUIRE_SERIES_MAP_BYTES
#define QUIRE_SERIES_MAP_BYTES 0x400000
#endif
/* QUIRE_SERIES_DIRECT: pmmngr_alloc_block hands out mapped memory first, as the tutorial's did,
   since kernels write to blocks through the map; but the last so many of those blocks only when
   there is nothing else, so that tables find some. */
#ifndef QUIRE_SERIES_TABLE_RESERVE
#define QUIRE_SERIES_TABLE_RESERVE 64
#endif

/* QUIRE_SERIES_RECURSIVE: the kernel's slot, and two entries that are empty in every directory and
   that nobody else uses. */
#ifndef QUIRE_SERIES_SELF_SLOT
#define QUIRE_SERIES_SELF_SLOT 1023
#endif
#ifndef QUIRE_SERIES_FOREIGN_SLOT
#define QUIRE_SERIES_FOREIGN_SLOT 1022
#endif
#ifndef QUIRE_SERIES_SCRATCH_SLOT
#define QUIRE_SERIES_SCRATCH_SLOT 1021
#endif

/* ---- address spaces ------------------------------------------------------------------------- */

/* Everything from here up is the kernel's, and the same in every directory; a multiple of 4 MiB. So
   is the map of QUIRE_SERIES_DIRECT, wherever it lies. Tables of this part are never freed, since
   all directories lead to them. */
#ifndef QUIRE_SERIES_KERNEL_ADDRESS
#define QUIRE_SERIES_KERNEL_ADDRESS 0xC0000000
#endif
/* How many directories there can be at a time; 8 bytes each. */
#ifndef QUIRE_SERIES_DIRECTORIES
#define QUIRE_SERIES_DIRECTORIES 64
#endif
/* QUIRE_SERIES_RECURSIVE and _WINDOW: a page for each directory, in the kernel's part and inside
   one 4 MiB, so that a pdirectory* can be read and written whichever directory is active. */
#ifndef QUIRE_SERIES_DIRECTORY_ADDRESS
#define QUIRE_SERIES_DIRECTORY_ADDRESS 0xFD000000
#endif
/* Flags of pages mapped by calls that have no argument for them (vmmngr_map_page,
   vmmngr_alloc_page, virMemMgr_MapPage): I86_PTE_WRITABLE, or that and I86_PTE_USER (2 | 4). */
#ifndef QUIRE_SERIES_MAP_PAGE_FLAGS
#define QUIRE_SERIES_MAP_PAGE_FLAGS 2
#endif

/* ---- books ---------------------------------------------------------------------------------- */

/* Where pmmngr_init keeps its books, which need more than the tutorial's bitmap: 4 KiB and 3.3 bits
   a block (109 KiB for 1 GiB).
   0: in static memory, enough for QUIRE_SERIES_MEMORY_KIB; pmmngr_init's second argument is not
   used and nothing is written there.
   Otherwise: no static memory; the kernel promises that so many bytes at the address that it passes
   to pmmngr_init are its own to give. pmmngr_init fails when they are too few (series_init_bytes
   says how many are wanted). */
#ifndef QUIRE_SERIES_BITMAP_BYTES
#define QUIRE_SERIES_BITMAP_BYTES 0
#endif
/* The most memory that static books serve; 4 GiB costs 422 KiB of .bss, 128 MiB costs 17 KiB. */
#ifndef QUIRE_SERIES_MEMORY_KIB
#define QUIRE_SERIES_MEMORY_KIB 0x400000
#endif

/* ---- locks, reports ------------------------------------------------------------------------- */

/* 1: Quire takes a spin lock around each call, so several CPUs may call at once. Interrupts are
   left as they are: a handler on a CPU that is inside a call must not make another. 0: the kernel
   has locks of its own around every call, or one CPU and no handlers that call. Saves two atomic
   operations a call. */
#ifndef QUIRE_SERIES_LOCK
#define QUIRE_SERIES_LOCK 1
#endif
/* 1: each failure is a line for the function given to series_set_log. Costs 1 KiB of code. */
#ifndef QUIRE_SERIES_LOG
#ifdef NDEBUG
#define QUIRE_SERIES_LOG 0
#else
#define QUIRE_SERIES_LOG 1
#endif
#endif

#endif
