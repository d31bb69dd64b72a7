/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All partitions of this broker. The table's lock is held for lookups and changes of the table only;
 * partitions are used outside it through references.
 */
#include "broker/replica/replica_manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/replica/replica_manager_internal.h"
#include "broker/replica/replication_throttle.h"
#include "common/arena.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/memory.h"
#include "proto/kafka/error.h"

static struct slice partition_key(uint8_t key[KEY_MAX], struct slice topic, int32_t partition)
{
    size_t length = min_size(topic.length, KEY_MAX - 4);
    memcpy(key, &partition, 4);
    if (length > 0)
        memcpy(key + 4, topic.data, length);
    return slice_make(key, length + 4);
}

static void forward_proposal(struct partition_host *host, struct partition *partition)
{
    struct replica_manager *manager = container_of(host, struct replica_manager, partition_host);
    manager->host->proposal_wanted(manager->host, partition);
}

static void forward_flush(struct partition_host *host, struct partition *partition,
                          enum flush_urgency urgency)
{
    struct replica_manager *manager = container_of(host, struct replica_manager, partition_host);
    if (manager->host->flush_wanted != NULL)
        manager->host->flush_wanted(manager->host, partition, urgency);
}

static void forward_failure(struct partition_host *host, struct partition *partition)
{
    struct replica_manager *manager = container_of(host, struct replica_manager, partition_host);
    if (manager->host->log_failed != NULL)
        manager->host->log_failed(manager->host, partition);
}

struct replica_manager *replica_manager_new(const struct replica_manager_options *options)
{
    struct replica_manager *manager = memory_allocate_zeroed(1, sizeof(*manager));
    manager->broker_id = options->broker_id;
    manager->logs = options->logs;
    manager->logger = options->logger;
    manager->host = options->host;
    manager->replica_lag_time_max_ms = options->replica_lag_time_max_ms;
    manager->faults = options->faults;
    manager->partition_host.proposal_wanted = forward_proposal;
    manager->partition_host.flush_wanted = forward_flush;
    manager->partition_host.log_failed = forward_failure;
    pthread_rwlock_init(&manager->lock, NULL);
    manager->partitions = map_new(0);
    atomic_init(&manager->broker_epoch, NO_BROKER_EPOCH);
    atomic_init(&manager->leaving, false);
    manager->controller_epoch = -1;
    return manager;
}

void replica_manager_free(struct replica_manager *manager)
{
    if (manager == NULL)
        return;
    size_t position = 0;
    void *value;
    while (map_next(manager->partitions, &position, NULL, &value)) {
        partition_close(value);
        partition_release(value);
    }
    map_free(manager->partitions);
    replica_manager_release_departed(manager);
    pthread_rwlock_destroy(&manager->lock);
    free(manager);
}

struct log_manager *replica_manager_logs(struct replica_manager *manager)
{
    return manager->logs;
}

void replica_manager_set_broker_epoch(struct replica_manager *manager, int64_t broker_epoch)
{
    atomic_store(&manager->broker_epoch, broker_epoch);
}

void replica_manager_leave(struct replica_manager *manager)
{
    atomic_store(&manager->leaving, true);
}

int64_t replica_manager_broker_epoch(struct replica_manager *manager)
{
    return atomic_load(&manager->broker_epoch);
}

int16_t replica_manager_check_epochs(struct replica_manager *manager, int32_t controller_epoch,
                                     int64_t broker_epoch, int64_t sequence)
{
    if (controller_epoch < manager->controller_epoch && !manager->faults.ignore_controller_epoch)
        return KAFKA_STALE_CONTROLLER_EPOCH;
    if (broker_epoch != atomic_load(&manager->broker_epoch) && !manager->faults.ignore_broker_epoch)
        return KAFKA_STALE_BROKER_EPOCH;
    /* Overtaken: its sender has given it up, and what we were told since may take back what it says. The
     * switch of the partition epochs is one of this too, which would hide it. */
    if (controller_epoch == manager->controller_epoch && sequence > 0 && sequence < manager->sequence &&
        !manager->faults.accept_overtaken && !manager->faults.ignore_partition_epoch)
        return KAFKA_STALE_CONTROLLER_EPOCH;
    if (controller_epoch != manager->controller_epoch)
        manager->sequence = 0;
    manager->controller_epoch = controller_epoch;
    manager->sequence = max_i64(manager->sequence, sequence);
    return KAFKA_NONE;
}

struct partition *replica_manager_find(struct replica_manager *manager, struct slice topic, int32_t partition)
{
    uint8_t key[KEY_MAX];
    pthread_rwlock_rdlock(&manager->lock);
    struct partition *found = map_get(manager->partitions, partition_key(key, topic, partition));
    if (found != NULL)
        partition_acquire(found);
    pthread_rwlock_unlock(&manager->lock);
    return found;
}

