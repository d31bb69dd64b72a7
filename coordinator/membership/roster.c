/* SPDX-License-Identifier: Apache-2.0 */
/* The set of live brokers. Pure. */
#include "coordinator/membership/roster.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

void roster_init(struct roster *roster)
{
    *roster = (struct roster){0};
}

void roster_release(struct roster *roster)
{
    for (size_t i = 0; i < roster->count; i++)
        node_broker_release(&roster->members[i].node);
    free(roster->members);
    roster_init(roster);
}

/* Where the id is, or would be. */
static size_t position_of(const struct roster *roster, int32_t broker_id)
{
    size_t low = 0;
    size_t high = roster->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (roster->members[middle].broker_id < broker_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct roster *roster, size_t position, int32_t broker_id)
{
    return position < roster->count && roster->members[position].broker_id == broker_id;
}

void roster_put(struct roster *roster, int32_t broker_id, int64_t broker_epoch, struct node_broker *node)
{
    size_t position = position_of(roster, broker_id);
    if (is_at(roster, position, broker_id)) {
        node_broker_release(&roster->members[position].node);
    } else {
        roster->members =
            memory_grow(roster->members, roster->count, &roster->_capacity, sizeof(roster->members[0]));
        memmove(&roster->members[position + 1], &roster->members[position],
                (roster->count - position) * sizeof(roster->members[0]));
        roster->count++;
    }
    roster->members[position] = (struct roster_member){broker_id, broker_epoch, *node};
    node_broker_init(node);
}

bool roster_remove(struct roster *roster, int32_t broker_id)
{
    size_t position = position_of(roster, broker_id);
    if (!is_at(roster, position, broker_id))
        return false;
    node_broker_release(&roster->members[position].node);
    memmove(&roster->members[position], &roster->members[position + 1],
            (roster->count - position - 1) * sizeof(roster->members[0]));
    roster->count--;
    return true;
}

const struct roster_member *roster_find(const struct roster *roster, int32_t broker_id)
{
    size_t position = position_of(roster, broker_id);
    return is_at(roster, position, broker_id) ? &roster->members[position] : NULL;
}

static bool texts_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

/* Whether clients or controllers would see a difference. */
static bool nodes_equal(const struct node_broker *a, const struct node_broker *b)
{
    if (a->endpoint_count != b->endpoint_count || a->intact_since != b->intact_since ||
        a->intact_until != b->intact_until || a->alive_since != b->alive_since ||
        !texts_equal(a->rack, b->rack))
        return false;
    for (size_t i = 0; i < a->endpoint_count; i++) {
        const struct node_endpoint *left = &a->endpoints[i];
        const struct node_endpoint *right = &b->endpoints[i];
        if (strcmp(left->listener, right->listener) != 0 || strcmp(left->protocol, right->protocol) != 0 ||
            strcmp(left->host, right->host) != 0 || left->port != right->port)
            return false;
    }
    return true;
}

static void add(int32_t **ids, size_t *count, int32_t id)
{
    *ids = memory_resize(*ids, (*count + 1) * sizeof(**ids));
    (*ids)[(*count)++] = id;
}

static void compare_member(const struct roster_member *before, const struct roster_member *after,
                           struct roster_changes *changes)
{
    if (after->broker_epoch > before->broker_epoch)
        add(&changes->bounced, &changes->bounced_count, after->broker_id);
    else if (after->broker_epoch == before->broker_epoch && !nodes_equal(&before->node, &after->node))
        add(&changes->updated, &changes->updated_count, after->broker_id);
}

void roster_compare(const struct roster *before, const struct roster *after, struct roster_changes *changes)
{
    *changes = (struct roster_changes){0};
    size_t left = 0;
    size_t right = 0;
    while (left < before->count || right < after->count) {
        const struct roster_member *old = left < before->count ? &before->members[left] : NULL;
        const struct roster_member *new = right < after->count ? &after->members[right] : NULL;
        if (new == NULL || (old != NULL && old->broker_id < new->broker_id)) {
            add(&changes->died, &changes->died_count, old->broker_id);
            left++;
        } else if (old == NULL || new->broker_id < old->broker_id) {
            add(&changes->joined, &changes->joined_count, new->broker_id);
            right++;
        } else {
            compare_member(old, new, changes);
            left++;
            right++;
        }
    }
}

void roster_changes_release(struct roster_changes *changes)
{
    free(changes->joined);
    free(changes->died);
    free(changes->bounced);
    free(changes->updated);
    *changes = (struct roster_changes){0};
}

bool roster_changes_are_empty(const struct roster_changes *changes)
{
    return changes->joined_count + changes->died_count + changes->bounced_count + changes->updated_count == 0;
}
