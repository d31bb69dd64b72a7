/* SPDX-License-Identifier: Apache-2.0 */
/* Codec of a partition's state, and the judge of what may be one. */
#include "coordinator/zk/node_partition_state.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/node_json.h"

void node_partition_state_init(struct node_partition_state *state)
{
    *state = (struct node_partition_state){.leader = NODE_NO_LEADER};
}

void node_partition_state_release(struct node_partition_state *state)
{
    free(state->isr);
    free(state->isr_broker_epochs);
    free(state->elr);
    free(state->elr_broker_epochs);
    node_partition_state_init(state);
}

void node_partition_state_set_isr(struct node_partition_state *state, const int32_t *isr,
                                  const int64_t *broker_epochs, size_t count)
{
    int32_t *ids = memory_allocate(count * sizeof(*ids));
    int64_t *epochs = broker_epochs ? memory_allocate(count * sizeof(*epochs)) : NULL;
    if (count > 0) {
        memcpy(ids, isr, count * sizeof(*ids));
        if (epochs != NULL)
            memcpy(epochs, broker_epochs, count * sizeof(*epochs));
    }
    free(state->isr);
    free(state->isr_broker_epochs);
    state->isr = ids;
    state->isr_broker_epochs = epochs;
    state->isr_count = count;
}

void node_partition_state_set_elr(struct node_partition_state *state, const int32_t *elr,
                                  const int64_t *broker_epochs, size_t count)
{
    int32_t *ids = count > 0 ? memory_allocate(count * sizeof(*ids)) : NULL;
    int64_t *epochs = count > 0 ? memory_allocate(count * sizeof(*epochs)) : NULL;
    if (count > 0) {
        memcpy(ids, elr, count * sizeof(*ids));
        memcpy(epochs, broker_epochs, count * sizeof(*epochs));
    }
    free(state->elr);
    free(state->elr_broker_epochs);
    state->elr = ids;
    state->elr_broker_epochs = epochs;
    state->elr_count = count;
}

void node_partition_state_copy(struct node_partition_state *to, const struct node_partition_state *from)
{
    *to = *from;
    to->isr = NULL;
    to->isr_broker_epochs = NULL;
    to->elr = NULL;
    to->elr_broker_epochs = NULL;
    node_partition_state_set_isr(to, from->isr, from->isr_broker_epochs, from->isr_count);
    node_partition_state_set_elr(to, from->elr, from->elr_broker_epochs, from->elr_count);
}

static bool contains(const int32_t *ids, size_t count, int32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Eligible replicas are outside the ISR, once each, with the epoch of their seat. */
static bool elr_is_legal(const struct node_partition_state *state)
{
    if (state->elr_count > NODE_REPLICAS_MAX)
        return false;
    for (size_t i = 0; i < state->elr_count; i++)
        if (state->elr[i] < 0 || state->elr_broker_epochs[i] < 0 || contains(state->elr, i, state->elr[i]) ||
            contains(state->isr, state->isr_count, state->elr[i]))
            return false;
    return true;
}

/* NULL when the state may be written, else what is wrong with it. */
static const char *find_fault(const struct node_partition_state *state)
{
    if (state->isr_count == 0)
        return "the ISR is empty";
    if (state->isr_count > NODE_REPLICAS_MAX)
        return "the ISR is too long";
    if (state->leader < NODE_NO_LEADER || state->leader_epoch < 0 || state->controller_epoch < 0)
        return "the leader or an epoch is negative";
    if (state->leader_recovery != NODE_LEADER_RECOVERED && state->leader_recovery != NODE_LEADER_RECOVERING)
        return "the leader recovery state is neither 0 nor 1";
    bool leader_found = state->leader == NODE_NO_LEADER;
    for (size_t i = 0; i < state->isr_count; i++) {
        if (state->isr[i] < 0)
            return "a member of the ISR is negative";
        if (state->isr[i] == state->leader)
            leader_found = true;
        for (size_t j = 0; j < i; j++)
            if (state->isr[j] == state->isr[i])
                return "the ISR names a broker twice";
    }
    if (!elr_is_legal(state))
        return "the eligible leader replicas make no sense";
    return leader_found ? NULL : "the leader is not in the ISR";
}

bool node_partition_state_is_legal(const struct node_partition_state *state)
{
    return find_fault(state) == NULL;
}

bool node_partition_state_equals(const struct node_partition_state *a, const struct node_partition_state *b)
{
    if (a->leader != b->leader || a->leader_epoch != b->leader_epoch ||
        a->controller_epoch != b->controller_epoch || a->leader_recovery != b->leader_recovery ||
        a->isr_count != b->isr_count || a->elr_count != b->elr_count ||
        (a->isr_broker_epochs == NULL) != (b->isr_broker_epochs == NULL))
        return false;
    for (size_t i = 0; i < a->isr_count; i++) {
        if (a->isr[i] != b->isr[i])
            return false;
        if (a->isr_broker_epochs != NULL && a->isr_broker_epochs[i] != b->isr_broker_epochs[i])
            return false;
    }
    for (size_t i = 0; i < a->elr_count; i++)
        if (a->elr[i] != b->elr[i] || a->elr_broker_epochs[i] != b->elr_broker_epochs[i])
            return false;
    return true;
}

static json_t *epochs_array(const int64_t *epochs, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_integer(epochs[i]));
    return array;
}

