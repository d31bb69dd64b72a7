/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of answers on one connection. Every request reserves a slot when it arrives; slots are finished
 * in any order and leave in the order in which they were reserved:
 *
 *     reserve -> OPEN -- ready --> READY -- sent (advance) --> done
 *                     -- vanish -> done (no answer; the slots behind it move up)
 *                     -- close --> CLOSING (the connection ends when everything before it was sent)
 *
 * An answer is a run of bytes with gaps in it, each of which stands for a range of a file. The queue tells
 * what to send next as pieces and is told how many bytes went out. It knows no sockets and owns no memory but
 * its own few numbers: slots, bytes and gaps belong to the caller.
 *
 * Pure; one thread.
 */
#ifndef BROKER_NET_ANSWER_QUEUE_H
#define BROKER_NET_ANSWER_QUEUE_H

#include "common/base.h"
#include "common/list.h"
#include "common/slice.h"
#include "proto/kafka/wire.h"

enum answer_state {
    ANSWER_DETACHED, /* in no queue */
    ANSWER_OPEN,
    ANSWER_READY,
    ANSWER_CLOSING,
};

struct answer_slot {
    struct list node;
    struct answer_queue *queue; /* NULL when detached: the connection is gone, or the answer is */
    enum answer_state state;
    struct slice bytes;          /* READY: what is in memory, size prefix included */
    const struct wire_gap *gaps; /* READY: what is in files, by ascending position in bytes */
    size_t gap_count;
    int64_t length; /* bytes and gaps together */
    int64_t sent;   /* of length */
};

struct answer_queue {
    struct list slots;
    size_t count;       /* slots in the queue */
    size_t open_count;  /* of them OPEN: somebody still owes an answer */
    size_t ready_bytes; /* memory held by READY slots, until the whole slot is sent */
    bool closing;       /* one of them is CLOSING */
};

/* A run of bytes in memory (gap NULL), or of a gap, from `offset` in it. */
struct answer_piece {
    struct slice bytes;
    const struct wire_gap *gap;
    int64_t offset;
    int64_t length; /* > 0 */
};

void answer_queue_init(struct answer_queue *queue);

/* Puts the slot at the end, OPEN. Not after a CLOSING one. */
void answer_queue_reserve(struct answer_queue *queue, struct answer_slot *slot);

/*
 * What becomes of an OPEN slot. bytes and gaps are borrowed until the slot is done. On a detached slot these
 * do nothing: nobody listens any more.
 */
void answer_slot_ready(struct answer_slot *slot, struct slice bytes, const struct wire_gap *gaps,
                       size_t gap_count);
void answer_slot_vanish(struct answer_slot *slot);
/* The slots behind it are never sent; queue->closing is set: do not reserve any more. */
void answer_slot_close(struct answer_slot *slot);

/* What can be sent now, in order, as at most `limit` pieces; returns how many there are. */
size_t answer_queue_gather(const struct answer_queue *queue, struct answer_piece *pieces, size_t limit);

/* `length` more bytes were sent, at most what gather gave; slots that are done go to `done`, detached. */
void answer_queue_advance(struct answer_queue *queue, int64_t length, struct list *done);

/* True when the first slot is CLOSING: everything that had to go before it went. */
bool answer_queue_is_finished(const struct answer_queue *queue);

/* Takes the first slot out, whatever its state, detached; NULL when empty. For the end of a connection. */
struct answer_slot *answer_queue_drop_first(struct answer_queue *queue);

#endif
