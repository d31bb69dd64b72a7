/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The partition's shell: lifetime, roles, appends of producers, ISR proposals and those who wait. Every entry
 * takes the mutex, lets core and log work, and leaves through partition_leave, which fires what must be fired
 * after the mutex is free.
 */
#include "broker/replica/partition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/replica/partition_internal.h"
#include "common/check.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

static void forget_watched(struct partition *partition)
{
    for (int kind = 0; kind < WATCH_KINDS; kind++)
        partition->watched_min[kind] = INT64_MAX;
}

struct partition *partition_new(const struct partition_options *options)
{
    struct partition *partition = memory_allocate_zeroed(1, sizeof(*partition));
    atomic_init(&partition->references, 1);
    partition->topic = memory_copy_bytes(options->topic.data, options->topic.length);
    partition->topic_id = options->topic_id;
    partition->number = options->partition;
    partition->host = options->host;
    partition->log = options->log;
    atomic_init(&partition->throttled_as_leader, false);
    atomic_init(&partition->throttled_as_follower, false);
    atomic_init(&partition->health, partition_log_health(options->log));
    pthread_mutex_init(&partition->mutex, NULL);
    list_init(&partition->watchers);
    forget_watched(partition);
    partition_core_init(&partition->core, options->broker_id, options->high_watermark,
                        partition_log_start_offset(options->log), partition_log_end_offset(options->log));
    partition_core_configure(&partition->core, options->min_insync_replicas,
                             options->replica_lag_time_max_ms);
    partition_core_configure_flush(&partition->core, partition_log_settings(options->log)->flush_messages);
    partition->core.recovery_point = partition_log_recovery_point(options->log);
    partition->unflushed_since_ms = -1;
    partition->core.faults = options->faults;
    return partition;
}

struct partition *partition_acquire(struct partition *partition)
{
    atomic_fetch_add_explicit(&partition->references, 1, memory_order_relaxed);
    return partition;
}

void partition_release(struct partition *partition)
{
    if (partition == NULL || atomic_fetch_sub_explicit(&partition->references, 1, memory_order_acq_rel) > 1)
        return;
    CHECK(list_is_empty(&partition->watchers));
    pthread_mutex_destroy(&partition->mutex);
    partition_core_release(&partition->core);
    free(partition->topic);
    free(partition);
}

struct slice partition_topic(const struct partition *partition)
{
    return slice_of(partition->topic);
}

struct uuid partition_topic_id(const struct partition *partition)
{
    return partition->topic_id;
}

int32_t partition_number(const struct partition *partition)
{
    return partition->number;
}

void partition_enter(struct partition *partition, struct partition_effects *effects)
{
    *effects = (struct partition_effects){0};
    pthread_mutex_lock(&partition->mutex);
}

static bool watch_holds(const struct partition *partition, enum watch_kind kind, int64_t offset)
{
    if (partition->closed)
        return true;
    switch (kind) {
    case WATCH_END:
        return partition->core.log_end_offset > offset;
    case WATCH_WRITTEN:
    case WATCH_DURABLE:
        return partition_core_durable_end(&partition->core) >= offset;
    case WATCH_LOG_STARTS:
        return partition->core.log_start_moves != offset;
    case WATCH_HIGH_WATERMARK:
    case WATCH_ACKNOWLEDGED:
        break;
    }
    return partition->core.high_watermark >= offset;
}

static void note_watched(struct partition *partition, const struct partition_watcher *watcher)
{
    int64_t *lowest = &partition->watched_min[watcher->_kind];
    *lowest = min_i64(*lowest, watcher->_offset);
}

/* Whether anybody's wait may be over. Of log starts all wait for a change from the same. */
static bool watches_may_hold(const struct partition *partition)
{
    for (int kind = 0; kind < WATCH_KINDS; kind++)
        if (partition->watched_min[kind] != INT64_MAX &&
            watch_holds(partition, (enum watch_kind)kind, partition->watched_min[kind]))
            return true;
    return false;
}

/* Moves those whose wait is over to `due`. */
static void take_due_watchers(struct partition *partition, bool all, struct list *due)
{
    if (!all && !watches_may_hold(partition))
        return;
    forget_watched(partition);
    list_for_each_safe(node, after, &partition->watchers)
    {
        struct partition_watcher *watcher = container_of(node, struct partition_watcher, _node);
        if (!all && !watch_holds(partition, watcher->_kind, watcher->_offset)) {
            note_watched(partition, watcher);
            continue;
        }
        list_remove(node);
        watcher->_armed = false;
        list_push_back(due, node);
    }
}