bool replica_manager_is_offline(struct replica_manager *manager, struct slice topic, int32_t partition)
{
    /* In this order: while all directories are online and every log is open, no lock is taken. */
    return log_manager_log_is_left_out(manager->logs, topic, partition) ||
           (log_manager_log_is_offline(manager->logs, topic, partition) &&
            log_manager_directory_of(manager->logs, topic, partition) >= 0);
}

/* The same name is not the same topic (I35). */
static bool is_other_topic(const struct replica_manager *manager, struct uuid known, struct uuid named)
{
    return !uuid_equals(known, named) && !manager->faults.ignore_topic_id;
}

/* Which throttles hold this broker's replica up, by the topic's own settings. */
static void apply_throttled(const struct replica_manager *manager, struct partition *partition,
                            const struct control_topic *topic)
{
    bool as_leader = false, as_follower = false;
    for (size_t i = 0; i < topic->settings_count; i++) {
        const struct control_setting *setting = &topic->settings[i];
        bool named = throttled_replicas_name(setting->value, partition_number(partition), manager->broker_id);
        if (slice_is(setting->name, "leader.replication.throttled.replicas"))
            as_leader = named;
        else if (slice_is(setting->name, "follower.replication.throttled.replicas"))
            as_follower = named;
    }
    partition_set_throttled(partition, as_leader, as_follower);
}

/* Opens or makes the log and puts the partition into the table. A Kafka error code; *partition is referenced.
 */
static int16_t create_partition(struct replica_manager *manager, const struct control_topic *topic,
                                const struct control_partition *state, struct partition **partition)
{
    struct log_settings settings;
    int32_t min_insync_replicas = 1;
    log_settings_init(&settings);
    manager->host->topic_settings(manager->host, topic->settings, topic->settings_count, &settings,
                                  &min_insync_replicas);
    struct partition_log *log;
    int error =
        log_manager_obtain(manager->logs, topic->name, state->partition, state->is_new, &settings, &log);
    if (error == 0 && uuid_is_zero(partition_log_topic_id(log)) && !uuid_is_zero(topic->topic_id))
        error = partition_log_set_topic_id(log, topic->topic_id);
    if (error != 0 && log_manager_log_is_offline(manager->logs, topic->name, state->partition)) {
        log_debug(manager->logger, "replica", "%.*s-%d: not here while a log directory is offline",
                  SLICE_ARGUMENTS(topic->name), state->partition);
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
    if (error != 0) {
        log_error(manager->logger, "replica", "%.*s-%d: cannot open the log: %s",
                  SLICE_ARGUMENTS(topic->name), state->partition, strerror(-error));
        return KAFKA_KAFKA_STORAGE_ERROR;
    }
    if (is_other_topic(manager, partition_log_topic_id(log), topic->topic_id)) {
        log_error(manager->logger, "replica",
                  "%.*s-%d: the folder belongs to another topic of that name (partition.metadata has another "
                  "topic id): move the folder away if its data is not needed",
                  SLICE_ARGUMENTS(topic->name), state->partition);
        return KAFKA_INCONSISTENT_TOPIC_ID;
    }
    partition_log_configure(log, &settings);
    struct partition_options options = {
        .topic = topic->name,
        .topic_id = topic->topic_id,
        .partition = state->partition,
        .broker_id = manager->broker_id,
        .log = log,
        .high_watermark =
            log_manager_checkpointed_high_watermark(manager->logs, topic->name, state->partition),
        .min_insync_replicas = min_insync_replicas,
        .replica_lag_time_max_ms = manager->replica_lag_time_max_ms,
        .host = &manager->partition_host,
        .faults = manager->faults,
    };
    *partition = partition_new(&options);
    apply_throttled(manager, *partition, topic);
    uint8_t key[KEY_MAX];
    pthread_rwlock_wrlock(&manager->lock);
    void *former =
        map_put(manager->partitions, partition_key(key, topic->name, state->partition), *partition);
    pthread_rwlock_unlock(&manager->lock);
    CHECK(former == NULL);
    partition_acquire(*partition);
    return KAFKA_NONE;
}

/* Whether the log directory has no room: somebody else should lead. */
static bool has_no_room(struct partition *partition, int64_t now_ms)
{
    const struct partition_log *log = partition_enter_log(partition);
    bool full = log != NULL && partition_log_is_full(log);
    if (log != NULL)
        partition_leave_log(partition, now_ms);
    return full;
}

bool replica_manager_is_replica(const struct replica_manager *manager, const struct control_partition *state)
{
    for (size_t i = 0; i < state->replicas_count; i++)
        if (state->replicas[i] == manager->broker_id)
            return true;
    return false;
}

/* The broker stops, and nobody waits for its copy any more. */
static bool has_left(const struct replica_manager *manager, const struct control_partition *state)
{
    if (!atomic_load(&manager->leaving))
        return false;
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i].broker_id == manager->broker_id)
            return false;
    return true;
}

