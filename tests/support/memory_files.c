/* SPDX-License-Identifier: Apache-2.0 */
/* The file_system over memory_node: paths, handles, faults, stops and crashes. */
#include "tests/support/memory_files.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/memory.h"
#include "tests/support/memory_disk.h"

/* What an operation is to do after faults, hooks and stops have had their say. */
struct verdict {
    int error;
    bool partial; /* a write: do at most `limit` bytes */
    size_t limit;
};

static struct memory_files *files_of(struct file_system *system)
{
    return container_of(system, struct memory_files, system);
}

/* ---- faults ---- */

static bool stop_strikes(struct memory_files *files, enum memory_files_operation operation, size_t length,
                         struct verdict *verdict)
{
    if (files->stopped) {
        verdict->error = -EIO;
        return true;
    }
    if (!files->stop_set || !(MEMORY_FILES_CHANGING_OPERATIONS & MEMORY_FILES_BIT(operation)))
        return false;
    if (files->stop_after > 0) {
        files->stop_after--;
        return false;
    }
    files->stopped = true;
    verdict->error = -EIO;
    if (operation == MEMORY_FILES_WRITE) {
        verdict->partial = true;
        verdict->limit = (size_t)prng_below(&files->prng, length + 1);
    }
    return true;
}

static bool fault_strikes(struct memory_files *files, enum memory_files_operation operation, const char *path,
                          struct verdict *verdict)
{
    const struct memory_files_fault *fault = &files->fault;
    if (!files->has_fault || !(fault->operations & MEMORY_FILES_BIT(operation)) ||
        (fault->path_part && !strstr(path, fault->path_part)))
        return false;
    uint64_t match = files->fault_matches++;
    if (match < fault->after || (match > fault->after && !fault->repeat))
        return false;
    files->fault_count++;
    if (operation == MEMORY_FILES_WRITE && fault->short_bytes >= 0) {
        verdict->partial = true;
        verdict->limit = (size_t)fault->short_bytes;
    } else {
        verdict->error = fault->error;
    }
    return true;
}

static struct verdict judge(struct memory_files *files, enum memory_files_operation operation,
                            const char *path, size_t length)
{
    struct verdict verdict = {0};
    if (stop_strikes(files, operation, length, &verdict))
        return verdict;
    files->operations[operation]++;
    if (files->hook)
        verdict.error = files->hook(files->hook_context, operation, path);
    if (verdict.error == 0)
        fault_strikes(files, operation, path, &verdict);
    return verdict;
}

/* ---- paths ---- */

/* The next name of the path, *at moved behind it; empty at the end. */
static struct slice next_name(const char **at)
{
    while (**at == '/')
        ++*at;
    const char *begin = *at;
    while (**at != '\0' && **at != '/')
        ++*at;
    return slice_make(begin, (size_t)(*at - begin));
}

struct memory_node *memory_disk_find(struct memory_files *files, const char *path)
{
    struct memory_node *node = files->root;
    for (;;) {
        struct slice name = next_name(&path);
        if (name.length == 0)
            return node;
        if (!node->is_directory)
            return NULL;
        node = memory_node_find(node, name);
        if (!node)
            return NULL;
    }
}

/* The directory that the last name of the path stands in; NULL when it is not there. */
static struct memory_node *find_parent(struct memory_files *files, const char *path, struct slice *last)
{
    struct memory_node *node = files->root;
    *last = next_name(&path);
    while (last->length > 0) {
        struct slice after = next_name(&path);
        if (after.length == 0)
            return node->is_directory ? node : NULL;
        node = node->is_directory ? memory_node_find(node, *last) : NULL;
        if (!node)
            return NULL;
        *last = after;
    }
    return NULL;
}

/* ---- open files ---- */

static struct file *new_handle(struct memory_files *files, struct memory_node *node, const char *path,
                               bool writable)
{
    size_t size = strlen(path) + 1;
    struct file *file = memory_allocate(sizeof(*file) + size);
    file->node = memory_node_take(node);
    file->life = files->life;
    file->holds_lock = false;
    file->writable = writable;
    memcpy(file->path, path, size);
    files->open_count++;
    return file;
}

