/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over the candidates. */
#include "broker/replica/replica_selector.h"

static bool is_better(const struct read_candidate *one, const struct read_candidate *other)
{
    if (one->end_offset != other->end_offset)
        return one->end_offset > other->end_offset;
    if (one->behind_ms != other->behind_ms)
        return one->behind_ms < other->behind_ms;
    return one->broker_id > other->broker_id;
}

int32_t replica_select_by_rack(struct slice client_rack, struct slice leader_rack,
                               const struct read_candidate *candidates, size_t count)
{
    const struct read_candidate *best = NULL;
    if (client_rack.length == 0 || slice_equals(client_rack, leader_rack))
        return PREFERRED_REPLICA_NONE;
    for (size_t i = 0; i < count; i++)
        if (slice_equals(candidates[i].rack, client_rack) &&
            (best == NULL || is_better(&candidates[i], best)))
            best = &candidates[i];
    return best ? best->broker_id : PREFERRED_REPLICA_NONE;
}
