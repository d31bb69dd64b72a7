/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's standing, as far as ZooKeeper has to do with it: when somebody has noticed that the process
 * stood still, ZooKeeper is asked whose our registration is before clients hear anything more. Ours, in the
 * session and the life that we know: it has outlived the pause, and nobody was told of our death. Anything
 * else leaves the doubt to the registration, which begins anew in a new session.
 */
#include "broker/coordinator_internal.h"
#include "common/clock.h"
#include "coordinator/zk/path.h"

static void on_own_node(void *context, const struct zk_response *response)
{
    struct coordinator *coordinator = context;
    coordinator->standing_asking = false;
    if (coordinator->stopping || response->result != ZK_OK || coordinator->registration == NULL)
        return;
    struct zk_client *client = zk_session_client(coordinator->session);
    if (response->stat.ephemeral_owner == zk_client_session_id(client) &&
        response->stat.czxid == registration_epoch(coordinator->registration))
        standing_session_lives(coordinator->options.standing, coordinator->standing_asked);
}

static void ask(struct coordinator *coordinator)
{
    struct standing *standing = coordinator->options.standing;
    struct zk_client *client = zk_session_client(coordinator->session);
    uint64_t doubt = standing_doubt(standing);
    if (doubt == 0 || coordinator->standing_asking || coordinator->stopping ||
        coordinator->registration == NULL || !zk_client_is_connected(client))
        return;
    coordinator->standing_asking = true;
    coordinator->standing_asked = doubt;
    struct arena arena;
    arena_init(&arena, ARENA_NO_BUDGET);
    zk_exists(client, zk_path_broker(&arena, coordinator->options.config->broker_id), false,
              zk_completion_make(on_own_node, coordinator));
    arena_release(&arena);
}

static void handle_doubt(struct mail *mail)
{
    struct coordinator *coordinator = container_of(mail, struct coordinator, doubt_mail);
    atomic_store(&coordinator->doubt_posted, false);
    ask(coordinator);
}

void coordinator_doubted(struct coordinator *coordinator)
{
    if (!atomic_exchange(&coordinator->doubt_posted, true))
        mailbox_post(coordinator->mailbox, &coordinator->doubt_mail);
}

static void on_connected(struct zk_listener *listener, bool new_session)
{
    struct coordinator *coordinator = container_of(listener, struct coordinator, standing_listener);
    if (new_session)
        standing_session_begun(coordinator->options.standing, clock_monotonic_ms());
}

void coordinator_tick_standing(struct coordinator *coordinator)
{
    if (coordinator->options.standing == NULL)
        return;
    standing_tick(coordinator->options.standing,
                  zk_client_is_connected(zk_session_client(coordinator->session)), clock_monotonic_ms());
    ask(coordinator);
}

void coordinator_standing_init(struct coordinator *coordinator)
{
    coordinator->doubt_mail.handle = handle_doubt;
    atomic_init(&coordinator->doubt_posted, false);
    coordinator->standing_listener = (struct zk_listener){.connected = on_connected};
}

void coordinator_standing_begin(struct coordinator *coordinator)
{
    if (coordinator->options.standing == NULL)
        return;
    standing_session_begun(coordinator->options.standing, clock_monotonic_ms());
    zk_client_add_listener(zk_session_client(coordinator->session), &coordinator->standing_listener);
}
