/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of which lives the logs of this broker have lost nothing (I25). Each directory of log.dirs has a file
 *
 *     barnabas.intact:    version=0
 *                         intact.since=<the broker epoch since which all is there>
 *                         last.epoch=<the epoch of the last registration>
 *                         directories=<how many log.dirs named>
 *                         boot.id=<the kernel's, of the life that wrote it>
 *
 * written at each registration. The next start believes it where every directory has one, all say the same,
 * there are as many as named, and each either was stopped cleanly or belongs to the same boot: a process that
 * is killed leaves all it has written in the page cache, a machine that loses power does not. Lives after
 * last.epoch it does not vouch for: a directory restored from an older copy knows nothing of them. A
 * directory that is new, was exchanged or left away, is offline, leaves a log out, misses one that a
 * checkpoint tells of, or had to be cut by recovery ends it; so does one that fails (I6): then the files are
 * removed at once.
 *
 * A file that is not believed is removed durably before anything is written, so that a clean stop before the
 * next registration does not make it true again. One that is believed is written anew with the present boot.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_manager_private.h"
#include "common/memory.h"
#include "common/properties.h"

#define INTACT_FILE "barnabas.intact"
#define INTACT_BYTES_MAX ((size_t)4096)

static const struct log_intact NOTHING_KNOWN = {-1, -1};

static void path_of(const struct log_directory *directory, struct buffer *path)
{
    buffer_clear(path);
    buffer_print(path, "%s/" INTACT_FILE, directory->path);
}

static struct log_intact parse_mark(const struct log_manager *manager, const struct log_directory *directory,
                                    const struct properties *properties)
{
    struct log_intact said = {properties_number(properties, "intact.since"),
                              properties_number(properties, "last.epoch")};
    const struct property *boot = properties_find(properties, "boot.id");
    bool same_boot = boot && manager->boot_id && strcmp(boot->value, manager->boot_id) == 0;
    if (properties_number(properties, "version") != 0 || said.since < 0 || said.until < said.since ||
        properties_number(properties, "directories") != (int64_t)manager->directories_count ||
        !(directory->was_clean || same_boot))
        return NOTHING_KNOWN;
    return said;
}

/* What the file says, as far as it can be believed after this start. */
static struct log_intact read_mark(const struct log_manager *manager, const struct log_directory *directory)
{
    struct buffer path, text;
    struct properties properties;
    buffer_init(&path);
    buffer_init(&text);
    properties_init(&properties);
    path_of(directory, &path);
    struct log_intact said = NOTHING_KNOWN;
    if (file_system_read_all(directory->files, buffer_string(&path), INTACT_BYTES_MAX, &text) == 0 &&
        properties_parse(&properties, buffer_slice(&text), NULL) == 0)
        said = parse_mark(manager, directory, &properties);
    properties_release(&properties);
    buffer_release(&text);
    buffer_release(&path);
    return said;
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

static int write_mark(const struct log_manager *manager, struct log_directory *directory,
                      struct log_intact intact)
{
    struct buffer path, text;
    buffer_init(&path);
    buffer_init(&text);
    path_of(directory, &path);
    buffer_print(
        &text, "version=0\nintact.since=%" PRId64 "\nlast.epoch=%" PRId64 "\ndirectories=%zu\nboot.id=%s\n",
        intact.since, intact.until, manager->directories_count, manager->boot_id ? manager->boot_id : "");
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

static int write_marks(struct log_manager *manager, struct log_intact intact)
{
    int error = any_offline(manager) ? -EIO : 0;
    for (size_t i = 0; i < manager->directories_count && !error; i++)
        error = write_mark(manager, &manager->directories[i], intact);
    /* One may have failed meanwhile, and its marks been removed before they were written. */
    if (error || any_offline(manager))
        log_manager_forget_intact(manager);
    return error;
}

int log_manager_mark_intact(struct log_manager *manager, int64_t broker_epoch)
{
    if (manager->marked_since < 0)
        manager->marked_since = manager->intact.since >= 0 ? manager->intact.since : broker_epoch;
    return write_marks(manager, (struct log_intact){manager->marked_since, broker_epoch});
}

struct log_intact log_manager_intact(const struct log_manager *manager)
{
    return manager->intact;
}

static bool any_cut(const struct log_manager *manager)
{
    for (size_t i = 0; i < manager->directories_count; i++)
        if (atomic_load(&manager->directories[i].health.has_cut))
            return true;
    return false;
}

void log_manager_load_intact(struct log_manager *manager)
{
    struct log_intact intact = NOTHING_KNOWN;
    bool believed = !any_offline(manager) && !any_cut(manager) && atomic_load(&manager->left_out) == 0;
    for (size_t i = 0; i < manager->directories_count && believed; i++) {
        struct log_intact said = read_mark(manager, &manager->directories[i]);
        believed = said.since >= 0 && (i == 0 || (said.since == intact.since && said.until == intact.until));
        intact = said;
    }
    manager->marked_since = -1;
    manager->intact = NOTHING_KNOWN;
    if (believed && write_marks(manager, intact) == 0) {
        manager->intact = intact;
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
