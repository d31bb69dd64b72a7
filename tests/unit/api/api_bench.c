/* SPDX-License-Identifier: Apache-2.0 */
/* Building the broker of a test, see api_bench.h. */
#include "tests/unit/api/api_bench.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "broker/replica/topic_log_settings.h"
#include "proto/kafka/api.h"
#include "proto/kafka/error.h"
#include "proto/kafka/messages/produce.h"
#include "proto/records/builder.h"

#define BROKER_EPOCH 100

static void no_follow(struct replica_host *host, struct partition *partition, int32_t leader)
{
    (void)host;
    (void)partition;
    (void)leader;
}

static void no_unfollow(struct replica_host *host, struct partition *partition)
{
    (void)host;
    (void)partition;
}

static void host_topic_settings(struct replica_host *host, const struct control_setting *settings,
                                size_t count, struct log_settings *log_settings, int32_t *min_insync_replicas)
{
    struct api_bench *bench = container_of(host, struct api_bench, host);
    log_settings_from_control(&bench->config, settings, count, log_settings, min_insync_replicas);
}

static void link_forward(struct controller_link *link, struct controller_call *call)
{
    struct api_bench *bench = container_of(link, struct api_bench, link);
    assert_true(bench->calls_count < BENCH_CALLS_MAX);
    bench->calls[bench->calls_count++] = call;
}

static void link_deliver(struct controller_link *link, struct control_delivery *delivery)
{
    struct api_bench *bench = container_of(link, struct api_bench, link);
    control_carry_out(api_context_of(bench->api), &delivery->request, &delivery->arena, &delivery->answer);
    control_delivery_finish(delivery);
}

static void read_config(struct api_bench *bench, const char *properties)
{
    struct buffer text;
    struct buffer said;
    buffer_init(&text);
    buffer_init(&said);
    buffer_print(&text, "broker.id=1\nzookeeper.connect=z:1\nlog.dirs=/data\n%s", properties);
    broker_config_init(&bench->config);
    if (broker_config_parse(&bench->config, buffer_slice(&text), "server.properties", &said, &said) < 0)
        fail_msg("%s", buffer_string(&said));
    buffer_release(&text);
    buffer_release(&said);
}

static void open_logs(struct api_bench *bench)
{
    struct buffer error;
    buffer_init(&error);
    bench->files = memory_files_new(1);
    struct log_manager_options options = {.files = memory_files_system(bench->files),
                                          .directories = (const char *const *)bench->config.log_dirs,
                                          .directories_count = bench->config.log_dirs_count,
                                          .broker_id = 1,
                                          .cluster_id = "cluster",
                                          .recovery_threads = 0};
    log_settings_init(&options.defaults);
    if (log_manager_open(&options, &bench->logs, &error) < 0)
        fail_msg("%s", buffer_string(&error));
    buffer_release(&error);
}

void api_bench_init(struct api_bench *bench, const char *properties)
{
    *bench = (struct api_bench){.calls_count = 0};
    reactor_open(&bench->reactor);
    read_config(bench, properties);
    open_logs(bench);
    bench->host.follow = no_follow;
    bench->host.unfollow = no_unfollow;
    bench->host.proposal_wanted = no_unfollow;
    bench->host.topic_settings = host_topic_settings;
    const struct replica_manager_options options = {
        .broker_id = 1, .logs = bench->logs, .host = &bench->host, .replica_lag_time_max_ms = 30000};
    bench->replicas = replica_manager_new(&options);
    replica_manager_set_broker_epoch(bench->replicas, BROKER_EPOCH);
    const struct mover_options mover = {.replicas = bench->replicas, .bytes_per_second = INT64_MAX};
    bench->mover = mover_new(&mover);
    bench->metadata = metadata_cache_new(&bench->config, "cluster");
    bench->link.forward = link_forward;
    bench->link.deliver = link_deliver;
    replication_throttles_init(&bench->throttles, 11, 1000);
    const struct api_context context = {.config = &bench->config,
                                        .metadata = bench->metadata,
                                        .replicas = bench->replicas,
                                        .throttles = &bench->throttles,
                                        .mover = bench->mover,
                                        .controller = &bench->link,
                                        .broker_id = 1};
    bench->api = api_new(&context, 5);
}

