/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers, files and syncs of compaction. */
#include "broker/log/clean_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_names.h"
#include "common/memory.h"
#include "proto/records/batch.h"

/* What a buffer that had to grow for one batch may keep. */
#define KEPT_FACTOR 4

static bool is_stopped(const struct clean_host *host)
{
    return host->stopped && host->stopped(host->context);
}

static void throttle(const struct clean_host *host, size_t bytes)
{
    if (host->throttle)
        host->throttle(host->context, bytes);
}

static void trim(struct buffer *buffer, size_t chunk_bytes)
{
    if (buffer->capacity <= chunk_bytes * KEPT_FACTOR)
        return;
    buffer_release(buffer);
    buffer_init(buffer);
}

/* ---- reading ---- */

void clean_reader_init(struct clean_reader *reader, struct file_system *files, const struct clean_host *host,
                       size_t chunk_bytes)
{
    *reader = (struct clean_reader){.files = files, .host = host, .chunk_bytes = max_size(chunk_bytes, 1)};
    buffer_init(&reader->chunk);
}

void clean_reader_release(struct clean_reader *reader)
{
    clean_reader_close(reader);
    buffer_release(&reader->chunk);
}

int clean_reader_open(struct clean_reader *reader, const char *path, int64_t size_bytes)
{
    clean_reader_close(reader);
    reader->position = 0;
    reader->end = size_bytes;
    return file_open(reader->files, path, FILE_READ, &reader->file);
}

void clean_reader_close(struct clean_reader *reader)
{
    if (reader->file)
        file_close(reader->files, reader->file);
    reader->file = NULL;
    reader->used = 0;
    buffer_clear(&reader->chunk);
    trim(&reader->chunk, reader->chunk_bytes);
}

/* Brings at least `wanted` bytes from the reader's position into the chunk. 0, or -errno. */
static int fill(struct clean_reader *reader, size_t wanted)
{
    size_t left = reader->chunk.length - reader->used;
    if (left >= wanted)
        return 0;
    if (is_stopped(reader->host))
        return -ECANCELED;
    if (reader->used > 0 && left > 0)
        memmove(reader->chunk.data, reader->chunk.data + reader->used, left);
    reader->chunk.length = left;
    reader->used = 0;
    int64_t in_file = reader->end - reader->position - (int64_t)left;
    size_t more = min_size(max_size(wanted, reader->chunk_bytes) - left, (size_t)in_file);
    uint8_t *at = buffer_reserve(&reader->chunk, more);
    ssize_t got = file_read(reader->files, reader->file, at, more, reader->position + (int64_t)left);
    if (got < 0)
        return (int)got;
    reader->chunk.length += (size_t)got;
    throttle(reader->host, (size_t)got);
    return left + (size_t)got < wanted ? CLEAN_ERROR_SHORT : 0;
}

int clean_reader_next(struct clean_reader *reader, struct slice *bytes)
{
    int64_t left = reader->end - reader->position;
    if (left == 0)
        return 0;
    if (left < RECORD_ENTRY_MAGIC_BYTES)
        return -EBADMSG;
    int error = fill(reader, RECORD_ENTRY_MAGIC_BYTES);
    if (error)
        return error;
    size_t size = 0;
    int magic;
    struct slice there = slice_make(reader->chunk.data + reader->used, reader->chunk.length - reader->used);
    if (record_entry_peek(there, &size, &magic) == -EBADMSG || (int64_t)size > left)
        return -EBADMSG;
    error = fill(reader, size);
    if (error)
        return error;
    *bytes = slice_make(reader->chunk.data + reader->used, size);
    reader->used += size;
    reader->position += (int64_t)size;
    return 1;
}

/* ---- writing ---- */

static const char *output_path(const struct clean_output *output, enum log_file_kind kind,
                               struct buffer *path)
{
    buffer_clear(path);
    buffer_print(path, "%s/", output->directory);
    log_file_name_format(path, (struct log_file_name){kind, LOG_FILE_CLEANED, output->base_offset});
    return buffer_string(path);
}

void clean_output_init(struct clean_output *output, struct file_system *files, const struct clean_host *host,
                       const char *directory, int64_t index_interval_bytes, size_t chunk_bytes)
{
    *output = (struct clean_output){.files = files,
                                    .host = host,
                                    .directory = memory_copy_string(directory),
                                    .index_interval_bytes = index_interval_bytes,
                                    .chunk_bytes = max_size(chunk_bytes, 1)};
    buffer_init(&output->pending);
}

