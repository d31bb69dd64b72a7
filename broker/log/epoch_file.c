/* SPDX-License-Identifier: Apache-2.0 */
/* The writers of one leader-epoch-checkpoint, one after the other. */
#include "broker/log/epoch_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/memory.h"

struct epoch_file {
    atomic_int references;
    struct file_system *files;
    pthread_mutex_t mutex; /* guards the two below and the file itself */
    uint64_t written;      /* the version that is there; 0: none of ours */
    bool closed;
};

struct epoch_file *epoch_file_new(struct file_system *files)
{
    struct epoch_file *file = memory_allocate_zeroed(1, sizeof(*file));
    atomic_init(&file->references, 1);
    file->files = files;
    pthread_mutex_init(&file->mutex, NULL);
    return file;
}

struct epoch_file *epoch_file_acquire(struct epoch_file *file)
{
    atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
    return file;
}

void epoch_file_release(struct epoch_file *file)
{
    if (file == NULL || atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&file->mutex);
    free(file);
}

int epoch_file_write(struct epoch_file *file, const char *path, uint64_t version, struct slice text)
{
    pthread_mutex_lock(&file->mutex);
    int error = 0;
    if (file->closed)
        error = -ESHUTDOWN;
    else if (version > file->written)
        error = file_system_replace(file->files, path, text.data, text.length);
    if (error == 0 && version > file->written)
        file->written = version;
    pthread_mutex_unlock(&file->mutex);
    return error;
}

void epoch_file_close(struct epoch_file *file)
{
    if (file == NULL)
        return;
    pthread_mutex_lock(&file->mutex);
    file->closed = true;
    pthread_mutex_unlock(&file->mutex);
}