void partition_leave(struct partition *partition, const struct partition_effects *effects)
{
    struct list due;
    list_init(&due);
    if (!partition->closed)
        partition_log_on_high_watermark(partition->log, partition->core.high_watermark);
    take_due_watchers(partition, effects->role_changed, &due);
    struct partition_host *host = partition->host;
    bool propose = effects->proposal_wanted && host != NULL;
    struct flush_wishes flush = partition_note_flush_wishes(partition);
    pthread_mutex_unlock(&partition->mutex);

    struct list *node;
    while ((node = list_pop_front(&due)) != NULL) {
        struct partition_watcher *watcher = container_of(node, struct partition_watcher, _node);
        watcher->fire(watcher);
    }
    if (propose)
        host->proposal_wanted(host, partition);
    for (int urgency = 0; urgency < FLUSH_URGENCIES; urgency++)
        if (flush.wanted[urgency])
            host->flush_wanted(host, partition, (enum flush_urgency)urgency);
}

void partition_sync_core(struct partition *partition, int64_t now_ms, struct partition_effects *effects)
{
    int64_t recovery_point = partition_log_recovery_point(partition->log);
    int64_t end_offset = partition_log_end_offset(partition->log);
    if (recovery_point != partition->core.recovery_point)
        partition_core_on_durable(&partition->core, recovery_point, now_ms, effects);
    partition_core_on_log(&partition->core, partition_log_start_offset(partition->log), end_offset, now_ms,
                          effects);
    if (recovery_point >= end_offset)
        partition->unflushed_since_ms = -1;
    else if (partition->unflushed_since_ms < 0)
        partition->unflushed_since_ms = now_ms;
}

void partition_configure(struct partition *partition, const struct log_settings *settings,
                         int32_t min_insync_replicas)
{
    struct partition_effects effects;
    partition_enter(partition, &effects);
    if (!partition->closed)
        partition_log_configure(partition->log, settings);
    partition_core_configure(&partition->core, min_insync_replicas, partition->core.replica_lag_time_max_ms);
    /* The high watermark, where this lets it go on, follows with the next flush or tick. */
    partition_core_configure_flush(&partition->core, settings->flush_messages);
    partition_leave(partition, &effects);
}

void partition_set_throttled(struct partition *partition, bool as_leader, bool as_follower)
{
    atomic_store(&partition->throttled_as_leader, as_leader);
    atomic_store(&partition->throttled_as_follower, as_follower);
}

bool partition_is_throttled_as_leader(const struct partition *partition)
{
    return atomic_load_explicit(&partition->throttled_as_leader, memory_order_relaxed);
}

bool partition_is_throttled_as_follower(const struct partition *partition)
{
    return atomic_load_explicit(&partition->throttled_as_follower, memory_order_relaxed);
}

/* The epoch goes into the log's epoch cache before anybody learns that we lead in it (I4). */
static int16_t lead(struct partition *partition, const struct control_partition *state, int64_t now_ms,
                    struct partition_effects *effects)
{
    bool new_epoch =
        partition->core.role != ROLE_LEADER || state->leader_epoch > partition->core.leader_epoch;
    if (new_epoch && partition_log_begin_epoch(partition->log, state->leader_epoch) != 0)
        return KAFKA_KAFKA_STORAGE_ERROR;
    partition_core_apply_leader(&partition->core, state, now_ms, effects);
    return KAFKA_NONE;
}

static int16_t apply_state_locked(struct partition *partition, const struct control_partition *state,
                                  int64_t now_ms, struct partition_effects *effects)
{
    bool news;
    int16_t error = partition_core_check_state(&partition->core, state, &news);
    if (error != KAFKA_NONE || !news)
        return error;
    if (state->leader == partition->core.broker_id)
        return lead(partition, state, now_ms, effects);
    partition_core_apply_follower(&partition->core, state, effects);
    if (partition->core.faults.truncate_to_high_watermark && effects->role_changed &&
        partition_log_truncate(partition->log, partition->core.high_watermark, 0) == KAFKA_NONE)
        partition_sync_core(partition, now_ms, effects);
    return KAFKA_NONE;
}

/* A replica that cannot write or read its log does not lead: it would push those out that can. */
bool partition_fail_with_log(struct partition *partition, struct partition_effects *effects)
{
    if (partition->closed || partition_log_failure(partition->log) == 0)
        return false;
    partition_core_fail(&partition->core, effects);
    return true;
}

