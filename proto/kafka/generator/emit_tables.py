# SPDX-License-Identifier: Apache-2.0
"""Writes what concerns all messages together: the table of APIs, and descriptions of all fields for tests."""
from .schema import UNBOUNDED

LICENSE = "/* SPDX-License-Identifier: Apache-2.0 */"


def api_schemas(schemas):
    return sorted((schema for schema in schemas if schema.key is not None), key=lambda s: s.key)


def key_constant(schema):
    return "KAFKA_API_" + schema.file_name().upper()


def apis_header(schemas):
    lines = [LICENSE,
             "/* The keys of all APIs. Generated from messages: change the .msg files, not this one. */",
             "#ifndef PROTO_KAFKA_MESSAGES_APIS_H", "#define PROTO_KAFKA_MESSAGES_APIS_H", "",
             "enum kafka_api_key {"]
    lines += [f"    {key_constant(schema)} = {schema.key}," for schema in api_schemas(schemas)]
    return lines + ["};", "", "#endif"]


def flexible_text(schema):
    return "KAFKA_NEVER_FLEXIBLE" if schema.flexible == UNBOUNDED else str(schema.flexible)


def apis_source(schemas):
    rows = api_schemas(schemas)
    lines = [LICENSE, "/* The table behind api.h, ordered by key. Generated from messages. */",
             '#include "proto/kafka/api.h"']
    lines += [f'#include "proto/kafka/messages/{schema.file_name()}.h"' for schema in rows]
    lines += ["", "const struct kafka_api kafka_api_table[] = {"]
    for schema in rows:
        name = schema.file_name()
        lines += ["    {", f"        .key = {key_constant(schema)},", f'        .name = "{schema.name}",',
                  f"        .minimum_version = {schema.versions.low},",
                  f"        .maximum_version = {schema.versions.high},",
                  f"        .flexible_since = {flexible_text(schema)},",
                  f"        .request = &{name}_request_codec,",
                  f"        .response = &{name}_response_codec,", "    },"]
    return lines + ["};", "", f"const size_t kafka_api_table_size = {len(rows)};"]


def descriptor_type(field):
    return "FIELD_STRUCT" if field.struct else "FIELD_" + field.type.upper()


def descriptor_row(struct, field):
    name = struct.c_name
    count = f"offsetof(struct {name}, {field.name}_count)" if field.is_array else "0"
    nullable = field.nullable
    element = f"&{field.struct.c_name}_description" if field.struct else "NULL"
    return [f'    {{.name = "{field.name}",',
            f"     .type = {descriptor_type(field)},",
            f"     .is_array = {str(field.is_array).lower()},",
            f"     .is_pointer = {str(field.is_pointer()).lower()},",
            f"     .offset = offsetof(struct {name}, {field.name}),",
            f"     .count_offset = {count},",
            f"     .minimum_version = {field.versions.low},",
            f"     .maximum_version = {field.versions.high},",
            f"     .nullable_minimum = {nullable.low if nullable else UNBOUNDED},",
            f"     .nullable_maximum = {nullable.high if nullable else -1},",
            f"     .tag = {field.tag if field.tag is not None else -1},",
            f"     .element = {element}}},"]


def descriptors(schemas):
    lines = [LICENSE, "/* Every field of every message as data, for tests. Generated from messages. */",
             '#include "tests/unit/kafka/descriptor.h"']
    messages = [message for schema in schemas for message in schema.messages]
    lines += [f'#include "proto/kafka/messages/{schema.file_name()}.h"' for schema in schemas] + [""]
    for message in messages:
        for struct in message.structs:
            name = struct.c_name
            if struct.fields:
                lines.append(f"static const struct field_description {name}_fields[] = {{")
                for field in struct.fields:
                    lines += descriptor_row(struct, field)
                lines += ["};", ""]
            fields = f"{name}_fields" if struct.fields else "NULL"
            lines += [f"static const struct struct_description {name}_description = {{",
                      f"    .size = sizeof(struct {name}),", f"    .field_count = {len(struct.fields)},",
                      f"    .fields = {fields},", f"    .init = {name}_any_init,", "};", ""]
    lines += ["const struct message_description message_descriptions[] = {"]
    for message in messages:
        top = message.top.c_name
        lines.append(f"    {{&{top}_codec, &{top}_description}},")
    lines += ["};", "", f"const size_t message_description_count = {len(messages)};"]
    return insert_init_wrappers(lines, messages)


def insert_init_wrappers(lines, messages):
    wrappers = []
    for message in messages:
        for struct in message.structs:
            name = struct.c_name
            wrappers += [f"static void {name}_any_init(void *out)", "{", f"    {name}_init(out);", "}", ""]
    start = lines.index("") + 1
    return lines[:start] + wrappers + lines[start:]
