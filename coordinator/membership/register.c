/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registration of a broker, as a state machine:
 *
 *   IDLE --connected--> CHECKING --nobody has our address--> CREATING --made--> REGISTERED
 *                          ^                                     | node exists, or no clear answer
 *                          |                                     v
 *        PAUSED <----------+---- somebody else's, wait ---- EXAMINING --it is ours--> REGISTERED
 *
 * Every doubt goes back to CHECKING, which reads everything again; so a lost answer, a leftover of an earlier
 * life and a foreign broker are told apart by what ZooKeeper holds, never by what we remember of requests.
 * Each step carries a serial number; answers to older steps are forgotten.
 */
#include "coordinator/membership/register.h"

#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/check.h"
#include "common/memory.h"
#include "common/prng.h"
#include "coordinator/zk/path.h"

#define DEFAULT_TICK_MS 2000
#define RETRY_MS 250
/* Sessions of this process that are remembered, to know its own leftover nodes. */
#define OWN_SESSIONS_MAX 16

enum state {
    STATE_IDLE,       /* no session, or no connection yet */
    STATE_PAUSED,     /* until due_ms, then CHECKING */
    STATE_CHECKING,   /* reading who else is there */
    STATE_CREATING,   /* the multi is under way */
    STATE_EXAMINING,  /* reading the node that is in our place */
    STATE_REGISTERED, /* the node is ours */
    STATE_FAILED
};

struct registration {
    struct zk_client *client;
    struct logger *logger;
    struct zk_listener listener;
    struct registration_callbacks callbacks;
    struct arena arena; /* of `path` */
    const char *path;
    int32_t broker_id;
    struct node_broker node;
    int64_t tick_ms;
    int64_t jitter_ms;
    struct prng prng;

    enum state state;
    uint64_t serial;
    size_t answers_open; /* of any serial: the memory stays until they have come */
    bool freed;
    int64_t now_ms;
    int64_t due_ms;
    int64_t wait_until_ms; /* how long a foreign node is waited out; -1: none seen yet */
    size_t reads_open;     /* CHECKING: other brokers still to be read */
    int64_t epoch;
    int64_t first_epoch; /* of this process; -1: not registered yet */
    int64_t own_sessions[OWN_SESSIONS_MAX];
    size_t own_session_count;
};

/* A request under way: which step of which registration it belongs to. */
struct step {
    struct registration *registration;
    uint64_t serial;
    int32_t other_id; /* CHECKING: whose node is read */
};

static void begin(struct registration *registration);

static struct zk_completion step_completion(struct registration *registration, int32_t other_id,
                                            void (*done)(void *context, const struct zk_response *response))
{
    struct step *step = memory_allocate(sizeof(*step));
    *step = (struct step){registration, registration->serial, other_id};
    registration->answers_open++;
    return zk_completion_make(done, step);
}

static void destroy(struct registration *registration)
{
    node_broker_release(&registration->node);
    arena_release(&registration->arena);
    free(registration);
}

/* Ends a step. NULL: nobody waits for this answer any more. */
static struct registration *step_finish(struct step *step)
{
    struct registration *registration = step->registration;
    bool current = step->serial == registration->serial && !registration->freed;
    free(step);
    registration->answers_open--;
    if (registration->freed && registration->answers_open == 0)
        destroy(registration);
    return current ? registration : NULL;
}

static void pause_until(struct registration *registration, int64_t due_ms)
{
    registration->serial++;
    registration->state = STATE_PAUSED;
    registration->due_ms = due_ms;
}

static void retry_later(struct registration *registration)
{
    pause_until(registration, registration->now_ms + RETRY_MS);
}

static void fail(struct registration *registration, struct buffer *problem)
{
    registration->serial++;
    registration->state = STATE_FAILED;
    log_error(registration->logger, "membership", "%s", buffer_string(problem));
    if (registration->callbacks.failed != NULL)
        registration->callbacks.failed(registration->callbacks.context, buffer_string(problem));
}

/* Appends "host:port, session 0x…" of a node's owner. */
static void describe(const struct node_broker *node, int64_t session, struct buffer *text)
{
    if (node != NULL && node->endpoint_count > 0) {
        buffer_append_escaped(text, slice_of(node->endpoints[0].host), 255);
        buffer_print(text, ":%d, ", node->endpoints[0].port);
    }
    buffer_print(text, "session 0x%llx", (unsigned long long)session);
}

