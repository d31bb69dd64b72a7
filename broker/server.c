/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the parts of a broker, connects them, and takes them apart in the right order. */
#include "broker/server.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/api/api.h"
#include "broker/api/producer_ids.h"
#include "broker/api/standing.h"
#include "broker/boot_id.h"
#include "broker/cleaner.h"
#include "broker/coordinator.h"
#include "broker/log/log_manager.h"
#include "broker/mutants.h"
#include "broker/net/server.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/metadata_cache.h"
#include "broker/replica/mover.h"
#include "broker/replica/replica_manager.h"
#include "broker/replica/topic_log_settings.h"
#include "broker/replica_thread.h"
#include "broker/storage.h"
#include "common/clock.h"
#include "common/memory.h"
#include "common/prng.h"
#include "common/worker.h"
#include "proto/kafka/error.h"

/* The controller takes at most 5 s to move leaderships before it answers how many are left. */
#define CONTROLLED_SHUTDOWN_ANSWER_MS 8000
/* Parked requests get this long at an orderly stop before their connections are closed. */
#define STOP_ANSWERS_TIMEOUT_MS 2000
/* queued.max.request.bytes has no bound in Kafka; ours is a tenth of the memory, at least this. */
#define QUEUED_REQUEST_BYTES_MIN ((size_t)64 << 20)

/* A part of the session timeout: who stood still for longer asks whether the session lives. */
#define STANDING_GAP_PART 3
#define STANDING_GAP_MIN_MS 1000
/* So long clients wait for a broker that does not know the cluster yet; librdkafka waits 10 s for the answer
 * to its first request. */
#define STANDING_PATIENCE_MS 8000

struct server {
    struct server_options options;
    struct worker *resolver;
    struct network_server *network;
    struct coordinator *coordinator;
    struct log_manager *logs;
    struct metadata_cache *metadata;
    struct replica_manager *replicas;
    struct replication_throttles throttles;
    struct storage *storage;
    struct mover *mover;
    struct cleaner *cleaner; /* NULL: not enabled */
    struct replica_thread *replica_thread;
    struct fetcher_pool *fetchers;
    struct standing *standing;
    struct api *api;
    struct replica_host replica_host;
    struct address_book addresses;
    struct request_handler handler; /* hands requests to the API once there is one */
    atomic_bool registered;
    int64_t started_us;
};

/* ---- what the rooms ask of each other ---- */

static void host_follow(struct replica_host *host, struct partition *partition, int32_t leader)
{
    struct server *server = container_of(host, struct server, replica_host);
    fetcher_pool_follow(server->fetchers, partition, leader);
}

static void host_unfollow(struct replica_host *host, struct partition *partition)
{
    struct server *server = container_of(host, struct server, replica_host);
    fetcher_pool_unfollow(server->fetchers, partition);
}

static void host_proposal_wanted(struct replica_host *host, struct partition *partition)
{
    struct server *server = container_of(host, struct server, replica_host);
    replica_thread_propose(server->replica_thread, partition);
}

static void host_flush_wanted(struct replica_host *host, struct partition *partition,
                              enum flush_urgency urgency)
{
    struct server *server = container_of(host, struct server, replica_host);
    storage_flush_wanted(server->storage, partition, urgency);
}

static void host_log_failed(struct replica_host *host, struct partition *partition)
{
    (void)partition;
    struct server *server = container_of(host, struct server, replica_host);
    if (server->coordinator != NULL)
        coordinator_directories_changed(server->coordinator);
}

static void host_topic_settings(struct replica_host *host, const struct control_setting *settings,
                                size_t count, struct log_settings *log_settings, int32_t *min_insync_replicas)
{
    struct server *server = container_of(host, struct server, replica_host);
    log_settings_from_control(server->options.config, settings, count, log_settings, min_insync_replicas);
#ifdef BARNABAS_MUTANTS
    mutants_set(NULL, NULL, &log_settings->ignore_sequences);
#endif
}

