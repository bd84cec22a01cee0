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


# ---- error recovery level 1 -----------------------------------------------------
#
# Never level 2: TASK REASSIGN is the end of LIO. A guest each, and no CID twice.


def relay_that_drops(guest, which):
    """A portal in the guest's network that loses those SCSI responses, by number. Return: (it, its losses)"""
    import ctypes
    import os
    import socket

    import peer

    lost = []

    def answers(there, here):
        n = 0
        while True:
            header, data = peer.read_pdu(there)
            n += header[0] & 0x3F == 0x21
            if header[0] & 0x3F == 0x21 and n in which:
                lost.append(n)
            else:
                here.sendall(header + data + bytes(-len(data) % 4))

    def serve(here):
        with socket.create_connection((lio.ADDRESS, lio.PORT)) as there:
            t = threading.Thread(target=lambda: swallow(answers, there, here), daemon=True)
            t.start()
            while True:
                data = here.recv(262144)
                if not data:
                    return
                there.sendall(data)

    def swallow(f, there, here):
        try:
            f(there, here)
        except OSError:
            here.close()

    made = []

    def inside():
        # threads that this one begins are there, too
        fd = os.open("/run/netns/" + guest.namespace, os.O_RDONLY)
        assert ctypes.CDLL(None, use_errno=True).setns(fd, 0x40000000) == 0, os.strerror(ctypes.get_errno())
        os.close(fd)
        made.append(peer.Peer(serve))

    t = threading.Thread(target=inside)
    t.start()
    t.join(10)
    return made[0], lost


LEVEL_1 = "[session]\nErrorRecoveryLevel = 1\n"


def statistics(service):
    return service.varlink("GetStatistics", sessionId=None)["sessions"][0]


def test_level_1_gets_lost_status_again(make_lio, make_service):
    """
    In the midst of others, so that what comes next tells of the gap. After the last one it would
    be the answer to a ping: that LIO sends again as a SCSI response, which costs the connection.
    """
    guest = make_lio(erl=1)
    service = make_service(LEVEL_1, inside=guest.inside())
    here = {"symbolicName": "", "address": lio.ADDRESS, "socket": lio.PORT}
    service.varlink("AddSendTargetPortal", initiatorInstance=None, initiatorPort=0xFFFFFFFF, loginOptions=None, securityFlags=0, portal=here)
    relay, lost = relay_that_drops(guest, (15, 30, 45))
    try:
        session = service.varlink("Login", targetName=lio.OPEN, informational=False, initiatorInstance=None, initiatorPort=0xFFFFFFFF,
                                  portal={"symbolicName": "", "address": "127.0.0.1", "socket": relay.port}, securityFlags=0,
                                  loginOptions=None, key=None, persistent=False)["sessionId"]  # fmt: skip
        assert parameters(service, session)["errorRecoveryLevel"] == 1
        fio(service.device(session, 0), mb=16)
        s = statistics(service)
        assert len(lost) > 0 and s["snacks"] > 0
        assert s["connectionsLost"] == 0 and s["protocolErrors"] == 0, service.log()[-3000:]
        service.logout(session)
    finally:
        relay.close()


def test_level_1_and_connections_that_are_cut(make_lio, make_service):
    guest = make_lio(erl=1)
    service = make_service(LEVEL_1, inside=guest.inside())
    here = {"symbolicName": "", "address": lio.ADDRESS, "socket": lio.PORT}
    service.varlink("AddSendTargetPortal", initiatorInstance=None, initiatorPort=0xFFFFFFFF, loginOptions=None, securityFlags=0, portal=here)
    session, _ = login(service, lio.OPEN, maximumConnections=4, headerDigest=1, dataDigest=1)
    assert parameters(service, session)["errorRecoveryLevel"] == 1
    add(service, session)
    load = Load(service.device(session, 0))
    try:
        for _ in range(3):
            wait_for(lambda: n_connections(service) == 2, 60, lambda: "all connections:\n" + service.log()[-3000:])
            guest.cut(1)
            wait_for(lambda: n_connections(service) < 2, 20, "the loss to be noticed")
    finally:
        load.end(service)
    service.logout(session)
