/* SPDX-License-Identifier: Apache-2.0 */
/* The broker's standing in the cluster, as a few flags under a lock and one that is read without it. */
#include "broker/api/standing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/memory.h"

struct standing {
    struct standing_options options;
    void (*opened)(void *context); /* requests that wait may go on; NULL: none wait */
    void *opened_context;
    atomic_bool open;
    atomic_bool ended;
    atomic_uint dismissals;      /* how often those who wait were sent away */
    atomic_int_fast64_t seen_ms; /* when somebody was last seen at work */

    pthread_mutex_t lock; /* guards what follows, and changes of `open` */
    int64_t broker_epoch; /* of the registration; -1: none yet */
    bool metadata_told;   /* in this registration */
    bool leaders_told;
    bool leads; /* what was told names partitions that are led here */
    bool in_doubt;
    uint64_t doubt;    /* number of the last one */
    int64_t closed_ms; /* since when clients wait */
};

/* What a change asks for when the lock is left. */
struct consequence {
    bool opened;
    bool doubted;
    bool dismissed;
};

struct standing *standing_new(const struct standing_options *options, int64_t now_ms)
{
    struct standing *standing = memory_allocate_zeroed(1, sizeof(*standing));
    standing->options = *options;
    atomic_init(&standing->open, false);
    atomic_init(&standing->ended, false);
    atomic_init(&standing->dismissals, 0);
    atomic_init(&standing->seen_ms, now_ms);
    pthread_mutex_init(&standing->lock, NULL);
    standing->closed_ms = now_ms;
    standing->broker_epoch = -1;
    return standing;
}

void standing_free(struct standing *standing)
{
    if (standing == NULL)
        return;
    pthread_mutex_destroy(&standing->lock);
    free(standing);
}

void standing_on_opened(struct standing *standing, void (*opened)(void *context), void *context)
{
    standing->opened = opened;
    standing->opened_context = context;
}

/* Under the lock: `open` follows the flags. */
static void follow(struct standing *standing, int64_t now_ms, struct consequence *consequence)
{
    bool told = standing->metadata_told && (standing->leaders_told || !standing->leads);
    bool open = atomic_load(&standing->ended) || (told && !standing->in_doubt);
    if (atomic_exchange(&standing->open, open) == open)
        return;
    consequence->opened = open;
    if (!open)
        standing->closed_ms = now_ms;
}

static void carry_out(struct standing *standing, const struct consequence *consequence)
{
    const struct standing_options *options = &standing->options;
    if (consequence->doubted && options->doubted != NULL)
        options->doubted(options->doubt_context);
    if ((consequence->opened || consequence->dismissed) && standing->opened != NULL)
        standing->opened(standing->opened_context);
}

/* Under the lock. */
static void begin_doubt(struct standing *standing, int64_t now_ms, struct consequence *consequence)
{
    standing->in_doubt = true;
    standing->doubt++;
    consequence->doubted = true;
    follow(standing, now_ms, consequence);
}

static void notice_gap(struct standing *standing, int64_t now_ms)
{
    struct consequence consequence = {0};
    pthread_mutex_lock(&standing->lock);
    int64_t gap_ms = now_ms - atomic_load(&standing->seen_ms);
    bool stood_still = gap_ms > standing->options.gap_max_ms;
    bool noticed = stood_still && standing->broker_epoch >= 0;
    /* Nobody could answer meanwhile: that time is not of the patience. */
    if (stood_still && !atomic_load(&standing->open))
        standing->closed_ms = now_ms;
    if (noticed)
        begin_doubt(standing, now_ms, &consequence);
    /* Not before `open` is false: who sees the new time must see that, too. */
    atomic_store(&standing->seen_ms, now_ms);
    pthread_mutex_unlock(&standing->lock);
    if (noticed)
        log_warn(standing->options.logger, "server",
                 "this process stood still for %lld ms: clients wait until ZooKeeper has said whether the "
                 "session has outlived that",
                 (long long)gap_ms);
    carry_out(standing, &consequence);
}

bool standing_is_good(struct standing *standing, int64_t now_ms)
{
    int64_t seen_ms = atomic_load(&standing->seen_ms);
    if (now_ms - seen_ms > standing->options.gap_max_ms)
        notice_gap(standing, now_ms);
    else if (now_ms > seen_ms) /* another thread's later time may be lost: the next one mends that */
        atomic_store(&standing->seen_ms, now_ms);
    return atomic_load(&standing->open);
}

bool standing_is_open(const struct standing *standing)
{
    return atomic_load(&standing->open);
}

