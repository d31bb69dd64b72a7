/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of a simulated broker: what server.c puts together for a real one, without threads and sockets. A
 * process crash keeps what was written, a power cut does not, an orderly stop closes the logs. A new life
 * opens the logs again, registers again and begins as nobody's leader.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/replica/partition_storage.h"
#include "common/buffer.h"
#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/node_broker.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

#define REGISTRATION_TICK_MS 200

int64_t broker_now_ms(const struct sim_broker *broker)
{
    return broker->world->now_ms + broker->clock_offset_ms;
}

int64_t broker_wall_ms(const struct sim_broker *broker)
{
    return SIM_WALL_MS + broker->world->now_ms;
}

bool broker_acts(const struct sim_broker *broker)
{
    return broker->alive && !broker->dying && !memory_files_is_stopped(broker->disk);
}

struct partition *broker_partition(struct world *world, int32_t index, int32_t partition)
{
    const struct sim_partition *known = &world->partitions[partition];
    return replica_manager_find(world->brokers[index].replicas, slice_of(known->topic), known->number);
}

void broker_init(struct world *world, int32_t index)
{
    struct sim_broker *broker = &world->brokers[index];
    broker->world = world;
    broker->index = index;
    broker->id = index + 1;
    broker->clock_offset_ms = prng_between(&world->random, 1, 1000000);
    broker->intact_since = -1;
    broker->disk = memory_files_new(prng_next(&world->random));
    task_heap_init(&broker->held);
}

void broker_release(struct sim_broker *broker)
{
    task_heap_release(&broker->held);
    memory_files_free(broker->disk);
}

/* ---- what its rooms ask of it ---- */

static void host_follow(struct replica_host *host, struct partition *partition, int32_t leader)
{
    struct sim_broker *broker = container_of(host, struct sim_broker, host);
    (void)leader;
    int32_t index =
        world_partition_index(broker->world, partition_topic(partition), partition_number(partition));
    following_start(broker->world, broker->index, index);
}

static void host_unfollow(struct replica_host *host, struct partition *partition)
{
    struct sim_broker *broker = container_of(host, struct sim_broker, host);
    int32_t index =
        world_partition_index(broker->world, partition_topic(partition), partition_number(partition));
    following_stop(broker->world, broker->index, index);
}

static void host_proposal_wanted(struct replica_host *host, struct partition *partition)
{
    struct sim_broker *broker = container_of(host, struct sim_broker, host);
    int32_t index =
        world_partition_index(broker->world, partition_topic(partition), partition_number(partition));
    control_proposal_wanted(broker->world, broker->index, index);
}

/* ---- flushes ---- */

/* A flush on its way: asked for, or at the disk. */
struct sim_flush {
    struct partition *partition; /* a reference */
    enum flush_urgency urgency;
    struct log_flush *flush; /* NULL: not begun */
    int error;
};

static void drop_flush(void *data)
{
    struct sim_flush *flush = data;
    if (flush->flush != NULL)
        log_flush_free(flush->flush);
    partition_release(flush->partition);
    free(flush);
}

static void end_flush(struct world *world, int32_t index, void *data)
{
    struct sim_flush *flush = data;
    struct sim_broker *broker = &world->brokers[index];
    struct log_flush *taken = flush->flush;
    flush->flush = NULL;
    if (partition_flush_end(flush->partition, taken, flush->error, broker_now_ms(broker)) != 0)
        world_note(world, "broker %lld cannot flush", TRACE_OF(broker->id));
    struct partition_status status;
    partition_status(flush->partition, &status);
    world_note(world, "broker %lld has partition %lld on disk up to %lld of %lld",
               TRACE_OF(broker->id,
                        world_partition_index(world, partition_topic(flush->partition),
                                              partition_number(flush->partition)),
                        status.recovery_point, status.log_end_offset));
    drop_flush(flush);
}

