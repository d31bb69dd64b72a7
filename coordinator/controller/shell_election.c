/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Competing for office (znodes: /controller, /controller_epoch).
 *
 *   look at /controller --- there, not ours ----------> follow, until its watch fires
 *     |      ^          \-- there, ours by an attempt -> verify the epoch -> in office
 *     |      |           \- there, ours from before ---> remove it, look again
 *   absent   |
 *     v      | lost the race, or the outcome is unknown (I38)
 *   read /controller_epoch -> multi[create /controller, epoch + 1 if version v] -> in office
 *
 * The write comes before any read of the state (I40). An attempt whose answer was lost is recognised: the
 * node is of our session, and the epoch and its znode version are those the attempt would have made. Anything
 * less certain is not taken: two controllers must never share a fence. Office ends when the session ends,
 * when /controller is not ours any more, or when a fenced write meets another version; then everything that
 * the term knew is dropped (I37).
 */
#include <inttypes.h>

#include "coordinator/controller/shell.h"
#include "coordinator/zk/node_controller.h"
#include "coordinator/zk/path.h"

static bool holds_office(const struct controller *controller)
{
    return controller->office == OFFICE_LOADING || controller->office == OFFICE_IN;
}

static void leave(struct controller *controller, const char *why)
{
    if (holds_office(controller)) {
        log_info(controller->logger, SHELL_AREA, "leaving office of epoch %d: %s", controller->epoch, why);
        controller->gauges.resignations++;
        controller->term++;
        controller->office = OFFICE_OUT;
        shell_term_release(controller);
        shell_term_init(controller);
    }
    controller->office = OFFICE_OUT;
    controller->epoch = -1;
    controller->attempted = false;
    controller->current = -1;
    shell_tell_changed(controller);
}

bool shell_met_fence(struct controller *controller, const struct zk_response *response)
{
    if (response->fenced)
        shell_resign(controller, "a write met the fence of another controller");
    return response->fenced;
}

void shell_resign(struct controller *controller, const char *why)
{
    leave(controller, why);
    shell_election_look(controller);
}

void shell_session_lost(struct controller *controller)
{
    leave(controller, "the ZooKeeper session is lost");
}

/* The step in work has ended: perhaps somebody has asked for another look meanwhile. */
static void step_ended(struct controller *controller)
{
    controller->election_busy = false;
    if (controller->election_again)
        shell_election_look(controller);
}

static void look_again_later(struct controller *controller)
{
    controller->election_not_before_ms = controller->now_ms + controller->options.retry_backoff_ms;
    controller->election_again = true;
    controller->election_busy = false;
}

static void take_office(struct controller *controller, int32_t epoch, struct zk_version version)
{
    controller->term++;
    controller->elected = false;
    controller->office = OFFICE_LOADING;
    controller->epoch = epoch;
    controller->fence = zk_fence_make(version);
    controller->current = controller->options.broker_id;
    controller->gauges.elections_won++;
    log_info(controller->logger, SHELL_AREA, "elected, epoch %d; loading the cluster's state", epoch);
    shell_tell_changed(controller);
    controller->next_compare_ms = controller->now_ms + controller->options.compare_interval_ms;
    shell_progress_begin(controller);
    shell_look(controller, LOOK_CONFIG_CHANGES, slice_of(""), 0);
    shell_look(controller, LOOK_BROKERS, slice_of(""), 0);
    shell_look(controller, LOOK_DELETIONS, slice_of(""), 0);
    shell_look(controller, LOOK_DIRECTORY_EVENTS, slice_of(""), 0);
    shell_look(controller, LOOK_PREFERRED_ELECTION, slice_of(""), 0);
    shell_look(controller, LOOK_REASSIGNMENTS, slice_of(""), 0);
    shell_look(controller, LOOK_TOPICS, slice_of(""), 0);
}