/* Any thread: by what the controller told us last. */
static bool find_address(struct address_book *book, int32_t broker_id, char *host, size_t host_size,
                         int32_t *port)
{
    struct server *server = container_of(book, struct server, addresses);
    if (server->metadata == NULL)
        return false;
    const struct metadata_image *image = metadata_cache_acquire(server->metadata);
    const struct metadata_broker *broker = metadata_image_broker(image, broker_id);
    const struct metadata_endpoint *endpoint =
        broker ? metadata_broker_endpoint(broker, server->options.config->listeners.inter_broker) : NULL;
    bool found = endpoint != NULL && endpoint->host.length < host_size;
    if (found) {
        memcpy(host, endpoint->host.data, endpoint->host.length);
        host[endpoint->host.length] = '\0';
        *port = endpoint->port;
    }
    metadata_image_release(image);
    return found;
}

/* A registration of which the log directories are to know; on a thread that may wait for disks. */
struct life_mark {
    struct mail mail;
    struct server *server;
    int64_t broker_epoch;
};

static void handle_life_mark(struct mail *mail)
{
    struct life_mark *mark = container_of(mail, struct life_mark, mail);
    int error = log_manager_mark_intact(mark->server->logs, mark->broker_epoch);
    if (error != 0)
        log_warn(mark->server->options.logger, "server",
                 "after an unclean stop this broker's replicas will not count as whole: barnabas.intact: %s",
                 strerror(-error));
    free(mark);
}

static void on_registered(void *context, int64_t broker_epoch)
{
    struct server *server = context;
    /* First: nothing that is taken in this epoch may pass uncounted. */
    standing_registered(server->standing, broker_epoch, clock_monotonic_ms());
    replica_manager_set_broker_epoch(server->replicas, broker_epoch);
    bool first = !atomic_exchange(&server->registered, true);
    struct life_mark *mark = memory_allocate(sizeof(*mark));
    *mark = (struct life_mark){{.handle = handle_life_mark}, server, broker_epoch};
    worker_post(server->resolver, &mark->mail);
    log_info(server->options.logger, "server", "registered in the cluster, broker epoch %lld",
             (long long)broker_epoch);
    if (!first)
        return;
    log_info(server->options.logger, "server", "ready after %lld ms",
             (long long)((clock_monotonic_us() - server->started_us) / 1000));
    producer_ids_prepare(api_context_of(server->api), coordinator_mailbox(server->coordinator));
}

static void on_registration_failed(void *context, const char *problem)
{
    struct server *server = context;
    log_error(server->options.logger, "server", "cannot be in the cluster: %s", problem);
    server->options.failed(server->options.context);
}

/* A setting's own value, or that of all brokers, or its default; what is not in its range is left out. */
static int64_t setting_in_force(struct server *server, const char *name, const struct node_config *own,
                                const struct node_config *cluster_wide)
{
    const struct config_key *key = broker_key_at((size_t)broker_key_find(name));
    const char *texts[] = {node_config_get(own, name), node_config_get(cluster_wide, name)};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (texts[i] == NULL)
            continue;
        if (config_value_check(key, texts[i], NULL) == 0)
            return config_value_integer(texts[i]);
        log_warn(server->options.logger, "server", "%s=%.100s in ZooKeeper is no good and has no effect",
                 name, texts[i]);
    }
    return config_value_integer(key->default_text);
}

static void on_settings_changed(void *context, const struct node_config *own,
                                const struct node_config *cluster_wide)
{
    struct server *server = context;
    replication_throttle_set_rate(
        &server->throttles.leader,
        setting_in_force(server, "leader.replication.throttled.rate", own, cluster_wide));
    replication_throttle_set_rate(
        &server->throttles.follower,
        setting_in_force(server, "follower.replication.throttled.rate", own, cluster_wide));
}

static void deliver_to_replicas(void *context, struct control_delivery *delivery)
{
    struct server *server = context;
    replica_thread_deliver(server->replica_thread, delivery);
}

/* ---- parts ---- */

