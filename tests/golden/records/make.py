# SPDX-License-Identifier: Apache-2.0
"""Writes the *.hex files of this folder: record batches as software that is not ours makes them.

kafka-python builds the batches; gzip is Python's, lz4 and zstd are the command line tools, snappy blocks
come from libsnappy in xerial's framing, made here. Run it only to add a file: the bytes in the tree are the
reference (the compressors of another release may give other bytes for the same records).
"""
import ctypes
import gzip
import pathlib
import struct
import subprocess

from kafka.record import default_records, legacy_records

HERE = pathlib.Path(__file__).parent
VALUE = b"barnabas " * 40
RECORDS = [  # timestamp, key, value, headers
    (1700000000000, b"k1", VALUE, [("h1", b"v"), ("h2", None), ("", b"")]),
    (1700000000005, None, b"", []),
    (1699999999990, b"", None, []),
]


def run(*command):
    return lambda data: subprocess.run(command, input=bytes(data), stdout=subprocess.PIPE, check=True).stdout


def xerial(data):
    library = ctypes.CDLL("libsnappy.so.1")
    length = ctypes.c_size_t(library.snappy_max_compressed_length(ctypes.c_size_t(len(data))))
    block = ctypes.create_string_buffer(length.value)
    library.snappy_compress(bytes(data), ctypes.c_size_t(len(data)), block, ctypes.byref(length))
    header = b"\x82SNAPPY\x00" + struct.pack("!ii", 1, 1)
    return header + struct.pack("!i", length.value) + block.raw[: length.value]


default_records.gzip_encode = lambda data: gzip.compress(bytes(data), mtime=0)
default_records.snappy_encode = xerial
default_records.lz4_encode = run("lz4", "-c", "-B4", "-BI", "--no-frame-crc")
default_records.zstd_encode = run("zstd", "-c", "--no-check")
default_records.DefaultRecordBase._assert_has_codec = lambda self, codec: None


def batch(codec=0, transactional=False, producer=(-1, -1, -1)):
    builder = default_records.DefaultRecordBatchBuilder(2, codec, transactional, *producer, 1 << 20)
    for offset, (timestamp, key, value, headers) in enumerate(RECORDS):
        builder.append(offset, timestamp, key, value, headers)
    return builder.build()


def messages(magic):
    builder = legacy_records.LegacyRecordBatchBuilder(magic, 0, 1 << 20)
    for offset, (timestamp, key, value, _) in enumerate(RECORDS):
        builder.append(offset, timestamp=timestamp, key=key, value=value)
    return builder.build()


def write(name, data):
    text = bytes(data).hex()
    lines = [text[i : i + 100] for i in range(0, len(text), 100)]
    (HERE / f"{name}.hex").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    for number, codec in enumerate(["none", "gzip", "snappy", "lz4", "zstd"]):
        write(f"batch_{codec}", batch(number))
    write("batch_transactional", batch(0, True, (4711, 3, 2147483646)))
    write("messages_v0", messages(0))
    write("messages_v1", messages(1))
