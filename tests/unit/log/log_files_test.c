/* SPDX-License-Identifier: Apache-2.0 */
/* The small files beside the segments, to the byte, and names of files and folders. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/checkpoint_file.h"
#include "broker/log/epoch_cache.h"
#include "broker/log/log_names.h"
#include "broker/log/meta_properties.h"
#include "broker/log/partition_log_private.h"
#include "broker/log/partition_metadata.h"
#include "common/bytes.h"
#include "proto/kafka/error.h"
#include "tests/unit/log/log_fixture.h"

static void i4_epochs_follow_the_rules(void **state)
{
    (void)state;
    struct epoch_cache cache;
    int32_t epoch;
    int64_t end;
    epoch_cache_init(&cache);
    epoch_cache_end(&cache, 3, 50, &epoch, &end);
    assert_true(epoch == -1 && end == -1);
    epoch_cache_assign(&cache, 2, 10);
    epoch_cache_assign(&cache, 2, 20); /* known already */
    epoch_cache_assign(&cache, 4, 30);
    epoch_cache_assign(&cache, 7, 40);
    assert_int_equal(cache.count, 3);
    assert_int_equal(epoch_cache_latest(&cache), 7);
    assert_int_equal(epoch_cache_at(&cache, 9), -1);
    assert_int_equal(epoch_cache_at(&cache, 10), 2);
    assert_int_equal(epoch_cache_at(&cache, 39), 4);
    assert_int_equal(epoch_cache_at(&cache, 400), 7);
    static const struct {
        int32_t asked, epoch;
        int64_t end;
    } ends[] = {{-1, -1, -1}, {0, 0, 10}, {1, 1, 10}, {2, 2, 30},
                {3, 2, 30},   {5, 4, 40}, {7, 7, 50}, {8, -1, -1}};
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        epoch_cache_end(&cache, ends[i].asked, 50, &epoch, &end);
        assert_int_equal(epoch, ends[i].epoch);
        assert_int_equal(end, ends[i].end);
    }
    epoch_cache_truncate_from_start(&cache, 35);
    assert_int_equal(cache.count, 2);
    assert_int_equal(cache.entries[0].start_offset, 35);
    assert_int_equal(cache.entries[0].epoch, 4);
    epoch_cache_truncate_from_end(&cache, 40);
    assert_int_equal(epoch_cache_latest(&cache), 4);
    epoch_cache_assign(&cache, 9, 45);
    epoch_cache_assign(&cache, 5, 36); /* drops what starts at or above it or has a higher epoch */
    assert_int_equal(cache.count, 2);
    assert_int_equal(epoch_cache_latest(&cache), 5);
    struct buffer text;
    buffer_init(&text);
    epoch_cache_format(&cache, &text);
    assert_string_equal(buffer_string(&text), "0\n2\n4 35\n5 36\n");
    struct epoch_cache parsed;
    epoch_cache_init(&parsed);
    assert_int_equal(epoch_cache_parse(&parsed, buffer_slice(&text)), 0);
    assert_int_equal(parsed.count, 2);
    static const char *const bad[] = {"",
                                      "1\n0\n",
                                      "0\n1\n",
                                      "0\n0\n1 1\n",
                                      "0\n1\n1\n",
                                      "0\n1\n1 x\n",
                                      "0\n2\n2 5\n1 9\n",
                                      "0\n2\n1 5\n2 4\n",
                                      "0\n1\n1 2 3\n",
                                      "0\nx\n"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(epoch_cache_parse(&parsed, slice_of(bad[i])), -EBADMSG);
        assert_int_equal(parsed.count, 0);
    }
    buffer_release(&text);
    epoch_cache_release(&parsed);
    epoch_cache_release(&cache);
}

