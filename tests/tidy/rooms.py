# SPDX-License-Identifier: Apache-2.0
"""
The rooms of the house and which rooms each may include; which files are pure; which libraries have one door.

The picture of it is in docs/architecture.md. A room that is not listed here is not allowed to hold C code.
"""

_PROTO = ("proto/kafka", "proto/records", "proto/control")
_COORDINATOR = ("coordinator/zk", "coordinator/membership", "coordinator/controller")

# Room -> the other rooms whose headers it may include.
ARROWS = {
    "common": (),
    "proto/kafka": ("common",),
    "proto/records": ("common", "proto/kafka"),
    "proto/control": ("common", "proto/kafka"),
    "coordinator/zk": ("common",) + _PROTO,
    "coordinator/membership": ("common", "coordinator/zk") + _PROTO,
    "coordinator/controller": ("common", "coordinator/zk", "coordinator/membership") + _PROTO,
    "broker/config": ("common",) + _PROTO,
    "broker/log": ("common", "broker/config") + _PROTO,
    "broker/net": ("common", "broker/config") + _PROTO,
    "broker/replica": ("common", "broker/config", "broker/log", "broker/net") + _PROTO,
    "broker/api": ("common", "broker/config", "broker/log", "broker/replica", "broker/net") + _PROTO + _COORDINATOR,
    "broker": ("common", "broker/config", "broker/log", "broker/replica", "broker/net", "broker/api")
    + _PROTO + _COORDINATOR,
    "tools": ("common", "broker/config", "broker/log", "broker/net", "coordinator/zk", "coordinator/membership",
              "coordinator/controller") + _PROTO,
}

# Files that decide and never act: no system header but these, no clock, no chance, no threads, no IO.
PURE = (
    r"common/(arena|buffer|bytes|list|map|slice|uuid|crc32c)\.[ch]",
    r"common/prng\.h",
    r"proto/records/.*",
    r"proto/kafka/.*\.[ch]",
    r"coordinator/zk/(path|node)[a-z_]*\.[ch]",
    r"coordinator/membership/roster[a-z_]*\.[ch]",
    r"coordinator/controller/(decide|image|assign|push|isr_change|topic_rules|admin)[a-z_]*\.[ch]",
    r"broker/log/retention\.[ch]",
    r"broker/replica/[a-z_]*core\.[ch]",
)
# (stdlib.h for free, the sister of common/memory.h; calls of malloc are found by name.)
PURE_HEADERS = {"stdint.h", "stdbool.h", "stddef.h", "string.h", "errno.h", "inttypes.h", "limits.h", "stdarg.h",
                "stdlib.h", "stdalign.h"}
# Beyond those, for one file and one reason each: the checksum's hardware path; formatting into a
# buffer; the CRC-32 of old messages, which zlib has.
PURE_EXTRA_HEADERS = {
    "common/crc32c.c": {"nmmintrin.h", "cpuid.h", "arm_acle.h", "immintrin.h", "smmintrin.h", "wmmintrin.h"},
    "common/buffer.c": {"stdio.h"},
    "common/uuid.c": {"stdio.h"},
    "proto/records/old.c": {"zlib.h"},
}
# Headers of our own that open onto the world and so have no place in a pure file.
IMPURE_OWN_HEADERS = {"common/loop.h", "common/mailbox.h", "common/worker.h", "common/file.h",
                      "common/clock_posix.h", "common/log.h"}

# Library header -> the only places that may include it.
DOORS = {
    r"jansson\.h": r"common/json[a-z_]*\.[ch]",
    r"event2/.*|event\.h": r"common/loop[a-z_]*\.c",
    r"zookeeper/.*|zookeeper.*\.h": r"coordinator/zk/.*",
    r"librdkafka/.*": r"tools/.*",
    r"protobuf-c/.*": r"proto/control/.*|common/.*",
    r"zlib\.h|lz4.*\.h|zstd\.h|snappy.*\.h": r"common/codec[a-z0-9_]*\.[ch]|proto/records/old\.c",
}


def room_of(path):
    """The room a file lies in: the longest listed folder above it; tests are outside the house."""
    folder = path.rsplit("/", 1)[0] if "/" in path else ""
    while folder and folder not in ARROWS:
        folder = folder.rsplit("/", 1)[0] if "/" in folder else ""
    return folder or None
