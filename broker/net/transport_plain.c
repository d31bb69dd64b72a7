/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that go to the socket as they are. */
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/net/transport.h"
#include "common/loop.h"

static ssize_t outcome(struct transport *transport, ssize_t result, unsigned wants)
{
    if (result >= 0)
        return result;
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        transport->wants = wants;
        return -EAGAIN;
    }
    return -errno;
}

static ssize_t plain_receive(struct transport *transport, void *data, size_t length)
{
    ssize_t result;
    do
        result = recv(transport->descriptor, data, length, 0);
    while (result < 0 && errno == EINTR);
    return outcome(transport, result, LOOP_READ);
}

static ssize_t plain_send(struct transport *transport, const struct iovec *parts, int count, bool more)
{
    /* sendmsg is writev with flags: no SIGPIPE, and MSG_MORE in front of a file's range. */
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)count};
    ssize_t result;
    do
        result = sendmsg(transport->descriptor, &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    while (result < 0 && errno == EINTR);
    return outcome(transport, result, LOOP_WRITE);
}

static ssize_t plain_send_file(struct transport *transport, int descriptor, int64_t position, size_t length)
{
    off_t offset = position;
    ssize_t result;
    do
        result = sendfile(transport->descriptor, descriptor, &offset, length);
    while (result < 0 && errno == EINTR);
    return outcome(transport, result, LOOP_WRITE);
}

static void plain_close(struct transport *transport)
{
    close(transport->descriptor);
    transport->descriptor = -1;
}

static const struct transport_operations plain_operations = {
    .receive = plain_receive,
    .send = plain_send,
    .send_file = plain_send_file,
    .close = plain_close,
};

void transport_plain_init(struct transport *transport, int descriptor)
{
    *transport = (struct transport){.operations = &plain_operations, .descriptor = descriptor};
}
