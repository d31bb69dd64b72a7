/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing, asking and explaining options, see options.h. */
#include "tools/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/memory.h"

#define USAGE_COLUMN 41
#define USAGE_WIDTH 80
#define NAME_BYTES_MAX 64

void options_init(struct options *options, const struct option_row *rows, size_t row_count)
{
    *options = (struct options){.rows = rows, .row_count = row_count};
}

void options_release(struct options *options)
{
    free(options->uses);
    *options = (struct options){0};
}

static const struct option_row *row_find(const struct options *options, const char *name, size_t length)
{
    for (size_t i = 0; i < options->row_count; i++)
        if (strlen(options->rows[i].name) == length && memcmp(options->rows[i].name, name, length) == 0)
            return &options->rows[i];
    return NULL;
}

static int say_unknown(const struct options *options, const char *name, size_t length, struct buffer *error)
{
    char *wrong = memory_copy_bytes(name, length);
    buffer_print(error, "%s is not a recognized option", wrong);
    const char **names = memory_allocate(options->row_count * sizeof(*names));
    for (size_t i = 0; i < options->row_count; i++)
        names[i] = options->rows[i].name;
    const char *near = nearest_name(wrong, names, options->row_count);
    if (near != NULL)
        buffer_print(error, "\nDid you mean --%s?", near);
    free(names);
    free(wrong);
    return -EINVAL;
}

static bool looks_like_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && !(word[1] >= '0' && word[1] <= '9');
}

static int note_use(struct options *options, const struct option_row *row, const char *value,
                    struct buffer *error)
{
    if (row->kind == OPTION_VALUE && value != NULL && options_has(options, row->name)) {
        buffer_print(error, "Found multiple arguments for option %s, but you asked for only one", row->name);
        return -EINVAL;
    }
    options->uses =
        memory_grow(options->uses, options->use_count, &options->_capacity, sizeof(*options->uses));
    options->uses[options->use_count++] = (struct option_use){row, value};
    return 0;
}

