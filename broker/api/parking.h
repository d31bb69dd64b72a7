/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that waits: for partitions to move, for a deadline, or for its client to go away; whichever comes
 * first wakes it, on its reactor's thread. Everything here belongs to that thread; only the firing of a
 * partition's watcher comes from others, and posts a mail.
 *
 * A watch that has fired cannot be called back: its mail is on the way. Such a watch lets go of its parking
 * and is freed when the mail arrives. So a parking may be released at any time.
 */
#ifndef BROKER_API_PARKING_H
#define BROKER_API_PARKING_H

#include "broker/net/request.h"
#include "broker/replica/partition.h"
#include "common/list.h"
#include "common/loop.h"

/*
 * So long a request waits at most, whatever its client asks for: on a connection that ended without a word
 * nobody may be waiting any more.
 */
#define PARKING_MS_MAX (5 * 60 * 1000)

struct parking {
    struct request *request;
    struct list watches;
    struct loop_timer timer;
    /* A watch fired; `tag` is that of parking_watch. The watch is gone. */
    void (*wake)(struct parking *parking, size_t tag);
    /* The deadline has passed. */
    void (*expired)(struct parking *parking);
    /* The connection died; finish the request with request_answer_nothing. */
    void (*abandoned)(struct parking *parking);
};

/* Sets request->state and request->abandoned. */
void parking_init(struct parking *parking, struct request *request,
                  void (*wake)(struct parking *parking, size_t tag), void (*expired)(struct parking *parking),
                  void (*abandoned)(struct parking *parking));
/* Ends all waits. */
void parking_release(struct parking *parking);

/* When a request ends that its client allows `wait_ms` (clamped to 0 and PARKING_MS_MAX). */
int64_t parking_deadline_ms(const struct request *request, int32_t wait_ms);
void parking_set_deadline(struct parking *parking, int64_t deadline_ms);
/*
 * Watches a partition (see partition_watch); takes its own reference. False: not armed, look at the partition
 * again.
 */
MUST_CHECK bool parking_watch(struct parking *parking, struct partition *partition, enum watch_kind kind,
                              int64_t offset, int32_t leader_epoch, size_t tag);
/* Ends the waits for partitions; the deadline stays. */
void parking_unwatch_all(struct parking *parking);

/* ---- a request of parts ---- */

/*
 * A request that did something with each of several partitions and waits for each on its own: a part pends
 * until it is settled, and the answer leaves when none does, or when time is up.
 */
struct parked_parts;

/* What the request's handler does; parts are named by their index. */
struct parked_parts_handler {
    bool (*is_pending)(const struct parked_parts *parts, size_t index);
    /* Looks at a pending part: settles it, or watches it with its index as tag (parking_watch). */
    void (*check)(struct parked_parts *parts, size_t index);
    /* Settles a pending part whose time is up. */
    void (*time_out)(struct parked_parts *parts, size_t index);
    /* Gives the frame back, and keeps what the answer needs of it: the request is about to wait. */
    void (*release_frame)(struct parked_parts *parts);
    /* Answers and frees the operation; nothing is pending. */
    void (*answer)(struct parked_parts *parts);
    /* Frees the operation without an answer. */
    void (*forget)(struct parked_parts *parts);
};

struct parked_parts {
    struct parking parking;
    const struct parked_parts_handler *handler;
    size_t count;
    size_t pending; /* the handler counts: up as it finds them, down as it settles them */
};

/*
 * Waits, `wait_ms` at most, unless everything is settled at the first look: then the answer leaves at once.
 * The operation may be gone when this returns.
 */
void parked_parts_await(struct parked_parts *parts, struct request *request, int32_t wait_ms);

#endif
