/* SPDX-License-Identifier: Apache-2.0 */
/* Every znode codec on the same bytes: what one accepts, it writes, and reads again. Paths and escapes as
 * well. */
#include <errno.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"
#include "coordinator/zk/node_admin.h"
#include "coordinator/zk/node_broker.h"
#include "coordinator/zk/node_cluster.h"
#include "coordinator/zk/node_config.h"
#include "coordinator/zk/node_controller.h"
#include "coordinator/zk/node_partition_state.h"
#include "coordinator/zk/node_topic.h"
#include "coordinator/zk/path.h"
#include "tests/fuzz/driver.h"

static void fuzz_cluster(struct slice text, struct buffer *out, struct buffer *error)
{
    struct node_controller controller;
    struct node_cluster_id cluster;
    struct node_producer_id_block block;
    struct node_log_dir_event event;
    struct node_feature feature;
    int32_t epoch;
    if (node_controller_decode(text, &controller, error) == 0)
        node_controller_encode(&controller, out);
    if (node_controller_epoch_decode(text, &epoch, error) == 0)
        node_controller_epoch_encode(epoch, out);
    if (node_cluster_id_decode(text, &cluster, error) == 0)
        node_cluster_id_encode(&cluster, out);
    if (node_producer_id_block_decode(text, &block, error) == 0)
        node_producer_id_block_encode(&block, out);
    if (node_producer_id_block_next(text, 1, &block, error) == 0)
        node_producer_id_block_encode(&block, out);
    if (node_log_dir_event_decode(text, &event, error) == 0)
        node_log_dir_event_encode(&event, out);
    int feature_result = node_feature_decode(text, &feature, error);
    CHECK(feature_result == 0 || feature_result == -EINVAL);
}

static void fuzz_broker(struct slice text, struct buffer *out, struct buffer *error)
{
    struct node_broker broker, again;
    if (node_broker_decode(text, &broker, error) != 0)
        return;
    buffer_clear(out);
    node_broker_encode(&broker, out);
    /* A host that holds '/' or ']' is read as text and may not come back the same; reading must be safe. */
    if (node_broker_decode(buffer_slice(out), &again, error) == 0)
        node_broker_release(&again);
    node_broker_release(&broker);
}

static void fuzz_topic(struct slice text, struct buffer *out, struct buffer *error)
{
    struct node_topic topic, again;
    if (node_topic_decode(text, &topic, error) != 0)
        return;
    buffer_clear(out);
    node_topic_encode(&topic, out);
    int result = node_topic_decode(buffer_slice(out), &again, error);
    CHECK(result == 0 && again.partition_count == topic.partition_count);
    node_topic_release(&again);
    node_topic_release(&topic);
}

static void fuzz_partition_state(struct slice text, struct buffer *out, struct buffer *error)
{
    struct node_partition_state state, again;
    if (node_partition_state_decode(text, &state, error) != 0)
        return;
    buffer_clear(out);
    node_partition_state_encode(&state, out);
    int result = node_partition_state_decode(buffer_slice(out), &again, error);
    CHECK(result == 0 && node_partition_state_equals(&state, &again));
    node_partition_state_release(&again);
    node_partition_state_release(&state);
}

static void fuzz_lists(struct slice text, struct buffer *out, struct buffer *error)
{
    struct node_config config;
    struct node_partition_list list;
    if (node_config_decode(text, &config, error) == 0)
        node_config_encode(&config, out);
    node_config_release(&config);
    (void)!node_config_change_decode(text, out, error);
    if (node_reassignment_decode(text, &list, error) == 0)
        node_reassignment_encode(&list, out);
    node_partition_list_release(&list);
    if (node_preferred_election_decode(text, &list, error) == 0)
        node_preferred_election_encode(&list, out);
    node_partition_list_release(&list);
}

static void fuzz_paths(struct slice text, struct buffer *out)
{
    char *path = memory_copy_bytes(text.length > 0 ? (const char *)text.data : "", text.length);
    struct zk_path_parts parts;
    enum zk_path_kind kind = zk_path_parse(path, &parts);
    CHECK(kind != ZK_PATH_KIND_BROKER || parts.broker_id >= 0);
    free(path);
    buffer_clear(out);
    zk_percent_encode(text, out);
    struct buffer back;
    buffer_init(&back);
    int result = zk_percent_decode(buffer_slice(out), &back);
    CHECK(result == 0 && back.length == text.length);
    (void)!zk_percent_decode(text, &back);
    buffer_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    struct buffer out, error;
    buffer_init(&out);
    buffer_init(&error);
    fuzz_cluster(text, &out, &error);
    fuzz_broker(text, &out, &error);
    fuzz_topic(text, &out, &error);
    fuzz_partition_state(text, &out, &error);
    fuzz_lists(text, &out, &error);
    fuzz_paths(text, &out);
    buffer_release(&out);
    buffer_release(&error);
    return 0;
}
