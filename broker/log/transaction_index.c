/* SPDX-License-Identifier: Apache-2.0 */
/* Aborted transactions: entries in memory, and their file. */
#include "broker/log/transaction_index.h"

#include <errno.h>
#include <stdlib.h>

#include "common/buffer.h"
#include "common/bytes.h"
#include "common/check.h"
#include "common/memory.h"

#define ENTRY_VERSION 0
/* More than seven million aborted transactions in one segment are not believed. */
#define FILE_BYTES_MAX ((size_t)256 * 1024 * 1024)

void transaction_index_init(struct transaction_index *index, struct file_system *files, const char *path)
{
    *index = (struct transaction_index){.files = files, .path = memory_copy_string(path)};
}

void transaction_index_release(struct transaction_index *index)
{
    free(index->entries);
    free(index->path);
    *index = (struct transaction_index){0};
}

void transaction_index_set_missing(struct transaction_index *index)
{
    index->count = 0;
    index->written = 0;
    index->file_known = true;
    index->loaded = true;
}

void transaction_index_set_present(struct transaction_index *index)
{
    index->file_known = false;
    index->loaded = false;
}

/* ---- bytes ---- */

static void encode(const struct aborted_transaction *entries, size_t count, struct buffer *out)
{
    for (size_t i = 0; i < count; i++) {
        writer_u16(out, ENTRY_VERSION);
        writer_u64(out, (uint64_t)entries[i].producer_id);
        writer_u64(out, (uint64_t)entries[i].first_offset);
        writer_u64(out, (uint64_t)entries[i].last_offset);
        writer_u64(out, (uint64_t)entries[i].last_stable_offset);
    }
}

static struct aborted_transaction decode(const uint8_t *at)
{
    return (struct aborted_transaction){(int64_t)load_u64(at + 2), (int64_t)load_u64(at + 10),
                                        (int64_t)load_u64(at + 18), (int64_t)load_u64(at + 26)};
}

/* Whether the bytes are entries, each of which may stand in a segment of [base_offset, end_offset). */
static bool is_sane(const struct buffer *bytes, int64_t base_offset, int64_t end_offset)
{
    int64_t lowest = base_offset;
    if (bytes->length % TRANSACTION_INDEX_ENTRY_BYTES != 0)
        return false;
    for (size_t at = 0; at < bytes->length; at += TRANSACTION_INDEX_ENTRY_BYTES) {
        struct aborted_transaction entry = decode(bytes->data + at);
        if (load_u16(bytes->data + at) != ENTRY_VERSION || entry.producer_id < 0 || entry.first_offset < 0 ||
            entry.first_offset >= entry.last_offset || entry.last_offset < lowest ||
            entry.last_offset >= end_offset)
            return false;
        lowest = entry.last_offset + 1;
    }
    return true;
}

int transaction_index_read_file(struct file_system *files, const char *path, int64_t base_offset,
                                int64_t end_offset, struct aborted_transaction **entries, size_t *count)
{
    struct buffer bytes;
    buffer_init(&bytes);
    *entries = NULL;
    *count = 0;
    int error = file_system_read_all(files, path, FILE_BYTES_MAX, &bytes);
    if (error == -ENOENT) {
        buffer_release(&bytes);
        return 0;
    }
    if (error == -EFBIG || (!error && !is_sane(&bytes, base_offset, end_offset)))
        error = -EBADMSG;
    if (!error && bytes.length > 0) {
        *count = bytes.length / TRANSACTION_INDEX_ENTRY_BYTES;
        *entries = memory_allocate(*count * sizeof(**entries));
        for (size_t i = 0; i < *count; i++)
            (*entries)[i] = decode(bytes.data + i * TRANSACTION_INDEX_ENTRY_BYTES);
    }
    buffer_release(&bytes);
    return error;
}

int transaction_index_load(struct transaction_index *index, int64_t base_offset, int64_t end_offset)
{
    if (index->loaded)
        return 0;
    struct aborted_transaction *entries;
    size_t count;
    int error =
        transaction_index_read_file(index->files, index->path, base_offset, end_offset, &entries, &count);
    if (error)
        return error;
    free(index->entries);
    index->entries = entries;
    index->count = count;
    index->capacity = count;
    index->written = count;
    index->file_known = true;
    index->loaded = true;
    return 0;
}

/* ---- changes in memory ---- */

void transaction_index_restart(struct transaction_index *index)
{
    bool no_file = index->file_known && index->written == 0;
    index->count = 0;
    index->written = 0;
    index->file_known = no_file;
    index->loaded = true;
}

