# SPDX-License-Identifier: Apache-2.0
"""Writes <api>.c: defaults, decoder and encoder of an API's messages (the printer is in emit_print.py)."""
import re

from . import emit_print
from .c_text import (COLUMNS, banner, call, condition, default_text, flexible_condition, flexible_expression,
                     fold, guarded, indent, nullable_expression)
from .emit_header import decode_head, encode_head
from .schema import UNBOUNDED

READERS = {"int8": "reader_i8(reader->bytes)", "int16": "reader_i16(reader->bytes)",
           "uint16": "reader_u16(reader->bytes)", "int32": "reader_i32(reader->bytes)",
           "int64": "reader_i64(reader->bytes)", "bool": "wire_read_bool(reader)",
           "float64": "wire_read_float64(reader)", "uuid": "wire_read_uuid(reader)"}
FIXED_SIZES = {"int8": 1, "int16": 2, "uint16": 2, "int32": 4, "int64": 8, "float64": 8, "bool": 1, "uuid": 16}


def function(head, body):
    return head + ["{"] + indent(body) + ["}", ""]


def uses(lines, word):
    """Whether generated lines mention the variable `word`."""
    return any(re.search(rf"(?<![\w>.]){word}\b", line) for line in lines)


# Defaults.

def init_function(struct):
    name = struct.c_name
    values, after = [], []
    for field in struct.fields:
        if field.is_struct() and not field.is_pointer():
            after.append(f"{field.struct.c_name}_init(&out->{field.name});")
        elif (value := default_text(field)) is not None:
            values.append(f".{field.name} = {value}")
    if values:
        body = [f"*out = (struct {name}){{{', '.join(values)}}};"]
        if len(body[0]) + 4 > COLUMNS or len(values) > 3:
            body = [f"*out = (struct {name}){{"] + ["    " + value + "," for value in values] + ["};"]
    else:
        body = [f"*out = (struct {name}){{0}};"]
    return function([f"void {name}_init(struct {name} *out)"], body + after)


def is_default_function(struct):
    """Only for structures that are tagged fields: equal to their defaults?"""
    tests = [is_default(field, f"in->{field.name}") for field in struct.fields]
    name = struct.c_name
    body = ["return " + " && ".join(tests) + ";"]
    return function([f"static bool {name}_is_default(const struct {name} *in)"], body)


def is_default(field, access):
    """A C condition: this field has its default and, being tagged, is left out."""
    if field.is_array:
        return f"!{access}" if field.default == "null" else f"{access}_count == 0"
    if field.struct:
        return f"{field.struct.c_name}_is_default(&{access})"
    if field.type in ("string", "bytes"):
        return f"slice_is_null({access})" if field.default == "null" else f"{access}.length == 0"
    if field.type == "uuid":
        return f"uuid_is_zero({access})"
    if field.type == "bool":
        return access if field.default == "true" else f"!{access}"
    return f"{access} == {default_text(field) or 0}"


def structs_with_is_default(message):
    """Those that are the type of a tagged field, inner ones first."""
    wanted = set()
    for struct in reversed(message.structs):
        for field in struct.fields:
            if field.is_struct() and (field.tag is not None or struct in wanted):
                wanted.add(field.struct)
    return [struct for struct in message.structs if struct in wanted]


# The least encoded size of an array's element, by version.

def least_field_size(message, field, version):
    flexible = message.is_flexible(version)
    if field.is_array or field.type in ("bytes", "records"):
        return 1 if flexible else 4
    if field.is_pointer():
        return 1
    if field.struct:
        return least_size(message, field.struct, version)
    if field.type == "string":
        return 1 if flexible else 2
    return FIXED_SIZES[field.type]


def least_size(message, struct, version):
    size = sum(least_field_size(message, field, version) for field in struct.untagged()
               if field.versions.covers(version))
    return size + (1 if message.is_flexible(version) else 0)


def least_function(message, struct):
    """A function of the version; size 0 cannot be, as the count of an array would then be unbounded."""
    steps = []
    for version in range(struct.context.low, struct.context.high + 1):
        size = least_size(message, struct, version)
        if size < 1:
            raise ValueError(f"{message.name}.{struct.name}: an element of no bytes in version {version}")
        if not steps or steps[-1][1] != size:
            steps.append((version, size))
    body = []
    for version, size in reversed(steps[1:]):
        body += [f"if (version >= {version})", f"    return {size};"]
    body.append(f"return {steps[0][1]};")
    if len(steps) == 1:
        return None, str(steps[0][1])
    name = f"{struct.c_name}_least_size"
    return function([f"static size_t {name}(int16_t version)"], body), f"{name}(version)"


# Reading.

