/* SPDX-License-Identifier: Apache-2.0 */
/* From an entry of `listeners` to a listening socket, or to a sentence that says why not. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/net/acceptor.h"
#include "common/memory.h"

static const char *advice_for(int error)
{
    switch (error) {
    case EADDRINUSE:
        return "choose another port in `listeners` or stop the process that holds it";
    case EACCES:
        return "ports below 1024 need a privilege; choose a higher one in `listeners`";
    case EADDRNOTAVAIL:
        return "the address is not one of this machine; put one of its own, or none for all, into "
               "`listeners`";
    default:
        return "look at this entry of `listeners`";
    }
}

static int report_failure(const struct network_listener_options *listener, int error, struct buffer *out)
{
    const char *host = listener->host != NULL ? listener->host : "";
    char text[128];
    const char *reason = strerror_r(error, text, sizeof(text));
    buffer_print(out, "listener %s: cannot listen on %s:%d: %c%s: %s", listener->name, host, listener->port,
                 reason[0] >= 'A' && reason[0] <= 'Z' ? reason[0] + ('a' - 'A') : reason[0], reason + 1,
                 advice_for(error));
    return -error;
}

/* The addresses to try, best first in the order of getaddrinfo, IPv4 preferred where a name has both. */
static int resolve_host(const struct network_listener_options *listener, struct addrinfo **addresses,
                        struct buffer *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    const char *host = listener->host != NULL ? listener->host : "";
    size_t length = strlen(host);
    bool bracketed = length >= 2 && host[0] == '[' && host[length - 1] == ']';
    char *name = bracketed ? memory_copy_bytes(host + 1, length - 2) : memory_copy_string(host);
    char service[16];
    snprintf(service, sizeof(service), "%d", listener->port);
    int failure = getaddrinfo(name[0] != '\0' ? name : NULL, service, &hints, addresses);
    free(name);
    if (failure == 0)
        return 0;
    buffer_print(error, "listener %s: cannot resolve the host \"%s\": %s: look at this entry of `listeners`",
                 listener->name, host, gai_strerror(failure));
    return -EINVAL;
}

static void set_option(int descriptor, int level, int option, int value)
{
    /* Advice to the kernel; a refusal changes performance, nothing else. */
    (void)setsockopt(descriptor, level, option, &value, sizeof(value));
}

/* A listening socket at that address, or -errno. */
static int open_socket(const struct addrinfo *address, const struct network_server_options *options,
                       bool dual_stack)
{
    int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -errno;
    set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    if (address->ai_family == AF_INET6)
        set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, dual_stack ? 0 : 1);
    /* Before listen: accepted sockets inherit them, and the window scale is agreed on at the handshake. */
    if (options->send_buffer_bytes > 0)
        set_option(descriptor, SOL_SOCKET, SO_SNDBUF, options->send_buffer_bytes);
    if (options->receive_buffer_bytes > 0)
        set_option(descriptor, SOL_SOCKET, SO_RCVBUF, options->receive_buffer_bytes);
    if (bind(descriptor, address->ai_addr, address->ai_addrlen) != 0 ||
        listen(descriptor, options->listen_backlog > 0 ? options->listen_backlog : SOMAXCONN) != 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

/* Without a host: IPv6 with IPv4 in it where the machine has IPv6, else IPv4. With one: IPv4 first. */
static int open_first(const struct addrinfo *addresses, const struct network_server_options *options,
                      bool any_interface)
{
    int preferred = any_interface ? AF_INET6 : AF_INET;
    int result = -EADDRNOTAVAIL;
    for (int round = 0; round < 2; round++) {
        for (const struct addrinfo *address = addresses; address != NULL; address = address->ai_next) {
            if ((address->ai_family == preferred) != (round == 0))
                continue;
            result = open_socket(address, options, any_interface);
            if (result != -EAFNOSUPPORT && result != -EADDRNOTAVAIL)
                return result;
        }
    }
    return result;
}

int listener_bind(const struct network_listener_options *listener,
                  const struct network_server_options *options, int *descriptor, int *port,
                  struct buffer *error)
{
    if (listener->security != SECURITY_PLAINTEXT) {
        buffer_print(error,
                     "listener %s: only the security protocol PLAINTEXT is served: change "
                     "`listener.security.protocol.map` or remove it from `listeners`",
                     listener->name);
        return -EPROTONOSUPPORT;
    }
    struct addrinfo *addresses = NULL;
    int result = resolve_host(listener, &addresses, error);
    if (result != 0)
        return result;
    bool any_interface = listener->host == NULL || listener->host[0] == '\0';
    result = open_first(addresses, options, any_interface);
    freeaddrinfo(addresses);
    if (result < 0)
        return report_failure(listener, -result, error);
    *descriptor = result;
    struct sockaddr_storage bound;
    socklen_t length = sizeof(bound);
    if (getsockname(*descriptor, (struct sockaddr *)&bound, &length) != 0) {
        result = -errno;
        close(*descriptor);
        return report_failure(listener, -result, error);
    }
    *port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                              : ((struct sockaddr_in *)&bound)->sin_port);
    return 0;
}
