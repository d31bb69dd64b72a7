/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without libFuzzer:
 *
 *   fuzz_x [--seed N] [--runs N] [file or folder]...
 *
 * Every file is an input as it is, and a start for mutations. The seed of the run is printed first, and the
 * input that breaks a rule is what the same seed gives again.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/prng.h"
#include "tests/fuzz/driver.h"

#define RUNS_DEFAULT 20000
#define INPUT_BYTES_MAX 4096 /* of a random input; a corpus file may be longer */
#define CORPUS_FILE_BYTES_MAX (1 << 20)

struct corpus {
    struct buffer *inputs;
    size_t count;
    size_t capacity;
};

/* A copy of exactly the size, so that a sanitizer sees every read past the end. */
static void run_one(const struct buffer *input)
{
    uint8_t *copy = malloc(input->length == 0 ? 1 : input->length);
    if (copy == NULL)
        abort();
    if (input->length > 0)
        memcpy(copy, input->data, input->length);
    LLVMFuzzerTestOneInput(copy, input->length);
    free(copy);
}

static int add_file(struct corpus *corpus, const char *path)
{
    corpus->inputs = memory_grow(corpus->inputs, corpus->count, &corpus->capacity, sizeof(*corpus->inputs));
    struct buffer *input = &corpus->inputs[corpus->count];
    buffer_init(input);
    int error = file_system_read_all(file_system_posix(), path, CORPUS_FILE_BYTES_MAX, input);
    if (error)
        buffer_release(input);
    else
        corpus->count++;
    return error;
}

static int add_path(struct corpus *corpus, const char *path)
{
    struct dirent **names = NULL;
    int count = scandir(path, &names, NULL, alphasort); /* sorted: a seed means the same everywhere */
    if (count < 0)
        return add_file(corpus, path);
    int error = 0;
    for (int i = 0; i < count; i++) {
        struct buffer child;
        buffer_init(&child);
        buffer_print(&child, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.' && !error)
            error = add_file(corpus, buffer_string(&child));
        buffer_release(&child);
        free(names[i]);
    }
    free(names);
    return error;
}

/* Values that decoders get wrong. */
static void put_interesting(struct prng *prng, uint8_t *at, size_t room)
{
    static const uint8_t values[][4] = {
        {0, 0, 0, 0},       {0xff, 0xff, 0xff, 0xff}, {0x7f, 0xff, 0xff, 0xff},
        {0x80, 0, 0, 0},    {0xff, 0xff, 0xff, 0},    {0, 0, 0, 1},
        {0, 0, 0xff, 0xff}, {0x80, 0x80, 0x80, 0x80},
    };
    memcpy(at, values[prng_below(prng, ARRAY_SIZE(values))], min_size(room, 4));
}

static void mutate(struct prng *prng, struct buffer *input)
{
    for (uint64_t steps = prng_below(prng, 6) + 1; steps > 0 && input->length > 0; steps--) {
        size_t at = (size_t)prng_below(prng, input->length);
        size_t length = (size_t)prng_below(prng, input->length - at) + 1;
        switch (prng_below(prng, 6)) {
        case 0:
            input->data[at] ^= (uint8_t)(1U << prng_below(prng, 8));
            break;
        case 1:
            input->data[at] = (uint8_t)prng_next(prng);
            break;
        case 2:
            put_interesting(prng, input->data + at, input->length - at);
            break;
        case 3: /* the end is gone */
            input->length = at;
            break;
        case 4: /* a piece is gone */
            memmove(input->data + at, input->data + at + length, input->length - at - length);
            input->length -= length;
            break;
        default: /* a piece comes twice */
            buffer_reserve(input, length);
            memcpy(input->data + input->length, input->data + at, length);
            input->length += length;
            break;
        }
    }
}

static void make_input(struct prng *prng, const struct corpus *corpus, struct buffer *input)
{
    buffer_clear(input);
    if (corpus->count > 0 && !prng_one_in(prng, 4)) {
        const struct buffer *start = &corpus->inputs[prng_below(prng, corpus->count)];
        buffer_append(input, start->data, start->length);
        mutate(prng, input);
        return;
    }
    size_t length = (size_t)prng_below(prng, prng_one_in(prng, 4) ? INPUT_BYTES_MAX : 64);
    uint8_t *at = buffer_extend(input, length);
    bool small = prng_one_in(prng, 2); /* small numbers look more like lengths */
    for (size_t i = 0; i < length; i++)
        at[i] = (uint8_t)prng_below(prng, small ? 8 : 256);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    uint64_t runs = RUNS_DEFAULT;
    struct corpus corpus = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc) {
            runs = strtoull(argv[++i], NULL, 10);
        } else if (add_path(&corpus, argv[i])) {
            fprintf(stderr, "%s: cannot read %s\n", argv[0], argv[i]);
            return 2;
        }
    }
    printf("seed %llu, %llu runs, %zu corpus files\n", (unsigned long long)seed, (unsigned long long)runs,
           corpus.count);
    fflush(stdout);
    for (size_t i = 0; i < corpus.count; i++)
        run_one(&corpus.inputs[i]);
    struct prng prng;
    prng_init(&prng, seed);
    struct buffer input;
    buffer_init(&input);
    for (uint64_t i = 0; i < runs; i++) {
        make_input(&prng, &corpus, &input);
        run_one(&input);
    }
    buffer_release(&input);
    for (size_t i = 0; i < corpus.count; i++)
        buffer_release(&corpus.inputs[i]);
    free(corpus.inputs);
    return 0;
}
