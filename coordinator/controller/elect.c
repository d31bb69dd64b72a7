/* SPDX-License-Identifier: Apache-2.0 */
/* Elections on request, and the choice of those that balance the leaderships: see elect.h. */
#include "coordinator/controller/elect.h"

#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/decide.h"
#include "proto/kafka/error.h"

static int32_t preferred_of(const struct image_partition *partition)
{
    const struct node_replicas *replicas = &partition->assignment.replicas;
    return replicas->count > 0 ? replicas->ids[0] : NODE_NO_LEADER;
}

/* It is in the ISR, in this life, may stay and has room. */
static bool can_lead_cleanly(const struct image *image, const struct image_partition *partition,
                             int32_t broker_id)
{
    const struct node_partition_state *state = &partition->state;
    if (!image_can_serve(image, partition, broker_id) || image_is_shutting_down(image, broker_id) ||
        image_replica_disk(image, partition, broker_id) != REPLICA_DISK_SERVES)
        return false;
    for (size_t i = 0; i < state->isr_count; i++)
        if (state->isr[i] == broker_id)
            return state->isr_broker_epochs == NULL ||
                   state->isr_broker_epochs[i] == image_broker_epoch(image, broker_id);
    return false;
}

static int16_t elect_preferred(const struct image *image, const struct image_partition *partition,
                               int32_t controller_epoch, struct node_partition_state *next)
{
    const struct node_partition_state *state = &partition->state;
    int32_t preferred = preferred_of(partition);
    if (partition->has_state && preferred == state->leader)
        return KAFKA_ELECTION_NOT_NEEDED;
    if (!partition->state_known || !partition->has_state || !can_lead_cleanly(image, partition, preferred))
        return KAFKA_PREFERRED_LEADER_NOT_AVAILABLE;
    decide_next_epoch(partition, controller_epoch, next);
    next->leader = preferred;
    return KAFKA_NONE;
}

/* What is to be feared least from a replica as leader comes last. */
enum fitness { FITNESS_CANNOT_LEAD, FITNESS_NO_SEAT, FITNESS_IN_DOUBT, FITNESS_GOOD };

/* Eligible replicas count like members of the ISR (seats.h). */
static enum fitness fitness(const struct image *image, const struct image_partition *partition,
                            int32_t broker_id)
{
    static const struct decide_settings settings = {0};
    if (!image_can_serve(image, partition, broker_id))
        return FITNESS_CANNOT_LEAD;
    switch (seat_of_broker(image, partition, broker_id, &settings)) {
    case SEAT_KEPT:
    case SEAT_RENEWED:
        return FITNESS_GOOD;
    case SEAT_BOUNCED:
        return FITNESS_IN_DOUBT;
    default:
        return FITNESS_NO_SEAT;
    }
}

/* The better seat, then the longer log, then who stays. */
static bool is_fitter(const struct image *image, const struct image_partition *partition, int32_t broker_id,
                      int32_t other_id)
{
    enum fitness fit = fitness(image, partition, broker_id), other = fitness(image, partition, other_id);
    if (fit != other)
        return fit > other;
    if (seats_has_longer_log(image, partition, broker_id, other_id))
        return true;
    return !seats_has_longer_log(image, partition, other_id, broker_id) &&
           image_is_shutting_down(image, other_id) && !image_is_shutting_down(image, broker_id);
}

static int16_t elect_unclean(const struct image *image, const struct image_partition *partition,
                             int32_t controller_epoch, struct node_partition_state *next, bool *unclean)
{
    const struct node_replicas *replicas = &partition->assignment.replicas;
    const struct node_partition_state *state = &partition->state;
    int32_t leader = NODE_NO_LEADER;
    if (partition->has_state && state->leader != NODE_NO_LEADER)
        return KAFKA_ELECTION_NOT_NEEDED;
    for (size_t i = 0; i < replicas->count; i++) {
        int32_t id = replicas->ids[i];
        if (fitness(image, partition, id) != FITNESS_CANNOT_LEAD &&
            (leader == NODE_NO_LEADER || is_fitter(image, partition, id, leader)))
            leader = id;
    }
    if (!partition->state_known || !partition->has_state || leader == NODE_NO_LEADER)
        return KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE;
    int64_t broker_epoch = image_broker_epoch(image, leader);
    *unclean = fitness(image, partition, leader) != FITNESS_GOOD;
    decide_next_epoch(partition, controller_epoch, next);
    next->leader = leader;
    next->leader_recovery = NODE_LEADER_RECOVERING;
    node_partition_state_set_isr(next, &leader, &broker_epoch, 1);
    node_partition_state_set_elr(next, NULL, NULL, 0); /* what they hold is not what this one leads with */
    return KAFKA_NONE;
}

