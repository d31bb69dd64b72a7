/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is there: the set of live brokers with their epochs, and what has changed between two readings. Pure.
 * A broker that has the same id and another epoch has been away in between ("bounced"): it failed and came
 * back, and both count.
 */
#ifndef COORDINATOR_MEMBERSHIP_ROSTER_H
#define COORDINATOR_MEMBERSHIP_ROSTER_H

#include "common/base.h"
#include "coordinator/zk/node_broker.h"

struct roster_member {
    int32_t broker_id;
    int64_t broker_epoch; /* czxid of its registration */
    struct node_broker node;
};

struct roster {
    struct roster_member *members; /* sorted by broker_id */
    size_t count;
    size_t _capacity;
};

void roster_init(struct roster *roster);
void roster_release(struct roster *roster);
/* Puts a member in, or replaces the one of that id; takes over what `node` owns. */
void roster_put(struct roster *roster, int32_t broker_id, int64_t broker_epoch, struct node_broker *node);
/* False when it was not there. */
bool roster_remove(struct roster *roster, int32_t broker_id);
/* NULL: not alive. */
const struct roster_member *roster_find(const struct roster *roster, int32_t broker_id);

/* Ids, sorted, each in one list at most. */
struct roster_changes {
    int32_t *joined; /* were not there */
    size_t joined_count;
    int32_t *died; /* are not there any more */
    size_t died_count;
    int32_t *bounced; /* are there with a higher epoch */
    size_t bounced_count;
    int32_t *updated; /* same epoch, other data (listeners changed) */
    size_t updated_count;
};

/*
 * What happened between two readings. An epoch lower than the known one is an old answer: that member counts
 * as unchanged, and roster_compare leaves it to the caller to keep `before`'s entry.
 */
void roster_compare(const struct roster *before, const struct roster *after, struct roster_changes *changes);
void roster_changes_release(struct roster_changes *changes);
bool roster_changes_are_empty(const struct roster_changes *changes);

#endif
