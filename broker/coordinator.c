/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator thread's life: ZooKeeper, registration, controller. Messages are in coordinator_calls.c. */
#include "broker/coordinator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/coordinator_internal.h"
#include "broker/mutants.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/prng.h"
#include "common/uuid.h"
#include "coordinator/membership/cluster_id.h"
#include "coordinator/membership/ensure_paths.h"
#include "coordinator/zk/node_broker.h"

/* How often the registration and the controller are looked after when nothing happens. */
#define COORDINATOR_TICK_MS 100
/* A registration after a lost session waits a random part of this, so that not all brokers come at once
 * (Z18). */
#define REGISTRATION_JITTER_MS 500

void coordinator_tick_controller(struct coordinator *coordinator)
{
    if (coordinator->controller != NULL)
        controller_tick(coordinator->controller, clock_monotonic_ms(), clock_wall_ms());
}

static void set_timer(struct coordinator *coordinator)
{
    int64_t deadline_ms = clock_monotonic_ms() + COORDINATOR_TICK_MS;
    if (coordinator->controller != NULL)
        deadline_ms = min_i64(deadline_ms, controller_next_deadline(coordinator->controller));
    loop_timer_set(coordinator->loop, &coordinator->timer, deadline_ms);
}

static void on_timer(struct loop_timer *timer)
{
    struct coordinator *coordinator = container_of(timer, struct coordinator, timer);
    coordinator_tick_standing(coordinator);
    if (coordinator->registration != NULL)
        registration_tick(coordinator->registration, clock_monotonic_ms());
    coordinator_tell_directories(coordinator);
    coordinator_tick_settings(coordinator);
    coordinator_tick_controller(coordinator);
    set_timer(coordinator);
}

/* What happened in this turn may have moved the controller's next deadline. */
static void on_turn_end(struct loop_hook *hook)
{
    struct coordinator *coordinator = container_of(hook, struct coordinator, hook);
    if (coordinator->controller == NULL || !loop_timer_is_set(&coordinator->timer))
        return;
    int64_t deadline_ms = controller_next_deadline(coordinator->controller);
    if (deadline_ms < coordinator->timer.deadline_ms)
        loop_timer_set(coordinator->loop, &coordinator->timer, deadline_ms);
}

int coordinator_new(const struct coordinator_options *options, struct coordinator **out, struct buffer *error)
{
    struct coordinator *coordinator = memory_allocate_zeroed(1, sizeof(*coordinator));
    coordinator->options = *options;
    coordinator->loop = loop_new();
    coordinator->mailbox = mailbox_new(coordinator->loop);
    coordinator->timer.fire = on_timer;
    coordinator->hook.flush = on_turn_end;
    loop_hook_add(coordinator->loop, &coordinator->hook);
    coordinator_calls_init(coordinator);
    coordinator_directories_init(coordinator);
    coordinator_settings_init(coordinator);
    coordinator_standing_init(coordinator);
    node_broker_init(&coordinator->node);
    const struct broker_config *config = options->config;
    struct zk_session_settings settings = {.connect = config->zookeeper_connect,
                                           .session_timeout_ms = config->zookeeper_session_timeout_ms};
    const char *problem = NULL;
    int result = zk_session_check(config->zookeeper_connect, &problem);
    if (result == 0)
        result = zk_session_new(coordinator->loop, options->logger, &settings, &coordinator->session);
    if (result != 0) {
        buffer_print(error, "zookeeper.connect=%s: %s", config->zookeeper_connect,
                     problem ? problem : strerror(-result));
        coordinator_free(coordinator);
        return result;
    }
    *out = coordinator;
    return 0;
}

/* ---- before the thread: paths and cluster id ---- */

struct preparation {
    bool done;
    enum zk_result result;
    struct node_cluster_id cluster_id;
    char *problem;
};

static void on_paths(void *context, enum zk_result result)
{
    struct preparation *preparation = context;
    preparation->done = true;
    preparation->result = result;
}

static void on_cluster_id(void *context, enum zk_result result, const struct node_cluster_id *cluster_id,
                          const char *problem)
{
    struct preparation *preparation = context;
    preparation->done = true;
    preparation->result = result;
    if (result == ZK_OK)
        preparation->cluster_id = *cluster_id;
    else if (problem != NULL)
        preparation->problem = memory_copy_string(problem);
}

static struct uuid random_usable_uuid(void)
{
    for (;;) {
        uint8_t bytes[16];
        random_bytes(bytes, sizeof(bytes));
        struct uuid id = uuid_from_random(bytes);
        if (uuid_is_usable(id))
            return id;
    }
}

