/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the mover decides: the next step that brings the copy of a log in another directory (the future log)
 * nearer to the live one, and how fast it may go. Pure.
 *
 * The future log is a prefix of the live one, from the live log's start on, whenever a step begins; but where
 * the live log was truncated since the last step, and in the first step after a start of the broker, nobody
 * knows. Then leader epochs tell, as between a follower and its leader (KIP-101, KIP-279): a log that agrees
 * with another in the last epoch and below that epoch's end agrees in everything below. Where epochs cannot
 * tell (old formats have none) the copy begins anew.
 */
#ifndef BROKER_REPLICA_MOVER_CORE_H
#define BROKER_REPLICA_MOVER_CORE_H

#include "common/base.h"

/* Both logs at one moment, under the partition's lock. */
struct move_view {
    int64_t live_start;
    int64_t live_end;
    int64_t future_start;
    int64_t future_end;
    bool truncated; /* the live log was, or may have been, since the future was last known as a prefix */
    int32_t future_epoch; /* its newest; -1: none */
    /* What the live log says where that epoch ends: (-1, -1): it does not know. */
    int32_t live_found_epoch;
    int64_t live_found_end;
    /* And the future log, of the epoch that the live one found. */
    int32_t future_found_epoch;
    int64_t future_found_end;
};

enum move_action {
    MOVE_BEGIN_ANEW,    /* empty the future log; it goes on at `offset` */
    MOVE_TRUNCATE,      /* the future log, to `offset` */
    MOVE_ADVANCE_START, /* of the future log, to `offset` */
    MOVE_COPY,          /* from `offset` on */
    MOVE_SWAP,          /* it has all */
};

struct move_plan {
    enum move_action action;
    int64_t offset;
};

/* After each but the first two the future log is known as a prefix of the live one. */
struct move_plan mover_plan(const struct move_view *view);

/* Bytes that all moves together may copy in a second. */
struct move_throttle {
    int64_t bytes_per_second;
    int64_t allowance_bytes; /* below zero after a piece that was larger than what there was */
    int64_t counted_ms;      /* up to when it was counted */
};

void move_throttle_init(struct move_throttle *throttle, int64_t bytes_per_second, int64_t now_ms);
/* 0: a piece may be copied now, and is to be told of with move_throttle_spend; else how long to wait, in
 * milliseconds. */
int64_t move_throttle_wait_ms(struct move_throttle *throttle, int64_t now_ms);
void move_throttle_spend(struct move_throttle *throttle, int64_t bytes);

#endif
