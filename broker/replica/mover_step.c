/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step of a move. What is copied is chosen under the partition's lock, read and appended without it.
 * Bytes that were read count only if the live log was not truncated since they were chosen: their place may
 * have been written anew meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/log/log_manager_future.h"
#include "broker/replica/mover_internal.h"
#include "proto/kafka/error.h"

#define PIECE_BYTES ((int64_t)1 << 20)
/* What may be left to be copied under the partition's lock, before the exchange. */
#define LAST_LEG_BYTES ((int64_t)1 << 20)

/* What a step works with. */
struct step {
    struct mover *mover;
    struct move *move;
    struct slice topic;
    size_t directory;
    struct partition *partition;
    struct partition_log *future;
    struct buffer *piece;
    int64_t copied;
};

/* What was chosen under the partition's lock. */
struct choice {
    struct move_plan plan;
    int64_t live_end;
    uint64_t truncations;
    struct log_range range;
};

static void say(const struct step *step, enum log_level level, const char *what, const char *why)
{
    struct log_directory_info info;
    log_manager_directory_info(step->mover->logs, step->directory, &info);
    log_line(step->mover->logger, level, "replica", "%.*s-%" PRId32 ": the move to %s %s%s%s",
             SLICE_ARGUMENTS(step->topic), step->move->partition, info.path, what, why[0] ? ": " : "", why);
}

/* ---- ends ---- */

static void resume_cleaning(const struct step *step)
{
    struct partition_log *live = step->partition ? partition_enter_log(step->partition) : NULL;
    if (live == NULL)
        return;
    partition_log_pause_cleaning(live, false);
    partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
}

static enum move_outcome end_move(const struct step *step, enum log_level level, const char *what,
                                  const char *why)
{
    int error = log_manager_remove_future(step->mover->logs, step->topic, step->move->partition);
    if (error)
        say(step, LOG_WARN, "left a folder behind that the next start removes or goes on with",
            strerror(-error));
    resume_cleaning(step);
    say(step, level, what, why);
    return MOVE_ENDED;
}

/* One of the two directories has failed: nothing is written there any more. */
static enum move_outcome abandon(const struct step *step, const char *why)
{
    log_manager_abandon_future(step->mover->logs, step->topic, step->move->partition);
    resume_cleaning(step);
    say(step, LOG_ERROR, "has ended", why);
    return MOVE_ENDED;
}

/* After an error of the future log's disk. */
static enum move_outcome future_failed(const struct step *step, int error)
{
    struct log_directory_info info;
    log_manager_directory_info(step->mover->logs, step->directory, &info);
    if (info.state == LOG_DIRECTORY_OFFLINE ||
        (step->future != NULL && partition_log_failure(step->future) != 0))
        return abandon(step, "the log directory there has failed");
    if (!step->move->announced)
        say(step, LOG_WARN, "waits", error ? strerror(-error) : "nothing can be written there now");
    step->move->announced = true;
    return MOVE_PAUSE;
}

/* ---- what to do ---- */

static struct move_view look(const struct step *step, const struct partition_log *live)
{
    const struct partition_log *future = step->future;
    struct move_view view = {
        .live_start = partition_log_start_offset(live),
        .live_end = partition_log_end_offset(live),
        .future_start = partition_log_start_offset(future),
        .future_end = partition_log_end_offset(future),
        .truncated = !step->move->known || step->move->truncations != partition_log_truncations(live),
        .future_epoch = partition_log_latest_epoch(future),
    };
    partition_log_epoch_end(live, view.future_epoch, &view.live_found_epoch, &view.live_found_end);
    partition_log_epoch_end(future, view.live_found_epoch, &view.future_found_epoch, &view.future_found_end);
    return view;
}

/* Under the partition's lock. A Kafka error of the live log; the range is the caller's. */
static int16_t choose(const struct step *step, struct partition_log *live, struct choice *choice)
{
    struct move_view view = look(step, live);
    *choice = (struct choice){
        .plan = mover_plan(&view), .live_end = view.live_end, .truncations = partition_log_truncations(live)};
    if (choice->plan.action == MOVE_BEGIN_ANEW || choice->plan.action == MOVE_TRUNCATE)
        return KAFKA_NONE;
    step->move->known = true;
    step->move->truncations = choice->truncations;
    if (choice->plan.action != MOVE_COPY)
        return KAFKA_NONE;
    return partition_log_read(live, choice->plan.offset, PIECE_BYTES, view.live_end, true, &choice->range);
}

/* Reads what was chosen. 0 or -errno. */
static int read_piece(struct step *step, const struct log_range *range)
{
    buffer_clear(step->piece);
    uint8_t *room = buffer_reserve(step->piece, (size_t)range->length);
    int error = log_range_read(range, room);
    if (error == 0)
        step->piece->length = (size_t)range->length;
    return error;
}

