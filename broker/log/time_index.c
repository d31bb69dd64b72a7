/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps to offsets. */
#include "broker/log/time_index.h"

#include "common/bytes.h"

static struct time_index_entry entry_at(const struct time_index *index, size_t number)
{
    const uint8_t *at = index_file_entry(&index->file, number);
    return (struct time_index_entry){(int64_t)load_u64(at), index->base_offset + (int32_t)load_u32(at + 8)};
}

void time_index_init(struct time_index *index, struct file_system *files, const char *path,
                     int64_t base_offset)
{
    index_file_init(&index->file, files, path, TIME_INDEX_ENTRY_BYTES);
    index->base_offset = base_offset;
}

void time_index_release(struct time_index *index)
{
    index_file_release(&index->file);
}

int time_index_load(struct time_index *index)
{
    int error = index_file_load(&index->file);
    struct time_index_entry last = {-1, index->base_offset};
    size_t sane = 0;
    for (; sane < index_file_count(&index->file); sane++) {
        struct time_index_entry entry = entry_at(index, sane);
        /* Zeroes are the unused tail of a preallocated file, not a record of 1970. */
        if (entry.timestamp <= last.timestamp || entry.offset < last.offset ||
            (entry.timestamp == 0 && entry.offset == index->base_offset))
            break;
        last = entry;
    }
    index->file.entries.length = sane * TIME_INDEX_ENTRY_BYTES;
    return error;
}

struct time_index_entry time_index_last(const struct time_index *index)
{
    size_t count = index_file_count(&index->file);
    return count > 0 ? entry_at(index, count - 1) : (struct time_index_entry){-1, index->base_offset};
}

void time_index_append(struct time_index *index, int64_t timestamp, int64_t offset)
{
    struct time_index_entry last = time_index_last(index);
    int64_t relative = offset - index->base_offset;
    if (timestamp <= last.timestamp || offset < last.offset || relative > INT32_MAX ||
        (timestamp == 0 && relative == 0))
        return;
    uint8_t bytes[TIME_INDEX_ENTRY_BYTES];
    store_u64(bytes, (uint64_t)timestamp);
    store_u32(bytes + 8, (uint32_t)relative);
    index_file_append(&index->file, bytes);
}

struct time_index_entry time_index_find(const struct time_index *index, int64_t timestamp)
{
    size_t low = 0, high = index_file_count(&index->file);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry_at(index, middle).timestamp <= timestamp)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? entry_at(index, low - 1) : (struct time_index_entry){-1, index->base_offset};
}

int time_index_truncate(struct time_index *index, int64_t offset)
{
    size_t keep = index_file_count(&index->file);
    while (keep > 0 && entry_at(index, keep - 1).offset >= offset)
        keep--;
    return index_file_truncate(&index->file, keep);
}