static void checkpoints_are_strict(void **state)
{
    (void)state;
    struct checkpoint checkpoint;
    struct buffer text;
    checkpoint_init(&checkpoint);
    buffer_init(&text);
    checkpoint_add(&checkpoint, slice_of("orders"), 0, 1204);
    checkpoint_add(&checkpoint, slice_of("orders"), 1, 9223372036854775807);
    checkpoint_format(&checkpoint, &text);
    assert_string_equal(buffer_string(&text), "0\n2\norders 0 1204\norders 1 9223372036854775807\n");
    checkpoint_clear(&checkpoint);
    assert_int_equal(checkpoint_parse(&checkpoint, slice_of("0\n1\norders 0 1204\n")), 0);
    assert_int_equal(checkpoint.count, 1);
    assert_string_equal(checkpoint.entries[0].topic, "orders");
    static const char *const bad[] = {
        "",
        "0",
        "0\n",
        "1\n0\n",
        "0\n1\n",
        "0\n1\na 0\n",
        "0\n1\na 0 1 2\n",
        "0\n1\na -1 2\n",
        "0\n1\na 0 -2\n",
        "0\n1\n 0 2\n",
        "0\n2\na 0 1\n",
        "0\n0\na 0 1\n",
        "0\n1\na 0 x\n",
        "0\n-1\n",
        "0\n1\na 4294967296 1\n",
        "0\n1\na 0 99999999999999999999\n",
        "x\n0\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(checkpoint_parse(&checkpoint, slice_of(bad[i])), -EBADMSG);
        assert_int_equal(checkpoint.count, 1);
    }
    checkpoint_release(&checkpoint);
    buffer_release(&text);
}

