/* SPDX-License-Identifier: Apache-2.0 */
/* Promises by offset. */
#include "tests/sim/ghost.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

void ghost_release(struct ghost *ghost)
{
    free(ghost->records);
    *ghost = (struct ghost){.records = NULL};
}

static void make_room(struct ghost *ghost, size_t offset)
{
    while (ghost->count <= offset) {
        ghost->records = memory_grow(ghost->records, ghost->count, &ghost->capacity, sizeof(*ghost->records));
        memset(&ghost->records[ghost->count++], 0, sizeof(*ghost->records));
    }
}

int64_t ghost_note(struct ghost *ghost, const struct scanned_batch *batch, bool acknowledged)
{
    int64_t conflict = -1;
    make_room(ghost, (size_t)batch->last_offset);
    for (int64_t offset = batch->base_offset; offset <= batch->last_offset; offset++) {
        struct ghost_record *record = &ghost->records[offset];
        if (record->known && record->hash != batch->hash && conflict < 0)
            conflict = offset;
        record->known = true;
        record->acknowledged = record->acknowledged || acknowledged;
        record->leader_epoch = batch->leader_epoch;
        record->hash = batch->hash;
    }
    return conflict;
}

int64_t ghost_compare(const struct ghost *ghost, const struct log_scan *scan, int64_t start)
{
    size_t at = 0;
    for (int64_t offset = start; offset < (int64_t)ghost->count; offset++) {
        const struct ghost_record *record = &ghost->records[offset];
        while (at < scan->count && scan->batches[at].last_offset < offset)
            at++;
        if (!record->known)
            continue;
        if (at == scan->count || scan->batches[at].base_offset > offset ||
            scan->batches[at].hash != record->hash)
            return offset;
    }
    return -1;
}