static size_t queued_bytes_bound(const struct broker_config *config)
{
    if (config->queued_max_request_bytes > 0)
        return (size_t)config->queued_max_request_bytes;
    size_t tenth = (size_t)sysconf(_SC_PHYS_PAGES) / 10 * (size_t)sysconf(_SC_PAGESIZE);
    return max_size(tenth, QUEUED_REQUEST_BYTES_MIN);
}

static void handle_request(struct request_handler *handler, struct request *request)
{
    struct server *server = container_of(handler, struct server, handler);
    struct request_handler *api = api_handler(server->api);
    api->handle(api, request);
}

static int bind_listeners(struct server *server, struct buffer *error)
{
    struct broker_config *config = server->options.config;
    struct network_listener_options listeners[16];
    size_t count = config->listeners.bound.count;
    if (count > ARRAY_SIZE(listeners)) {
        buffer_print(error, "listeners: %zu of them, at most %zu are possible", count, ARRAY_SIZE(listeners));
        return -EINVAL;
    }
    for (size_t i = 0; i < count; i++) {
        const struct listener *listener = &config->listeners.bound.items[i];
        listeners[i] = (struct network_listener_options){.name = listener->name,
                                                         .security = listener->protocol,
                                                         .host = listener->host,
                                                         .port = listener->port};
    }
    server->handler.handle = handle_request;
    struct network_server_options options = {
        .listeners = listeners,
        .listener_count = count,
        .inter_broker_listener = config->listeners.inter_broker,
        .reactor_count = config->num_network_threads,
        .listen_backlog = config->socket_listen_backlog_size,
        .send_buffer_bytes = config->socket_send_buffer_bytes,
        .receive_buffer_bytes = config->socket_receive_buffer_bytes,
        .request_max_bytes = (size_t)config->socket_request_max_bytes,
        .max_connections = (size_t)config->max_connections,
        .max_connections_per_ip = (size_t)config->max_connections_per_ip,
        .open_files_max = file_raise_descriptor_limit(),
        .max_connections_per_ip_overrides = config->max_connections_per_ip_overrides,
        .connections_max_idle_ms = config->connections_max_idle_ms,
        .queued_max_request_bytes = queued_bytes_bound(config),
        .logger = server->options.logger,
        .handler = &server->handler,
    };
    int result = network_server_new(&options, &server->network, error);
    if (result != 0)
        return result;
    for (size_t i = 0; i < count; i++)
        listeners_set_bound_port(&config->listeners, listeners[i].name,
                                 network_server_port(server->network, i));
    char name[256];
    if (gethostname(name, sizeof(name)) != 0)
        snprintf(name, sizeof(name), "localhost");
    name[sizeof(name) - 1] = '\0';
    listeners_fill_advertised_host(&config->listeners, name);
    return 0;
}

static void on_doubted(void *context)
{
    struct server *server = context;
    coordinator_doubted(server->coordinator);
}

static void make_standing(struct server *server)
{
    int64_t part_ms = server->options.config->zookeeper_session_timeout_ms / STANDING_GAP_PART;
    struct standing_options options = {.logger = server->options.logger,
                                       .gap_max_ms = max_i64(part_ms, STANDING_GAP_MIN_MS),
                                       .patience_ms = STANDING_PATIENCE_MS,
                                       .doubted = on_doubted,
                                       .doubt_context = server};
    server->standing = standing_new(&options, clock_monotonic_ms());
}

static int join_zookeeper(struct server *server, struct node_cluster_id *cluster_id, struct buffer *error)
{
    struct coordinator_options options = {.config = server->options.config,
                                          .logger = server->options.logger,
                                          .resolver = server->resolver,
                                          .addresses = &server->addresses,
                                          .callbacks = {.context = server,
                                                        .registered = on_registered,
                                                        .failed = on_registration_failed,
                                                        .settings_changed = on_settings_changed},
                                          .deliver_to_replicas = deliver_to_replicas,
                                          .replicas = server,
                                          .standing = server->standing,
                                          .stopping = server->options.stopping,
                                          .stopping_context = server->options.context};
    int result = coordinator_new(&options, &server->coordinator, error);
    return result == 0 ? coordinator_prepare(server->coordinator, cluster_id, error) : result;
}

