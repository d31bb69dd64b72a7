/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files and directories of memory_files: content as the process sees it, what of it is durable, and the
 * changes in between. Not thread-safe: memory_files locks.
 */
#ifndef TESTS_SUPPORT_MEMORY_NODE_H
#define TESTS_SUPPORT_MEMORY_NODE_H

#include <sys/uio.h>

#include "common/base.h"
#include "common/buffer.h"
#include "common/map.h"
#include "common/prng.h"

/* A change of a file since its last sync: bytes written at `offset`, or (data == NULL) a cut to `offset`. */
struct memory_change {
    uint8_t *data;
    size_t length;
    size_t offset;
};

/* A change of a name since the directory's last sync, with what stood there before. */
struct memory_name_change {
    char *name;
    struct memory_node *before; /* holds a reference; NULL: there was none */
    bool with_next;             /* one operation with the change that follows (rename) */
};

struct memory_node {
    int references; /* names, open files, and changes that remember it */
    bool is_directory;
    bool locked;
    bool counted; /* a file whose bytes count as used: it has a name */
    int64_t modified_ms;
    /* a file */
    struct buffer content;
    struct buffer durable;
    struct memory_change *changes;
    size_t changes_count;
    size_t changes_capacity;
    /* a directory */
    struct map *entries; /* name -> struct memory_node, holding a reference */
    struct memory_name_change *name_changes;
    size_t name_changes_count;
    size_t name_changes_capacity;
};

struct memory_node *memory_node_new(bool is_directory);
struct memory_node *memory_node_take(struct memory_node *node);
void memory_node_release(struct memory_node *node);

/* ---- files ---- */
void memory_node_write(struct memory_node *node, const uint8_t *data, size_t length, size_t offset);
void memory_node_cut(struct memory_node *node, size_t size);
void memory_node_sync(struct memory_node *node);
/* XORs the byte wherever it is to be written. */
void memory_node_flip_changes(struct memory_node *node, size_t offset, uint8_t mask);
/* The content becomes what is durable with the changes since: what a failed sync has lost reads as zeros. */
void memory_node_forget_cache(struct memory_node *node);
/* What a failed sync does: nothing becomes durable, and nobody remembers that it should. */
void memory_node_forget_changes(struct memory_node *node);

/* ---- directories ---- */
struct memory_node *memory_node_find(const struct memory_node *directory, struct slice name);
/* Puts `child` (a reference is taken) under the name, or removes the name (NULL). */
void memory_node_set(struct memory_node *directory, struct slice name, struct memory_node *child,
                     bool with_next);
void memory_node_sync_names(struct memory_node *directory);

/* What is left of the node and everything under it after a power cut, or (prng NULL) after all is synced. */
void memory_node_settle(struct memory_node *node, struct prng *prng);

/* Bytes of all files at and under the node. */
size_t memory_node_bytes(const struct memory_node *node);

#endif
