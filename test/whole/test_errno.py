# SPDX-License-Identifier: MIT
"""
What a read or a write fails with, by what the unit answers

A target that ends READ or WRITE with given sense data, and the error that a program gets on
each kind of device. doc/recovery.md has the same table for people; the two are compared.
"""
import contextlib
import errno
import mmap
import os
import re
import socket
import struct

import pytest

import bed
import disk
from test_nbd import socket_of

READ, WRITE = (0x28, 0x88), (0x2A, 0x8A)
BLOCK = 4096

# operations, (key, ASC, ASCQ), then the error on a FUSE file, a loop device, an NBD client, a ublk device
BACKENDS = ("fuse", "loop", "nbd", "ublk")
ROWS = [
    (READ, (0x3, 0x11, 0x00), "ENODATA", "ENODATA", "EIO", "ENODATA"),
    (READ, (0x3, 0x14, 0x00), "ENODATA", "ENODATA", "EIO", "ENODATA"),
    (WRITE, (0x3, 0x0C, 0x00), "EIO", "EIO", "EIO", "EIO"),
    (READ, (0x4, 0x44, 0x00), "EREMOTEIO", "EREMOTEIO", "EIO", "EREMOTEIO"),
    (WRITE, (0x5, 0x24, 0x00), "EREMOTEIO", "EREMOTEIO", "EIO", "EREMOTEIO"),
    (WRITE, (0x5, 0x10, 0x01), "EILSEQ", "EILSEQ", "EIO", "EILSEQ"),
    (READ, (0x2, 0x3A, 0x00), "ENOMEDIUM", "EIO", "EIO", "EIO"),
    (READ, (0x2, 0x04, 0x03), "EIO", "EIO", "EIO", "EIO"),
    (WRITE, (0x7, 0x27, 0x07), "ENOSPC", "ENOSPC", "ENOSPC", "ENOSPC"),
    (WRITE, (0xD, 0x00, 0x00), "ENOSPC", "ENOSPC", "ENOSPC", "ENOSPC"),
    (WRITE, (0x7, 0x74, 0x71), "EACCES", "EIO", "EPERM", "EREMOTEIO"),
    (READ, (0xB, 0x10, 0x03), "EILSEQ", "EILSEQ", "EIO", "EILSEQ"),
    (WRITE, (0xB, 0x47, 0x05), "EREMOTEIO", "EREMOTEIO", "EIO", "EREMOTEIO"),
    (WRITE, disk.CONFLICT, "EBADE", "EBADE", "EIO", "EBADE"),
    # last: the unit is taken to be write protected from then on
    (WRITE, (0x7, 0x27, 0x00), "EROFS", "EIO", "EPERM", "EREMOTEIO"),
]


def name_of(answer):
    return answer if isinstance(answer, str) else "%X/%02X/%02X" % answer


@contextlib.contextmanager
def opened(path, flags):
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def file_errno(fd, operations):
    """The errno of one block read or written; 0 when it went well."""
    with mmap.mmap(-1, BLOCK) as block:  # aligned, for O_DIRECT
        try:
            os.preadv(fd, [block], 0) if operations is READ else os.pwritev(fd, [block], 0)
        except OSError as e:
            return e.errno
    return 0


class Nbd:
    """As much of an NBD client as shows the number in the answer."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(120)
        self.s.connect(path)
        self.hear(18)
        self.s.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, 0))  # NBD_OPT_EXPORT_NAME, the empty one
        self.hear(10)

    def hear(self, n):
        data = b""
        while len(data) < n:
            part = self.s.recv(n - len(data))
            assert part, "the server is gone"
            data += part
        return data

    def error(self, operations):
        is_read = operations is READ
        self.s.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0 if is_read else 1, 1, 0, BLOCK) + (b"" if is_read else bytes(BLOCK)))
        magic, error, cookie = struct.unpack(">IIQ", self.hear(16))
        assert (magic, cookie) == (0x67446698, 1)
        if is_read and not error:
            self.hear(BLOCK)
        return error


@contextlib.contextmanager
def asker(backend, device):
    if backend == "nbd":
        client = Nbd(socket_of(device))
        with client.s:
            yield client.error
        return
    with opened(device, os.O_RDWR | (os.O_DIRECT if backend in ("loop", "ublk") else 0)) as fd:
        yield lambda operations: file_errno(fd, operations)


@pytest.fixture
def brittle():
    d = disk.Disk()
    yield d
    d.close()


def each_row(service, brittle, backend):
    service.cli("AddTargetPortal", "127.0.0.1", brittle.port, check=0)
    session = service.login(brittle.name)
    device = service.device(session, seconds=60)
    column = 2 + BACKENDS.index(backend)
    wrong = []
    with asker(backend, device) as ask:
        for row in ROWS:
            operations, answer = row[:2]
            brittle.broken = {}
            assert ask(operations) == 0, "the disk is well before " + name_of(answer)
            brittle.broken = dict.fromkeys(operations, answer)
            if backend == "fuse":
                drop_cache(device)
            got = errno.errorcode.get(ask(operations), "success")
            if got != row[column]:
                wrong.append("%s: %s, not %s" % (name_of(answer), got, row[column]))
    brittle.broken = {}
    assert not wrong, "; ".join(wrong)
    service.logout(session)


@pytest.mark.parametrize("backend", ("fuse", "loop", "nbd"))
def test_error_by_answer(make_service, brittle, backend):
    """ublk's column is for ublk_inside.py."""
    each_row(make_service(backend=backend), brittle, backend)


def drop_cache(path):
    with opened(path, os.O_RDONLY) as fd:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def test_the_document_has_the_same_table():
    with open(os.path.join(bed.SOURCE, "doc", "recovery.md"), encoding="utf-8") as f:
        lines = re.findall(r"^\| (read|write) \| ([^|]*?) \| [^|]*%s \|$" % (r" \| (\w+)" * len(BACKENDS)), f.read(), re.M)
    assert lines == [("read" if r[0] is READ else "write", name_of(r[1]), *r[2:]) for r in ROWS]