static int open_locked(struct memory_files *files, const char *path, enum file_mode mode, struct file **file)
{
    struct memory_node *node = memory_disk_find(files, path);
    if (node && node->is_directory)
        return -EISDIR;
    if (!node) {
        struct slice name;
        struct memory_node *parent = find_parent(files, path, &name);
        if (!parent || mode != FILE_CREATE)
            return -ENOENT;
        node = memory_node_new(false);
        node->modified_ms = files->now_ms;
        memory_node_set(parent, name, node, false);
        memory_node_release(node);
    }
    *file = new_handle(files, node, path, mode != FILE_READ);
    return 0;
}

static int memory_open(struct file_system *system, const char *path, enum file_mode mode, struct file **file)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_OPEN, path, 0);
    int result = verdict.error ? verdict.error : open_locked(files, path, mode, file);
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int memory_close(struct file_system *system, struct file *file)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    if (file->holds_lock && file->life == files->life)
        file->node->locked = false;
    memory_node_release(file->node);
    files->open_count--;
    pthread_mutex_unlock(&files->mutex);
    free(file);
    return 0;
}

static ssize_t memory_read(struct file_system *system, struct file *file, void *data, size_t length,
                           int64_t offset)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_READ, file->path, length);
    ssize_t result = verdict.error;
    if (result == 0 && file->life != files->life)
        result = -EBADF;
    const struct buffer *content = &file->node->content;
    if (result == 0 && (size_t)offset < content->length) {
        result = (ssize_t)min_size(length, content->length - (size_t)offset);
        if (result > 0)
            memcpy(data, content->data + offset, (size_t)result);
    }
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static size_t parts_length(const struct iovec *parts, int count)
{
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    return length;
}

/* Writes the first `limit` bytes of the parts as one change. */
static void write_parts(struct memory_files *files, struct memory_node *node, const struct iovec *parts,
                        int count, size_t limit, size_t offset)
{
    size_t before = node->content.length;
    struct buffer joined;
    buffer_init(&joined);
    for (int i = 0; i < count && joined.length < limit; i++)
        buffer_append(&joined, parts[i].iov_base, min_size(parts[i].iov_len, limit - joined.length));
    memory_node_write(node, joined.data, joined.length, offset);
    buffer_release(&joined);
    node->modified_ms = files->now_ms;
    if (node->counted)
        files->used += node->content.length - before;
}

static ssize_t memory_write(struct file_system *system, struct file *file, const struct iovec *parts,
                            int count, int64_t offset)
{
    struct memory_files *files = files_of(system);
    size_t length = parts_length(parts, count);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_WRITE, file->path, length);
    ssize_t result = verdict.error;
    if (result == 0 && (file->life != files->life || !file->writable))
        result = -EBADF;
    if (result == 0 || verdict.partial) {
        size_t limit = verdict.partial ? min_size(length, verdict.limit) : length;
        size_t size = file->node->content.length;
        size_t room = files->capacity > files->used ? files->capacity - files->used : 0;
        size_t free_end = size + min_size(room, SIZE_MAX - size);
        size_t fits = free_end > (size_t)offset ? free_end - (size_t)offset : 0;
        limit = min_size(limit, fits);
        if (limit > 0)
            write_parts(files, file->node, parts, count, limit, (size_t)offset);
        if (result == 0)
            result = limit == 0 && length > 0 ? -ENOSPC : (ssize_t)limit;
    }
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int memory_truncate(struct file_system *system, struct file *file, int64_t size)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_TRUNCATE, file->path, 0);
    int result = verdict.error;
    if (result == 0 && (file->life != files->life || !file->writable))
        result = -EBADF;
    if (result == 0) {
        size_t before = file->node->content.length;
        memory_node_cut(file->node, (size_t)size);
        if (file->node->counted)
            files->used += file->node->content.length - before;
        file->node->modified_ms = files->now_ms;
    }
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int memory_sync(struct file_system *system, struct file *file)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_SYNC, file->path, 0);
    int result = verdict.error;
    if (result != 0 && !files->stopped)
        memory_node_forget_changes(file->node);
    if (result == 0 && file->life != files->life)
        result = -EBADF;
    if (result == 0)
        memory_node_sync(file->node);
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static void memory_forget(struct file_system *system, struct file *file)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    if (file->life == files->life && !files->stopped)
        memory_node_forget_cache(file->node);
    pthread_mutex_unlock(&files->mutex);
}

