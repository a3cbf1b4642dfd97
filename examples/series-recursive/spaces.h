/* SPDX-License-Identifier: MIT */
/* A second address space, and page faults taken on purpose. */
#ifndef SPACES_H
#define SPACES_H

#include <stdint.h>

struct trap;

void two_spaces(void);
void page_faults(void);
void spaces_page_fault(struct trap* trap, uint32_t address);

#endif