void standing_session_begun(struct standing *standing, int64_t now_ms)
{
    struct consequence consequence = {0};
    pthread_mutex_lock(&standing->lock);
    if (standing->broker_epoch >= 0)
        begin_doubt(standing, now_ms, &consequence);
    else
        standing->closed_ms = now_ms;
    pthread_mutex_unlock(&standing->lock);
    carry_out(standing, &consequence);
}

uint64_t standing_doubt(struct standing *standing)
{
    pthread_mutex_lock(&standing->lock);
    uint64_t doubt = standing->in_doubt ? standing->doubt : 0;
    pthread_mutex_unlock(&standing->lock);
    return doubt;
}

void standing_session_lives(struct standing *standing, uint64_t doubt)
{
    struct consequence consequence = {0};
    pthread_mutex_lock(&standing->lock);
    if (standing->in_doubt && standing->doubt == doubt) {
        standing->in_doubt = false;
        follow(standing, standing->closed_ms, &consequence);
    }
    pthread_mutex_unlock(&standing->lock);
    carry_out(standing, &consequence);
}

void standing_registered(struct standing *standing, int64_t broker_epoch, int64_t now_ms)
{
    struct consequence consequence = {0};
    pthread_mutex_lock(&standing->lock);
    standing->in_doubt = false;
    if (standing->broker_epoch != broker_epoch) {
        standing->broker_epoch = broker_epoch;
        standing->metadata_told = false;
        standing->leaders_told = false;
        standing->leads = false;
    }
    follow(standing, now_ms, &consequence);
    pthread_mutex_unlock(&standing->lock);
    carry_out(standing, &consequence);
}

void standing_metadata_told(struct standing *standing, int64_t broker_epoch, bool leads)
{
    struct consequence consequence = {0};
    pthread_mutex_lock(&standing->lock);
    if (!standing->metadata_told && standing->broker_epoch == broker_epoch) {
        standing->metadata_told = true;
        standing->leads = leads;
        follow(standing, standing->closed_ms, &consequence);
    }
    pthread_mutex_unlock(&standing->lock);
    carry_out(standing, &consequence);
}

void standing_leaders_told(struct standing *standing, int64_t broker_epoch)
{
    struct consequence consequence = {0};
    pthread_mutex_lock(&standing->lock);
    if (standing->broker_epoch == broker_epoch) {
        standing->leaders_told = true;
        follow(standing, standing->closed_ms, &consequence);
    }
    pthread_mutex_unlock(&standing->lock);
    carry_out(standing, &consequence);
}

/* Under the lock: clients have waited for as long as they are to. */
static void end_patience(struct standing *standing, bool registering, int64_t now_ms,
                         struct consequence *consequence)
{
    if (registering && standing->broker_epoch < 0) {
        standing->closed_ms = now_ms;
        atomic_fetch_add(&standing->dismissals, 1);
        consequence->dismissed = true;
        return;
    }
    standing->in_doubt = false;
    standing->metadata_told = true;
    standing->leaders_told = true;
    follow(standing, now_ms, consequence);
}

void standing_tick(struct standing *standing, bool registering, int64_t now_ms)
{
    struct consequence consequence = {0};
    if (standing_is_good(standing, now_ms))
        return;
    pthread_mutex_lock(&standing->lock);
    bool impatient =
        !atomic_load(&standing->open) && now_ms - standing->closed_ms >= standing->options.patience_ms;
    if (impatient)
        end_patience(standing, registering, now_ms, &consequence);
    pthread_mutex_unlock(&standing->lock);
    long long patience_ms = (long long)standing->options.patience_ms;
    if (consequence.dismissed)
        log_warn(standing->options.logger, "server",
                 "not registered for %lld ms: the connections of clients that wait are closed, so that they "
                 "ask another broker",
                 patience_ms);
    else if (impatient)
        log_warn(standing->options.logger, "server",
                 "no news of the cluster for %lld ms: clients are answered with what is known here",
                 patience_ms);
    carry_out(standing, &consequence);
}

unsigned standing_dismissals(const struct standing *standing)
{
    return atomic_load(&standing->dismissals);
}

void standing_end(struct standing *standing)
{
    struct consequence consequence = {0};
    pthread_mutex_lock(&standing->lock);
    atomic_store(&standing->ended, true);
    follow(standing, standing->closed_ms, &consequence);
    pthread_mutex_unlock(&standing->lock);
    carry_out(standing, &consequence);
}

bool standing_is_ended(const struct standing *standing)
{
    return atomic_load(&standing->ended);
}
