/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message as an object: the generated functions of one request, response or embedded structure behind one
 * shape, for tables, tests and fuzzers. Handlers call the typed functions of messages/<api>.h instead.
 *
 * The contract of the generated functions, typed or not:
 *
 * - init sets every field to its default. Zeroed memory is right as well, but for defaults that are not 0 and
 *   for "empty" where null is allowed.
 * - decode reads one message of a version and leaves the reader behind it; bytes may be left over. 0;
 *   -EBADMSG for malformed or cut input and for a version the message does not have; -ENOMEM when the arena's
 *   budget refuses. Strings, bytes and records are slices of the input, arrays and optional structures live
 *   in the arena. Fields that the version lacks get their defaults. After an error the contents are
 *   meaningless, but the structure may be printed or thrown away.
 * - encode appends to the writer; the version must be one of the message's (CHECK). Fields that the version
 *   lacks are not sent; tagged fields are left out when they have their default; null is sent as empty where
 *   the version does not know null.
 * - print appends one line of text without a newline: what strangers chose is escaped, long arrays are cut,
 *   bytes and records are shown by length, secrets not at all.
 */
#ifndef PROTO_KAFKA_CODEC_H
#define PROTO_KAFKA_CODEC_H

#include "proto/kafka/wire.h"

/* `flexible_since` of a message that has no flexible version. */
#define KAFKA_NEVER_FLEXIBLE INT16_MAX

struct message_codec {
    const char *name; /* "FetchRequest" */
    size_t size;      /* of the structure */
    int16_t minimum_version;
    int16_t maximum_version;
    int16_t flexible_since;
    void (*init)(void *out);
    int (*decode)(void *out, struct byte_reader *bytes, int16_t version, struct arena *arena);
    void (*encode)(const void *in, struct wire_writer *writer, int16_t version);
    void (*print)(const void *in, int16_t version, struct buffer *out);
};

#endif
