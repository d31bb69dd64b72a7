/* SPDX-License-Identifier: Apache-2.0 */
/*
 * News of log directories: when one of this broker's fails, or is well again, a sequential node under
 * /log_dir_event_notification asks the controller to look (KIP-112). The node says nothing more, so one that
 * is written twice, because an answer was lost, does no harm; and one request at a time is enough.
 */
#include "broker/coordinator_internal.h"
#include "coordinator/zk/path.h"

static void on_told(void *context, const struct zk_response *response)
{
    struct coordinator *coordinator = context;
    coordinator->directories_telling = false;
    if (coordinator->stopping || response->result == ZK_OK)
        return;
    log_warn(coordinator->options.logger, "coordinator",
             "the controller cannot be told of a log directory, it is tried again: %s",
             zk_result_name(response->result));
    coordinator->directories_changed = true; /* the next tick tells */
}

void coordinator_tell_directories(struct coordinator *coordinator)
{
    if (!coordinator->directories_changed || coordinator->directories_telling || coordinator->stopping ||
        !coordinator->controller_started)
        return;
    const struct node_log_dir_event event = {.broker_id = coordinator->options.config->broker_id,
                                             .event = NODE_LOG_DIR_FAILURE};
    struct buffer data;
    buffer_init(&data);
    node_log_dir_event_encode(&event, &data);
    coordinator->directories_changed = false;
    coordinator->directories_telling = true;
    zk_create(zk_session_client(coordinator->session), ZK_PATH_LOG_DIR_EVENT_PREFIX, buffer_slice(&data),
              ZK_PERSISTENT_SEQUENTIAL, zk_completion_make(on_told, coordinator));
    buffer_release(&data);
}

static void handle_changed(struct mail *mail)
{
    struct coordinator *coordinator = container_of(mail, struct coordinator, directories_mail);
    atomic_store(&coordinator->directories_posted, false);
    coordinator->directories_changed = true;
    coordinator_tell_directories(coordinator);
}

void coordinator_directories_changed(struct coordinator *coordinator)
{
    if (!atomic_exchange(&coordinator->directories_posted, true))
        mailbox_post(coordinator->mailbox, &coordinator->directories_mail);
}

void coordinator_directories_init(struct coordinator *coordinator)
{
    atomic_init(&coordinator->directories_posted, false);
    coordinator->directories_mail.handle = handle_changed;
}
