/* SPDX-License-Identifier: Apache-2.0 */
/* Drives a handle of the C library by poll until it is connected in the victim's session, then closes it. */
#include "takeover.h"

#include <poll.h>
/* The library has a structure of the same name as ours. */
#define buffer zookeeper_buffer
#include <zookeeper/zookeeper.h>
#undef buffer

#include "coordinator/zk/session.h"

#define TURNS_MAX 500
#define TURN_MS 20

static void ignore_event(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    (void)handle;
    (void)type;
    (void)state;
    (void)path;
    (void)context;
}

static void ignore_log(const char *message)
{
    (void)message;
}

bool session_expire(const char *address, const struct zk_session *session)
{
    clientid_t victim = {0};
    struct zk_client *client = zk_session_client((struct zk_session *)(uintptr_t)session);
    victim.client_id = zk_client_session_id(client);
    if (!zk_session_password(session, (uint8_t *)victim.passwd))
        return false;
    zhandle_t *handle = zookeeper_init2(address, ignore_event, 10000, &victim, NULL, 0, ignore_log);
    for (int i = 0; i < TURNS_MAX && zoo_state(handle) != ZOO_CONNECTED_STATE; i++) {
        int descriptor = -1, interest = 0;
        struct timeval wait;
        zookeeper_interest(handle, &descriptor, &interest, &wait);
        struct pollfd ready = {.fd = descriptor,
                               .events = (short)((interest & ZOOKEEPER_READ ? POLLIN : 0) |
                                                 (interest & ZOOKEEPER_WRITE ? POLLOUT : 0))};
        int events = 0;
        if (poll(&ready, 1, TURN_MS) > 0)
            events = (ready.revents & (POLLIN | POLLHUP | POLLERR) ? ZOOKEEPER_READ : 0) |
                     (ready.revents & POLLOUT ? ZOOKEEPER_WRITE : 0);
        zookeeper_process(handle, events);
    }
    bool taken = zoo_state(handle) == ZOO_CONNECTED_STATE;
    zookeeper_close(handle);
    return taken;
}
