/* SPDX-License-Identifier: Apache-2.0 */
/* Codec of /controller and /controller_epoch. */
#include "coordinator/zk/node_controller.h"

#include <errno.h>

#include "common/check.h"
#include "coordinator/zk/node_json.h"
#include "coordinator/zk/path.h"

void node_controller_encode(const struct node_controller *node, struct buffer *out)
{
    json_t *json = json_object();
    node_set_integer(json, "version", 2);
    node_set_integer(json, "brokerid", node->broker_id);
    node_set_quoted_integer(json, "timestamp", node->timestamp_ms);
    node_set_integer(json, "kraftControllerEpoch", node->kraft_controller_epoch);
    node_write(json, out);
}

static int decode(const json_t *json, struct node_controller *node, struct buffer *error)
{
    *node = (struct node_controller){.broker_id = -1, .timestamp_ms = -1, .kraft_controller_epoch = -1};
    int32_t broker_id;
    if (!json_get_int32(json, "brokerid", &broker_id) || broker_id < 0)
        return node_fail(error, "no \"brokerid\"");
    node->broker_id = broker_id;
    if (!node_get_loose_integer(json, "timestamp", &node->timestamp_ms))
        node->timestamp_ms = -1;
    if (!json_get_int32(json, "kraftControllerEpoch", &node->kraft_controller_epoch))
        node->kraft_controller_epoch = -1;
    return 0;
}

int node_controller_decode(struct slice data, struct node_controller *node, struct buffer *error)
{
    *node = (struct node_controller){.broker_id = -1, .timestamp_ms = -1, .kraft_controller_epoch = -1};
    json_t *json = json_parse_object(data, error);
    if (json == NULL)
        return -EINVAL;
    int result = decode(json, node, error);
    json_decref(json);
    return result;
}

void node_controller_epoch_encode(int32_t controller_epoch, struct buffer *out)
{
    CHECK(controller_epoch >= 0);
    buffer_print(out, "%d", controller_epoch);
}

int node_controller_epoch_decode(struct slice data, int32_t *controller_epoch, struct buffer *error)
{
    if (!zk_parse_id(data, controller_epoch))
        return node_fail(error, "not a number");
    return 0;
}