/* What was read before the election is believed. */
static void late_elected(struct controller *controller, const struct zk_response *response)
{
    controller->elected = response->result == ZK_OK;
    if (controller->elected)
        shell_work_soon(controller);
    else
        leave(controller, "the election is lost");
}

static void elected(struct controller *controller, void *payload, const struct zk_response *response)
{
    (void)payload;
    if (holds_office(controller)) /* the fault read_before_write */
        late_elected(controller, response);
    else if (response->result == ZK_OK && controller->attempted)
        take_office(controller, controller->attempt_epoch, response->outcomes[1].stat.version);
    /* won or not: this arms the watch, tells who is in office, and finds a success whose answer was lost */
    controller->election_again = true;
    if (response->result == ZK_UNKNOWN)
        look_again_later(controller);
    step_ended(controller);
}

static void compete(struct controller *controller, int32_t epoch, struct zk_version version)
{
    struct node_controller node = {.broker_id = controller->options.broker_id,
                                   .timestamp_ms = controller->wall_ms,
                                   .kraft_controller_epoch = -1};
    struct buffer mine, next;
    buffer_init(&mine);
    buffer_init(&next);
    node_controller_encode(&node, &mine);
    node_controller_epoch_encode(epoch + 1, &next);
    struct zk_operation operations[] = {
        zk_operation_create(ZK_PATH_CONTROLLER, buffer_slice(&mine), ZK_EPHEMERAL),
        zk_operation_set(ZK_PATH_CONTROLLER_EPOCH, buffer_slice(&next), version),
    };
    controller->attempted = true;
    controller->attempt_epoch = epoch + 1;
    controller->attempt_version = version.value + 1;
    zk_multi(controller->zk, operations, ARRAY_SIZE(operations),
             shell_request(controller, true, elected, NULL, NULL));
    buffer_release(&mine);
    buffer_release(&next);
}

static void read_epoch(struct controller *controller,
                       void (*then)(struct controller *, void *, const struct zk_response *))
{
    zk_get(controller->zk, ZK_PATH_CONTROLLER_EPOCH, false,
           shell_request(controller, true, then, NULL, NULL));
}

/* The write itself decides nothing; whoever made the node, the next look finds it. */
static void epoch_made(struct controller *controller, void *payload, const struct zk_response *response)
{
    (void)payload;
    (void)response;
    controller->election_again = true;
    step_ended(controller);
}

static void epoch_read_to_compete(struct controller *controller, void *payload,
                                  const struct zk_response *response)
{
    (void)payload;
    int32_t epoch;
    if (!controller->started || holds_office(controller)) {
        step_ended(controller);
    } else if (response->result == ZK_NO_NODE) {
        zk_create(controller->zk, ZK_PATH_CONTROLLER_EPOCH, slice_of("0"), ZK_PERSISTENT,
                  shell_request(controller, true, epoch_made, NULL, NULL));
    } else if (response->result != ZK_OK) {
        look_again_later(controller);
    } else if (node_controller_epoch_decode(response->data, &epoch, NULL) != 0 || epoch == INT32_MAX) {
        log_error(controller->logger, SHELL_AREA, "%s does not hold an epoch: nobody can be elected",
                  ZK_PATH_CONTROLLER_EPOCH);
        look_again_later(controller);
    } else if (controller->options.faults.read_before_write) {
        controller->attempted = false;
        take_office(controller, epoch + 1, zk_version_make(response->stat.version.value + 1));
        step_ended(controller);
    } else {
        compete(controller, epoch, response->stat.version);
    }
}

bool shell_election_is_over(struct controller *controller)
{
    if (!controller->options.faults.read_before_write || controller->elected)
        return true;
    if (!controller->attempted)
        compete(controller, controller->epoch - 1,
                zk_version_make(controller->fence.controller_epoch_version.value - 1));
    return false;
}