/* The disk has it when the sync comes back; what is appended meanwhile is not in it. */
static void begin_flush(struct world *world, int32_t index, void *data)
{
    struct sim_flush *flush = data;
    struct sim_broker *broker = &world->brokers[index];
    int error = partition_flush_begin(flush->partition, flush->urgency, broker_now_ms(broker), &flush->flush);
    if (flush->flush == NULL) {
        if (error != 0)
            world_note(world, "broker %lld cannot begin a flush", TRACE_OF(broker->id));
        drop_flush(flush);
        return;
    }
    flush->error = log_flush_run(flush->flush);
    world_later(world, index, prng_between(&world->schedule, 0, world->swarm.sync_ms), end_flush, drop_flush,
                flush);
}

static void host_flush_wanted(struct replica_host *host, struct partition *partition,
                              enum flush_urgency urgency)
{
    struct sim_broker *broker = container_of(host, struct sim_broker, host);
    struct sim_flush *flush = memory_allocate_zeroed(1, sizeof(*flush));
    flush->partition = partition_acquire(partition);
    flush->urgency = urgency;
    world_later(broker->world, broker->index, prng_between(&broker->world->schedule, 0, 2), begin_flush,
                drop_flush, flush);
}

static void host_topic_settings(struct replica_host *host, const struct control_setting *settings,
                                size_t count, struct log_settings *log_settings, int32_t *min_insync_replicas)
{
    struct sim_broker *broker = container_of(host, struct sim_broker, host);
    log_settings_init(log_settings);
    log_settings->segment_bytes = broker->world->swarm.segment_bytes;
    log_settings->index_interval_bytes = 400;
    log_settings->retention_bytes = broker->world->swarm.retention_bytes;
    log_settings->file_delete_delay_ms = 500;
    log_settings->flush_messages = broker->world->swarm.flush_messages;
    *min_insync_replicas = broker->world->swarm.min_insync_replicas;
    for (size_t i = 0; i < count; i++)
        if (slice_is(settings[i].name, "min.insync.replicas"))
            *min_insync_replicas = slice_is(settings[i].value, "1") ? 1 : 2;
}

static void host_log_failed(struct replica_host *host, struct partition *partition)
{
    (void)partition;
    disks_directories_changed(container_of(host, struct sim_broker, host));
}

static void fill_random(void *context, void *bytes, size_t length)
{
    struct sim_broker *broker = context;
    uint8_t *out = bytes;
    for (size_t i = 0; i < length; i++)
        out[i] = (uint8_t)prng_below(&broker->world->random, 256);
}

static void on_registered(void *context, int64_t broker_epoch)
{
    struct sim_broker *broker = context;
    world_note(broker->world, "broker %lld is registered, epoch %lld", TRACE_OF(broker->id, broker_epoch));
    replica_manager_set_broker_epoch(broker->replicas, broker_epoch);
    broker->registered_epoch = broker_epoch;
    if (broker->intact_since < 0)
        broker->intact_since = broker_epoch;
    if (broker->controller_started)
        return;
    broker->controller_started = true;
    controller_start(broker->controller, broker_now_ms(broker), broker_wall_ms(broker));
}

static void end_process(struct world *world, int32_t index, void *data)
{
    (void)data;
    broker_kill(world, index, MEMORY_FILES_PROCESS_CRASH);
}

static void on_registration_failed(void *context, const char *problem)
{
    struct sim_broker *broker = context;
    (void)problem;
    world_note(broker->world, "broker %lld cannot register, its process ends", TRACE_OF(broker->id));
    world_later(broker->world, broker->index, 0, end_process, NULL, NULL);
}

/* ---- periodic work ---- */

static void tick(struct world *world, int32_t index, void *data)
{
    struct sim_broker *broker = &world->brokers[index];
    (void)data;
    registration_tick(broker->registration, broker_now_ms(broker));
    replica_manager_tick(broker->replicas, broker_now_ms(broker));
    disks_tick(broker);
    world_later(world, index, world->swarm.tick_ms, tick, NULL, NULL);
}