/* The bytes are what the live log has, or had when it was last truncated. A Kafka error of the future log. */
static int16_t append_piece(struct step *step, const struct choice *choice)
{
    int64_t wall_ms = step->mover->wall_ms(step->mover->clock_context);
    if (choice->range.length == 0)
        return partition_log_skip_to(step->future, choice->live_end, wall_ms);
    size_t appended;
    int16_t error =
        partition_log_append_copy(step->future, step->piece->data, step->piece->length, wall_ms, &appended);
    step->copied += (int64_t)appended;
    return error;
}

static bool still_there(const struct step *step, const struct choice *choice)
{
    struct partition_log *live = partition_enter_log(step->partition);
    if (live == NULL)
        return false;
    bool same = partition_log_truncations(live) == choice->truncations;
    partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
    return same;
}

static enum move_outcome copy_piece(struct step *step, struct choice *choice)
{
    int error = read_piece(step, &choice->range);
    log_range_release(&choice->range);
    if (error) {
        say(step, LOG_WARN, "waits: the log cannot be read", strerror(-error));
        return MOVE_PAUSE;
    }
    if (!still_there(step, choice))
        return MOVE_AGAIN;
    choice->range.length = (int64_t)step->piece->length;
    int16_t refused = append_piece(step, choice);
    if (refused == KAFKA_CORRUPT_MESSAGE || refused == KAFKA_OFFSET_OUT_OF_RANGE)
        return end_move(step, LOG_ERROR, "has ended", "there is damage in the log that it reads");
    if (refused != KAFKA_NONE)
        return future_failed(step, 0);
    step->move->announced = false;
    return MOVE_AGAIN;
}

/* ---- the exchange ---- */

/* The last pieces, with the partition locked: 0 when the future log has all, -EAGAIN where too much is left
 * or the order has changed, -EIO where one of the two logs fails. */
static int last_leg(struct step *step, struct partition_log *live)
{
    int64_t before = step->copied;
    while (step->copied - before <= LAST_LEG_BYTES) {
        struct choice choice;
        if (choose(step, live, &choice) != KAFKA_NONE)
            return -EIO;
        if (choice.plan.action == MOVE_SWAP)
            return move_is_wanted(step->mover, step->move, step->directory) ? 0 : -EAGAIN;
        int error = choice.plan.action == MOVE_COPY ? read_piece(step, &choice.range) : -EAGAIN;
        log_range_release(&choice.range);
        if (error)
            return error;
        choice.range.length = (int64_t)step->piece->length;
        if (append_piece(step, &choice) != KAFKA_NONE)
            return -EIO;
    }
    return -EAGAIN;
}

static int exchange_locked(struct step *step, struct partition_log *live, struct retired_log **retired)
{
    int error = last_leg(step, live);
    int32_t epoch = partition_log_latest_epoch(live);
    /* An epoch in which nothing was written yet is in no batch. */
    if (!error && epoch > partition_log_latest_epoch(step->future))
        error = partition_log_begin_epoch(step->future, epoch);
    if (error)
        return error;
    struct log_settings settings = *partition_log_settings(live);
    struct partition_log *log;
    error = log_manager_swap(step->mover->logs, step->topic, step->move->partition, &settings,
                             partition_entered_high_watermark(step->partition), &log, retired);
    step->future = NULL;
    if (!error)
        partition_put_log(step->partition, log);
    return error;
}

static enum move_outcome exchange(struct step *step)
{
    struct log_manager *logs = step->mover->logs;
    int error = partition_log_flush(step->future); /* so that little is left for the lock */
    if (error)
        return future_failed(step, error);
    struct retired_log *retired = NULL;
    log_manager_hold(logs);
    struct partition_log *live = partition_enter_log(step->partition);
    if (live != NULL) {
        error = exchange_locked(step, live, &retired);
        partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
    }
    log_manager_let_go(logs);
    if (live == NULL || error == -EAGAIN)
        return MOVE_AGAIN;
    if (error)
        return future_failed(step, error);
    log_manager_retire(logs, retired);
    say(step, LOG_INFO, "is done", "");
    return MOVE_ENDED;
}

/* ---- the step ---- */

