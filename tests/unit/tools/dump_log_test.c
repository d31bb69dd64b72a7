/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump-log against what Kafka's own tool printed of the same files; wrong indexes; and damage of every kind:
 * files cut anywhere, with any bit flipped, of random bytes. Over a disk in memory, which nothing may change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bytes.h"
#include "common/prng.h"
#include "proto/records/builder.h"
#include "tests/support/memory_files.h"
#include "tools/dump_log.h"

#define STEM "00000000000000000000"

struct bench {
    struct memory_files *disk;
    char *out; /* of the last run */
    char *err;
    bool damaged;
};

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){.disk = memory_files_new(1)};
}

static void bench_release(struct bench *bench)
{
    assert_int_equal(memory_files_open_count(bench->disk), 0);
    memory_files_free(bench->disk);
    free(bench->out);
    free(bench->err);
}

static void put(struct bench *bench, const char *path, const void *data, size_t length)
{
    struct file_system *files = memory_files_system(bench->disk);
    struct file *file;
    struct iovec part = {(void *)data, length};
    assert_int_equal(file_open(files, path, FILE_CREATE, &file), 0);
    assert_int_equal(file_truncate(files, file, 0), 0);
    if (length > 0)
        assert_int_equal(file_write(files, file, &part, 1, 0), length);
    file_close(files, file);
}

static void load(const char *name, struct buffer *out)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/dump_log/%s", GOLDEN_DIRECTORY, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int c = fgetc(file); c != EOF; c = fgetc(file))
        writer_u8(out, (uint8_t)c);
    fclose(file);
}

static void load_hex(const char *name, struct buffer *out)
{
    struct buffer text;
    buffer_init(&text);
    load(name, &text);
    unsigned byte;
    int used;
    for (const char *at = buffer_string(&text); sscanf(at, " %2x%n", &byte, &used) == 1; at += used)
        writer_u8(out, (uint8_t)byte);
    assert_true(out->length > 0);
    buffer_release(&text);
}

/* Puts the golden files named which.* onto the disk. */
static void put_golden(struct bench *bench, const char *which, const char *const *suffixes)
{
    for (; *suffixes != NULL; suffixes++) {
        char name[64], path[64];
        struct buffer bytes;
        buffer_init(&bytes);
        snprintf(name, sizeof(name), "%s.%s.hex", which, *suffixes);
        snprintf(path, sizeof(path), STEM ".%s", *suffixes);
        load_hex(name, &bytes);
        put(bench, path, bytes.data, bytes.length);
        buffer_release(&bytes);
    }
}

static void put_all(struct bench *bench)
{
    static const char *const suffixes[] = {"log", "index", "timeindex", "txnindex", "snapshot", NULL};
    put_golden(bench, "all", suffixes);
}

/* Paths up to NULL. */
static void run(struct bench *bench, const struct dump_request *request, const char *const *paths)
{
    struct dump dump;
    size_t out_length, err_length;
    free(bench->out);
    free(bench->err);
    FILE *out = open_memstream(&bench->out, &out_length);
    FILE *err = open_memstream(&bench->err, &err_length);
    dump_init(&dump, memory_files_system(bench->disk), out, err);
    dump.request = *request;
    uint64_t changes = memory_files_operations(bench->disk, MEMORY_FILES_CHANGING_OPERATIONS &
                                                                ~MEMORY_FILES_BIT(MEMORY_FILES_OPEN));
    for (; *paths != NULL; paths++)
        dump_path(&dump, *paths);
    dump_print_findings(&dump);
    dump_finish(&dump);
    assert_true(changes == memory_files_operations(bench->disk, MEMORY_FILES_CHANGING_OPERATIONS &
                                                                    ~MEMORY_FILES_BIT(MEMORY_FILES_OPEN)));
    bench->damaged = dump.damaged;
    dump_release(&dump);
    fclose(out);
    fclose(err);
}

static struct dump_request plain_request(void)
{
    return (struct dump_request){.max_bytes = INT32_MAX, .max_message_bytes = 5242880};
}