int16_t partition_apply_state(struct partition *partition, const struct control_partition *state,
                              int64_t now_ms, enum partition_role *role, bool *follow)
{
    struct partition_effects effects;
    partition_enter(partition, &effects);
    int16_t error = KAFKA_NOT_LEADER_OR_FOLLOWER;
    if (partition_fail_with_log(partition, &effects))
        error = KAFKA_KAFKA_STORAGE_ERROR;
    else if (!partition->closed)
        error = apply_state_locked(partition, state, now_ms, &effects);
    *role = partition->core.role;
    *follow = effects.role_changed && partition->core.role == ROLE_FOLLOWER && partition->core.leader >= 0;
    partition_leave(partition, &effects);
    return error;
}

int16_t partition_stop(struct partition *partition, int32_t leader_epoch)
{
    struct partition_effects effects;
    partition_enter(partition, &effects);
    int16_t error = KAFKA_NONE;
    if (leader_epoch >= 0 && leader_epoch < partition->core.leader_epoch)
        error = KAFKA_FENCED_LEADER_EPOCH;
    else
        partition_core_resign(&partition->core, &effects);
    partition_leave(partition, &effects);
    return error;
}

void partition_close(struct partition *partition)
{
    struct partition_effects effects;
    partition_enter(partition, &effects);
    partition->closed = true;
    partition_core_resign(&partition->core, &effects);
    effects.role_changed = true;
    partition_leave(partition, &effects);
}

void partition_status(struct partition *partition, struct partition_status *status)
{
    pthread_mutex_lock(&partition->mutex);
    const struct partition_core *core = &partition->core;
    status->role = core->role;
    status->leader = core->leader;
    status->leader_epoch = core->leader_epoch;
    status->partition_epoch = core->partition_epoch;
    status->high_watermark = core->high_watermark;
    status->durable_high_watermark = core->high_watermark;
    status->log_start_offset = core->log_start_offset;
    status->log_end_offset = core->log_end_offset;
    status->recovery_point = 0;
    status->size_bytes = 0;
    status->failure = 0;
    /* a kilobyte, of which hardly anything is ever in use */
    status->isr.count = core->isr.count;
    memcpy(status->isr.members, core->isr.members, core->isr.count * sizeof(core->isr.members[0]));
    if (!partition->closed) {
        status->recovery_point = partition_log_recovery_point(partition->log);
        if (partition_log_has_unsynced_cut(partition->log))
            status->durable_high_watermark = min_i64(core->high_watermark, status->recovery_point);
        status->size_bytes = partition_log_size_bytes(partition->log);
        status->failure = partition_log_failure(partition->log);
    }
    pthread_mutex_unlock(&partition->mutex);
}

bool partition_leaderless_end(struct partition *partition, int32_t *leader_epoch, int32_t *last_epoch,
                              int64_t *end_offset)
{
    pthread_mutex_lock(&partition->mutex);
    const struct partition_core *core = &partition->core;
    bool tells = !partition->closed && core->role == ROLE_FOLLOWER && core->leader == NO_LEADER;
    if (tells) {
        *leader_epoch = core->leader_epoch;
        *last_epoch = partition_log_latest_epoch(partition->log);
        *end_offset = core->log_end_offset;
    }
    pthread_mutex_unlock(&partition->mutex);
    return tells;
}

static int16_t produce_locked(struct partition *partition, uint8_t *batch, size_t length,
                              int16_t produce_version, bool acks_all, int64_t wall_ms, int64_t now_ms,
                              struct produce_result *result, struct partition_effects *effects)
{
    int16_t error = partition_check_log(partition);
    if (error == KAFKA_NONE)
        error = partition_core_check_append(&partition->core, acks_all);
    if (error != KAFKA_NONE)
        return error;
    struct log_append_result appended;
    error = partition_log_append_as_leader(partition->log, batch, length, produce_version,
                                           partition->core.leader_epoch, wall_ms, &appended);
    result->error_message = appended.error_message;
    result->record_error_count = appended.record_error_count;
    memcpy(result->record_errors, appended.record_errors, sizeof(result->record_errors));
    result->log_start_offset = appended.log_start_offset;
    if (error != KAFKA_NONE)
        return error;
    partition_sync_core(partition, now_ms, effects);
    result->base_offset = appended.base_offset;
    result->append_time_ms = appended.append_time_ms;
    result->end_offset = appended.last_offset + 1;
    result->durable = partition_core_durable_end(&partition->core) >= result->end_offset;
    result->leader_epoch = partition->core.leader_epoch;
    return KAFKA_NONE;
}

int16_t partition_produce(struct partition *partition, uint8_t *batch, size_t length, int16_t produce_version,
                          bool acks_all, int64_t wall_ms, int64_t now_ms, struct produce_result *result)
{
    struct partition_effects effects;
    *result = (struct produce_result){
        .base_offset = -1, .append_time_ms = -1, .log_start_offset = -1, .leader_epoch = -1};
    partition_enter(partition, &effects);
    int16_t error = produce_locked(partition, batch, length, produce_version, acks_all, wall_ms, now_ms,
                                   result, &effects);
    partition_leave(partition, &effects);
    return error;
}

