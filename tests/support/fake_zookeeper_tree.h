/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of znodes of one server of the fake ZooKeeper: changes with ZooKeeper's result codes. */
#ifndef TESTS_SUPPORT_FAKE_ZOOKEEPER_TREE_H
#define TESTS_SUPPORT_FAKE_ZOOKEEPER_TREE_H

#include "common/map.h"
#include "coordinator/zk/zk.h"

struct fake_node {
    char *path;
    uint8_t *data; /* NULL: no data */
    size_t data_length;
    int64_t czxid, mzxid, pzxid;
    int64_t ctime_ms, mtime_ms;
    int64_t owner;
    int32_t version;
    int32_t sequence;     /* of the next sequential child */
    struct map *children; /* name -> fake_node */
};

struct fake_tree {
    struct map *nodes; /* path -> fake_node */
};

/* A change that can be applied to any tree that is in the same state: names resolved, data copied. */
struct fake_step {
    enum zk_operation_kind kind;
    char *path;
    uint8_t *data;
    size_t data_length;
    bool has_data;
    int64_t owner;
};

void fake_tree_init(struct fake_tree *tree);
void fake_tree_release(struct fake_tree *tree);
struct fake_node *fake_tree_find(const struct fake_tree *tree, const char *path);
struct zk_stat fake_node_stat(const struct fake_node *node);
struct slice fake_node_data(const struct fake_node *node);
/* Names of the children sorted by bytes; the array is the caller's, the names are the tree's. */
const char **fake_node_children(const struct fake_node *node);

/* Whether the operation could be applied now; ZK_OK fills *step (release it). */
enum zk_result fake_tree_prepare(const struct fake_tree *tree, const struct zk_operation *operation,
                                 int64_t session, struct fake_step *step);
void fake_step_release(struct fake_step *step);
/* Makes the node of that path, and what its parent knows of it, as they are in `from`. To take back the
 * steps of a multi, restore their paths from last to first. */
void fake_tree_restore(struct fake_tree *tree, const struct fake_tree *from, const char *path);
/* Applies what was prepared in this very state. */
void fake_tree_apply(struct fake_tree *tree, const struct fake_step *step, int64_t zxid, int64_t time_ms);

#endif