int64_t bench_now_ms(const struct api_bench *bench)
{
    const struct api_clock *clock = api_context_of(bench->api)->clock;
    return clock->monotonic_ms(clock);
}

void api_bench_release(struct api_bench *bench)
{
    while (bench->calls_count > 0)
        api_bench_answer(bench, -ECANCELED, NULL);
    mover_free(bench->mover);
    replica_manager_free(bench->replicas);
    reactor_close(&bench->reactor);
    api_free(bench->api);
    replication_throttles_release(&bench->throttles);
    metadata_cache_free(bench->metadata);
    log_manager_free(bench->logs);
    memory_files_free(bench->files);
    broker_config_release(&bench->config);
}

void api_bench_send(struct api_bench *bench, struct exchange *exchange, int16_t key, int16_t version,
                    const struct message_codec *codec, const void *body)
{
    exchange->request.inter_broker = false;
    exchange_start(exchange, &bench->reactor, api_handler(bench->api), key, version, codec, body,
                   slice_make("", 0));
}

static void send_control(struct api_bench *bench, const struct control_request *request)
{
    struct exchange exchange = {.request.inter_broker = true};
    struct buffer bytes;
    struct control_answer answer;
    buffer_init(&bytes);
    control_request_encode(request, &bytes);
    exchange_start(&exchange, &bench->reactor, api_handler(bench->api), CONTROL_API_KEY, CONTROL_API_VERSION,
                   NULL, NULL, buffer_slice(&bytes));
    buffer_release(&bytes);
    exchange_decode(&exchange, NULL, NULL);
    struct slice body = reader_slice(&exchange.body, reader_left(&exchange.body));
    assert_int_equal(control_answer_decode(body, &exchange.arena, &answer), 0);
    assert_int_equal(answer.response.error, KAFKA_NONE);
    for (size_t i = 0; i < answer.response.partitions_count; i++)
        assert_int_equal(answer.response.partitions[i].error, KAFKA_NONE);
    exchange_release(&exchange);
}

struct uuid api_bench_topic_id(const char *name)
{
    struct uuid id = {{1}};
    for (size_t i = 0; name[i] && i < 15; i++)
        id.bytes[i + 1] = (uint8_t)name[i];
    return id;
}

void api_bench_topic(struct api_bench *bench, const char *name, int32_t leader, int32_t leader_epoch,
                     size_t isr_count)
{
    struct control_endpoint endpoints[] = {{.listener = slice_of("PLAINTEXT"),
                                            .security_protocol = slice_of("PLAINTEXT"),
                                            .host = slice_of("127.0.0.1"),
                                            .port = 9092},
                                           {.listener = slice_of("PLAINTEXT"),
                                            .security_protocol = slice_of("PLAINTEXT"),
                                            .host = slice_of("two.example"),
                                            .port = 9093}};
    struct control_broker brokers[] = {
        {.id = 1, .epoch = BROKER_EPOCH, .endpoints = &endpoints[0], .endpoints_count = 1},
        {.id = 2,
         .epoch = BROKER_EPOCH + 1,
         .rack = slice_of("rack-2"),
         .endpoints = &endpoints[1],
         .endpoints_count = 1}};
    struct isr_member isr[] = {{leader, BROKER_EPOCH + leader - 1}, {3 - leader, BROKER_EPOCH + 2 - leader}};
    int32_t replicas[] = {1, 2};
    struct control_partition partition = {.controller_epoch = 1,
                                          .leader = leader,
                                          .leader_epoch = leader_epoch,
                                          .partition_epoch = leader_epoch,
                                          .isr = isr,
                                          .isr_count = isr_count,
                                          .replicas = replicas,
                                          .replicas_count = 2};
    struct control_topic topic = {.name = slice_of(name),
                                  .topic_id = api_bench_topic_id(name),
                                  .partitions = &partition,
                                  .partitions_count = 1};
    const struct control_request lead = {.kind = CONTROL_LEADER_AND_ISR,
                                         .leader_and_isr = {.controller_id = 2,
                                                            .controller_epoch = 1,
                                                            .broker_epoch = BROKER_EPOCH,
                                                            .brokers = brokers,
                                                            .brokers_count = 2,
                                                            .topics = &topic,
                                                            .topics_count = 1}};
    send_control(bench, &lead);
    const struct control_request update = {.kind = CONTROL_UPDATE_METADATA,
                                           .update_metadata = {.controller_id = 2,
                                                               .controller_epoch = 1,
                                                               .broker_epoch = BROKER_EPOCH,
                                                               .brokers = brokers,
                                                               .brokers_count = 2,
                                                               .topics = &topic,
                                                               .topics_count = 1}};
    send_control(bench, &update);
}