/* ZooKeeper may come later than its brokers: they wait, and say so. */
static void tell_waiting(struct coordinator *coordinator, int64_t *warn_ms)
{
    const struct broker_config *config = coordinator->options.config;
    if (clock_monotonic_ms() < *warn_ms)
        return;
    *warn_ms += max_i64(config->zookeeper_connection_timeout_ms, 1000);
    log_warn(
        coordinator->options.logger, "coordinator",
        "zookeeper.connect=%s: no answer within zookeeper.connection.timeout.ms=%d: is ZooKeeper running "
        "there? Waiting for it",
        config->zookeeper_connect, config->zookeeper_connection_timeout_ms);
}

/* Runs the loop until `step` was carried out; what ended in doubt is begun again. */
static int run_step(struct coordinator *coordinator, struct preparation *preparation,
                    void (*begin)(struct coordinator *coordinator, struct preparation *preparation))
{
    const struct coordinator_options *options = &coordinator->options;
    int64_t warn_ms = clock_monotonic_ms() + options->config->zookeeper_connection_timeout_ms;
    for (;;) {
        preparation->done = false;
        begin(coordinator, preparation);
        while (!preparation->done) {
            if (options->stopping != NULL && options->stopping(options->stopping_context))
                return -ECANCELED;
            tell_waiting(coordinator, &warn_ms);
            loop_run_once(coordinator->loop, 20);
        }
        if (preparation->result != ZK_UNKNOWN && preparation->result != ZK_EXPIRED)
            return preparation->result == ZK_OK ? 0 : -EIO;
        loop_run_once(coordinator->loop, 20);
    }
}

static void begin_paths(struct coordinator *coordinator, struct preparation *preparation)
{
    membership_ensure_paths(zk_session_client(coordinator->session), on_paths, preparation);
}

static void begin_cluster_id(struct coordinator *coordinator, struct preparation *preparation)
{
    membership_cluster_id(zk_session_client(coordinator->session), random_usable_uuid(), on_cluster_id,
                          preparation);
}

int coordinator_prepare(struct coordinator *coordinator, struct node_cluster_id *cluster_id,
                        struct buffer *error)
{
    const struct broker_config *config = coordinator->options.config;
    struct preparation *preparation = memory_allocate_zeroed(1, sizeof(*preparation));
    zk_session_start(coordinator->session);
    int result = run_step(coordinator, preparation, begin_paths);
    if (result == 0)
        result = run_step(coordinator, preparation, begin_cluster_id);
    if (result == -ECANCELED)
        buffer_print(error, "stopped while it waited for ZooKeeper at %s", config->zookeeper_connect);
    else if (result != 0)
        buffer_print(error, "ZooKeeper at %s refuses: %s", config->zookeeper_connect,
                     preparation->problem ? preparation->problem : zk_result_name(preparation->result));
    *cluster_id = preparation->cluster_id;
    if (result != 0)
        zk_session_stop(coordinator->session); /* completes what is open */
    free(preparation->problem);
    free(preparation);
    return result;
}

/* ---- registration and controller ---- */

static void on_registered(void *context, int64_t broker_epoch)
{
    struct coordinator *coordinator = context;
    coordinator->options.callbacks.registered(coordinator->options.callbacks.context, broker_epoch);
    if (!coordinator->controller_started) {
        coordinator->controller_started = true;
        controller_start(coordinator->controller, clock_monotonic_ms(), clock_wall_ms());
        set_timer(coordinator);
    }
}

static void on_registration_failed(void *context, const char *problem)
{
    struct coordinator *coordinator = context;
    coordinator->options.callbacks.failed(coordinator->options.callbacks.context, problem);
}

static const char *check_topic_setting(void *context, struct slice name, struct slice value)
{
    struct coordinator *coordinator = context;
    buffer_clear(&coordinator->problem);
    return topic_setting_check(name, value, &coordinator->problem) == 0
               ? NULL
               : buffer_string(&coordinator->problem);
}

static void fill_random(void *context, void *bytes, size_t length)
{
    (void)context;
    random_bytes(bytes, length);
}