static int memory_size(struct file_system *system, struct file *file, int64_t *size)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_SIZE, file->path, 0);
    int result = verdict.error;
    if (result == 0 && file->life != files->life)
        result = -EBADF;
    *size = result == 0 ? (int64_t)file->node->content.length : 0;
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int memory_descriptor(struct file_system *system, struct file *file)
{
    (void)system;
    (void)file;
    return -1;
}

/* ---- names ---- */

/* Gives a file's room back when its name goes. */
static void uncount(struct memory_files *files, struct memory_node *node)
{
    if (node->counted)
        files->used -= node->content.length;
    node->counted = false;
}

static void remove_name(struct memory_files *files, struct memory_node *parent, struct slice name,
                        bool with_next)
{
    struct memory_node *node = memory_node_find(parent, name);
    if (node)
        uncount(files, node);
    memory_node_set(parent, name, NULL, with_next);
}

static int rename_locked(struct memory_files *files, const char *from, const char *to)
{
    struct slice from_name, to_name;
    struct memory_node *from_parent = find_parent(files, from, &from_name);
    struct memory_node *to_parent = find_parent(files, to, &to_name);
    struct memory_node *node = from_parent ? memory_node_find(from_parent, from_name) : NULL;
    if (!node || !to_parent)
        return -ENOENT;
    if (from_parent != to_parent)
        return -EXDEV;
    struct memory_node *target = memory_node_find(to_parent, to_name);
    if (target == node)
        return 0;
    if (target && target->is_directory)
        return map_size(target->entries) > 0 ? -ENOTEMPTY : -EISDIR;
    if (target && node->is_directory)
        return -ENOTDIR;
    if (target)
        uncount(files, target);
    memory_node_take(node);
    memory_node_set(from_parent, from_name, NULL, true);
    memory_node_set(to_parent, to_name, node, false);
    memory_node_release(node);
    return 0;
}

static int memory_rename(struct file_system *system, const char *from, const char *to)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_RENAME, from, 0);
    int result = verdict.error ? verdict.error : rename_locked(files, from, to);
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int remove_locked(struct memory_files *files, const char *path, bool directory)
{
    struct slice name;
    struct memory_node *parent = find_parent(files, path, &name);
    struct memory_node *node = parent ? memory_node_find(parent, name) : NULL;
    if (!node)
        return -ENOENT;
    if (node->is_directory != directory)
        return directory ? -ENOTDIR : -EISDIR;
    if (directory && map_size(node->entries) > 0)
        return -ENOTEMPTY;
    remove_name(files, parent, name, false);
    return 0;
}

static int memory_remove(struct file_system *system, const char *path)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_REMOVE, path, 0);
    int result = verdict.error ? verdict.error : remove_locked(files, path, false);
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int memory_remove_directory(struct file_system *system, const char *path)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_REMOVE_DIRECTORY, path, 0);
    int result = verdict.error ? verdict.error : remove_locked(files, path, true);
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int memory_make_directory(struct file_system *system, const char *path)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_MAKE_DIRECTORY, path, 0);
    int result = verdict.error;
    struct slice name;
    struct memory_node *parent = result == 0 ? find_parent(files, path, &name) : NULL;
    if (result == 0 && !parent)
        result = memory_disk_find(files, path) ? -EEXIST : -ENOENT;
    if (result == 0 && memory_node_find(parent, name))
        result = -EEXIST;
    if (result == 0) {
        struct memory_node *node = memory_node_new(true);
        memory_node_set(parent, name, node, false);
        memory_node_release(node);
    }
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int memory_sync_directory(struct file_system *system, const char *path)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_SYNC_DIRECTORY, path, 0);
    int result = verdict.error;
    struct memory_node *node = result == 0 ? memory_disk_find(files, path) : NULL;
    if (result == 0 && (!node || !node->is_directory))
        result = node ? -ENOTDIR : -ENOENT;
    if (result == 0)
        memory_node_sync_names(node);
    pthread_mutex_unlock(&files->mutex);
    return result;
}

