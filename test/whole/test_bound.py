# SPDX-License-Identifier: MIT
"""Bound devices: the list, and that the service is ready only when they are there."""
import os
import socket
import subprocess
import time

import pytest

import bed
from bed import Refused, run, wait_for
from conftest import need_program
from test_persistent import at, keep, lines, remove
from test_session import discover

NOT_ISCSI_OR_PERSISTENT = 0xEFFF005E
ALREADY_BOUND = 0xEFFF005C
DEVICE_NOT_FOUND = 0xEFFF005D
INVALID_PARAMETER = 87
FAST = "[session]\nretry_min = 100ms\nretry_max = 400ms\nconnect_timeout = 1s\nlogin_timeout = 2s\n"


def bound(service):
    return service.varlink("ListPersistentDevices")["paths"]


def add(service, path):
    service.varlink("AddPersistentDevice", path=path)


def drop(service, path):
    service.varlink("RemovePersistentDevice", path=path)


def refused(code, call, *args):
    with pytest.raises(Refused) as e:
        call(*args)
    assert e.value.code == code, e.value
    return e.value.parameters["text"]


class Notified:
    """What a service manager would hear of the service."""

    def __init__(self, service):
        self.path = os.path.join(service.directory, "notify")
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.s.bind(self.path)
        self.s.setblocking(False)
        self.heard = []
        service.env["NOTIFY_SOCKET"] = self.path

    def listen(self):
        while True:
            try:
                self.heard += self.s.recv(65536).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def ready(self):
        return "READY=1" in self.listen()

    def status(self):
        return next((line[7:] for line in reversed(self.listen()) if line.startswith("STATUS=")), "")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()


def link_of(service, session):
    return wait_for(lambda: next((d["interfaceName"] for d in service.devices(session) if d["interfaceName"]), None), 15, service.log)


@pytest.fixture
def disk(make_service, tgt):
    """A service with a stored login and a session to the same target."""

    def make(config=FAST, **more):
        service = make_service(config, **more)
        discover(service, tgt)
        keep(service, tgt.name, at(tgt.port))
        service.session = service.login_at(tgt.name, tgt.port)
        service.disk = service.device(service.session)
        return service

    return make


def mkfs(device, *more):
    bed.run("mkfs.ext4", "-q", "-F", *more, device)


def test_given_back_as_given(disk, tgt):
    s = disk()
    link = link_of(s, s.session)
    odd = os.path.join(s.directory, "a link")
    os.symlink(link, odd)
    add(s, odd)
    assert bound(s) == [odd]
    # by every name it is the same
    for other in (odd, link, s.disk):
        assert "in the list" in refused(ALREADY_BOUND, add, s, other)
    drop(s, s.disk)
    assert bound(s) == []
    refused(DEVICE_NOT_FOUND, drop, s, s.disk)
    add(s, s.disk)
    s.logout(s.session)
    # its name counts also when nothing is there
    os.unlink(odd)
    refused(DEVICE_NOT_FOUND, drop, s, odd)
    drop(s, s.disk)
    assert bound(s) == []


def test_what_is_not_ours(disk, make_tgt):
    s = disk()
    assert "absolute" in refused(INVALID_PARAMETER, add, s, "disk")
    for path in ("/dev/null", "/", s.directory, s.config, "/nowhere"):
        refused(NOT_ISCSI_OR_PERSISTENT, add, s, path)
    # a session whose login is not stored
    other = make_tgt()
    other.target("iqn.2026-11.test.whole:other")
    other.lun()
    discover(s, other)
    session = s.login("iqn.2026-11.test.whole:other")
    device = s.device(session)
    assert "stored" in refused(NOT_ISCSI_OR_PERSISTENT, add, s, device)
    # stored for another portal, or for information only, does not bring it back either
    keep(s, "iqn.2026-11.test.whole:other", at(other.port, "192.0.2.1"))
    keep(s, "iqn.2026-11.test.whole:other", informational=True)
    refused(NOT_ISCSI_OR_PERSISTENT, add, s, device)
    keep(s, "iqn.2026-11.test.whole:other")
    add(s, device)
    assert bound(s) == [device]
    s.logout(session)


def test_partition_and_mount_points(disk, tgt):
    need_program("sfdisk", "partx", "mkfs.ext4")
    s = disk()
    bed.run("sfdisk", "-q", "--no-reread", s.disk, stdin=",16M\n,16M\n", check=False)
    run("partx", "-u", s.disk, check=False)
    second = s.disk + "p2"
    wait_for(lambda: os.path.exists(second), 10, "the partition")
    mkfs(second)
    bed.run("mount", second, s.mnt)
    add(s, second)
    add(s, s.mnt + "/")
    add(s, s.disk)
    refused(ALREADY_BOUND, add, s, s.mnt)
    assert bound(s) == [second, s.mnt + "/", s.disk]
    # a directory on it is not where it is mounted
    refused(NOT_ISCSI_OR_PERSISTENT, add, s, os.path.join(s.mnt, "lost+found"))
    bed.run("umount", s.mnt)
    drop(s, s.mnt)
    assert bound(s) == [second, s.disk]
    with Notified(s) as n:
        s.stop()
        s.start()
        # a kernel that cannot read the partition table is told what is in it
        wait_for(lambda: n.ready() or "has no partition 2" in n.status(), 30, s.log)
        d = s.devices()[0]["legacyName"]
        if not n.ready():
            run("partx", "-u", d, check=False)
        wait_for(n.ready, 30, s.log)
        with open(d, "rb"), open(d + "p2", "rb"):
            pass
    assert bound(s) == [second, s.disk]


