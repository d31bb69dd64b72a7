/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The public functions, and the order of work: each call from outside and each tick ends in shell_work, which
 * looks at what is to be done until nothing more can be done at once. Answers of ZooKeeper come by the
 * thousand: they ask for a tick, which works on all that have come.
 */
#include "coordinator/controller/controller.h"

#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/shell.h"

#define RETRY_BACKOFF_MS 100
#define COMPARE_INTERVAL_MS 60000
#define SHUTDOWN_DEADLINE_MS 5000
#define COMPARED_TOPICS_MAX 1000
#define LEADER_IMBALANCE_CHECK_MS 300000

static struct controller *of_listener(struct zk_listener *listener)
{
    return container_of(listener, struct controller, listener);
}

static void on_connected(struct zk_listener *listener, bool new_session)
{
    struct controller *controller = of_listener(listener);
    if (new_session)
        shell_session_lost(controller);
    shell_election_look(controller);
    shell_work(controller);
}

static void on_session_lost(struct zk_listener *listener)
{
    shell_session_lost(of_listener(listener));
}

static void on_watch_event(struct zk_listener *listener, enum zk_event event, const char *path)
{
    struct controller *controller = of_listener(listener);
    shell_watch_event(controller, event, path);
    shell_work(controller);
}

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value > 0 ? value : otherwise;
}

void shell_term_init(struct controller *controller)
{
    image_init(&controller->image);
    controller->looks = map_new(1);
    list_init(&controller->looks_waiting);
    controller->looks_in_flight = controller->writes_in_flight = controller->rewrites_in_flight = 0;
    controller->admin_in_flight = controller->moves_in_flight = controller->urgent_writes_in_flight = 0;
    controller->progress = (struct progress){0};
    controller->last_config_change = -1;
    controller->config_changes_seen = false;
    controller->deletions = map_new(1);
    controller->producer_ids_busy = false;
    controller->next_compare_ms = controller->next_balance_ms = INT64_MAX;
}

void shell_term_release(struct controller *controller)
{
    shell_admin_clear(controller);
    shell_elect_clear(controller);
    shell_brokers_clear(controller);
    shell_channels_clear(controller);
    shell_deletions_clear(controller);
    shell_reassign_node_clear(controller);
    shell_looks_clear(controller);
    image_release(&controller->image);
    map_free(controller->looks);
    map_free(controller->deletions);
}

struct controller *controller_new(const struct controller_options *options)
{
    struct controller *controller = memory_allocate_zeroed(1, sizeof(*controller));
    controller->options = *options;
    controller->options.retry_backoff_ms = or_default(options->retry_backoff_ms, RETRY_BACKOFF_MS);
    controller->options.compare_interval_ms = or_default(options->compare_interval_ms, COMPARE_INTERVAL_MS);
    controller->options.shutdown_deadline_ms =
        or_default(options->shutdown_deadline_ms, SHUTDOWN_DEADLINE_MS);
    controller->options.leader_imbalance_check_ms =
        or_default(options->leader_imbalance_check_ms, LEADER_IMBALANCE_CHECK_MS);
    controller->zk = options->zk;
    controller->logger = options->logger;
    controller->current = controller->epoch = -1;
    list_init(&controller->requests);
    list_init(&controller->producer_ids);
    list_init(&controller->shutdowns);
    list_init(&controller->alters);
    list_init(&controller->admins);
    list_init(&controller->elections);
    shell_term_init(controller);
    controller->listener.connected = on_connected;
    controller->listener.session_lost = on_session_lost;
    controller->listener.watch_event = on_watch_event;
    zk_client_add_listener(controller->zk, &controller->listener);
    return controller;
}

void controller_free(struct controller *controller)
{
    if (controller == NULL)
        return;
    controller->started = false;
    controller->office = OFFICE_OUT;
    zk_client_remove_listener(controller->zk, &controller->listener);
    shell_requests_orphan(controller);
    shell_term_release(controller);
    free(controller);
}

