/* SPDX-License-Identifier: Apache-2.0 */
/* Leader epochs and where they begin. */
#include "broker/log/epoch_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/checkpoint_file.h"
#include "common/memory.h"

void epoch_cache_init(struct epoch_cache *cache)
{
    *cache = (struct epoch_cache){0};
}

void epoch_cache_release(struct epoch_cache *cache)
{
    free(cache->entries);
    epoch_cache_init(cache);
}

void epoch_cache_clear(struct epoch_cache *cache)
{
    if (cache->count > 0)
        cache->changed = true;
    cache->count = 0;
}

static void add_entry(struct epoch_cache *cache, int32_t epoch, int64_t start_offset)
{
    cache->entries = memory_grow(cache->entries, cache->count, &cache->capacity, sizeof(*cache->entries));
    cache->entries[cache->count++] = (struct epoch_entry){epoch, start_offset};
    cache->changed = true;
}

void epoch_cache_assign(struct epoch_cache *cache, int32_t epoch, int64_t start_offset)
{
    if (cache->count > 0) {
        const struct epoch_entry *latest = &cache->entries[cache->count - 1];
        if (latest->epoch == epoch && start_offset >= latest->start_offset)
            return;
    }
    while (cache->count > 0 && (cache->entries[cache->count - 1].epoch >= epoch ||
                                cache->entries[cache->count - 1].start_offset >= start_offset))
        cache->count--;
    add_entry(cache, epoch, start_offset);
}

void epoch_cache_truncate_from_end(struct epoch_cache *cache, int64_t offset)
{
    while (cache->count > 0 && cache->entries[cache->count - 1].start_offset >= offset) {
        cache->count--;
        cache->changed = true;
    }
}

void epoch_cache_truncate_from_start(struct epoch_cache *cache, int64_t offset)
{
    size_t below = 0;
    while (below < cache->count && cache->entries[below].start_offset <= offset)
        below++;
    if (below == 0 || (below == 1 && cache->entries[0].start_offset == offset))
        return;
    memmove(cache->entries, cache->entries + below - 1, (cache->count - below + 1) * sizeof(*cache->entries));
    cache->count -= below - 1;
    cache->entries[0].start_offset = offset;
    cache->changed = true;
}

int32_t epoch_cache_latest(const struct epoch_cache *cache)
{
    return cache->count > 0 ? cache->entries[cache->count - 1].epoch : -1;
}

/* How many entries start at or below `offset`. */
static size_t count_started(const struct epoch_cache *cache, int64_t offset)
{
    size_t low = 0, high = cache->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cache->entries[middle].start_offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t epoch_cache_at(const struct epoch_cache *cache, int64_t offset)
{
    size_t started = count_started(cache, offset);
    return started > 0 ? cache->entries[started - 1].epoch : -1;
}

void epoch_cache_end(const struct epoch_cache *cache, int32_t epoch, int64_t log_end_offset,
                     int32_t *found_epoch, int64_t *end_offset)
{
    *found_epoch = -1;
    *end_offset = -1;
    int32_t latest = epoch_cache_latest(cache);
    if (epoch < 0 || latest < 0 || epoch > latest)
        return;
    if (epoch == latest) {
        *found_epoch = epoch;
        *end_offset = log_end_offset;
        return;
    }
    size_t above = 0;
    while (cache->entries[above].epoch <= epoch)
        above++;
    *found_epoch = above == 0 ? epoch : cache->entries[above - 1].epoch;
    *end_offset = cache->entries[above].start_offset;
}

void epoch_cache_format(const struct epoch_cache *cache, struct buffer *out)
{
    buffer_print(out, "0\n%zu\n", cache->count);
    for (size_t i = 0; i < cache->count; i++)
        buffer_print(out, "%" PRId32 " %" PRId64 "\n", cache->entries[i].epoch,
                     cache->entries[i].start_offset);
}

static int parse_entry(struct epoch_cache *cache, struct slice line)
{
    int64_t epoch, start;
    if (checkpoint_take_number(&line, 0, INT32_MAX, &epoch) || line.length == 0 ||
        checkpoint_take_number(&line, 0, INT64_MAX, &start) || line.length > 0)
        return -EBADMSG;
    if (cache->count > 0) {
        const struct epoch_entry *last = &cache->entries[cache->count - 1];
        if (epoch <= last->epoch || start < last->start_offset)
            return -EBADMSG;
        if (start == last->start_offset)
            cache->count--;
    }
    add_entry(cache, (int32_t)epoch, start);
    return 0;
}

int epoch_cache_parse(struct epoch_cache *cache, struct slice text)
{
    struct checkpoint_reader reader;
    struct slice line;
    cache->count = 0;
    int result = checkpoint_reader_init(&reader, text);
    while (result >= 0 && (result = checkpoint_reader_next(&reader, &line)) > 0)
        result = parse_entry(cache, line);
    if (result < 0)
        cache->count = 0;
    cache->changed = false;
    return result;
}
