# SPDX-License-Identifier: MIT
"""
A target that comes back with another disk behind a number that is in use

Nothing may be written to the other disk, nothing of it may be read, and the device must
say why it fails. Every 16 bytes of a disk tell whose they are, so that one wrong block
is seen. While the disks are exchanged there are reads and writes under way and, where
there is a cache, dirty pages.
"""
import collections
import errno
import itertools
import mmap
import os
import random
import re
import socket
import struct
import threading
import urllib.parse

import pytest

from bed import wait_for
from test_recovery import FAST
from test_session import discover

NAME = "iqn.2026-11.test.whole:swap"
BLOCK = 4096
BLOCKS = 512
SERVED, CACHED = range(0, BLOCKS // 2), range(BLOCKS // 2, BLOCKS)  # who writes where

Disk = collections.namedtuple("Disk", "path id serial block")


def stamp(name, n, generation=0):
    """Block n of a disk."""
    return b"%c%07d%08d" % (ord(name), n, generation) * (BLOCK // 16)


def generation_of(name, n, block):
    """Which writing this is; fails for what was never in that place of that disk."""
    generation = int(block[8:16]) if re.fullmatch(rb"\d{8}", block[8:16]) else -1
    assert block == stamp(name, n, generation), "block %d of %s is %r" % (n, name, bytes(block[:32]))
    return generation


def make_disk(tgt, name):
    path = os.path.join(tgt.directory, name)
    with open(path, "wb") as f:
        f.writelines(stamp(name, n) for n in range(BLOCKS))
    # tgt makes its NAA of the hexadecimal digits of the id: none here that differs
    return Disk(path, "unit-" + name.translate({65: "X", 66: "Y"}), "serial-" + name, 512)


def content(disk):
    with open(disk.path, "rb") as f:
        return f.read()


def present(tgt, disks):
    """From its next start the target has these: {LUN: disk}. Nobody may log in before they are all there."""
    lun = ("--mode", "logicalunit", "--tid", 1, "--lun")
    tgt.done = [("--op", "new", "--mode", "target", "--tid", 1, "-T", NAME)]
    for n, d in disks.items():
        tgt.done.append(("--op", "new", *lun, n, "-b", d.path, "--blocksize", d.block))
        tgt.done += [("--op", "update", *lun, n, "--params", p) for p in ("scsi_id=" + d.id, "scsi_sn=" + d.serial)]
    tgt.done.append(("--op", "bind", "--mode", "target", "--tid", 1, "-I", "ALL"))


# ---- who uses the device ---------------------------------------------------


class File:
    """A device or a file, with the page cache or past it."""

    def __init__(self, path, direct=False):
        self.fd = os.open(path, os.O_RDWR | (os.O_DIRECT if direct else 0))
        self.memory = mmap.mmap(-1, BLOCK)

    def read(self, n):
        assert os.preadv(self.fd, [self.memory], n * BLOCK) == BLOCK
        return self.memory[:]

    def write(self, n, data):
        self.memory[:] = data
        assert os.pwritev(self.fd, [self.memory], n * BLOCK) == BLOCK

    def flush(self):
        os.fsync(self.fd)

    def close(self):
        os.close(self.fd)


class Nbd:
    """A client of the nbd backend."""

    def __init__(self, uri):
        parts = urllib.parse.urlsplit(uri)
        name = parts.path.lstrip("/").encode()
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(100)
        self.s.connect(urllib.parse.parse_qs(parts.query)["socket"][0])
        assert self.receive(18).startswith(b"NBDMAGICIHAVEOPT")
        # fixed newstyle, no zeroes; EXPORT_NAME
        self.s.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, len(name)) + name)
        self.receive(10)

    def receive(self, n):
        got = b""
        while len(got) < n:
            part = self.s.recv(n - len(got))
            if not part:
                raise OSError(errno.EPIPE, "the service closed the connection")
            got += part
        return got

    def ask(self, what, n=0, size=0, data=b""):
        self.s.sendall(struct.pack(">IHHQQI", 0x25609513, 0, what, n, n * BLOCK, size) + data)
        magic, error, cookie = struct.unpack(">IIQ", self.receive(16))
        assert (magic, cookie) == (0x67446698, n)
        if error:
            raise OSError(error, os.strerror(error))

    def read(self, n):
        self.ask(0, n, BLOCK)
        return self.receive(BLOCK)

    def write(self, n, data):
        self.ask(1, n, BLOCK, data)

    def flush(self):
        self.ask(3)

    def close(self):
        self.s.close()


class User(threading.Thread):
    """Writes and reads until it is told to stop, or an error."""

    def __init__(self, device, name, blocks, cached=False):
        super().__init__(daemon=True)
        self.cached = cached
        self.device, self.name, self.blocks = device, name, blocks
        self.written, self.trying = {}, {}  # block: generation
        self.n, self.error, self.wrong = 0, None, None
        self.enough = threading.Event()
        self.start()

    def run(self):
        try:
            self.use()
        except OSError as e:
            self.error = e
        except Exception as e:
            self.wrong = e

    def use(self):
        for generation in itertools.count(1):
            n = random.choice(self.blocks)
            self.trying[n] = generation
            self.device.write(n, stamp(self.name, n, generation))
            self.written[n] = generation
            n = random.randrange(BLOCKS)
            generation_of(self.name, n, self.device.read(n))
            self.n += 1
            if self.enough.wait(0.001):
                return

    def end(self):
        self.enough.set()
        self.join(100)
        assert not self.is_alive(), "somebody still waits for the device"
        if self.wrong:
            raise self.wrong

    def leave(self):
        self.enough.set()
        self.join(5)
        self.device.close()


