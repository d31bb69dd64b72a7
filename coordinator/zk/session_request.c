/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a request. It is built with copies of everything, waits in our own queue, is handed to the
 * library when the session is connected, and completed when the library answers, or at once when the
 * connection is gone: the library itself tells of lost requests only when it has a socket again. A request
 * that was completed so lives on without its session until the library lets go of it.
 */
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/zk/path.h"
#include "coordinator/zk/session_internal.h"
#include "coordinator/zk/zk_response.h"

#define SEQUENCE_DIGITS 10
/* What a request costs beside its paths and data. */
#define REQUEST_OVERHEAD_BYTES 64

enum request_kind { REQUEST_GET, REQUEST_EXISTS, REQUEST_CHILDREN, REQUEST_WRITE, REQUEST_REFUSED };

struct request {
    struct list node;
    struct zk_session *session; /* NULL: completed already, only the library still knows it */
    enum request_kind kind;
    enum zk_result refusal;
    bool watch;
    bool alone;
    bool fenced;
    struct zk_completion completion;
    size_t bytes;
    char *path; /* of a read, full */
    size_t count;
    zoo_op_t *operations; /* paths full; path and data owned */
    zoo_op_result_t *results;
    struct Stat *stats;
};

static enum zk_result result_of(int code)
{
    switch (code) {
    case ZOK:
        return ZK_OK;
    case ZNONODE:
        return ZK_NO_NODE;
    case ZNODEEXISTS:
        return ZK_NODE_EXISTS;
    case ZBADVERSION:
        return ZK_BAD_VERSION;
    case ZNOTEMPTY:
        return ZK_NOT_EMPTY;
    case ZNOAUTH:
    case ZAUTHFAILED:
    case ZINVALIDACL:
        return ZK_AUTH;
    case ZSESSIONEXPIRED:
    case ZINVALIDSTATE:
        return ZK_EXPIRED;
    case ZBADARGUMENTS:
    case ZUNIMPLEMENTED:
    case ZNOCHILDRENFOREPHEMERALS:
    case ZNOTREADONLY:
    case ZEPHEMERALONLOCALSESSION:
        return ZK_ERROR;
    default:
        return ZK_UNKNOWN;
    }
}

static struct zk_stat stat_of(const struct Stat *stat)
{
    return (struct zk_stat){.czxid = stat->czxid,
                            .mzxid = stat->mzxid,
                            .ctime_ms = stat->ctime,
                            .mtime_ms = stat->mtime,
                            .ephemeral_owner = stat->ephemeralOwner,
                            .version = {stat->version},
                            .num_children = stat->numChildren};
}

static void request_free(struct request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        zoo_op_t *operation = &request->operations[i];
        /* The path is the first member in every kind of the library's union. */
        free((char *)(uintptr_t)operation->create_op.path);
        if (operation->type == ZOO_CREATE_OP)
            free((char *)(uintptr_t)operation->create_op.data);
        else if (operation->type == ZOO_SETDATA_OP)
            free((char *)(uintptr_t)operation->set_op.data);
        if (operation->type == ZOO_CREATE_OP)
            free(operation->create_op.buf);
    }
    free(request->operations);
    free(request->results);
    free(request->stats);
    free(request->path);
    free(request);
}

static void complete(struct request *request, const struct zk_response *response)
{
    if (request->completion.done != NULL)
        request->completion.done(request->completion.context, response);
}

static void complete_with(struct request *request, enum zk_result result)
{
    struct zk_response response = {.result = result, .culprit = ZK_NO_CULPRIT};
    complete(request, &response);
}

static void wake_flush(struct zk_session *session)
{
    if (!loop_timer_is_set(&session->flush_timer))
        loop_timer_set(session->loop, &session->flush_timer, loop_now_ms(session->loop));
}

/* --- watches ------------------------------------------------------------------------------------------- */

static struct slice watch_key(struct buffer *key, char kind, const char *path)
{
    buffer_clear(key);
    buffer_append(key, &kind, 1);
    buffer_append_string(key, path);
    return buffer_slice(key);
}

/*
 * Counts a watch that is about to be armed; false when all of them would not fit into the packet that arms
 * them again at a reconnect. Only the watches of topics' data grow with the cluster's contents and can be
 * done without; they are refused in good time, so that there is always room for the few others.
 */
