/* SPDX-License-Identifier: MIT */
/* Code of this kernel that never heard of Quire: it writes page tables through the slot. */
#ifndef DRIVER_H
#define DRIVER_H

#include "quire/series.h"

enum { DRIVER_TABLES = 2 };
extern ptable driver_tables[DRIVER_TABLES];

/* Shows the text screen through a table of its own; returns where, in the kernel's part. */
virtual_addr driver_map(unsigned table);

#endif
