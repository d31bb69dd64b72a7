/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that are full for a while, of any broker, and disks that fail, of one broker of a seed: what a failed
 * sync has lost, or an exchanged disk, is then one log of each partition, fewer than min.insync.replicas. A
 * log directory of the victim answers -EIO, to some kinds of operations or to all; the broker lives on with
 * its other directory, or ends with its last, and comes back when the disk is repaired, or with an empty one.
 */
#include <errno.h>
#include <string.h>

#include "coordinator/zk/node_cluster.h"
#include "coordinator/zk/path.h"
#include "tests/sim/world.h"

#define FULL_MAX_MS 3000
#define FAILING_MAX_MS 2500
/* What still fits when a disk becomes full, at most. */
#define ROOM_LEFT_MAX_BYTES 3000

static const char *const paths[] = {"/data", "/more"};

/* ---- what a broker does about it ---- */

static void tell_directories(struct world *world, int32_t index, void *data);

static void on_told(void *context, const struct zk_response *response)
{
    struct sim_broker *broker = context;
    broker->directories_telling = false;
    if (response->result != ZK_OK)
        broker->directories_changed = true;
    if (broker->directories_changed)
        world_later(broker->world, broker->index, broker->world->swarm.tick_ms, tell_directories, NULL, NULL);
}

/* The controller is asked to look, as coordinator_directories.c does it. */
static void tell_directories(struct world *world, int32_t index, void *data)
{
    struct sim_broker *broker = &world->brokers[index];
    (void)data;
    if (!broker->directories_changed || broker->directories_telling)
        return;
    if (!broker->controller_started) {
        world_later(world, index, world->swarm.tick_ms, tell_directories, NULL, NULL);
        return;
    }
    const struct node_log_dir_event event = {.broker_id = broker->id, .event = NODE_LOG_DIR_FAILURE};
    struct buffer bytes;
    buffer_init(&bytes);
    node_log_dir_event_encode(&event, &bytes);
    broker->directories_changed = false;
    broker->directories_telling = true;
    zk_create(fake_client_zk(broker->client), ZK_PATH_LOG_DIR_EVENT_PREFIX, buffer_slice(&bytes),
              ZK_PERSISTENT_SEQUENTIAL, zk_completion_make(on_told, broker));
    buffer_release(&bytes);
}

static void last_directory_gone(struct world *world, int32_t index, void *data)
{
    (void)data;
    world_note(world, "broker %lld has lost its last log directory", TRACE_OF(index + 1));
    broker_kill(world, index, MEMORY_FILES_PROCESS_CRASH);
}

void disks_directories_changed(struct sim_broker *broker)
{
    if (!broker->alive || broker->dying)
        return;
    world_note(broker->world, "a log directory of broker %lld has changed its state", TRACE_OF(broker->id));
    for (size_t i = 0; i < log_manager_directories_count(broker->logs); i++) {
        struct log_directory_info info;
        log_manager_directory_info(broker->logs, i, &info);
        broker->world->counters.directories_full += info.state == LOG_DIRECTORY_FULL;
    }
    if (log_manager_usable_directories(broker->logs) == 0) {
        world_later(broker->world, broker->index, 0, last_directory_gone, NULL, NULL);
        return;
    }
    broker->directories_changed = true;
    world_later(broker->world, broker->index, 0, tell_directories, NULL, NULL);
}

size_t disks_directories(const struct world *world, const char *const **directories)
{
    *directories = paths;
    return world->swarm.two_directories ? 2 : 1;
}

bool disks_are_sound(const struct sim_broker *broker)
{
    if (broker->disk_full || broker->disk_failing != 0 || broker->disk_struck)
        return false;
    for (size_t i = 0; broker->logs != NULL && i < log_manager_directories_count(broker->logs); i++) {
        struct log_directory_info info;
        log_manager_directory_info(broker->logs, i, &info);
        if (info.state != LOG_DIRECTORY_ONLINE)
            return false;
    }
    return true;
}

void disks_tick(struct sim_broker *broker)
{
    const struct swarm *swarm = &broker->world->swarm;
    if (swarm->disk_full_every_ms > 0 || swarm->disk_failure_every_ms > 0)
        log_manager_probe(broker->logs);
}

/* ---- full ---- */

static void room_again(struct world *world, int32_t index, void *data)
{
    struct sim_broker *broker = data;
    (void)index;
    if (broker->disk_full)
        world_note(world, "the disk of broker %lld has room again", TRACE_OF(broker->id));
    broker->disk_full = false;
    memory_files_set_capacity(broker->disk, SIZE_MAX);
}

