/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes by path, with lists of children; ZooKeeper's rules for create, set, delete and check. */
#include "tests/support/fake_zookeeper_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static struct fake_node *node_new(const char *path)
{
    struct fake_node *node = memory_allocate_zeroed(1, sizeof(*node));
    node->path = memory_copy_string(path);
    node->children = map_new(1);
    return node;
}

static void node_free(struct fake_node *node)
{
    free(node->path);
    free(node->data);
    map_free(node->children);
    free(node);
}

void fake_tree_init(struct fake_tree *tree)
{
    tree->nodes = map_new(2);
    map_put(tree->nodes, slice_of("/"), node_new("/"));
}

void fake_tree_release(struct fake_tree *tree)
{
    size_t position = 0;
    void *node;
    while (map_next(tree->nodes, &position, NULL, &node))
        node_free(node);
    map_free(tree->nodes);
}

struct fake_node *fake_tree_find(const struct fake_tree *tree, const char *path)
{
    return map_get(tree->nodes, slice_of(path));
}

struct zk_stat fake_node_stat(const struct fake_node *node)
{
    return (struct zk_stat){.czxid = node->czxid,
                            .mzxid = node->mzxid,
                            .ctime_ms = node->ctime_ms,
                            .mtime_ms = node->mtime_ms,
                            .ephemeral_owner = node->owner,
                            .version = zk_version_make(node->version),
                            .num_children = (int32_t)map_size(node->children)};
}

