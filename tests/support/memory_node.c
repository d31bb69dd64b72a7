/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories in memory, with what a power cut leaves of them. */
#include "tests/support/memory_node.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/memory.h"

#define SECTOR_BYTES 512

struct memory_node *memory_node_new(bool is_directory)
{
    struct memory_node *node = memory_allocate_zeroed(1, sizeof(*node));
    node->references = 1;
    node->is_directory = is_directory;
    node->counted = !is_directory;
    buffer_init(&node->content);
    buffer_init(&node->durable);
    if (is_directory)
        node->entries = map_new(1);
    return node;
}

struct memory_node *memory_node_take(struct memory_node *node)
{
    node->references++;
    return node;
}

static void forget_name_changes(struct memory_node *node, size_t from)
{
    for (size_t i = from; i < node->name_changes_count; i++) {
        memory_node_release(node->name_changes[i].before);
        free(node->name_changes[i].name);
    }
    node->name_changes_count = from;
}

void memory_node_forget_changes(struct memory_node *node)
{
    for (size_t i = 0; i < node->changes_count; i++)
        free(node->changes[i].data);
    node->changes_count = 0;
}

void memory_node_release(struct memory_node *node)
{
    if (!node || --node->references > 0)
        return;
    if (node->is_directory) {
        size_t position = 0;
        void *child;
        while (map_next(node->entries, &position, NULL, &child))
            memory_node_release(child);
        map_free(node->entries);
        forget_name_changes(node, 0);
        free(node->name_changes);
    }
    memory_node_forget_changes(node);
    free(node->changes);
    buffer_release(&node->content);
    buffer_release(&node->durable);
    free(node);
}

/* ---- files ---- */

static void apply_write(struct buffer *target, const uint8_t *data, size_t length, size_t offset)
{
    if (length == 0)
        return;
    size_t end = offset + length;
    if (end > target->length) {
        size_t old = target->length;
        buffer_extend(target, end - old);
        if (offset > old)
            memset(target->data + old, 0, offset - old);
    }
    memcpy(target->data + offset, data, length);
}

static void apply_cut(struct buffer *target, size_t size)
{
    if (size > target->length) {
        size_t more = size - target->length;
        memset(buffer_extend(target, more), 0, more);
    }
    target->length = size;
}

static struct memory_change *add_change(struct memory_node *node)
{
    node->changes =
        memory_grow(node->changes, node->changes_count, &node->changes_capacity, sizeof(*node->changes));
    return &node->changes[node->changes_count++];
}

void memory_node_write(struct memory_node *node, const uint8_t *data, size_t length, size_t offset)
{
    apply_write(&node->content, data, length, offset);
    uint8_t *copy = memory_allocate(length);
    memcpy(copy, data, length);
    *add_change(node) = (struct memory_change){copy, length, offset};
}

void memory_node_cut(struct memory_node *node, size_t size)
{
    apply_cut(&node->content, size);
    *add_change(node) = (struct memory_change){NULL, 0, size};
}

static void apply_changes(const struct memory_node *node, struct buffer *target)
{
    for (size_t i = 0; i < node->changes_count; i++) {
        const struct memory_change *change = &node->changes[i];
        if (change->data)
            apply_write(target, change->data, change->length, change->offset);
        else
            apply_cut(target, change->offset);
    }
}

void memory_node_sync(struct memory_node *node)
{
    apply_changes(node, &node->durable);
    memory_node_forget_changes(node);
}

void memory_node_flip_changes(struct memory_node *node, size_t offset, uint8_t mask)
{
    for (size_t i = 0; i < node->changes_count; i++) {
        struct memory_change *change = &node->changes[i];
        if (change->data && offset >= change->offset && offset - change->offset < change->length)
            change->data[offset - change->offset] ^= mask;
    }
}

void memory_node_forget_cache(struct memory_node *node)
{
    size_t size = node->content.length;
    buffer_clear(&node->content);
    buffer_append(&node->content, node->durable.data, node->durable.length);
    apply_changes(node, &node->content);
    apply_cut(&node->content, size); /* the size is not a page */
}

/* A write that the power cut met: whole, gone, or with some of its sectors on the platter. */
static void settle_write(struct memory_node *node, const struct memory_change *change, struct prng *prng)
{
    uint64_t fate = prng_below(prng, 4);
    if (fate == 0)
        return;
    if (fate <= 2) {
        apply_write(&node->durable, change->data, change->length, change->offset);
        return;
    }
    size_t at = 0;
    while (at < change->length) {
        size_t in_sector = SECTOR_BYTES - (change->offset + at) % SECTOR_BYTES;
        size_t piece = min_size(in_sector, change->length - at);
        if (prng_one_in(prng, 2))
            apply_write(&node->durable, change->data + at, piece, change->offset + at);
        at += piece;
    }
}

static void settle_file(struct memory_node *node, struct prng *prng)
{
    for (size_t i = 0; i < node->changes_count; i++) {
        const struct memory_change *change = &node->changes[i];
        if (change->data)
            settle_write(node, change, prng);
        else if (prng_one_in(prng, 2))
            apply_cut(&node->durable, change->offset);
        else
            break;
    }
    memory_node_forget_changes(node);
    buffer_clear(&node->content);
    buffer_append(&node->content, node->durable.data, node->durable.length);
}

/* ---- directories ---- */

struct memory_node *memory_node_find(const struct memory_node *directory, struct slice name)
{
    return map_get(directory->entries, name);
}

/* Gives up the reference that the map held, to the caller. */
static struct memory_node *set_entry(struct memory_node *directory, struct slice name,
                                     struct memory_node *child)
{
    if (child)
        return map_put(directory->entries, name, memory_node_take(child));
    return map_remove(directory->entries, name);
}

void memory_node_set(struct memory_node *directory, struct slice name, struct memory_node *child,
                     bool with_next)
{
    struct memory_node *before = set_entry(directory, name, child);
    directory->name_changes =
        memory_grow(directory->name_changes, directory->name_changes_count, &directory->name_changes_capacity,
                    sizeof(*directory->name_changes));
    directory->name_changes[directory->name_changes_count++] =
        (struct memory_name_change){memory_copy_bytes(name.data, name.length), before, with_next};
}

void memory_node_sync_names(struct memory_node *directory)
{
    forget_name_changes(directory, 0);
}

static void settle_names(struct memory_node *directory, struct prng *prng)
{
    size_t keep = (size_t)prng_below(prng, directory->name_changes_count + 1);
    while (keep > 0 && directory->name_changes[keep - 1].with_next)
        keep--;
    for (size_t i = directory->name_changes_count; i > keep; i--) {
        struct memory_name_change *change = &directory->name_changes[i - 1];
        memory_node_release(set_entry(directory, slice_of(change->name), change->before));
    }
    forget_name_changes(directory, 0);
}

void memory_node_settle(struct memory_node *node, struct prng *prng)
{
    node->locked = false;
    node->counted = !node->is_directory;
    if (!node->is_directory) {
        if (prng)
            settle_file(node, prng);
        return;
    }
    if (prng)
        settle_names(node, prng);
    size_t position = 0;
    void *child;
    while (map_next(node->entries, &position, NULL, &child))
        memory_node_settle(child, prng);
}

size_t memory_node_bytes(const struct memory_node *node)
{
    size_t bytes = node->content.length;
    size_t position = 0;
    void *child;
    while (node->is_directory && map_next(node->entries, &position, NULL, &child))
        bytes += memory_node_bytes(child);
    return bytes;
}
