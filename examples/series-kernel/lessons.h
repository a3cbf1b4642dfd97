/* SPDX-License-Identifier: MIT */
/* What a kernel of the series does with its memory, one thing after the other. */
#ifndef LESSONS_H
#define LESSONS_H

#include <stdint.h>

struct trap;

void lessons(void);
void lessons_page_fault(struct trap* trap, uint32_t address);

#endif
