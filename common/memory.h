/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that succeeds or ends the process. Sizes that a peer announces never come here unchecked: they
 * are bounded by an arena's budget or by the bytes that have arrived.
 */
#ifndef COMMON_MEMORY_H
#define COMMON_MEMORY_H

#include "common/base.h"

/* As malloc, calloc, realloc, strdup; the caller frees with free(). Never NULL, also for size 0. */
void *memory_allocate(size_t size);
void *memory_allocate_zeroed(size_t count, size_t size);
void *memory_resize(void *pointer, size_t size);
char *memory_copy_string(const char *string);
/* A NUL-terminated copy of `length` bytes. */
char *memory_copy_bytes(const void *bytes, size_t length);

/*
 * Makes room for one more element in a growing array: returns `array`, moved and doubled when `count` has
 * reached *capacity.
 */
void *memory_grow(void *array, size_t count, size_t *capacity, size_t element_size);

#endif