static void forget(struct clean_output *output)
{
    if (output->file)
        file_close(output->files, output->file);
    output->file = NULL;
    if (output->made) {
        offset_index_release(&output->offsets);
        time_index_release(&output->times);
    }
    output->made = false;
    output->has_transactions = false;
    buffer_clear(&output->pending);
    trim(&output->pending, output->chunk_bytes);
}

void clean_output_release(struct clean_output *output)
{
    clean_output_abandon(output);
    buffer_release(&output->pending);
    free(output->directory);
}

void clean_output_handed_over(struct clean_output *output)
{
    forget(output);
}

int clean_output_abandon(struct clean_output *output)
{
    static const enum log_file_kind kinds[] = {LOG_FILE_LOG, LOG_FILE_OFFSET_INDEX, LOG_FILE_TIME_INDEX,
                                               LOG_FILE_TRANSACTION_INDEX};
    if (!output->made)
        return 0;
    int first_error = 0;
    struct buffer path;
    buffer_init(&path);
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        int error = file_system_remove(output->files, output_path(output, kinds[i], &path));
        first_error = first_error || error == -ENOENT ? first_error : error;
    }
    buffer_release(&path);
    forget(output);
    return first_error;
}

int clean_output_begin(struct clean_output *output, int64_t base_offset)
{
    struct buffer path;
    buffer_init(&path);
    output->base_offset = base_offset;
    output->size_bytes = 0;
    output->bytes_since_index_entry = 0;
    output->max_timestamp = -1;
    output->max_timestamp_offset = base_offset;
    offset_index_init(&output->offsets, output->files, output_path(output, LOG_FILE_OFFSET_INDEX, &path),
                      base_offset);
    time_index_init(&output->times, output->files, output_path(output, LOG_FILE_TIME_INDEX, &path),
                    base_offset);
    output->made = true;
    int error =
        file_open(output->files, output_path(output, LOG_FILE_LOG, &path), FILE_CREATE, &output->file);
    if (!error)
        error = file_truncate(output->files, output->file, 0);
    buffer_release(&path);
    return error;
}

static int write_pending(struct clean_output *output)
{
    if (output->pending.length == 0)
        return 0;
    struct iovec part = {output->pending.data, output->pending.length};
    int64_t position = output->size_bytes - (int64_t)output->pending.length;
    int error = file_write_all(output->files, output->file, &part, 1, position);
    throttle(output->host, output->pending.length);
    buffer_clear(&output->pending);
    trim(&output->pending, output->chunk_bytes);
    return error;
}

int clean_output_took(struct clean_output *output, const struct clean_result *batch)
{
    if (batch->size_bytes == 0)
        return 0;
    int64_t position = output->size_bytes;
    output->size_bytes += (int64_t)batch->size_bytes;
    if (output->size_bytes > INT32_MAX) /* a horizon makes a batch a little larger */
        return -EFBIG;
    if (batch->max_timestamp > output->max_timestamp) {
        output->max_timestamp = batch->max_timestamp;
        output->max_timestamp_offset = batch->last_offset;
    }
    if (output->bytes_since_index_entry > output->index_interval_bytes) {
        offset_index_append(&output->offsets, batch->last_offset, position);
        time_index_append(&output->times, output->max_timestamp, output->max_timestamp_offset);
        output->bytes_since_index_entry = 0;
    }
    output->bytes_since_index_entry += (int64_t)batch->size_bytes;
    return output->pending.length >= output->chunk_bytes ? write_pending(output) : 0;
}

/* An index is a hint: where it could not be written it is made anew later. 0, or what must stop us. */
static int write_index(struct clean_output *output, struct index_file *index)
{
    int error = index_file_write(index);
    struct file *file;
    if (error || index->changed)
        return error;
    error = file_open(output->files, index->path, FILE_WRITE, &file);
    if (error)
        return error;
    error = file_sync(output->files, file);
    file_close(output->files, file);
    return error;
}

int clean_output_finish(struct clean_output *output, const struct aborted_transaction *aborted,
                        size_t aborted_count, int64_t modified_ms)
{
    struct buffer path;
    buffer_init(&path);
    int error = write_pending(output);
    if (!error)
        error = file_sync(output->files, output->file);
    time_index_append(&output->times, output->max_timestamp, output->max_timestamp_offset);
    if (!error)
        error = write_index(output, &output->offsets.file);
    if (!error)
        error = write_index(output, &output->times.file);
    if (!error && aborted_count > 0) {
        output->has_transactions = true;
        error = transaction_index_write_file(
            output->files, output_path(output, LOG_FILE_TRANSACTION_INDEX, &path), aborted, aborted_count);
    }
    if (!error)
        error =
            file_system_set_modified(output->files, output_path(output, LOG_FILE_LOG, &path), modified_ms);
    buffer_release(&path);
    return error;
}
