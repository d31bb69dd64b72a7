/* SPDX-License-Identifier: Apache-2.0 */
/* Random messages by description: see random_message.h. */
#include "tests/unit/kafka/random_message.h"

#include "common/check.h"

static int64_t random_number(struct prng *prng)
{
    switch (prng_below(prng, 6)) {
    case 0:
        return 0;
    case 1:
        return -1;
    case 2:
        return INT64_MAX;
    case 3:
        return INT64_MIN;
    case 4:
        return prng_between(prng, -200, 200);
    default:
        return (int64_t)prng_next(prng);
    }
}

static struct slice random_slice(struct prng *prng, struct arena *arena)
{
    size_t length = (size_t)prng_below(prng, prng_one_in(prng, 20) ? 300 : 12);
    uint8_t *bytes = arena_allocate(arena, length + 1);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)prng_next(prng);
    return slice_make(bytes, length);
}

static size_t element_size(const struct field_description *field)
{
    switch (field->type) {
    case FIELD_INT8:
        return sizeof(int8_t);
    case FIELD_INT32:
        return sizeof(int32_t);
    case FIELD_INT64:
        return sizeof(int64_t);
    case FIELD_STRING:
        return sizeof(struct slice);
    case FIELD_STRUCT:
        return field->element->size;
    default:
        UNREACHABLE();
    }
}

static void fill_value(const struct field_description *field, uint8_t *at, int16_t version, struct prng *prng,
                       struct arena *arena)
{
    int64_t number = random_number(prng);
    uint64_t bits = prng_next(prng);
    struct slice bytes;
    struct wire_records records = {{NULL, 0}, NULL, 0};

    switch (field->type) {
    case FIELD_INT8:
    case FIELD_INT16:
    case FIELD_UINT16:
    case FIELD_INT32:
    case FIELD_INT64: {
        static const size_t sizes[] = {
            [FIELD_INT8] = 1, [FIELD_INT16] = 2, [FIELD_UINT16] = 2, [FIELD_INT32] = 4, [FIELD_INT64] = 8};
        memcpy(at, &number, sizes[field->type]);
        break;
    }
    case FIELD_FLOAT64:
        memcpy(at, &bits, sizeof(bits));
        break;
    case FIELD_BOOL:
        *(bool *)(void *)at = bits & 1;
        break;
    case FIELD_UUID:
        memcpy(at, &bits, sizeof(bits));
        memcpy(at + sizeof(bits), &number, sizeof(number));
        break;
    case FIELD_STRING:
    case FIELD_BYTES:
        bytes = random_slice(prng, arena);
        memcpy(at, &bytes, sizeof(bytes));
        break;
    case FIELD_RECORDS:
        records.bytes = random_slice(prng, arena);
        memcpy(at, &records, sizeof(records));
        break;
    case FIELD_STRUCT:
        random_message_fill(field->element, at, version, prng, arena);
        break;
    }
}

static void fill_array(const struct field_description *field, uint8_t *base, int16_t version,
                       struct prng *prng, struct arena *arena)
{
    size_t count = (size_t)prng_below(prng, 4);
    uint8_t *array = wire_empty_array();
    if (count > 0) {
        array = arena_allocate_array(arena, count, element_size(field));
        CHECK(array != NULL);
        for (size_t i = 0; i < count; i++)
            fill_value(field, array + i * element_size(field), version, prng, arena);
    }
    memcpy(base + field->offset, &array, sizeof(array));
    memcpy(base + field->count_offset, &count, sizeof(count));
}

static void fill_null(const struct field_description *field, uint8_t *base)
{
    static const struct wire_records nothing;
    if (field->is_array) {
        memset(base + field->offset, 0, sizeof(void *));
        memset(base + field->count_offset, 0, sizeof(size_t));
    } else if (field->is_pointer) {
        memset(base + field->offset, 0, sizeof(void *));
    } else if (field->type == FIELD_RECORDS) {
        memcpy(base + field->offset, &nothing, sizeof(nothing));
    } else {
        memcpy(base + field->offset, &nothing.bytes, sizeof(nothing.bytes));
    }
}