static int16_t apply_partition(struct replica_manager *manager, const struct control_topic *topic,
                               const struct control_partition *state, int64_t now_ms,
                               struct control_partition_error *answer)
{
    if (!replica_manager_is_replica(manager, state) || topic->name.length > KEY_MAX - 4 ||
        state->partition < 0)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    replica_manager_forget_departed(manager, topic->name, state->partition);
    struct partition *partition = replica_manager_find(manager, topic->name, state->partition);
    int16_t error = KAFKA_NONE;
    if (partition == NULL)
        error = create_partition(manager, topic, state, &partition);
    else if (is_other_topic(manager, partition_topic_id(partition), topic->topic_id))
        error = KAFKA_INCONSISTENT_TOPIC_ID;
    if (error == KAFKA_NONE) {
        enum partition_role role;
        bool follow;
        error = partition_apply_state(partition, state, now_ms, &role, &follow);
        bool left = has_left(manager, state);
        if (error == KAFKA_NONE && follow && !left)
            manager->host->follow(manager->host, partition, state->leader);
        else if (error == KAFKA_NONE && (role != ROLE_FOLLOWER || state->leader < 0 || left))
            manager->host->unfollow(manager->host, partition);
        answer->full = error == KAFKA_NONE && has_no_room(partition, now_ms);
        answer->tells_end = error == KAFKA_NONE && state->leader == NO_LEADER &&
                            partition_leaderless_end(partition, &answer->leader_epoch, &answer->last_epoch,
                                                     &answer->end_offset);
    }
    partition_release(partition);
    return error;
}

static struct control_partition_error *allocate_answers(struct arena *arena, size_t count,
                                                        struct control_response *response)
{
    response->partitions_count = 0;
    response->partitions = arena_allocate_array(arena, count, sizeof(response->partitions[0]));
    if (response->partitions == NULL)
        response->error = KAFKA_UNKNOWN_SERVER_ERROR;
    return response->partitions;
}

void replica_manager_leader_and_isr(struct replica_manager *manager,
                                    const struct leader_and_isr_request *request, int64_t now_ms,
                                    struct arena *arena, struct control_response *response)
{
    *response = (struct control_response){
        .error = replica_manager_check_epochs(manager, request->controller_epoch, request->broker_epoch,
                                              request->sequence)};
    manager->now_ms = now_ms;
    if (response->error != KAFKA_NONE)
        return;
    size_t count = 0;
    for (size_t t = 0; t < request->topics_count; t++)
        count += request->topics[t].partitions_count;
    if (allocate_answers(arena, count, response) == NULL)
        return;
    for (size_t t = 0; t < request->topics_count; t++) {
        const struct control_topic *topic = &request->topics[t];
        for (size_t p = 0; p < topic->partitions_count; p++) {
            struct control_partition_error *answer = &response->partitions[response->partitions_count++];
            *answer = (struct control_partition_error){.topic = topic->name,
                                                       .partition = topic->partitions[p].partition};
            answer->error = apply_partition(manager, topic, &topic->partitions[p], now_ms, answer);
        }
    }
}

/* Whether the folder of that name is another topic's: what is to be removed is not here. Also of a log that
 * could not be opened, whose folder tells. A Kafka error. */
static int16_t look_for_another_topic(struct replica_manager *manager,
                                      const struct stop_replica_partition *stop, bool *other)
{
    struct uuid topic_id;
    int error = log_manager_topic_id(manager->logs, stop->topic, stop->partition, &topic_id);
    *other = error == 0 && !uuid_is_zero(stop->topic_id) && !uuid_is_zero(topic_id) &&
             is_other_topic(manager, topic_id, stop->topic_id);
    return error == 0 || error == -ENOENT ? KAFKA_NONE : KAFKA_KAFKA_STORAGE_ERROR;
}

void replica_manager_remove(struct replica_manager *manager, struct partition *partition)
{
    uint8_t key[KEY_MAX];
    pthread_rwlock_wrlock(&manager->lock);
    map_remove(manager->partitions,
               partition_key(key, partition_topic(partition), partition_number(partition)));
    pthread_rwlock_unlock(&manager->lock);
    partition_close(partition);
    partition_release(partition);
}

