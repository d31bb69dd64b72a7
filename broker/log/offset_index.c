/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets to positions. */
#include "broker/log/offset_index.h"

#include "common/bytes.h"

struct entry {
    int64_t offset; /* relative to the base */
    int64_t position;
};

static struct entry entry_at(const struct offset_index *index, size_t number)
{
    const uint8_t *at = index_file_entry(&index->file, number);
    return (struct entry){(int32_t)load_u32(at), (int32_t)load_u32(at + 4)};
}

void offset_index_init(struct offset_index *index, struct file_system *files, const char *path,
                       int64_t base_offset)
{
    index_file_init(&index->file, files, path, OFFSET_INDEX_ENTRY_BYTES);
    index->base_offset = base_offset;
}

void offset_index_release(struct offset_index *index)
{
    index_file_release(&index->file);
}

int offset_index_load(struct offset_index *index, int64_t segment_bytes)
{
    int error = index_file_load(&index->file);
    struct entry last = {0, 0};
    size_t sane = 0;
    for (; sane < index_file_count(&index->file); sane++) {
        struct entry entry = entry_at(index, sane);
        if (entry.offset <= last.offset || entry.position <= last.position || entry.position >= segment_bytes)
            break;
        last = entry;
    }
    index->file.entries.length = sane * OFFSET_INDEX_ENTRY_BYTES;
    return error;
}

void offset_index_append(struct offset_index *index, int64_t last_offset, int64_t position)
{
    int64_t relative = last_offset - index->base_offset;
    size_t count = index_file_count(&index->file);
    struct entry last = count > 0 ? entry_at(index, count - 1) : (struct entry){0, 0};
    if (relative <= last.offset || position <= last.position || relative > INT32_MAX || position > INT32_MAX)
        return;
    uint8_t bytes[OFFSET_INDEX_ENTRY_BYTES];
    store_u32(bytes, (uint32_t)relative);
    store_u32(bytes + 4, (uint32_t)position);
    index_file_append(&index->file, bytes);
}

/* How many entries have an offset (or, by_position, a position) at or below `target`. */
static size_t count_up_to(const struct offset_index *index, int64_t target, bool by_position)
{
    size_t low = 0, high = index_file_count(&index->file);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct entry entry = entry_at(index, middle);
        if ((by_position ? entry.position : entry.offset) <= target)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t offset_index_find(const struct offset_index *index, int64_t offset)
{
    size_t count = count_up_to(index, offset - index->base_offset, false);
    return count > 0 ? entry_at(index, count - 1).position : 0;
}

int64_t offset_index_find_position(const struct offset_index *index, int64_t position)
{
    size_t count = count_up_to(index, position, true);
    return count > 0 ? entry_at(index, count - 1).position : 0;
}

int64_t offset_index_find_behind(const struct offset_index *index, int64_t position)
{
    size_t count = count_up_to(index, position - 1, true);
    return count < index_file_count(&index->file) ? index->base_offset + entry_at(index, count).offset : -1;
}

int offset_index_truncate(struct offset_index *index, int64_t offset, int64_t position)
{
    size_t by_offset = count_up_to(index, offset - 1 - index->base_offset, false);
    size_t by_position = count_up_to(index, position - 1, true);
    return index_file_truncate(&index->file, by_offset < by_position ? by_offset : by_position);
}
