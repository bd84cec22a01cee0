# SPDX-License-Identifier: MIT
"""Subscribe: what there is, then what changes."""
import os
import threading

import pytest

import bed
from bed import Refused, Varlink, wait_for
from test_connections import FAST, add, kill_connection, login, several
from test_session import discover

OUT_OF_RESOURCES = 0xEFFF0014


class Listener:
    """A client that has called Subscribe and reads what comes."""

    def __init__(self, service, seconds=30):
        self.v = Varlink(service.socket, seconds)
        self.v.send({"method": bed.INTERFACE + ".Subscribe", "parameters": {}, "more": True})
        self.seen = []

    def next(self):
        reply = self.v.receive()
        if "error" in reply:
            raise Refused(reply["error"], reply.get("parameters", {}))
        assert reply["continues"] is True
        event = reply["parameters"]
        assert sorted(event) == ["connectionId", "count", "device", "kind", "sequence", "sessionId", "targetName", "text"]
        self.seen.append(event)
        return event

    def until(self, kind):
        """All that comes up to the next event of that kind."""
        events = [self.next()]
        while events[-1]["kind"] != kind:
            events.append(self.next())
        return events

    def close(self):
        self.v.close()


def kinds(events):
    return [e["kind"] for e in events]


@pytest.fixture
def listen():
    made = []

    def make(service, **more):
        made.append(Listener(service, **more))
        return made[-1]

    yield make
    for listener in made:
        listener.close()