static void check_golden(struct bench *bench, const char *name)
{
    struct buffer expected;
    buffer_init(&expected);
    load(name, &expected);
    assert_string_equal(bench->out, buffer_string(&expected));
    assert_false(bench->damaged);
    buffer_release(&expected);
}

static const char *const all_files[] = {STEM ".log",      STEM ".index",    STEM ".timeindex",
                                        STEM ".txnindex", STEM ".snapshot", NULL};
static const char *const log_file[] = {STEM ".log", NULL};
static const char *const index_files[] = {STEM ".index", STEM ".timeindex", NULL};

static void lines_are_those_of_kafka(void **state)
{
    (void)state;
    struct bench bench;
    struct dump_request request = plain_request();
    bench_init(&bench);
    put_all(&bench);
    run(&bench, &request, all_files);
    check_golden(&bench, "shallow.txt");
    request.max_bytes = 600;
    run(&bench, &request, log_file);
    check_golden(&bench, "bytes.txt");
    request = plain_request();
    request.deep = true;
    run(&bench, &request, log_file);
    check_golden(&bench, "deep.txt");
    assert_non_null(strstr(bench.err, "Non-consecutive offsets in "));
    assert_non_null(strstr(bench.err, "\n  43 is followed by 49\n  39 is followed by 42\n"));
    request.print_data = true;
    run(&bench, &request, all_files);
    check_golden(&bench, "print.txt");
    request.skip_record_metadata = true;
    run(&bench, &request, log_file);
    check_golden(&bench, "skip.txt");
    request = plain_request();
    request.verify_index_only = true;
    run(&bench, &request, index_files);
    check_golden(&bench, "verify.txt");
    assert_string_equal(bench.err, "");
    request = plain_request();
    request.index_sanity_check = true;
    run(&bench, &request, index_files);
    check_golden(&bench, "sanity.txt");
    bench_release(&bench);
}

static void old_formats_are_looked_into(void **state)
{
    (void)state;
    static const char *const suffixes[] = {"log", NULL};
    struct bench bench;
    struct dump_request request = plain_request();
    bench_init(&bench);
    put_golden(&bench, "old", suffixes);
    request.deep = request.print_data = true;
    run(&bench, &request, log_file);
    check_golden(&bench, "old.txt");
    assert_string_equal(bench.err, "");
    bench_release(&bench);
}

/* The first entry of the index names another offset, the time index another time, order, and offset. */
static void wrong_indexes_are_listed(void **state)
{
    (void)state;
    struct bench bench;
    struct dump_request request = plain_request();
    struct buffer index, times;
    static const char *const paths[] = {"/data/" STEM ".index", "/data/" STEM ".timeindex", NULL};
    bench_init(&bench);
    buffer_init(&index);
    buffer_init(&times);
    put_all(&bench);
    struct buffer log;
    buffer_init(&log);
    load_hex("all.log.hex", &log);
    assert_int_equal(file_system_make_directory(memory_files_system(bench.disk), "/data"), 0);
    put(&bench, "/data/" STEM ".log", log.data, log.length);
    load_hex("all.index.hex", &index);
    store_u32(index.data, 10); /* the batch there ends at 11 */
    put(&bench, paths[0], index.data, index.length);
    writer_u64(&times, 1700000000005);
    writer_u32(&times, 5);
    writer_u64(&times, 1); /* before the first, and not the batch's */
    writer_u32(&times, 11);
    writer_u64(&times, 1700000000005);
    writer_u32(&times, 1000); /* there is no such offset */
    put(&bench, paths[1], times.data, times.length);
    request.verify_index_only = true;
    run(&bench, &request, paths);
    assert_string_equal(bench.err, "Mismatches in :/data/" STEM ".index\n"
                                   "  Index offset: 10, log offset: 11\n"
                                   "Found timestamp mismatch in :/data/" STEM ".timeindex\n"
                                   "  Index timestamp: 1, log timestamp: 1700000000065\n"
                                   "Found out of order timestamp in :/data/" STEM ".timeindex\n"
                                   "  Index timestamp: 1, Previously indexed timestamp: 1700000000005\n"
                                   "The following indexed offsets are not found in the log.\n"
                                   "Indexed offset: 1000, found log offset: -1\n");
    assert_true(bench.damaged);
    request = plain_request();
    request.index_sanity_check = true;
    put(&bench, paths[0], index.data, index.length - 3);
    run(&bench, &request, paths);
    assert_non_null(strstr(bench.err, "neither positive nor a multiple of 8"));
    assert_true(bench.damaged);
    buffer_release(&log);
    buffer_release(&index);
    buffer_release(&times);
    bench_release(&bench);
}