/* The names are gathered under the lock and visited outside, so that the visitor may use the disk. */
static int memory_list(struct file_system *system, const char *path,
                       int (*visit)(void *context, const char *name, bool is_directory), void *context)
{
    struct memory_files *files = files_of(system);
    struct buffer names;
    buffer_init(&names);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_LIST, path, 0);
    int result = verdict.error;
    struct memory_node *node = result == 0 ? memory_disk_find(files, path) : NULL;
    if (result == 0 && (!node || !node->is_directory))
        result = node ? -ENOTDIR : -ENOENT;
    size_t position = 0;
    struct slice name;
    void *child;
    while (result == 0 && map_next(node->entries, &position, &name, &child)) {
        buffer_append(&names, ((struct memory_node *)child)->is_directory ? "d" : "f", 1);
        buffer_append(&names, name.data, name.length);
        buffer_append(&names, "", 1);
    }
    pthread_mutex_unlock(&files->mutex);
    for (size_t at = 0; result == 0 && at < names.length;) {
        const char *entry = (const char *)names.data + at;
        result = visit(context, entry + 1, entry[0] == 'd');
        at += strlen(entry) + 1;
    }
    buffer_release(&names);
    return result;
}

static int memory_status(struct file_system *system, const char *path, struct file_status *status)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_STATUS, path, 0);
    int result = verdict.error;
    const struct memory_node *node = result == 0 ? memory_disk_find(files, path) : NULL;
    if (result == 0 && !node)
        result = -ENOENT;
    if (result == 0)
        *status = (struct file_status){(int64_t)node->content.length, node->modified_ms, node->is_directory};
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int memory_set_modified(struct file_system *system, const char *path, int64_t modified_ms)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_SET_MODIFIED, path, 0);
    int result = verdict.error;
    struct memory_node *node = result == 0 ? memory_disk_find(files, path) : NULL;
    if (result == 0 && !node)
        result = -ENOENT;
    if (result == 0)
        node->modified_ms = modified_ms;
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int memory_lock(struct file_system *system, const char *path, struct file **file)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_LOCK, path, 0);
    int result = verdict.error;
    if (result == 0) {
        const struct memory_node *node = memory_disk_find(files, path);
        result = node && node->locked ? -EBUSY : open_locked(files, path, FILE_CREATE, file);
    }
    if (result == 0) {
        (*file)->node->locked = true;
        (*file)->holds_lock = true;
    }
    pthread_mutex_unlock(&files->mutex);
    return result;
}

static int memory_free_bytes(struct file_system *system, const char *path, int64_t *bytes)
{
    struct memory_files *files = files_of(system);
    pthread_mutex_lock(&files->mutex);
    struct verdict verdict = judge(files, MEMORY_FILES_FREE_BYTES, path, 0);
    size_t room = files->capacity > files->used ? files->capacity - files->used : 0;
    *bytes = room > INT64_MAX ? INT64_MAX : (int64_t)room;
    pthread_mutex_unlock(&files->mutex);
    return verdict.error;
}

const struct file_operations memory_disk_operations = {
    .open = memory_open,
    .close = memory_close,
    .read = memory_read,
    .write = memory_write,
    .truncate = memory_truncate,
    .sync = memory_sync,
    .size = memory_size,
    .descriptor = memory_descriptor,
    .rename = memory_rename,
    .remove = memory_remove,
    .make_directory = memory_make_directory,
    .remove_directory = memory_remove_directory,
    .sync_directory = memory_sync_directory,
    .list = memory_list,
    .status = memory_status,
    .lock = memory_lock,
    .set_modified = memory_set_modified,
    .free_bytes = memory_free_bytes,
    .forget = memory_forget,
};
