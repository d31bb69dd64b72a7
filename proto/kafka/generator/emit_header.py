# SPDX-License-Identifier: Apache-2.0
"""Writes <api>.h: the structures of an API's messages and their public functions."""
from .c_text import banner, comment, declaration, fold


def field_remark(message, struct, field):
    parts = []
    if field.versions != struct.context:
        parts.append(field.versions.text(message.schema.versions))
    if field.tag is not None:
        parts.append(f"tag {field.tag}")
    if field.nullable:
        same = field.nullable == field.versions
        parts.append("nullable" if same else "nullable " + field.nullable.text(message.schema.versions))
    if field.default is not None:
        parts.append(f"default {field.default}")
    return f" /* {', '.join(parts)} */" if parts else ""


def struct_lines(message, struct):
    lines = [f"struct {struct.c_name} {{"]
    rows = []
    for field in struct.fields:
        members = declaration(field)
        rows.append((members[0], field_remark(message, struct, field)))
        rows.extend((member, "") for member in members[1:])
    for text, remark in align(rows):
        lines.append("    " + text + remark)
    if not struct.fields:
        lines.append("    char empty; /* C wants a member */")
    return lines + ["};", ""]


def align(rows):
    """Pads members so that remarks of neighbouring lines stand below each other."""
    out, run = [], []

    def flush():
        width = max((len(text) for text, _ in run), default=0)
        out.extend((text.ljust(width), remark) for text, remark in run)
        run.clear()

    for text, remark in rows:
        if remark:
            run.append((text, remark))
        else:
            flush()
            out.append((text, ""))
    flush()
    return out


def prototypes(message):
    top = message.top.c_name
    whole = message.schema.versions
    lines = [f"/* {message.name}, versions {whole.low} to {whole.high}: see proto/kafka/README.md. */"]
    lines += function_heads(message, ";")
    lines.append(f"extern const struct message_codec {top}_codec;")
    return lines


def function_heads(message, tail):
    top = message.top.c_name
    lines = [f"void {struct.c_name}_init(struct {struct.c_name} *out)" + tail for struct in message.structs]
    lines += decode_head(top, tail) + encode_head(top, tail) + print_head(top, tail)
    return lines


def decode_head(top, tail):
    return [f"int {top}_decode(struct {top} *out, struct byte_reader *bytes, int16_t version, "
            f"struct arena *arena){tail}"]


def encode_head(top, tail):
    return [f"void {top}_encode(const struct {top} *in, struct wire_writer *writer, int16_t version){tail}"]


def print_head(top, tail):
    return [f"void {top}_print(const struct {top} *in, int16_t version, struct buffer *out){tail}"]


def emit(schema):
    guard = f"PROTO_KAFKA_MESSAGES_{schema.file_name().upper()}_H"
    lines = banner(schema, "structures and functions.")
    lines += [f"#ifndef {guard}", f"#define {guard}", "", '#include "proto/kafka/codec.h"',
              '#include "proto/kafka/wire.h"', ""]
    for message in schema.messages:
        for struct in message.structs:
            if struct is not message.top:
                lines += comment(f"{struct.name} of {message.name}, versions "
                                 f"{struct.context.low} to {struct.context.high}")
            lines += struct_lines(message, struct)
    for message in schema.messages:
        lines += fold(prototypes(message)) + [""]
    return lines + ["#endif"]
