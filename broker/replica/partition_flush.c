/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition's way to the disk: group commit. An append never syncs. Whoever waits for durability waits as
 * for the high watermark, and the host is asked for one flush, however many wait; those who come while it
 * runs share the next one:
 *
 *     nothing asked --records beyond flush.messages, a whole segment--> asked --begin--> running
 *          ^                                                                                |
 *          '---- end: what is durable now is acknowledged; where more has come: asked again ('
 *
 * At most one flush that was asked for runs at a time. partition_flush may come beside it: they sync one
 * after the other (flush_gate.h).
 */
#include <errno.h>

#include "broker/replica/partition_internal.h"

static bool is_wanted(const struct partition *partition, enum flush_urgency urgency)
{
    if (partition->closed || partition_log_failure(partition->log) != 0)
        return false;
    bool awaited = partition_core_durable_end(&partition->core) < partition->core.log_end_offset;
    if (urgency == FLUSH_AWAITED)
        return awaited;
    return partition->flush_aged || (!awaited && partition_log_wants_flush(partition->log));
}

struct flush_wishes partition_note_flush_wishes(struct partition *partition)
{
    struct flush_wishes wishes = {.wanted = {false}};
    const struct partition_host *host = partition->host;
    if (host == NULL || host->flush_wanted == NULL || partition->flushes_running > 0 || partition->flush_held)
        return wishes;
    for (int urgency = 0; urgency < FLUSH_URGENCIES; urgency++) {
        wishes.wanted[urgency] =
            !partition->flush_asked[urgency] && is_wanted(partition, (enum flush_urgency)urgency);
        if (wishes.wanted[urgency])
            partition->flush_asked[urgency] = true;
    }
    return wishes;
}

/* A failure of the log is told to all who wait here, not when the next tick finds it. */
static int begin_locked(struct partition *partition, int64_t now_ms, struct log_flush **flush,
                        struct partition_effects *effects)
{
    int error = partition_log_flush_begin(partition->log, flush);
    if (error != 0) {
        *flush = NULL;
        partition->flush_held = true;
        partition_fail_with_log(partition, effects);
        return error;
    }
    if (partition->flushes_running++ == 0) {
        partition->flushing_since_ms = partition->unflushed_since_ms;
        partition->flushing_aged = partition->flush_aged;
    }
    partition->flush_aged = false;
    partition->unflushed_since_ms = now_ms; /* what is appended from here on is not in it */
    return 0;
}

int partition_flush_begin(struct partition *partition, enum flush_urgency urgency, int64_t now_ms,
                          struct log_flush **flush)
{
    struct partition_effects effects;
    int error = 0;
    *flush = NULL;
    partition_enter(partition, &effects);
    partition->flush_asked[urgency] = false;
    /* A log that has failed wants nothing; those who wait hear of it here. */
    if (!partition_fail_with_log(partition, &effects) && partition->flushes_running == 0 &&
        (is_wanted(partition, FLUSH_AWAITED) || is_wanted(partition, FLUSH_AT_EASE)))
        error = begin_locked(partition, now_ms, flush, &effects);
    partition_leave(partition, &effects);
    return error;
}

/* The flush is of this log. What it did not make durable waits since when it came. */
static int end_locked(struct partition *partition, struct log_flush *flush, int error)
{
    int64_t end_offset = log_flush_end_offset(flush);
    partition->flushes_running--;
    error = partition_log_flush_end(partition->log, flush, error);
    partition->flush_held = error != 0;
    if (partition_log_recovery_point(partition->log) < end_offset) {
        partition->unflushed_since_ms = partition->flushing_since_ms;
        partition->flush_aged = partition->flushing_aged;
    }
    return error;
}

int partition_flush_end(struct partition *partition, struct log_flush *flush, int error, int64_t now_ms)
{
    struct partition_effects effects;
    partition_enter(partition, &effects);
    if (partition->closed || !log_flush_is_of(flush, partition->log)) {
        log_flush_free(flush); /* a failure is its directory's by now */
        error = 0;
    } else {
        error = end_locked(partition, flush, error);
    }
    if (!partition->closed && !partition_fail_with_log(partition, &effects))
        partition_sync_core(partition, now_ms, &effects);
    partition_leave(partition, &effects);
    return error;
}

int partition_flush(struct partition *partition, int64_t now_ms)
{
    struct partition_effects effects;
    struct log_flush *flush = NULL;
    int error = 0;
    partition_enter(partition, &effects);
    if (!partition->closed)
        error = begin_locked(partition, now_ms, &flush, &effects);
    partition_leave(partition, &effects);
    if (flush == NULL)
        return error;
    return partition_flush_end(partition, flush, log_flush_run(flush), now_ms);
}

void partition_ask_for_aged_flush(struct partition *partition, int64_t now_ms)
{
    struct partition_effects effects;
    partition_enter(partition, &effects);
    if (!partition->closed &&
        partition_log_recovery_point(partition->log) < partition_log_end_offset(partition->log)) {
        if (partition->unflushed_since_ms < 0)
            partition->unflushed_since_ms = now_ms;
        partition->flush_aged =
            now_ms - partition->unflushed_since_ms >= partition_log_settings(partition->log)->flush_ms;
    }
    partition_leave(partition, &effects);
}

const struct log_health *partition_directory_health(struct partition *partition)
{
    return atomic_load(&partition->health);
}
