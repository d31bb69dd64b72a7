/* SPDX-License-Identifier: Apache-2.0 */
/* Placement: known tables of Kafka's algorithm, and what must hold for any cluster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/prng.h"
#include "coordinator/controller/assign.h"
#include "coordinator/controller/topic_rules.h"
#include "tests/unit/controller/cluster_image.h"

#define BROKERS_MAX 12
#define PARTITIONS_MAX 40

static void make_brokers(struct image *image, int count, const char *const *racks)
{
    image_init(image);
    for (int i = 0; i < count; i++)
        cluster_add_broker(image, i, 1, -1, racks != NULL ? racks[i] : NULL);
}

static void expect(const struct image *image, struct assign_request request, const int32_t *wanted)
{
    int32_t replicas[PARTITIONS_MAX * BROKERS_MAX];
    assert_int_equal(assign_replicas(&image->brokers, &request, replicas), ASSIGN_OK);
    assert_memory_equal(replicas, wanted,
                        request.partition_count * request.replication_factor * sizeof(*wanted));
}

static void known_tables(void **state)
{
    (void)state;
    struct image image;
    make_brokers(&image, 5, NULL);
    expect(&image, (struct assign_request){10, 3, 0, 0, 0},
           (int32_t[]){0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 0, 4, 0, 1,
                       0, 2, 3, 1, 3, 4, 2, 4, 0, 3, 0, 1, 4, 1, 2});
    image_release(&image);
    /* six brokers in three racks, as alternated: 0(a) 3(b) 1(c) 5(a) 4(b) 2(c) */
    static const char *const racks[] = {"a", "c", "c", "b", "b", "a"};
    make_brokers(&image, 6, racks);
    expect(&image, (struct assign_request){7, 3, 0, 0, 0},
           (int32_t[]){0, 3, 1, 3, 1, 5, 1, 5, 4, 5, 4, 2, 4, 2, 0, 2, 0, 3, 0, 4, 2});
    image_release(&image);
}

/* Partitions added later stand where they would have stood. */
static void growth(void **state)
{
    (void)state;
    struct image image;
    make_brokers(&image, 4, NULL);
    int32_t all[20 * 3], later[8 * 3];
    struct assign_request whole = {20, 3, 0, 2, 2};
    assert_int_equal(assign_replicas(&image.brokers, &whole, all), ASSIGN_OK);
    struct assign_request first = {3, 3, 1, 2, 2};
    assert_int_equal(assign_replicas(&image.brokers, &first, later), ASSIGN_OK);
    assert_memory_equal(later, all + 3, 3 * 3 * sizeof(*all));
    image_release(&image);
}

static void refusals(void **state)
{
    (void)state;
    struct image image;
    int32_t replicas[BROKERS_MAX];
    static const char *const some[] = {"a", NULL, "b"};
    make_brokers(&image, 0, NULL);
    struct assign_request request = {1, 1, 0, 0, 0};
    assert_int_equal(assign_replicas(&image.brokers, &request, replicas), ASSIGN_TOO_FEW_BROKERS);
    image_release(&image);
    make_brokers(&image, 3, some);
    assert_int_equal(assign_replicas(&image.brokers, &request, replicas), ASSIGN_RACKS_PARTIAL);
    request.replication_factor = 4;
    assert_int_equal(assign_replicas(&image.brokers, &request, replicas), ASSIGN_TOO_FEW_BROKERS);
    image_release(&image);
}

/* Over how many racks the replicas of one partition spread. */
static size_t racks_of(const char *const *racks, const int32_t *replicas, size_t count)
{
    size_t different = 0;
    for (size_t i = 0; i < count; i++) {
        bool fresh = true;
        for (size_t j = 0; j < i; j++)
            fresh = fresh && strcmp(racks[replicas[i]], racks[replicas[j]]) != 0;
        different += fresh;
    }
    return different;
}

static void random_clusters(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 99);
    printf("seed 99\n");
    static const char *const names[] = {"a", "b", "c", "d"};
    for (int round = 0; round < 5000; round++) {
        struct image image;
        const char *racks[BROKERS_MAX];
        int count = (int)prng_between(&prng, 1, BROKERS_MAX);
        bool with_racks = prng_one_in(&prng, 2);
        for (int i = 0; i < count; i++)
            racks[i] = names[prng_below(&prng, ARRAY_SIZE(names))];
        make_brokers(&image, count, with_racks ? racks : NULL);
        int32_t every[BROKERS_MAX], replicas[PARTITIONS_MAX * BROKERS_MAX], led[BROKERS_MAX] = {0};
        for (int i = 0; i < count; i++)
            every[i] = i;
        struct assign_request request = {
            (size_t)prng_between(&prng, 1, PARTITIONS_MAX), (size_t)prng_between(&prng, 1, count),
            prng_below(&prng, 50), prng_below(&prng, (uint64_t)count), prng_below(&prng, (uint64_t)count)};
        size_t factor = request.replication_factor;
        assert_int_equal(assign_replicas(&image.brokers, &request, replicas), ASSIGN_OK);
        for (size_t p = 0; p < request.partition_count; p++) {
            const int32_t *of = &replicas[p * factor];
            assert_null(topic_replicas_problem(of, factor, factor));
            led[of[0]]++;
            if (with_racks)
                assert_int_equal(racks_of(racks, of, factor),
                                 min_size(factor, racks_of(racks, every, (size_t)count)));
        }
        for (int i = 0; i < count; i++)
            for (int j = 0; j < count; j++)
                assert_true(led[i] - led[j] <= 1);
        image_release(&image);
    }
}

static void names(void **state)
{
    (void)state;
    struct image image;
    image_init(&image);
    assert_null(topic_name_problem(slice_of("a.b_c-9")));
    assert_non_null(topic_name_problem(slice_of("")));
    assert_non_null(topic_name_problem(slice_of("..")));
    assert_non_null(topic_name_problem(slice_of("a/b")));
    assert_non_null(topic_name_problem(slice_make("a\0b", 3)));
    image_add_topic(&image, slice_of("a.b"));
    assert_non_null(topic_name_collision(&image, slice_of("a_b")));
    assert_null(topic_name_collision(&image, slice_of("a.b")));
    assert_null(topic_name_collision(&image, slice_of("a-b")));
    image_release(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_tables), cmocka_unit_test(growth),          cmocka_unit_test(refusals),
        cmocka_unit_test(names),        cmocka_unit_test(random_clusters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