def read_field(message, field, present, least):
    """Lines that read one field that is known to be there."""
    target = f"out->{field.name}"
    nullable = nullable_expression(field, present)
    if field.is_struct_array():
        return [call(f"{target} = wire_read_array", ["reader", nullable, least[field.struct],
                                                     f"sizeof(*{target})", f"&{target}_count"], ";"),
                f"for (size_t i = 0; i < {target}_count; i++)",
                f"    {field.struct.c_name}_read(&{target}[i], reader);"]
    if field.is_array:
        return [call(f"{target} = wire_read_{field.type}_array",
                     ["reader", nullable, f"&{target}_count"], ";")]
    if field.is_pointer():
        return [f"if (wire_read_presence(reader))",
                f"    {target} = wire_allocate(reader, sizeof(*{target}));",
                f"if ({target})",
                f"    {field.struct.c_name}_read({target}, reader);"]
    if field.struct:
        return [f"{field.struct.c_name}_read(&{target}, reader);"]
    if field.type in ("string", "bytes", "records"):
        return [f"{target} = wire_read_{field.type}(reader, {nullable});"]
    return [f"{target} = {READERS[field.type]};"]


def read_tags_function(message, struct, least):
    name = struct.c_name
    body = []
    for field in struct.tagged():
        lines = read_field(message, field, field.versions, least)
        from_flexible = struct.context.low if struct.context.low > message.schema.flexible \
            else message.schema.flexible
        newer = field.versions.low > from_flexible
        body.append(f"case {field.tag}:")
        if newer:
            body += indent([f"if (version < {field.versions.low}) {{", "    wire_tags_skip(&tags, reader);",
                            "    break;", "}"])
        body += indent(lines + ["break;"])
    body = ["while (wire_tags_next(&tags, reader)) {", "    switch (tags.tag) {"] + indent(body) + \
        ["    default:", "        wire_tags_skip(&tags, reader);", "    }", "}"]
    lines = ["struct wire_tags tags;"]
    if uses(body, "version"):
        lines.insert(0, "const int16_t version = reader->version;")
    lines += ["wire_tags_begin(&tags, reader);"] + body
    head = [f"static void {name}_read_tags(struct {name} *out, struct wire_reader *reader)"]
    return function(head, lines)


def read_function(message, struct, least):
    name = struct.c_name
    body = [f"{name}_init(out);"]
    for field in struct.untagged():
        test = condition(field.versions, struct.context)
        body += guarded(test, read_field(message, field, field.versions, least))
    if struct.context.high >= message.schema.flexible:
        tags = f"{name}_read_tags(out, reader);" if struct.tagged() else "wire_skip_all_tags(reader);"
        always = struct.context.low >= message.schema.flexible
        body += guarded(None if always else "reader->flexible", [tags])
    if uses(body, "version"):
        body = ["const int16_t version = reader->version;", ""] + body
    head = [f"static void {name}_read(struct {name} *out, struct wire_reader *reader)"]
    if not struct.fields and len(body) == 1:
        body.append("(void)reader;")
    return function(head, body)


def decode_function(message):
    top = message.top.c_name
    whole = message.schema.versions
    low = "version < 0" if whole.low == 0 else f"version < {whole.low}"
    flexible = flexible_expression(message, whole)
    if flexible == "flexible":
        flexible = flexible_condition(message, whole)
    body = ["struct wire_reader reader;",
            f"wire_reader_init(&reader, bytes, arena, version, {flexible});",
            f"if ({low} || version > {whole.high})",
            "    wire_fail(&reader, -EBADMSG);",
            f"{top}_read(out, &reader);",
            "return wire_reader_error(&reader);"]
    return function(decode_head(top, ""), body)


# Writing.

def write_field(message, field, present):
    source = f"in->{field.name}"
    nullable = nullable_expression(field, present)
    flexible = flexible_expression(message, present)
    if field.is_struct_array():
        return [call(f"const size_t {field.name}_count = wire_write_count",
                     ["writer", source, f"{source}_count", flexible, nullable], ";"),
                f"for (size_t i = 0; i < {field.name}_count; i++)",
                f"    {field.struct.c_name}_write(&{source}[i], writer, version);"]
    if field.is_array:
        return [call(f"wire_write_{field.type}_array",
                     ["writer", source, f"{source}_count", flexible, nullable], ";")]
    if field.is_pointer():
        return [f"wire_write_presence(writer, {source} != NULL);",
                f"if ({source})",
                f"    {field.struct.c_name}_write({source}, writer, version);"]
    if field.struct:
        return [f"{field.struct.c_name}_write(&{source}, writer, version);"]
    if field.type in ("string", "bytes"):
        return [call(f"wire_write_{field.type}", ["writer", source, flexible, nullable], ";")]
    if field.type == "records":
        return [call("wire_write_records", ["writer", f"&{source}", flexible, nullable], ";")]
    return [f"wire_write_{field.type}(writer, {source});"]