/* What the storage threads do with old segments. */
static void retain(struct world *world, int32_t index, int32_t number)
{
    struct sim_broker *broker = &world->brokers[index];
    bool goes = world->swarm.delete_ms > 0 || world->swarm.retention_bytes >= 0;
    struct partition *partition = goes ? broker_partition(world, index, number) : NULL;
    if (partition == NULL)
        return;
    struct partition_status status;
    partition_status(partition, &status);
    if (topic_is_of(world, number, partition_topic_id(partition)) && world->swarm.retention_bytes >= 0)
        world->partitions[number].deleted = max_i64(world->partitions[number].deleted, status.high_watermark);
    bool again;
    int error = partition_retain(partition, broker_wall_ms(broker), broker_now_ms(broker), &again);
    if (error == 0 && again)
        error = partition_retain(partition, broker_wall_ms(broker), broker_now_ms(broker), &again);
    if (error != 0 || partition_remove_garbage(partition, broker_now_ms(broker)) != 0)
        world_note(world, "broker %lld cannot remove old segments", TRACE_OF(broker->id));
    partition_release(partition);
}

static void checkpoint(struct world *world, int32_t index, void *data)
{
    struct sim_broker *broker = &world->brokers[index];
    (void)data;
    memory_files_set_time(broker->disk, broker_wall_ms(broker));
    for (int32_t p = 0; p < world->partition_count; p++) {
        struct partition *partition =
            prng_one_in(&world->schedule, 2) ? broker_partition(world, index, p) : NULL;
        if (partition != NULL && partition_flush(partition, broker_now_ms(broker)) != 0)
            world_note(world, "broker %lld cannot flush", TRACE_OF(broker->id));
        partition_release(partition);
    }
    for (int32_t p = 0; p < world->partition_count; p++)
        retain(world, index, p);
    int error = replica_manager_checkpoint_high_watermarks(broker->replicas, LOG_DIRECTORIES_ALL);
    if (error == 0)
        error = replica_manager_checkpoint_recovery(broker->replicas, LOG_DIRECTORIES_ALL);
    if (error != 0 && broker_acts(broker) && disks_are_sound(broker))
        world_fail(world, "I7", "broker %lld cannot write its checkpoints: %lld",
                   TRACE_OF(broker->id, error));
    world_later(world, index, prng_between(&world->schedule, 1, 2 * world->swarm.checkpoint_ms), checkpoint,
                NULL, NULL);
}

/* ---- start and end ---- */

static int64_t wall_clock_of_broker(void *context)
{
    return broker_wall_ms(context);
}

/* The switch that leaves the mark of a clean stop where it is. */
static void keep_clean_mark(struct sim_broker *broker)
{
    static const char mark[] = "{\"version\":0,\"brokerEpoch\":-1}";
    if (file_system_replace(memory_files_system(broker->disk), "/data/.kafka_cleanshutdown", mark,
                            sizeof(mark) - 1) != 0)
        world_note(broker->world, "broker %lld has no directory yet", TRACE_OF(broker->id));
}

static void on_directories_changed(void *context)
{
    disks_directories_changed(context);
}

static bool open_logs(struct world *world, struct sim_broker *broker)
{
    const char *const *directories;
    size_t directories_count = disks_directories(world, &directories);
    struct log_manager_options options = {.files = memory_files_system(broker->disk),
                                          .directories = directories,
                                          .directories_count = directories_count,
                                          .broker_id = broker->id,
                                          .cluster_id = "AAAAAAAAAAAAAAAAAAAAAA",
                                          .recovery_threads = 0,
                                          .directories_changed = on_directories_changed,
                                          .directories_context = broker,
                                          .wall_clock_ms = wall_clock_of_broker,
                                          .wall_clock_context = broker,
                                          .seed = prng_next(&world->random) | 1};
    log_settings_init(&options.defaults);
    options.defaults.segment_bytes = world->swarm.segment_bytes;
    struct buffer error;
    buffer_init(&error);
    int result = log_manager_open(&options, &broker->logs, &error);
    if (result != 0 && !disks_are_sound(broker)) {
        world_note(world, "broker %lld cannot open its logs, its disk is not sound", TRACE_OF(broker->id));
    } else if (result != 0) {
        world_fail(world, "I7", "broker %lld cannot open its logs: %lld", TRACE_OF(broker->id, result));
        fprintf(stderr, "%s\n", buffer_string(&error));
    }
    buffer_release(&error);
    return result == 0;
}