int16_t elect_leader(const struct image *image, const struct image_partition *partition, enum elect_type type,
                     int32_t controller_epoch, struct node_partition_state *next, bool *unclean)
{
    *unclean = false;
    if (partition == NULL)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    if (partition->topic->deleting)
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    return type == ELECT_PREFERRED ? elect_preferred(image, partition, controller_epoch, next)
                                   : elect_unclean(image, partition, controller_epoch, next, unclean);
}

const char *elect_message(int16_t error)
{
    switch (error) {
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION:
        return "The partition does not exist.";
    case KAFKA_INVALID_TOPIC_EXCEPTION:
        return "The topic is being deleted";
    case KAFKA_ELECTION_NOT_NEEDED:
        return "Leader election not needed for topic partition.";
    case KAFKA_PREFERRED_LEADER_NOT_AVAILABLE:
        return "The preferred leader is not alive and in the ISR.";
    case KAFKA_ELIGIBLE_LEADERS_NOT_AVAILABLE:
        return "No replica of the partition is alive.";
    default:
        return NULL;
    }
}

/* ---- balancing ---- */

/* Of the partitions that prefer one broker: how many there are, and how many others lead. */
struct balance {
    int32_t broker_id;
    size_t preferring;
    size_t elsewhere;
};

static int compare_balance(const void *a, const void *b)
{
    const struct balance *left = a, *right = b;
    return (left->broker_id > right->broker_id) - (left->broker_id < right->broker_id);
}

static bool is_led_elsewhere(const struct image_partition *partition)
{
    return partition->has_state && partition->state.leader != preferred_of(partition);
}

/* One entry a live broker, by ascending id; false: a reassignment is under way. */
static bool count_all(const struct image *image, struct balance *balances, size_t count)
{
    size_t position = 0;
    void *value;
    while (map_next(image->topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        for (size_t i = 0; i < topic->partition_count && !topic->deleting; i++) {
            const struct image_partition *partition = topic->partitions[i];
            if (partition->assignment.adding.count > 0 || partition->assignment.removing.count > 0)
                return false;
            struct balance key = {.broker_id = preferred_of(partition)};
            struct balance *balance = bsearch(&key, balances, count, sizeof(key), compare_balance);
            if (balance == NULL)
                continue;
            balance->preferring++;
            balance->elsewhere += is_led_elsewhere(partition);
        }
    }
    return true;
}

static bool is_out_of_balance(const struct balance *balance, int32_t percentage)
{
    return (double)balance->elsewhere * 100 > (double)balance->preferring * percentage;
}

static size_t choose(const struct image *image, const struct balance *balances, size_t count,
                     int32_t percentage,
                     void (*chosen)(void *context, const struct image_partition *partition), void *context)
{
    size_t position = 0, number = 0;
    void *value;
    while (map_next(image->topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        for (size_t i = 0; i < topic->partition_count && !topic->deleting; i++) {
            const struct image_partition *partition = topic->partitions[i];
            struct balance key = {.broker_id = preferred_of(partition)};
            if (!is_led_elsewhere(partition) || !can_lead_cleanly(image, partition, key.broker_id))
                continue;
            const struct balance *balance = bsearch(&key, balances, count, sizeof(key), compare_balance);
            if (balance == NULL || !is_out_of_balance(balance, percentage))
                continue;
            chosen(context, partition);
            number++;
        }
    }
    return number;
}

size_t elect_balance(const struct image *image, int32_t percentage,
                     void (*chosen)(void *context, const struct image_partition *partition), void *context)
{
    size_t count = image->brokers.count, number = 0;
    struct balance *balances = memory_allocate_zeroed(max_size(count, 1), sizeof(*balances));
    for (size_t i = 0; i < count; i++)
        balances[i].broker_id = image->brokers.members[i].broker_id;
    qsort(balances, count, sizeof(*balances), compare_balance);
    if (count_all(image, balances, count))
        number = choose(image, balances, count, percentage, chosen, context);
    free(balances);
    return number;
}