def test_volume_on_top(disk, tgt):
    """A device mapper's device on two of ours."""
    if not os.path.exists("/dev/mapper/control") or subprocess.run(["dmsetup", "version"], capture_output=True).returncode:
        pytest.skip("there is no device mapper here")
    s = disk()
    name = "isd-test-%d" % os.getpid()
    bed.run("dmsetup", "create", name, "--table", "0 65536 linear %s 0" % s.disk)
    try:
        add(s, "/dev/mapper/" + name)
        assert bound(s) == ["/dev/mapper/" + name]
    finally:
        bed.run("dmsetup", "remove", "--retry", name)


def test_bind_takes_what_is_there(disk, tgt, make_tgt):
    s = disk()
    other = make_tgt()
    other.target("iqn.2026-11.test.whole:other")
    other.lun()
    discover(s, other)
    loose = s.login("iqn.2026-11.test.whole:other")
    mkfs(s.disk)
    bed.run("mount", s.disk, s.mnt)
    add(s, s.disk)
    s.varlink("BindPersistentDevices")
    assert bound(s) == [link_of(s, s.session), s.mnt]
    bed.run("umount", s.mnt)
    s.logout(loose)
    s.varlink("BindPersistentDevices")
    assert bound(s) == [link_of(s, s.session)]
    s.kill()
    s.start()
    wait_for(lambda: s.devices(), 20, s.log)
    assert len(bound(s)) == 1
    s.varlink("ClearPersistentDevices")
    assert bound(s) == []
    remove(s, tgt.name)
    s.varlink("BindPersistentDevices")
    assert bound(s) == []


def test_ready_comes_with_the_device(disk, tgt):
    s = disk()
    add(s, s.disk)
    s.stop()
    tgt.kill()
    with Notified(s) as n:
        s.start()
        wait_for(lambda: "Waiting for bound devices" in n.status(), 20, s.log)
        assert s.disk in n.status() and tgt.name in n.status()
        # it answers meanwhile
        assert bound(s) == [s.disk] and not n.ready()
        # another device may have the number now; that is not the one
        tgt.restart()
        wait_for(n.ready, 30, s.log)
        assert n.status() == "Ready" and s.devices()[0]["legacyName"]
        assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in n.heard)
        order = s.log()
        assert order.rindex("logged in at") < order.rindex("ready: version")


def test_ready_at_once_without_any(disk):
    s = disk()
    s.stop()
    with Notified(s) as n:
        s.start()
        wait_for(n.ready, 10, s.log)
        assert "Waiting" not in "".join(n.heard)


def test_the_bound_runs_out(disk, tgt):
    s = disk(FAST + "[startup]\nbound_devices_timeout = 1s\n")
    link = link_of(s, s.session)
    add(s, link)
    s.stop()
    tgt.kill()
    with Notified(s) as n:
        s.start()
        wait_for(n.ready, 20, s.log)
        assert n.status().startswith("Ready, without bound devices: " + link)
        (said,) = lines(s, "bound devices: missing after 1 s")
        assert link in said and "persistent" in said.lower()
        # and it still comes
        tgt.restart()
        wait_for(lambda: s.devices(), 20, s.log)


def test_the_unit_is_gone(disk, tgt):
    """The target is there, the unit is not."""
    s = disk(FAST + "[startup]\nbound_devices_timeout = 2s\n")
    add(s, s.disk)
    s.stop()
    tgt.admin("--lld", "iscsi", "--op", "delete", "--mode", "logicalunit", "--tid", "1", "--lun", "1")
    with Notified(s) as n:
        s.start()
        wait_for(n.ready, 20, s.log)
        assert "without bound devices" in n.status() and "lun 1 is not there" in n.status()


def test_an_entry_taken_away_while_waiting(disk, tgt):
    s = disk()
    add(s, s.disk)
    s.stop()
    tgt.kill()
    with Notified(s) as n:
        s.start()
        wait_for(lambda: "Waiting" in n.status(), 20, s.log)
        drop(s, s.disk)
        wait_for(n.ready, 20, s.log)
        assert n.status() == "Ready"


def test_ended_while_waiting(disk, tgt):
    s = disk()
    add(s, s.disk)
    s.stop()
    tgt.kill()
    with Notified(s) as n:
        s.start()
        wait_for(lambda: "Waiting" in n.status(), 20, s.log)
        begin = time.monotonic()
        assert s.stop() == 0
        assert not n.ready() and time.monotonic() - begin < 60


def test_not_waited_for_when_logins_are_off(disk, tgt):
    s = disk()
    add(s, s.disk)
    s.stop()
    with open(s.config, "a") as f:
        f.write("[service]\nkept_logins = no\n")
    with Notified(s) as n:
        s.start()
        wait_for(n.ready, 10, s.log)
        assert bound(s) and s.sessions() == []


@pytest.mark.parametrize("backend", ("fuse", "nbd"))
def test_backends_without_block_devices(disk, tgt, backend):
    s = disk(backend=backend)
    add(s, s.disk)
    assert bound(s) == [s.disk]
    refused(ALREADY_BOUND, add, s, link_of(s, s.session))
    s.stop()
    with Notified(s) as n:
        s.start()
        wait_for(n.ready, 30, s.log)
        assert n.status() == "Ready" and s.devices()[0]["legacyName"]


def test_killed_and_started(disk, tgt):
    s = disk()
    add(s, s.disk)
    s.kill()
    with Notified(s) as n:
        s.start()
        wait_for(n.ready, 30, s.log)
        assert n.status() == "Ready" and len(s.devices()) == 1