def test_from_login_to_logout(service, tgt, listen):
    listener = listen(service)
    assert kinds(listener.until("current")) == ["current"]
    tgt.setting("MaxConnections", 8)
    discover(service, tgt)
    assert listener.next()["targetName"] == tgt.name and listener.seen[-1]["kind"] == "target-added"
    session, first = login(service, tgt.name, maximumConnections=2)
    events = listener.until("device-added")
    assert kinds(events) == ["session-up", "connection-up", "device-added"]
    assert all(e["sessionId"] == session and e["targetName"] == tgt.name for e in events)
    assert events[1]["connectionId"] == first and events[0]["connectionId"] is None
    device = events[2]["device"]
    assert device["legacyName"] == service.device(session) and device["state"] == "ready"
    known = service.devices(session)[0]
    assert {**device, "volumePaths": known["volumePaths"]} == known
    second = add(service, session)
    assert listener.next()["connectionId"] == second and listener.seen[-1]["kind"] == "connection-up"
    # who comes later hears the same
    late = listen(service)
    assert kinds(late.until("current")) == ["session-up", "connection-up", "connection-up", "device-added", "current"]
    assert [e["connectionId"] for e in late.seen[1:3]] == [first, second]
    assert late.seen[-1]["sequence"] == listener.seen[-1]["sequence"]
    service.logout(session)
    events = listener.until("session-closed")
    assert "device-removed" in kinds(events) and events[-1]["sessionId"] == session
    assert kinds(late.until("session-closed")) == kinds(events)
    numbers = [e["sequence"] for e in listener.seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_loss_and_return(make_service, tgt, listen):
    service = make_service(FAST)
    session, ids = several(service, tgt, 2)
    service.device(session)
    listener = listen(service)
    listener.until("current")
    kill_connection(service.sessions()[0]["connections"][1])
    e = listener.until("connection-down")[-1]
    assert e["connectionId"] == ids[1] and e["text"]
    assert listener.until("connection-up")[-1]["connectionId"] == ids[1]
    tgt.kill()
    events = listener.until("session-down")
    assert sorted(e["connectionId"] for e in events if e["kind"] == "connection-down") == sorted(ids)
    assert events[-1]["text"]
    tgt.restart()
    listener.until("session-up")
    assert {e["connectionId"] for e in listener.seen[-6:] if e["kind"] == "connection-up"} & set(ids)
    service.logout(session)


def test_targets_come_and_go(service, listen):
    listener = listen(service)
    listener.until("current")
    target = {"targetName": "iqn.2026-11.test.whole:static", "targetAlias": None, "targetFlags": 0, "persist": False,
              "mapping": None, "loginOptions": None, "portalGroup": None}  # fmt: skip
    service.varlink("AddStaticTarget", **target)
    assert (listener.next()["kind"], listener.seen[-1]["targetName"]) == ("target-added", target["targetName"])
    service.varlink("RemoveStaticTarget", targetName=target["targetName"])
    assert (listener.next()["kind"], listener.seen[-1]["targetName"]) == ("target-removed", target["targetName"])


def test_a_slow_reader_is_told_how_much_it_missed(service, listen):
    slow = listen(service)
    slow.until("current")
    quick = listen(service)
    quick.until("current")
    target = {"targetName": "iqn.2026-11.test.whole:static", "targetAlias": None, "targetFlags": 0, "persist": False,
              "mapping": None, "loginOptions": None, "portalGroup": None}  # fmt: skip
    with Varlink(service.socket) as v:
        for _ in range(1800):
            v.call("AddStaticTarget", **target)
            v.call("RemoveStaticTarget", targetName=target["targetName"])
            quick.until("target-removed")
    assert "lost" not in kinds(quick.seen) and len(quick.seen) == 3601
    last = quick.seen[-1]["sequence"]
    at = slow.seen[-1]["sequence"]
    lost = 0
    while at < last:
        e = slow.next()
        if e["kind"] == "lost":
            lost += e["count"]
            at += e["count"]
            assert e["sequence"] == at
        else:
            at += 1
            assert e["sequence"] == at
    assert at == last and lost > 500


def fill(service):
    """More events than a socket holds."""
    target = {"targetName": "iqn.2026-11.test.whole:static", "targetAlias": None, "targetFlags": 0, "persist": False,
              "mapping": None, "loginOptions": None, "portalGroup": None}  # fmt: skip
    with Varlink(service.socket) as v:
        for _ in range(1800):
            v.call("AddStaticTarget", **target)
            v.call("RemoveStaticTarget", targetName=target["targetName"])


def test_who_never_reads_is_cut_off(make_service, listen):
    service = make_service("[access]\nlistener_timeout = 1\n")
    before = service.threads()
    stuck, quiet = listen(service), listen(service)
    quiet.until("current")

    def heard():
        return kinds(quiet.seen).count("target-removed") + sum(e["count"] or 0 for e in quiet.seen)

    def read():
        while heard() < 1800:
            quiet.next()

    # all the time: who reads only when all has been said may be late
    reader = threading.Thread(target=read)
    reader.start()
    fill(service)
    reader.join(60)
    assert heard() >= 1800
    wait_for(lambda: "takes none: closed" in service.log(), 15, "the end of who does not read")
    with pytest.raises((ConnectionError, EOFError, OSError)):
        while True:
            stuck.next()
    # to have nothing to read is no reason
    wait_for(lambda: service.threads() <= before + 1, 10, "its thread's end")
    assert service.log().count("takes none: closed") == 1


def as_user(uid, call, *args):
    """Whoever connects is who they are at that moment."""
    os.seteuid(uid)
    try:
        return call(*args)
    finally:
        os.seteuid(0)


def test_listeners_of_one_user_leave_places_for_others(make_service, listen):
    service = make_service("[service]\nmax_clients = 4\nsocket_mode = 0666\n")
    os.chmod(service.directory, 0o711)

    def may_listen(uid):
        listener = as_user(uid, listen, service)
        try:
            return listener.next()["kind"] == "current"
        except Refused as e:
            assert e.code == OUT_OF_RESOURCES
            listener.close()
            return False

    # half of them for each, then all are taken, but not for who has to put things right
    assert [may_listen(60001) for _ in range(3)] == [True, True, False]
    assert [may_listen(60002) for _ in range(3)] == [True, True, False]
    assert may_listen(60003) is False
    assert [may_listen(0) for _ in range(9)] == [True] * 8 + [False]
    # and whoever only asks is not kept out by any of them
    with as_user(60003, Varlink, service.socket) as v:
        v.call("GetVersion")


def test_it_is_a_call_with_more(service):
    with Varlink(service.socket) as v, pytest.raises(Refused) as e:
        v.call("Subscribe")
    assert e.value.error == "org.varlink.service.ExpectedMore"


def n_client_threads(service):
    """Others come and go with the service's own work."""
    n, tasks = 0, "/proc/%d/task" % service.pid
    for task in os.listdir(tasks):
        try:
            with open("%s/%s/comm" % (tasks, task)) as f:
                n += f.read() == "client\n"
        except OSError:
            pass  # it has ended meanwhile
    return n


def test_listeners_keep_nobody_out(make_service, listen):
    service = make_service("[service]\nmax_clients = 4\n")
    listeners = [listen(service) for _ in range(4 + 8)]  # eight more for root
    for listener in listeners:
        listener.until("current")
    late = listen(service)
    with pytest.raises(Refused) as e:
        late.next()
    assert e.value.code == OUT_OF_RESOURCES
    clients = [Varlink(service.socket, 20) for _ in range(4)]
    for v in clients:
        assert v.call("ListSessions") == {"sessions": []}
        v.close()
    # their places are free as soon as they are gone
    for listener in [*listeners, late]:
        listener.close()
    wait_for(lambda: n_client_threads(service) == 0, 10, lambda: "the end of the clients' threads: %d" % n_client_threads(service))
    listen(service).until("current")


def test_the_service_stops_with_listeners(make_service, listen):
    service = make_service()
    listener = listen(service)
    listener.until("current")
    assert service.stop(20) == 0
    with pytest.raises(ConnectionError):
        listener.next()