def write_tags_function(message, struct):
    name = struct.c_name
    tagged = struct.tagged()
    body, names = [], []
    for field in tagged:
        test = condition(field.versions, struct.context)
        differs = negate(is_default(field, f"in->{field.name}"))
        names.append(f"send_{field.name}" if len(tagged) > 1 else "send")
        body.append(f"const bool {names[-1]} = " + (f"{test} && " if test else "") + differs + ";")
    if len(names) > 1:
        body += ["", f"uint32_t count = {names[0]};"] + [f"count += {name};" for name in names[1:]]
    body += ["", f"wire_write_tag_count(writer, {'count' if len(names) > 1 else names[0]});"]
    for sent, field in zip(names, tagged):
        lines = [f"size_t start = wire_tag_begin(writer, {field.tag});"]
        lines += write_field(message, field, field.versions) + ["wire_tag_end(writer, start);"]
        body += guarded(sent, lines)
    if not uses(body, "version"):
        body.insert(0, "(void)version;")
    head = [f"static void {name}_write_tags(const struct {name} *in, struct wire_writer *writer, "
            "int16_t version)"]
    return function(head, body)


def negate(test):
    if test.startswith("!"):
        return test[1:]
    if " == " in test:
        return test.replace(" == ", " != ", 1)
    return "!" + test


def write_function(message, struct):
    name = struct.c_name
    body = []
    for field in struct.untagged():
        test = condition(field.versions, struct.context)
        body += guarded(test, write_field(message, field, field.versions))
    if struct.context.high >= message.schema.flexible:
        tags = f"{name}_write_tags(in, writer, version);" if struct.tagged() \
            else "wire_write_tag_count(writer, 0);"
        always = struct.context.low >= message.schema.flexible
        body += guarded(None if always else "flexible", [tags])
    if uses(body, "flexible"):
        body = [f"const bool flexible = {flexible_condition(message, struct.context)};", ""] + body
    for parameter in ("version", "in", "writer"):
        if not uses(body, parameter):
            body.insert(0, f"(void){parameter};")
    head = [f"static void {name}_write(const struct {name} *in, struct wire_writer *writer, "
            "int16_t version)"]
    return function(head, body)


def encode_function(message):
    top = message.top.c_name
    whole = message.schema.versions
    body = [f"CHECK(version >= {whole.low} && version <= {whole.high});",
            f"{top}_write(in, writer, version);"]
    return function(encode_head(top, ""), body)


# The same functions behind void pointers, for tables.

def codec_object(message):
    top = message.top.c_name
    schema = message.schema
    lines = function([f"static void {top}_any_init(void *out)"], [f"{top}_init(out);"])
    lines += function([f"static int {top}_any_decode(void *out, struct byte_reader *bytes, int16_t version, "
                       "struct arena *arena)"], [f"return {top}_decode(out, bytes, version, arena);"])
    lines += function([f"static void {top}_any_encode(const void *in, struct wire_writer *writer, "
                       "int16_t version)"], [f"{top}_encode(in, writer, version);"])
    lines += function([f"static void {top}_any_print(const void *in, int16_t version, struct buffer *out)"],
                      [f"{top}_print(in, version, out);"])
    flexible = "KAFKA_NEVER_FLEXIBLE" if schema.flexible == UNBOUNDED else schema.flexible
    return lines + [
        f"const struct message_codec {top}_codec = {{",
        f'    .name = "{message.name}",',
        f"    .size = sizeof(struct {top}),",
        f"    .minimum_version = {schema.versions.low},",
        f"    .maximum_version = {schema.versions.high},",
        f"    .flexible_since = {flexible},",
        f"    .init = {top}_any_init,",
        f"    .decode = {top}_any_decode,",
        f"    .encode = {top}_any_encode,",
        f"    .print = {top}_any_print,",
        "};", ""]


def emit_message(message):
    lines = []
    least = {}
    elements = {field.struct for struct in message.structs for field in struct.fields
                if field.is_struct_array()}
    for struct in message.structs:
        lines += init_function(struct)
    for struct in message.structs:
        if struct in elements:
            text, least[struct] = least_function(message, struct)
            lines += text or []
    for struct in message.structs:
        if struct.tagged():
            lines += read_tags_function(message, struct, least)
        lines += read_function(message, struct, least)
    lines += decode_function(message)
    for struct in structs_with_is_default(message):
        lines += is_default_function(struct)
    for struct in message.structs:
        if struct.tagged():
            lines += write_tags_function(message, struct)
        lines += write_function(message, struct)
    lines += encode_function(message)
    lines += emit_print.emit_message(message)
    return lines + codec_object(message)


def emit(schema):
    lines = banner(schema, "decoders, encoders and printers.")
    body = []
    for message in schema.messages:
        body += emit_message(message)
    includes = ["#include <errno.h>"]
    if any("PRI" in line for line in body):
        includes.append("#include <inttypes.h>")
    includes += ["", '#include "common/check.h"']
    if any("kafka_error_name" in line for line in body):
        includes.append('#include "proto/kafka/error.h"')
    includes += [f'#include "proto/kafka/messages/{schema.file_name()}.h"', ""]
    return lines + includes + fold(body[:-1])