static void file_names_are_recognised(void **state)
{
    (void)state;
    struct log_file_name name = log_file_name_parse("00000000000000001204.log");
    assert_true(name.kind == LOG_FILE_LOG && name.state == LOG_FILE_LIVE && name.offset == 1204);
    name = log_file_name_parse("00000000000000001204.timeindex.deleted");
    assert_true(name.kind == LOG_FILE_TIME_INDEX && name.state == LOG_FILE_DELETED);
    name = log_file_name_parse("09223372036854775807.index.swap");
    assert_true(name.kind == LOG_FILE_OFFSET_INDEX && name.state == LOG_FILE_SWAP &&
                name.offset == INT64_MAX);
    name = log_file_name_parse("00000000000000000000.snapshot");
    assert_true(name.kind == LOG_FILE_SNAPSHOT && name.offset == 0);
    static const char *const others[] = {"",
                                         ".log",
                                         "1.log",
                                         "09223372036854775808.log",
                                         "0000000000000000000x.log",
                                         "leader-epoch-checkpoint",
                                         "partition.metadata",
                                         "00000000000000001204.lock"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_int_equal(log_file_name_parse(others[i]).kind, LOG_FILE_OTHER);
}

static void folder_names_are_recognised(void **state)
{
    (void)state;
    static const struct {
        const char *name, *topic;
        enum log_folder_kind kind;
        int32_t partition;
    } folders[] = {
        {"orders-0", "orders", LOG_FOLDER_LIVE, 0},
        {"a-b-c-17", "a-b-c", LOG_FOLDER_LIVE, 17},
        {"orders--3", "orders-", LOG_FOLDER_LIVE, 3},
        {"__consumer_offsets-49", "__consumer_offsets", LOG_FOLDER_LIVE, 49},
        {"orders-0.0123456789abcdef0123456789abcdef-delete", "orders", LOG_FOLDER_DELETE, 0},
        {"orders-5.0123456789abcdef0123456789abcdef-future", "orders", LOG_FOLDER_FUTURE, 5},
        {"my-stray-1.0123456789abcdef0123456789abcdef-stray", "my-stray", LOG_FOLDER_STRAY, 1},
        {"orders", NULL, LOG_FOLDER_OTHER, -1},
        {"-0", NULL, LOG_FOLDER_OTHER, -1},
        {"orders-", NULL, LOG_FOLDER_OTHER, -1},
        {"orders-x", NULL, LOG_FOLDER_OTHER, -1},
        {"orders-4294967296", NULL, LOG_FOLDER_OTHER, -1},
        {"orders-0-delete", NULL, LOG_FOLDER_OTHER, -1},
        {"orders-0.0123-delete", NULL, LOG_FOLDER_OTHER, -1},
        {"", NULL, LOG_FOLDER_OTHER, -1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        struct log_folder_name parsed = log_folder_name_parse(folders[i].name);
        assert_int_equal(parsed.kind, folders[i].kind);
        assert_int_equal(parsed.partition, folders[i].partition);
        assert_true(slice_equals(parsed.topic, slice_of(folders[i].topic)));
    }
    char topic[250];
    memset(topic, 't', sizeof(topic));
    struct buffer name;
    buffer_init(&name);
    log_folder_name_format_delete(&name, slice_make(topic, 249), 123, (const uint8_t[16]){1, 2, 0xab});
    assert_int_equal(name.length, 255);
    assert_int_equal(log_folder_name_parse(buffer_string(&name)).kind, LOG_FOLDER_DELETE);
    buffer_release(&name);
}

static void i12_meta_properties_name_their_broker(void **state)
{
    (void)state;
    struct buffer text, error;
    buffer_init(&text);
    buffer_init(&error);
    meta_properties_format(3, "u4zkQmXqRl2wJ0Jq9fB1Zg", &text);
    assert_string_equal(buffer_string(&text), "version=0\nbroker.id=3\ncluster.id=u4zkQmXqRl2wJ0Jq9fB1Zg\n");
    assert_int_equal(meta_properties_check(buffer_slice(&text), 3, "u4zkQmXqRl2wJ0Jq9fB1Zg", &error), 0);
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"#\n#Fri Nov 20 18:00:00 UTC 2026\nbroker.id=2\nversion=0\ncluster.id=c\n", "broker.id=2"},
        {"version=0\nbroker.id=3\ncluster.id=other\n", "cluster.id=other"},
        {"version=1\nnode.id=3\ncluster.id=c\n", "KRaft"},
        {"broker.id=3\ncluster.id=c\n", "version=0"},
        {"version=7\nbroker.id=3\ncluster.id=c\n", "version=0"},
        {"version=0\nbroker.id=three\ncluster.id=c\n", "broker.id=three"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        buffer_clear(&error);
        assert_int_equal(meta_properties_check(slice_of(bad[i].text), 3, "c", &error), -EINVAL);
        assert_non_null(strstr(buffer_string(&error), bad[i].says));
    }
    assert_int_equal(
        meta_properties_check(slice_of("#note\ndirectory.id=x\nversion=0\ncluster.id=c\nbroker.id=3\n"), 3,
                              "c", &error),
        0);
    buffer_release(&text);
    buffer_release(&error);
}

static void i12_partition_metadata_names_its_topic(void **state)
{
    (void)state;
    struct uuid id, parsed;
    assert_int_equal(uuid_parse(slice_of("AAECAwQFBgcICQoLDA0ODw"), &id), 0);
    struct buffer text;
    buffer_init(&text);
    partition_metadata_format(id, &text);
    assert_string_equal(buffer_string(&text), "version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw");
    assert_int_equal(partition_metadata_parse(buffer_slice(&text), &parsed), 0);
    assert_true(uuid_equals(id, parsed));
    assert_int_equal(
        partition_metadata_parse(slice_of("version: 0\ntopic_id: AAECAwQFBgcICQoLDA0ODw\n"), &parsed), 0);
    assert_int_equal(
        partition_metadata_parse(slice_of("version: 1\ntopic_id: AAECAwQFBgcICQoLDA0ODw\n"), &parsed),
        -EBADMSG);
    assert_int_equal(partition_metadata_parse(slice_of(""), &parsed), -EBADMSG);
    buffer_release(&text);

    struct log_fixture fixture;
    log_fixture_init(&fixture, 41);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    assert_true(uuid_is_zero(partition_log_topic_id(fixture.log)));
    assert_int_equal(partition_log_set_topic_id(fixture.log, id), 0);
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    assert_true(uuid_equals(partition_log_topic_id(fixture.log), id));
    assert_int_equal(partition_log_set_topic_id(fixture.log, id), 0);
    id.bytes[0] ^= 1;
    assert_int_equal(partition_log_set_topic_id(fixture.log, id), -EEXIST);
    log_fixture_release(&fixture);
}

/* What Kafka's rules make of three appends with an interval of 0: an entry for each but the first. */
static void indexes_have_the_documented_bytes(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 42);
    fixture.options.settings.index_interval_bytes = 0;
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    for (int i = 0; i < 3; i++) {
        struct batch_plan plan = batch_plan_plain(2, 1000 + i);
        assert_int_equal(log_fixture_append_plan(&fixture, &plan), KAFKA_NONE);
    }
    uint32_t first = (uint32_t)fixture.batches[0].bytes.length;
    uint32_t second = first + (uint32_t)fixture.batches[1].bytes.length;
    uint8_t offsets[16], times[24];
    store_u32(offsets, 3);
    store_u32(offsets + 4, first);
    store_u32(offsets + 8, 5);
    store_u32(offsets + 12, second);
    store_u64(times, 1001);
    store_u32(times + 8, 3);
    store_u64(times + 12, 1002);
    store_u32(times + 20, 5);
    struct file_status status;
    assert_int_equal(
        file_system_status(fixture.options.files, FIXTURE_DIRECTORY "/00000000000000000000.index", &status),
        -ENOENT);
    log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
    for (int round = 0; round < 3; round++) {
        struct buffer content;
        buffer_init(&content);
        const char *path = FIXTURE_DIRECTORY "/00000000000000000000.index";
        assert_int_equal(file_system_read_all(fixture.options.files, path, 1000, &content), 0);
        assert_int_equal(content.length, sizeof(offsets));
        assert_memory_equal(content.data, offsets, sizeof(offsets));
        buffer_clear(&content);
        path = FIXTURE_DIRECTORY "/00000000000000000000.timeindex";
        assert_int_equal(file_system_read_all(fixture.options.files, path, 1000, &content), 0);
        assert_int_equal(content.length, sizeof(times));
        assert_memory_equal(content.data, times, sizeof(times));
        buffer_release(&content);
        if (round == 0) {
            log_fixture_crash(&fixture, MEMORY_FILES_PROCESS_CRASH);
        } else if (round == 1) {
            assert_int_equal(partition_log_close(fixture.log), 0);
            struct buffer epochs;
            buffer_init(&epochs);
            path = FIXTURE_DIRECTORY "/leader-epoch-checkpoint";
            assert_int_equal(file_system_read_all(fixture.options.files, path, 1000, &epochs), 0);
            assert_string_equal(buffer_string(&epochs), "0\n1\n0 0\n");
            buffer_release(&epochs);
        }
    }
    log_fixture_release(&fixture);
}

