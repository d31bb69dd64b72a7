# SPDX-License-Identifier: Apache-2.0
"""The printers: one line of text for logs, fields that the version has, secrets masked."""
from .c_text import condition, guarded, indent
from .emit_header import print_head

FORMATS = {"int8": '%d"', "int16": '%d"', "uint16": '%u"', "int32": '%" PRId32', "int64": '%" PRId64',
           "float64": '%g"'}


def print_field(field):
    name, source = field.name, f"in->{field.name}"
    label = f'buffer_append_string(out, " {name}=");'
    if field.secret:
        return [label, f"wire_print_secret(out, {source});"]
    if field.is_struct_array():
        return [label,
                f"const size_t {name}_shown = wire_print_array_begin(out, {source}, {source}_count);",
                f"for (size_t i = 0; i < {name}_shown; i++)",
                f"    {field.struct.c_name}_write_text(&{source}[i], version, out);",
                f"wire_print_array_end(out, {source}, {source}_count);"]
    if field.is_array:
        return [label, f"wire_print_{field.type}_array(out, {source}, {source}_count);"]
    if field.is_pointer():
        return [label, f"if ({source})", f"    {field.struct.c_name}_write_text({source}, version, out);",
                "else", '    buffer_append_string(out, "null");']
    if field.struct:
        return [label, f"{field.struct.c_name}_write_text(&{source}, version, out);"]
    if field.type == "records":
        return [label, f"wire_print_records(out, &{source});"]
    if field.type in ("string", "bytes", "uuid"):
        return [label, f"wire_print_{field.type}(out, {source});"]
    if field.type == "bool":
        return [f'buffer_print(out, " {name}=%s", {source} ? "true" : "false");']
    if field.type == "int16" and name.endswith("error_code"):
        return [f'buffer_print(out, " {name}=%s", kafka_error_name({source}));']
    return [f'buffer_print(out, " {name}={FORMATS[field.type]}, {source});']


def print_function(message, struct):
    name = struct.c_name
    body = ['buffer_append_string(out, "{");']
    for field in struct.fields:
        body += guarded(condition(field.versions, struct.context), print_field(field))
    body.append('buffer_append_string(out, " }");')
    text = "\n".join(body)
    if "version" not in text.replace("_version", ""):
        body.insert(0, "(void)version;")
    if "in->" not in text:
        body.insert(0, "(void)in;")
    head = [f"static void {name}_write_text(const struct {name} *in, int16_t version, struct buffer *out)"]
    return head + ["{"] + indent(body) + ["}", ""]


def emit_message(message):
    lines = []
    for struct in message.structs:
        lines += print_function(message, struct)
    top = message.top.c_name
    lines += print_head(top, "")
    lines += ["{", f'    buffer_print(out, "{message.name} v%d ", version);',
              f"    {top}_write_text(in, version, out);", "}", ""]
    return lines
