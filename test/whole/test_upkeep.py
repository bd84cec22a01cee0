# SPDX-License-Identifier: MIT
"""RescanSession and GetStatistics: what a target has now, and what was counted."""
import os

import pytest

from bed import Refused, number_of_lun, run, wait_for
from test_session import discover, read, write

INVALID_SESSION_ID = 0xEFFF001C
NOT_ALL_SUCCESS = 0xAFFF002E


def luns(service, session=None):
    return {number_of_lun(d["lun"]): d["state"] for d in service.devices(session)}


def remove_lun(tgt, lun):
    tgt.admin("--lld", "iscsi", "--op", "delete", "--mode", "logicalunit", "--tid", 1, "--lun", lun)


def rescan(service, session=None):
    assert service.varlink("RescanSession", sessionId=session) == {}


def test_units_that_came_and_went(service, tgt):
    """The session is quiet, so nobody would have heard of it."""
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    assert luns(service) == {1: "ready"}
    tgt.lun(2, mb=8)
    rescan(service, session)
    assert luns(service) == {1: "ready", 2: "ready"}
    remove_lun(tgt, 2)
    rescan(service)  # all of them
    assert luns(service)[1] == "ready" and luns(service)[2] != "ready"
    write(device, 0, os.urandom(4096))
    # and back again
    tgt.lun(2, mb=8)
    rescan(service, session)
    wait_for(lambda: luns(service)[2] == "ready", 20, lambda: "LUN 2:\n" + service.log()[-3000:])
    service.logout(session)


def test_unit_that_grew(service, tgt):
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    data = os.urandom(1 << 20)
    write(device, 0, data)
    remove_lun(tgt, 1)
    with open(tgt.file, "r+b") as f:
        f.truncate(96 << 20)
    tgt.lun(1, path=tgt.file)
    rescan(service, session)
    assert service.devices(session)[0]["sizeBytes"] == 96 << 20
    wait_for(lambda: int(run("blockdev", "--getsize64", device).out) == 96 << 20, 10, "the size of the device")
    assert read(device, 0, len(data)) == data
    write(device, 95 << 20, data)
    service.logout(session)


def test_several_ask_at_once(service, tgt):
    import threading

    discover(service, tgt)
    session = service.login(tgt.name)
    service.device(session)
    tgt.lun(2, mb=8)
    failed = []

    def one():
        try:
            rescan(service, session)
            if luns(service) != {1: "ready", 2: "ready"}:
                failed.append(luns(service))
        except Exception as e:  # noqa: BLE001
            failed.append(e)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert failed == []
    service.logout(session)


def test_session_without_units_and_none_at_all(service, tgt):
    rescan(service)
    discover(service, tgt)
    session = service.login_at(tgt.name, tgt.port, informational=True)
    rescan(service, session)
    rescan(service)
    assert service.devices() == []
    service.logout(session)
    for method in ("RescanSession", "GetStatistics"):
        with pytest.raises(Refused) as e:
            service.varlink(method, sessionId=session)
        assert e.value.code == INVALID_SESSION_ID


def test_session_that_is_away_is_not_waited_for(service, tgt):
    discover(service, tgt)
    session = service.login(tgt.name)
    service.device(session)
    tgt.kill()
    wait_for(lambda: service.sessions()[0]["state"] == "down", 20, "the loss of the connection")
    with pytest.raises(Refused) as e:
        service.varlink("RescanSession", sessionId=session)
    assert e.value.code == NOT_ALL_SUCCESS and "no connection" in e.value.parameters["text"]
    statistics = service.varlink("GetStatistics", sessionId=None)["sessions"][0]
    assert statistics["state"] == "down" and statistics["connections"] == [] and statistics["connectionsLost"] == 1
    tgt.restart()
    wait_for(lambda: service.sessions()[0]["state"] == "up", 60, "the session")
    assert service.varlink("GetStatistics", sessionId=None)["sessions"][0]["reconnects"] == 1
    rescan(service, session)
    service.logout(session)


def test_counters(service, tgt):
    assert service.varlink("GetStatistics", sessionId=None) == {"sessions": []}
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)

    def counts():
        s = service.varlink("GetStatistics", sessionId=session)["sessions"]
        assert len(s) == 1 and len(s[0]["devices"]) == 1
        return s[0], s[0]["devices"][0]

    before, of_device = counts()
    assert (before["id"], before["targetName"], before["state"]) == (session, tgt.name, "up")
    assert (of_device["legacyName"], number_of_lun(of_device["lun"])) == (device, 1)
    assert before["commands"] > 0 and before["receivedPdus"] > 0 and before["sentPdus"] > 0
    write(device, 8 << 20, os.urandom(1 << 20))
    after, device_after = counts()
    assert device_after["writeBytes"] - of_device["writeBytes"] == 1 << 20
    assert device_after["writes"] > of_device["writes"] and device_after["flushes"] > of_device["flushes"]
    assert after["sentBytes"] - before["sentBytes"] >= 1 << 20 and after["commands"] > before["commands"]
    run("blockdev", "--flushbufs", device)
    read(device, 8 << 20, 1 << 20)
    assert counts()[1]["readBytes"] > device_after["readBytes"]
    for name in ("reconnects", "connectionsLost", "digestErrors", "protocolErrors", "timeouts", "snacks", "retries", "reassigned"):
        assert after[name] == 0, name
    assert [c["id"] for c in after["connections"]] == [service.sessions()[0]["connections"][0]["id"]]
    assert after["connections"][0]["bytesPerSecond"] >= 0
    service.logout(session)


def test_target_that_says_nothing_any_more(make_service, tgt):
    """It is not waited for until the end of time."""
    service = make_service("[session]\nretry_min = 100ms\nretry_max = 500ms\nnop_interval = 500ms\nnop_timeout = 1\n")
    discover(service, tgt)
    session = service.login(tgt.name)
    service.device(session)
    tgt.stop()
    with pytest.raises(Refused) as e:
        service.varlink("RescanSession", sessionId=None)
    assert e.value.code == NOT_ALL_SUCCESS
    assert len(service.varlink("GetStatistics", sessionId=session)["sessions"]) == 1
    tgt.go_on()
    wait_for(lambda: service.sessions()[0]["state"] == "up", 60, "the session")
    rescan(service)
    service.logout(session)


def test_errors_are_counted(make_service, make_target):
    service = make_service("[session]\nretry_min = 100ms\nretry_max = 500ms\n")
    t = make_target("--digests", "require")
    service.cli("AddTargetPortal", "127.0.0.1", t.port, check=0)
    session = service.login_at(t.name, t.port, options=("*", "1", "1", *("*",) * 6))
    device = service.device(session)
    t.rule("data-in 1 corrupt-data")
    run("blockdev", "--flushbufs", device)
    assert read(device, 4 << 20, 1 << 16) == bytes(1 << 16)
    s = service.varlink("GetStatistics", sessionId=session)["sessions"][0]
    assert s["digestErrors"] == 1 and s["connectionsLost"] == 1 and s["devices"][0]["errors"] == 0
    wait_for(lambda: service.varlink("GetStatistics", sessionId=session)["sessions"][0]["reconnects"] == 1, 20, "the new login")
    t.clear()
    wait_for(lambda: service.sessions()[0]["state"] == "up", 20, "the session")
    service.logout(session)
