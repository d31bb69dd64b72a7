# SPDX-License-Identifier: Apache-2.0
"""Reads a .msg file (the notation is in ../README.md) into Message objects and gives the C names.

All errors in a schema end as SchemaError with file and line: the build stops there.
"""
import re

UNBOUNDED = 32767
SCALARS = {"int8", "int16", "uint16", "int32", "int64", "float64", "bool", "uuid"}
TEXTS = {"string", "bytes"}
ARRAY_SCALARS = {"int8", "int32", "int64", "string"}
C_KEYWORDS = set("auto break case char const continue default do double else enum extern float for goto if "
                 "inline int long register restrict return short signed sizeof static struct switch typedef "
                 "union unsigned void volatile while bool true false".split())


class SchemaError(Exception):
    pass


class Range:
    """Versions from low to high, both included; empty when low > high."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    @classmethod
    def parse(cls, text):
        match = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text)
        if not match:
            raise SchemaError(f"'{text}' is no range of versions: write 3, 3+ or 3-7")
        low = int(match[1])
        if match[2]:
            return cls(low, UNBOUNDED)
        return cls(low, int(match[3]) if match[3] else low)

    def within(self, other):
        return Range(max(self.low, other.low), min(self.high, other.high))

    def hull(self, other):
        return Range(min(self.low, other.low), max(self.high, other.high))

    def is_empty(self):
        return self.low > self.high

    def covers(self, version):
        return self.low <= version <= self.high

    def __eq__(self, other):
        return (self.low, self.high) == (other.low, other.high)

    def text(self, whole):
        if self.high >= whole.high:
            return f"{self.low}+"
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


class Field:
    """One field. `versions` is None where the file leaves it out, until Struct.resolve has run."""

    def __init__(self, name, type_name, line):
        self.name = name
        self.is_array = type_name.startswith("[]")
        self.type = type_name.removeprefix("[]")
        self.struct = None
        self.versions = None
        self.nullable = None
        self.nullable_everywhere = False
        self.tag = None
        self.default = None
        self.secret = False
        self.line = line

    def is_struct(self):
        return self.struct is not None and not self.is_array

    def is_struct_array(self):
        return self.struct is not None and self.is_array

    def is_pointer(self):
        """A structure that may be null is a pointer."""
        return self.is_struct() and self.nullable is not None


class Struct:
    def __init__(self, name):
        self.name = name
        self.fields = []
        self.context = None  # versions in which it can occur
        self.c_name = None

    def present(self, field):
        return field.versions.within(self.context)

    def untagged(self):
        return [f for f in self.fields if f.tag is None]

    def tagged(self):
        return sorted((f for f in self.fields if f.tag is not None), key=lambda f: f.tag)


class Message:
    """A request, a response or embedded data: a top structure and those in it, inner ones first."""

    def __init__(self, schema, kind):
        self.schema = schema
        self.kind = kind
        suffix = {"request": "Request", "response": "Response", "fields": ""}[kind]
        self.name = schema.name + suffix
        self.top = Struct(self.name)
        self.structs = []

    def is_flexible(self, version):
        return version >= self.schema.flexible


class Schema:
    def __init__(self, path):
        self.path = path
        self.documentation = []
        self.name = None
        self.key = None
        self.versions = None
        self.flexible = None  # UNBOUNDED for never
        self.messages = []

    def file_name(self):
        return snake(self.name)


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def nested_name(message, type_name):
    """The rule of README.md: strip a leading repetition of the message's or the API's name."""
    top = snake(message.name)
    rest = snake(type_name)
    for prefix in (top + "_", message.schema.file_name() + "_"):
        if rest.startswith(prefix):
            return top + "_" + rest.removeprefix(prefix)
    return top + "_" + rest


class Parser:
    """Line by line: header lines, then blocks of fields."""

    def __init__(self, path, lines):
        self.schema = Schema(path)
        self.lines = lines
        self.number = 0

    def fail(self, text, line=None):
        raise SchemaError(f"{self.schema.path}:{line or self.number}: {text}")

    def next_line(self):
        """The next line that says something, without comment; None at the end."""
        while self.number < len(self.lines):
            line = self.lines[self.number]
            self.number += 1
            code, _, comment = line.partition("#")
            if code.strip():
                return code.split()
            if line.startswith("# ") and self.schema.name is None and "SPDX" not in line:
                self.schema.documentation.append(comment.strip())
        return None

    def parse(self):
        while (words := self.next_line()) is not None:
            try:
                self.parse_top_line(words)
            except SchemaError as error:
                if str(error).startswith(self.schema.path):
                    raise
                self.fail(str(error))
        if not self.schema.messages:
            self.fail("no request, response or fields")
        return self.schema

    def parse_top_line(self, words):
        schema = self.schema
        match words:
            case ["api", key, name]:
                schema.key, schema.name = int(key), name
            case ["data", name]:
                schema.name = name
            case ["versions", text]:
                schema.versions = Range.parse(text)
            case ["flexible", "none"]:
                schema.flexible = UNBOUNDED
            case ["flexible", text]:
                schema.flexible = Range.parse(text).low
            case [("request" | "response" | "fields") as kind, "{"]:
                if schema.name is None or schema.versions is None or schema.flexible is None:
                    self.fail("api or data, versions and flexible come before the fields")
                schema.messages.append(self.parse_message(kind))
            case _:
                self.fail("expected api, data, versions, flexible, request {, response { or fields {")

    def parse_message(self, kind):
        message = Message(self.schema, kind)
        known = {}
        self.parse_fields(message.top, message, known)
        message.structs.append(message.top)
        message.top.context = self.schema.versions
        resolve(message, self)
        name_structs(message)
        return message

    def parse_fields(self, struct, message, known):
        while (words := self.next_line()) is not None:
            if words == ["}"]:
                return
            if words[0] == "struct" and len(words) == 3 and words[2] == "{":
                self.define(words[1], message, known)
            else:
                struct.fields.append(self.parse_field(words, message, known))
        self.fail("the file ends inside { }")

    def define(self, name, message, known):
        if name in known:
            self.fail(f"struct {name} is defined twice")
        struct = Struct(name)
        self.parse_fields(struct, message, known)
        known[name] = struct
        message.structs.append(struct)
        return struct

    def parse_field(self, words, message, known):
        opens = words[-1] == "{"
        words = " ".join(words[:-1] if opens else words).replace(",", " ").split()
        if len(words) < 2:
            self.fail("a field is: name type [versions] [attributes]")
        field = Field(words[0], words[1], self.number)
        if not re.fullmatch(r"[a-z][a-z0-9_]*", field.name) or field.name in C_KEYWORDS:
            self.fail(f"'{field.name}' cannot name a field")
        rest = words[2:]
        if rest and rest[0][0].isdigit():
            field.versions = Range.parse(rest.pop(0))
        self.parse_attributes(field, rest)
        if opens:
            field.struct = self.define(field.type, message, known)
        elif field.type in known:
            field.struct = known[field.type]
        elif field.type not in SCALARS | TEXTS | {"records"}:
            self.fail(f"unknown type {field.type}")
        elif field.is_array and field.type not in ARRAY_SCALARS:
            self.fail(f"no arrays of {field.type}")
        return field

    def parse_attributes(self, field, rest):
        while rest:
            word = rest.pop(0)
            if word == "nullable":
                if rest and rest[0][0].isdigit():
                    field.nullable = Range.parse(rest.pop(0))
                else:
                    field.nullable_everywhere = True
            elif word == "tag" and rest:
                field.tag = int(rest.pop(0))
            elif word == "default" and rest:
                field.default = rest.pop(0)
            elif word == "secret":
                field.secret = True
            else:
                self.fail(f"unknown attribute {word}")


def resolve(message, parser):
    """Outer structures first: what a field leaves open is that of the structure it stands in."""
    for struct in reversed(message.structs):
        if struct.context is None:
            parser.fail(f"struct {struct.name} is not used")
        names = [f.name for f in struct.fields]
        for field in struct.fields:
            if names.count(field.name) > 1:
                parser.fail(f"{field.name} stands twice in {struct.name}", field.line)
            resolve_field(struct, field, message, parser)


def resolve_field(struct, field, message, parser):
    field.versions = (field.versions or struct.context).within(struct.context)
    if field.versions.is_empty():
        parser.fail(f"{field.name} is in no version", field.line)
    if field.nullable_everywhere:
        field.nullable = field.versions
    if field.nullable:
        field.nullable = field.nullable.within(field.versions)
        if field.nullable.is_empty():
            parser.fail(f"{field.name} is nullable in none of its versions", field.line)
        if field.is_pointer() and field.nullable != field.versions:
            parser.fail("a structure is nullable in all its versions or in none", field.line)
        if field.type in SCALARS and not field.is_array:
            parser.fail(f"{field.type} cannot be null", field.line)
    if field.tag is not None:
        if not message.is_flexible(field.versions.low):
            parser.fail("a tagged field in a version that is not flexible", field.line)
        if field.type == "records" or field.is_pointer():
            parser.fail(f"a tagged field cannot be {field.type}", field.line)
    check_default(field, parser)
    if field.struct:
        context = field.struct.context
        field.struct.context = context.hull(field.versions) if context else field.versions


def check_default(field, parser):
    if field.default is None:
        return
    if field.default == "null":
        if not field.nullable:
            parser.fail("default null needs nullable", field.line)
        return
    if field.is_array or field.type not in SCALARS - {"uuid"}:
        parser.fail(f"{field.type} has no default but null", field.line)
    if field.type == "bool" and field.default in ("true", "false"):
        return
    if field.type == "bool" or not re.fullmatch(r"-?(\d+|0x[0-9a-f]+)", field.default):
        parser.fail(f"{field.default} is no default of {field.type}", field.line)


def name_structs(message):
    message.top.c_name = snake(message.name)
    nested = message.structs[:-1]
    short = [nested_name(message, s.name) for s in nested]
    for struct, name in zip(nested, short):
        collides = short.count(name) > 1 or name == message.top.c_name
        struct.c_name = message.top.c_name + "_" + snake(struct.name) if collides else name


def read_schema(path):
    with open(path, encoding="utf-8") as file:
        return Parser(path, file.read().splitlines()).parse()
