/* SPDX-License-Identifier: Apache-2.0 */
/* The table of moves, who asks for them, and the threads that carry them out piece by piece, in turn. */
#include "broker/replica/mover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/log/log_manager_future.h"
#include "broker/replica/mover_internal.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/worker.h"
#include "proto/kafka/error.h"

#define WAIT_MS 1000
#define PAUSE_MS 5000
#define IDLE_MS 60000
#define KEY_MAX (255 + 4)

static struct slice move_key(uint8_t key[KEY_MAX], struct slice topic, int32_t partition)
{
    size_t length = min_size(topic.length, KEY_MAX - 4);
    memcpy(key, &partition, 4);
    if (length > 0)
        memcpy(key + 4, topic.data, length);
    return slice_make(key, length + 4);
}

static int64_t system_monotonic_ms(void *context)
{
    (void)context;
    return clock_monotonic_ms();
}

static int64_t system_wall_ms(void *context)
{
    (void)context;
    return clock_wall_ms();
}

/* ---- life ---- */

struct mover *mover_new(const struct mover_options *options)
{
    struct mover *mover = memory_allocate_zeroed(1, sizeof(*mover));
    mover->replicas = options->replicas;
    mover->logs = replica_manager_logs(options->replicas);
    mover->logger = options->logger;
    mover->threads_wanted = options->threads > 0 ? options->threads : 0;
    mover->monotonic_ms = options->monotonic_ms ? options->monotonic_ms : system_monotonic_ms;
    mover->wall_ms = options->wall_ms ? options->wall_ms : system_wall_ms;
    mover->clock_context = options->clock_context;
    mover->moves = map_new(0);
    list_init(&mover->queue);
    move_throttle_init(&mover->throttle, options->bytes_per_second,
                       mover->monotonic_ms(mover->clock_context));
    pthread_mutex_init(&mover->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&mover->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return mover;
}

static void move_free(struct move *move)
{
    free(move->topic);
    free(move);
}

void mover_free(struct mover *mover)
{
    if (mover == NULL)
        return;
    mover_stop(mover);
    struct list *node;
    while ((node = list_pop_front(&mover->queue)) != NULL)
        move_free(container_of(node, struct move, link));
    map_free(mover->moves);
    pthread_cond_destroy(&mover->changed);
    pthread_mutex_destroy(&mover->lock);
    free(mover);
}

/* ---- the table; under the lock ---- */

static struct move *find_move(struct mover *mover, struct slice topic, int32_t partition)
{
    uint8_t key[KEY_MAX];
    return map_get(mover->moves, move_key(key, topic, partition));
}

static struct move *add_move(struct mover *mover, struct slice topic, int32_t partition, size_t directory)
{
    uint8_t key[KEY_MAX];
    struct move *move = memory_allocate_zeroed(1, sizeof(*move));
    move->topic = memory_copy_bytes(topic.data, topic.length);
    move->partition = partition;
    move->directory = directory;
    move->status.directory = directory;
    map_put(mover->moves, move_key(key, topic, partition), move);
    list_push_back(&mover->queue, &move->link);
    return move;
}

static void drop_move(struct mover *mover, struct move *move)
{
    uint8_t key[KEY_MAX];
    map_remove(mover->moves, move_key(key, slice_of(move->topic), move->partition));
    list_remove(&move->link);
    move_free(move);
}

bool move_is_wanted(struct mover *mover, const struct move *move, size_t directory)
{
    pthread_mutex_lock(&mover->lock);
    bool wanted = move->directory == directory;
    pthread_mutex_unlock(&mover->lock);
    return wanted;
}

int64_t move_throttled_ms(struct mover *mover)
{
    int64_t now_ms = mover->monotonic_ms(mover->clock_context);
    pthread_mutex_lock(&mover->lock);
    int64_t wait_ms = move_throttle_wait_ms(&mover->throttle, now_ms);
    pthread_mutex_unlock(&mover->lock);
    return wait_ms;
}

void move_tell(struct mover *mover, struct move *move, int64_t size_bytes, int64_t end_offset)
{
    pthread_mutex_lock(&mover->lock);
    move->status = (struct move_status){move->attempted, size_bytes, end_offset};
    pthread_mutex_unlock(&mover->lock);
}

/* ---- carrying out ---- */

/* The move that has waited longest of those that are due, out of the others' reach; or NULL and when to look
 * again. */
static struct move *take_due(struct mover *mover, int64_t now_ms, int64_t *wait_ms)
{
    *wait_ms = IDLE_MS;
    list_for_each(node, &mover->queue)
    {
        struct move *move = container_of(node, struct move, link);
        if (move->busy)
            continue;
        int64_t due_ms = move->due_ms - now_ms;
        if (due_ms <= 0) {
            move->busy = true;
            return move;
        }
        *wait_ms = min_i64(*wait_ms, due_ms);
    }
    return NULL;
}

static void put_back(struct mover *mover, struct move *move, const struct move_result *result)
{
    const int64_t pauses_ms[] = {
        [MOVE_AGAIN] = 0, [MOVE_THROTTLED] = result->wait_ms, [MOVE_WAIT] = WAIT_MS, [MOVE_PAUSE] = PAUSE_MS};
    bool redirected = move->directory != move->attempted;
    move_throttle_spend(&mover->throttle, result->copied_bytes);
    move->busy = false;
    list_remove(&move->link);
    list_push_back(&mover->queue, &move->link);
    if (result->outcome != MOVE_ENDED) {
        int64_t pause_ms = redirected ? 0 : pauses_ms[result->outcome];
        move->due_ms = mover->monotonic_ms(mover->clock_context) + pause_ms;
    } else if (!redirected) {
        drop_move(mover, move);
    } else {
        /* Another directory was asked for in the last moment. */
        move->known = false;
        move->topic_id = (struct uuid){{0}};
        move->due_ms = 0;
    }
    pthread_cond_broadcast(&mover->changed);
}

/* Under the lock, which it leaves meanwhile. False: nothing is due for *wait_ms. */
static bool run_one(struct mover *mover, struct buffer *piece, int64_t *wait_ms)
{
    struct move *move = take_due(mover, mover->monotonic_ms(mover->clock_context), wait_ms);
    if (move == NULL)
        return false;
    pthread_mutex_unlock(&mover->lock);
    struct move_result result = move_step(mover, move, piece);
    pthread_mutex_lock(&mover->lock);
    put_back(mover, move, &result);
    return true;
}

bool mover_run(struct mover *mover)
{
    struct buffer piece;
    int64_t wait_ms;
    buffer_init(&piece);
    pthread_mutex_lock(&mover->lock);
    bool done = run_one(mover, &piece, &wait_ms);
    pthread_mutex_unlock(&mover->lock);
    buffer_release(&piece);
    return done;
}

static void wait_for_change(struct mover *mover, int64_t wait_ms)
{
    int64_t until_ms = clock_monotonic_ms() + wait_ms;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_cond_timedwait(&mover->changed, &mover->lock, &until);
}

static void *run_thread(void *context)
{
    struct mover *mover = context;
    struct buffer piece;
    buffer_init(&piece);
    pthread_mutex_lock(&mover->lock);
    while (!mover->stopping) {
        int64_t wait_ms;
        if (run_one(mover, &piece, &wait_ms))
            continue;
        pthread_mutex_unlock(&mover->lock);
        buffer_release(&piece); /* nothing is kept while nothing moves */
        buffer_init(&piece);
        pthread_mutex_lock(&mover->lock);
        if (!mover->stopping)
            wait_for_change(mover, wait_ms);
    }
    pthread_mutex_unlock(&mover->lock);
    buffer_release(&piece);
    return NULL;
}

/* A move that a stop of the broker interrupted. Under the log manager's lock. */
static void resume(void *context, struct slice topic, int32_t partition, size_t directory)
{
    struct mover *mover = context;
    pthread_mutex_lock(&mover->lock);
    if (find_move(mover, topic, partition) == NULL)
        add_move(mover, topic, partition, directory)->stale = true;
    pthread_mutex_unlock(&mover->lock);
}

int mover_start(struct mover *mover)
{
    log_manager_adopt_futures(mover->logs);
    log_manager_each_future_log(mover->logs, resume, mover);
    mover->threads = memory_allocate_zeroed((size_t)mover->threads_wanted + 1, sizeof(*mover->threads));
    for (int i = 0; i < mover->threads_wanted; i++) {
        int error = thread_start(&mover->threads[i], "mover", run_thread, mover);
        if (error != 0)
            return error;
        mover->threads_count++;
    }
    return 0;
}

void mover_stop(struct mover *mover)
{
    pthread_mutex_lock(&mover->lock);
    mover->stopping = true;
    pthread_cond_broadcast(&mover->changed);
    pthread_mutex_unlock(&mover->lock);
    for (int i = 0; i < mover->threads_count; i++)
        pthread_join(mover->threads[i], NULL);
    mover->threads_count = 0;
    free(mover->threads);
    mover->threads = NULL;
}

/* ---- who asks ---- */

static bool any_is_offline(struct log_manager *logs)
{
    return log_manager_usable_directories(logs) < log_manager_directories_count(logs);
}

/* Orders the move, where one is needed. Under the lock. */
static int16_t order(struct mover *mover, struct slice topic, int32_t partition, size_t directory,
                     int current)
{
    struct move *move = find_move(mover, topic, partition);
    if (move != NULL && move->directory == directory)
        return KAFKA_NONE;
    if (move == NULL && current == (int)directory)
        return KAFKA_NONE;
    /* A future log of an earlier order may lie in the offline one. */
    if (current != (int)directory && any_is_offline(mover->logs))
        return KAFKA_KAFKA_STORAGE_ERROR;
    if (move == NULL)
        move = add_move(mover, topic, partition, directory);
    move->directory = directory;
    move->due_ms = 0;
    pthread_cond_broadcast(&mover->changed);
    return KAFKA_NONE;
}

int16_t mover_alter(struct mover *mover, struct slice topic, int32_t partition, struct slice path)
{
    if (partition < 0)
        return KAFKA_REPLICA_NOT_AVAILABLE;
    if (!log_future_name_fits(topic, partition))
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    int number = log_manager_directory_number(mover->logs, path);
    if (number < 0)
        return KAFKA_LOG_DIR_NOT_FOUND;
    struct log_directory_info info;
    log_manager_directory_info(mover->logs, (size_t)number, &info);
    if (info.state == LOG_DIRECTORY_OFFLINE)
        return KAFKA_KAFKA_STORAGE_ERROR;
    int current = log_manager_directory_of(mover->logs, topic, partition);
    if (current >= 0 && log_manager_log_is_offline(mover->logs, topic, partition))
        return KAFKA_KAFKA_STORAGE_ERROR;
    struct partition *here = replica_manager_find(mover->replicas, topic, partition);
    partition_release(here);
    if (here == NULL) {
        if (current < 0)
            log_manager_prefer(mover->logs, topic, partition, (size_t)number);
        return KAFKA_REPLICA_NOT_AVAILABLE;
    }
    pthread_mutex_lock(&mover->lock);
    int16_t error = order(mover, topic, partition, (size_t)number, current);
    pthread_mutex_unlock(&mover->lock);
    return error;
}

bool mover_status(struct mover *mover, struct slice topic, int32_t partition, struct move_status *status)
{
    pthread_mutex_lock(&mover->lock);
    const struct move *move = find_move(mover, topic, partition);
    if (move != NULL)
        *status = move->status;
    pthread_mutex_unlock(&mover->lock);
    return move != NULL;
}

void mover_each(struct mover *mover,
                void (*visit)(void *context, struct slice topic, int32_t partition,
                              const struct move_status *status),
                void *context)
{
    pthread_mutex_lock(&mover->lock);
    list_for_each(node, &mover->queue)
    {
        const struct move *move = container_of(node, struct move, link);
        visit(context, slice_of(move->topic), move->partition, &move->status);
    }
    pthread_mutex_unlock(&mover->lock);
}