/* Any thread, under any lock: with the last directory the broker ends; of any other the controller is told,
 * so that it moves what lies there. */
static void on_directories_changed(void *context)
{
    struct server *server = context;
    if (log_manager_usable_directories(server->logs) > 0) {
        if (server->coordinator != NULL)
            coordinator_directories_changed(server->coordinator);
        return;
    }
    log_error(server->options.logger, "server", "the last log directory is gone: this broker stops");
    server->options.failed(server->options.context);
}

static int open_logs(struct server *server, const char *cluster_id, struct buffer *error)
{
    const struct broker_config *config = server->options.config;
    char *boot_id = boot_id_read();
    struct log_manager_options options = {
        .files = file_system_posix(),
        .logger = server->options.logger,
        .directories = (const char *const *)config->log_dirs,
        .directories_count = config->log_dirs_count,
        .broker_id = config->broker_id,
        .cluster_id = cluster_id,
        /* The other half is for connections, and for files that are open for a moment. */
        .open_segments_max = file_raise_descriptor_limit() / 2,
        .recovery_threads = config->num_recovery_threads_per_data_dir,
        .boot_id = boot_id,
        .directories_changed = on_directories_changed,
        .directories_context = server,
    };
    log_settings_from_topic(&options.defaults, &config->topic_defaults, config->producer_id_expiration_ms);
#ifdef BARNABAS_MUTANTS
    mutants_set(NULL, NULL, &options.defaults.ignore_sequences);
#endif
    int result = log_manager_open(&options, &server->logs, error);
    free(boot_id);
    return result;
}

static int make_replicas(struct server *server)
{
    const struct broker_config *config = server->options.config;
    server->replica_host = (struct replica_host){.follow = host_follow,
                                                 .unfollow = host_unfollow,
                                                 .proposal_wanted = host_proposal_wanted,
                                                 .flush_wanted = host_flush_wanted,
                                                 .log_failed = host_log_failed,
                                                 .topic_settings = host_topic_settings};
    struct replica_manager_options manager = {.broker_id = config->broker_id,
                                              .logs = server->logs,
                                              .logger = server->options.logger,
                                              .host = &server->replica_host,
                                              .replica_lag_time_max_ms = config->replica_lag_time_max_ms};
#ifdef BARNABAS_MUTANTS
    mutants_set(&manager.faults, NULL, NULL);
#endif
    struct storage_options storage = {
        .config = config, .logger = server->options.logger, .directories = config->log_dirs_count};
    int result = storage_new(&storage, &server->storage);
    if (result != 0)
        return result;
    server->replicas = replica_manager_new(&manager);
    server->replica_thread = replica_thread_new();
    struct fetcher_options fetchers = {
        .count = config->num_replica_fetchers,
        .broker_id = config->broker_id,
        .manager = server->replicas,
        .addresses = &server->addresses,
        .resolver = server->resolver,
        .logger = server->options.logger,
        .wait_max_ms = config->replica_fetch_wait_max_ms,
        .min_bytes = config->replica_fetch_min_bytes,
        .partition_max_bytes = config->replica_fetch_max_bytes,
        .response_max_bytes = config->replica_fetch_response_max_bytes,
        .backoff_ms = config->replica_fetch_backoff_ms,
        .throttles = &server->throttles,
        .socket_timeout_ms = config->replica_socket_timeout_ms,
        .receive_buffer_bytes = config->replica_socket_receive_buffer_bytes,
    };
    return fetcher_pool_new(&fetchers, &server->fetchers);
}

static void make_mover(struct server *server)
{
    const struct broker_config *config = server->options.config;
    struct mover_options options = {.replicas = server->replicas,
                                    .logger = server->options.logger,
                                    .threads = config->num_replica_alter_log_dirs_threads,
                                    .bytes_per_second =
                                        config->replica_alter_log_dirs_io_max_bytes_per_second};
    server->mover = mover_new(&options);
}

