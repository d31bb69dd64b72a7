/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to ZooKeeper: answers of a former term are dropped, those of a freed controller forgotten. */
#include <stdlib.h>

#include "common/memory.h"
#include "coordinator/controller/shell.h"

static void request_done(void *context, const struct zk_response *response)
{
    struct shell_request *request = context;
    struct controller *controller = request->controller;
    if (controller != NULL) {
        list_remove(&request->node);
        controller->request_count--;
        if (request->any_term || request->term == controller->term) {
            request->done(controller, request->payload, response);
            shell_work_soon(controller);
        }
    }
    if (request->release != NULL)
        request->release(request->payload);
    free(request);
}

struct zk_completion shell_request(struct controller *controller, bool any_term,
                                   void (*done)(struct controller *, void *, const struct zk_response *),
                                   void (*release)(void *), void *payload)
{
    struct shell_request *request = memory_allocate_zeroed(1, sizeof(*request));
    request->controller = controller;
    request->term = controller->term;
    request->any_term = any_term;
    request->done = done;
    request->release = release;
    request->payload = payload;
    list_push_back(&controller->requests, &request->node);
    controller->request_count++;
    return zk_completion_make(request_done, request);
}

void shell_requests_orphan(struct controller *controller)
{
    struct list *node;
    while ((node = list_pop_front(&controller->requests)) != NULL)
        container_of(node, struct shell_request, node)->controller = NULL;
    controller->request_count = 0;
}