int16_t partition_check_produce(struct partition *partition, bool acks_all, int32_t leader_epoch,
                                int64_t end_offset)
{
    pthread_mutex_lock(&partition->mutex);
    int16_t verdict = partition_core_check_acknowledged(&partition->core, acks_all, leader_epoch, end_offset);
    pthread_mutex_unlock(&partition->mutex);
    return verdict;
}

/* Whether the mutex was got by then. */
static bool enter_until(struct partition *partition, int64_t until_ms, struct partition_effects *effects)
{
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    *effects = (struct partition_effects){0};
    return pthread_mutex_trylock(&partition->mutex) == 0 ||
           pthread_mutex_clocklock(&partition->mutex, CLOCK_MONOTONIC, &until) == 0;
}

bool partition_tick(struct partition *partition, int64_t now_ms, int64_t wait_until_ms)
{
    struct partition_effects effects;
    if (!enter_until(partition, wait_until_ms, &effects))
        return false;
    partition->flush_held = false;
    bool failed = partition_fail_with_log(partition, &effects);
    if (!failed)
        partition_core_on_tick(&partition->core, now_ms, &effects);
    if (!partition->closed)
        partition_log_tick(partition->log, now_ms);
    bool tell = failed && !partition->failure_told && partition->host != NULL;
    partition->failure_told = failed;
    partition_leave(partition, &effects);
    if (tell && partition->host->log_failed != NULL)
        partition->host->log_failed(partition->host, partition);
    return true;
}

bool partition_take_proposal(struct partition *partition, int64_t now_ms, struct isr_set *isr,
                             struct alter_partition_item *item)
{
    pthread_mutex_lock(&partition->mutex);
    bool taken = partition_core_take_proposal(&partition->core, now_ms, isr);
    if (taken)
        *item = (struct alter_partition_item){.topic = slice_of(partition->topic),
                                              .topic_id = partition->topic_id,
                                              .partition = partition->number,
                                              .leader_epoch = partition->core.leader_epoch,
                                              .partition_epoch = partition->core.partition_epoch,
                                              .isr = isr->members,
                                              .isr_count = isr->count,
                                              /* Who leads after an unclean election is the truth from then
                                               * on: the first change of the ISR says that this is over. */
                                              .recovering = false};
    pthread_mutex_unlock(&partition->mutex);
    return taken;
}

void partition_on_proposal_answer(struct partition *partition, int32_t leader_epoch,
                                  const struct alter_partition_result *result, int64_t now_ms)
{
    struct partition_effects effects;
    partition_enter(partition, &effects);
    partition_core_on_proposal_answer(&partition->core, leader_epoch, result, now_ms, &effects);
    partition_leave(partition, &effects);
}

struct partition_log *partition_enter_log(struct partition *partition)
{
    pthread_mutex_lock(&partition->mutex);
    if (!partition->closed)
        return partition->log;
    pthread_mutex_unlock(&partition->mutex);
    return NULL;
}

void partition_leave_log(struct partition *partition, int64_t now_ms)
{
    struct partition_effects effects = {0};
    partition_sync_core(partition, now_ms, &effects);
    partition_leave(partition, &effects);
}

int64_t partition_entered_high_watermark(const struct partition *partition)
{
    return partition->core.high_watermark;
}

bool partition_watch(struct partition *partition, struct partition_watcher *watcher, enum watch_kind kind,
                     int64_t offset, int32_t leader_epoch)
{
    pthread_mutex_lock(&partition->mutex);
    bool current = leader_epoch == partition->core.leader_epoch;
    if (kind == WATCH_ACKNOWLEDGED || kind == WATCH_WRITTEN)
        current = partition_core_check_acknowledged(&partition->core, kind == WATCH_ACKNOWLEDGED,
                                                    leader_epoch, offset) == PRODUCE_PENDING;
    bool arm = current && !watch_holds(partition, kind, offset);
    if (arm) {
        watcher->_kind = kind;
        watcher->_offset = offset;
        watcher->_armed = true;
        list_push_back(&partition->watchers, &watcher->_node);
        note_watched(partition, watcher);
    }
    pthread_mutex_unlock(&partition->mutex);
    return arm;
}

bool partition_unwatch(struct partition *partition, struct partition_watcher *watcher)
{
    pthread_mutex_lock(&partition->mutex);
    bool disarmed = watcher->_armed;
    if (disarmed) {
        list_remove(&watcher->_node);
        watcher->_armed = false;
    }
    pthread_mutex_unlock(&partition->mutex);
    return disarmed;
}
