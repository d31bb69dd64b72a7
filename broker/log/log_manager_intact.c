/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Since when the logs of this broker have lost nothing (I25). Each directory of log.dirs has a file
 *
 *     barnabas.intact:    version=0
 *                         intact.since=<the broker epoch since which all is there>
 *                         boot.id=<the kernel's, of the life that wrote it>
 *
 * written when the broker registers. The next start believes it where every directory has one, all name the
 * same epoch, and each directory either was stopped cleanly or belongs to the same boot: a process that is
 * killed leaves all it has written in the page cache, a machine that loses power does not. A directory that
 * is new, was exchanged, is offline, or leaves a log out ends that; so does one that fails (I6): then the
 * files are removed at once.
 *
 * A file that is not believed is removed durably before anything is written, so that a clean stop before the
 * next registration does not make it true again. One that is believed is written anew with the present boot.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/checkpoint_file.h"
#include "broker/log/log_manager_private.h"
#include "common/memory.h"
#include "common/properties.h"

#define INTACT_FILE "barnabas.intact"
#define INTACT_BYTES_MAX ((size_t)4096)

static void path_of(const struct log_directory *directory, struct buffer *path)
{
    buffer_clear(path);
    buffer_print(path, "%s/" INTACT_FILE, directory->path);
}

/* What the file says; -1: nothing that can be believed after this start. */
static int64_t read_mark(const struct log_manager *manager, const struct log_directory *directory)
{
    struct buffer path, text;
    struct properties properties;
    buffer_init(&path);
    buffer_init(&text);
    properties_init(&properties);
    path_of(directory, &path);
    int64_t since = -1;
    if (file_system_read_all(directory->files, buffer_string(&path), INTACT_BYTES_MAX, &text) == 0 &&
        properties_parse(&properties, buffer_slice(&text), NULL) == 0) {
        const struct property *version = properties_find(&properties, "version");
        const struct property *number = properties_find(&properties, "intact.since");
        const struct property *boot = properties_find(&properties, "boot.id");
        bool same_boot = boot && manager->boot_id && strcmp(boot->value, manager->boot_id) == 0;
        struct slice rest = number ? slice_of(number->value) : slice_make(NULL, 0);
        int64_t value;
        if (version && strcmp(version->value, "0") == 0 && number && (directory->was_clean || same_boot) &&
            checkpoint_take_number(&rest, 0, INT64_MAX, &value) == 0 && rest.length == 0)
            since = value;
    }
    properties_release(&properties);
    buffer_release(&text);
    buffer_release(&path);
    return since;
}

/* 0 or -errno; `durable`: the name is gone for good then. */
static int remove_mark(struct log_directory *directory, bool durable)
{
    struct buffer path;
    buffer_init(&path);
    path_of(directory, &path);
    int error = file_system_remove(directory->files, buffer_string(&path));
    buffer_release(&path);
    if (error)
        return error == -ENOENT ? 0 : error;
    return durable ? file_system_sync_directory(directory->files, directory->path) : 0;
}

static int write_mark(const struct log_manager *manager, struct log_directory *directory, int64_t since)
{
    struct buffer path, text;
    buffer_init(&path);
    buffer_init(&text);
    path_of(directory, &path);
    buffer_print(&text, "version=0\nintact.since=%" PRId64 "\nboot.id=%s\n", since,
                 manager->boot_id ? manager->boot_id : "");
    int error =
        file_system_replace(directory->files, buffer_string(&path), (const char *)text.data, text.length);
    buffer_release(&text);
    buffer_release(&path);
    return error;
}

static bool any_offline(const struct log_manager *manager)
{
    for (size_t i = 0; i < manager->directories_count; i++)
        if (log_directory_is_offline(&manager->directories[i]))
            return true;
    return false;
}

void log_manager_forget_intact(struct log_manager *manager)
{
    /* One that is gone is enough, and the disk that failed may not answer: it is asked last. */
    for (int offline = 0; offline < 2; offline++) {
        for (size_t i = 0; i < manager->directories_count; i++) {
            struct log_directory *directory = &manager->directories[i];
            if (log_directory_is_offline(directory) == (offline == 1) && remove_mark(directory, false) == 0)
                return;
        }
    }
}

int log_manager_mark_intact(struct log_manager *manager, int64_t broker_epoch)
{
    int error = any_offline(manager) ? -EIO : 0;
    for (size_t i = 0; i < manager->directories_count && !error; i++)
        error = write_mark(manager, &manager->directories[i], broker_epoch);
    /* One may have failed meanwhile, and its marks been removed before they were written. */
    if (error || any_offline(manager))
        log_manager_forget_intact(manager);
    return error;
}

int64_t log_manager_intact_since(const struct log_manager *manager)
{
    return manager->intact_since;
}

void log_manager_load_intact(struct log_manager *manager)
{
    int64_t since = -1;
    bool believed = !any_offline(manager) && atomic_load(&manager->left_out) == 0;
    for (size_t i = 0; i < manager->directories_count && believed; i++) {
        int64_t said = read_mark(manager, &manager->directories[i]);
        believed = said >= 0 && (i == 0 || said == since);
        since = said;
    }
    manager->intact_since = -1;
    if (believed && log_manager_mark_intact(manager, since) == 0) {
        manager->intact_since = since;
        return;
    }
    for (size_t i = 0; i < manager->directories_count; i++) {
        struct log_directory *directory = &manager->directories[i];
        int error = log_directory_is_offline(directory) ? 0 : remove_mark(directory, true);
        if (error)
            log_warn(manager->logger, "log", "%s/" INTACT_FILE " cannot be removed: %s", directory->path,
                     strerror(-error));
    }
}