struct slice fake_node_data(const struct fake_node *node)
{
    return slice_make(node->data, node->data_length);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **fake_node_children(const struct fake_node *node)
{
    size_t count = 0, position = 0;
    const char **names = memory_allocate(map_size(node->children) * sizeof(*names));
    void *child;
    while (map_next(node->children, &position, NULL, &child))
        names[count++] = strrchr(((struct fake_node *)child)->path, '/') + 1;
    qsort(names, count, sizeof(*names), compare_names);
    return names;
}

static struct slice name_of(const char *path)
{
    return slice_of(strrchr(path, '/') + 1);
}

static struct fake_node *parent_of(const struct fake_tree *tree, const char *path)
{
    size_t length = (size_t)(strrchr(path, '/') - path);
    return map_get(tree->nodes, length == 0 ? slice_of("/") : slice_make(path, length));
}

static void set_data(struct fake_node *node, const uint8_t *data, size_t length, bool has_data)
{
    free(node->data);
    node->data = has_data ? (uint8_t *)memory_copy_bytes(data, length) : NULL;
    node->data_length = length;
}

static enum zk_result prepare_create(const struct fake_tree *tree, const struct zk_operation *operation,
                                     int64_t session, struct fake_step *step)
{
    const struct fake_node *parent = parent_of(tree, operation->path);
    if (parent == NULL)
        return ZK_NO_NODE;
    if (parent->owner != 0)
        return ZK_ERROR;
    bool sequential =
        operation->mode == ZK_PERSISTENT_SEQUENTIAL || operation->mode == ZK_EPHEMERAL_SEQUENTIAL;
    bool ephemeral = operation->mode == ZK_EPHEMERAL || operation->mode == ZK_EPHEMERAL_SEQUENTIAL;
    size_t room = strlen(operation->path) + 12;
    step->path = memory_allocate(room);
    if (sequential)
        snprintf(step->path, room, "%s%010d", operation->path, parent->sequence);
    else
        snprintf(step->path, room, "%s", operation->path);
    if (fake_tree_find(tree, step->path) != NULL)
        return ZK_NODE_EXISTS;
    step->owner = ephemeral ? session : 0;
    return ZK_OK;
}

static enum zk_result prepare_change(const struct fake_tree *tree, const struct zk_operation *operation,
                                     struct fake_step *step)
{
    const struct fake_node *node = fake_tree_find(tree, operation->path);
    if (node == NULL)
        return ZK_NO_NODE;
    if (!operation->_any_version && node->version != operation->version.value)
        return ZK_BAD_VERSION;
    if (operation->kind == ZK_OPERATION_DELETE && map_size(node->children) > 0)
        return ZK_NOT_EMPTY;
    step->path = memory_copy_string(operation->path);
    step->owner = node->owner;
    return ZK_OK;
}

enum zk_result fake_tree_prepare(const struct fake_tree *tree, const struct zk_operation *operation,
                                 int64_t session, struct fake_step *step)
{
    *step = (struct fake_step){.kind = operation->kind};
    enum zk_result result = operation->kind == ZK_OPERATION_CREATE
                                ? prepare_create(tree, operation, session, step)
                                : prepare_change(tree, operation, step);
    if (result != ZK_OK) {
        fake_step_release(step);
        return result;
    }
    step->has_data = !slice_is_null(operation->data);
    step->data_length = operation->data.length;
    if (step->has_data)
        step->data = (uint8_t *)memory_copy_bytes(operation->data.data, operation->data.length);
    return ZK_OK;
}

void fake_step_release(struct fake_step *step)
{
    free(step->path);
    free(step->data);
    *step = (struct fake_step){.kind = step->kind};
}

void fake_tree_apply(struct fake_tree *tree, const struct fake_step *step, int64_t zxid, int64_t time_ms)
{
    struct fake_node *node = fake_tree_find(tree, step->path);
    struct fake_node *parent = parent_of(tree, step->path);
    switch (step->kind) {
    case ZK_OPERATION_CHECK:
        return;
    case ZK_OPERATION_CREATE:
        CHECK(node == NULL && parent != NULL);
        node = node_new(step->path);
        node->czxid = node->mzxid = node->pzxid = zxid;
        node->ctime_ms = node->mtime_ms = time_ms;
        node->owner = step->owner;
        set_data(node, step->data, step->data_length, step->has_data);
        map_put(tree->nodes, slice_of(step->path), node);
        map_put(parent->children, name_of(step->path), node);
        parent->pzxid = zxid;
        parent->sequence++;
        return;
    case ZK_OPERATION_SET:
        CHECK(node != NULL);
        set_data(node, step->data, step->data_length, step->has_data);
        node->version++;
        node->mzxid = zxid;
        node->mtime_ms = time_ms;
        return;
    case ZK_OPERATION_DELETE:
        CHECK(node != NULL && parent != NULL);
        map_remove(parent->children, name_of(step->path));
        map_remove(tree->nodes, slice_of(step->path));
        parent->pzxid = zxid;
        node_free(node);
        return;
    }
}

void fake_tree_restore(struct fake_tree *tree, const struct fake_tree *from, const char *path)
{
    struct fake_node *node = fake_tree_find(tree, path);
    const struct fake_node *model = fake_tree_find(from, path);
    struct fake_node *parent = parent_of(tree, path);
    const struct fake_node *model_parent = parent_of(from, path);
    if (node != NULL) {
        if (parent != NULL)
            map_remove(parent->children, name_of(path));
        map_remove(tree->nodes, slice_of(path));
        node_free(node);
    }
    if (parent != NULL && model_parent != NULL) {
        parent->pzxid = model_parent->pzxid;
        parent->sequence = model_parent->sequence;
    }
    if (model == NULL)
        return;
    node = node_new(path);
    node->czxid = model->czxid;
    node->mzxid = model->mzxid;
    node->pzxid = model->pzxid;
    node->ctime_ms = model->ctime_ms;
    node->mtime_ms = model->mtime_ms;
    node->owner = model->owner;
    node->version = model->version;
    node->sequence = model->sequence;
    set_data(node, model->data, model->data_length, model->data != NULL);
    size_t position = 0;
    void *child;
    while (map_next(model->children, &position, NULL, &child)) {
        const char *child_path = ((struct fake_node *)child)->path;
        struct fake_node *here = fake_tree_find(tree, child_path);
        if (here != NULL)
            map_put(node->children, name_of(child_path), here);
    }
    map_put(tree->nodes, slice_of(path), node);
    if (parent != NULL)
        map_put(parent->children, name_of(path), node);
}