static struct controller *make_controller(struct coordinator *coordinator)
{
    const struct broker_config *config = coordinator->options.config;
    struct controller_options options = {
        .broker_id = config->broker_id,
        .zk = zk_session_client(coordinator->session),
        .logger = coordinator->options.logger,
        .transport = {.context = coordinator,
                      .send = coordinator_transport_send,
                      .drop = coordinator_transport_drop},
        .callbacks = {.context = coordinator,
                      .validate_topic_config = check_topic_setting,
                      .random = fill_random},
        .default_partitions = config->num_partitions,
        .default_replication_factor = config->default_replication_factor,
        .delete_topic_enable = config->delete_topic_enable,
        .auto_leader_rebalance = config->auto_leader_rebalance_enable,
        .leader_imbalance_percentage = config->leader_imbalance_per_broker_percentage,
        .leader_imbalance_check_ms =
            min_i64(config->leader_imbalance_check_interval_seconds, INT64_MAX / 2000) * 1000,
        .min_insync_replicas = config->topic_defaults.min_insync_replicas,
        .unclean_leader_election = config->topic_defaults.unclean_leader_election_enable,
    };
#ifdef BARNABAS_MUTANTS
    mutants_set(NULL, &options.faults, NULL);
#endif
    return controller_new(&options);
}

static void fill_node(const struct broker_config *config, struct node_broker *node)
{
    node_broker_init(node);
    const struct listener_set *advertised = &config->listeners.advertised;
    for (size_t i = 0; i < advertised->count; i++) {
        const struct listener *listener = &advertised->items[i];
        node_broker_add_endpoint(node, slice_of(listener->name),
                                 slice_of(security_protocol_name(listener->protocol)),
                                 slice_of(listener->host), listener->port);
    }
    if (config->rack != NULL)
        node->rack = memory_copy_string(config->rack);
    node->timestamp_ms = clock_wall_ms();
}

static void *run_coordinator(void *argument)
{
    struct coordinator *coordinator = argument;
    loop_run(coordinator->loop);
    return NULL;
}

void coordinator_register(struct coordinator *coordinator)
{
    if (coordinator->registration != NULL || coordinator->stopping)
        return;
    struct registration_settings settings = {.broker_id = coordinator->options.config->broker_id,
                                             .node = &coordinator->node,
                                             .jitter_ms = REGISTRATION_JITTER_MS,
                                             .seed = random_u64()};
    struct registration_callbacks callbacks = {
        .registered = on_registered, .failed = on_registration_failed, .context = coordinator};
    coordinator->registration =
        registration_new(zk_session_client(coordinator->session), coordinator->options.logger, &settings,
                         callbacks, clock_monotonic_ms());
}

int coordinator_start(struct coordinator *coordinator, int64_t intact_since, int64_t intact_until)
{
    fill_node(coordinator->options.config, &coordinator->node);
    coordinator->node.intact_since = intact_since;
    coordinator->node.intact_until = intact_until;
    coordinator->controller = make_controller(coordinator);
    coordinator_standing_begin(coordinator);
    coordinator_settings_begin(coordinator);
    set_timer(coordinator);
    int error = thread_start(&coordinator->thread, "coordinator", run_coordinator, coordinator);
    coordinator->started = error == 0;
    return error;
}

/* On the coordinator's thread: everything that needs its loop ends here. */
static void handle_stop(struct mail *mail)
{
    struct coordinator *coordinator = container_of(mail, struct coordinator, stop_mail);
    coordinator->stopping = true;
    if (coordinator->controller != NULL)
        controller_stop(coordinator->controller);
    coordinator_calls_end(coordinator);
    registration_free(coordinator->registration);
    coordinator->registration = NULL;
    controller_free(coordinator->controller);
    coordinator->controller = NULL;
    zk_session_stop(coordinator->session);
    loop_timer_cancel(coordinator->loop, &coordinator->timer);
    loop_stop(coordinator->loop);
}

void coordinator_stop(struct coordinator *coordinator)
{
    if (!coordinator->started)
        return;
    coordinator->started = false;
    coordinator->stop_mail.handle = handle_stop;
    mailbox_post(coordinator->mailbox, &coordinator->stop_mail);
    pthread_join(coordinator->thread, NULL);
}

void coordinator_free(struct coordinator *coordinator)
{
    if (coordinator == NULL)
        return;
    coordinator_stop(coordinator);
    coordinator->stopping = true;
    zk_session_free(coordinator->session);
    mailbox_free(coordinator->mailbox);
    loop_hook_remove(&coordinator->hook);
    map_free(coordinator->peers);
    coordinator_settings_release(coordinator);
    node_broker_release(&coordinator->node);
    buffer_release(&coordinator->problem);
    loop_free(coordinator->loop);
    free(coordinator);
}

struct controller_link *coordinator_link(struct coordinator *coordinator)
{
    return &coordinator->link;
}

struct mailbox *coordinator_mailbox(struct coordinator *coordinator)
{
    return coordinator->mailbox;
}
