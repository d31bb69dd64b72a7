/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of log directories share: a log manager with the directories a and b on a disk in memory.
 * The logs are those of the topic "orders"; on a new disk even partitions come to lie in a, odd ones in b.
 */
#ifndef TESTS_UNIT_LOG_DIRECTORIES_FIXTURE_H
#define TESTS_UNIT_LOG_DIRECTORIES_FIXTURE_H

#include "broker/log/log_manager.h"
#include "tests/unit/log/log_fixture.h"

#define CLUSTER "u4zkQmXqRl2wJ0Jq9fB1Zg"
#define NOW_MS 1700000000000
#define PARTITIONS 4
#define IN_A 0
#define IN_B 1

struct world {
    struct memory_files *disk;
    struct prng prng;
    struct log_manager_options options;
    struct log_manager *manager;
    struct buffer error;
    int changes; /* calls of directories_changed */
};

/* A disk without anything on it, and the options of a manager; opens none. */
void world_init(struct world *world, uint64_t seed);
/* The same with /data/a and /data/b, durable and empty. */
void world_init_directories(struct world *world, uint64_t seed);
/* Initialised and opened, with PARTITIONS logs of `records` records. */
void world_fill(struct world *world, uint64_t seed, int records);
void world_release(struct world *world);

/* What log_manager_open returns; on failure the reason is in `error`. */
int world_open(struct world *world);
/* Frees the manager without closing it. */
void world_drop(struct world *world);
/* The process ends and starts again, with a disk that has no faults. */
void world_restart(struct world *world, enum memory_files_crash crash);

/* The log of that partition; that the manager answers `expected`, 0 or -errno, is asserted. NULL unless 0. */
struct partition_log *world_obtain(struct world *world, int32_t partition, bool is_new, int expected);
/* The log of that partition, made if need be; NULL if the disk refuses. */
struct partition_log *world_make(struct world *world, int32_t partition);
/* Appends a batch of one record; whether the disk took it. */
bool world_append(struct world *world, struct partition_log *log);

/* What log_manager_directory_info says of directory `number`. */
struct log_directory_info world_directory_info(struct world *world, size_t number);
/* Whether there is such a file or folder; the disk must be able to tell. */
bool world_exists(struct world *world, const char *path);
void world_assert_content(struct world *world, const char *path, const char *expected);

#endif
