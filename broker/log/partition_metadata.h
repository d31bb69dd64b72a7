/* SPDX-License-Identifier: Apache-2.0 */
/*
 * partition.metadata: which topic a partition's folder belongs to.
 *
 *   version: 0
 *   topic_id: <22 characters>
 *
 * A topic that was deleted and created again has another id; its old folder must not become its log (I12).
 */
#ifndef BROKER_LOG_PARTITION_METADATA_H
#define BROKER_LOG_PARTITION_METADATA_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/file.h"
#include "common/slice.h"
#include "common/uuid.h"

#define PARTITION_METADATA_FILE "partition.metadata"

void partition_metadata_format(struct uuid topic_id, struct buffer *out);
/* 0, or -EBADMSG. */
MUST_CHECK int partition_metadata_parse(struct slice text, struct uuid *topic_id);

/* Reads the file; the zero id where there is none. 0, -EBADMSG, or -errno. */
MUST_CHECK int partition_metadata_read(struct file_system *files, const char *path, struct uuid *topic_id);
MUST_CHECK int partition_metadata_write(struct file_system *files, const char *path, struct uuid topic_id);

#endif
