/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A broker's request handlers with real partitions and logs over a disk in memory; the network is exchange.h,
 * the controller is the test: it finds what was forwarded in `calls`. The broker is number 1 of two; number 2
 * exists in the metadata only.
 */
#ifndef TESTS_UNIT_API_API_BENCH_H
#define TESTS_UNIT_API_API_BENCH_H

#include "broker/api/api.h"
#include "broker/log/log_manager.h"
#include "tests/support/memory_files.h"
#include "tests/unit/api/exchange.h"

#define BENCH_CALLS_MAX 8

struct api_bench {
    struct reactor reactor;
    struct memory_files *files;
    struct broker_config config;
    struct log_manager *logs;
    struct replica_host host;
    struct replica_manager *replicas;
    struct mover *mover;
    struct replication_throttles throttles;
    struct metadata_cache *metadata;
    struct controller_link link;
    struct api *api;
    struct controller_call *calls[BENCH_CALLS_MAX];
    size_t calls_count;
};

/* The time as handlers see it. */
int64_t bench_now_ms(const struct api_bench *bench);

/* `properties` are added to server.properties. */
void api_bench_init(struct api_bench *bench, const char *properties);
void api_bench_release(struct api_bench *bench);

/*
 * Makes a topic with one partition by control messages: this broker leads it in `leader_epoch` (leader 1), or
 * broker 2 does. isr_count 1: this broker alone, 2: both.
 */
void api_bench_topic(struct api_bench *bench, const char *name, int32_t leader, int32_t leader_epoch,
                     size_t isr_count);
/* The id of that topic. */
struct uuid api_bench_topic_id(const char *name);

/* A record batch of one record. */
void api_bench_batch(struct buffer *batch, const char *value);
/* Appends it with acks=1 and expects that to work. */
void api_bench_produce(struct api_bench *bench, const char *topic, const char *value);

/* Sends a message; `exchange` is set up by the call. */
void api_bench_send(struct api_bench *bench, struct exchange *exchange, int16_t key, int16_t version,
                    const struct message_codec *codec, const void *body);
/* Answers the oldest forwarded call. */
void api_bench_answer(struct api_bench *bench, int status, const struct control_answer *answer);

/* The other replica of a topic's partition 0 has all below `offset`, and begins at `log_start_offset`. */
void api_bench_follow(struct api_bench *bench, const char *topic, int64_t offset, int64_t log_start_offset);

#endif
