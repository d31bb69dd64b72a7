/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log of keyed records, tombstones, idempotent producers and transactions on a disk in memory, with all
 * that was ever appended to it as the model: whatever compaction does, the newest value of each key must be
 * there at its offset, and nothing that it has replaced must come back.
 */
#ifndef TESTS_UNIT_LOG_COMPACTION_FIXTURE_H
#define TESTS_UNIT_LOG_COMPACTION_FIXTURE_H

#include "broker/log/partition_log_clean.h"
#include "tests/unit/log/log_fixture.h"

#define COMPACTION_PRODUCERS 4
#define COMPACTION_KEYS 24
#define COMPACTION_NO_KEY (-1)

struct compaction_record {
    int64_t offset;
    int key;
    bool tombstone;
    int64_t producer_id; /* of a transaction; -1 */
    bool open;           /* its transaction is */
    bool aborted;
};

struct compaction_producer {
    int32_t next_sequence;
    bool open;
    int64_t last_data_offset; /* -1: none */
};

struct compaction_fixture {
    struct log_fixture log;
    struct compaction_record *history; /* each offset in order; markers are not in it */
    size_t count;
    size_t capacity;
    struct compaction_producer producers[COMPACTION_PRODUCERS];
    struct clean_map map;
    size_t map_bytes;
    bool one_codec; /* none: faster */
    /* Called between the steps of a cleaning; NULL. */
    void (*between)(struct compaction_fixture *fixture, int step);
    struct log_clean_counts counts; /* of the last cleaning */
};

void compaction_fixture_init(struct compaction_fixture *fixture, uint64_t seed);
void compaction_fixture_release(struct compaction_fixture *fixture);
/* Appends a batch of whatever kind. False: the disk refused. */
bool compaction_append(struct compaction_fixture *fixture);
bool compaction_append_many(struct compaction_fixture *fixture, int count);
/* A plain batch of one record; value NULL: a tombstone. */
void compaction_append_record(struct compaction_fixture *fixture, int key, bool tombstone);
void compaction_truncate(struct compaction_fixture *fixture, int64_t offset);
/* Flushes and cleans with everything below the log's end replicated. 0, or what a step said. */
int compaction_clean(struct compaction_fixture *fixture);
/* The log against the model; cleaned: no key comes twice below the first dirty offset. */
void compaction_check(struct compaction_fixture *fixture, bool cleaned);
/* All that can be read, from the log's start. */
void compaction_read(struct compaction_fixture *fixture, struct buffer *out);

#endif
