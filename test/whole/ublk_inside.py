# SPDX-License-Identifier: MIT
"""
The service with ublk devices: run by test_ublk.py inside a guest, where there is nobody else
"""
import glob
import os
import re
import signal
import subprocess

import pytest

from bed import Refused, run, wait_for
from test_persistent import keep
from test_errno import brittle, each_row  # noqa: F401
from test_session import discover

BUSY = 0xEFFF0040
NAME = "iqn.2026-11.test.whole:disk"


@pytest.fixture
def disk(make_service, tgt):
    """(service, session, path of the device)"""
    assert not glob.glob("/dev/ublkc*")
    service = make_service(backend="auto")
    discover(service, tgt)
    session = service.login(tgt.name)
    yield service, session, service.device(session, seconds=60)


def nothing_is_left():
    wait_for(lambda: not glob.glob("/dev/ublk[bc]*"), 20, "the end of the ublk devices")


def test_life(disk):
    service, session, path = disk
    assert re.fullmatch("/dev/ublkb[0-9]+", path)
    (device,) = [d for d in service.devices(session) if d["legacyName"]]
    assert device["backend"] == "ublk" and os.path.samefile(device["interfaceName"], path)
    assert int(run("blockdev", "--getsize64", path).out) == device["sizeBytes"] == 64 << 20
    run("mkfs.ext4", "-q", path)
    run("mount", path, service.mnt)
    data = os.urandom(6 << 20)
    with open(os.path.join(service.mnt, "file"), "wb") as f:
        f.write(data)
    with pytest.raises(Refused) as e:
        service.varlink("Logout", sessionId=session)
    assert e.value.code == BUSY and service.mnt in str(e.value)
    run("umount", service.mnt)
    service.logout(session)
    nothing_is_left()

    session = service.login(NAME)
    path = service.device(session, seconds=60)
    run("e2fsck", "-fn", path)
    run("mount", "-o", "ro", path, service.mnt)
    with open(os.path.join(service.mnt, "file"), "rb") as f:
        assert f.read() == data
    run("umount", service.mnt)
    service.logout(session)
    nothing_is_left()


def test_fio(disk):
    service, session, path = disk
    run("fio", "--name=v", "--filename=" + path, "--rw=randrw", "--rwmixread=40", "--bsrange=4k-256k", "--blockalign=4k", "--iodepth=32",
        "--ioengine=libaio", "--direct=1", "--size=12M", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--verify_state_save=0",
        "--verify_backlog=64", "--allow_file_create=0", "--output-format=terse", seconds=120)  # fmt: skip
    service.logout(session)
    nothing_is_left()


def test_a_file_system_outlives_the_service(disk):
    service, session, path = disk
    run("mkfs.ext4", "-q", path)
    run("mount", path, service.mnt)
    data = os.urandom(4 << 20)
    with open(os.path.join(service.mnt, "before"), "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    with open(os.path.join(service.mnt, "cached"), "wb") as f:
        f.write(data)
    service.kill()
    # waits for the service, and not in vain
    sync = subprocess.Popen(["sync", "-f", service.mnt])
    service.start()
    wait_for(lambda: path + " waits for its unit" in service.log(), 30, service.log)
    assert os.path.ismount(service.mnt) and sync.poll() is None
    session = service.login(NAME)
    assert service.device(session, seconds=60) == path
    assert sync.wait(60) == 0
    run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
    for name in ("before", "cached"):
        with open(os.path.join(service.mnt, name), "rb") as f:
            assert f.read() == data
    with pytest.raises(Refused) as e:
        service.varlink("Logout", sessionId=session)
    assert e.value.code == BUSY and service.mnt in str(e.value)
    run("umount", service.mnt)
    run("e2fsck", "-fn", path)
    service.logout(session)
    nothing_is_left()
    assert "data at risk" not in service.log()


def test_kept_logins_bring_it_back(disk):
    """What a database sees of a service that is killed, and started again by systemd: nothing."""
    service, session, path = disk
    keep(service, NAME)
    writer = subprocess.Popen(["fio", "--name=v", "--filename=" + path, "--rw=randrw", "--bs=4k", "--iodepth=16", "--ioengine=libaio",
                               "--direct=1", "--size=8M", "--io_size=24M", "--verify=crc32c", "--verify_fatal=1", "--do_verify=1",
                               "--verify_state_save=0", "--allow_file_create=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    try:
        stat = "/sys/block/%s/stat" % os.path.basename(path)

        def n_writes():
            with open(stat) as f:
                return int(f.read().split()[4])

        for _ in range(2):
            before = n_writes()
            wait_for(lambda: n_writes() > before + 50, 60, "writes")
            service.kill()
            service.start()
            wait_for(lambda: [s for s in service.sessions() if s["targetName"] == NAME], 60, service.log)
        out = writer.communicate(timeout=200)[0]
    finally:
        writer.kill()
    assert writer.returncode == 0, out
    (session,) = [s["id"] for s in service.sessions()]
    assert service.device(session, seconds=60) == path
    assert "data at risk" not in service.log()
    service.logout(session)
    nothing_is_left()


def test_a_restart_leaves_what_is_in_use_to_the_next_service(disk):
    """As systemd does it, by SIGUSR1."""
    service, session, path = disk
    keep(service, NAME)
    run("mkfs.ext4", "-q", path)
    run("mount", path, service.mnt)
    data = os.urandom(4 << 20)
    with open(os.path.join(service.mnt, "cached"), "wb") as f:
        f.write(data)
    service.process.signal(signal.SIGUSR1)
    assert service.process.join(60) == 0
    assert "left to the next service" in service.log()
    assert os.path.ismount(service.mnt) and os.path.exists(path)
    sync = subprocess.Popen(["sync", "-f", service.mnt])
    service.start()
    wait_for(lambda: [s for s in service.sessions() if s["targetName"] == NAME], 60, service.log)
    assert sync.wait(60) == 0
    run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
    with open(os.path.join(service.mnt, "cached"), "rb") as f:
        assert f.read() == data
    (session,) = [s["id"] for s in service.sessions()]
    assert service.device(session, seconds=60) == path
    run("umount", service.mnt)
    run("e2fsck", "-fn", path)
    service.logout(session)
    nothing_is_left()
    assert "data at risk" not in service.log()


def test_what_waits_for_a_unit_that_never_comes_ends_with_the_service(disk):
    service, session, path = disk
    run("mkfs.ext4", "-q", path)
    run("mount", path, service.mnt)
    service.kill()
    service.start()
    wait_for(lambda: path + " waits for its unit" in service.log(), 30, service.log)
    assert os.path.exists(path)
    assert service.stop() == 0
    assert "data at risk: " in service.log() and service.mnt in service.log()
    assert not os.path.ismount(service.mnt)
    nothing_is_left()


def test_another_backend_does_not_leave_them_to_wait(disk, make_service):
    service, session, path = disk
    service.kill()
    service.backend = "loop"
    service.start()
    wait_for(lambda: path + " removed" in service.log(), 30, service.log)
    nothing_is_left()


def test_errors_of_the_unit(make_service, brittle):  # noqa: F811
    each_row(make_service(backend="ublk"), brittle, "ublk")
    nothing_is_left()
