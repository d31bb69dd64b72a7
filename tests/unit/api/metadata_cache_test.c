/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata cache: full and incremental updates, deletions, re-creation, and images that stay as they
 * were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "broker/config/broker_config.h"
#include "broker/replica/metadata_cache.h"

static struct broker_config config;

static int configure(void **state)
{
    (void)state;
    struct buffer said;
    buffer_init(&said);
    broker_config_init(&config);
    int rc = broker_config_parse(&config, slice_of("broker.id=1\nzookeeper.connect=z:1\n"),
                                 "server.properties", &said, &said);
    buffer_release(&said);
    return rc;
}

static int release(void **state)
{
    (void)state;
    broker_config_release(&config);
    return 0;
}

static struct control_endpoint endpoint = {
    .listener = {(const uint8_t *)"PLAINTEXT", 9}, .host = {(const uint8_t *)"h", 1}, .port = 9092};

static struct control_partition partition_of(int32_t number, int32_t leader, int32_t epoch)
{
    static int32_t replicas[] = {1, 2, 3};
    static struct isr_member isr[] = {{1, 10}, {3, 30}};
    return (struct control_partition){.partition = number,
                                      .leader = leader,
                                      .leader_epoch = epoch,
                                      .isr = isr,
                                      .isr_count = 2,
                                      .replicas = replicas,
                                      .replicas_count = 3};
}

static struct uuid id_of(uint8_t byte)
{
    struct uuid id = {{0}};
    id.bytes[0] = byte;
    id.bytes[15] = 1;
    return id;
}

static void update_one(struct metadata_cache *cache, bool full, const char *name, struct uuid id,
                       struct control_partition *partitions, size_t count)
{
    struct control_broker brokers[] = {
        {.id = 3, .epoch = 30, .endpoints = &endpoint, .endpoints_count = 1},
        {.id = 1, .epoch = 10, .rack = slice_of("r"), .endpoints = &endpoint, .endpoints_count = 1}};
    struct control_setting setting = {slice_of("min.insync.replicas"), slice_of("2")};
    struct control_topic topic = {.name = slice_of(name),
                                  .topic_id = id,
                                  .settings = &setting,
                                  .settings_count = 1,
                                  .partitions = partitions,
                                  .partitions_count = count};
    const struct update_metadata_request update = {.controller_id = 3,
                                                   .full = full,
                                                   .brokers = brokers,
                                                   .brokers_count = 2,
                                                   .topics = &topic,
                                                   .topics_count = name ? 1 : 0};
    metadata_cache_update(cache, &update);
}

static void an_update_is_seen_whole(void **state)
{
    (void)state;
    struct metadata_cache *cache = metadata_cache_new(&config, "cluster");
    const struct metadata_image *before = metadata_cache_acquire(cache);
    assert_int_equal(metadata_image_controller_id(before), -1);
    struct control_partition partitions[] = {partition_of(1, 3, 4), partition_of(0, 1, 5)};
    update_one(cache, true, "a", id_of(1), partitions, 2);
    const struct metadata_image *image = metadata_cache_acquire(cache);
    assert_string_equal(metadata_cache_cluster_id(cache), "cluster");
    assert_int_equal(metadata_image_controller_id(image), 3);
    assert_int_equal(metadata_image_broker_count(image), 2);
    assert_int_equal(metadata_image_broker_at(image, 0)->id, 1);
    assert_true(slice_is(metadata_image_broker(image, 1)->rack, "r"));
    assert_true(slice_is_null(metadata_image_broker(image, 3)->rack));
    assert_null(metadata_image_broker(image, 2));
    assert_int_equal(metadata_broker_endpoint(metadata_image_broker(image, 3), "PLAINTEXT")->port, 9092);
    assert_null(metadata_broker_endpoint(metadata_image_broker(image, 3), "SSL"));
    const struct metadata_topic *topic = metadata_image_topic(image, slice_of("a"));
    assert_ptr_equal(topic, metadata_image_topic_by_id(image, id_of(1)));
    assert_int_equal(topic->effective.min_insync_replicas, 2);
    assert_int_equal(topic->partitions_count, 2);
    assert_int_equal(metadata_topic_partition(topic, 1)->leader, 3);
    assert_int_equal(metadata_topic_partition(topic, 0)->isr[1], 3);
    assert_null(metadata_topic_partition(topic, 2));
    /* The image of before has not changed. */
    assert_null(metadata_image_topic(before, slice_of("a")));
    assert_int_equal(metadata_image_topic_count(before), 0);
    metadata_image_release(before);
    metadata_image_release(image);
    metadata_cache_free(cache);
}

