/* SPDX-License-Identifier: MIT */
/* What a kernel of the series does with its memory, one thing after the other. */
#ifndef LESSONS_H
#define LESSONS_H

#include <stdint.h>

struct trap;

/* Where the message goes, which a later boot could read: the end of memory. Not to be handed out.
 */
uint32_t lessons_message_block(void);
void lessons(void);
void lessons_page_fault(struct trap* trap, uint32_t address);

#endif
