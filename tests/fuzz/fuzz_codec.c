/* SPDX-License-Identifier: Apache-2.0 */
/* Decompression of what a stranger sent: the first byte chooses the codec, the rest is the data. */
#include "common/check.h"
#include "common/codec.h"
#include "tests/fuzz/driver.h"

#define LIMIT_BYTES (1 << 20)

/* The same in small pieces comes to the same. */
static void read_pieces(enum codec codec, struct slice input, const struct buffer *whole, int whole_error)
{
    uint8_t piece[777];
    struct codec_reader reader;
    size_t length = 0, produced = 0;
    codec_reader_init(&reader);
    int error = codec_reader_start(&reader, codec, input);
    CHECK(error == 0);
    do {
        error = codec_reader_read(&reader, piece, sizeof(piece), &produced);
        if (whole_error == 0)
            CHECK(error == 0 && length + produced <= whole->length &&
                  (produced == 0 || memcmp(piece, whole->data + length, produced) == 0));
        length += produced;
    } while (error == 0 && produced > 0 && length <= LIMIT_BYTES);
    CHECK((error == 0 && length <= LIMIT_BYTES) == (whole_error == 0));
    codec_reader_release(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    enum codec codec = (enum codec)(data[0] % CODEC_COUNT);
    struct slice input = slice_make(data + 1, size - 1);
    struct buffer out, packed, again;
    buffer_init(&out);
    buffer_init(&packed);
    buffer_init(&again);
    int error = codec_decompress(codec, input, LIMIT_BYTES, &out);
    CHECK(out.length <= LIMIT_BYTES);
    CHECK(error == 0 || out.length == 0);
    read_pieces(codec, input, &out, error);
    /* The bytes themselves, there and back. */
    int pack_error = codec_compress(codec, CODEC_DEFAULT_LEVEL, input, &packed);
    CHECK(pack_error == 0);
    int unpack_error = codec_decompress(codec, buffer_slice(&packed), input.length, &again);
    CHECK(unpack_error == 0);
    CHECK(again.length == input.length);
    CHECK(input.length == 0 || memcmp(again.data, input.data, input.length) == 0);
    buffer_release(&out);
    buffer_release(&packed);
    buffer_release(&again);
    return 0;
}
