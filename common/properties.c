/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Java's properties format. Reading goes character by character through the natural lines; a backslash
 * before the end of a line joins the next one without its leading blanks. Bytes above 127 are kept as they
 * are (UTF-8); on writing they become \uXXXX, because Java reads these files as Latin-1.
 */
#include "common/properties.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

void properties_init(struct properties *properties)
{
    *properties = (struct properties){NULL, 0, 0};
}

void properties_release(struct properties *properties)
{
    for (size_t i = 0; i < properties->count; i++) {
        free(properties->items[i].key);
        free(properties->items[i].value);
    }
    free(properties->items);
    properties_init(properties);
}

const struct property *properties_find(const struct properties *properties, const char *key)
{
    for (size_t i = 0; i < properties->count; i++) {
        if (strcmp(properties->items[i].key, key) == 0)
            return &properties->items[i];
    }
    return NULL;
}

/* Takes the property out; returns its line, 0 when it is not there. */
static int remove_property(struct properties *properties, const char *key)
{
    const struct property *found = properties_find(properties, key);
    if (found == NULL)
        return 0;
    struct property taken = *found;
    size_t position = (size_t)(found - properties->items);
    size_t behind = properties->count - position - 1;
    memmove(&properties->items[position], &properties->items[position + 1], behind * sizeof(taken));
    properties->count--;
    free(taken.key);
    free(taken.value);
    return taken.line;
}

int64_t properties_number(const struct properties *properties, const char *key)
{
    const struct property *property = properties_find(properties, key);
    int64_t number = property != NULL && property->value[0] != '\0' ? 0 : -1;
    for (const char *at = number == 0 ? property->value : ""; *at != '\0'; at++) {
        int digit = *at - '0';
        if (digit < 0 || digit > 9 || number > (INT64_MAX - digit) / 10)
            return -1;
        number = number * 10 + digit;
    }
    return number;
}

void properties_set(struct properties *properties, const char *key, const char *value, int line)
{
    /* Copied first: they may be those of the property that is replaced. */
    struct property item = {memory_copy_string(key), memory_copy_string(value), line, 0};
    item.former_line = remove_property(properties, item.key);
    properties->items =
        memory_grow(properties->items, properties->count, &properties->capacity, sizeof(*properties->items));
    properties->items[properties->count++] = item;
}

struct parser {
    const uint8_t *at;
    const uint8_t *end;
    int line;
    const char *problem; /* NULL: none so far */
};

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\f';
}

static bool is_line_end(uint8_t byte)
{
    return byte == '\n' || byte == '\r';
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->end && is_blank(*parser->at))
        parser->at++;
}

/* Steps over one line end: \n, \r or \r\n. */
static void skip_line_end(struct parser *parser)
{
    uint8_t first = *parser->at++;
    if (first == '\r' && parser->at < parser->end && *parser->at == '\n')
        parser->at++;
    parser->line++;
}

/* Steps over "\<line end><blanks>" if it is what comes next. */
static bool skip_continuation(struct parser *parser)
{
    if (parser->end - parser->at < 2 || parser->at[0] != '\\' || !is_line_end(parser->at[1]))
        return false;
    parser->at++;
    skip_line_end(parser);
    skip_blanks(parser);
    return true;
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* The four digits behind \u; -1 when they are not there. */
static int32_t parse_unit(struct parser *parser)
{
    int32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = parser->at < parser->end ? hex_value(*parser->at) : -1;
        if (digit < 0) {
            parser->problem = "\\u without four hexadecimal digits";
            return -1;
        }
        unit = unit * 16 + digit;
        parser->at++;
    }
    return unit;
}

static void append_utf8(struct buffer *out, uint32_t point)
{
    uint8_t bytes[4];
    size_t count = 0;
    if (point < 0x80) {
        bytes[count++] = (uint8_t)point;
    } else if (point < 0x800) {
        bytes[count++] = (uint8_t)(0xc0 | point >> 6);
    } else if (point < 0x10000) {
        bytes[count++] = (uint8_t)(0xe0 | point >> 12);
        bytes[count++] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    } else {
        bytes[count++] = (uint8_t)(0xf0 | point >> 18);
        bytes[count++] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
        bytes[count++] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    }
    if (point >= 0x80)
        bytes[count++] = (uint8_t)(0x80 | (point & 0x3f));
    buffer_append(out, bytes, count);
}

/* Behind "\u": one character, which may be two UTF-16 units. */
static void parse_unicode(struct parser *parser, struct buffer *out)
{
    int32_t unit = parse_unit(parser);
    if (unit < 0)
        return;
    uint32_t point = (uint32_t)unit;
    if (unit >= 0xd800 && unit < 0xdc00) {
        int32_t low = -1;
        if (parser->end - parser->at >= 2 && parser->at[0] == '\\' && parser->at[1] == 'u') {
            parser->at += 2;
            low = parse_unit(parser);
        }
        if (low < 0xdc00 || low > 0xdfff) {
            parser->problem = "\\u with half a surrogate pair";
            return;
        }
        point = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    } else if (unit >= 0xdc00 && unit < 0xe000) {
        parser->problem = "\\u with half a surrogate pair";
        return;
    }
    if (point == 0)
        parser->problem = "a NUL character";
    append_utf8(out, point);
}

