/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending answers: what is in memory by one sendmsg for as many pieces as there are, ranges of files by
 * sendfile, small ranges (sendfile does not pay there) read into memory and sent with their neighbours.
 *
 * It writes first and watches for LOOP_WRITE only when the socket is full. A file that is shorter than its
 * range says costs the connection: the size that was announced cannot be kept any more.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "broker/net/connection.h"

/* Pieces of one sendmsg. */
#define PIECES_MAX 64
/* A range below this is sent from memory. */
#define SMALL_RANGE_BYTES 4096
/* Bytes of one connection in one turn; more waits for the next, so that the others get theirs. */
#define SEND_BUDGET_BYTES ((int64_t)4 * 1024 * 1024)

static struct response_range *range_of(const struct answer_piece *piece)
{
    return piece->gap->external;
}

/* By the whole range: what is left of a large one goes the way its beginning went. */
static bool is_large_range(const struct answer_piece *piece)
{
    return piece->gap != NULL && piece->gap->length >= SMALL_RANGE_BYTES;
}

/* error: of the file; 0 or -EPIPE: it is shorter than it was. */
static void refuse_file(struct connection *connection, const struct answer_piece *piece, int error)
{
    struct response_range *range = range_of(piece);
    range->error = error == -EPIPE ? 0 : error;
    log_error(connection->reactor->shared->logger, "net",
              "closed the connection of %s on %s: a file %s the range %" PRId64 "+%" PRId64
              " that was to be sent%s%s",
              connection->address_text, connection->listener, range->error ? "does not give" : "ends before",
              range->position, range->length, range->error ? ": " : "",
              range->error ? strerror(-range->error) : "");
    connection_close(connection);
}

/* Reads a small range to `at`. 0, or -errno (-EPIPE: the file ends too early). */
static int read_small_range(const struct answer_piece *piece, uint8_t *at)
{
    const struct response_range *range = range_of(piece);
    size_t done = 0;
    while (done < (size_t)piece->length) {
        ssize_t got = pread(range->descriptor, at + done, (size_t)piece->length - done,
                            range->position + piece->offset + (int64_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EPIPE;
        done += (size_t)got;
    }
    return 0;
}

/* Sends the pieces up to the first large range. Count sent, *offered how many there were, or -errno. */
static ssize_t send_memory(struct connection *connection, const struct answer_piece *pieces, size_t count,
                           int64_t *offered)
{
    struct iovec parts[PIECES_MAX];
    uint8_t *scratch = connection->reactor->range_scratch;
    size_t used = 0;
    int part_count = 0;
    size_t i = 0;
    *offered = 0;
    for (; i < count && !is_large_range(&pieces[i]); i++) {
        const struct answer_piece *piece = &pieces[i];
        if (piece->gap == NULL) {
            parts[part_count++] = (struct iovec){(void *)piece->bytes.data, piece->bytes.length};
        } else {
            if (used + (size_t)piece->length > REACTOR_RANGE_SCRATCH_BYTES)
                break;
            int error = read_small_range(piece, scratch + used);
            if (error) {
                refuse_file(connection, piece, error);
                return error;
            }
            parts[part_count++] = (struct iovec){scratch + used, (size_t)piece->length};
            used += (size_t)piece->length;
        }
        *offered += piece->length;
    }
    bool more = i < count;
    return transport_send(&connection->transport, parts, part_count, more);
}

static ssize_t send_range(struct connection *connection, const struct answer_piece *piece, int64_t budget)
{
    const struct response_range *range = range_of(piece);
    size_t length = (size_t)min_i64(piece->length, budget);
    ssize_t sent = transport_send_file(&connection->transport, range->descriptor,
                                       range->position + piece->offset, length);
    if (sent == 0 || (sent < 0 && sent != -EAGAIN && sent != -EPIPE && sent != -ECONNRESET)) {
        refuse_file(connection, piece, (int)sent);
        return -EPIPE;
    }
    return sent;
}

static void advance(struct connection *connection, int64_t sent)
{
    struct list done;
    list_init(&done);
    answer_queue_advance(&connection->answers, sent, &done);
    struct list *node;
    while ((node = list_pop_front(&done)) != NULL)
        inbound_free(container_of(node, struct inbound, slot.node));
    reactor_note_activity(connection->reactor, connection);
}

/* Sends until there is nothing, the socket is full or the budget is used up. */
static void send_answers(struct connection *connection)
{
    int64_t budget = SEND_BUDGET_BYTES;
    while (!connection->closed && !connection->writing) {
        struct answer_piece pieces[PIECES_MAX];
        size_t count = answer_queue_gather(&connection->answers, pieces, PIECES_MAX);
        if (count == 0)
            return;
        int64_t offered;
        ssize_t sent;
        if (is_large_range(&pieces[0])) {
            offered = min_i64(pieces[0].length, budget);
            sent = send_range(connection, &pieces[0], budget);
        } else {
            sent = send_memory(connection, pieces, count, &offered);
        }
        if (sent == -EAGAIN) {
            connection->writing = true;
        } else if (sent < 0) {
            connection_close(connection);
        } else {
            advance(connection, sent);
            budget -= sent;
            /* A short count mostly means a full socket; where it does not, the next turn goes on at once. */
            if (sent < offered || budget <= 0)
                connection->writing = true;
        }
    }
}

/* Tells the request whose answer is the next to leave, if it waits for that. True: it may have answered. */
static bool give_turn(struct connection *connection)
{
    if (connection->closed || list_is_empty(&connection->answers.slots))
        return false;
    struct answer_slot *slot = container_of(connection->answers.slots.next, struct answer_slot, node);
    struct request *request = &container_of(slot, struct inbound, slot)->request;
    if (slot->state != ANSWER_OPEN || request->on_turn == NULL)
        return false;
    void (*on_turn)(struct request * request) = request->on_turn;
    request->on_turn = NULL;
    on_turn(request);
    return true;
}

void connection_flush(struct connection *connection)
{
    if (connection->closed) {
        if (list_is_empty(&connection->requests))
            reactor_bury(connection->reactor, connection);
        return;
    }
    do {
        send_answers(connection);
    } while (give_turn(connection));
    if (connection->closed)
        return;
    if (answer_queue_is_finished(&connection->answers) ||
        (connection->draining && connection->answers.count == 0)) {
        connection_close(connection);
        return;
    }
    if (connection->stalled)
        connection_read(connection);
    else
        connection_update_watch(connection);
}
