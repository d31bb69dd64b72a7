/* SPDX-License-Identifier: Apache-2.0 */
/* Placement of replicas, see assign.h. */
#include "coordinator/controller/assign.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/memory.h"

/* A broker in the order in which partitions go round. */
struct place {
    int32_t broker_id;
    const char *rack; /* NULL: racks do not count */
    size_t in_rack;   /* how many of its rack come before it */
};

static int compare_places(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    if (left->in_rack != right->in_rack)
        return left->in_rack < right->in_rack ? -1 : 1;
    return strcmp(left->rack, right->rack);
}

/* The brokers by id, or, with racks, the first of each rack in the order of racks, then the second... */
static enum assign_result places_of(const struct roster *brokers, struct place *places, size_t *rack_count)
{
    size_t with_rack = 0;
    *rack_count = 0;
    for (size_t i = 0; i < brokers->count; i++) {
        const struct roster_member *member = &brokers->members[i];
        places[i] = (struct place){.broker_id = member->broker_id, .rack = member->node.rack};
        with_rack += member->node.rack != NULL;
        for (size_t j = 0; j < i && member->node.rack != NULL; j++)
            if (places[j].rack != NULL && strcmp(places[j].rack, places[i].rack) == 0)
                places[i].in_rack++;
        *rack_count += places[i].in_rack == 0;
    }
    if (with_rack == 0)
        return ASSIGN_OK;
    if (with_rack < brokers->count)
        return ASSIGN_RACKS_PARTIAL;
    qsort(places, brokers->count, sizeof(*places), compare_places);
    return ASSIGN_OK;
}

/* The k-th place behind the leader's, going round over the others with a shift. */
static size_t follower_place(size_t leader, size_t shift, size_t k, size_t count)
{
    return (leader + 1 + (shift + k) % (count - 1)) % count;
}

/* Whether the candidate is in a rack that has none of the chosen yet. */
static bool rack_is_fresh(const struct place *places, const size_t *chosen, size_t chosen_count,
                          size_t candidate)
{
    for (size_t i = 0; i < chosen_count; i++)
        if (strcmp(places[chosen[i]].rack, places[candidate].rack) == 0)
            return false;
    return true;
}

static bool is_chosen(const size_t *chosen, size_t chosen_count, size_t candidate)
{
    for (size_t i = 0; i < chosen_count; i++)
        if (chosen[i] == candidate)
            return true;
    return false;
}

/* Followers in their order: a new rack as long as there is one, never a broker twice. */
static void choose_followers(const struct place *places, size_t count, size_t rack_count, size_t shift,
                             size_t replication_factor, size_t *chosen)
{
    bool with_racks = places[0].rack != NULL;
    size_t racks_used = 1, k = 0;
    for (size_t filled = 1; filled < replication_factor; k++) {
        size_t candidate = follower_place(chosen[0], with_racks ? shift * rack_count : shift, k, count);
        if (is_chosen(chosen, filled, candidate))
            continue;
        bool fresh = with_racks && rack_is_fresh(places, chosen, filled, candidate);
        if (with_racks && !fresh && racks_used < rack_count)
            continue;
        racks_used += fresh;
        chosen[filled++] = candidate;
    }
}

enum assign_result assign_replicas(const struct roster *brokers, const struct assign_request *request,
                                   int32_t *replicas)
{
    size_t count = brokers->count, factor = request->replication_factor;
    CHECK(factor > 0);
    if (count == 0 || factor > count)
        return ASSIGN_TOO_FEW_BROKERS;
    struct place *places = memory_allocate(count * sizeof(*places));
    size_t *chosen = memory_allocate(factor * sizeof(*chosen));
    size_t rack_count;
    enum assign_result result = places_of(brokers, places, &rack_count);
    size_t shift = request->shift;
    for (size_t p = 0; result == ASSIGN_OK && p < request->partition_count; p++) {
        size_t number = request->first_partition + p;
        if (number > 0 && number % count == 0)
            shift++;
        chosen[0] = (number + request->start) % count;
        choose_followers(places, count, rack_count, shift, factor, chosen);
        for (size_t i = 0; i < factor; i++)
            replicas[p * factor + i] = places[chosen[i]].broker_id;
    }
    free(places);
    free(chosen);
    return result;
}