static void make_replicas(struct world *world, struct sim_broker *broker)
{
    broker->host = (struct replica_host){.follow = host_follow,
                                         .unfollow = host_unfollow,
                                         .proposal_wanted = host_proposal_wanted,
                                         .flush_wanted = host_flush_wanted,
                                         .log_failed = host_log_failed,
                                         .topic_settings = host_topic_settings};
    struct replica_manager_options options = {.broker_id = broker->id,
                                              .logs = broker->logs,
                                              .host = &broker->host,
                                              .replica_lag_time_max_ms = world->swarm.replica_lag_time_max_ms,
                                              .faults = world->options.partition_faults};
    broker->replicas = replica_manager_new(&options);
}

static void make_controller(struct world *world, struct sim_broker *broker)
{
    struct controller_options options = {.broker_id = broker->id,
                                         .zk = fake_client_zk(broker->client),
                                         .transport = control_transport(broker),
                                         .callbacks = {.context = broker, .random = fill_random},
                                         .default_partitions = 1,
                                         .default_replication_factor = 1,
                                         .delete_topic_enable = true,
                                         .retry_backoff_ms = world->swarm.controller_retry_ms,
                                         .compare_interval_ms = world->swarm.controller_compare_ms,
                                         .min_insync_replicas = world->swarm.min_insync_replicas,
                                         .faults = world->options.controller_faults};
    broker->controller = controller_new(&options);
    broker->controller_started = false;
    broker->registered_epoch = -1;
    broker->heard_controller_epoch = -1;
}

static void begin_registration(struct world *world, struct sim_broker *broker)
{
    struct node_broker node;
    node_broker_init(&node);
    node_broker_add_endpoint(&node, slice_of("PLAINTEXT"), slice_of("PLAINTEXT"), slice_of("127.0.0.1"),
                             9000 + broker->id);
    node.timestamp_ms = broker_wall_ms(broker);
    node.intact_since = world->swarm.tells_intact ? broker->intact_since : -1;
    struct registration_settings settings = {.broker_id = broker->id,
                                             .node = &node,
                                             .tick_ms = REGISTRATION_TICK_MS,
                                             .jitter_ms = 50,
                                             .seed = prng_next(&world->random)};
    struct registration_callbacks callbacks = {
        .registered = on_registered, .failed = on_registration_failed, .context = broker};
    broker->registration =
        registration_new(fake_client_zk(broker->client), NULL, &settings, callbacks, broker_now_ms(broker));
    node_broker_release(&node);
}

static void start_again(struct world *world, int32_t broker, void *data)
{
    struct sim_broker *dead = data;
    (void)broker;
    if (!dead->alive)
        broker_start(world, dead->index);
}

void broker_start(struct world *world, int32_t index)
{
    struct sim_broker *broker = &world->brokers[index];
    CHECK(!broker->alive);
    broker->life++;
    memory_files_set_time(broker->disk, broker_wall_ms(broker));
    if (world->options.world_faults.clean_mark_kept)
        keep_clean_mark(broker);
    broker->directories_changed = broker->directories_telling = false;
    if (!open_logs(world, broker)) {
        world_later(world, -1, prng_between(&world->faults, 1, world->swarm.down_ms), start_again, NULL,
                    broker);
        return;
    }
    broker->alive = true;
    broker->paused = false;
    world_note(world, "broker %lld starts, life %lld", TRACE_OF(broker->id, (int64_t)broker->life));
    make_replicas(world, broker);
    char name[16];
    snprintf(name, sizeof(name), "broker%d", broker->id);
    broker->client = fake_client_new(world->zookeeper, name);
    make_controller(world, broker);
    begin_registration(world, broker);
    fake_client_connect(broker->client);
    world_later(world, index, prng_between(&world->schedule, 0, world->swarm.tick_ms), tick, NULL, NULL);
    world_later(world, index, prng_between(&world->schedule, 0, 2 * world->swarm.checkpoint_ms), checkpoint,
                NULL, NULL);
}

