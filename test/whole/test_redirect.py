# SPDX-License-Identifier: MIT
"""Targets that send a login elsewhere: to numbers, to names, and round in circles."""
import os
import socket
import time

import pytest

from bed import wait_for
from peer import relay_to
from test_connections import FAST, add, connections
from test_session import read, write

TARGET_MOVED = (0x0101, 0x0102)


def sends_to(t, where, status=0x0101, nth=0):
    t.rule("login %d redirect 0x%04x %s" % (nth, status, where))


def a_service(make_service, door, more=""):
    """One that knows of the target behind the door."""
    service = make_service(FAST + more)
    service.cli("AddTargetPortal", "127.0.0.1", door.port, check=0)
    return service


def used(service, session):
    device = service.device(session)
    data = os.urandom(1 << 16)
    write(device, 4096, data)
    assert read(device, 4096, len(data)) == data
    return service.sessions()[0]["connections"]


@pytest.mark.parametrize("status", TARGET_MOVED, ids=["temporarily", "permanently"])
def test_to_a_name(make_service, make_target, status):
    door, home = make_target(), make_target()
    service = a_service(make_service, door)
    sends_to(door, "localhost:%d,1" % home.port, status)
    session = service.login_at(home.name, door.port)
    (c,) = used(service, session)
    assert (c["targetAddress"], c["targetSocket"]) == ("127.0.0.1", home.port)
    home.cut()
    used(service, session)
    # who moved for good is not asked any more; who moved for now is, and is there by now
    door.clear()
    home.cut()
    ports = {0x0101: door.port, 0x0102: home.port}
    wait_for(lambda: [c["targetSocket"] for c in connections(service)] == [ports[status]] and home.stats()["logins"] >= (2 if status == 0x0101 else 3), 15, "the return")
    service.logout(session)
    assert home.complaints() == [] and door.complaints() == []


def test_to_an_address_of_version_six(make_service, make_target):
    try:
        socket.socket(socket.AF_INET6).bind(("::1", 0))
    except OSError:
        pytest.skip("there is no IPv6 here")
    door, home = make_target(), make_target()
    service = a_service(make_service, door)
    relay = relay_to(home.port, socket.AF_INET6, "::1")
    try:
        sends_to(door, "[::1]:%d,1" % relay.port)
        session = service.login_at(home.name, door.port)
        (c,) = used(service, session)
        assert (c["targetAddress"], c["targetSocket"]) == ("::1", relay.port)
        service.logout(session)
    finally:
        relay.close()


def test_from_name_to_name(make_service, make_target):
    """Four are followed, and five are not."""
    doors = [make_target() for _ in range(5)]
    home = make_target()
    service = a_service(make_service, home)
    for one, next_one in zip(doors, doors[1:] + [home]):
        sends_to(one, "localhost:%d" % next_one.port)
    session = service.login_at(home.name, doors[1].port)
    used(service, session)
    service.logout(session)
    r = service.cli("LoginTarget", home.name, "F", "127.0.0.1", doors[0].port, *"***", *"*********", "*", "0")
    assert r.code == 1 and "too many redirects" in service.log()


@pytest.mark.parametrize("where,words", [("localhost:%d", "circle"), ("no-such-host.invalid", "no-such-host.invalid")], ids=["circle", "unknown"])
def test_nowhere(make_service, make_target, where, words):
    t = make_target()
    service = a_service(make_service, t, "login_timeout = 5\n")
    sends_to(t, where % t.port if "%" in where else where)
    start = time.monotonic()
    r = service.cli("LoginTarget", t.name, "F", "127.0.0.1", t.port, *"***", *"*********", "*", "0")
    assert r.code == 1 and words in r.out + service.log()
    assert time.monotonic() - start < 15
    assert service.sessions() == []


def test_a_name_that_is_unknown_for_a_while(make_service, make_target):
    """What has been up once is tried until it works."""
    t = make_target()
    service = a_service(make_service, t, "login_timeout = 5\n")
    session = service.login_at(t.name, t.port)
    used(service, session)
    sends_to(t, "no-such-host.invalid")
    t.cut()
    wait_for(lambda: "no-such-host.invalid" in service.log(), 15, lambda: "the redirect:\n" + service.log())
    t.clear()
    used(service, session)
    service.logout(session)


def test_a_further_connection(make_service, make_target):
    """It may be sent elsewhere, too, as long as it is the same session that it joins."""
    t = make_target("--maxconn", 4)
    service = a_service(make_service, t, "MaxConnections = 4\n")
    session = service.login_at(t.name, t.port)
    relay = relay_to(t.port, socket.AF_INET, "127.0.0.2")
    try:
        sends_to(t, "127.0.0.2:%d" % relay.port, nth=1)
        add(service, session)
        assert [c["targetAddress"] for c in used(service, session)] == ["127.0.0.1", "127.0.0.2"]
        service.logout(session)
    finally:
        relay.close()
    assert t.complaints() == []


def test_a_discovery(make_service, make_target):
    service, door, home = make_service(FAST), make_target(), make_target()
    sends_to(door, "localhost:%d" % home.port, nth=1)
    service.cli("AddTargetPortal", "127.0.0.1", door.port, check=0)
    assert home.name in service.cli("ListTargets", check=0).out
    assert home.stats()["logins"] == 1