static enum move_outcome carry_out(struct step *step, struct choice *choice)
{
    int64_t wall_ms = step->mover->wall_ms(step->mover->clock_context);
    int16_t error = KAFKA_NONE;
    switch (choice->plan.action) {
    case MOVE_BEGIN_ANEW:
        error = partition_log_truncate_fully(step->future, choice->plan.offset, wall_ms);
        break;
    case MOVE_TRUNCATE:
        error = partition_log_truncate(step->future, choice->plan.offset, wall_ms);
        break;
    case MOVE_ADVANCE_START:
        error = partition_log_advance_start(step->future, choice->plan.offset);
        break;
    case MOVE_COPY:
        return copy_piece(step, choice);
    case MOVE_SWAP:
        return exchange(step);
    }
    return error == KAFKA_NONE ? MOVE_AGAIN : future_failed(step, 0);
}

/* Opens the future log. MOVE_AGAIN: it is there. */
static enum move_outcome open_future(struct step *step)
{
    struct partition_log *live = partition_enter_log(step->partition);
    if (live == NULL)
        return MOVE_WAIT;
    struct log_settings settings = *partition_log_settings(live);
    int64_t start_offset = partition_log_start_offset(live);
    int failure = partition_log_failure(live);
    partition_log_pause_cleaning(live, failure == 0);
    partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
    if (failure != 0)
        return abandon(step, "the log itself is offline");
    settings.flush_messages = INT64_MAX; /* nobody waits for it */
    struct uuid topic_id = partition_topic_id(step->partition);
    int error = log_manager_open_future(step->mover->logs, step->topic, step->move->partition,
                                        step->directory, &settings, start_offset, &step->future);
    if (error == -EXDEV) {
        /* Another directory was asked for since. */
        step->move->known = false;
        error = log_manager_remove_future(step->mover->logs, step->topic, step->move->partition);
        return error ? future_failed(step, error) : MOVE_WAIT;
    }
    if (error == 0 && !uuid_is_zero(topic_id) && !uuid_equals(partition_log_topic_id(step->future), topic_id))
        error = partition_log_set_topic_id(step->future, topic_id);
    if (error == -EEXIST)
        return end_move(step, LOG_WARN, "has ended", "what was there is of another topic of that name");
    if (error == -ENOENT)
        return MOVE_WAIT;
    return error ? future_failed(step, error) : MOVE_AGAIN;
}

static enum move_outcome move_partition(struct step *step)
{
    enum move_outcome outcome = open_future(step);
    if (outcome != MOVE_AGAIN)
        return outcome;
    struct choice choice;
    struct partition_log *live = partition_enter_log(step->partition);
    if (live == NULL)
        return MOVE_WAIT;
    int16_t error = choose(step, live, &choice);
    partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
    if (error != KAFKA_NONE) {
        say(step, LOG_WARN, "waits", "the log cannot be read");
        return MOVE_PAUSE;
    }
    outcome = carry_out(step, &choice);
    if (outcome == MOVE_AGAIN && step->future != NULL && partition_log_wants_flush(step->future)) {
        int flush_error = partition_log_flush(step->future);
        if (flush_error)
            outcome = future_failed(step, flush_error);
    }
    if (outcome != MOVE_ENDED && step->future != NULL)
        move_tell(step->mover, step->move, partition_log_size_bytes(step->future),
                  partition_log_end_offset(step->future));
    return outcome;
}

/* The partition is not here: it may not have been named since the start, or it may be gone. */
static enum move_outcome without_partition(struct step *step)
{
    struct log_manager *logs = step->mover->logs;
    if (log_manager_directory_of(logs, step->topic, step->move->partition) >= 0 ||
        log_manager_log_is_offline(logs, step->topic, step->move->partition))
        return MOVE_WAIT;
    return end_move(step, LOG_INFO, "has ended", "the partition is gone");
}

enum move_outcome move_step(struct mover *mover, struct move *move, struct buffer *piece, int64_t *copied)
{
    struct step step = {.mover = mover, .move = move, .topic = slice_of(move->topic), .piece = piece};
    pthread_mutex_lock(&mover->lock);
    step.directory = move->directory;
    move->attempted = move->directory;
    pthread_mutex_unlock(&mover->lock);
    step.partition = replica_manager_find(mover->replicas, step.topic, move->partition);
    if (step.partition != NULL && uuid_is_zero(move->topic_id))
        move->topic_id = partition_topic_id(step.partition);
    enum move_outcome outcome;
    if (log_manager_directory_of(mover->logs, step.topic, move->partition) == (int)step.directory)
        outcome = end_move(&step, LOG_INFO, "was cancelled", "");
    else if (step.partition == NULL)
        outcome = without_partition(&step);
    else if (!uuid_equals(move->topic_id, partition_topic_id(step.partition)))
        outcome = end_move(&step, LOG_INFO, "has ended", "the topic was deleted");
    else
        outcome = move_partition(&step);
    *copied = step.copied;
    partition_release(step.partition);
    return outcome;
}
