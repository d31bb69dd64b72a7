/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a segment, shared by segment.c (its life) and segment_index.c (its indexes) only. */
#ifndef BROKER_LOG_SEGMENT_PRIVATE_H
#define BROKER_LOG_SEGMENT_PRIVATE_H

#include "broker/log/segment.h"

/* Adds the entries that Kafka's rule of sparsity asks for after an append. */
void segment_add_index_entries(struct segment *segment, int64_t last_offset, int64_t position, int64_t length,
                               int64_t interval_bytes);
/* Notes the timestamps of what stands at the end of the segment now. */
void segment_note_timestamps(struct segment *segment, int64_t max_timestamp, int64_t last_offset);
/* Notes the greatest timestamps from `position` on. 0, -EBADMSG, -errno. */
MUST_CHECK int segment_scan_timestamps(struct segment *segment, int64_t position);
/* What the batches say is not known any more: as of a segment without any. */
void segment_forget_indexed(struct segment *segment);
/* Both index files. 0, or the first -errno. */
MUST_CHECK int segment_write_indexes(struct segment *segment);

#endif