static void what_cannot_be_read_is_told(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "junk.log", "nothing", STEM ".cleaned", "00000000000000009999.log", "00000000000000009999.index",
        NULL};
    struct bench bench;
    struct dump_request request = plain_request();
    bench_init(&bench);
    run(&bench, &request, paths);
    assert_true(bench.damaged);
    assert_non_null(strstr(bench.err, "junk.log: the name of such a file begins with an offset"));
    assert_non_null(
        strstr(bench.err, "Ignoring unknown file nothing\nIgnoring unknown file " STEM ".cleaned\n"));
    assert_non_null(strstr(bench.err, "00000000000000009999.log: No such file"));
    assert_null(strstr(bench.err, "Nothing was dumped"));
    static const char *const unknown[] = {"nothing", STEM ".cleaned", NULL};
    run(&bench, &request, unknown);
    assert_true(bench.damaged);
    assert_non_null(strstr(bench.err, "Nothing was dumped: name .log, .index"));
    static const char *const alone[] = {STEM ".index", NULL};
    put(&bench, STEM ".index", "12345678", 8);
    run(&bench, &request, alone);
    assert_string_equal(bench.err, STEM ".log: No such file or directory. " STEM
                                        ".index is compared with it: keep both in one folder.\n");
    put_all(&bench);
    const struct memory_files_fault fault = {
        .operations = MEMORY_FILES_BIT(MEMORY_FILES_READ), .error = -5, .short_bytes = -1, .repeat = true};
    memory_files_set_fault(bench.disk, &fault);
    run(&bench, &request, all_files);
    assert_true(bench.damaged);
    assert_non_null(strstr(bench.err, STEM ".log: reading at position 0: Input/output error"));
    bench_release(&bench);
}

static void damage_is_passed_over(void **state)
{
    (void)state;
    struct bench bench;
    struct dump_request request = plain_request();
    struct buffer log;
    bench_init(&bench);
    buffer_init(&log);
    load_hex("all.log.hex", &log);
    request.deep = true;
    log.data[195 + 61] ^= 0x55; /* in the gzip of the second batch */
    put(&bench, STEM ".log", log.data, log.length);
    run(&bench, &request, log_file);
    assert_true(bench.damaged);
    assert_non_null(strstr(bench.err, "the CRC of the batch at position 195 (last offset 11) is wrong"));
    assert_non_null(
        strstr(bench.err, "the batch at position 195 (last offset 11) cannot be read to its end"));
    assert_non_null(strstr(bench.out, "| offset: 50 "));
    store_u32(log.data + 195 + 8, 13); /* a length that cannot be */
    put(&bench, STEM ".log", log.data, log.length);
    run(&bench, &request, log_file);
    assert_non_null(strstr(bench.err,
                           "Found record size 13 smaller than minimum record overhead (14) in file " STEM
                           ".log, at position 195"));
    assert_null(strstr(bench.out, "| offset: 6 "));
    buffer_release(&log);
    bench_release(&bench);
}

/* Every cut of every file; the log ends with what Kafka says of a torn tail. */
static void every_cut_is_survived(void **state)
{
    (void)state;
    static const char *const names[] = {"all.log.hex",      "all.index.hex",    "all.timeindex.hex",
                                        "all.txnindex.hex", "all.snapshot.hex", NULL};
    struct bench bench;
    struct dump_request request = plain_request();
    bench_init(&bench);
    request.deep = request.print_data = true;
    for (size_t i = 0; names[i] != NULL; i++) {
        struct buffer bytes;
        buffer_init(&bytes);
        load_hex(names[i], &bytes);
        put_all(&bench);
        for (size_t length = 0; length < bytes.length; length += 3) {
            const char *const paths[] = {all_files[i], NULL};
            put(&bench, all_files[i], bytes.data, length);
            run(&bench, &request, paths);
            if (i == 0 && length > 0 && length < 195) {
                assert_true(bench.damaged);
                assert_non_null(strstr(bench.out, "invalid bytes at the end of " STEM ".log\n"));
                assert_non_null(strstr(bench.err, "to the end are no whole batch.\n"));
            }
        }
        buffer_release(&bytes);
    }
    bench_release(&bench);
}