void node_partition_state_encode(const struct node_partition_state *state, struct buffer *out)
{
    CHECK(node_partition_state_is_legal(state));
    json_t *json = json_object();
    node_set_integer(json, "version", 1);
    node_set_integer(json, "leader", state->leader);
    node_set_integer(json, "leader_epoch", state->leader_epoch);
    node_set_integer(json, "controller_epoch", state->controller_epoch);
    json_object_set_new(json, "isr", node_int32_array(state->isr, state->isr_count));
    if (state->leader_recovery == NODE_LEADER_RECOVERING)
        node_set_integer(json, "leader_recovery_state", NODE_LEADER_RECOVERING);
    if (state->isr_broker_epochs != NULL)
        json_object_set_new(json, "isr_broker_epochs",
                            epochs_array(state->isr_broker_epochs, state->isr_count));
    if (state->elr_count > 0) {
        json_object_set_new(json, "elr", node_int32_array(state->elr, state->elr_count));
        json_object_set_new(json, "elr_broker_epochs",
                            epochs_array(state->elr_broker_epochs, state->elr_count));
    }
    node_write(json, out);
}

/* A list that does not fit the ISR is as good as none: its writer did not know this field. */
static int64_t *decode_broker_epochs(const json_t *array, size_t count)
{
    if (!json_is_array(array) || json_array_size(array) != count || count == 0)
        return NULL;
    int64_t *epochs = memory_allocate(count * sizeof(*epochs));
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        epochs[i] = json_is_integer(item) ? json_integer_value(item) : -2;
        if (epochs[i] < -1) {
            free(epochs);
            return NULL;
        }
    }
    return epochs;
}

/* Ours; what makes no sense here is as good as not said. */
static void decode_elr(const json_t *json, struct node_partition_state *state)
{
    struct node_replicas elr;
    const json_t *ids = json_object_get(json, "elr");
    if (ids == NULL || node_replicas_decode(ids, &elr, NULL) != 0)
        return;
    state->elr = elr.ids;
    state->elr_count = elr.count;
    state->elr_broker_epochs = decode_broker_epochs(json_object_get(json, "elr_broker_epochs"), elr.count);
    if (state->elr_broker_epochs == NULL || !elr_is_legal(state))
        node_partition_state_set_elr(state, NULL, NULL, 0);
}

static int decode(const json_t *json, struct node_partition_state *state, struct buffer *error)
{
    if (!json_get_int32(json, "leader", &state->leader) ||
        !json_get_int32(json, "leader_epoch", &state->leader_epoch) ||
        !json_get_int32(json, "controller_epoch", &state->controller_epoch))
        return node_fail(error, "\"leader\", \"leader_epoch\" or \"controller_epoch\" is missing");
    struct node_replicas isr;
    int result = node_replicas_decode(json_object_get(json, "isr"), &isr, error);
    if (result != 0)
        return result;
    state->isr = isr.ids;
    state->isr_count = isr.count;
    int32_t recovery = NODE_LEADER_RECOVERED;
    if (json_object_get(json, "leader_recovery_state") != NULL &&
        !json_get_int32(json, "leader_recovery_state", &recovery))
        return node_fail(error, "\"leader_recovery_state\" is not a number");
    if (recovery != NODE_LEADER_RECOVERED && recovery != NODE_LEADER_RECOVERING)
        return node_fail(error, "\"leader_recovery_state\" is neither 0 nor 1");
    state->leader_recovery = (enum node_leader_recovery)recovery;
    const char *fault = find_fault(state);
    if (fault != NULL)
        return node_fail(error, "%s", fault);
    state->isr_broker_epochs =
        decode_broker_epochs(json_object_get(json, "isr_broker_epochs"), state->isr_count);
    decode_elr(json, state);
    return 0;
}

int node_partition_state_decode(struct slice data, struct node_partition_state *state, struct buffer *error)
{
    node_partition_state_init(state);
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    int result = decode(json, state, error);
    if (result != 0)
        node_partition_state_release(state);
    json_decref(json);
    return result;
}
