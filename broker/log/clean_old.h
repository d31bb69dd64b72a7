/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compaction of what brokers wrote before record batches: messages of magic 0 and 1, alone or as a compressed
 * set inside one (proto/records/old.h). In a set of magic 0 each message has its own offset; in one of magic
 * 1 the offsets count from 0, and that of the message around them is the last one's. Pure.
 *
 * A limit: sets of magic 0 in lz4 as the first clients wrote them, with a wrong checksum in their frame, are
 * damaged to us.
 */
#ifndef BROKER_LOG_CLEAN_OLD_H
#define BROKER_LOG_CLEAN_OLD_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/slice.h"
#include "proto/records/old.h"

/* One message, or one of the messages in a set. */
struct clean_old_record {
    int64_t offset;
    struct old_message message; /* of the record itself */
};

/* Whether the record stays (when filtering), or the walk goes on (when walking). */
typedef bool clean_old_visit(void *context, const struct clean_old_record *record);

/*
 * Calls visit for each record of the message, in order, until it says false. `scratch`: for what is
 * decompressed, at most `limit` bytes; cleared first. 0, or -EBADMSG.
 */
MUST_CHECK int clean_old_walk(const struct old_message *message, size_t limit, struct buffer *scratch,
                              clean_old_visit *visit, void *context);

/*
 * Appends to `out` what is left when the records go for which `keep` says false: the message's own bytes
 * where all stay, nothing where none does. *kept: how many stay. 0, or -EBADMSG.
 */
MUST_CHECK int clean_old_filter(const struct old_message *message, size_t limit, struct buffer *scratch,
                                clean_old_visit *keep, void *context, struct buffer *out, int64_t *kept);

#endif
