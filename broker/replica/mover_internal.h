/* SPDX-License-Identifier: Apache-2.0 */
/* The mover's structures, shared by mover.c (the table of moves and the threads) and mover_step.c (what a
 * move does next) only. */
#ifndef BROKER_REPLICA_MOVER_INTERNAL_H
#define BROKER_REPLICA_MOVER_INTERNAL_H

#include <pthread.h>

#include "broker/replica/mover.h"
#include "broker/replica/mover_core.h"
#include "common/buffer.h"
#include "common/list.h"
#include "common/map.h"
#include "common/uuid.h"

struct move {
    struct list link;
    char *topic; /* this and the next never change */
    int32_t partition;
    /* Guarded by the mover's lock. */
    size_t directory; /* where to */
    bool busy;        /* a thread is at it; only that one ends it */
    int64_t due_ms;
    struct move_status status;
    /* Of the thread that is at it. */
    struct uuid topic_id; /* zero: not known yet */
    bool known;           /* the future log was a prefix of the live one ... */
    uint64_t truncations; /* ... when that had been truncated so often */
    bool seen;            /* the partition was there in this life of the broker */
    bool stale;           /* the live log may have been compacted since what the future log has was copied */
    bool announced;       /* that it waits for room */
    int64_t waits_since_ms;
    bool yielded;         /* it has waited so long that compaction goes on meanwhile */
    unsigned hurried;     /* so often too much was left for the exchange */
    int64_t least_left;   /* offsets: it never was nearer to the live log's end; 0: not known */
    unsigned lost_rounds; /* so many pieces have brought it no nearer */
    size_t attempted;     /* the directory that the last step was for */
};

struct mover {
    struct replica_manager *replicas;
    struct log_manager *logs;
    struct logger *logger;
    int threads_wanted;
    int64_t (*monotonic_ms)(void *context);
    int64_t (*wall_ms)(void *context);
    void *clock_context;

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    struct map *moves; /* topic and partition -> struct move */
    struct list queue; /* all moves; the one that waits longest first */
    struct move_throttle throttle;
    pthread_t *threads;
    int threads_count;
    bool stopping;
};

enum move_outcome {
    MOVE_AGAIN,     /* there is more to do at once */
    MOVE_THROTTLED, /* there is more to copy, later */
    MOVE_WAIT,      /* for the partition, shortly */
    MOVE_PAUSE,     /* something is in the way: longer */
    MOVE_ENDED,     /* the future log is gone, or has become the live one */
};

struct move_result {
    enum move_outcome outcome;
    int64_t copied_bytes; /* for the throttle */
    int64_t wait_ms;      /* where it is throttled */
};

/* Does the next piece. No lock is held. */
struct move_result move_step(struct mover *mover, struct move *move, struct buffer *piece);

/* Whether that directory is still the one that is wanted. Takes the mover's lock. */
bool move_is_wanted(struct mover *mover, const struct move *move, size_t directory);
/* How long the throttle wants a piece to wait; 0: not at all. Takes the mover's lock. */
int64_t move_throttled_ms(struct mover *mover);
/* For those who ask. Takes the mover's lock. */
void move_tell(struct mover *mover, struct move *move, int64_t size_bytes, int64_t end_offset);

#endif
