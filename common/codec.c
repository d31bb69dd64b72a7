/* SPDX-License-Identifier: Apache-2.0 */
/* The table of codecs, and reading by it. */
#include "common/codec.h"

#include <string.h>

#include "common/check.h"
#include "common/codec_parts.h"

static int none_compress(int level, struct slice input, struct buffer *out)
{
    (void)level;
    buffer_append(out, input.data, input.length);
    return 0;
}

static const struct codec_functions codec_none = {.name = "none", .compress = none_compress};

static const struct codec_functions *const codecs[CODEC_COUNT] = {
    [CODEC_NONE] = &codec_none, [CODEC_GZIP] = &codec_gzip, [CODEC_SNAPPY] = &codec_snappy,
    [CODEC_LZ4] = &codec_lz4,   [CODEC_ZSTD] = &codec_zstd,
};

const char *codec_name(enum codec codec)
{
    return (unsigned)codec < CODEC_COUNT ? codecs[codec]->name : "unknown";
}

int codec_parse(struct slice name)
{
    for (int i = 0; i < CODEC_COUNT; i++) {
        if (slice_is(name, codecs[i]->name))
            return i;
    }
    return -EINVAL;
}

int codec_compress(enum codec codec, int level, struct slice input, struct buffer *out)
{
    if ((unsigned)codec >= CODEC_COUNT)
        return -EINVAL;
    size_t before = out->length;
    int error = codecs[codec]->compress(level, input, out);
    if (error)
        out->length = before;
    return error;
}

/* ---- a piece at a time ---- */

void codec_reader_init(struct codec_reader *reader)
{
    *reader = (struct codec_reader){.ended = true, .block_bytes_max = SIZE_MAX};
}

static void free_state(struct codec_reader *reader, int codec)
{
    if (reader->states[codec])
        codecs[codec]->free(reader->states[codec]);
    reader->states[codec] = NULL;
}

void codec_reader_release(struct codec_reader *reader)
{
    for (int codec = 0; codec < CODEC_COUNT; codec++)
        free_state(reader, codec);
}

void codec_reader_trim(struct codec_reader *reader)
{
    for (int codec = 0; codec < CODEC_COUNT; codec++)
        if (reader->states[codec] && codecs[codec]->memory &&
            codecs[codec]->memory(reader->states[codec]) > CODEC_STATE_KEPT_BYTES)
            free_state(reader, codec);
}

int codec_reader_start(struct codec_reader *reader, enum codec codec, struct slice input)
{
    if ((unsigned)codec >= CODEC_COUNT)
        return -EINVAL;
    reader->codec = codec;
    reader->input = input;
    reader->ended = false;
    if (codecs[codec]->create == NULL)
        return 0;
    if (reader->states[codec] == NULL)
        reader->states[codec] = codecs[codec]->create();
    codecs[codec]->reset(reader->states[codec]);
    if (codecs[codec]->limit_block)
        codecs[codec]->limit_block(reader->states[codec], reader->block_bytes_max);
    return 0;
}

int codec_reader_read(struct codec_reader *reader, uint8_t *out, size_t room, size_t *produced)
{
    CHECK(room > 0);
    *produced = 0;
    if (reader->ended)
        return 0;
    const struct codec_functions *entry = codecs[reader->codec];
    if (entry->read == NULL) {
        size_t step = min_size(room, reader->input.length);
        if (step > 0)
            memcpy(out, reader->input.data, step);
        codec_consume(&reader->input, step);
        *produced = step;
        return 0;
    }
    int result = entry->read(reader->states[reader->codec], &reader->input, out, room, produced);
    reader->ended = result != 0;
    if (result < 0)
        *produced = 0;
    return result < 0 ? result : 0;
}

/* ---- whole ---- */

static int read_all(struct codec_reader *reader, size_t limit, struct buffer *out)
{
    size_t left = limit;
    for (;;) {
        /* At the cap there is room for one byte more, by which the codec shows that it has more. */
        size_t room = left == 0 ? 1 : min_size(left, CODEC_STEP_BYTES);
        size_t produced;
        int error = codec_reader_read(reader, buffer_reserve(out, room), room, &produced);
        if (error || produced == 0)
            return error;
        if (produced > left)
            return -EMSGSIZE;
        out->length += produced;
        left -= produced;
    }
}

int codec_decompress(enum codec codec, struct slice input, size_t limit, struct buffer *out)
{
    struct codec_reader reader;
    size_t before = out->length;
    codec_reader_init(&reader);
    reader.block_bytes_max = limit;
    int error = codec_reader_start(&reader, codec, input);
    if (!error)
        error = read_all(&reader, limit, out);
    if (error)
        out->length = before;
    codec_reader_release(&reader);
    return error;
}