static int16_t delete_partition(struct replica_manager *manager, struct slice topic, int32_t number,
                                struct partition *partition)
{
    /* One that is not known may lie in the directory that is away, and would come back with it. What is open
     * stays in the table, for the sake of its errors. */
    if (log_manager_log_is_offline(manager->logs, topic, number))
        return KAFKA_KAFKA_STORAGE_ERROR;
    if (partition != NULL)
        replica_manager_remove(manager, partition);
    int error = log_manager_delete(manager->logs, topic, number);
    if (error == 0 || error == -ENOENT)
        return KAFKA_NONE;
    log_error(manager->logger, "replica", "%.*s-%d: cannot delete the log: %s", SLICE_ARGUMENTS(topic),
              number, strerror(-error));
    return KAFKA_KAFKA_STORAGE_ERROR;
}

int16_t replica_manager_stop_partition(struct replica_manager *manager,
                                       const struct stop_replica_partition *stop)
{
    struct partition *partition = replica_manager_find(manager, stop->topic, stop->partition);
    int16_t error = KAFKA_NONE;
    if (partition != NULL) {
        bool other = !uuid_is_zero(stop->topic_id) &&
                     is_other_topic(manager, partition_topic_id(partition), stop->topic_id);
        error = other ? KAFKA_INCONSISTENT_TOPIC_ID : partition_stop(partition, stop->leader_epoch);
        if (error == KAFKA_NONE)
            manager->host->unfollow(manager->host, partition);
    }
    bool elsewhere = false;
    if (error == KAFKA_NONE && stop->delete_log)
        error = look_for_another_topic(manager, stop, &elsewhere);
    if (error == KAFKA_NONE && stop->delete_log && !elsewhere)
        error = delete_partition(manager, stop->topic, stop->partition, partition);
    partition_release(partition);
    return error;
}

void replica_manager_stop_replica(struct replica_manager *manager, const struct stop_replica_request *request,
                                  struct arena *arena, struct control_response *response)
{
    *response = (struct control_response){
        .error = replica_manager_check_epochs(manager, request->controller_epoch, request->broker_epoch,
                                              request->sequence)};
    if (response->error != KAFKA_NONE || allocate_answers(arena, request->partitions_count, response) == NULL)
        return;
    for (size_t i = 0; i < request->partitions_count; i++) {
        const struct stop_replica_partition *stop = &request->partitions[i];
        response->partitions[response->partitions_count++] =
            (struct control_partition_error){.topic = stop->topic,
                                             .partition = stop->partition,
                                             .error = replica_manager_stop_partition(manager, stop)};
    }
}

void replica_manager_configure(struct replica_manager *manager, const struct control_topic *topic)
{
    struct log_settings settings;
    int32_t min_insync_replicas = 1;
    log_settings_init(&settings);
    manager->host->topic_settings(manager->host, topic->settings, topic->settings_count, &settings,
                                  &min_insync_replicas);
    for (size_t i = 0; i < topic->partitions_count; i++) {
        struct partition *partition =
            replica_manager_find(manager, topic->name, topic->partitions[i].partition);
        if (partition != NULL && uuid_equals(partition_topic_id(partition), topic->topic_id)) {
            partition_configure(partition, &settings, min_insync_replicas);
            apply_throttled(manager, partition, topic);
        }
        partition_release(partition);
    }
}

void replica_manager_each(struct replica_manager *manager,
                          void (*visit)(void *context, struct partition *partition), void *context)
{
    pthread_rwlock_rdlock(&manager->lock);
    size_t count = 0;
    struct partition **all =
        memory_allocate_zeroed(map_size(manager->partitions) + 1, sizeof(struct partition *));
    size_t position = 0;
    void *value;
    while (map_next(manager->partitions, &position, NULL, &value))
        all[count++] = partition_acquire(value);
    pthread_rwlock_unlock(&manager->lock);
    for (size_t i = 0; i < count; i++) {
        visit(context, all[i]);
        partition_release(all[i]);
    }
    free(all);
}

struct tick {
    int64_t now_ms;
    int64_t wait_until_ms;
};

static void tick_partition(void *context, struct partition *partition)
{
    const struct tick *tick = context;
    (void)partition_tick(partition, tick->now_ms, tick->wait_until_ms);
}

/* So long a tick waits for busy partitions, all together: one may be in a write that a hanging disk never
 * ends, and the others are not to wait with it. */
#define TICK_WAIT_MS 50

void replica_manager_tick(struct replica_manager *manager, int64_t now_ms)
{
    manager->now_ms = now_ms;
    struct tick tick = {now_ms, clock_monotonic_ms() + TICK_WAIT_MS};
    replica_manager_each(manager, tick_partition, &tick);
    replica_manager_retry_departed(manager);
}