static bool watch_add(struct zk_session *session, char kind, const char *path)
{
    struct buffer key;
    buffer_init(&key);
    struct slice text = watch_key(&key, kind, path);
    bool fits = true;
    if (map_get(session->watched, text) == NULL) {
        struct zk_path_parts parts;
        bool topic = zk_path_parse(session_path_of_client(session, path), &parts) == ZK_PATH_KIND_TOPIC;
        fits = !topic || session->watched_bytes + text.length <= ZK_WATCHED_BYTES_MAX / 4 * 3;
        if (fits) {
            map_put(session->watched, text, session);
            session->watched_bytes += text.length;
        }
    }
    buffer_release(&key);
    if (!session->watched_alarm && session->watched_bytes > ZK_WATCHED_BYTES_MAX / 2) {
        session->watched_alarm = true;
        log_warn(session->logger, "zk", "watched paths take %zu bytes, half of what a reconnect can carry",
                 session->watched_bytes);
    }
    return fits;
}

static void watch_remove(struct zk_session *session, char kind, const char *path)
{
    struct buffer key;
    buffer_init(&key);
    struct slice text = watch_key(&key, kind, path);
    if (map_remove(session->watched, text) != NULL)
        session->watched_bytes -= text.length;
    buffer_release(&key);
    if (session->watched_bytes < ZK_WATCHED_BYTES_MAX / 4)
        session->watched_alarm = false;
}

void session_watch_fired(struct zk_session *session, enum zk_event event, const char *full_path)
{
    if (event != ZK_EVENT_CHILDREN)
        watch_remove(session, 'd', full_path);
    if (event != ZK_EVENT_CHANGED && event != ZK_EVENT_CREATED)
        watch_remove(session, 'c', full_path);
}

void session_watches_clear(struct zk_session *session)
{
    map_free(session->watched);
    session->watched = map_new(0);
    session->watched_bytes = 0;
    session->watched_alarm = false;
}

/* --- completions of the library ------------------------------------------------------------------------ */

/* Takes the request out of flight. False: it was completed before; it is freed now. */
static bool land(struct request *request)
{
    if (request->session == NULL) {
        request_free(request);
        return false;
    }
    list_remove(&request->node);
    request->session->in_flight_count--;
    if (!list_is_empty(&request->session->queued))
        wake_flush(request->session);
    return true;
}

static void on_data(int code, const char *value, int length, const struct Stat *stat, const void *context)
{
    struct request *request = (struct request *)(uintptr_t)context;
    if (!land(request))
        return;
    struct zk_response response = {.result = result_of(code), .culprit = ZK_NO_CULPRIT};
    if (code == ZOK) {
        if (value != NULL && length >= 0)
            response.data = slice_make(value, (size_t)length);
        else if (length == 0)
            response.data = slice_of("");
        response.stat = stat_of(stat);
    } else if (request->watch) {
        watch_remove(request->session, 'd', request->path);
    }
    complete(request, &response);
    request_free(request);
}