void disks_fill(struct world *world)
{
    struct sim_broker *broker = &world->brokers[prng_below(&world->faults, (uint64_t)world->swarm.brokers)];
    size_t room = (size_t)prng_below(&world->faults, ROOM_LEFT_MAX_BYTES);
    int64_t duration_ms = prng_between(&world->faults, 50, FULL_MAX_MS);
    if (broker->disk_full)
        return;
    world_note(world, "the disk of broker %lld has room for %lld bytes, for %lld ms",
               TRACE_OF(broker->id, (int64_t)room, duration_ms));
    broker->disk_full = true;
    memory_files_set_capacity(broker->disk, memory_files_used_bytes(broker->disk) + room);
    world_later(world, -1, duration_ms, room_again, NULL, broker);
}

/* ---- failing ---- */

/* A judge who looks does not wake the fault. */
static int fail_operation(void *context, enum memory_files_operation operation, const char *path)
{
    struct sim_broker *broker = context;
    if (!(broker->disk_failing & MEMORY_FILES_BIT(operation)) || broker->world->judging ||
        strncmp(path, broker->disk_failing_path, strlen(broker->disk_failing_path)) != 0)
        return 0;
    if (!broker->disk_struck)
        broker->world->counters.disks_failed++;
    broker->disk_struck = true;
    return -EIO;
}

void disks_repair(struct world *world, int32_t index, bool replace)
{
    struct sim_broker *broker = &world->brokers[index];
    bool struck = broker->disk_struck;
    broker->disk_failing = 0;
    memory_files_set_hook(broker->disk, NULL, NULL);
    if (!struck)
        return;
    if (broker->alive)
        broker_kill(world, index, MEMORY_FILES_PROCESS_CRASH);
    broker->disk_struck = false;
    broker->intact_since = -1;
    world_note(world, replace ? "broker %lld gets an empty disk" : "the disk of broker %lld is repaired",
               TRACE_OF(broker->id));
    if (!replace)
        return;
    world->counters.disks_replaced++;
    memory_files_reset(broker->disk, prng_next(&world->random));
    broker->disk_full = false;
}

static void repair(struct world *world, int32_t index, void *data)
{
    struct sim_broker *broker = data;
    (void)index;
    if (broker->disk_failing != 0)
        disks_repair(world, broker->index, prng_one_in(&world->faults, 2));
}

void disks_fail(struct world *world)
{
    static const uint32_t kinds[] = {
        MEMORY_FILES_ALL_OPERATIONS,
        MEMORY_FILES_BIT(MEMORY_FILES_WRITE),
        MEMORY_FILES_BIT(MEMORY_FILES_READ),
        MEMORY_FILES_BIT(MEMORY_FILES_SYNC) | MEMORY_FILES_BIT(MEMORY_FILES_SYNC_DIRECTORY),
    };
    struct sim_broker *broker = &world->brokers[world->swarm.disk_victim];
    size_t kind = prng_below(&world->faults, ARRAY_SIZE(kinds));
    size_t directory = prng_below(&world->faults, world->swarm.two_directories ? 2 : 1);
    int64_t duration_ms = prng_between(&world->faults, 50, FAILING_MAX_MS);
    if (broker->disk_failing != 0)
        return;
    world_note(world, "directory %lld of broker %lld fails for %lld ms, operations %lld",
               TRACE_OF((int64_t)directory, broker->id, duration_ms, (int64_t)kinds[kind]));
    broker->disk_failing = kinds[kind];
    broker->disk_failing_path = paths[directory];
    memory_files_set_hook(broker->disk, fail_operation, broker);
    world_later(world, -1, duration_ms, repair, NULL, broker);
}

/* A directory that had no room for its first file is offline until its broker starts again. */
static bool has_offline_directory(const struct sim_broker *broker)
{
    return broker->alive && broker->logs != NULL &&
           log_manager_usable_directories(broker->logs) < log_manager_directories_count(broker->logs);
}

void disks_end(struct world *world)
{
    for (int32_t b = 0; b < world->swarm.brokers; b++) {
        disks_repair(world, b, false);
        room_again(world, b, &world->brokers[b]);
        if (has_offline_directory(&world->brokers[b]))
            broker_kill(world, b, MEMORY_FILES_PROCESS_CRASH);
    }
}