void transaction_index_append(struct transaction_index *index, const struct aborted_transaction *entry)
{
    CHECK(index->loaded);
    /* A transaction ends behind its first record. One that does not comes from a damaged state of producers,
     * and covers nothing. */
    if (entry->first_offset >= entry->last_offset)
        return;
    if (index->count > 0 && index->entries[index->count - 1].last_offset >= entry->last_offset)
        return; /* only in a damaged segment */
    index->entries = memory_grow(index->entries, index->count, &index->capacity, sizeof(*index->entries));
    index->entries[index->count++] = *entry;
}

void transaction_index_truncate(struct transaction_index *index, int64_t offset)
{
    CHECK(index->loaded);
    while (index->count > 0 && index->entries[index->count - 1].last_offset >= offset)
        index->count--;
    if (index->written > index->count) {
        index->written = index->count;
        index->file_known = false;
    }
}

/* ---- the file ---- */

static int write_at(struct transaction_index *index, struct file *file, size_t from)
{
    int64_t position = (int64_t)(from * TRANSACTION_INDEX_ENTRY_BYTES);
    int error = index->file_known ? 0 : file_truncate(index->files, file, position);
    if (error || from == index->count)
        return error;
    struct buffer bytes;
    buffer_init(&bytes);
    encode(index->entries + from, index->count - from, &bytes);
    struct iovec part = {bytes.data, bytes.length};
    error = file_write_all(index->files, file, &part, 1, position);
    buffer_release(&bytes);
    return error;
}

int transaction_index_write(struct transaction_index *index, bool *name_changed)
{
    if (!index->loaded || (index->file_known && index->written == index->count))
        return 0;
    if (index->must_replace) { /* half of it, after a crash, might pass for the whole */
        *name_changed = true;
        return transaction_index_replace(index);
    }
    if (index->count == 0) {
        *name_changed = true;
        return transaction_index_remove(index);
    }
    if (index->written == 0)
        *name_changed = true;
    struct file *file;
    int error = file_open(index->files, index->path, FILE_CREATE, &file);
    if (error)
        return error;
    error = write_at(index, file, index->written);
    int close_error = file_close(index->files, file);
    error = error ? error : close_error;
    index->version++;
    index->file_known = error == 0;
    if (!error)
        index->written = index->count;
    return error;
}

int transaction_index_replace(struct transaction_index *index)
{
    index->must_replace = index->count > 0;
    if (index->count == 0)
        return transaction_index_remove(index);
    struct buffer bytes;
    buffer_init(&bytes);
    encode(index->entries, index->count, &bytes);
    int error = file_system_replace(index->files, index->path, bytes.data, bytes.length);
    buffer_release(&bytes);
    if (error)
        return error;
    index->must_replace = false;
    index->written = index->count;
    index->file_known = true;
    index->synced = ++index->version;
    return 0;
}

int transaction_index_remove(struct transaction_index *index)
{
    int error = file_system_remove(index->files, index->path);
    if (error && error != -ENOENT)
        return error;
    index->written = 0;
    index->file_known = true;
    index->synced = ++index->version;
    return 0;
}

int transaction_index_write_file(struct file_system *files, const char *path,
                                 const struct aborted_transaction *entries, size_t count)
{
    if (count == 0)
        return 0;
    struct file *file;
    int error = file_open(files, path, FILE_CREATE, &file);
    if (error)
        return error;
    struct buffer bytes;
    buffer_init(&bytes);
    encode(entries, count, &bytes);
    struct iovec part = {bytes.data, bytes.length};
    error = file_truncate(files, file, 0);
    if (!error)
        error = file_write_all(files, file, &part, 1, 0);
    if (!error)
        error = file_sync(files, file);
    int close_error = file_close(files, file);
    buffer_release(&bytes);
    return error ? error : close_error;
}

/* ---- questions ---- */

bool transaction_index_collect(const struct transaction_index *index, int64_t from, int64_t to,
                               transaction_visit *visit, void *context)
{
    CHECK(index->loaded);
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->entries[middle].last_offset < from)
            low = middle + 1;
        else
            high = middle;
    }
    for (size_t i = low; i < index->count; i++) {
        const struct aborted_transaction *entry = &index->entries[i];
        if (entry->first_offset < to)
            visit(context, entry);
        if (entry->last_stable_offset >= to)
            return true;
    }
    return false;
}
