# SPDX-License-Identifier: Apache-2.0
"""
Disks that lose power: each log directory is a file system in an image file, mounted over a loop device.

A power cut kills the broker, copies the image while it is still mounted, and mounts the copy: what was not synced is
gone, also renames and new names. The mounts live in a mount namespace of this process, so they go when it goes.
"""
import ctypes
import os
import shutil
import subprocess

from inject import Injection, names

_CLONE_NEWNS = 0x20000
_IMAGE_BYTES = 384 << 20
POWER = "power"


def _call(*words):
    subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=60)


def can_mount():
    """Whether this process may mount images (root, and a free loop device)."""
    if os.geteuid() != 0 or not all(shutil.which(word) for word in ("mkfs.ext4", "mount", "umount", "losetup")):
        return False
    return subprocess.run(["losetup", "-f"], capture_output=True, timeout=30).returncode == 0


def _image(folder):
    return folder.with_name(folder.name + ".image")


class PowerDisks:
    """The image disks of all brokers of a bed."""

    def __init__(self, bed):
        self.bed = bed
        self.mounted = []
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        _call("mount", "--make-rprivate", "/")
        for broker in bed.brokers.values():
            for folder in broker.data:
                self._make(folder)

    def _make(self, folder):
        folder.mkdir()
        with _image(folder).open("wb") as image:
            image.truncate(_IMAGE_BYTES)
        _call("mkfs.ext4", "-q", "-F", "-m", "0", _image(folder))
        self._mount(folder)
        (folder / "lost+found").rmdir()

    def _mount(self, folder):
        _call("mount", "-o", "loop,noatime", _image(folder), folder)
        self.mounted.append(folder)

    def _unmount(self, folder):
        _call("umount", folder)
        self.mounted.remove(folder)

    def lose_unsynced(self, broker):
        """Of a broker that was killed: only what had reached the disk is still there."""
        for folder in broker.data:
            copy = _image(folder).with_suffix(".copy")
            _call("cp", "--sparse=always", _image(folder), copy)
            self._unmount(folder)
            copy.rename(_image(folder))
            self._mount(folder)

    def close(self):
        """Brings the files of all directories into plain folders of the same name, for who looks at them later."""
        for folder in list(self.mounted):
            plain = folder.with_name(folder.name + ".plain")
            shutil.copytree(folder, plain, symlinks=True)
            self._unmount(folder)
            folder.rmdir()
            plain.rename(folder)
            _image(folder).unlink()


class PowerCut(Injection):
    """Brokers lose power; heal starts them again."""

    needs = (POWER,)

    def __init__(self, bed, *brokers):
        super().__init__(bed)
        self.brokers = brokers

    def __str__(self):
        return "power cut of %s" % names(self.brokers)

    def begin(self):
        for broker in self.brokers:
            broker.kill()
        for broker in self.brokers:
            self.bed.power.lose_unsynced(broker)

    def heal(self):
        for broker in self.brokers:
            broker.start()