static void make_api(struct server *server)
{
    struct api_context context = {.config = server->options.config,
                                  .metadata = server->metadata,
                                  .replicas = server->replicas,
                                  .throttles = &server->throttles,
                                  .mover = server->mover,
                                  .controller = coordinator_link(server->coordinator),
                                  .logger = server->options.logger,
                                  .clock = api_clock_system(),
                                  .standing = server->standing,
                                  .broker_id = server->options.config->broker_id};
    server->api = api_new(&context, random_u64());
}

static int start_parts(struct server *server, struct buffer *error)
{
    struct node_cluster_id cluster_id;
    int result = worker_new("resolver", 1, &server->resolver);
    if (result == 0)
        result = bind_listeners(server, error);
    make_standing(server);
    if (result == 0)
        result = join_zookeeper(server, &cluster_id, error);
    if (result == 0)
        result = open_logs(server, cluster_id.text, error);
    if (result != 0)
        return result;
    server->metadata = metadata_cache_new(server->options.config, cluster_id.text);
    result = make_replicas(server);
    if (result != 0)
        return result;
    make_mover(server);
    make_api(server);
    result = replica_thread_start(server->replica_thread, api_context_of(server->api));
    if (result == 0)
        result = storage_start(server->storage, server->replicas);
    if (result == 0)
        result = mover_start(server->mover);
    if (result == 0)
        result =
            cleaner_start(server->options.config, server->options.logger, server->replicas, &server->cleaner);
    if (result == 0)
        result = network_server_start(server->network);
    if (result == 0) {
        struct log_intact intact = log_manager_intact(server->logs);
        result = coordinator_start(server->coordinator, intact.since, intact.until);
    }
    return result;
}

/* ---- stop ---- */

struct shutdown_wait {
    struct controller_call call;
    bool done;
};

static void on_shutdown_answer(struct controller_call *call)
{
    container_of(call, struct shutdown_wait, call)->done = true;
}

/* One attempt: 0 and how many partitions we still lead, or -errno. */
static int ask_for_shutdown(struct server *server, struct loop *loop, struct mailbox *mailbox,
                            int32_t *remaining)
{
    const struct broker_config *config = server->options.config;
    struct controller_link *link = coordinator_link(server->coordinator);
    struct control_request request = {
        .kind = CONTROL_CONTROLLED_SHUTDOWN,
        .controlled_shutdown = {.broker_id = config->broker_id,
                                .broker_epoch = replica_manager_broker_epoch(server->replicas)}};
    struct shutdown_wait wait = {.done = false};
    controller_call_init(&wait.call, &request, mailbox, clock_monotonic_ms() + CONTROLLED_SHUTDOWN_ANSWER_MS,
                         on_shutdown_answer);
    link->forward(link, &wait.call);
    while (!wait.done)
        loop_run_once(loop, 100);
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    struct control_answer answer;
    int result = controller_call_answer(&wait.call, &arena, &answer);
    if (result == 0 && answer.controlled_shutdown.error != KAFKA_NONE)
        result = -EAGAIN;
    if (result == 0)
        *remaining = answer.controlled_shutdown.partitions_remaining;
    arena_release(&arena);
    controller_call_release(&wait.call);
    return result;
}

static void pause_for(struct loop *loop, int64_t pause_ms)
{
    int64_t end_ms = clock_monotonic_ms() + pause_ms;
    for (int64_t left_ms = pause_ms; left_ms > 0; left_ms = end_ms - clock_monotonic_ms())
        loop_run_once(loop, left_ms);
}

/*
 * Asks the controller to move our leaderships away, so that clients go on without waiting for our session to
 * end.
 */