/* Behind a backslash that is not a continuation. */
static void parse_escape(struct parser *parser, struct buffer *out)
{
    if (parser->at == parser->end)
        return; /* a backslash as the last byte of the file says nothing */
    uint8_t byte = *parser->at++;
    switch (byte) {
    case 't':
        byte = '\t';
        break;
    case 'n':
        byte = '\n';
        break;
    case 'r':
        byte = '\r';
        break;
    case 'f':
        byte = '\f';
        break;
    case 'u':
        parse_unicode(parser, out);
        return;
    case '\0':
        parser->problem = "a NUL character";
        return;
    default:
        break;
    }
    buffer_append(out, &byte, 1);
}

/* One part of a logical line: a key ends at a separator or the line's end, a value only at the latter. */
static void parse_part(struct parser *parser, bool is_key, struct buffer *out)
{
    while (parser->at < parser->end && parser->problem == NULL) {
        uint8_t byte = *parser->at;
        if (is_line_end(byte) || (is_key && (byte == '=' || byte == ':' || is_blank(byte))))
            return;
        if (skip_continuation(parser))
            continue;
        parser->at++;
        if (byte == '\\')
            parse_escape(parser, out);
        else if (byte == '\0')
            parser->problem = "a NUL character";
        else
            buffer_append(out, &byte, 1);
    }
}

/* Blanks, at most one '=' or ':', blanks; any of them may be continued on the next line. */
static void skip_separator(struct parser *parser)
{
    bool seen = false;
    for (;;) {
        skip_blanks(parser);
        if (skip_continuation(parser))
            continue;
        if (seen || parser->at == parser->end || (*parser->at != '=' && *parser->at != ':'))
            return;
        seen = true;
        parser->at++;
    }
}

static void skip_comment(struct parser *parser)
{
    while (parser->at < parser->end && !is_line_end(*parser->at))
        parser->at++;
}

int properties_parse(struct properties *properties, struct slice text, struct buffer *error)
{
    struct parser parser = {.at = text.data, .end = text.data, .line = 1};
    if (text.length > 0)
        parser.end += text.length;
    struct buffer key, value;
    buffer_init(&key);
    buffer_init(&value);
    while (parser.problem == NULL) {
        skip_blanks(&parser);
        if (parser.at == parser.end)
            break;
        if (is_line_end(*parser.at)) {
            skip_line_end(&parser);
            continue;
        }
        if (*parser.at == '#' || *parser.at == '!') {
            skip_comment(&parser);
            continue;
        }
        int line = parser.line;
        buffer_clear(&key);
        buffer_clear(&value);
        parse_part(&parser, true, &key);
        skip_separator(&parser);
        parse_part(&parser, false, &value);
        if (parser.problem == NULL)
            properties_set(properties, buffer_string(&key), buffer_string(&value), line);
    }
    buffer_release(&key);
    buffer_release(&value);
    if (parser.problem != NULL && error != NULL)
        buffer_print(error, "line %d: %s", parser.line, parser.problem);
    return parser.problem == NULL ? 0 : -EBADMSG;
}

/* The character at `at` and how many bytes it takes; 0 bytes when it is not UTF-8. */
static size_t decode_utf8(const uint8_t *at, uint32_t *point)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t count = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc0 ? 2 : 0;
    if (count == 0 || at[0] >= 0xf8)
        return 0;
    *point = at[0] & (0xffU >> (count + 1));
    for (size_t i = 1; i < count; i++) {
        if ((at[i] & 0xc0) != 0x80) /* the string's NUL ends this, too */
            return 0;
        *point = *point << 6 | (at[i] & 0x3f);
    }
    bool surrogate = *point >= 0xd800 && *point < 0xe000;
    return *point < smallest[count] || *point > 0x10ffff || surrogate ? 0 : count;
}

static void write_unicode(struct buffer *out, uint32_t point)
{
    if (point >= 0x10000) {
        point -= 0x10000;
        buffer_print(out, "\\u%04X\\u%04X", 0xd800 + (point >> 10), 0xdc00 + (point & 0x3ff));
        return;
    }
    buffer_print(out, "\\u%04X", point);
}

static void write_escaped(struct buffer *out, const char *text, bool is_key)
{
    static const char escaped_as[] = "\tt\nn\rr\ff";
    for (const uint8_t *at = (const uint8_t *)text; *at != '\0'; at++) {
        const char *short_form = strchr(escaped_as, *at);
        uint32_t point = 0;
        size_t count = decode_utf8(at, &point);
        if (count > 0) {
            write_unicode(out, point);
            at += count - 1;
        } else if (*at < 0x20 && short_form != NULL) {
            buffer_print(out, "\\%c", short_form[1]);
        } else if (*at < 0x20 || *at == 0x7f) {
            write_unicode(out, *at);
        } else {
            bool leading_blank = *at == ' ' && (is_key || at == (const uint8_t *)text);
            if (leading_blank || strchr("\\=:#!", *at) != NULL)
                buffer_append(out, "\\", 1);
            buffer_append(out, at, 1);
        }
    }
}

void properties_write(struct buffer *out, const char *key, const char *value)
{
    write_escaped(out, key, true);
    buffer_append(out, "=", 1);
    write_escaped(out, value, false);
    buffer_append(out, "\n", 1);
}
