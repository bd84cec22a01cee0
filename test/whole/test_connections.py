# SPDX-License-Identifier: MIT
"""Connections of a session: what was negotiated, more of them, fewer of them."""
import os
import socket
import subprocess

import pytest

from bed import Refused, free_port, run, wait_for
from conftest import need_program
from test_session import discover, read, write

FAST = "[session]\nretry_min = 100ms\nretry_max = 500ms\nnop_interval = 500ms\nnop_timeout = 1\n"

INVALID_SESSION_ID = 0xEFFF001C
TOO_MANY_CONNECTIONS = 0xEFFF000E
CONNECTION_FAILED = 0xEFFF0003
CANNOT_REMOVE_LEADING_CONNECTION = 0xEFFF0064
CANT_REMOVE_LAST_CONNECTION = 0xEFFF003D
INVALID_CONNECTION_ID = 0xEFFF0063
ANY_PORT = 0xFFFFFFFF


def add(service, session, portal=None, options=None):
    """The new connection's id."""
    return service.varlink("AddConnection", sessionId=session, initiatorPort=ANY_PORT, portal=portal, securityFlags=0,
                           loginOptions=options, key=None)["connectionId"]  # fmt: skip


def remove(service, session, connection):
    service.varlink("RemoveConnection", sessionId=session, connectionId=connection)


def login(service, name, informational=False, **options):
    """Session id and connection id of a login with options by their varlink names."""
    bits = {"headerDigest": 1, "dataDigest": 2, "maximumConnections": 4, "defaultTime2Wait": 8, "defaultTime2Retain": 16}
    options["informationSpecified"] = sum(bits[k] for k in options)
    r = service.varlink("Login", targetName=name, informational=informational, initiatorInstance=None, initiatorPort=ANY_PORT,
                        portal=None, securityFlags=0, loginOptions={"loginFlags": 0, **options}, key=None, persistent=False)  # fmt: skip
    return r["sessionId"], r["connectionId"]


def refused(code, call, *args, **more):
    with pytest.raises(Refused) as e:
        call(*args, **more)
    assert e.value.code == code, e.value
    return e.value.parameters["text"]


def parameters(service, session):
    return next(s for s in service.varlink("ListSessionParameters")["sessions"] if s["id"] == session)


def test_what_was_negotiated(service, tgt):
    tgt.setting("MaxBurstLength", 131072)
    tgt.setting("FirstBurstLength", 32768)
    tgt.setting("HeaderDigest", "CRC32C,None")
    discover(service, tgt)
    session, connection = login(service, tgt.name, headerDigest=1, dataDigest=0)
    p = parameters(service, session)
    assert p["type"] == 2 and p["maxBurstLength"] == 131072 and p["firstBurstLength"] == 32768
    assert p["errorRecoveryLevel"] == 0 and p["maximumConnections"] == 1
    assert p["dataPduInOrder"] is True and p["dataSequenceInOrder"] is True and p["immediateData"] is True
    (c,) = p["connections"]
    assert c["id"] == connection and c["state"] == 1 and c["protocol"] == 6
    assert (c["headerDigest"], c["dataDigest"], c["authType"]) == (1, 0, 0)
    assert c["maxRecvDataSegmentLength"] == 262144
    assert c["estimatedThroughput"] > 0 and c["maxDatagramSize"] > 500
    service.logout(session)
    session, _ = login(service, tgt.name, informational=True)
    p = parameters(service, session)
    assert p["type"] == 1 and p["connections"][0]["headerDigest"] == 1
    service.logout(session)
    assert service.varlink("ListSessionParameters") == {"sessions": []}


def test_one_connection_is_all(service, tgt):
    discover(service, tgt)
    session, connection = login(service, tgt.name)
    assert "maximumConnections" in refused(TOO_MANY_CONNECTIONS, add, service, session)
    refused(INVALID_CONNECTION_ID, remove, service, session, "1-2")
    refused(INVALID_CONNECTION_ID, remove, service, session, "nothing")
    refused(CANT_REMOVE_LAST_CONNECTION, remove, service, session, connection)
    service.logout(session)
    refused(INVALID_SESSION_ID, add, service, session)
    refused(INVALID_SESSION_ID, remove, service, session, connection)


# ---- several ---------------------------------------------------------------


def connections(service):
    return service.sessions()[0]["connections"]


def kill_connection(c):
    """As a middle box would: both ends get a reset."""
    run("ss", "-K", "dst", c["targetAddress"], "dport", "=", c["targetSocket"], "src", c["initiatorAddress"], "sport", "=",
        c["initiatorSocket"], check=False)  # fmt: skip


def cids_at_target(tgt):
    return tgt.admin("--lld", "iscsi", "--op", "show", "--mode", "conn", "--tid", 1).out.count("Connection:")


