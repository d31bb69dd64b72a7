/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this broker may speak for the cluster. What it knows of leaders is worth telling only while it is
 * in the cluster; three times it is not, and a client that is answered all the same is misled: it is told
 * that topics do not exist, or finds a leader that was deposed, whose producers' sequence numbers are old
 * news.
 *
 *   - at the start, until it is registered and the controller has told it who leads, and what it leads
 * itself;
 *   - after it stood still (stopped, swapped out, a frozen machine) for a good part of the session timeout,
 *     until ZooKeeper has said that the session lived through it: all that waited in sockets meanwhile would
 *     be handled before the news that the session is over (I37);
 *   - after the session was lost, until it is registered again and told again.
 *
 * Meanwhile requests of clients wait (held_requests.h), but not for longer than the patience: a cluster
 * without a controller, or a broker without ZooKeeper, answers then with what it knows. A broker that has
 * never been registered and waits for that (its old registration may stand for a session timeout after it was
 * killed) knows nothing: it closes the connections of those who wait, and they ask another broker, or come
 * again and wait anew.
 *
 * Every thread that is seen at work lends its eyes: a gap in which nobody was seen is one of the process. Any
 * thread may call anything here; the callbacks come on the calling thread, outside the lock.
 */
#ifndef BROKER_API_STANDING_H
#define BROKER_API_STANDING_H

#include "common/base.h"
#include "common/log.h"

struct standing;

struct standing_options {
    struct logger *logger;
    int64_t gap_max_ms;  /* unseen for longer: the session is in doubt */
    int64_t patience_ms; /* clients wait for at most this long */
    /* The session is in doubt: somebody asks ZooKeeper, then calls standing_session_lives. NULL: nobody. */
    void (*doubted)(void *context);
    void *doubt_context;
};

/* In bad standing, as of a start. `now_ms`: monotonic, as everywhere here. */
struct standing *standing_new(const struct standing_options *options, int64_t now_ms);
void standing_free(struct standing *standing);
/* Who is to hear that requests may go on, or that those who wait are sent away; once, before requests come.
 */
void standing_on_opened(struct standing *standing, void (*opened)(void *context), void *context);

/* Somebody is at work at this time. False: requests of clients are to wait. Cheap. */
bool standing_is_good(struct standing *standing, int64_t now_ms);
/* The same without noting a time. */
bool standing_is_open(const struct standing *standing);

/*
 * A new session has begun: that before it, if any, is over for certain. (One that has only had no contact for
 * long is no reason to keep clients waiting: while all of ZooKeeper is away nobody is deposed.) Before the
 * first registration the patience begins anew with it.
 */
void standing_session_begun(struct standing *standing, int64_t now_ms);
/* 0: the session is in no doubt; else the number of the doubt. */
uint64_t standing_doubt(struct standing *standing);
/* ZooKeeper has answered a question that was asked after that doubt arose: the registration is ours. */
void standing_session_lives(struct standing *standing, uint64_t doubt);
/* Registered: in a new epoch the controller will tell everything; in the same one nobody took us for dead. */
void standing_registered(struct standing *standing, int64_t broker_epoch, int64_t now_ms);
/* A message with all metadata to the broker in that epoch was carried out; `leads`: it names partitions that
 * this broker leads, of which it hears in a leader-and-isr message. */
void standing_metadata_told(struct standing *standing, int64_t broker_epoch, bool leads);
/* A leader-and-isr message was carried out, likewise. */
void standing_leaders_told(struct standing *standing, int64_t broker_epoch);
/* Time passes; every 100 ms or so. `registering`: ZooKeeper is there, a registration is a matter of time. */
void standing_tick(struct standing *standing, bool registering, int64_t now_ms);
/* How often those who waited were sent away. */
unsigned standing_dismissals(const struct standing *standing);
/* The broker stops: what waits is let go, to find standing_is_ended. */
void standing_end(struct standing *standing);
bool standing_is_ended(const struct standing *standing);

#endif
