# SPDX-License-Identifier: MIT
"""Against Linux's own target: what it is strict about, and what only it can do."""
import re
import threading

import pytest

import lio
from bed import run, wait_for
from conftest import need_program
from test_connections import add, login, parameters

pytestmark = pytest.mark.slow  # a guest is to be booted, and its packages are many


@pytest.fixture
def guest(make_lio):
    return make_lio()


@pytest.fixture
def served(guest, make_service):
    """(guest, a service beside it)"""
    service = make_service(inside=guest.inside())
    service.varlink("AddSendTargetPortal", initiatorInstance=None, initiatorPort=0xFFFFFFFF, loginOptions=None, securityFlags=0,
                    portal={"symbolicName": "", "address": lio.ADDRESS, "socket": lio.PORT})  # fmt: skip
    return guest, service


def fio(device, seconds=90, mb=24, more=()):
    """Writes and compares every block; only what is in the page cache of nobody counts."""
    need_program("fio")
    run("fio", "--name=lio", "--filename=" + device, "--rw=randrw", "--rwmixread=40", "--bsrange=4k-256k", "--blockalign=4k", "--iodepth=16",
        "--ioengine=libaio", "--direct=1", "--size=%dM" % mb, "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--verify_state_save=0",
        "--verify_backlog=64", "--allow_file_create=0", "--output-format=terse", *more, seconds=seconds)  # fmt: skip


def test_discovery_and_units(served):
    guest, service = served
    targets = service.varlink("ListTargets", forceUpdate=False)["targets"]
    assert sorted(targets) == sorted([lio.OPEN, lio.CHAP])
    session, _ = login(service, lio.OPEN)
    devices = wait_for(lambda: [d for d in service.devices(session) if d["legacyName"]], 20, "devices")
    assert [d["serial"] for d in devices] == ["ram0", "ram1", "thin"]
    assert all(d["vendor"] == "LIO-ORG" and d["unitName"].startswith("naa.6001405") for d in devices)
    service.logout(session)


@pytest.mark.parametrize("digests", (0, 1))
def test_verify(served, digests):
    guest, service = served
    session, _ = login(service, lio.OPEN, headerDigest=digests, dataDigest=digests)
    (c,) = parameters(service, session)["connections"]
    assert (c["headerDigest"], c["dataDigest"]) == (digests, digests)
    for lun in (0, 2):
        fio(service.device(session, lun))
    service.logout(session)


def chap(service, guest, user, secret, kind=1):
    return service.varlink("Login", targetName=lio.CHAP, informational=False, initiatorInstance=None, initiatorPort=0xFFFFFFFF, portal=None,
                           securityFlags=0, loginOptions={"informationSpecified": 0xE0, "loginFlags": 0, "authType": kind, "username": user.encode().hex(),
                           "password": secret.encode().hex()}, key=None, persistent=False)["sessionId"]  # fmt: skip


def test_chap(served):
    from bed import Refused

    guest, service = served
    service.varlink("SetNodeName", name="iqn.2026-11.test.whole:one")
    session = chap(service, guest, "alice", "alicesecret12")
    fio(service.device(session), mb=8)
    service.logout(session)
    for user, secret in (("alice", "wrongsecret12"), ("bob", "alicesecret12")):
        with pytest.raises(Refused) as e:
            chap(service, guest, user, secret)
        assert e.value.code == 0xEFFF0009


def test_chap_mutual(served):
    from bed import Refused

    guest, service = served
    service.varlink("SetNodeName", name="iqn.2026-11.test.whole:mutual")
    service.varlink("SetChapSecret", secret=b"targetsecret9".hex())
    session = chap(service, guest, "alice", "alicesecret12", kind=2)
    fio(service.device(session), mb=8)
    service.logout(session)
    # the target's proof is really looked at
    service.varlink("SetChapSecret", secret=b"another secret".hex())
    with pytest.raises(Refused) as e:
        chap(service, guest, "alice", "alicesecret12", kind=2)
    assert e.value.code == 0xEFFF0009


class Load(threading.Thread):
    """fio, again and again until it is told to end."""

    def __init__(self, device):
        super().__init__()
        self.device, self.ending, self.failure = device, threading.Event(), None
        self.start()

    def run(self):
        try:
            while not self.ending.is_set():
                fio(self.device)
        except Exception as e:  # told by end()
            self.failure = e

    def end(self, service):
        self.ending.set()
        self.join(150)
        assert not self.is_alive() and not self.failure, "%s\n%s" % (self.failure, service.log()[-5000:])


def n_connections(service):
    return len(service.sessions()[0]["connections"])


def test_connections_are_cut_under_load(served):
    """Four connections; the network resets one after the other, and no block is wrong."""
    guest, service = served
    session, _ = login(service, lio.OPEN, maximumConnections=4, headerDigest=1, dataDigest=1)
    for _ in range(3):
        add(service, session)
    load = Load(service.device(session, 0))
    try:
        for _ in range(8):
            wait_for(lambda: n_connections(service) == 4, 60, lambda: "all connections:\n" + service.log()[-3000:])
            guest.cut(1)
            wait_for(lambda: n_connections(service) < 4, 20, "the loss to be noticed")
    finally:
        load.end(service)
    service.logout(session)


def test_all_connections_are_cut_at_once(served):
    guest, service = served
    session, _ = login(service, lio.OPEN, maximumConnections=2)
    add(service, session)
    load = Load(service.device(session, 1))
    try:
        for _ in range(3):
            wait_for(lambda: n_connections(service) == 2, 60, lambda: "both connections:\n" + service.log()[-3000:])
            guest.cut(0)
            wait_for(lambda: n_connections(service) < 2, 20, "the loss to be noticed")
    finally:
        load.end(service)
    service.logout(session)


def test_guest_is_not_troubled(served):
    guest, service = served
    for _ in range(5):
        session, _ = login(service, lio.OPEN)
        service.logout(session)
    left = guest.shell("ls /sys/kernel/config/target/iscsi/%s/tpgt_1/dynamic_sessions; cat /sys/kernel/config/target/iscsi/%s/tpgt_1/dynamic_sessions" % (lio.OPEN, lio.OPEN))
    assert not re.search("iqn", left.split("\n", 1)[-1]), left
    assert guest.trouble() == []