void controller_start(struct controller *controller, int64_t now_ms, int64_t wall_ms)
{
    controller->now_ms = now_ms;
    controller->wall_ms = wall_ms;
    controller->started = true;
    shell_election_look(controller);
    shell_work(controller);
}

void controller_stop(struct controller *controller)
{
    controller->started = false;
    shell_election_stop(controller);
}

/* Some of the topics' znodes, others each time, so that thousands of topics are no burst of reads. */
static void compare_topics(struct controller *controller)
{
    size_t position = 0, index = 0, asked = 0, count = map_size(controller->image.topics);
    struct slice name;
    void *topic;
    while (map_next(controller->image.topics, &position, &name, &topic)) {
        if (index++ < controller->compare_from || asked >= COMPARED_TOPICS_MAX)
            continue;
        shell_look_periodic(controller, LOOK_TOPIC, name, 0);
        asked++;
    }
    controller->compare_from += asked;
    if (controller->compare_from >= count)
        controller->compare_from = 0;
}

/* Once a minute the lists are read again, and topics' znodes; nothing should come of it (I34). */
static void compare(struct controller *controller)
{
    if (controller->office != OFFICE_IN || controller->now_ms < controller->next_compare_ms)
        return;
    controller->next_compare_ms = controller->now_ms + controller->options.compare_interval_ms;
    shell_look_periodic(controller, LOOK_BROKERS, slice_of(""), 0);
    shell_look_periodic(controller, LOOK_TOPICS, slice_of(""), 0);
    shell_look_periodic(controller, LOOK_DELETIONS, slice_of(""), 0);
    shell_look_periodic(controller, LOOK_CONFIG_CHANGES, slice_of(""), 0);
    shell_look_periodic(controller, LOOK_DIRECTORY_EVENTS, slice_of(""), 0);
    shell_look_periodic(controller, LOOK_PREFERRED_ELECTION, slice_of(""), 0);
    shell_look_periodic(controller, LOOK_REASSIGNMENTS, slice_of(""), 0);
    compare_topics(controller);
}

static void loaded(struct controller *controller)
{
    controller->office = OFFICE_IN;
    log_info(controller->logger, SHELL_AREA, "in office, epoch %d: %zu brokers, %zu topics, %zu partitions",
             controller->epoch, controller->image.brokers.count, map_size(controller->image.topics),
             controller->image.partition_count);
    shell_tell_leaderless(controller);
    shell_balance_office_taken(controller);
    shell_tell_changed(controller);
}

void shell_work_soon(struct controller *controller)
{
    controller->work_waits = true;
}

void shell_work(struct controller *controller)
{
    controller->work_waits = false;
    if (controller->working) {
        controller->work_again = true;
        return;
    }
    controller->working = true;
    do {
        controller->work_again = false;
        if (controller->office == OFFICE_LOADING || controller->office == OFFICE_IN)
            shell_looks_pump(controller);
        if (controller->office == OFFICE_LOADING && map_size(controller->looks) == 0 &&
            controller->rewrites_in_flight == 0 && shell_election_is_over(controller))
            loaded(controller);
        if (controller->office == OFFICE_IN) {
            shell_deletions_pump(controller);
            shell_decide_pump(controller);
            shell_reassign_pump(controller);
            shell_elect_pump(controller);
            shell_brokers_pump(controller);
            shell_channels_pump(controller);
            shell_admin_pump(controller);
            shell_looks_pump(controller);
            shell_progress_pump(controller);
        }
    } while (controller->work_again);
    controller->working = false;
}

void controller_tick(struct controller *controller, int64_t now_ms, int64_t wall_ms)
{
    controller->now_ms = now_ms;
    controller->wall_ms = wall_ms;
    shell_election_tick(controller);
    compare(controller);
    shell_work(controller);
}