void random_message_fill(const struct struct_description *description, void *out, int16_t version,
                         struct prng *prng, struct arena *arena)
{
    uint8_t *base = out;
    description->init(out);
    for (size_t i = 0; i < description->field_count; i++) {
        const struct field_description *field = &description->fields[i];
        bool may_be_null = version >= field->nullable_minimum && version <= field->nullable_maximum;
        if (version < field->minimum_version || version > field->maximum_version)
            continue;
        if (field->tag >= 0 && prng_one_in(prng, 3))
            continue;
        if (may_be_null && prng_one_in(prng, 4)) {
            fill_null(field, base);
        } else if (field->is_array) {
            fill_array(field, base, version, prng, arena);
        } else if (field->is_pointer) {
            void *inner = arena_allocate(arena, field->element->size);
            CHECK(inner != NULL);
            random_message_fill(field->element, inner, version, prng, arena);
            memcpy(base + field->offset, &inner, sizeof(inner));
        } else {
            fill_value(field, base + field->offset, version, prng, arena);
        }
    }
}

static bool same_slice(const uint8_t *a, const uint8_t *b, bool null_matters)
{
    struct slice left, right;
    memcpy(&left, a, sizeof(left));
    memcpy(&right, b, sizeof(right));
    if (null_matters && slice_is_null(left) != slice_is_null(right))
        return false;
    return slice_compare(left, right) == 0;
}

static const char *value_difference(const struct field_description *field, const uint8_t *a, const uint8_t *b,
                                    bool null_matters)
{
    bool same;
    switch (field->type) {
    case FIELD_INT8:
    case FIELD_BOOL:
        same = *a == *b;
        break;
    case FIELD_INT16:
    case FIELD_UINT16:
        same = memcmp(a, b, 2) == 0;
        break;
    case FIELD_INT32:
        same = memcmp(a, b, 4) == 0;
        break;
    case FIELD_INT64:
    case FIELD_FLOAT64:
        same = memcmp(a, b, 8) == 0;
        break;
    case FIELD_UUID:
        same = memcmp(a, b, 16) == 0;
        break;
    case FIELD_STRUCT:
        return message_difference(field->element, a, b);
    default:
        /* The bytes of records are their first member. */
        same = same_slice(a, b, null_matters);
    }
    return same ? NULL : field->name;
}

static const char *array_difference(const struct field_description *field, const uint8_t *a, const uint8_t *b,
                                    bool null_matters)
{
    const uint8_t *left, *right;
    size_t left_count, right_count;
    memcpy(&left, a + field->offset, sizeof(left));
    memcpy(&right, b + field->offset, sizeof(right));
    memcpy(&left_count, a + field->count_offset, sizeof(left_count));
    memcpy(&right_count, b + field->count_offset, sizeof(right_count));
    if (left_count != right_count || (null_matters && !left != !right))
        return field->name;
    const char *difference = NULL;
    for (size_t i = 0; i < left_count && !difference; i++)
        difference =
            value_difference(field, left + i * element_size(field), right + i * element_size(field), false);
    return difference;
}

const char *message_difference(const struct struct_description *description, const void *a, const void *b)
{
    const uint8_t *left = a, *right = b;
    const char *difference = NULL;
    for (size_t i = 0; i < description->field_count && !difference; i++) {
        const struct field_description *field = &description->fields[i];
        bool null_matters = field->nullable_minimum <= field->nullable_maximum;
        if (field->is_array) {
            difference = array_difference(field, left, right, null_matters);
        } else if (field->is_pointer) {
            const void *x, *y;
            memcpy(&x, left + field->offset, sizeof(x));
            memcpy(&y, right + field->offset, sizeof(y));
            if (!x != !y)
                difference = field->name;
            else if (x)
                difference = message_difference(field->element, x, y);
        } else {
            difference = value_difference(field, left + field->offset, right + field->offset, null_matters);
        }
    }
    return difference;
}