/* One option, whose value may be the next word: *used says how many words it took. */
static int parse_option(struct options *options, int count, char *const *words, int *used,
                        struct buffer *error)
{
    const char *name = words[0] + (words[0][1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const char *value = equals != NULL ? equals + 1 : NULL;
    const struct option_row *row = row_find(options, name, length);
    *used = 1;
    if (row == NULL)
        return say_unknown(options, name, length, error);
    if (row->kind == OPTION_FLAG && value != NULL) {
        buffer_print(error, "Option %s does not take an argument", row->name);
        return -EINVAL;
    }
    bool takes_word = row->kind == OPTION_OPTIONAL_VALUE ? count > 1 && !looks_like_option(words[1])
                                                         : row->kind != OPTION_FLAG;
    if (value == NULL && takes_word) {
        if (count < 2 || (looks_like_option(words[1]) && words[1][1] == '-')) {
            buffer_print(error, "Option %s requires an argument", row->name);
            return -EINVAL;
        }
        value = words[1];
        *used = 2;
    }
    return note_use(options, row, value, error);
}

int options_parse(struct options *options, int count, char *const *arguments, struct buffer *error,
                  struct buffer *notes)
{
    for (int i = 0, used = 1; i < count; i += used) {
        used = 1;
        if (looks_like_option(arguments[i])) {
            int rc = parse_option(options, count - i, arguments + i, &used, error);
            if (rc < 0)
                return rc;
        } else if (notes != NULL) {
            buffer_print(notes, "Note: \"%s\" belongs to no option and is left out.\n", arguments[i]);
        }
    }
    return 0;
}

static const struct option_use *last_use(const struct options *options, const char *name)
{
    CHECK(row_find(options, name, strlen(name)) != NULL);
    for (size_t i = options->use_count; i-- > 0;)
        if (strcmp(options->uses[i].row->name, name) == 0)
            return &options->uses[i];
    return NULL;
}

bool options_has(const struct options *options, const char *name)
{
    return last_use(options, name) != NULL;
}

const char *options_value(const struct options *options, const char *name)
{
    const struct option_use *use = last_use(options, name);
    return use != NULL ? use->value : NULL;
}

const char *options_next_value(const struct options *options, const char *name, size_t *position)
{
    while (*position < options->use_count) {
        const struct option_use *use = &options->uses[(*position)++];
        if (strcmp(use->row->name, name) == 0)
            return use->value;
    }
    return NULL;
}

int options_integer(const struct options *options, const char *name, int64_t low, int64_t high,
                    int64_t *value, struct buffer *error)
{
    const char *text = options_value(options, name);
    if (text == NULL)
        return 0;
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || number < low || number > high) {
        buffer_print(error, "Cannot parse argument '%s' of option %s", text, name);
        return -EINVAL;
    }
    *value = number;
    return 0;
}

/* The next of names with blanks between them; false at the end. */
static bool next_name(const char **names, char name[NAME_BYTES_MAX])
{
    *names += strspn(*names, " ");
    size_t length = strcspn(*names, " ");
    if (length == 0)
        return false;
    CHECK(length < NAME_BYTES_MAX);
    memcpy(name, *names, length);
    name[length] = '\0';
    *names += length;
    return true;
}

int options_require(const struct options *options, const char *names, struct buffer *error)
{
    char name[NAME_BYTES_MAX];
    while (next_name(&names, name)) {
        if (!options_has(options, name)) {
            buffer_print(error, "Missing required argument \"[%s]\"", name);
            return -EINVAL;
        }
    }
    return 0;
}

int options_refuse(const struct options *options, const char *name, const char *others, struct buffer *error)
{
    char other[NAME_BYTES_MAX];
    while (options_has(options, name) && next_name(&others, other)) {
        if (options_has(options, other)) {
            buffer_print(error, "Option \"[%s]\" can't be used with option \"[%s]\"", name, other);
            return -EINVAL;
        }
    }
    return 0;
}

static void usage_row(const char *left, const char *text, struct buffer *out)
{
    buffer_append_string(out, left);
    size_t column = strlen(left);
    if (column + 1 >= USAGE_COLUMN) {
        buffer_append_string(out, "\n");
        column = 0;
    }
    while (*text != '\0') {
        for (; column < USAGE_COLUMN; column++)
            buffer_append_string(out, " ");
        size_t room = USAGE_WIDTH - USAGE_COLUMN, length = strlen(text);
        if (length > room) {
            length = room;
            while (length > 0 && text[length] != ' ')
                length--;
            length = length > 0 ? length : strcspn(text, " ");
        }
        buffer_append(out, text, length);
        text += length;
        text += strspn(text, " ");
        if (*text != '\0')
            buffer_append_string(out, "\n");
        column = 0;
    }
    buffer_append_string(out, "\n");
}

void options_usage(const struct option_row *rows, size_t row_count, struct buffer *out)
{
    usage_row("Option", "Description", out);
    usage_row("------", "-----------", out);
    for (size_t i = 0; i < row_count; i++) {
        struct buffer left;
        buffer_init(&left);
        buffer_print(&left, "--%s", rows[i].name);
        if (rows[i].value_name != NULL)
            buffer_print(&left, rows[i].kind == OPTION_OPTIONAL_VALUE ? " [%s]" : " <%s>",
                         rows[i].value_name);
        usage_row(buffer_string(&left), rows[i].help, out);
        buffer_release(&left);
    }
}

/* Levenshtein's distance over at most NAME_BYTES_MAX bytes each. */
static size_t distance(const char *a, const char *b)
{
    size_t length_a = strlen(a), length_b = strlen(b);
    if (length_a >= NAME_BYTES_MAX || length_b >= NAME_BYTES_MAX)
        return SIZE_MAX;
    size_t row[NAME_BYTES_MAX];
    for (size_t j = 0; j <= length_b; j++)
        row[j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = min_size(replaced, min_size(row[j], row[j - 1]) + 1);
        }
    }
    return row[length_b];
}

const char *nearest_name(const char *wrong, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t steps = distance(wrong, names[i]);
        /* A name that the wrong one begins, or is begun by, is near as well: --bootstrap, --replication. */
        size_t shorter = min_size(strlen(wrong), strlen(names[i]));
        if (shorter >= 3 && strncmp(wrong, names[i], shorter) == 0)
            steps = min_size(steps, 2);
        if (steps < best) {
            best = steps;
            nearest = names[i];
        }
    }
    size_t allowed = max_size(1, min_size(3, strlen(wrong) / 3));
    return best <= max_size(allowed, strlen(wrong) >= 3 ? 2 : 1) ? nearest : NULL;
}
