/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a move, and its throttle. */
#include "broker/replica/mover_core.h"

/* Up to where the two logs are known to agree; -1: not known. */
static int64_t agreed_end(const struct move_view *view)
{
    if (!view->truncated)
        return min_i64(view->future_end, view->live_end);
    if (view->future_epoch < 0 || view->live_found_epoch < 0)
        return -1;
    if (view->live_found_epoch == view->future_epoch)
        return min_i64(view->future_end, view->live_found_end);
    if (view->future_found_epoch < 0)
        return -1;
    /* Where both know the epoch, both ends bound what is common. Where only the live log does, ours of the
     * next lower epoch stays, and the next step asks again. */
    int64_t end = view->future_found_epoch == view->live_found_epoch
                      ? min_i64(view->future_found_end, view->live_found_end)
                      : view->future_found_end;
    return min_i64(end, view->future_end);
}

struct move_plan mover_plan(const struct move_view *view)
{
    const struct move_plan anew = {MOVE_BEGIN_ANEW, view->live_start};
    bool empty = view->future_start == view->future_end;
    if (view->future_end < view->live_start || view->future_start > view->live_start ||
        (empty && view->future_end != view->live_start))
        return anew;
    if (!empty) {
        int64_t agreed = agreed_end(view);
        if (agreed <= view->future_start)
            return anew;
        if (agreed < view->future_end)
            return (struct move_plan){MOVE_TRUNCATE, agreed};
    }
    if (view->live_start > view->future_start)
        return (struct move_plan){MOVE_ADVANCE_START, view->live_start};
    if (view->future_end < view->live_end)
        return (struct move_plan){MOVE_COPY, view->future_end};
    return (struct move_plan){MOVE_SWAP, view->live_end};
}

/* More than any disk does; sums of it do not overflow. */
#define RATE_MAX (INT64_MAX / 4096)
#define WAIT_MS_MAX 60000

void move_throttle_init(struct move_throttle *throttle, int64_t bytes_per_second, int64_t now_ms)
{
    int64_t rate = min_i64(max_i64(bytes_per_second, 1), RATE_MAX);
    *throttle =
        (struct move_throttle){.bytes_per_second = rate, .allowance_bytes = rate, .counted_ms = now_ms};
}

int64_t move_throttle_wait_ms(struct move_throttle *throttle, int64_t now_ms)
{
    int64_t rate = throttle->bytes_per_second;
    int64_t passed_ms = max_i64(now_ms - throttle->counted_ms, 0);
    /* What does not fit pays any debt. */
    int64_t gained = passed_ms > 0 && rate > INT64_MAX / passed_ms ? INT64_MAX : passed_ms * rate / 1000;
    if (gained > 0) {
        throttle->counted_ms = now_ms;
        throttle->allowance_bytes += min_i64(gained, rate - throttle->allowance_bytes);
    }
    if (throttle->allowance_bytes > 0)
        return 0;
    int64_t debt = 1 - throttle->allowance_bytes;
    if (debt / rate >= WAIT_MS_MAX / 1000)
        return WAIT_MS_MAX;
    return max_i64(debt * 1000 / rate, 1);
}

void move_throttle_spend(struct move_throttle *throttle, int64_t bytes)
{
    throttle->allowance_bytes -= bytes;
}
