# SPDX-License-Identifier: Apache-2.0
"""
Kills at the n-th call of a kind: strace sends SIGKILL as a thread of the broker enters its n-th write, fsync, rename,
unlink or ftruncate on files, so that the call does not happen. Of all kinds together, a kill before one call is a kill
behind the one before it.
"""
import shutil
import subprocess
import tempfile
from pathlib import Path

from places import Process

TRACE = "trace"
CALLS = {
    "write": "pwrite64,pwritev",
    "sync": "fsync,fdatasync",
    "rename": "rename,renameat,renameat2",
    "unlink": "unlink,unlinkat,rmdir",
    "truncate": "ftruncate,truncate,fallocate",
    "make": "mkdir,mkdirat,openat",
}
CALLS["any"] = ",".join(CALLS[name] for name in ("write", "sync", "rename", "unlink", "truncate"))


def can_trace():
    """Whether strace is there and may kill."""
    if not shutil.which("strace"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        words = strace_words("unlink", 1, Path(folder) / "out") + ["rmdir", folder + "/none"]
        return subprocess.run(words, capture_output=True, timeout=30).returncode == -9


def strace_words(calls, number, output):
    """What stands before a program's words so that it is killed at a call; the program keeps its process id."""
    return ["strace", "-D"] + _options(calls, number, output)


def _options(calls, number, output):
    return ["-f", "-qq", "-o", str(output), "-e", "trace=" + CALLS[calls], "-e", "signal=none",
            "-e", "inject=%s:signal=KILL:when=%d" % (CALLS[calls], number)]


def attach(server, calls, number):
    """A running server is killed at a call from now on. Gives strace's process, which ends with the server."""
    tracer = Process(["strace"] + _options(calls, number, server.log.with_name("strace")) + ["-p", str(server.pid)],
                     server.log.with_name("strace.log"))
    tracer.start()
    return tracer
