/* SPDX-License-Identifier: Apache-2.0 */
/* The broker of the mover's tests, see mover_fixture.h. */
#include "tests/unit/replica/mover_fixture.h"

#include <ctype.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/batch_scan.h"
#include "broker/log/log_manager_future.h"
#include "common/arena.h"
#include "common/memory.h"
#include "proto/kafka/error.h"
#include "proto/records/builder.h"

#define BROKER_EPOCH 7
#define WALL_MS 1700000000000
#define PRODUCE_VERSION 9

static const char *const directories[MOVER_DIRECTORIES] = {"/a", "/b", "/c"};

static void no_follow(struct replica_host *host, struct partition *partition, int32_t leader)
{
    (void)host;
    (void)partition;
    (void)leader;
}

static void no_unfollow(struct replica_host *host, struct partition *partition)
{
    (void)host;
    (void)partition;
}

static void no_flush(struct replica_host *host, struct partition *partition, enum flush_urgency urgency)
{
    (void)host;
    (void)partition;
    (void)urgency;
}

static void give_settings(struct replica_host *host, const struct control_setting *settings, size_t count,
                          struct log_settings *log_settings, int32_t *min_insync_replicas)
{
    (void)settings;
    (void)count;
    *log_settings = container_of(host, struct mover_world, host)->settings;
    *min_insync_replicas = 1;
}

static int64_t world_clock(void *context)
{
    return ((const struct mover_world *)context)->now_ms;
}

static int64_t world_wall(void *context)
{
    return WALL_MS + ((const struct mover_world *)context)->now_ms;
}

void mover_world_init(struct mover_world *world, uint64_t seed)
{
    *world = (struct mover_world){.leader_epoch = 0, .bytes_per_second = INT64_MAX, .topic_generation = 1};
    prng_init(&world->prng, seed);
    world->disk = memory_files_new(seed);
    struct file_system *files = memory_files_system(world->disk);
    for (size_t i = 0; i < MOVER_DIRECTORIES; i++)
        assert_int_equal(file_system_make_directory(files, directories[i]), 0);
    assert_int_equal(file_system_sync_directory(files, "/"), 0);
    log_settings_init(&world->settings);
    world->settings.segment_bytes = 1500;
    world->settings.file_delete_delay_ms = 0;
    world->host.follow = no_follow;
    world->host.unfollow = no_unfollow;
    world->host.proposal_wanted = no_unfollow;
    world->host.flush_wanted = no_flush;
    world->host.topic_settings = give_settings;
}

void mover_world_drop(struct mover_world *world)
{
    mover_free(world->mover);
    if (world->replicas)
        replica_manager_free(world->replicas);
    log_manager_free(world->logs);
    world->mover = NULL;
    world->replicas = NULL;
    world->logs = NULL;
}

int mover_world_stop(struct mover_world *world)
{
    mover_free(world->mover);
    world->mover = NULL;
    int error = replica_manager_checkpoint_high_watermarks(world->replicas, LOG_DIRECTORIES_ALL);
    replica_manager_free(world->replicas);
    world->replicas = NULL;
    int closed = log_manager_close(world->logs);
    log_manager_free(world->logs);
    world->logs = NULL;
    return error ? error : closed;
}

void mover_world_release(struct mover_world *world)
{
    mover_world_drop(world);
    memory_files_free(world->disk);
}

int mover_world_open(struct mover_world *world)
{
    struct buffer error;
    buffer_init(&error);
    const struct log_manager_options options = {.files = memory_files_system(world->disk),
                                                .directories = directories,
                                                .directories_count = MOVER_DIRECTORIES,
                                                .broker_id = 1,
                                                .cluster_id = "cluster",
                                                .defaults = world->settings,
                                                .wall_clock_ms = world_wall,
                                                .wall_clock_context = world,
                                                .seed = prng_next(&world->prng)};
    int result = log_manager_open(&options, &world->logs, &error);
    buffer_release(&error);
    if (result)
        return result;
    const struct replica_manager_options replicas = {
        .broker_id = 1, .logs = world->logs, .host = &world->host, .replica_lag_time_max_ms = 30000};
    world->replicas = replica_manager_new(&replicas);
    replica_manager_set_broker_epoch(world->replicas, BROKER_EPOCH);
    const struct mover_options mover = {.replicas = world->replicas,
                                        .bytes_per_second = world->bytes_per_second,
                                        .threads = world->threads,
                                        .monotonic_ms = world->threads > 0 ? NULL : world_clock,
                                        .wall_ms = world->threads > 0 ? NULL : world_wall,
                                        .clock_context = world};
    world->mover = mover_new(&mover);
    return mover_start(world->mover);
}

static struct uuid topic_id(const struct mover_world *world)
{
    return (struct uuid){{world->topic_generation}};
}

