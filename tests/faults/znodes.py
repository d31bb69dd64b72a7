# SPDX-License-Identifier: Apache-2.0
"""
A small ZooKeeper client: reads and writes znodes, and ends the session of somebody else.

The password of a session follows from its id (ZooKeeper's server computes it with java.util.Random), so a second handle
can be opened on any session whose id is known, for instance from the owner of an ephemeral znode. Closing that handle
ends the session for its first owner too, which then sees it as expired.
"""
import json
import socket
import struct

_CREATE, _DELETE, _EXISTS, _GET, _SET, _CHILDREN, _CLOSE = 1, 2, 3, 4, 5, 8, -11
NO_NODE, NODE_EXISTS = -101, -110
_ANYONE = struct.pack(">ii", 1, 31) + struct.pack(">i", 5) + b"world" + struct.pack(">i", 6) + b"anyone"


class ZooKeeperError(Exception):
    """An error code of the server."""

    def __init__(self, code, path):
        super().__init__("error %d on %s" % (code, path))
        self.code = code


def session_password(session_id):
    """The 16 bytes that go with a session, as the server draws them from its id."""
    state = ((session_id ^ 0xB3415C00) ^ 0x5DEECE66D) & ((1 << 48) - 1)
    data = b""
    for _ in range(4):
        state = (state * 0x5DEECE66D + 0xB) & ((1 << 48) - 1)
        data += struct.pack("<I", (state >> 16) & 0xFFFFFFFF)
    return data


def _text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">i", len(data)) + data


class ZooKeeperClient:
    """One session on one server, or a second handle on an existing session."""

    def __init__(self, host, port, seconds=5, session_id=0):
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.next_call = 0
        password = session_password(session_id) if session_id else bytes(16)
        self._send(struct.pack(">iqiq", 0, 0, 10000, session_id) + _text(password))
        answer = self._receive()
        self.session_id = struct.unpack(">q", answer[8:16])[0]
        if struct.unpack(">i", answer[4:8])[0] <= 0:
            self.socket.close()
            raise ZooKeeperError(-112, "session %x" % session_id)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the session."""
        try:
            self._send(struct.pack(">ii", 0, _CLOSE))
            self._receive()
        except OSError:
            pass
        self.socket.close()

    def _send(self, data):
        self.socket.sendall(struct.pack(">i", len(data)) + data)

    def _take(self, size):
        data = b""
        while len(data) < size:
            chunk = self.socket.recv(size - len(data))
            if not chunk:
                raise ConnectionError("ZooKeeper closed the connection")
            data += chunk
        return data

    def _receive(self):
        return self._take(struct.unpack(">i", self._take(4))[0])

    def _call(self, kind, path, body):
        self.next_call += 1
        self._send(struct.pack(">ii", self.next_call, kind) + _text(path) + body)
        while True:
            answer = self._receive()
            call, _, error = struct.unpack(">iqi", answer[:16])
            if call == self.next_call:
                break
        if error:
            raise ZooKeeperError(error, path)
        return answer[16:]

    def get(self, path):
        """The bytes of a znode, None where there is no such znode."""
        try:
            answer = self._call(_GET, path, b"\0")
        except ZooKeeperError as error:
            if error.code == NO_NODE:
                return None
            raise
        size = struct.unpack(">i", answer[:4])[0]
        return answer[4:4 + size] if size > 0 else b""

    def get_json(self, path):
        data = self.get(path)
        return None if data is None else json.loads(data)

    def owner(self, path):
        """The session that owns an ephemeral znode; None without the znode."""
        try:
            answer = self._call(_EXISTS, path, b"\0")
        except ZooKeeperError as error:
            if error.code == NO_NODE:
                return None
            raise
        # czxid, mzxid, ctime, mtime, version, cversion, aversion come before it.
        return struct.unpack(">q", answer[44:52])[0]

    def children(self, path):
        try:
            answer = self._call(_CHILDREN, path, b"\0")
        except ZooKeeperError as error:
            if error.code == NO_NODE:
                return []
            raise
        names, at = [], 4
        for _ in range(struct.unpack(">i", answer[:4])[0]):
            size = struct.unpack(">i", answer[at:at + 4])[0]
            names.append(answer[at + 4:at + 4 + size].decode())
            at += 4 + size
        return names

    def create(self, path, data):
        """A persistent znode that anyone may change."""
        self._call(_CREATE, path, _text(data) + _ANYONE + struct.pack(">i", 0))

    def set(self, path, data):
        self._call(_SET, path, _text(data) + struct.pack(">i", -1))

    def delete(self, path):
        self._call(_DELETE, path, struct.pack(">i", -1))


def expire_session(host, port, session_id):
    """Ends a session that somebody else holds."""
    ZooKeeperClient(host, port, session_id=session_id).close()