/*
 * A node of another session is in our way. It may be the leftover of a process that is gone: it is waited out
 * for a session timeout and two ticks, then refused. `problem` says what it holds.
 */
static void wait_or_fail(struct registration *registration, struct buffer *problem)
{
    int64_t patience_ms = zk_client_session_timeout_ms(registration->client) + 2 * registration->tick_ms;
    if (registration->wait_until_ms < 0) {
        registration->wait_until_ms = registration->now_ms + patience_ms;
        log_warn(registration->logger, "membership",
                 "%s; if that is the leftover of an earlier process, it vanishes within %lld ms: waiting",
                 buffer_string(problem), (long long)patience_ms);
    }
    if (registration->now_ms >= registration->wait_until_ms)
        fail(registration, problem);
    else
        retry_later(registration);
}

static void become_registered(struct registration *registration, int64_t epoch);

/* --- the node in our place ----------------------------------------------------------------------------- */

static bool is_own_session(const struct registration *registration, int64_t session)
{
    for (size_t i = 0; i < registration->own_session_count; i++)
        if (registration->own_sessions[i] == session)
            return true;
    return false;
}

static void on_leftover_deleted(void *context, const struct zk_response *response)
{
    struct registration *registration = step_finish(context);
    if (registration == NULL)
        return;
    if (response->result == ZK_OK || response->result == ZK_NO_NODE)
        begin(registration);
    else
        retry_later(registration);
}

static void judge_node(struct registration *registration, const struct zk_response *response)
{
    int64_t owner = response->stat.ephemeral_owner;
    if (owner == zk_client_session_id(registration->client) && owner != 0) {
        become_registered(registration, response->stat.czxid);
        return;
    }
    if (is_own_session(registration, owner)) {
        log_info(registration->logger, "membership", "removing the node of our earlier session 0x%llx",
                 (unsigned long long)owner);
        zk_delete(registration->client, registration->path, response->stat.version,
                  step_completion(registration, -1, on_leftover_deleted));
        return;
    }
    struct node_broker node;
    struct buffer problem;
    buffer_init(&problem);
    bool readable = node_broker_decode(response->data, &node, NULL) == 0;
    buffer_print(&problem, "broker.id %d is already registered by ", registration->broker_id);
    describe(readable ? &node : NULL, owner, &problem);
    wait_or_fail(registration, &problem);
    buffer_release(&problem);
    if (readable)
        node_broker_release(&node);
}

static void on_own_node(void *context, const struct zk_response *response)
{
    struct registration *registration = step_finish(context);
    if (registration == NULL)
        return;
    if (response->result == ZK_OK)
        judge_node(registration, response);
    else if (response->result == ZK_NO_NODE)
        begin(registration);
    else
        retry_later(registration);
}

static void examine(struct registration *registration)
{
    registration->state = STATE_EXAMINING;
    zk_get(registration->client, registration->path, true, step_completion(registration, -1, on_own_node));
}

/* --- creation ------------------------------------------------------------------------------------------ */

/* Armed anew after each registration and event: somebody may delete our node by hand. */
static void on_node_watched(void *context, const struct zk_response *response)
{
    struct registration *registration = step_finish(context);
    if (registration == NULL || registration->state != STATE_REGISTERED)
        return;
    if (response->result == ZK_OK &&
        response->stat.ephemeral_owner == zk_client_session_id(registration->client))
        return;
    if (response->result == ZK_OK || response->result == ZK_NO_NODE) {
        log_warn(registration->logger, "membership",
                 "the registration of broker %d is not there any more: registering again",
                 registration->broker_id);
        registration->epoch = -1;
        begin(registration);
    } else if (response->result == ZK_UNKNOWN) {
        pause_until(registration, registration->now_ms + RETRY_MS);
    }
}

static void watch_own_node(struct registration *registration)
{
    zk_exists(registration->client, registration->path, true,
              step_completion(registration, -1, on_node_watched));
}