static void move_leaderships(struct server *server)
{
    const struct broker_config *config = server->options.config;
    if (!config->controlled_shutdown_enable || !atomic_load(&server->registered))
        return;
    replica_manager_leave(server->replicas);
    struct loop *loop = loop_new();
    struct mailbox *mailbox = mailbox_new(loop);
    for (int attempt = 0; attempt <= config->controlled_shutdown_max_retries; attempt++) {
        int32_t remaining = 0;
        int result = ask_for_shutdown(server, loop, mailbox, &remaining);
        if (result == 0 && remaining == 0) {
            log_info(server->options.logger, "server", "leaderships moved away");
            break;
        }
        if (result == 0)
            log_warn(server->options.logger, "server",
                     "%d partitions are still led here: the brokers that could lead them have not caught up",
                     remaining);
        else
            log_warn(server->options.logger, "server", "the controller could not move our leaderships: %s",
                     strerror(-result));
        if (result == -ENOTCONN)
            break; /* nobody is in office, and nobody will be soon */
        if (attempt < config->controlled_shutdown_max_retries)
            pause_for(loop, config->controlled_shutdown_retry_backoff_ms);
    }
    mailbox_free(mailbox);
    loop_free(loop);
}

/* Nothing is served or received any more; what is in the logs is all there is. */
static int close_logs(struct server *server)
{
    int result = 0;
    if (server->replicas != NULL) {
        result = replica_manager_checkpoint_high_watermarks(server->replicas, LOG_DIRECTORIES_ALL);
        replica_manager_free(server->replicas);
        server->replicas = NULL;
    }
    if (server->logs != NULL) {
        int closed = log_manager_close(server->logs);
        result = result != 0 ? result : closed;
        log_manager_free(server->logs);
        server->logs = NULL;
    }
    if (result != 0)
        log_error(server->options.logger, "server",
                  "the logs could not be closed cleanly (%s): the next start recovers them",
                  strerror(-result));
    return result;
}

/* Takes apart what is there, in an order in which no part is used after its end. */
static int take_apart(struct server *server)
{
    standing_end(server->standing);
    if (server->network != NULL)
        network_server_stop(server->network, STOP_ANSWERS_TIMEOUT_MS);
    if (server->coordinator != NULL)
        coordinator_stop(server->coordinator);
    if (server->replica_thread != NULL)
        replica_thread_stop(server->replica_thread);
    /* Not before: the controller's last messages may still start and end the following of partitions. */
    if (server->fetchers != NULL)
        fetcher_pool_stop(server->fetchers);
    cleaner_stop(server->cleaner);
    /* Requests that waited for the disk have been answered; from here on nobody wakes any. */
    storage_stop(server->storage);
    if (server->mover != NULL)
        mover_stop(server->mover);
    /* All who resolve names have stopped; their mailboxes, to which the answers go, are still there. */
    if (server->resolver != NULL)
        worker_free(server->resolver);
    fetcher_pool_free(server->fetchers);
    if (server->network != NULL)
        network_server_free(server->network);
    /* The coordinator's mailbox may hold a last call of the replica thread, whose end goes back to it. */
    coordinator_free(server->coordinator);
    server->coordinator = NULL; /* the logs are still there, and may fail */
    replica_thread_free(server->replica_thread);
    api_free(server->api); /* the last answers of the coordinator's mailbox still went to it */
    standing_free(server->standing);
    mover_free(server->mover);
    cleaner_free(server->cleaner);
    replication_throttles_release(&server->throttles);
    int result = close_logs(server);
    storage_free(server->storage);
    if (server->metadata != NULL)
        metadata_cache_free(server->metadata);
    free(server);
    return result;
}

int server_start(const struct server_options *options, struct server **out, struct buffer *error)
{
    struct server *server = memory_allocate_zeroed(1, sizeof(*server));
    server->options = *options;
    server->started_us = clock_monotonic_us();
    server->addresses.find = find_address;
    replication_throttles_init(&server->throttles, (size_t)options->config->replication_quota_window_num,
                               (int64_t)options->config->replication_quota_window_size_seconds * 1000);
    atomic_init(&server->registered, false);
    int result = start_parts(server, error);
    if (result != 0) {
        if (error->length == 0)
            buffer_print(error, "%s", strerror(-result));
        take_apart(server);
        return result;
    }
    *out = server;
    return 0;
}

int server_stop(struct server *server)
{
    move_leaderships(server);
    return take_apart(server);
}
