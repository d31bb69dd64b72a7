# SPDX-License-Identifier: Apache-2.0
"""Small parts of C text that the emitters share: types, conditions on versions, wrapped lines."""
from .schema import UNBOUNDED

C_TYPES = {
    "int8": "int8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t", "int64": "int64_t",
    "float64": "double", "bool": "bool", "uuid": "struct uuid", "string": "struct slice",
    "bytes": "struct slice", "records": "struct wire_records",
}
COLUMNS = 110


def element_type(field):
    if field.struct:
        return "struct " + field.struct.c_name
    return C_TYPES[field.type]


def declaration(field):
    """The member, or the two members, of a field."""
    base = element_type(field)
    if field.is_array:
        return [f"{base} *{field.name};", f"size_t {field.name}_count;"]
    if field.is_pointer():
        return [f"{base} *{field.name};"]
    return [f"{base} {field.name};"]


def condition(versions, context):
    """A C condition for `version` in `versions`, given that it is in `context`; None when always true."""
    low = f"version >= {versions.low}" if versions.low > context.low else None
    high = f"version <= {versions.high}" if versions.high < context.high else None
    if low and high and versions.low == versions.high:
        return f"version == {versions.low}"
    if low and high:
        return f"{low} && {high}"
    if high and versions.high == context.low:
        return f"version == {versions.high}"
    return low or high


def flexible_expression(message, versions):
    """Whether versions of this range are flexible: "true", "false", or the variable `flexible`."""
    if versions.low >= message.schema.flexible:
        return "true"
    if versions.high < message.schema.flexible:
        return "false"
    return "flexible"


def flexible_condition(message, context):
    """As `condition`: the expression that initialises `flexible`."""
    return f"version >= {message.schema.flexible}"


def nullable_expression(field, present):
    if not field.nullable:
        return "false"
    return condition(field.nullable, present) or "true"


def guarded(test, lines):
    """`lines` under if (test), with braces where C style wants them."""
    if not test:
        return lines
    single = len(lines) == 1 and not lines[0].startswith((" ", "if", "for", "while"))
    head = f"if ({test})" + ("" if single else " {")
    return [head] + ["    " + line if line else "" for line in lines] + ([] if single else ["}"])


def indent(lines):
    return ["    " + line if line else "" for line in lines]


def call(head, arguments, tail):
    """`head`(arguments)`tail` in one line; fold() breaks it where it is too long."""
    return f"{head}({', '.join(arguments)}){tail}"


def fold(lines):
    """Breaks lines that pass the last column, in the manner of the house style."""
    return [part for line in lines for part in fold_line(line)]


def fold_line(line):
    if len(line) <= COLUMNS:
        return [line]
    pad = line[:len(line) - len(line.lstrip())]
    if " && " in line:
        parts = line.split(" && ")
        return [parts[0] + " &&"] + [pad + " " * 7 + part + (" &&" if part is not parts[-1] else "")
                                     for part in parts[1:]]
    left, equals, right = line.partition(" = ")
    if equals and "(" not in left:
        second = pad + "    " + right
        return [left + " ="] + (fold_line(second) if len(second) > COLUMNS else [second])
    return fold_call(line, pad)


def fold_call(line, pad):
    """Arguments below each other behind the parenthesis, or, where that leaves no room, on their own lines."""
    opening = line.index("(")
    closing = line.rindex(")")
    arguments = [text.strip() for text in line[opening + 1:closing].split(",")]
    head, tail = line[:opening + 1], line[closing:]
    for first, rest in ((head, " " * len(head)), (None, pad + "    ")):
        lines = [head] if first is None else []
        current = rest if first is None else first
        for position, argument in enumerate(arguments):
            text = argument + ("," if position < len(arguments) - 1 else tail)
            fresh = current in (rest, first)
            if not fresh and len(current) + 1 + len(text) > COLUMNS:
                lines.append(current)
                current, fresh = rest, True
            current += text if fresh else " " + text
        lines.append(current)
        if all(len(text) <= COLUMNS for text in lines):
            break
    return lines


def comment(text, depth=0):
    """A C comment, wrapped when long."""
    room = COLUMNS - 4 * depth
    if len(text) + 6 <= room:
        return [f"/* {text} */"]
    lines, line = ["/*"], " *"
    for word in text.split():
        if len(line) + 1 + len(word) > room:
            lines.append(line)
            line = " *"
        line += " " + word
    return lines + [line, " */"]


def default_text(field):
    """The C expression of a field's default; None where zeroed memory is right already."""
    if field.default == "null":
        return None
    if field.default is None:
        if field.nullable and field.is_array:
            return "wire_empty_array()"
        if field.nullable and field.type in ("string", "bytes"):
            return 'slice_make("", 0)'
        if field.nullable and field.type == "records":
            return '{.bytes = slice_make("", 0)}'
        return None
    if field.type == "bool":
        return "true" if field.default == "true" else None
    value = int(field.default, 0)
    if value == 0:
        return None
    if value == -(1 << 31):
        return "INT32_MIN"
    if value == (1 << 31) - 1:
        return "INT32_MAX"
    return str(value)


def banner(schema, what):
    document = " ".join(schema.documentation)
    key = f" (api key {schema.key})" if schema.key is not None else ""
    flexible = "never flexible" if schema.flexible == UNBOUNDED else f"flexible from {schema.flexible}"
    low, high = schema.versions.low, schema.versions.high
    return ["/* SPDX-License-Identifier: Apache-2.0 */"] + comment(
        f"{schema.name}{key}, versions {low} to {high}, {flexible}: {what} {document} "
        f"Generated from {schema.file_name()}.msg: change that file, not this one.")
