/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step of a move. What is copied is chosen under the partition's lock, read and appended without it.
 * Bytes that were read count only if the live log was not truncated since they were chosen: their place may
 * have been written anew meanwhile.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker/log/log_garbage.h"
#include "broker/log/log_manager_future.h"
#include "broker/log/partition_log_clean.h"
#include "broker/replica/mover_internal.h"
#include "proto/kafka/error.h"

#define PIECE_BYTES ((int64_t)1 << 20)
/* What may be left to be copied under the partition's lock, before the exchange. */
#define LAST_LEG_BYTES ((int64_t)1 << 20)
/* So often that doubles, where the log grows faster than it is copied. */
#define LAST_LEG_DOUBLINGS 4
/* After so many pieces that brought the copy no nearer to the end, the writers wait for it by turns. */
#define LOST_ROUNDS_MAX 16
/* So long a full target keeps the live log from being compacted. */
#define FULL_PATIENCE_MS ((int64_t)600 * 1000)

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
    int64_t throttled_ms;
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

/* The future log begins anew or is cut: how near it was to the live log's end tells nothing any more. */
static void forget_pace(struct move *move)
{
    move->hurried = 0;
    move->least_left = 0;
    move->lost_rounds = 0;
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

/* A target that stays full must not let the live log grow without end. What was copied up to here is of no
 * use then. */
static void yield_to_cleaning(const struct step *step)
{
    struct partition_log *live = partition_enter_log(step->partition);
    if (live == NULL)
        return;
    if (partition_log_settings(live)->compacted) {
        partition_log_pause_cleaning(live, false);
        step->move->yielded = true;
        step->move->stale = true;
    }
    partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
}

/* After an error of the future log's disk. */
static enum move_outcome future_failed(const struct step *step, int error)
{
    int64_t now_ms = step->mover->monotonic_ms(step->mover->clock_context);
    struct log_directory_info info;
    log_manager_directory_info(step->mover->logs, step->directory, &info);
    if (info.state == LOG_DIRECTORY_OFFLINE ||
        (step->future != NULL && partition_log_failure(step->future) != 0))
        return abandon(step, "the log directory there has failed");
    if (!step->move->announced) {
        say(step, LOG_WARN, "waits", error ? strerror(-error) : "nothing can be written there now");
        step->move->waits_since_ms = now_ms;
    }
    step->move->announced = true;
    if (info.state == LOG_DIRECTORY_FULL && now_ms - step->move->waits_since_ms >= FULL_PATIENCE_MS)
        yield_to_cleaning(step);
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
static int16_t choose(const struct step *step, struct partition_log *live, int64_t max_bytes,
                      struct choice *choice)
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
    return partition_log_read(live, choice->plan.offset, max_bytes, view.live_end, true, &choice->range);
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

/* Looks at the live log for what is next. MOVE_AGAIN: it is chosen; its range is the caller's. */
static enum move_outcome choose_next(struct step *step, int64_t max_bytes, struct choice *choice)
{
    struct partition_log *live = partition_enter_log(step->partition);
    if (live == NULL)
        return MOVE_WAIT;
    int16_t error = choose(step, live, max_bytes, choice);
    partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
    if (error == KAFKA_NONE)
        return MOVE_AGAIN;
    if (error == KAFKA_CORRUPT_MESSAGE)
        return end_move(step, LOG_ERROR, "has ended", "there is damage in the log that it reads");
    say(step, LOG_WARN, "waits", "the log cannot be read");
    return MOVE_PAUSE;
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

/* MOVE_AGAIN also where the log was truncated meanwhile, and nothing was copied. */
static enum move_outcome copy_piece(struct step *step, struct choice *choice)
{
    int error = read_piece(step, &choice->range);
    /* The end of a file that was cut meanwhile looks like a failure of the disk, and is none. */
    bool same = still_there(step, choice);
    if (error && same)
        log_range_failed(&choice->range, error);
    log_range_release(&choice->range);
    if (!same)
        return MOVE_AGAIN;
    if (error) {
        say(step, LOG_WARN, "waits: the log cannot be read", strerror(-error));
        return MOVE_PAUSE;
    }
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

/* Pieces that are copied with the partition locked, as many as may be: 0 when the future log has all, -EAGAIN
 * where too much is left or the order has changed, -EIO where one of the two logs fails. */
static int last_leg(struct step *step, struct partition_log *live)
{
    int64_t before = step->copied;
    int64_t bytes_max = LAST_LEG_BYTES << step->move->hurried;
    while (step->copied - before <= bytes_max) {
        struct choice choice;
        if (choose(step, live, PIECE_BYTES, &choice) != KAFKA_NONE)
            return -EIO;
        if (choice.plan.action == MOVE_SWAP)
            return move_is_wanted(step->mover, step->move, step->directory) ? 0 : -EAGAIN;
        if (choice.plan.action != MOVE_COPY)
            return -EAGAIN;
        int error = read_piece(step, &choice.range);
        if (error)
            log_range_failed(&choice.range, error);
        log_range_release(&choice.range);
        if (error)
            return error;
        choice.range.length = (int64_t)step->piece->length;
        if (append_piece(step, &choice) != KAFKA_NONE)
            return -EIO;
    }
    if (step->move->hurried < LAST_LEG_DOUBLINGS)
        step->move->hurried++;
    return -EAGAIN;
}

static int exchange_locked(struct step *step, struct partition_log *live, struct retired_log **retired)
{
    int error = last_leg(step, live);
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

/* So that little is left to be copied and synced for the lock: what came while the first flush ran is copied,
 * and what is flushed then is small. */
static enum move_outcome prepare_exchange(struct step *step)
{
    struct choice choice;
    int error = partition_log_flush(step->future);
    if (error)
        return future_failed(step, error);
    enum move_outcome outcome = choose_next(step, PIECE_BYTES, &choice);
    if (outcome == MOVE_AGAIN && choice.plan.action == MOVE_COPY) {
        outcome = copy_piece(step, &choice);
        error = outcome == MOVE_AGAIN ? partition_log_flush(step->future) : 0;
    }
    return error ? future_failed(step, error) : outcome;
}

/* The lines of the checkpoints, before anybody waits for them. 0, -EAGAIN: the partition is gone; or -errno.
 */
static int write_lines(struct step *step)
{
    struct partition_log *live = partition_enter_log(step->partition);
    if (live == NULL)
        return -EAGAIN;
    int64_t high_watermark = partition_entered_high_watermark(step->partition);
    int64_t first_dirty_offset = partition_log_first_dirty_offset(live);
    partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
    return log_manager_prepare_swap(step->mover->logs, step->topic, step->move->partition, high_watermark,
                                    first_dirty_offset);
}

static enum move_outcome exchange(struct step *step)
{
    struct log_manager *logs = step->mover->logs;
    enum move_outcome outcome = prepare_exchange(step);
    if (outcome != MOVE_AGAIN)
        return outcome;
    int error = write_lines(step);
    struct retired_log *retired = NULL;
    if (error) {
        log_manager_give_up_swap(logs, step->topic, step->move->partition);
        return error == -EAGAIN ? MOVE_AGAIN : future_failed(step, error);
    }
    log_manager_hold(logs);
    struct partition_log *live = partition_enter_log(step->partition);
    if (live != NULL) {
        error = exchange_locked(step, live, &retired);
        partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
    }
    log_manager_let_go(logs);
    if (retired == NULL)
        log_manager_give_up_swap(logs, step->topic, step->move->partition);
    if (live == NULL || error == -EAGAIN)
        return MOVE_AGAIN;
    if (error)
        return future_failed(step, error);
    log_manager_retire(logs, retired);
    say(step, LOG_INFO, "is done", "");
    return MOVE_ENDED;
}

/* ---- the step ---- */

/* Whether who writes is faster than the copy: then it would never end. */
static bool is_outrun(struct step *step, const struct choice *choice)
{
    struct move *move = step->move;
    int64_t left = choice->live_end - partition_log_end_offset(step->future);
    if (move->least_left == 0 || left < move->least_left) {
        move->least_left = left;
        move->lost_rounds = 0;
        return false;
    }
    return ++move->lost_rounds > LOST_ROUNDS_MAX;
}

/* Copies while the writers wait, for no longer than the last leg of an exchange may take. Then they have a
 * turn again, and whether they are faster is looked at from there. */
static enum move_outcome copy_held(struct step *step)
{
    step->move->least_left = 0;
    step->move->lost_rounds = 0;
    struct partition_log *live = partition_enter_log(step->partition);
    if (live == NULL)
        return MOVE_WAIT;
    int error = last_leg(step, live);
    partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
    if (error == 0)
        return exchange(step);
    return error == -EAGAIN ? MOVE_AGAIN : future_failed(step, error);
}

/* Who waited for a next step to see that all is there would wait forever for a log that is written to. */
static enum move_outcome copy_on(struct step *step, struct choice *choice)
{
    if (choice->range.length > 0)
        step->throttled_ms = move_throttled_ms(step->mover);
    if (step->throttled_ms > 0) {
        step->move->lost_rounds = 0; /* somebody wants it to be slow */
        log_range_release(&choice->range);
        return MOVE_THROTTLED;
    }
    enum move_outcome outcome = copy_piece(step, choice);
    bool all = outcome == MOVE_AGAIN && partition_log_end_offset(step->future) >= choice->live_end;
    if (all)
        return exchange(step);
    return outcome == MOVE_AGAIN && is_outrun(step, choice) ? copy_held(step) : outcome;
}

static enum move_outcome carry_out(struct step *step, struct choice *choice)
{
    int64_t wall_ms = step->mover->wall_ms(step->mover->clock_context);
    int16_t error = KAFKA_NONE;
    switch (choice->plan.action) {
    case MOVE_BEGIN_ANEW:
        forget_pace(step->move);
        error = partition_log_truncate_fully(step->future, choice->plan.offset, wall_ms);
        break;
    case MOVE_TRUNCATE:
        forget_pace(step->move);
        error = partition_log_truncate(step->future, choice->plan.offset, wall_ms);
        break;
    case MOVE_ADVANCE_START:
        error = partition_log_advance_start(step->future, choice->plan.offset);
        break;
    case MOVE_COPY:
        return copy_on(step, choice);
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
    bool stale = step->move->stale && (settings.compacted || partition_log_first_dirty_offset(live) > 0);
    partition_log_pause_cleaning(live, failure == 0);
    partition_leave_log(step->partition, step->mover->monotonic_ms(step->mover->clock_context));
    if (failure != 0)
        return abandon(step, "the log itself is offline");
    /* It may have a record and not the tombstone that deleted it, which is not in the live log any more. */
    int error = stale ? log_manager_remove_future(step->mover->logs, step->topic, step->move->partition) : 0;
    step->move->stale = false;
    if (stale)
        forget_pace(step->move);
    if (error)
        return future_failed(step, error);
    settings.flush_messages = INT64_MAX; /* nobody waits for it */
    struct uuid topic_id = partition_topic_id(step->partition);
    error = log_manager_open_future(step->mover->logs, step->topic, step->move->partition, step->directory,
                                    &settings, start_offset, &step->future);
    if (error == -EXDEV) {
        /* Another directory was asked for since. */
        step->move->known = false;
        step->move->announced = false;
        forget_pace(step->move);
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

/* Nobody reads the future log: what it lets go of goes at once. */
static void remove_garbage(const struct step *step)
{
    if (partition_log_failure(step->future) != 0)
        return;
    struct log_garbage *garbage = partition_log_take_garbage(step->future, 0, true);
    int error = garbage ? log_garbage_remove(garbage) : 0;
    if (error)
        partition_log_garbage_failed(step->future, error);
}

static bool target_is_full(const struct step *step)
{
    struct log_directory_info info;
    log_manager_directory_info(step->mover->logs, step->directory, &info);
    return info.state == LOG_DIRECTORY_FULL;
}

static enum move_outcome move_partition(struct step *step)
{
    if (step->move->yielded && target_is_full(step))
        return MOVE_PAUSE;
    step->move->yielded = false;
    enum move_outcome outcome = open_future(step);
    if (outcome != MOVE_AGAIN)
        return outcome;
    /* No more than what a second may have, so that nobody waits long to pay for it. */
    struct choice choice;
    outcome = choose_next(step, min_i64(PIECE_BYTES, step->mover->throttle.bytes_per_second), &choice);
    if (outcome == MOVE_AGAIN)
        outcome = carry_out(step, &choice);
    if (outcome == MOVE_AGAIN && step->future != NULL && partition_log_wants_flush(step->future)) {
        int flush_error = partition_log_flush(step->future);
        if (flush_error)
            outcome = future_failed(step, flush_error);
    }
    if (outcome != MOVE_ENDED && step->future != NULL) {
        remove_garbage(step);
        move_tell(step->mover, step->move, partition_log_size_bytes(step->future),
                  partition_log_end_offset(step->future));
    }
    return outcome;
}

/* The partition is not here: it may not have been named since the start, or it may be gone. */
static enum move_outcome without_partition(struct step *step)
{
    struct log_manager *logs = step->mover->logs;
    if (log_manager_directory_of(logs, step->topic, step->move->partition) >= 0 ||
        (!step->move->seen && log_manager_log_is_offline(logs, step->topic, step->move->partition)))
        return MOVE_WAIT;
    return end_move(step, LOG_INFO, "has ended", "the partition is gone");
}

struct move_result move_step(struct mover *mover, struct move *move, struct buffer *piece)
{
    struct step step = {.mover = mover, .move = move, .topic = slice_of(move->topic), .piece = piece};
    pthread_mutex_lock(&mover->lock);
    step.directory = move->directory;
    move->attempted = move->directory;
    pthread_mutex_unlock(&mover->lock);
    step.partition = replica_manager_find(mover->replicas, step.topic, move->partition);
    if (step.partition != NULL && uuid_is_zero(move->topic_id))
        move->topic_id = partition_topic_id(step.partition);
    move->seen = move->seen || step.partition != NULL;
    enum move_outcome outcome;
    if (log_manager_directory_of(mover->logs, step.topic, move->partition) == (int)step.directory)
        outcome = end_move(&step, LOG_INFO, "was cancelled", "");
    else if (step.partition == NULL)
        outcome = without_partition(&step);
    else if (!uuid_equals(move->topic_id, partition_topic_id(step.partition)))
        outcome = end_move(&step, LOG_INFO, "has ended", "the topic was deleted");
    else
        outcome = move_partition(&step);
    partition_release(step.partition);
    return (struct move_result){outcome, step.copied, step.throttled_ms};
}
