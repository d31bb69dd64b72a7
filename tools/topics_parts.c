/* SPDX-License-Identifier: Apache-2.0 */
/* The values of options of `barnabas topics`: assignments, settings, expressions of names, see topics.h. */
#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "coordinator/zk/path.h"
#include "tools/topics.h"

#define TOPIC_NAME_BYTES_MAX 249

/* One broker id, and what stands behind it: ':' ',' or NUL. */
static int parse_id(const char **text, int32_t *id, char *behind)
{
    struct slice digits = slice_make(*text, strspn(*text, "0123456789"));
    if (!zk_parse_id(digits, id))
        return -EINVAL;
    *text += digits.length;
    *behind = **text;
    if (*behind != '\0' && *behind != ':' && *behind != ',')
        return -EINVAL;
    *text += *behind != '\0';
    return 0;
}

static bool has_duplicate(const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (ids[i] == ids[j])
                return true;
    return false;
}

int topics_assignment_parse(const char *text, struct topics_assignment *assignment, struct buffer *sentence)
{
    size_t capacity = 0, count = 0, first = 0;
    char behind = ',';
    *assignment = (struct topics_assignment){0};
    const char *rest = text;
    while (behind != '\0') {
        int32_t id = 0;
        if (parse_id(&rest, &id, &behind) < 0) {
            buffer_print(sentence,
                         "Malformed replica assignment '%s': write 0:1,1:2, a colon between the replicas "
                         "of a partition and a comma between partitions.",
                         text);
            return -EINVAL;
        }
        assignment->replicas = memory_grow(assignment->replicas, count, &capacity, sizeof(int32_t));
        assignment->replicas[count++] = id;
        if (behind == ':')
            continue;
        size_t partition = assignment->partition_count++;
        if (partition == 0)
            assignment->replication_factor = count;
        if (has_duplicate(assignment->replicas + first, count - first)) {
            buffer_print(sentence, "Partition replica lists may not contain duplicate entries: %s", text);
            return -EINVAL;
        }
        if (count - first != assignment->replication_factor) {
            buffer_print(sentence, "Partition %zu has different replication factor: %s", partition, text);
            return -EINVAL;
        }
        first = count;
    }
    return 0;
}

/* "is not a number of type long" becomes Kafka's "Not a number of type LONG", other reasons "Value must
 * be...". */
static void append_reason(const char *reason, struct buffer *sentence)
{
    static const char number[] = "is not a number of type ";
    if (strncmp(reason, number, sizeof(number) - 1) != 0) {
        buffer_print(sentence, "Value %s", reason);
        return;
    }
    buffer_append_string(sentence, "Not a number of type ");
    for (const char *at = reason + sizeof(number) - 1; *at != '\0'; at++)
        buffer_print(sentence, "%c", toupper((unsigned char)*at));
}

int topics_setting_parse(const char *text, struct topic_setting *setting, struct buffer *sentence)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        buffer_append_string(sentence,
                             "requirement failed: Invalid topic config: all configs to be added must be "
                             "in the format \"key=val\".");
        return -EINVAL;
    }
    size_t length = (size_t)(equals - text);
    while (length > 0 && text[length - 1] == ' ')
        length--;
    setting->name = slice_make(text, length);
    setting->value = slice_of(equals + 1);
    int key = topic_key_find(setting->name);
    if (key < 0) {
        buffer_print(sentence, "Unknown topic config name: %.*s", SLICE_ARGUMENTS(setting->name));
        return -EINVAL;
    }
    struct buffer reason;
    buffer_init(&reason);
    int rc = config_value_check(topic_key_at((size_t)key), equals + 1, &reason);
    if (rc < 0) {
        buffer_print(sentence, "Invalid value %s for configuration %.*s: ", equals + 1,
                     SLICE_ARGUMENTS(setting->name));
        append_reason(buffer_string(&reason), sentence);
    }
    buffer_release(&reason);
    return rc;
}

struct topics_pattern {
    const char *expression; /* NULL: everything */
    regex_t compiled;
    bool is_exact; /* a topic has this very name */
};

struct topics_pattern *topics_pattern_new(const char *expression, struct buffer *sentence)
{
    struct topics_pattern *pattern = memory_allocate_zeroed(1, sizeof(*pattern));
    pattern->expression = expression;
    if (expression == NULL)
        return pattern;
    struct buffer text;
    buffer_init(&text);
    buffer_print(&text, "^(%s)$", expression);
    for (size_t i = 0; i < text.length; i++)
        if (text.data[i] == ',')
            text.data[i] = '|';
    if (regcomp(&pattern->compiled, buffer_string(&text), REG_EXTENDED | REG_NOSUB) != 0) {
        buffer_print(sentence, "%s is an invalid regex.", expression);
        free(pattern);
        pattern = NULL;
    }
    buffer_release(&text);
    return pattern;
}

void topics_pattern_free(struct topics_pattern *pattern)
{
    if (pattern != NULL && pattern->expression != NULL)
        regfree(&pattern->compiled);
    free(pattern);
}

void topics_pattern_add(struct topics_pattern *pattern, const char *name)
{
    if (pattern->expression != NULL && strcmp(pattern->expression, name) == 0)
        pattern->is_exact = true;
}

bool topics_pattern_matches(const struct topics_pattern *pattern, const char *name)
{
    if (pattern->expression == NULL)
        return true;
    if (pattern->is_exact)
        return strcmp(pattern->expression, name) == 0;
    return regexec(&pattern->compiled, name, 0, NULL, 0) == 0;
}

int topic_name_check(const char *name, struct buffer *sentence)
{
    size_t length = strlen(name);
    if (zk_topic_name_is_valid(slice_of(name)))
        return 0;
    buffer_append_string(sentence, "Topic name is invalid: ");
    if (length == 0)
        buffer_append_string(sentence, "the empty string is not allowed");
    else if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        buffer_print(sentence, "'%s' is not allowed", name);
    else if (length > TOPIC_NAME_BYTES_MAX)
        buffer_print(sentence, "the length of '%s' is longer than the max allowed length %d", name,
                     TOPIC_NAME_BYTES_MAX);
    else
        buffer_print(sentence,
                     "'%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
                     name);
    return -EINVAL;
}

bool topic_is_internal(const char *name)
{
    return strcmp(name, "__consumer_offsets") == 0 || strcmp(name, "__transaction_state") == 0;
}
