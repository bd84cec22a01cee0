# SPDX-License-Identifier: MIT
"""Data through a device: fio writes, reads back and compares every block."""
import os

import pytest

from bed import THIN, WRITE_CACHE_OFF, run
from conftest import need_program
from test_session import discover


def fio(path, rw, bs, depth, mb=48, seconds=60, verify=True, direct=1, more=()):
    """Bounded by size, not by time: what is written is also compared."""
    need_program("fio")
    args = ["fio", "--name=whole", "--filename=" + path, "--rw=" + rw, "--bs=" + bs, "--iodepth=%d" % depth, "--ioengine=libaio",
            "--direct=%d" % direct, "--size=%dM" % mb, "--allow_file_create=0", "--output-format=terse", "--randrepeat=1",
            *(["--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--verify_state_save=0"] if verify else []), *more]  # fmt: skip
    run(*args, seconds=seconds)


SHAPES = [("randwrite", "4k", 1, 4), ("randwrite", "4k", 64, 32), ("write", "1M", 1, 48), ("randwrite", "1M", 16, 48), ("write", "64k", 32, 48),
          ("randrw", "4k", 16, 24), ("randwrite", "512", 8, 1), ("randwrite", "12k", 7, 24)]  # fmt: skip


@pytest.mark.parametrize("rw,bs,depth,mb", SHAPES)
def test_verify(service, tgt, rw, bs, depth, mb):
    discover(service, tgt)
    session = service.login(tgt.name)
    fio(service.device(session), rw, bs, depth, mb)
    service.logout(session)
    # no retries, no aborts: a target in good health is not made to work twice
    assert "abort" not in service.log()


@pytest.mark.parametrize("kind", ("memory", "blocks of 4096", "no write cache", "digests", "thin", "fuse"))
def test_verify_kinds_of_store(make_service, make_tgt, kind):
    service = make_service(backend="fuse" if kind == "fuse" else None)
    tgt = make_tgt(in_memory=kind == "memory")
    name = tgt.target("iqn.2026-11.test.whole:io")
    params = {"no write cache": [WRITE_CACHE_OFF], "thin": [THIN]}.get(kind, [])
    tgt.lun(1, block=4096 if kind == "blocks of 4096" else 512, params=params)
    if kind == "digests":
        tgt.setting("HeaderDigest", "CRC32C")
        tgt.setting("DataDigest", "CRC32C")
    discover(service, tgt)
    session = service.login(name)
    device = service.device(session)
    # a FUSE file takes direct I/O only where the kernel lets it
    fio(device, "randwrite", "4k", 16, 16, direct=0 if kind == "fuse" else 1)
    fio(device, "randrw", "64k", 8, 32, direct=0 if kind == "fuse" else 1)
    service.logout(session)


def test_null_store_is_fast_enough_to_find_races(service, make_tgt):
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:null")
    tgt.lun(1, store="null")
    discover(service, tgt)
    session = service.login(name)
    device = service.device(session)
    for rw in ("randread", "randwrite"):
        fio(device, rw, "4k", 64, 4096, verify=False, more=["--time_based", "--runtime=3", "--numjobs=2", "--group_reporting"])
    service.logout(session)


@pytest.mark.parametrize("block", (512, 4096))
def test_beyond_2_tib(service, make_tgt, block):
    """Where a block number no longer fits 32 bits, nothing lands where it would if it were cut."""
    t = make_tgt(in_memory=True)  # where files may be that large, and stay empty
    name = t.target("iqn.2026-11.test.whole:large")
    try:
        path = t.lun(mb=17 << 20 if block == 4096 else 3 << 20, block=block)
    except OSError as e:
        pytest.skip("no sparse file of that size here: %s" % e)
    size = os.path.getsize(path)
    discover(service, t)
    session = service.login(name)
    device = service.device(session)
    assert service.devices(session)[0]["sizeBytes"] == size
    limit = (1 << 32) * block
    data = {offset: os.urandom(65536) for offset in (0, limit - 32768, limit + (5 << 20), size - 65536)}
    fd = os.open(device, os.O_RDWR)
    try:
        for offset, what in data.items():
            assert os.pwrite(fd, what, offset) == len(what)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        for offset, what in data.items():
            assert os.pread(fd, len(what), offset) == what
    finally:
        os.close(fd)
    with open(path, "rb") as f:
        for offset, what in data.items():
            f.seek(offset)
            assert f.read(len(what)) == what
    service.logout(session)


def test_buffered_writes_arrive(service, tgt):
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    data = os.urandom(32 << 20)
    run("dd", "of=" + device, "bs=1M", "conv=fsync", "if=/dev/zero", "count=32")
    with open(device, "r+b", buffering=0) as f:
        f.write(data)
        os.fsync(f.fileno())
    with open(tgt.file, "rb") as f:
        assert f.read(len(data)) == data
    service.logout(session)


@pytest.mark.parametrize("kind", ("ext4", "xfs"))
def test_file_system(service, make_tgt, kind):
    need_program("mkfs." + kind)
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:fs")
    path = tgt.lun(1, mb=340)
    discover(service, tgt)
    session = service.login(name)
    device = service.device(session)
    run("mkfs." + kind, "-q", "-F" if kind == "ext4" else "-f", device)
    r = run("mount", device, service.mnt, check=False)
    if r.code != 0 and "unknown filesystem" in r.out:
        service.logout(session)
        pytest.skip("this kernel has no " + kind)
    assert r.code == 0, r
    fio(os.path.join(service.mnt, "file"), "randrw", "16k", 16, 32, more=["--allow_file_create=1", "--fsync=32"])
    run("fstrim", service.mnt, check=False)
    run("umount", service.mnt)
    service.logout(session)
    if kind == "ext4":
        run("e2fsck", "-fn", path)
    else:
        run("xfs_repair", "-n", path)


def test_two_units_at_once(service, make_tgt):
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:two")
    for lun in (1, 2):
        tgt.lun(lun)
    discover(service, tgt)
    session = service.login(name)
    a, b = service.device(session, 1), service.device(session, 2)
    need_program("fio")
    run("fio", "--ioengine=libaio", "--direct=1", "--rw=randwrite", "--bs=8k", "--iodepth=16", "--size=24M", "--verify=crc32c",
        "--verify_fatal=1", "--verify_state_save=0", "--allow_file_create=0", "--name=a", "--filename=" + a, "--name=b", "--filename=" + b,
        seconds=90)  # fmt: skip
    service.logout(session)


@pytest.mark.slow
@pytest.mark.parametrize("depth", (1, 4, 64))
@pytest.mark.parametrize("rw", ("write", "randwrite", "randrw"))
@pytest.mark.parametrize("bs", ("4k", "128k", "1M"))
def test_verify_long(service, make_tgt, rw, bs, depth):
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:long")
    tgt.lun(1, mb=256)
    discover(service, tgt)
    session = service.login(name)
    fio(service.device(session), rw, bs, depth, {"4k": 32, "128k": 200, "1M": 250}[bs], seconds=300)
    service.logout(session)
