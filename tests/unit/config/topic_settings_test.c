/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of topics: from the broker's keys with their precedence, from the topic's own, and refused ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "broker/config/broker_config.h"

static void configure(struct broker_config *config, const char *more)
{
    struct buffer text;
    struct buffer said;
    buffer_init(&text);
    buffer_init(&said);
    buffer_print(&text, "broker.id=1\nzookeeper.connect=z:1\n%s", more);
    broker_config_init(config);
    if (broker_config_parse(config, buffer_slice(&text), "server.properties", &said, &said) < 0)
        fail_msg("%s", buffer_string(&said));
    buffer_release(&text);
    buffer_release(&said);
}

static void broker_keys_give_the_defaults(void **state)
{
    (void)state;
    struct broker_config config;
    configure(&config,
              "log.retention.hours=2\nlog.retention.minutes=3\nlog.roll.hours=5\nlog.roll.jitter.ms=9\n"
              "log.segment.bytes=1000\nlog.cleanup.policy=compact\ncompression.type=zstd\n"
              "log.message.timestamp.type=LogAppendTime\nmin.insync.replicas=2\n"
              "log.message.timestamp.difference.max.ms=77\nmessage.max.bytes=2000\n"
              "log.flush.scheduler.interval.ms=11\nunclean.leader.election.enable=true\n");
    const struct topic_settings *settings = &config.topic_defaults;
    assert_int_equal(settings->retention_ms, 180000);
    assert_int_equal(settings->segment_ms, 5 * 3600000);
    assert_int_equal(settings->segment_jitter_ms, 9);
    assert_int_equal(settings->segment_bytes, 1000);
    assert_true(settings->cleanup_compact);
    assert_false(settings->cleanup_delete);
    assert_int_equal(settings->compression, CODEC_ZSTD);
    assert_true(settings->log_append_time);
    assert_int_equal(settings->min_insync_replicas, 2);
    assert_int_equal(settings->timestamp_before_max_ms, 77);
    assert_int_equal(settings->timestamp_after_max_ms, 77);
    assert_int_equal(settings->max_message_bytes, 2000);
    assert_int_equal(settings->flush_ms, 11);
    assert_true(settings->unclean_leader_election_enable);
    broker_config_release(&config);

    configure(&config, "log.retention.ms=-5\nlog.retention.hours=2\n");
    assert_int_equal(config.topic_defaults.retention_ms, -1);
    broker_config_release(&config);
}

static void own_settings_are_laid_over(void **state)
{
    (void)state;
    struct broker_config config;
    configure(&config, "");
    const struct topic_setting own[] = {
        {slice_of("retention.ms"), slice_of("60000")},
        {slice_of("cleanup.policy"), slice_of("compact,delete")},
        {slice_of("compression.type"), slice_of("uncompressed")},
        {slice_of("min.insync.replicas"), slice_of("0")}, /* refused: left out */
        {slice_of("no.such.key"), slice_of("1")},
        {slice_of("message.timestamp.difference.max.ms"), slice_of("5")},
        {slice_of("message.timestamp.after.max.ms"), slice_of("6")},
        {slice_of("segment.bytes"), slice_of("4096")},
        {slice_of("min.cleanable.dirty.ratio"), slice_of("0.25")},
    };
    struct topic_settings settings = config.topic_defaults;
    topic_settings_apply(&settings, own, ARRAY_SIZE(own));
    assert_int_equal(settings.retention_ms, 60000);
    assert_true(settings.cleanup_compact && settings.cleanup_delete);
    assert_int_equal(settings.compression, CODEC_NONE);
    assert_int_equal(settings.min_insync_replicas, 1);
    assert_int_equal(settings.timestamp_before_max_ms, 5);
    assert_int_equal(settings.timestamp_after_max_ms, 6);
    assert_int_equal(settings.segment_bytes, 4096);
    assert_true(settings.min_cleanable_dirty_ratio == 0.25);
    broker_config_release(&config);
}

/* Every key's default passes the check for clients and reaches topic_default_text. */
static void every_key_has_its_default(void **state)
{
    (void)state;
    struct broker_config config;
    configure(&config, "");
    for (size_t i = 0; i < topic_key_count(); i++) {
        const struct config_key *key = topic_key_at(i);
        struct buffer text;
        buffer_init(&text);
        assert_true(topic_default_text(&config, key, &text));
        assert_string_equal(buffer_string(&text), key->default_text);
        assert_int_equal(topic_setting_check(slice_of(key->name), buffer_slice(&text), NULL),
                         slice_is_null(buffer_slice(&text)) ? -22 : 0);
        buffer_release(&text);
    }
    broker_config_release(&config);
}

static void refusals_are_sentences(void **state)
{
    (void)state;
    struct broker_config config;
    struct buffer error;
    configure(&config, "");
    buffer_init(&error);
    assert_true(topic_setting_check(slice_of("reten\ntion"), slice_of("1"), &error) < 0);
    assert_string_equal(buffer_string(&error), "there is no topic setting named reten\\x0ation");
    buffer_clear(&error);
    assert_true(topic_setting_check(slice_of("retention.ms"), slice_of("soon"), &error) < 0);
    assert_string_equal(buffer_string(&error), "retention.ms=soon: is not a number of type long");
    buffer_clear(&error);
    assert_true(topic_setting_check(slice_of("retention.ms"), slice_of(NULL), &error) < 0);
    assert_string_equal(buffer_string(&error), "retention.ms: must have a value");
    buffer_clear(&error);
    const struct topic_setting lags[] = {{slice_of("min.compaction.lag.ms"), slice_of("10")},
                                         {slice_of("max.compaction.lag.ms"), slice_of("9")}};
    assert_true(topic_settings_check(&config, lags, 2, &error) < 0);
    assert_non_null(strstr(buffer_string(&error), "must not be less than"));
    assert_int_equal(topic_settings_check(&config, lags, 1, NULL), 0);
    buffer_release(&error);
    broker_config_release(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broker_keys_give_the_defaults),
        cmocka_unit_test(own_settings_are_laid_over),
        cmocka_unit_test(every_key_has_its_default),
        cmocka_unit_test(refusals_are_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