static void on_stat(int code, const struct Stat *stat, const void *context)
{
    struct request *request = (struct request *)(uintptr_t)context;
    if (!land(request))
        return;
    struct zk_response response = {.result = result_of(code), .culprit = ZK_NO_CULPRIT};
    if (code == ZOK)
        response.stat = stat_of(stat);
    else if (request->watch && code != ZNONODE)
        watch_remove(request->session, 'd', request->path);
    complete(request, &response);
    request_free(request);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void on_children(int code, const struct String_vector *names, const struct Stat *stat,
                        const void *context)
{
    struct request *request = (struct request *)(uintptr_t)context;
    if (!land(request))
        return;
    struct zk_response response = {.result = result_of(code), .culprit = ZK_NO_CULPRIT};
    const char **sorted = NULL;
    if (code == ZOK) {
        size_t count = names->count > 0 ? (size_t)names->count : 0;
        sorted = memory_allocate((count + 1) * sizeof(*sorted));
        for (size_t i = 0; i < count; i++)
            sorted[i] = names->data[i];
        qsort(sorted, count, sizeof(*sorted), compare_names);
        response.children = sorted;
        response.child_count = count;
        response.stat = stat_of(stat);
    } else if (request->watch) {
        watch_remove(request->session, 'c', request->path);
    }
    complete(request, &response);
    free(sorted);
    request_free(request);
}

static void on_created(int code, const char *path, const void *context)
{
    struct request *request = (struct request *)(uintptr_t)context;
    if (!land(request))
        return;
    struct zk_response response = {.result = result_of(code), .culprit = ZK_NO_CULPRIT};
    if (code == ZOK && path != NULL)
        response.path = session_path_of_client(request->session, path);
    complete(request, &response);
    request_free(request);
}

static void on_void(int code, const void *context)
{
    struct request *request = (struct request *)(uintptr_t)context;
    if (!land(request))
        return;
    complete_with(request, result_of(code));
    request_free(request);
}

/* The code of an operation is its own fault; -2 is said of those after the culprit. */
static size_t find_culprit(const struct request *request, int code)
{
    if (code > ZAPIERROR)
        return ZK_NO_CULPRIT;
    for (size_t i = 0; i < request->count; i++)
        if (request->results[i].err != ZOK)
            return request->results[i].err == ZRUNTIMEINCONSISTENCY ? ZK_NO_CULPRIT : i;
    return ZK_NO_CULPRIT;
}

static void on_multi(int code, const void *context)
{
    struct request *request = (struct request *)(uintptr_t)context;
    if (!land(request))
        return;
    struct zk_response response = {.result = result_of(code), .culprit = ZK_NO_CULPRIT};
    struct zk_operation_outcome *outcomes = NULL;
    if (code == ZOK) {
        outcomes = memory_allocate_zeroed(request->count, sizeof(*outcomes));
        for (size_t i = 0; i < request->count; i++) {
            const zoo_op_t *operation = &request->operations[i];
            if (operation->type == ZOO_SETDATA_OP)
                outcomes[i].stat = stat_of(&request->stats[i]);
            else if (operation->type == ZOO_CREATE_OP)
                outcomes[i].path = session_path_of_client(request->session, operation->create_op.buf);
        }
        response.outcomes = outcomes;
        response.outcome_count = request->count;
    } else {
        response.culprit = find_culprit(request, code);
    }
    zk_response_finish_multi(&response, request->fenced);
    complete(request, &response);
    free(outcomes);
    request_free(request);
}

/* --- submission ---------------------------------------------------------------------------------------- */

static int submit_read(struct request *request, zhandle_t *handle)
{
    struct zk_session *session = request->session;
    watcher_fn watcher = request->watch ? session_on_watch : NULL;
    if (request->kind == REQUEST_GET)
        return zoo_awget(handle, request->path, watcher, session, on_data, request);
    if (request->kind == REQUEST_EXISTS)
        return zoo_awexists(handle, request->path, watcher, session, on_stat, request);
    return zoo_awget_children2(handle, request->path, watcher, session, on_children, request);
}

static int submit_write(struct request *request, zhandle_t *handle)
{
    zoo_op_t *operation = &request->operations[0];
    if (!request->alone)
        return zoo_amulti(handle, (int)request->count, request->operations, request->results, on_multi,
                          request);
    switch (operation->type) {
    case ZOO_CREATE_OP:
        return zoo_acreate(handle, operation->create_op.path, operation->create_op.data,
                           operation->create_op.datalen, operation->create_op.acl, operation->create_op.flags,
                           on_created, request);
    case ZOO_SETDATA_OP:
        return zoo_aset(handle, operation->set_op.path, operation->set_op.data, operation->set_op.datalen,
                        operation->set_op.version, on_stat, request);
    default:
        return zoo_adelete(handle, operation->delete_op.path, operation->delete_op.version, on_void, request);
    }
}

static void submit(struct request *request)
{
    struct zk_session *session = request->session;
    if (request->watch && !watch_add(session, request->kind == REQUEST_CHILDREN ? 'c' : 'd', request->path)) {
        complete_with(request, ZK_TOO_BIG);
        request_free(request);
        return;
    }
    list_push_back(&session->in_flight, &request->node);
    session->in_flight_count++;
    session->request_count++;
    session->in_library = true;
    int code = request->kind == REQUEST_WRITE ? submit_write(request, session->handle)
                                              : submit_read(request, session->handle);
    session->in_library = false;
    if (code == ZOK)
        return;
    list_remove(&request->node);
    session->in_flight_count--;
    complete_with(request, result_of(code));
    request_free(request);
}

bool session_flush(struct zk_session *session)
{
    struct list refused;
    list_init(&refused);
    list_move_all(&session->refused, &refused);
    struct list *node;
    while ((node = list_pop_front(&refused)) != NULL) {
        struct request *request = container_of(node, struct request, node);
        complete_with(request, request->refusal);
        request_free(request);
    }
    bool submitted = false;
    session_cork(session, 1);
    while (session->state == SESSION_CONNECTED && session->in_flight_count < SESSION_IN_FLIGHT_MAX &&
           (node = list_pop_front(&session->queued)) != NULL) {
        struct request *request = container_of(node, struct request, node);
        session->queued_count--;
        session->queued_bytes -= request->bytes;
        submit(request);
        submitted = true;
    }
    session_cork(session, 0);
    return submitted;
}

void session_fail_in_flight(struct zk_session *session, enum zk_result result)
{
    struct list failed;
    list_init(&failed);
    list_move_all(&session->in_flight, &failed);
    session->in_flight_count = 0;
    struct list *node;
    while ((node = list_pop_front(&failed)) != NULL) {
        struct request *request = container_of(node, struct request, node);
        request->session = NULL;
        complete_with(request, result);
    }
}

void session_fail_queued(struct zk_session *session, enum zk_result result)
{
    struct list failed;
    list_init(&failed);
    list_move_all(&session->refused, &failed);
    list_move_all(&session->queued, &failed);
    session->queued_count = 0;
    session->queued_bytes = 0;
    struct list *node;
    while ((node = list_pop_front(&failed)) != NULL) {
        struct request *request = container_of(node, struct request, node);
        complete_with(request, request->kind == REQUEST_REFUSED ? request->refusal : result);
        request_free(request);
    }
}

/* --- the table ----------------------------------------------------------------------------------------- */

static struct zk_session *session_of(struct zk_client *client)
{
    return container_of(client, struct zk_session, client);
}

/* chroot + path; "/" below a chroot is the chroot itself. */
static char *full_path(const struct zk_session *session, const char *path)
{
    const char *chroot = session->servers.chroot;
    if (chroot[0] == '\0')
        return memory_copy_string(path);
    size_t chroot_length = strlen(chroot);
    size_t path_length = strcmp(path, "/") == 0 ? 0 : strlen(path);
    char *full = memory_allocate(chroot_length + path_length + 1);
    memcpy(full, chroot, chroot_length);
    memcpy(full + chroot_length, path, path_length);
    full[chroot_length + path_length] = '\0';
    return full;
}

const char *session_path_of_client(const struct zk_session *session, const char *full)
{
    size_t length = strlen(session->servers.chroot);
    if (strncmp(full, session->servers.chroot, length) != 0)
        return full;
    return full[length] == '\0' ? "/" : full + length;
}

static struct request *request_new(struct zk_session *session, enum request_kind kind,
                                   struct zk_completion completion)
{
    struct request *request = memory_allocate_zeroed(1, sizeof(*request));
    request->session = session;
    request->kind = kind;
    request->completion = completion;
    list_init(&request->node);
    return request;
}

static void enqueue(struct zk_session *session, struct request *request)
{
    bool full = session->queued_count >= ZK_QUEUED_REQUESTS_MAX ||
                session->queued_bytes + request->bytes > ZK_QUEUED_BYTES_MAX ||
                session->state == SESSION_STOPPED;
    if (request->kind == REQUEST_REFUSED || full) {
        if (request->kind != REQUEST_REFUSED)
            request->refusal = ZK_UNKNOWN;
        request->kind = REQUEST_REFUSED;
        list_push_back(&session->refused, &request->node);
    } else {
        list_push_back(&session->queued, &request->node);
        session->queued_count++;
        session->queued_bytes += request->bytes;
    }
    wake_flush(session);
}

static void read_node(struct zk_client *client, enum request_kind kind, const char *path, bool watch,
                      struct zk_completion completion)
{
    struct zk_session *session = session_of(client);
    struct request *request = request_new(session, kind, completion);
    request->path = full_path(session, path);
    request->watch = watch;
    request->bytes = REQUEST_OVERHEAD_BYTES + strlen(request->path);
    enqueue(session, request);
}

static void operation_get(struct zk_client *client, const char *path, bool watch,
                          struct zk_completion completion)
{
    read_node(client, REQUEST_GET, path, watch, completion);
}

static void operation_exists(struct zk_client *client, const char *path, bool watch,
                             struct zk_completion completion)
{
    read_node(client, REQUEST_EXISTS, path, watch, completion);
}

static void operation_children(struct zk_client *client, const char *path, bool watch,
                               struct zk_completion completion)
{
    read_node(client, REQUEST_CHILDREN, path, watch, completion);
}

static int create_flags(enum zk_create_mode mode)
{
    switch (mode) {
    case ZK_PERSISTENT:
        return ZOO_PERSISTENT;
    case ZK_EPHEMERAL:
        return ZOO_EPHEMERAL;
    case ZK_PERSISTENT_SEQUENTIAL:
        return ZOO_PERSISTENT_SEQUENTIAL;
    case ZK_EPHEMERAL_SEQUENTIAL:
        return ZOO_EPHEMERAL_SEQUENTIAL;
    }
    UNREACHABLE();
}

/* Fills the library's operation with copies of path (already one) and data. */
static void fill_operation(struct request *request, size_t position, const struct zk_operation *operation,
                           char *path)
{
    zoo_op_t *op = &request->operations[position];
    char *data = slice_is_null(operation->data)
                     ? NULL
                     : memory_copy_bytes(operation->data.data, operation->data.length);
    int length = data ? (int)operation->data.length : -1;
    int version = operation->_any_version ? -1 : operation->version.value;
    zoo_op_result_t *result = &request->results[position];
    switch (operation->kind) {
    case ZK_OPERATION_CREATE: {
        size_t room = strlen(path) + SEQUENCE_DIGITS + 2;
        char *made = memory_allocate_zeroed(room, 1);
        zoo_create_op_init(op, path, data, length, &ZOO_OPEN_ACL_UNSAFE, create_flags(operation->mode), made,
                           (int)room);
        result->value = made;
        result->valuelen = (int)room;
        return;
    }
    case ZK_OPERATION_SET:
        zoo_set_op_init(op, path, data, length, version, &request->stats[position]);
        return;
    case ZK_OPERATION_DELETE:
        zoo_delete_op_init(op, path, version);
        break;
    case ZK_OPERATION_CHECK:
        zoo_check_op_init(op, path, version);
        break;
    }
    free(data);
}

static struct request *write_new(struct zk_session *session, const struct zk_operation *operations,
                                 size_t count, bool raw, struct zk_completion completion)
{
    struct request *request = request_new(session, REQUEST_WRITE, completion);
    request->count = count;
    request->operations = memory_allocate_zeroed(count, sizeof(zoo_op_t));
    request->results = memory_allocate_zeroed(count, sizeof(zoo_op_result_t));
    request->stats = memory_allocate_zeroed(count, sizeof(struct Stat));
    request->bytes = REQUEST_OVERHEAD_BYTES;
    for (size_t i = 0; i < count; i++) {
        char *path = raw ? memory_copy_string(operations[i].path) : full_path(session, operations[i].path);
        fill_operation(request, i, &operations[i], path);
        request->bytes += zk_operation_bytes(&operations[i]);
    }
    return request;
}

static void operation_write(struct zk_client *client, const struct zk_operation *operations, size_t count,
                            bool alone, bool fenced, struct zk_completion completion)
{
    struct zk_session *session = session_of(client);
    struct request *request = write_new(session, operations, count, false, completion);
    request->alone = alone;
    request->fenced = fenced;
    enqueue(session, request);
}

void session_create_raw(struct zk_session *session, const char *path, struct zk_completion completion)
{
    struct zk_operation operation = zk_operation_create(path, slice_make(NULL, 0), ZK_PERSISTENT);
    struct request *request = write_new(session, &operation, 1, true, completion);
    request->alone = true;
    submit(request);
}

static void operation_refuse(struct zk_client *client, enum zk_result result, struct zk_completion completion)
{
    struct zk_session *session = session_of(client);
    struct request *request = request_new(session, REQUEST_REFUSED, completion);
    request->refusal = result;
    enqueue(session, request);
}

static int64_t operation_session_id(const struct zk_client *client)
{
    return container_of(client, const struct zk_session, client)->session_id;
}

static int64_t operation_session_timeout_ms(const struct zk_client *client)
{
    return container_of(client, const struct zk_session, client)->timeout_ms;
}

static bool operation_is_connected(const struct zk_client *client)
{
    return container_of(client, const struct zk_session, client)->state == SESSION_CONNECTED;
}

const struct zk_client_operations session_operations = {
    .get = operation_get,
    .exists = operation_exists,
    .children = operation_children,
    .write = operation_write,
    .refuse = operation_refuse,
    .session_id = operation_session_id,
    .session_timeout_ms = operation_session_timeout_ms,
    .is_connected = operation_is_connected,
};