/* Files that compaction and deletion left when the process died. */
static void leftovers_are_cleared(void **state)
{
    (void)state;
    struct log_fixture fixture;
    log_fixture_init(&fixture, 43);
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    while (fixture.log->segments_count < 3)
        assert_int_equal(log_fixture_append(&fixture), KAFKA_NONE);
    int64_t base = fixture.log->segments[1]->base_offset;
    log_fixture_stop(&fixture);
    struct file_system *files = fixture.options.files;
    struct buffer from, to;
    buffer_init(&from);
    buffer_init(&to);
    buffer_print(&from, "%s/%020" PRId64 ".log", FIXTURE_DIRECTORY, base);
    buffer_print(&to, "%s.swap", buffer_string(&from));
    assert_int_equal(file_system_rename(files, buffer_string(&from), buffer_string(&to)), 0);
    static const char *const left[] = {"/00000000000000000007.log.deleted",
                                       "/00000000000000009999.log.cleaned", "/00000000000000000003.index",
                                       "/00000000000000000000.index.deleted"};
    for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
        struct file *file;
        buffer_clear(&to);
        buffer_print(&to, "%s%s", FIXTURE_DIRECTORY, left[i]);
        assert_int_equal(file_open(files, buffer_string(&to), FILE_CREATE, &file), 0);
        file_close(files, file);
    }
    assert_int_equal(log_fixture_open(&fixture, true), 0);
    log_fixture_check(&fixture);
    struct file_status status;
    for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
        buffer_clear(&to);
        buffer_print(&to, "%s%s", FIXTURE_DIRECTORY, left[i]);
        assert_int_equal(file_system_status(files, buffer_string(&to), &status), -ENOENT);
    }
    assert_int_equal(file_system_status(files, buffer_string(&from), &status), 0);
    buffer_release(&from);
    buffer_release(&to);
    log_fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(i4_epochs_follow_the_rules),
        cmocka_unit_test(checkpoints_are_strict),
        cmocka_unit_test(file_names_are_recognised),
        cmocka_unit_test(folder_names_are_recognised),
        cmocka_unit_test(i12_meta_properties_name_their_broker),
        cmocka_unit_test(i12_partition_metadata_names_its_topic),
        cmocka_unit_test(indexes_have_the_documented_bytes),
        cmocka_unit_test(leftovers_are_cleared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