def users_of(backend, path, name):
    """[what goes to the target at once, what may stay in a cache]"""
    if backend == "nbd":
        return [User(Nbd(path), name, SERVED), User(Nbd(path), name, CACHED)]
    return [User(File(path, direct=backend == "loop"), name, SERVED), User(File(path), name, CACHED, backend == "loop")]


def whole_of(backend, path):
    device = Nbd(path) if backend == "nbd" else File(path)
    try:
        return b"".join(device.read(n) for n in range(BLOCKS))
    finally:
        device.close()


# ---- what becomes of the disks ------------------------------------------------


def other(a, b):
    return [a], [[b]]


def exchanged(a, b):
    return [a, b], [[b, a]]


def other_serial(a, b):
    return [a], [[b._replace(id=a.id)]]


def other_id(a, b):
    return [a], [[b._replace(serial=a.serial)]]


def other_block_size(a, b):
    return [a], [[a._replace(block=4096)]]


def missing_then_other_then_right(a, b):
    return [a], [[], [b], [a]]


def by_lun(disks):
    return dict(enumerate(disks, 1))


def states(service, session):
    return [d["state"] for d in service.devices(session)]


def all_fenced(service, session):
    wait_for(lambda: set(states(service, session)) == {"fenced"}, 60, lambda: "the fence:\n" + service.log()[-4000:])


def come_back(service, tgt, session, disks):
    """The target starts with these, and the session is there again."""
    logins = service.log().count(": is back")
    present(tgt, by_lun(disks))
    tgt.restart()
    wait_for(lambda: service.log().count(": is back") > logins and service.sessions()[0]["state"] == "up", 60,
             lambda: "the session's return:\n" + service.log()[-4000:])  # fmt: skip


def says_why(service, session, expected):
    shown = " ".join(service.cli("Devices", check=0).out.split())
    for d in service.devices(session):
        assert re.search(expected, d["why"]), d
        assert "fenced, its I/O fails: " + d["why"] in service.log()
        assert "fenced" in shown and " ".join(d["why"].split()) in shown, shown


WHY = {
    other: "the LUN is another unit now: it was .*serial-A.*, it is .*serial-B",
    exchanged: "the LUN is another unit now",
    other_serial: "the LUN is another unit now: .*serial-A.*serial-B",
    other_id: "the LUN is another unit now: it was t10.unit-X .*, it is t10.unit-Y ",
    other_block_size: "block",
    missing_then_other_then_right: "the target has no such unit any more",
}


def judge_users(users):
    """All have ended, had their own disk or nothing, and know of it."""
    for u in users:
        u.end()
        # a cache takes what is written, and may give what is in it
        assert u.error and u.error.errno == errno.EIO or u.cached, u.error
        for call in (u.device.flush, lambda: [u.device.write(7, stamp(u.name, 7)), u.device.flush()]):
            with pytest.raises(OSError) as e:
                call()
            assert e.value.errno == errno.EIO


# who a disk is, is judged above the backends: those two need no more than one
CASES = [(c, b) for c in WHY for b in ("loop", "fuse", "nbd") if b == "fuse" or c not in (other_serial, other_id)]


@pytest.mark.parametrize("change, backend", CASES, ids=lambda x: x if isinstance(x, str) else x.__name__)
def test_disks_change_behind_their_numbers(make_service, make_tgt, backend, change):
    tgt = make_tgt(in_memory=True)
    a, b = make_disk(tgt, "A"), make_disk(tgt, "B")
    first, then = change(a, b)
    present(tgt, by_lun(first))
    for args in tgt.done:
        tgt.admin("--lld", "iscsi", *args)
    service = make_service(FAST, backend=backend)
    discover(service, tgt)
    session = service.login(NAME)
    paths = [service.device(session, lun) for lun in by_lun(first)]
    users = [u for path, name in zip(paths, "AB") for u in users_of(backend, path, name)]
    try:
        wait_for(lambda: all(u.n > 30 or u.error or u.wrong for u in users), 60, "what is written and read")
        tgt.kill()
        before = [content(d) for d in (a, b)]
        for disks in then:
            come_back(service, tgt, session, disks)
            all_fenced(service, session)
            says_why(service, session, WHY[change])
        judge_users(users)
    finally:
        for u in users:
            u.leave()
    # the right disks have what they said they have, and nobody got anything since
    assert [content(d) for d in (a, b)] == before
    for u in users:
        if u.cached:
            continue
        whole = before["AB".index(u.name)]
        for n in u.blocks:
            generation = generation_of(u.name, n, whole[n * BLOCK:(n + 1) * BLOCK])
            assert u.written.get(n, 0) <= generation <= u.trying.get(n, 0)
    service.logout(session)
    assert service.sessions() == [] and [content(d) for d in (a, b)] == before
    # who logs in again gets the disk that is there now, and nothing of the one that was
    session = service.login(NAME)
    for lun, d in by_lun(then[-1]).items():
        path = service.device(session, lun)
        assert whole_of(backend, path) == content(d)
    service.logout(session)
    assert [content(d) for d in (a, b)] == before