static void random_damage_is_survived(void **state)
{
    (void)state;
    const uint64_t seed = 141;
    static const char *const names[] = {"all.log.hex",      "all.index.hex",    "all.timeindex.hex",
                                        "all.txnindex.hex", "all.snapshot.hex", "old.log.hex"};
    print_message("seed %llu\n", (unsigned long long)seed);
    struct prng prng;
    struct bench bench;
    struct dump_request request = plain_request();
    prng_init(&prng, seed);
    bench_init(&bench);
    for (int i = 0; i < 3000; i++) {
        size_t which = (size_t)prng_below(&prng, ARRAY_SIZE(names));
        const char *path = all_files[which % 5];
        const char *const paths[] = {path, STEM ".index", STEM ".timeindex", NULL};
        struct buffer bytes;
        buffer_init(&bytes);
        load_hex(names[which], &bytes);
        for (uint64_t flips = prng_below(&prng, 6) + 1; flips > 0; flips--)
            bytes.data[prng_below(&prng, bytes.length)] ^= (uint8_t)(1U << prng_below(&prng, 8));
        if (prng_one_in(&prng, 10))
            for (size_t at = 0; at < bytes.length; at++)
                bytes.data[at] = (uint8_t)prng_below(&prng, 256);
        put_all(&bench);
        put(&bench, path, bytes.data, bytes.length);
        request.deep = prng_one_in(&prng, 2);
        request.print_data = prng_one_in(&prng, 2);
        request.index_sanity_check = prng_one_in(&prng, 4);
        run(&bench, &request, paths);
        buffer_release(&bytes);
    }
    bench_release(&bench);
}

/* Batches of one record each, at these offsets. */
static void build_log(const int64_t *offsets, size_t count, struct buffer *log)
{
    for (size_t i = 0; i < count; i++) {
        struct record_batch_parameters parameters = record_batch_parameters_plain();
        struct record_batch_builder builder;
        parameters.base_offset = offsets[i];
        record_batch_builder_init(&builder, &parameters);
        record_batch_builder_append(&builder, 1000 + (int64_t)i, slice_of("key"), slice_of("value"), NULL, 0);
        assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, log), 0);
        record_batch_builder_release(&builder);
    }
}

/* Nothing stands behind the greatest offset, and sums beyond it wrap without harm (as the sanitizers see). */
static void the_greatest_offsets_are_dumped(void **state)
{
    (void)state;
    static const int64_t offsets[] = {INT64_MAX - 1, INT64_MAX, INT64_MIN, 5};
    static const char *const paths[] = {"09223372036854775807.log", "09223372036854775807.index",
                                        "09223372036854775807.timeindex", NULL};
    struct bench bench;
    struct dump_request request = plain_request();
    struct buffer log, index, times;
    bench_init(&bench);
    buffer_init(&log);
    buffer_init(&index);
    buffer_init(&times);
    build_log(offsets, ARRAY_SIZE(offsets), &log);
    for (uint32_t i = 1; i < 4; i++) {
        writer_u32(&index, i);
        writer_u32(&index, 0);
        writer_u64(&times, 1000 + i);
        writer_u32(&times, i);
    }
    put(&bench, paths[0], log.data, log.length);
    put(&bench, paths[1], index.data, index.length);
    put(&bench, paths[2], times.data, times.length);
    request.deep = true;
    run(&bench, &request, paths);
    assert_non_null(strstr(bench.out, "| offset: 9223372036854775807 "));
    assert_non_null(strstr(bench.err, "9223372036854775807 is followed by -9223372036854775808\n"));
    assert_true(bench.damaged);
    buffer_release(&log);
    buffer_release(&index);
    buffer_release(&times);
    bench_release(&bench);
}

