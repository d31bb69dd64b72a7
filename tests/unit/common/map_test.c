/* SPDX-License-Identifier: Apache-2.0 */
/* The ordered map against a naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/map.h"
#include "common/prng.h"

/* Keys are small numbers as text of various lengths; the model is an array in order of insertion. */
#define KEY_COUNT 400

struct model {
    int keys[KEY_COUNT];
    int values[KEY_COUNT];
    size_t count;
};

static int values[1000];

static struct slice key_of(int number, char *text)
{
    static const char filler[] = "a-rather-long-tail-of-a-key";
    int length = snprintf(text, 64, "%d%.*s", number, number % 27, filler);
    return slice_make(text, (size_t)length);
}

static size_t model_find(const struct model *model, int key)
{
    size_t i = 0;
    while (i < model->count && model->keys[i] != key)
        i++;
    return i;
}

static int model_put(struct model *model, int key, int value)
{
    size_t at = model_find(model, key);
    int former = at < model->count ? model->values[at] : -1;
    model->keys[at] = key;
    model->values[at] = value;
    if (at == model->count)
        model->count++;
    return former;
}

static int model_remove(struct model *model, int key)
{
    size_t at = model_find(model, key);
    if (at == model->count)
        return -1;
    int former = model->values[at];
    model->count--;
    memmove(&model->keys[at], &model->keys[at + 1], (model->count - at) * sizeof(int));
    memmove(&model->values[at], &model->values[at + 1], (model->count - at) * sizeof(int));
    return former;
}

static int number_of(const void *value)
{
    return value == NULL ? -1 : (int)((const int *)value - values);
}

static void compare(const struct map *map, const struct model *model)
{
    size_t position = 0;
    size_t seen = 0;
    struct slice key;
    void *value;
    char text[64];
    while (map_next(map, &position, &key, &value)) {
        assert_true(seen < model->count);
        assert_true(slice_equals(key, key_of(model->keys[seen], text)));
        assert_int_equal(number_of(value), model->values[seen]);
        seen++;
    }
    assert_int_equal(seen, model->count);
    assert_int_equal(map_size(map), model->count);
}

static void run_against_model(uint64_t seed, unsigned puts_of_ten)
{
    struct prng prng;
    prng_init(&prng, seed);
    struct map *map = map_new(prng_next(&prng));
    struct model model = {.count = 0};
    char text[64];
    for (int step = 0; step < 20000; step++) {
        int key = (int)prng_below(&prng, KEY_COUNT);
        int value = (int)prng_below(&prng, 1000);
        struct slice bytes = key_of(key, text);
        if (prng_below(&prng, 10) < puts_of_ten)
            assert_int_equal(number_of(map_put(map, bytes, &values[value])), model_put(&model, key, value));
        else
            assert_int_equal(number_of(map_remove(map, bytes)), model_remove(&model, key));
        size_t at = model_find(&model, (int)(key + 1) % KEY_COUNT);
        int expected = at < model.count ? model.values[at] : -1;
        assert_int_equal(number_of(map_get(map, key_of((key + 1) % KEY_COUNT, text))), expected);
        if (step % 100 == 0)
            compare(map, &model);
    }
    compare(map, &model);
    map_free(map);
}

static void test_map_is_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        run_against_model(seed, 2 + (unsigned)seed);
    }
}

static void test_map_removes_while_iterating(void **state)
{
    (void)state;
    struct map *map = map_new(7);
    for (uint64_t i = 0; i < 500; i++)
        assert_null(map_put(map, map_integer_key(&i), &values[i]));
    size_t position = 0;
    size_t seen = 0;
    struct slice key;
    void *value;
    while (map_next(map, &position, &key, &value)) {
        assert_int_equal(number_of(value), seen);
        if (seen % 3 != 0)
            assert_ptr_equal(map_remove(map, key), value); /* the key is the map's own */
        seen++;
    }
    assert_int_equal(seen, 500);
    assert_int_equal(map_size(map), 167);
    position = 0;
    while (map_next(map, &position, &key, NULL))
        assert_non_null(map_remove(map, key));
    assert_int_equal(map_size(map), 0);
    map_free(map);
}

static void test_map_as_a_queue(void **state)
{
    (void)state;
    struct map *map = map_new(9);
    uint64_t oldest = 0;
    for (uint64_t newest = 0; newest < 100000; newest++) {
        assert_null(map_put(map, map_integer_key(&newest), &values[newest % 1000]));
        if (map_size(map) < 10)
            continue;
        size_t position = 0;
        struct slice key;
        assert_true(map_next(map, &position, &key, NULL));
        assert_true(slice_equals(key, map_integer_key(&oldest)));
        assert_non_null(map_remove(map, key));
        oldest++;
    }
    map_free(map);
    map_free(NULL);
}

static void test_map_takes_empty_keys(void **state)
{
    (void)state;
    struct map *map = map_new(1);
    assert_null(map_get(map, slice_of("")));
    assert_null(map_remove(map, slice_of("")));
    assert_null(map_put(map, slice_of(""), &values[1]));
    assert_ptr_equal(map_put(map, slice_of(""), &values[2]), &values[1]);
    assert_ptr_equal(map_get(map, slice_make("x", 0)), &values[2]);
    assert_ptr_equal(map_remove(map, slice_of("")), &values[2]);
    map_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_is_the_model),
        cmocka_unit_test(test_map_removes_while_iterating),
        cmocka_unit_test(test_map_as_a_queue),
        cmocka_unit_test(test_map_takes_empty_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