static void become_registered(struct registration *registration, int64_t epoch)
{
    bool same = registration->epoch == epoch;
    registration->serial++;
    registration->state = STATE_REGISTERED;
    registration->wait_until_ms = -1;
    registration->epoch = epoch;
    if (registration->first_epoch < 0)
        registration->first_epoch = epoch;
    watch_own_node(registration);
    if (same)
        return;
    log_info(registration->logger, "membership", "broker %d is registered with epoch %lld",
             registration->broker_id, (long long)epoch);
    if (registration->callbacks.registered != NULL)
        registration->callbacks.registered(registration->callbacks.context, epoch);
}

static void on_created(void *context, const struct zk_response *response)
{
    struct registration *registration = step_finish(context);
    if (registration == NULL)
        return;
    switch (response->result) {
    case ZK_OK:
        become_registered(registration, response->outcomes[1].stat.czxid);
        return;
    case ZK_NODE_EXISTS:
        examine(registration);
        return;
    case ZK_AUTH:
    case ZK_TOO_BIG:
    case ZK_ERROR: {
        struct buffer problem;
        buffer_init(&problem);
        buffer_print(&problem, "broker %d cannot register at %s: %s", registration->broker_id,
                     registration->path, zk_result_name(response->result));
        fail(registration, &problem);
        buffer_release(&problem);
        return;
    }
    default:
        retry_later(registration);
    }
}

static void create(struct registration *registration)
{
    registration->state = STATE_CREATING;
    /* What the logs vouched for at the start still holds: seats of former lives may not have been renewed
     * yet. */
    registration->node.alive_since = registration->first_epoch;
    struct buffer data;
    buffer_init(&data);
    node_broker_encode(&registration->node, &data);
    struct zk_operation operations[] = {
        zk_operation_create(registration->path, slice_make(NULL, 0), ZK_EPHEMERAL),
        zk_operation_set(registration->path, buffer_slice(&data), zk_version_make(0))};
    zk_multi(registration->client, operations, ARRAY_SIZE(operations),
             step_completion(registration, -1, on_created));
    buffer_release(&data);
}

/* --- who else is there --------------------------------------------------------------------------------- */

static bool shares_address(const struct node_broker *a, const struct node_broker *b)
{
    for (size_t i = 0; i < a->endpoint_count; i++)
        for (size_t j = 0; j < b->endpoint_count; j++)
            if (a->endpoints[i].port == b->endpoints[j].port &&
                strcmp(a->endpoints[i].host, b->endpoints[j].host) == 0)
                return true;
    return false;
}

static void on_other_node(void *context, const struct zk_response *response)
{
    int32_t other_id = ((struct step *)context)->other_id;
    struct registration *registration = step_finish(context);
    if (registration == NULL)
        return;
    if (response->result != ZK_OK && response->result != ZK_NO_NODE) {
        retry_later(registration);
        return;
    }
    struct node_broker other;
    /* A node that cannot be read claims no address. */
    if (response->result == ZK_OK && node_broker_decode(response->data, &other, NULL) == 0) {
        bool shared = shares_address(&registration->node, &other);
        if (shared) {
            struct buffer problem;
            buffer_init(&problem);
            buffer_print(&problem, "an advertised address of broker %d is already registered by broker %d: ",
                         registration->broker_id, other_id);
            describe(&other, response->stat.ephemeral_owner, &problem);
            wait_or_fail(registration, &problem);
            buffer_release(&problem);
        }
        node_broker_release(&other);
        if (shared)
            return;
    }
    if (--registration->reads_open == 0)
        create(registration);
}

static void on_broker_ids(void *context, const struct zk_response *response)
{
    struct registration *registration = step_finish(context);
    if (registration == NULL)
        return;
    if (response->result != ZK_OK) {
        /* Also when /brokers/ids is not there: whoever starts the broker makes it. */
        retry_later(registration);
        return;
    }
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    registration->reads_open = 0;
    for (size_t i = 0; i < response->child_count; i++) {
        int32_t id;
        if (!zk_parse_id(slice_of(response->children[i]), &id) || id == registration->broker_id)
            continue;
        registration->reads_open++;
        zk_get(registration->client, zk_path_broker(&arena, id), false,
               step_completion(registration, id, on_other_node));
    }
    arena_release(&arena);
    if (registration->reads_open == 0)
        create(registration);
}

