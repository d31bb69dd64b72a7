/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of Kafka's checkpoint files:
 *
 *   0                  version
 *   2                  number of entries
 *   orders 0 1204      topic, partition, offset
 *   orders 1 7
 *
 * The parser is strict: another version, a count that does not match, a line too many or a number that is
 * none makes the whole file corrupt; the reader then warns and goes on as if it were empty, which is always
 * safe (more is recovered, less is trusted). Files are written whole and replaced, so that a crash leaves the
 * old or the new one. Pure but for the read and write at the end.
 */
#ifndef BROKER_LOG_CHECKPOINT_FILE_H
#define BROKER_LOG_CHECKPOINT_FILE_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/file.h"
#include "common/log.h"
#include "common/slice.h"

/* No checkpoint of a sane directory is longer. */
#define CHECKPOINT_FILE_BYTES_MAX ((size_t)256 * 1024 * 1024)

/* Lines of a checkpoint text, one after the other. */
struct checkpoint_reader {
    struct slice rest;
    int64_t left; /* entries that are still announced */
};

/* Reads version and count. 0, or -EBADMSG. */
MUST_CHECK int checkpoint_reader_init(struct checkpoint_reader *reader, struct slice text);
/* The next line, without its end: 1; 0 when all announced ones are read and nothing follows; -EBADMSG. */
MUST_CHECK int checkpoint_reader_next(struct checkpoint_reader *reader, struct slice *line);
/* Takes a decimal from the front of the line, and the one space behind it where there is one. 0, or -EBADMSG.
 */
MUST_CHECK int checkpoint_take_number(struct slice *line, int64_t low, int64_t high, int64_t *number);

struct checkpoint_entry {
    char *topic;
    int32_t partition;
    int64_t offset;
};

struct checkpoint {
    struct checkpoint_entry *entries;
    size_t count;
    size_t capacity;
};

void checkpoint_init(struct checkpoint *checkpoint);
void checkpoint_release(struct checkpoint *checkpoint);
void checkpoint_clear(struct checkpoint *checkpoint);
void checkpoint_add(struct checkpoint *checkpoint, struct slice topic, int32_t partition, int64_t offset);

void checkpoint_format(const struct checkpoint *checkpoint, struct buffer *out);
/* Appends the entries of the text. 0, or -EBADMSG (nothing appended). */
MUST_CHECK int checkpoint_parse(struct checkpoint *checkpoint, struct slice text);

/* Reads <directory>/<name>. A missing file is an empty checkpoint, a corrupt one too, with a warning. 0, or
 * the -errno of the disk. */
MUST_CHECK int checkpoint_read(struct file_system *files, struct logger *logger, const char *directory,
                               const char *name, struct checkpoint *checkpoint);
MUST_CHECK int checkpoint_write(struct file_system *files, const char *directory, const char *name,
                                const struct checkpoint *checkpoint);

#endif
