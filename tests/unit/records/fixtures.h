/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of record batches share: golden bytes, and batches of random records. */
#ifndef TESTS_UNIT_RECORDS_FIXTURES_H
#define TESTS_UNIT_RECORDS_FIXTURES_H

#include "common/buffer.h"
#include "common/prng.h"
#include "proto/records/builder.h"

/* Appends the bytes of tests/golden/records/<name>.hex; ends the test when it cannot. */
void fixture_load(const char *name, struct buffer *out);

/* The value of the first golden record. */
void fixture_golden_value(struct buffer *out);

/* Appends a batch of `count` random records, made with `parameters`; timestamps are in [now, now + 1000). */
void fixture_random_batch(struct prng *prng, const struct record_batch_parameters *parameters, int count,
                          int64_t now_ms, enum codec codec, struct buffer *out);

#endif
