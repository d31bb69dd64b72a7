/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meta.properties: which broker of which cluster a log directory belongs to (invariant I12).
 *
 *   version=0
 *   broker.id=1
 *   cluster.id=<22 characters>
 *
 * Comments and further keys (directory.id) are let be. version=1 is a directory that KRaft formatted.
 */
#ifndef BROKER_LOG_META_PROPERTIES_H
#define BROKER_LOG_META_PROPERTIES_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/file.h"
#include "common/slice.h"

#define META_PROPERTIES_FILE "meta.properties"

void meta_properties_format(int32_t broker_id, const char *cluster_id, struct buffer *out);
/* Whether the text names this broker and cluster: 0, or -EINVAL with the rest of a sentence in `error`
 * ("says broker.id=2, but ..."). */
MUST_CHECK int meta_properties_check(struct slice text, int32_t broker_id, const char *cluster_id,
                                     struct buffer *error);
/* Checks the directory's file, or writes it where there is none. As above, with the whole sentence, or
 * -errno. */
MUST_CHECK int meta_properties_ensure(struct file_system *files, const char *directory, int32_t broker_id,
                                      const char *cluster_id, struct buffer *error);

#endif