static void partitions_and_topics_come_and_go(void **state)
{
    (void)state;
    struct metadata_cache *cache = metadata_cache_new(&config, "cluster");
    struct control_partition partitions[] = {partition_of(0, 1, 0), partition_of(1, 1, 0)};
    update_one(cache, true, "a", id_of(1), partitions, 2);
    /* One partition changes, the other stays. */
    struct control_partition moved = partition_of(1, 3, 7);
    update_one(cache, false, "a", id_of(1), &moved, 1);
    const struct metadata_image *image = metadata_cache_acquire(cache);
    const struct metadata_topic *topic = metadata_image_topic(image, slice_of("a"));
    assert_int_equal(topic->partitions_count, 2);
    assert_int_equal(metadata_topic_partition(topic, 0)->leader, 1);
    assert_int_equal(metadata_topic_partition(topic, 1)->leader_epoch, 7);
    metadata_image_release(image);
    /* A topic without partitions was deleted; a late word of another one of that name changes nothing. */
    update_one(cache, false, "a", id_of(9), NULL, 0);
    image = metadata_cache_acquire(cache);
    assert_int_equal(metadata_image_topic(image, slice_of("a"))->partitions_count, 2);
    metadata_image_release(image);
    update_one(cache, false, "a", id_of(1), NULL, 0);
    image = metadata_cache_acquire(cache);
    assert_null(metadata_image_topic(image, slice_of("a")));
    metadata_image_release(image);
    update_one(cache, false, "a", id_of(1), partitions, 2);
    /* Deleted and created anew: another id, nothing of the old one stays. */
    struct control_partition anew = partition_of(0, 1, 0);
    update_one(cache, false, "a", id_of(2), &anew, 1);
    image = metadata_cache_acquire(cache);
    assert_int_equal(metadata_image_topic(image, slice_of("a"))->partitions_count, 1);
    assert_null(metadata_image_topic_by_id(image, id_of(1)));
    assert_non_null(metadata_image_topic_by_id(image, id_of(2)));
    assert_int_equal(metadata_image_topic_count(image), 1);
    metadata_image_release(image);
    /* The last partition goes, and the topic with it. */
    struct control_partition deleted = partition_of(0, NO_LEADER_DELETED, 0);
    update_one(cache, false, "a", id_of(2), &deleted, 1);
    image = metadata_cache_acquire(cache);
    assert_null(metadata_image_topic(image, slice_of("a")));
    assert_null(metadata_image_topic_by_id(image, id_of(2)));
    assert_int_equal(metadata_image_topic_count(image), 0);
    metadata_image_release(image);
    metadata_cache_free(cache);
}

static void many_topics_are_found_and_listed(void **state)
{
    (void)state;
    struct metadata_cache *cache = metadata_cache_new(&config, "cluster");
    char name[32];
    for (int i = 0; i < 1000; i++) {
        struct control_partition partition = partition_of(0, 1, i);
        struct uuid id = id_of((uint8_t)i);
        id.bytes[1] = (uint8_t)(i >> 8);
        snprintf(name, sizeof(name), "topic-%d", i);
        update_one(cache, false, name, i == 999 ? (struct uuid){{0}} : id, &partition, 1);
    }
    const struct metadata_image *image = metadata_cache_acquire(cache);
    assert_int_equal(metadata_image_topic_count(image), 1000);
    size_t position = 0;
    size_t count = 0;
    const struct metadata_topic *topic;
    while ((topic = metadata_image_next_topic(image, &position)) != NULL) {
        assert_ptr_equal(metadata_image_topic(image, topic->name), topic);
        if (!uuid_is_zero(topic->topic_id))
            assert_ptr_equal(metadata_image_topic_by_id(image, topic->topic_id), topic);
        count++;
    }
    assert_int_equal(count, 1000);
    metadata_image_release(image);
    /* A full update forgets what it does not name. */
    struct control_partition partition = partition_of(0, 1, 0);
    update_one(cache, true, "topic-5", id_of(5), &partition, 1);
    image = metadata_cache_acquire(cache);
    assert_int_equal(metadata_image_topic_count(image), 1);
    metadata_image_release(image);
    update_one(cache, true, NULL, id_of(0), NULL, 0);
    image = metadata_cache_acquire(cache);
    position = 0;
    assert_null(metadata_image_next_topic(image, &position));
    metadata_image_release(image);
    metadata_cache_free(cache);
}

static void untouched_topics_are_shared(void **state)
{
    (void)state;
    struct metadata_cache *cache = metadata_cache_new(&config, "cluster");
    struct control_partition partition = partition_of(0, 1, 0);
    update_one(cache, false, "a", id_of(1), &partition, 1);
    update_one(cache, false, "b", id_of(2), &partition, 1);
    const struct metadata_image *before = metadata_cache_acquire(cache);
    partition.leader_epoch = 9;
    update_one(cache, false, "b", id_of(2), &partition, 1);
    const struct metadata_image *after = metadata_cache_acquire(cache);
    assert_ptr_equal(metadata_image_topic(before, slice_of("a")), metadata_image_topic(after, slice_of("a")));
    assert_int_equal(metadata_image_topic(before, slice_of("b"))->partitions[0].leader_epoch, 0);
    assert_int_equal(metadata_image_topic(after, slice_of("b"))->partitions[0].leader_epoch, 9);
    metadata_image_release(before);
    metadata_image_release(after);
    metadata_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_is_seen_whole),
        cmocka_unit_test(partitions_and_topics_come_and_go),
        cmocka_unit_test(many_topics_are_found_and_listed),
        cmocka_unit_test(untouched_topics_are_shared),
    };
    return cmocka_run_group_tests(tests, configure, release);
}