/* Everything that lives in the process's memory. */
static void tear_down(struct world *world, int32_t index, bool orderly)
{
    struct sim_broker *broker = &world->brokers[index];
    control_forget(broker);
    memset(broker->loops, 0, sizeof(broker->loops));
    registration_free(broker->registration);
    controller_free(broker->controller);
    replica_manager_free(broker->replicas);
    bool sound = disks_are_sound(broker);
    if (broker->disk_struck)
        broker->intact_since = -1;
    if (orderly && log_manager_close(broker->logs) != 0 && sound && disks_are_sound(broker))
        world_fail(world, "I8", "broker %lld cannot stop cleanly", TRACE_OF(broker->id));
    log_manager_free(broker->logs);
    broker->logs = NULL;
    if (orderly)
        fake_client_close(broker->client);
    else
        fake_client_free(broker->client);
    while (broker->held.count > 0) {
        struct task task = task_heap_pop(&broker->held);
        task_drop(&task);
    }
    broker->alive = false;
    broker->dying = false;
    broker->paused = false;
    broker->life++;
    world_later(world, -1, prng_between(&world->faults, 1, world->swarm.down_ms), start_again, NULL, broker);
}

void broker_kill(struct world *world, int32_t index, enum memory_files_crash crash)
{
    struct sim_broker *broker = &world->brokers[index];
    CHECK(broker->alive);
    if (!memory_files_is_stopped(broker->disk))
        check_remember(world, index);
    world_note(world,
               crash == MEMORY_FILES_POWER_CUT ? "broker %lld loses power"
                                               : "broker %lld is killed, life %lld",
               TRACE_OF(broker->id, (int64_t)broker->life));
    broker->dying = true;
    if (crash == MEMORY_FILES_POWER_CUT)
        broker->intact_since = -1;
    memory_files_crash(broker->disk, crash);
    tear_down(world, index, false);
}

void broker_stop(struct world *world, int32_t index)
{
    struct sim_broker *broker = &world->brokers[index];
    world_note(world, "broker %lld is stopped, life %lld", TRACE_OF(broker->id, (int64_t)broker->life));
    check_remember(world, index);
    memory_files_stop_after(broker->disk, UINT64_MAX); /* no crash half-way: another fault */
    controller_stop(broker->controller);
    if (replica_manager_checkpoint_high_watermarks(broker->replicas, LOG_DIRECTORIES_ALL) != 0 &&
        disks_are_sound(broker))
        world_fail(world, "I8", "broker %lld cannot write its checkpoint", TRACE_OF(broker->id));
    broker->dying = true;
    tear_down(world, index, true);
}

/* ---- pauses ---- */

static void end_pause(struct world *world, int32_t broker, void *data)
{
    (void)broker;
    struct sim_broker *paused = data;
    if (paused->alive && paused->paused)
        broker_resume(world, paused->index);
}

void broker_pause(struct world *world, int32_t index, int64_t duration_ms)
{
    struct sim_broker *broker = &world->brokers[index];
    world_note(world, "broker %lld is frozen for %lld ms", TRACE_OF(broker->id, duration_ms));
    broker->paused = true;
    fake_client_pause(broker->client, true);
    world_later(world, -1, duration_ms, end_pause, NULL, broker);
}

void broker_resume(struct world *world, int32_t index)
{
    struct sim_broker *broker = &world->brokers[index];
    world_note(world, "broker %lld goes on", TRACE_OF(broker->id));
    broker->paused = false;
    fake_client_pause(broker->client, false);
    while (broker->held.count > 0) {
        struct task task = task_heap_pop(&broker->held);
        task.due_ms = world->now_ms + prng_between(&world->schedule, 0, 3);
        task.tie = prng_next(&world->schedule);
        task_heap_push(&world->tasks, task);
    }
}