static int16_t elect(struct mover_world *world, int32_t leader)
{
    struct isr_member isr[] = {{1, BROKER_EPOCH}, {2, BROKER_EPOCH}};
    int32_t replicas[] = {1, 2};
    world->leader_epoch++;
    struct control_partition partition = {.controller_epoch = 1,
                                          .leader = leader,
                                          .leader_epoch = world->leader_epoch,
                                          .partition_epoch = world->leader_epoch,
                                          .isr = isr,
                                          .isr_count = 2,
                                          .replicas = replicas,
                                          .replicas_count = 2};
    struct control_topic topic = {.name = slice_of(MOVER_TOPIC),
                                  .topic_id = topic_id(world),
                                  .partitions = &partition,
                                  .partitions_count = 1};
    const struct leader_and_isr_request request = {.controller_id = 1,
                                                   .controller_epoch = 1,
                                                   .broker_epoch = BROKER_EPOCH,
                                                   .topics = &topic,
                                                   .topics_count = 1};
    struct arena arena;
    struct control_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    replica_manager_leader_and_isr(world->replicas, &request, world->now_ms, &arena, &response);
    int16_t error = response.error != KAFKA_NONE ? response.error : response.partitions[0].error;
    arena_release(&arena);
    return error;
}

int16_t mover_world_lead(struct mover_world *world)
{
    return elect(world, 1);
}

void mover_world_delete(struct mover_world *world)
{
    struct stop_replica_partition stop = {.topic = slice_of(MOVER_TOPIC),
                                          .topic_id = topic_id(world),
                                          .partition = 0,
                                          .leader_epoch = world->leader_epoch,
                                          .delete_log = true};
    const struct stop_replica_request request = {
        .controller_epoch = 1, .broker_epoch = BROKER_EPOCH, .partitions = &stop, .partitions_count = 1};
    struct arena arena;
    struct control_response response;
    arena_init(&arena, ARENA_NO_BUDGET);
    replica_manager_stop_replica(world->replicas, &request, &arena, &response);
    assert_int_equal(response.partitions[0].error, KAFKA_NONE);
    arena_release(&arena);
    world->start = world->end = world->durable_end = 0;
}

void mover_world_depart(struct mover_world *world, int32_t partition_epoch)
{
    struct isr_member isr = {.broker_id = 2, .broker_epoch = 1};
    int32_t replicas[] = {2};
    struct control_partition state = {.partition = 0,
                                      .leader = 2,
                                      .leader_epoch = world->leader_epoch,
                                      .partition_epoch = partition_epoch,
                                      .isr = &isr,
                                      .isr_count = 1,
                                      .replicas = replicas,
                                      .replicas_count = 1};
    const struct control_topic topic = {.name = slice_of(MOVER_TOPIC),
                                        .topic_id = topic_id(world),
                                        .partitions = &state,
                                        .partitions_count = 1};
    replica_manager_drop_departed(world->replicas, &topic);
}

static struct partition *the_partition(struct mover_world *world)
{
    struct partition *partition = replica_manager_find(world->replicas, slice_of(MOVER_TOPIC), 0);
    assert_non_null(partition);
    return partition;
}

bool mover_world_produce(struct mover_world *world)
{
    return mover_world_produce_batch(world, 1);
}

bool mover_world_produce_batch(struct mover_world *world, int records)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    struct buffer batch;
    struct produce_result result;
    buffer_init(&batch);
    record_batch_builder_init(&builder, &parameters);
    uint8_t *zeroes = memory_allocate_zeroed(1, world->value_bytes + 1);
    struct slice value =
        world->value_bytes > 0 ? slice_make(zeroes, world->value_bytes) : slice_of("a value of some length");
    for (int i = 0; i < records; i++)
        record_batch_builder_append(&builder, world->next_id, slice_of("key"), value, NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, &batch), 0);
    record_batch_builder_release(&builder);
    free(zeroes);
    struct partition *partition = the_partition(world);
    int16_t error = partition_produce(partition, batch.data, batch.length, PRODUCE_VERSION, false, WALL_MS,
                                      world->now_ms, &result);
    partition_release(partition);
    buffer_release(&batch);
    if (error != KAFKA_NONE)
        return false;
    assert_int_equal(result.base_offset, world->end);
    assert_true(world->end + records <= MOVER_RECORDS_MAX);
    for (int i = 0; i < records; i++)
        world->ids[world->end++] = world->next_id;
    world->next_id++;
    return true;
}

bool mover_world_flush(struct mover_world *world)
{
    struct partition *partition = the_partition(world);
    int64_t end = world->end;
    int error = partition_flush(partition, world->now_ms);
    partition_release(partition);
    if (error == 0)
        world->durable_end = end;
    return error == 0;
}

bool mover_world_truncate(struct mover_world *world, int64_t offset)
{
    if (elect(world, 2) != KAFKA_NONE)
        return false;
    world->durable_end = min_i64(world->durable_end, offset); /* also where it is cut off half-way */
    struct partition *partition = the_partition(world);
    struct partition_log *log = partition_enter_log(partition);
    int16_t error = partition_log_truncate(log, offset, WALL_MS);
    offset = min_i64(offset, partition_log_end_offset(log)); /* a batch is cut off whole */
    partition_leave_log(partition, world->now_ms);
    partition_release(partition);
    if (error != KAFKA_NONE)
        return false;
    world->end = offset;
    return mover_world_lead(world) == KAFKA_NONE;
}