void api_bench_batch(struct buffer *batch, const char *value)
{
    struct record_batch_parameters parameters = record_batch_parameters_plain();
    struct record_batch_builder builder;
    record_batch_builder_init(&builder, &parameters);
    record_batch_builder_append(&builder, 1700000000000, slice_of(NULL), slice_of(value), NULL, 0);
    assert_int_equal(record_batch_builder_finish(&builder, CODEC_NONE, CODEC_DEFAULT_LEVEL, batch), 0);
    record_batch_builder_release(&builder);
}

void api_bench_produce(struct api_bench *bench, const char *topic, const char *value)
{
    struct exchange exchange;
    struct buffer batch;
    struct produce_response response;
    buffer_init(&batch);
    api_bench_batch(&batch, value);
    struct produce_request_partition_produce_data data = {.records = {.bytes = buffer_slice(&batch)}};
    struct produce_request_topic_produce_data topics = {
        .name = slice_of(topic), .partition_data = &data, .partition_data_count = 1};
    struct produce_request body;
    produce_request_init(&body);
    body.acks = 1;
    body.topic_data = &topics;
    body.topic_data_count = 1;
    api_bench_send(bench, &exchange, KAFKA_API_PRODUCE, 9, &produce_request_codec, &body);
    exchange_decode(&exchange, &produce_response_codec, &response);
    assert_int_equal(response.responses[0].partition_responses[0].error_code, KAFKA_NONE);
    exchange_release(&exchange);
    buffer_release(&batch);
}

void api_bench_answer(struct api_bench *bench, int status, const struct control_answer *answer)
{
    struct buffer bytes;
    buffer_init(&bytes);
    assert_true(bench->calls_count > 0);
    struct controller_call *call = bench->calls[0];
    bench->calls_count--;
    for (size_t i = 0; i < bench->calls_count; i++)
        bench->calls[i] = bench->calls[i + 1];
    if (answer)
        control_answer_encode(answer, &bytes);
    controller_call_finish(call, status, answer ? &bytes : NULL);
    buffer_release(&bytes);
    loop_run_once(bench->reactor.loop, 0);
}

void api_bench_follow(struct api_bench *bench, const char *topic, int64_t offset, int64_t log_start_offset)
{
    struct fetch_result result;
    const struct fetch_query query = {.replica_id = 2,
                                      .replica_epoch = 101,
                                      .current_leader_epoch = 0,
                                      .last_fetched_epoch = -1,
                                      .fetch_offset = offset,
                                      .log_start_offset = log_start_offset,
                                      .max_bytes = 1000000};
    struct partition *partition = replica_manager_find(bench->replicas, slice_of(topic), 0);
    assert_int_equal(partition_fetch(partition, &query, 1000, &result), KAFKA_NONE);
    log_range_release(&result.range);
    partition_release(partition);
}