/* Without an offset index the log is walked once for all entries of the time index, not once for each. */
static void the_log_is_walked_once(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static int64_t offsets[COUNT];
    struct bench bench;
    struct dump_request request = plain_request();
    struct buffer log, times;
    bench_init(&bench);
    buffer_init(&log);
    buffer_init(&times);
    for (size_t i = 0; i < COUNT; i++)
        offsets[i] = (int64_t)i;
    build_log(offsets, COUNT, &log);
    for (uint32_t i = 10; i < COUNT; i += 10) {
        writer_u64(&times, 1000 + i);
        writer_u32(&times, i);
    }
    static const char *const paths[] = {STEM ".timeindex", NULL};
    put(&bench, STEM ".log", log.data, log.length);
    put(&bench, paths[0], times.data, times.length);
    uint64_t before = memory_files_operations(bench.disk, MEMORY_FILES_BIT(MEMORY_FILES_READ));
    run(&bench, &request, paths);
    assert_string_equal(bench.err, "");
    assert_false(bench.damaged);
    uint64_t reads = memory_files_operations(bench.disk, MEMORY_FILES_BIT(MEMORY_FILES_READ)) - before;
    assert_true(reads < 4 * COUNT / 10);
    buffer_release(&log);
    buffer_release(&times);
    bench_release(&bench);
}

/* A small dump fails only when the last of it is brought out. */
static void output_that_nobody_takes_is_no_dump(void **state)
{
    (void)state;
    struct bench bench;
    struct dump dump;
    bench_init(&bench);
    put_all(&bench);
    FILE *out = fopen("/dev/full", "w");
    FILE *err = tmpfile();
    assert_true(out != NULL && err != NULL);
    dump_init(&dump, memory_files_system(bench.disk), out, err);
    dump.request = plain_request();
    dump_path(&dump, STEM ".log");
    dump_print_findings(&dump);
    dump_finish(&dump);
    assert_true(dump.damaged);
    assert_true(ftell(err) > 0);
    dump_release(&dump);
    fclose(out);
    fclose(err);
    bench_release(&bench);
}

static void text_is_javas(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text; /* R: the replacement character */
    } cases[] = {
        {"", ""},
        {"plain\n", "plain\n"},
        {"zw\xc3\xb6lf \xe2\x82\xac \xf0\x9f\x98\x80", "zw\xc3\xb6lf \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\x80|\xbf|\xff|\xfe", "R|R|R|R"},
        {"\xc0\x80|\xc1\xbf", "RR|RR"}, /* overlong */
        {"\xe0\x80\x80|\xf0\x80\x80\x80", "RRR|RRRR"},
        {"\xed\xa0\x80|\xed\xbf\xbf", "R|R"},     /* surrogates */
        {"\xf4\x90\x80\x80|\xf5\x80", "RRRR|RR"}, /* above the last character */
        {"\xe2\x82|\xf0\x9f\x98|\xf0\x9f|\xc3", "R|R|R|R"},
        {"\xe2\x82", "R"},
        {"\xf0\x9f\x98", "R"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buffer out, expected;
        buffer_init(&out);
        buffer_init(&expected);
        for (const char *at = cases[i].text; *at != '\0'; at++)
            buffer_append(&expected, *at == 'R' ? "\xef\xbf\xbd" : at, *at == 'R' ? 3 : 1);
        dump_append_text(&out, slice_of(cases[i].bytes));
        assert_string_equal(buffer_string(&out), buffer_string(&expected));
        buffer_release(&out);
        buffer_release(&expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_those_of_kafka),
        cmocka_unit_test(old_formats_are_looked_into),
        cmocka_unit_test(wrong_indexes_are_listed),
        cmocka_unit_test(what_cannot_be_read_is_told),
        cmocka_unit_test(damage_is_passed_over),
        cmocka_unit_test(every_cut_is_survived),
        cmocka_unit_test(random_damage_is_survived),
        cmocka_unit_test(text_is_javas),
        cmocka_unit_test(the_greatest_offsets_are_dumped),
        cmocka_unit_test(the_log_is_walked_once),
        cmocka_unit_test(output_that_nobody_takes_is_no_dump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
