/* SPDX-License-Identifier: Apache-2.0 */
/* Options as Kafka's tools take them: forms, mistakes and their sentences, hints, the usage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "tools/options.h"

static const struct option_row rows[] = {
    {"topic", OPTION_VALUE, "String: topic", "The topic."},
    {"partitions", OPTION_VALUE, "Integer", "How many."},
    {"config", OPTION_VALUES, "String: name=value",
     "A setting, which may come more than once, explained at length."},
    {"list", OPTION_FLAG, NULL, "List."},
    {"create", OPTION_FLAG, NULL, "Create."},
    {"codec", OPTION_OPTIONAL_VALUE, "String", "A codec."},
};

struct fixture {
    struct options options;
    struct buffer error;
    struct buffer notes;
};

static void fixture_init(struct fixture *fixture)
{
    options_init(&fixture->options, rows, ARRAY_SIZE(rows));
    buffer_init(&fixture->error);
    buffer_init(&fixture->notes);
}

static void fixture_release(struct fixture *fixture)
{
    options_release(&fixture->options);
    buffer_release(&fixture->error);
    buffer_release(&fixture->notes);
}

/* Parses words up to NULL. */
static int parse(struct fixture *fixture, const char *const *words)
{
    int count = 0;
    while (words[count] != NULL)
        count++;
    return options_parse(&fixture->options, count, (char *const *)(uintptr_t)words, &fixture->error,
                         &fixture->notes);
}

static void test_forms(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    const char *const words[] = {"--topic=a=b", "-partitions",    "3",       "--config", "k=v",
                                 "--list",      "--config=k2=v2", "--codec", "--create", NULL};
    assert_int_equal(parse(&fixture, words), 0);
    assert_string_equal(options_value(&fixture.options, "topic"), "a=b");
    int64_t number = 0;
    assert_int_equal(options_integer(&fixture.options, "partitions", 0, 10, &number, &fixture.error), 0);
    assert_int_equal(number, 3);
    size_t position = 0;
    assert_string_equal(options_next_value(&fixture.options, "config", &position), "k=v");
    assert_string_equal(options_next_value(&fixture.options, "config", &position), "k2=v2");
    assert_null(options_next_value(&fixture.options, "config", &position));
    assert_true(options_has(&fixture.options, "codec"));
    assert_null(options_value(&fixture.options, "codec"));
    assert_true(options_has(&fixture.options, "create"));
    assert_true(options_has(&fixture.options, "list"));
    assert_int_equal(fixture.notes.length, 0);
    fixture_release(&fixture);
}

static void test_values_that_look_odd(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    const char *const words[] = {"--partitions", "-1", "--codec", "lz4", "--topic", "-", "stray", NULL};
    assert_int_equal(parse(&fixture, words), 0);
    assert_string_equal(options_value(&fixture.options, "partitions"), "-1");
    assert_string_equal(options_value(&fixture.options, "codec"), "lz4");
    assert_string_equal(options_value(&fixture.options, "topic"), "-");
    assert_string_equal(buffer_string(&fixture.notes),
                        "Note: \"stray\" belongs to no option and is left out.\n");
    fixture_release(&fixture);
}

static void expect_mistake(const char *const *words, const char *sentence)
{
    struct fixture fixture;
    fixture_init(&fixture);
    assert_int_equal(parse(&fixture, words), -EINVAL);
    assert_string_equal(buffer_string(&fixture.error), sentence);
    fixture_release(&fixture);
}

static void test_mistakes(void **state)
{
    (void)state;
    expect_mistake((const char *const[]){"--foo", NULL}, "foo is not a recognized option");
    expect_mistake((const char *const[]){"--topc", "x", NULL},
                   "topc is not a recognized option\nDid you mean --topic?");
    expect_mistake((const char *const[]){"--part", "x", NULL},
                   "part is not a recognized option\nDid you mean --partitions?");
    expect_mistake((const char *const[]){"--topic", NULL}, "Option topic requires an argument");
    expect_mistake((const char *const[]){"--topic", "--list", NULL}, "Option topic requires an argument");
    expect_mistake((const char *const[]){"--list=yes", NULL}, "Option list does not take an argument");
    expect_mistake((const char *const[]){"--topic", "a", "--topic", "b", NULL},
                   "Found multiple arguments for option topic, but you asked for only one");
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const wrong[] = {"x", "", "1x", "99999999999999999999", "11", "-1"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct fixture fixture;
        fixture_init(&fixture);
        const char *const words[] = {"--partitions", wrong[i], NULL};
        assert_int_equal(parse(&fixture, words), 0);
        int64_t number = 7;
        assert_int_equal(options_integer(&fixture.options, "partitions", 0, 10, &number, &fixture.error),
                         -EINVAL);
        assert_int_equal(number, 7);
        assert_non_null(strstr(buffer_string(&fixture.error), "Cannot parse argument '"));
        fixture_release(&fixture);
    }
}

static void test_together(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    const char *const words[] = {"--list", "--topic", "t", NULL};
    assert_int_equal(parse(&fixture, words), 0);
    assert_int_equal(options_require(&fixture.options, "topic list", &fixture.error), 0);
    assert_int_equal(options_require(&fixture.options, "topic partitions", &fixture.error), -EINVAL);
    assert_string_equal(buffer_string(&fixture.error), "Missing required argument \"[partitions]\"");
    buffer_clear(&fixture.error);
    assert_int_equal(options_refuse(&fixture.options, "create", "topic", &fixture.error), 0);
    assert_int_equal(options_refuse(&fixture.options, "list", "config topic", &fixture.error), -EINVAL);
    assert_string_equal(buffer_string(&fixture.error),
                        "Option \"[list]\" can't be used with option \"[topic]\"");
    fixture_release(&fixture);
}

static void test_usage(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out);
    options_usage(rows, ARRAY_SIZE(rows), &out);
    const char *text = buffer_string(&out);
    assert_non_null(strstr(text, "--topic <String: topic>                  The topic.\n"));
    assert_non_null(strstr(text, "--codec [String]"));
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 80);
    buffer_release(&out);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = {"topics", "console-producer", "console-consumer"};
    assert_string_equal(nearest_name("topic", names, ARRAY_SIZE(names)), "topics");
    assert_string_equal(nearest_name("tpoics", names, ARRAY_SIZE(names)), "topics");
    assert_string_equal(nearest_name("console-pruducer", names, ARRAY_SIZE(names)), "console-producer");
    assert_null(nearest_name("elephants", names, ARRAY_SIZE(names)));
    assert_null(nearest_name("", names, ARRAY_SIZE(names)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),    cmocka_unit_test(test_values_that_look_odd),
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_together), cmocka_unit_test(test_usage),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
