# SPDX-License-Identifier: MIT
"""Targets that go away and come back, and a service that dies."""
import os
import subprocess
import threading
import time

import pytest

import bed
from bed import free_port, run, wait_for
from conftest import need_program
from test_session import discover, read, write

FAST = "[session]\nretry_min = 100ms\nretry_max = 500ms\nnop_interval = 500ms\nnop_timeout = 1\n"


def direct_read(device, seconds=60):
    return run("dd", "if=" + device, "of=/dev/null", "bs=4k", "count=1", "iflag=direct", check=False, seconds=seconds)


def test_target_restarts_while_nothing_happens(make_service, tgt):
    service = make_service(FAST)
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    before = service.sessions()[0]
    tgt.kill()
    wait_for(lambda: not service.sessions()[0]["connections"], 10, "the loss to be noticed")
    assert service.sessions()[0]["state"] == "down"
    assert "Number Connections     : 0" in service.cli("SessionList", check=0).out
    # the device stays
    assert service.device(session) == device
    tgt.restart()
    wait_for(lambda: service.sessions()[0]["state"] == "up", 20, "the session's return")
    after = service.sessions()[0]
    assert after["id"] == before["id"] and after["isid"] == before["isid"]
    assert direct_read(device).code == 0
    service.logout(session)


def test_io_is_held_while_the_target_is_away(make_service, tgt):
    service = make_service(FAST)
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    data = os.urandom(1 << 20)
    tgt.kill()
    result = []
    t = threading.Thread(target=lambda: (write(device, 0, data), result.append(True)))
    t.start()
    time.sleep(1)
    assert t.is_alive() and not result
    tgt.restart()
    t.join(30)
    assert result == [True]
    with open(tgt.file, "rb") as f:
        assert f.read(len(data)) == data
    service.logout(session)