/* /controller is of our session; is it by the attempt that we remember? */
static void epoch_read_to_verify(struct controller *controller, void *payload,
                                 const struct zk_response *response)
{
    (void)payload;
    int32_t epoch;
    if (!controller->started || holds_office(controller)) {
        step_ended(controller);
        return;
    }
    bool ours = response->result == ZK_OK && controller->attempted &&
                node_controller_epoch_decode(response->data, &epoch, NULL) == 0 &&
                epoch == controller->attempt_epoch &&
                response->stat.version.value == controller->attempt_version;
    if (ours) {
        take_office(controller, epoch, response->stat.version);
        step_ended(controller);
        return;
    }
    controller->attempted = false;
    look_again_later(controller);
}

static void removed(struct controller *controller, void *payload, const struct zk_response *response)
{
    (void)payload;
    (void)response;
    controller->election_again = true;
    step_ended(controller);
}

static void found_ours(struct controller *controller, const struct zk_response *response)
{
    if (holds_office(controller) || !controller->started) {
        step_ended(controller);
    } else if (controller->attempted) {
        read_epoch(controller, epoch_read_to_verify);
    } else {
        log_info(controller->logger, SHELL_AREA, "removing %s of a former term of this session",
                 ZK_PATH_CONTROLLER);
        zk_delete(controller->zk, ZK_PATH_CONTROLLER, response->stat.version,
                  shell_request(controller, true, removed, NULL, NULL));
    }
}

static void found_other(struct controller *controller, const struct zk_response *response)
{
    struct node_controller node;
    struct buffer error;
    buffer_init(&error);
    int32_t broker_id = -1;
    if (node_controller_decode(response->data, &node, &error) == 0)
        broker_id = node.broker_id;
    else
        log_warn(controller->logger, SHELL_AREA, "%s: %s", ZK_PATH_CONTROLLER, buffer_string(&error));
    buffer_release(&error);
    if (holds_office(controller))
        leave(controller, "another controller is in office");
    controller->attempted = false;
    controller->office = OFFICE_FOLLOWING;
    if (controller->current != broker_id) {
        controller->current = broker_id;
        log_info(controller->logger, SHELL_AREA, "the controller is broker %d", broker_id);
        shell_tell_changed(controller);
    }
    step_ended(controller);
}

static void controller_read(struct controller *controller, void *payload, const struct zk_response *response)
{
    (void)payload;
    if (!zk_client_is_connected(controller->zk)) {
        step_ended(controller);
    } else if (response->result == ZK_OK) {
        if (response->stat.ephemeral_owner == zk_client_session_id(controller->zk))
            found_ours(controller, response);
        else
            found_other(controller, response);
    } else if (response->result == ZK_NO_NODE) {
        if (holds_office(controller))
            leave(controller, "/controller is gone");
        controller->office = OFFICE_FOLLOWING;
        read_epoch(controller, epoch_read_to_compete);
    } else {
        look_again_later(controller);
    }
}

void shell_election_look(struct controller *controller)
{
    if (!controller->started || !zk_client_is_connected(controller->zk)) {
        controller->election_again = false;
        return;
    }
    if (controller->election_busy || controller->now_ms < controller->election_not_before_ms) {
        controller->election_again = true;
        return;
    }
    controller->election_again = false;
    controller->election_busy = true;
    zk_get(controller->zk, ZK_PATH_CONTROLLER, true,
           shell_request(controller, true, controller_read, NULL, NULL));
}

void shell_election_tick(struct controller *controller)
{
    if (controller->election_again && !controller->election_busy &&
        controller->now_ms >= controller->election_not_before_ms)
        shell_election_look(controller);
}

void shell_election_stop(struct controller *controller)
{
    bool held = holds_office(controller);
    struct zk_fence fence = controller->fence;
    leave(controller, "this broker stops");
    if (!held)
        return;
    struct zk_operation operation = zk_operation_delete(ZK_PATH_CONTROLLER, zk_version_make(0));
    zk_fenced_multi(controller->zk, fence, &operation, 1, (struct zk_completion){0});
}