def several(service, tgt, n, **options):
    """A session with n connections. Return: its id, and theirs."""
    tgt.setting("MaxConnections", 8)
    discover(service, tgt)
    session, first = login(service, tgt.name, maximumConnections=0, **options)
    return session, [first] + [add(service, session) for _ in range(n - 1)]


def verify_io(device, seconds=30, size="16M"):
    """fio that writes and reads back."""
    need_program("fio")
    return subprocess.Popen(
        ["timeout", str(seconds + 60), "fio", "--name=x", "--filename=" + device, "--rw=randwrite", "--bs=8k", "--iodepth=16", "--ioengine=libaio", "--direct=1",
         "--size=" + size, "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--verify_state_save=0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip


def ended_well(fio, seconds=90):
    out, _ = fio.communicate(timeout=seconds)
    assert fio.returncode == 0, out


def test_added_listed_used_and_removed(service, tgt):
    session, ids = several(service, tgt, 3)
    listed = connections(service)
    assert [c["id"] for c in listed] == ids and len(set(ids)) == 3
    assert [c["cid"] for c in listed] == [1, 2, 3]
    assert len({c["initiatorSocket"] for c in listed}) == 3
    assert all((c["targetAddress"], c["targetSocket"]) == ("127.0.0.1", tgt.port) for c in listed)
    p = parameters(service, session)
    assert p["maximumConnections"] == 8 and [c["id"] for c in p["connections"]] == ids
    assert cids_at_target(tgt) == 3
    device = service.device(session)
    ended_well(verify_io(device))
    # in turn
    rates = [c["estimatedThroughput"] for c in parameters(service, session)["connections"]]
    assert min(rates) * 4 > max(rates), rates
    refused(CANNOT_REMOVE_LEADING_CONNECTION, remove, service, session, ids[0])
    remove(service, session, ids[1])
    assert [c["id"] for c in connections(service)] == [ids[0], ids[2]]
    assert cids_at_target(tgt) == 2
    refused(INVALID_CONNECTION_ID, remove, service, session, ids[1])
    another = add(service, session)
    assert another not in ids and [c["id"] for c in connections(service)] == [ids[0], ids[2], another]
    data = os.urandom(1 << 20)
    write(device, 0, data)
    assert read(device, 0, len(data)) == data
    service.logout(session)
    assert cids_at_target(tgt) == 0


def test_failover_uses_one(make_service, tgt):
    service = make_service("[session]\nconnection_policy = failover\n")
    session, ids = several(service, tgt, 2)
    ended_well(verify_io(service.device(session), size="4M"))
    rates = [c["estimatedThroughput"] for c in parameters(service, session)["connections"]]
    assert rates[1] * 100 < rates[0], rates
    service.logout(session)


def test_no_more_than_agreed_on(service, tgt):
    tgt.setting("MaxConnections", 8)
    discover(service, tgt)
    session, _ = login(service, tgt.name, maximumConnections=2)
    assert parameters(service, session)["maximumConnections"] == 2
    second = add(service, session)
    refused(TOO_MANY_CONNECTIONS, add, service, session)
    remove(service, session, second)
    refused(INVALID_CONNECTION_ID, remove, service, session, second)
    add(service, session)
    service.logout(session)


def test_added_at_a_portal_of_its_own_with_digests_of_its_own(service, tgt):
    tgt.setting("HeaderDigest", "CRC32C,None")
    tgt.setting("DataDigest", "CRC32C,None")
    session, ids = several(service, tgt, 1, headerDigest=0, dataDigest=0)
    at = {"symbolicName": "", "address": "127.0.0.1", "socket": tgt.port}
    ids.append(add(service, session, at, {"informationSpecified": 3, "loginFlags": 0, "headerDigest": 1, "dataDigest": 1}))
    digests = [(c["headerDigest"], c["dataDigest"]) for c in parameters(service, session)["connections"]]
    assert digests == [(0, 0), (1, 1)]
    ended_well(verify_io(service.device(session), size="4M"))
    refused(CONNECTION_FAILED, add, service, session, {**at, "socket": free_port()})
    assert [c["id"] for c in connections(service)] == ids
    service.logout(session)


@pytest.mark.parametrize("which", [0, 1], ids=["leading", "added"])
def test_one_of_two_is_lost_under_load(make_service, tgt, which):
    """
    tgt answers the Logout for the lost one and then closes the connection that it came over
    (doc/recovery.md): whether the session goes on or is taken up again, no byte may suffer.
    That it goes on with targets that do better is for test_levels.py.
    """
    service = make_service(FAST)
    session, ids = several(service, tgt, 2)
    fio = verify_io(service.device(session), size="32M")
    try:
        for _ in range(3):
            before = wait_for(lambda: len(connections(service)) == 2 and connections(service), 20, "both connections")
            kill_connection(before[which])
            wait_for(lambda: [c["initiatorSocket"] for c in connections(service)] != [c["initiatorSocket"] for c in before], 10, "the loss")
        ended_well(fio)
    finally:
        if fio.poll() is None:
            fio.kill()
    after = wait_for(lambda: len(connections(service)) == 2 and connections(service), 20, "both connections")
    assert [c["id"] for c in after] == ids
    service.logout(session)


def test_all_are_lost_and_come_back(make_service, tgt):
    service = make_service(FAST)
    session, ids = several(service, tgt, 3)
    device = service.device(session)
    data = os.urandom(1 << 20)
    write(device, 0, data)
    tgt.kill()
    wait_for(lambda: not connections(service), 10, "the loss")
    assert service.sessions()[0]["state"] == "down"
    refused(0xEFFF0060, add, service, session)
    tgt.restart()
    wait_for(lambda: len(connections(service)) == 3, 20, "all connections")
    assert [c["id"] for c in connections(service)] == ids
    wait_for(lambda: service.sessions()[0]["state"] == "up", 20, "the session's return")
    assert read(device, 0, len(data)) == data
    service.logout(session)


ISTGT = """[Global]
  NodeBase "iqn.2026-11.test.istgt"
  PidFile %(d)s/pid
  AuthFile %(d)s/auth
  Timeout 30
  NopInInterval 20
  DiscoveryAuthMethod None
  MaxSessions 16
  MaxConnections 4
  MaxR2T 32
  MaxOutstandingR2T 16
  InitialR2T Yes
  ImmediateData Yes
  ErrorRecoveryLevel 0
[UnitControl]
  AuthMethod None
  Portal UC1 127.0.0.1:%(control)d
  Netmask 127.0.0.1
[PortalGroup1]
  Portal DA1 127.0.0.1:%(port)d
  Portal DA2 127.0.0.1:%(second)d
[InitiatorGroup1]
  InitiatorName "ALL"
  Netmask ALL
[LogicalUnit1]
  TargetName disk
  Mapping PortalGroup1 InitiatorGroup1
  AuthMethod None
  UseDigest Auto
  UnitType Disk
  LUN0 Storage %(d)s/disk Auto
"""


@pytest.fixture
def istgt(tmp_path):
    """A target with two portals in one group. Return: its ports."""
    need_program("istgt")
    d = str(tmp_path)
    with open(d + "/disk", "wb") as f:
        f.truncate(64 << 20)
    ports = {"port": free_port(), "second": free_port(), "control": free_port()}
    with open(d + "/conf", "w") as f:
        f.write(ISTGT % {"d": d, **ports})
    with open(d + "/auth", "w") as f:
        os.chmod(d + "/auth", 0o600)
    with open(d + "/log", "w") as log:
        p = subprocess.Popen(["istgt", "-D", "-c", d + "/conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def listens():
        assert p.poll() is None, open(d + "/log").read()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", ports["second"])) == 0

    try:
        wait_for(listens, 10, "istgt")
        yield ports["port"], ports["second"]
    finally:
        p.kill()
        p.wait(20)


def test_portals_of_the_group_that_are_not_used_yet_come_first(make_service, istgt):
    service = make_service(FAST)
    service.varlink("AddSendTargetPortal", initiatorInstance=None, initiatorPort=ANY_PORT, loginOptions=None, securityFlags=0,
                    portal={"symbolicName": "", "address": "127.0.0.1", "socket": istgt[0]})  # fmt: skip
    session, first = login(service, "iqn.2026-11.test.istgt:disk", maximumConnections=4)
    ids = [first, add(service, session), add(service, session)]
    listed = connections(service)
    assert [c["id"] for c in listed] == ids
    assert {c["targetSocket"] for c in listed[:2]} == set(istgt)
    fio = verify_io(service.device(session), size="16M")
    kill_connection(listed[1])
    ended_well(fio)
    wait_for(lambda: len(connections(service)) == 3, 20, "the connection's return")
    assert [c["id"] for c in connections(service)] == ids
    remove(service, session, ids[2])
    service.logout(session)


def test_removed_while_the_target_is_away(make_service, tgt):
    service = make_service(FAST)
    session, ids = several(service, tgt, 2)
    tgt.kill()
    wait_for(lambda: not connections(service), 10, "the loss")
    remove(service, session, ids[1])
    tgt.restart()
    wait_for(lambda: service.sessions()[0]["state"] == "up", 20, "the session's return")
    assert [c["id"] for c in connections(service)] == ids[:1]
    service.logout(session)