int64_t controller_next_deadline(const struct controller *controller)
{
    int64_t deadline = INT64_MAX;
    if (controller->work_waits)
        return controller->now_ms;
    if (controller->election_again && !controller->election_busy)
        deadline = controller->election_not_before_ms;
    if (controller->office != OFFICE_LOADING && controller->office != OFFICE_IN)
        return deadline;
    deadline = min_i64(deadline, shell_looks_deadline(controller));
    if (controller->office == OFFICE_LOADING)
        return deadline;
    deadline = min_i64(deadline, controller->next_compare_ms);
    deadline = min_i64(deadline, shell_deletions_deadline(controller));
    deadline = min_i64(deadline, shell_brokers_deadline(controller));
    deadline = min_i64(deadline, shell_channels_deadline(controller));
    deadline = min_i64(deadline, shell_elect_deadline(controller));
    deadline = min_i64(deadline, shell_reassign_deadline(controller));
    return min_i64(deadline, shell_admin_deadline(controller));
}

struct decide_settings shell_decide_settings(const struct controller *controller)
{
    return (struct decide_settings){
        .controller_epoch = controller->epoch,
        .min_insync_replicas = controller->options.min_insync_replicas,
        .unclean_by_default = controller->options.unclean_leader_election,
        .unclean_always = controller->options.faults.unclean_always,
        .isr_by_id = controller->options.faults.isr_by_id,
        .no_eligible = controller->options.faults.no_eligible,
        .keep_leader_epoch = controller->options.faults.keep_leader_epoch,
    };
}

void shell_tell_changed(struct controller *controller)
{
    const struct controller_callbacks *callbacks = &controller->options.callbacks;
    if (callbacks->changed != NULL)
        callbacks->changed(callbacks->context, controller->current, controller->office == OFFICE_IN,
                           controller->epoch);
}

int32_t controller_current(const struct controller *controller)
{
    return controller->current;
}

bool controller_is_in_office(const struct controller *controller)
{
    return controller->office == OFFICE_IN;
}

int32_t controller_epoch(const struct controller *controller)
{
    bool holds = controller->office == OFFICE_LOADING || controller->office == OFFICE_IN;
    return holds ? controller->epoch : -1;
}

void controller_dump(const struct controller *controller, struct buffer *out)
{
    static const char *const offices[] = {"out", "following", "loading", "in office"};
    buffer_print(out, "controller %d %s epoch %d current %d\n", controller->options.broker_id,
                 offices[controller->office], controller->epoch, controller->current);
    image_dump(&controller->image, out);
}

static size_t list_length(const struct list *list)
{
    size_t length = 0;
    list_for_each(node, list) length++;
    return length;
}

struct controller_gauges controller_gauges(const struct controller *controller)
{
    struct controller_gauges gauges = controller->gauges;
    const struct image *image = &controller->image;
    gauges.brokers = image->brokers.count;
    gauges.topics = map_size(image->topics);
    gauges.partitions = image->partition_count;
    size_t position = 0;
    void *value;
    while (map_next(image->topics, &position, NULL, &value)) {
        const struct image_topic *topic = value;
        for (size_t i = 0; i < topic->partition_count && !topic->deleting; i++)
            gauges.offline_partitions +=
                !topic->partitions[i]->has_state || topic->partitions[i]->state.leader == NODE_NO_LEADER;
    }
    gauges.unfinished = controller->request_count + controller->work_waits + map_size(controller->looks) +
                        list_length(&image->urgent) + list_length(&image->dirty) +
                        list_length(&image->moving) + list_length(&controller->alters) +
                        list_length(&controller->producer_ids) + list_length(&controller->shutdowns) +
                        list_length(&controller->admins) + list_length(&controller->elections) +
                        controller->election_node_busy;
    for (size_t i = 0; i < controller->channel_count; i++)
        gauges.unfinished += controller->channels[i].token != 0 || controller->channels[i].repeats ||
                             controller->channels[i].not_before_ms > controller->now_ms ||
                             controller->channels[i].stop_not_before_ms > controller->now_ms;
    gauges.unfinished += shell_reassign_deadline(controller) != INT64_MAX;
    gauges.unfinished += shell_deletions_in_work(controller);
    return gauges;
}
