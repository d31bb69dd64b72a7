/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation that succeeds or ends the process: the one place where an allocation can fail is here. */
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

/* Size 0 is asked for as 1: malloc(0) and realloc(p, 0) may give NULL. */
static size_t at_least_one(size_t size)
{
    return size == 0 ? 1 : size;
}

void *memory_allocate(size_t size)
{
    void *pointer = malloc(at_least_one(size));
    CHECK(pointer != NULL);
    return pointer;
}

void *memory_allocate_zeroed(size_t count, size_t size)
{
    void *pointer = calloc(at_least_one(count), at_least_one(size));
    CHECK(pointer != NULL);
    return pointer;
}

void *memory_resize(void *pointer, size_t size)
{
    void *moved = realloc(pointer, at_least_one(size));
    CHECK(moved != NULL);
    return moved;
}

char *memory_copy_string(const char *string)
{
    return memory_copy_bytes(string, strlen(string));
}

char *memory_copy_bytes(const void *bytes, size_t length)
{
    CHECK(length < SIZE_MAX);
    char *copy = memory_allocate(length + 1);
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

void *memory_grow(void *array, size_t count, size_t *capacity, size_t element_size)
{
    if (array != NULL && count < *capacity)
        return array;
    size_t grown = *capacity < 4 ? 8 : *capacity;
    size_t bytes = 0;
    while (grown <= count) {
        bool fits = multiply_size(grown, 2, &grown);
        CHECK(fits);
    }
    bool fits = multiply_size(grown, element_size, &bytes);
    CHECK(fits);
    *capacity = grown;
    return memory_resize(array, bytes);
}