static void begin(struct registration *registration)
{
    registration->serial++;
    if (!zk_client_is_connected(registration->client)) {
        registration->state = STATE_IDLE;
        return;
    }
    registration->state = STATE_CHECKING;
    zk_children(registration->client, ZK_PATH_BROKER_IDS, false,
                step_completion(registration, -1, on_broker_ids));
}

/* --- the session --------------------------------------------------------------------------------------- */

static struct registration *registration_of(struct zk_listener *listener)
{
    return container_of(listener, struct registration, listener);
}

static void remember_session(struct registration *registration)
{
    int64_t session = zk_client_session_id(registration->client);
    if (is_own_session(registration, session))
        return;
    if (registration->own_session_count == OWN_SESSIONS_MAX) {
        memmove(registration->own_sessions, registration->own_sessions + 1,
                (OWN_SESSIONS_MAX - 1) * sizeof(registration->own_sessions[0]));
        registration->own_session_count--;
    }
    registration->own_sessions[registration->own_session_count++] = session;
}

static void on_connected(struct zk_listener *listener, bool new_session)
{
    struct registration *registration = registration_of(listener);
    if (registration->state == STATE_FAILED)
        return;
    remember_session(registration);
    registration->wait_until_ms = -1;
    if (!new_session && registration->state == STATE_REGISTERED)
        return;
    if (new_session && registration->first_epoch >= 0 && registration->jitter_ms > 0) {
        uint64_t part = prng_below(&registration->prng, (uint64_t)registration->jitter_ms + 1);
        pause_until(registration, registration->now_ms + (int64_t)part);
        return;
    }
    begin(registration);
}

static void on_session_lost(struct zk_listener *listener)
{
    struct registration *registration = registration_of(listener);
    if (registration->state == STATE_FAILED)
        return;
    registration->serial++;
    registration->state = STATE_IDLE;
    registration->epoch = -1;
}

static void on_watch_event(struct zk_listener *listener, enum zk_event event, const char *path)
{
    struct registration *registration = registration_of(listener);
    if (strcmp(path, registration->path) != 0)
        return;
    if (registration->state == STATE_REGISTERED)
        watch_own_node(registration);
    else if (registration->state == STATE_PAUSED && event == ZK_EVENT_DELETED)
        begin(registration);
}

struct registration *registration_new(struct zk_client *client, struct logger *logger,
                                      const struct registration_settings *settings,
                                      struct registration_callbacks callbacks, int64_t now_ms)
{
    CHECK(settings->broker_id >= 0);
    struct registration *registration = memory_allocate_zeroed(1, sizeof(*registration));
    registration->client = client;
    registration->logger = logger;
    registration->callbacks = callbacks;
    arena_init(&registration->arena, ARENA_NO_BUDGET);
    registration->path = zk_path_broker(&registration->arena, settings->broker_id);
    registration->broker_id = settings->broker_id;
    node_broker_copy(&registration->node, settings->node);
    registration->tick_ms = settings->tick_ms > 0 ? settings->tick_ms : DEFAULT_TICK_MS;
    registration->jitter_ms = settings->jitter_ms;
    prng_init(&registration->prng, settings->seed);
    registration->now_ms = now_ms;
    registration->wait_until_ms = -1;
    registration->epoch = -1;
    registration->first_epoch = -1;
    registration->listener = (struct zk_listener){
        .connected = on_connected, .session_lost = on_session_lost, .watch_event = on_watch_event};
    zk_client_add_listener(client, &registration->listener);
    if (zk_client_is_connected(client))
        on_connected(&registration->listener, true);
    return registration;
}

void registration_free(struct registration *registration)
{
    if (registration == NULL)
        return;
    zk_client_remove_listener(registration->client, &registration->listener);
    registration->freed = true;
    if (registration->answers_open == 0)
        destroy(registration);
}

void registration_tick(struct registration *registration, int64_t now_ms)
{
    registration->now_ms = now_ms;
    if (registration->state == STATE_PAUSED && now_ms >= registration->due_ms &&
        zk_client_is_connected(registration->client))
        begin(registration);
}

int64_t registration_epoch(const struct registration *registration)
{
    return registration->epoch;
}
