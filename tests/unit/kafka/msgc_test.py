# SPDX-License-Identifier: Apache-2.0
"""The message compiler: what it refuses, and how it names structures. Run by ctest with unittest."""
import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "proto" / "kafka"))
from generator import emit_codec  # noqa: E402
from generator.schema import Parser, SchemaError, read_schema, snake  # noqa: E402

HEAD = ["api 1 Fetch", "versions 0-3", "flexible 2+"]


def parse(*body):
    return Parser("fetch.msg", [*HEAD, "request {", *body, "}"]).parse().messages[0]


class Refusals(unittest.TestCase):
    def refused(self, text, *body):
        with self.assertRaises(SchemaError) as caught:
            parse(*body)
        self.assertIn(text, str(caught.exception))
        self.assertRegex(str(caught.exception), r"^fetch\.msg:\d+: ")

    def test_bad_fields(self):
        self.refused("unknown type", "a strnig")
        self.refused("unknown attribute", "a string optional")
        self.refused("stands twice", "a int8", "a int16")
        self.refused("cannot name a field", "default int8")
        self.refused("a field is", "lonely")
        self.refused("no arrays of", "a []bool")
        self.refused("inside { }", "a []B {", "b int8", "}", "c D {")

    def test_bad_versions(self):
        self.refused("no range of versions", "a int8 1..2")
        self.refused("in no version", "a int8 7+")
        self.refused("nullable in none", "a string 0-1 nullable 2+")
        self.refused("all its versions or in none", "a B nullable 2+ {", "b int8", "}")

    def test_bad_attributes(self):
        self.refused("not flexible", "a int8 1+ tag 0")
        self.refused("needs nullable", "a string default null")
        self.refused("cannot be null", "a int32 nullable")
        self.refused("no default of bool", "a bool default 1")
        self.refused("no default of int32", "a int32 default many")

    def test_an_element_needs_bytes(self):
        message = parse("a []B {", "b int8 2+", "}")
        with self.assertRaises(ValueError):
            emit_codec.emit_message(message)


class Names(unittest.TestCase):
    def test_repetitions_are_stripped(self):
        message = parse("a []FetchTopic {", "b int8", "}", "c []FetchRequestPart {", "d int8", "}",
                        "e []FetchableThing {", "f int8", "}")
        self.assertEqual([s.c_name for s in message.structs],
                         ["fetch_request_topic", "fetch_request_part", "fetch_request_fetchable_thing",
                          "fetch_request"])

    def test_colliding_names_stay_whole(self):
        message = parse("a []FetchTopic {", "b int8", "}", "c []Topic {", "d int8", "}")
        self.assertEqual([s.c_name for s in message.structs],
                         ["fetch_request_fetch_topic", "fetch_request_topic", "fetch_request"])

    def test_files_are_called_after_their_api(self):
        keys = set()
        for path in (ROOT / "proto" / "kafka" / "messages").glob("*.msg"):
            schema = read_schema(str(path))
            self.assertEqual(path.stem, snake(schema.name))
            self.assertTrue(schema.documentation, path)
            self.assertNotIn(schema.key, keys - {None})
            keys.add(schema.key)


class Versions(unittest.TestCase):
    def test_left_out_versions_are_those_around(self):
        message = parse("a B 1-2 {", "b int8", "c int8 2+", "}")
        inner = message.structs[0]
        self.assertEqual([f.versions.text(message.schema.versions) for f in inner.fields], ["1-2", "2"])

    def test_a_shared_structure_occurs_where_any_user_does(self):
        message = parse("struct B {", "b int8", "}", "x []B 0", "y []B 3+")
        self.assertEqual((message.structs[0].context.low, message.structs[0].context.high), (0, 3))


if __name__ == "__main__":
    unittest.main()