bool mover_world_advance_start(struct mover_world *world, int64_t offset)
{
    struct partition *partition = the_partition(world);
    struct partition_log *log = partition_enter_log(partition);
    int16_t error = partition_log_advance_start(log, offset);
    partition_leave_log(partition, world->now_ms);
    partition_release(partition);
    if (error == KAFKA_NONE)
        world->start = offset;
    return error == KAFKA_NONE;
}

int16_t mover_world_order(struct mover_world *world, const char *path)
{
    return mover_alter(world->mover, slice_of(MOVER_TOPIC), 0, slice_of(path));
}

void mover_world_skip(struct mover_world *world, int64_t offsets)
{
    struct partition *partition = the_partition(world);
    struct partition_log *log = partition_enter_log(partition);
    assert_int_equal(partition_log_skip_to(log, world->end + offsets, WALL_MS), KAFKA_NONE);
    partition_leave_log(partition, world->now_ms);
    partition_release(partition);
    world->end += offsets;
}

bool mover_world_cleaning_is_paused(struct mover_world *world)
{
    struct partition *partition = the_partition(world);
    bool paused = partition_log_cleaning_is_paused(partition_enter_log(partition));
    partition_leave_log(partition, world->now_ms);
    partition_release(partition);
    return paused;
}

void mover_world_run(struct mover_world *world, int64_t ms)
{
    int64_t until = world->now_ms + ms;
    for (int steps = 0; steps < 100000; steps++) {
        if (mover_run(world->mover))
            continue;
        if (world->now_ms >= until || !mover_world_is_moving(world))
            return;
        world->now_ms += 100;
    }
    fail_msg("the mover does not come to an end");
}

bool mover_world_is_moving(struct mover_world *world)
{
    struct move_status status;
    return mover_status(world->mover, slice_of(MOVER_TOPIC), 0, &status);
}

int mover_world_directory(struct mover_world *world)
{
    return log_manager_directory_of(world->logs, slice_of(MOVER_TOPIC), 0);
}

/* The batches of a range, from `*offset` on; below `known` they are what the model says. */
static void check_range(const struct mover_world *world, const struct log_range *range, int64_t known,
                        int64_t *offset)
{
    uint8_t *bytes = memory_allocate((size_t)range->length);
    assert_int_equal(log_range_read(range, bytes), 0);
    for (int64_t at = 0; at < range->length;) {
        struct scanned_batch batch;
        assert_int_equal(scanned_batch_parse(bytes + at, (size_t)(range->length - at), &batch), 0);
        /* The log may begin within a batch. */
        assert_true(batch.base_offset == *offset ||
                    (batch.base_offset < *offset && *offset == world->start && batch.last_offset >= *offset));
        assert_true(scanned_batch_check_crc(&batch, bytes + at));
        if (*offset < known)
            assert_int_equal(batch.max_timestamp, world->ids[*offset]);
        *offset = batch.last_offset + 1;
        at += batch.size_bytes;
    }
    free(bytes);
}

static int64_t check_log(struct mover_world *world, int64_t known)
{
    struct partition_log *log = log_manager_find(world->logs, slice_of(MOVER_TOPIC), 0);
    assert_non_null(log);
    int64_t offset = partition_log_start_offset(log);
    assert_true(offset <= world->start);
    while (offset < partition_log_end_offset(log)) {
        struct log_range range;
        assert_int_equal(partition_log_read(log, offset, 1 << 20, INT64_MAX, true, &range), KAFKA_NONE);
        assert_true(range.length > 0);
        check_range(world, &range, known, &offset);
        log_range_release(&range);
    }
    return offset;
}

void mover_world_check(struct mover_world *world, int64_t end)
{
    int64_t found = check_log(world, world->end);
    assert_true(found >= end);
    assert_true(found <= world->end);
}

void mover_world_check_durable(struct mover_world *world)
{
    assert_true(check_log(world, world->durable_end) >= world->durable_end);
}

int64_t mover_world_end(struct mover_world *world)
{
    return partition_log_end_offset(log_manager_find(world->logs, slice_of(MOVER_TOPIC), 0));
}

struct count {
    const char *suffix;
    size_t found;
};

static int count_folder(void *context, const char *name, bool is_directory)
{
    struct count *count = context;
    size_t length = strlen(name), suffix = strlen(count->suffix);
    if (is_directory && (suffix > 0 ? length > suffix && strcmp(name + length - suffix, count->suffix) == 0
                                    : isdigit((unsigned char)name[length - 1]) != 0))
        count->found++;
    return 0;
}

size_t mover_world_folders(struct mover_world *world, const char *directory, const char *suffix)
{
    struct count count = {.suffix = suffix};
    if (world->logs)
        log_manager_remove_due(world->logs, INT64_MAX - 1);
    assert_int_equal(file_system_list(memory_files_system(world->disk), directory, count_folder, &count), 0);
    return count.found;
}