def restarts_under_load(service, tgt, mb, rounds, gap, loops=3):
    """fio on a mounted file system while the target dies and comes back. Return: its file."""
    need_program("fio")
    device = service.device(service.sessions()[0]["id"])
    run("mkfs.ext4", "-q", "-F", device)
    run("mount", device, service.mnt)
    fio = subprocess.Popen(
        ["fio", "--name=load", "--filename=" + os.path.join(service.mnt, "file"), "--rw=randwrite", "--bs=8k", "--iodepth=16", "--ioengine=libaio",
         "--direct=1", "--size=%dM" % mb, "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--verify_state_save=0", "--fsync=64",
         "--loops=%d" % loops, "--rate_iops=1000"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    try:
        for _ in range(rounds):
            time.sleep(gap)
            assert fio.poll() is None, "fio ended too early:\n" + fio.stdout.read()
            tgt.kill()
            tgt.restart()
            wait_for(lambda: service.sessions()[0]["state"] == "up", 30, "the session's return")
        out, _ = fio.communicate(timeout=240)
        assert fio.returncode == 0, out
    finally:
        if fio.poll() is None:
            fio.kill()
    run("umount", service.mnt)


def test_target_dies_three_times_under_a_mounted_file_system(make_service, tgt):
    service = make_service(FAST)
    discover(service, tgt)
    session = service.login(tgt.name)
    restarts_under_load(service, tgt, 32, 3, 1.0)
    service.logout(session)
    run("e2fsck", "-fn", tgt.file)
    assert service.log().count("connection lost") >= 3


@pytest.mark.slow
def test_target_dies_again_and_again(make_service, make_tgt):
    service = make_service(FAST)
    tgt = make_tgt()
    tgt.name = tgt.target("iqn.2026-11.test.whole:again")
    tgt.file = tgt.lun(1, mb=256)
    discover(service, tgt)
    session = service.login(tgt.name)
    restarts_under_load(service, tgt, 128, 12, 1.5)
    service.logout(session)
    run("e2fsck", "-fn", tgt.file)


def test_target_that_hangs_is_given_up_and_taken_back(make_service, tgt):
    service = make_service(FAST)
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    tgt.stop()
    wait_for(lambda: not service.sessions()[0]["connections"], 20, "the silence to be noticed")
    tgt.go_on()
    wait_for(lambda: service.sessions()[0]["state"] == "up", 30, "the session's return")
    assert direct_read(device).code == 0
    service.logout(session)


def test_io_fails_when_the_target_stays_away_and_works_again_after(make_service, tgt):
    service = make_service(FAST + "hold_time = 5\n")
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    tgt.kill()
    started = time.monotonic()
    r = direct_read(device)
    assert r.code != 0 and "Input/output error" in r.out
    assert 4 < time.monotonic() - started < 50
    # held no longer: the next one fails at once
    started = time.monotonic()
    assert direct_read(device).code != 0
    assert time.monotonic() - started < 5
    assert service.device(session) == device
    tgt.restart()
    wait_for(lambda: direct_read(device).code == 0, 20, "reads that work again")
    service.logout(session)


def test_logout_while_the_target_is_away(make_service, tgt):
    service = make_service(FAST)
    discover(service, tgt)
    session = service.login(tgt.name)
    tgt.kill()
    wait_for(lambda: not service.sessions()[0]["connections"], 10, "the loss to be noticed")
    started = time.monotonic()
    service.logout(session)
    assert time.monotonic() - started < 30
    assert service.sessions() == [] and bed.loops_of(service.directory) == []


def test_unit_that_became_another_is_fenced(make_service, tgt):
    """A target that comes back with another disk under the same number must not get our writes."""
    service = make_service(FAST)
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    data = os.urandom(8192)
    write(device, 0, data)
    tgt.kill()
    other = os.path.join(tgt.directory, "other")
    with open(other, "wb") as f:
        f.truncate(64 << 20)
    tgt.done = [tuple(other if x == tgt.file else x for x in args) for args in tgt.done]
    for p in ("scsi_sn=another", "scsi_id=another-unit"):
        tgt.done.append(("--op", "update", "--mode", "logicalunit", "--tid", 1, "--lun", 1, "--params", p))
    # nobody may log in before it is the other unit
    tgt.done.sort(key=lambda args: "bind" in args)
    result = []

    def writer():
        try:
            write(device, 4096, b"x" * 4096)
            result.append("written")
        except OSError as e:
            result.append(e)

    t = threading.Thread(target=writer)
    t.start()
    tgt.restart()
    wait_for(lambda: service.devices(session)[0]["state"] == "fenced", 30, lambda: "the fence:\n" + service.log()[-3000:])
    t.join(60)
    assert len(result) == 1 and isinstance(result[0], OSError)
    assert service.devices(session)[0]["why"]
    assert direct_read(device).code != 0
    with open(other, "rb") as f:
        assert f.read(64 << 10) == bytes(64 << 10)
    service.logout(session)


def test_service_killed_and_started_again(service, tgt):
    discover(service, tgt)
    for _ in range(3):
        session = service.login(tgt.name)
        device = service.device(session)
        data = os.urandom(4096)
        write(device, 8192, data)
        service.kill()
        service.start()
        assert service.sessions() == []
        assert bed.loops_of(service.directory) == [] and bed.mounts_below(service.directory) == []
        # what it knew is still there
        assert len(service.varlink("ListSendTargetPortals")["portals"]) == 1
        wait_for(lambda: tgt.name in service.cli("ListTargets").out, 20, "the target after a restart")
        session = service.login(tgt.name)
        assert read(service.device(session), 8192, 4096) == data
        service.logout(session)


def test_service_killed_under_a_mounted_file_system(service, tgt):
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    run("mkfs.ext4", "-q", "-F", device)
    run("mount", device, service.mnt)
    with open(os.path.join(service.mnt, "kept"), "w") as f:
        f.write("synced")
        f.flush()
        os.fsync(f.fileno())
    service.kill()
    run("umount", "-l", service.mnt, seconds=30)
    service.start()
    wait_for(lambda: tgt.name in service.cli("ListTargets").out, 20, "the target after a restart")
    session = service.login(tgt.name)
    device = service.device(session)
    run("e2fsck", "-fy", device, check=False)
    run("mount", device, service.mnt)
    with open(os.path.join(service.mnt, "kept")) as f:
        assert f.read() == "synced"
    run("umount", service.mnt)
    service.logout(session)


def test_service_killed_during_logins(service, make_tgt):
    tgt = make_tgt()
    names = [tgt.target("iqn.2026-11.test.whole:k%d" % i, tid=i) for i in range(1, 9)]
    for i in range(1, 9):
        tgt.lun(1, tid=i, mb=8)
    for wait in (0.05, 0.2, 0.4):
        discover(service, tgt)
        threads = [threading.Thread(target=service.cli, args=("QLoginTarget", n)) for n in names]
        for t in threads:
            t.start()
        time.sleep(wait)
        service.kill()
        for t in threads:
            t.join(60)
            assert not t.is_alive()
        service.start()
        assert service.sessions() == [] and bed.loops_of(service.directory) == [] and bed.mounts_below(service.directory) == []


def test_service_stopped_with_sessions_logs_out(service, tgt):
    discover(service, tgt)
    session = service.login(tgt.name)
    data = os.urandom(1 << 20)
    with open(service.device(session), "r+b", buffering=0) as f:
        f.write(data)
    assert service.stop() == 0
    assert tgt.sessions() == 0 and bed.loops_of(service.directory) == []
    with open(tgt.file, "rb") as f:
        assert f.read(len(data)) == data


def test_second_portal_takes_over_when_the_first_is_gone(make_service, make_tgt):
    """Every portal that a target is known by is tried."""
    service = make_service(FAST)
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:portals")
    tgt.lun(1)
    second = free_port()
    tgt.admin("--op", "new", "--mode", "portal", "--param", "portal=127.0.0.1:%d" % second)
    discover(service, tgt)
    service.cli("AddTargetPortal", "127.0.0.1", second, check=0)
    tgt.admin("--op", "delete", "--mode", "portal", "--param", "portal=127.0.0.1:%d" % tgt.port)
    session = service.login(name)
    assert service.sessions()[0]["connections"][0]["targetSocket"] == second
    service.logout(session)
