/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One partition of a broker with three log directories on a disk in memory, its mover without threads, and a
 * model of what is in its log: a batch of one record at each offset, whose timestamp is a number of its own.
 */
#ifndef TESTS_UNIT_REPLICA_MOVER_FIXTURE_H
#define TESTS_UNIT_REPLICA_MOVER_FIXTURE_H

#include "broker/replica/mover.h"
#include "common/prng.h"
#include "tests/support/memory_files.h"

#define MOVER_TOPIC "topic"
#define MOVER_RECORDS_MAX 4000
#define MOVER_DIRECTORIES 3

struct mover_world {
    struct memory_files *disk;
    struct prng prng;
    struct log_settings settings;
    struct log_manager *logs;
    struct replica_host host;
    struct replica_manager *replicas;
    struct mover *mover;
    int64_t now_ms;
    int64_t bytes_per_second;
    size_t value_bytes; /* of each record; 0: some */
    int threads;        /* of the mover; then it has the system's clocks */
    int32_t leader_epoch;
    uint8_t topic_generation; /* a deleted and new topic has another id */
    /* What the log has, and how much of it is durable. */
    int64_t ids[MOVER_RECORDS_MAX];
    int64_t next_id;
    int64_t start;
    int64_t end;
    int64_t durable_end;
};

/* Makes the disk, not more. */
void mover_world_init(struct mover_world *world, uint64_t seed);
void mover_world_release(struct mover_world *world);
/* Opens the logs; 0 or -errno. The partition is not named yet. */
int mover_world_open(struct mover_world *world);
/* Ends as a crash of the process would; the disk is not told. */
void mover_world_drop(struct mover_world *world);
/* A clean stop. 0 or -errno. */
int mover_world_stop(struct mover_world *world);
/* The controller's word: this broker leads in the next epoch. A Kafka error. */
int16_t mover_world_lead(struct mover_world *world);
/* The controller's word: the partition is deleted. */
void mover_world_delete(struct mover_world *world);
/* Metadata with that partition epoch: broker 2 alone has the partition now. */
void mover_world_depart(struct mover_world *world, int32_t partition_epoch);
/* False: the disk refused. */
bool mover_world_produce(struct mover_world *world);
/* A batch of several records, all with the same number. */
bool mover_world_produce_batch(struct mover_world *world, int records);
/* The log goes on behind a gap at its end, as compaction may leave one. */
void mover_world_skip(struct mover_world *world, int64_t offsets);
bool mover_world_cleaning_is_paused(struct mover_world *world);
bool mover_world_flush(struct mover_world *world);
bool mover_world_truncate(struct mover_world *world, int64_t offset);
bool mover_world_advance_start(struct mover_world *world, int64_t offset);
int16_t mover_world_order(struct mover_world *world, const char *path);
/* Lets the mover work until it has nothing to do within `ms`. */
void mover_world_run(struct mover_world *world, int64_t ms);
bool mover_world_is_moving(struct mover_world *world);
/* The directory of the live log: 0, 1, 2; -1 none. */
int mover_world_directory(struct mover_world *world);
/* The log holds what the model says, from `start`, at least up to `end`. */
void mover_world_check(struct mover_world *world, int64_t end);
/* After a crash: it holds all that is durable, and behind it only what was ever produced there. */
void mover_world_check_durable(struct mover_world *world);
int64_t mover_world_end(struct mover_world *world);
/* Those that are due are removed, where the logs are open. Folders whose name ends with `suffix` ("": with a
 * digit) in a directory. */
size_t mover_world_folders(struct mover_world *world, const char *directory, const char *suffix);

#endif
