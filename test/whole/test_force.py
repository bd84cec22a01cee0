# SPDX-License-Identifier: MIT
"""Removal by force: only when asked for by name, and with as little lost as can be."""
import contextlib
import os
import re
import subprocess
import time

import pytest

import disk
from bed import Refused, run, wait_for
from conftest import need_program
from test_session import discover

BUSY = 0xEFFF0040


def forced(service, session, check=0):
    return service.cli("LogoutTarget", session, "--force", check=check)


def login(service, tgt):
    discover(service, tgt)
    session = service.login(tgt.name)
    return session, service.device(session)


def test_a_mounted_file_system_loses_its_disk_and_nothing_that_could_be_written(make_service, tgt):
    service = make_service()
    session, path = login(service, tgt)
    run("mkfs.ext4", "-q", path)
    run("mount", path, service.mnt)
    data = os.urandom(4 << 20)
    with open(os.path.join(service.mnt, "cached"), "wb") as f:
        f.write(data)
    with pytest.raises(Refused):
        service.varlink("Logout", sessionId=session)
    r = forced(service, session)
    assert re.search(r"^    In use: %s.*mounted on %s$" % (path, service.mnt), r.out, re.M) and "By force: " in r.out
    assert service.sessions() == [] and tgt.sessions() == 0
    assert "cut off although in use: " in service.log()
    with pytest.raises(OSError):
        with open(os.path.join(service.mnt, "late"), "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
    run("umount", service.mnt)
    session = service.login(tgt.name)
    path = service.device(session)
    run("e2fsck", "-p", path, check=False)
    run("e2fsck", "-fn", path)
    run("mount", "-o", "ro", path, service.mnt)
    with open(os.path.join(service.mnt, "cached"), "rb") as f:
        assert f.read() == data
    run("umount", service.mnt)
    service.logout(session)


def test_swap_stays(make_service, tgt):
    service = make_service()
    session, path = login(service, tgt)
    run("mkswap", path)
    if run("swapon", path, check=False).code:
        pytest.skip("swap cannot be switched on here")
    try:
        r = forced(service, session, check=1)
        assert "swapoff" in service.cli("--status", "LogoutTarget", session, "--force").out, r
        assert service.device(session) == path
    finally:
        run("swapoff", path)
    service.logout(session)


@pytest.mark.parametrize("backend", ["loop", "fuse"])
def test_an_open_descriptor(make_service, tgt, backend):
    service = make_service(backend=backend)
    session, path = login(service, tgt)
    fd = os.open(path, os.O_RDWR)
    try:
        os.pwrite(fd, b"z" * 4096, 4096)
        r = forced(service, session)
        assert "open by process %d" % os.getpid() in r.out
        with pytest.raises(OSError):
            os.pwrite(fd, b"y" * 4096, 4096)
            os.fsync(fd)
    finally:
        os.close(fd)
    with open(tgt.file, "rb") as f:
        f.seek(4096)
        assert f.read(4096) == b"z" * 4096
    assert service.sessions() == []


def test_a_client_of_nbd(make_service, tgt):
    need_program("qemu-io")
    service = make_service(backend="nbd")
    session, uri = login(service, tgt)
    client = subprocess.Popen(["qemu-io", "-f", "raw", uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        client.stdin.write("write -P 0x7a 4k 4k\n")
        client.stdin.flush()
        assert "wrote 4096/4096" in client.stdout.readline()
        r = forced(service, session)
        assert "In use: " in r.out and "(qemu-io)" in r.out
        out, _ = client.communicate("read 0 512\n", timeout=30)
        assert "read failed" in out
    finally:
        client.kill()
    with open(tgt.file, "rb") as f:
        f.seek(4096)
        assert f.read(4096) == b"z" * 4096


def test_a_disk_that_cannot_be_flushed(make_service):
    with contextlib.closing(disk.Disk()) as d:
        service = make_service()
        session, path = login(service, d)
        run("dd", "if=/dev/zero", "of=" + path, "bs=4k", "count=1", "oflag=direct")
        d.broken = dict.fromkeys((disk.SYNC_10, disk.SYNC_16), disk.MEDIUM_WRITE_ERROR)
        with pytest.raises(Refused) as e:
            service.varlink("Logout", sessionId=session)
        assert e.value.code != BUSY
        forced(service, session)
        assert service.sessions() == [] and "could not be flushed" in service.log()


def test_a_target_that_is_away_with_data_that_waits(make_service, tgt):
    service = make_service()
    session, path = login(service, tgt)
    tgt.kill()
    writer = subprocess.Popen(["dd", "if=/dev/zero", "of=" + path, "bs=4k", "count=1", "oflag=direct"], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: service.sessions()[0]["state"] == "down", 30, "the loss")
        time.sleep(0.2)
        with pytest.raises(Refused):
            service.varlink("Logout", sessionId=session)
        forced(service, session)
        assert writer.wait(30) != 0
    finally:
        writer.kill()
    assert service.sessions() == []


def test_what_is_not_in_use_is_logged_out_as_ever(make_service, tgt):
    service = make_service()
    session, _ = login(service, tgt)
    forced(service, session)
    assert service.sessions() == [] and "by force" not in service.log() and "cut off" not in service.log()


def test_another_command_cannot_be_forced(make_service, tgt):
    service = make_service()
    session, _ = login(service, tgt)
    r = service.cli("SessionList", "--force", check=2)
    assert "--force is for LogoutTarget" in r.out
    with pytest.raises(Refused):
        service.varlink("Logout", sessionId=session, force=True)
    assert len(service.sessions()) == 1
    service.varlink("LogoutByForce", sessionId=session)
    assert service.sessions() == []


def test_many_sessions_that_are_stuck_end_at_the_same_time(make_service, make_tgt):
    """One after the other they would take minutes: what is written waits for ever, and no target answers."""
    n = 12
    t = make_tgt()
    for tid in range(1, n + 1):
        t.target("iqn.2026-11.test.whole:many%d" % tid, tid)
        t.lun(tid=tid, mb=16)
    service = make_service("[service]\nstop_timeout = 1\n[session]\nhold_time = 1h\ncommand_timeout = 1h\nnop_interval = 1h\n", expect_clean=False)
    discover(service, t)
    paths = [service.device(service.login("iqn.2026-11.test.whole:many%d" % tid)) for tid in range(1, n + 1)]
    t.stop()
    writers = [subprocess.Popen(["dd", "if=/dev/zero", "of=" + p, "bs=4k", "count=1", "conv=notrunc,fsync"], stderr=subprocess.DEVNULL) for p in paths]
    try:
        assert service.stop(120) == 3
        assert all([w.wait(30) != 0 for w in writers])
    finally:
        for w in writers:
            w.kill()
        t.go_on()
    assert not [d for d in os.listdir(service.devices_dir) if not d.startswith(".") and not d.startswith("by-")]
    service.process = None  # its exit status was looked at
