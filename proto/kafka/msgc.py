# SPDX-License-Identifier: Apache-2.0
"""The message compiler: .msg schemas in, C codecs out. The notation and the names are in README.md.

    msgc.py --message fetch.msg --output <folder>     writes fetch.h and fetch.c
    msgc.py --apis <folder of .msg> --output <folder> writes apis.h and apis.c, the table of all APIs
    msgc.py --descriptors <folder> --output <folder>  writes descriptors.c, the fields as data, for tests
    msgc.py --list-structs [file.msg ...]             prints every structure's name
"""
import argparse
import glob
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from generator import emit_codec, emit_header, emit_tables  # noqa: E402
from generator.schema import SchemaError, read_schema  # noqa: E402


def write(folder, name, lines):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write("\n".join(lines).rstrip("\n") + "\n")


def read_all(folder):
    return [read_schema(path) for path in sorted(glob.glob(os.path.join(folder, "*.msg")))]


def list_structs(paths):
    here = os.path.dirname(os.path.abspath(__file__))
    for path in paths or sorted(glob.glob(os.path.join(here, "messages", "*.msg"))):
        for message in read_schema(path).messages:
            for struct in reversed(message.structs):
                print(f"{struct.c_name:60} {message.name}.{struct.name}" if struct is not message.top
                      else f"{struct.c_name:60} {message.name}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--message")
    arguments.add_argument("--apis")
    arguments.add_argument("--descriptors")
    arguments.add_argument("--list-structs", nargs="*")
    arguments.add_argument("--output", default=".")
    options = arguments.parse_args()
    try:
        if options.message:
            schema = read_schema(options.message)
            write(options.output, schema.file_name() + ".h", emit_header.emit(schema))
            write(options.output, schema.file_name() + ".c", emit_codec.emit(schema))
        if options.apis:
            schemas = read_all(options.apis)
            write(options.output, "apis.h", emit_tables.apis_header(schemas))
            write(options.output, "apis.c", emit_tables.apis_source(schemas))
        if options.descriptors:
            write(options.output, "descriptors.c", emit_tables.descriptors(read_all(options.descriptors)))
        if options.list_structs is not None:
            list_structs(options.list_structs)
    except SchemaError as error:
        sys.exit(f"msgc: {error}")


if __name__ == "__main__":
    main()
