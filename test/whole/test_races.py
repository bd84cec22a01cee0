# SPDX-License-Identifier: MIT
"""
Several clients change the same thing at once: what is told afterwards is what was stored
"""
import contextlib
import os
import random
import shutil
import sqlite3
import tempfile
import threading
import time

import pytest

import peer
from bed import PATIENCE, Refused, Varlink, free_port, loops_of, wait_for

ANY_PORT = 0xFFFFFFFF
CLIENTS = 4


@pytest.fixture
def quick(make_service):
    """A service whose store takes no time: what is between two changes of it counts more."""
    service = make_service(start=False)
    service.state = tempfile.mkdtemp(prefix="isd-state-", dir="/dev/shm")
    yield service.start()
    service.stop()
    shutil.rmtree(service.state)


def stored(service, question):
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % os.path.join(service.state, "state.db"), uri=True)) as db:
        return db.execute(question).fetchall()


def again_and_again(service, rounds, work, check):
    """In each round all clients call @work(varlink, client, round) at once; then one @check(varlink)."""
    errors, gate = [], threading.Barrier(CLIENTS)

    def client(k):
        try:
            with Varlink(service.socket) as v:
                for i in range(rounds):
                    gate.wait(60)
                    with contextlib.suppress(Refused):
                        work(v, k, i)
                    if gate.wait(60) == 0:
                        check(v)
        except threading.BrokenBarrierError:
            pass
        except BaseException as e:  # noqa: BLE001
            errors.append(e)
            gate.abort()

    threads = [threading.Thread(target=client, args=(k,)) for k in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def test_portal(quick):
    """As it is listed it is stored, and if it is listed it can be removed."""
    p = {"symbolicName": "", "address": "127.0.0.1", "socket": free_port()}
    key = {"initiatorInstance": None, "initiatorPort": ANY_PORT, "portal": p}

    def work(v, k, i):
        if k < 2:
            v.call("AddSendTargetPortal", **key, loginOptions=None, securityFlags=2 * (CLIENTS * i + k))
        else:
            v.call("RemoveSendTargetPortal", **key)

    def check(v):
        listed = v.call("ListSendTargetPortals")["portals"]
        assert [(x["securityFlags"],) for x in listed] == stored(quick, "SELECT security_flags FROM portal")

    again_and_again(quick, 400, work, check)


def test_node_name(quick):
    def work(v, k, i):
        v.call("SetNodeName", name="iqn.2026-11.test:%d" % (CLIENTS * i + k))

    def check(v):
        assert stored(quick, "SELECT value FROM meta WHERE name = 'node_name'") == [(v.call("GetNodeName")["name"],)]

    again_and_again(quick, 400, work, check)


# ---- many portals that say nothing -------------------------------------------------


@pytest.fixture
def silent(make_peer):
    """add(service, n): so many portals in its list that from now on take a connection and say nothing."""
    p = make_peer(peer.hang, listen=False)

    def add(service, n):
        for i in range(n):
            with pytest.raises(Refused):
                service.varlink("AddSendTargetPortal", initiatorInstance=None, initiatorPort=i + 1, loginOptions=None, securityFlags=0,
                                portal={"symbolicName": "", "address": "127.0.0.1", "socket": p.port})  # fmt: skip
        p.listener.listen(64)
        threading.Thread(target=p.accept, daemon=True).start()
        return p

    return add


def test_asking_all_portals_has_a_bound(make_service, silent, tgt):
    """However many there are; what the others tell is there all the same."""
    service = make_service("[service]\nrefresh_timeout = 3\n[session]\nlogin_timeout = 2\n")
    service.cli("AddTargetPortal", "127.0.0.1", tgt.port, check=0)
    silent(service, 100)
    begin = time.monotonic()
    r = service.varlink("ListTargets", forceUpdate=True)
    assert time.monotonic() - begin < 20  # each for itself: 25
    assert r == {"targets": [tgt.name], "status": 0xAFFF002E}
    assert "were not asked" in service.log()


def test_the_service_ends_while_all_portals_are_asked(make_service, silent):
    service = make_service("[session]\nlogin_timeout = 60\n")
    p = silent(service, 40)
    client = threading.Thread(target=lambda: service.cli("ListTargets", "T"))
    client.start()
    wait_for(lambda: p.n_connections >= 8, 20, "the portals to be asked")
    begin = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begin < 40
    client.join()


# ---- everything about one target --------------------------------------------------------

WHATEVER = {"initiatorInstance": None, "initiatorPort": ANY_PORT}
DIGITS = {"informationSpecified": 4, "loginFlags": 2, "maximumConnections": 3}
RETRY = {0xEFFF001F, 0xEFFF0040}  # ISDSC_SESSION_BUSY, ISDSC_DEVICE_BUSY_ON_SESSION


def some_session(v, dice):
    sessions = v.call("ListSessions")["sessions"]
    return dice.choice(sessions) if sessions else {"id": "1-1", "connections": [{"id": "1-1"}]}


def remove_connection(v, dice):
    s = some_session(v, dice)
    if s["connections"]:
        v.call("RemoveConnection", sessionId=s["id"], connectionId=dice.choice(s["connections"])["id"])


def calls(name, port):
    """What clients do to one target, at one portal: call(varlink, dice)."""
    at = {"symbolicName": "", "address": "127.0.0.1", "socket": port}
    login = {**WHATEVER, "targetName": name, "securityFlags": 0, "loginOptions": DIGITS, "key": None}
    static = {"targetName": name.upper(), "targetAlias": "a", "targetFlags": 0, "mapping": None, "loginOptions": DIGITS, "portalGroup": [at]}
    return (
        lambda v, d: v.call("AddStaticTarget", **static, persist=d.random() < 0.5),
        lambda v, d: v.call("RemoveStaticTarget", targetName=name),
        lambda v, d: v.call("AddSendTargetPortal", **WHATEVER, loginOptions=None, securityFlags=0, portal=at),
        lambda v, d: v.call("RemoveSendTargetPortal", **WHATEVER, portal=at),
        lambda v, d: v.call("RefreshSendTargetPortal", **WHATEVER, portal=at),
        lambda v, d: v.call("ListTargets", forceUpdate=True),
        lambda v, d: v.call("Login", **login, informational=d.random() < 0.3, persistent=False, portal=at if d.random() < 0.5 else None),
        lambda v, d: v.call("Login", **login, informational=False, persistent=False, portal=None),
        lambda v, d: v.call("Login", **login, informational=False, persistent=True, portal=None),
        lambda v, d: v.call("RemovePersistentLogin", **WHATEVER, targetName=name, portal=None),
        lambda v, d: v.call("Logout", sessionId=some_session(v, d)["id"]),
        lambda v, d: v.call("Logout", sessionId=some_session(v, d)["id"]),
        lambda v, d: v.call("AddConnection", sessionId=some_session(v, d)["id"], initiatorPort=ANY_PORT, portal=None, securityFlags=0, loginOptions=None,
                            key=None),
        remove_connection,
        lambda v, d: v.call("RescanSession", sessionId=some_session(v, d)["id"]),
        lambda v, d: [v.call(m) for m in ("ListSessionParameters", "ListMappings", "ListSendTargetPortals", "ListPersistentLogins")],
        lambda v, d: v.call("ListDevices", sessionId=None),
        lambda v, d: v.call("ListHolders", sessionId=None, device=None),
        lambda v, d: v.call("ListTargetPortals", initiatorInstance=None, targetName=name, portalGroup=None),
        lambda v, d: v.call("ScsiReportLuns", sessionId=some_session(v, d)["id"], allocationLength=64),
    )  # fmt: skip


def listen(service, stop, errors):
    """Subscribes again and again; now and then to go away in the midst."""
    while not stop.is_set():
        with contextlib.suppress(ConnectionError), Varlink(service.socket) as v:
            v.send({"method": "io.iscsidsc.Initiator.Subscribe", "more": True})
            for _ in range(20):
                if "error" in v.receive():
                    errors.append("no events")


def clients(service, todo, seconds, n=CLIENTS):
    """Each does what its dice says, and one listens until the service ends. What is neither done nor refused is an error."""
    end, errors, stop = time.monotonic() + seconds, [], threading.Event()

    def client(seed):
        dice = random.Random(seed)
        try:
            with Varlink(service.socket) as v:
                while time.monotonic() < end and not errors:
                    with contextlib.suppress(Refused):
                        dice.choice(todo)(v, dice)
        except BaseException as e:  # noqa: BLE001
            errors.append(repr(e))

    threads = [threading.Thread(target=client, args=(k,)) for k in range(n)]
    listener = threading.Thread(target=listen, args=(service, stop, errors))
    for t in [*threads, listener]:
        t.start()
    for t in threads:
        t.join()
    stop.set()
    return errors, listener


def logout_all(service):
    def left():
        for s in service.varlink("ListSessions")["sessions"]:
            try:
                service.varlink("Logout", sessionId=s["id"])
            except Refused as e:
                assert e.code in RETRY, e
        return not service.varlink("ListSessions")["sessions"]

    wait_for(left, 60, "the last logout")


@pytest.mark.parametrize("seconds", (15, pytest.param(120, marks=pytest.mark.slow)))
def test_everything_about_one_target(make_service, tgt, seconds):
    tgt.setting("MaxConnections", 3)
    service = make_service("[session]\nretry_min = 100ms\nretry_max = 500ms\n")
    threads, fds = service.threads(), service.fds()
    errors, listener = clients(service, calls(tgt.name, tgt.port), seconds)
    assert not errors, errors[0]
    logout_all(service)
    assert service.varlink("ListMappings")["mappings"] == [] and service.varlink("ListDevices", sessionId=None)["devices"] == []
    wait_for(lambda: service.threads() <= threads + 1 and service.fds() <= fds + 3, 20, lambda: "its threads: %d of %d, fds %d of %d"
             % (service.threads(), threads, service.fds(), fds))  # fmt: skip
    before = [service.varlink(m) for m in ("ListSendTargetPortals", "ListPersistentLogins")]
    assert service.stop() == 0
    listener.join(30)
    assert not listener.is_alive()
    service.start()
    assert [service.varlink(m) for m in ("ListSendTargetPortals", "ListPersistentLogins")] == before


# ---- the end of a session, or of the service, in the midst of something -----------------

SOON = "[session]\nlogin_timeout = 3\nnop_interval = 500ms\nnop_timeout = 1\n"


def connected(port):
    """How many connections to a port of this machine there are."""
    with open("/proc/net/tcp") as f:
        lines = [line.split() for line in f][1:]
    return sum(x[2] == "0100007F:%04X" % port and x[3] == "01" for x in lines)


class Later:
    """A call that is made meanwhile; answer() is what became of it."""

    def __init__(self, service, method, **parameters):
        self.code, self.result = None, None

        def call():
            try:
                with Varlink(service.socket) as v:
                    self.result = v.call(method, **parameters)
                    self.code = 0
            except Refused as e:
                self.code = e.code
            except OSError as e:
                self.code = e

        self.thread = threading.Thread(target=call)
        self.thread.start()

    def answer(self, seconds):
        self.thread.join(max(seconds, PATIENCE))
        assert not self.thread.is_alive()
        return self.code


def session_and_a_connection_that_comes(make_service, tgt):
    """A session with a disk, a connection that is being added to it, and a target that says nothing to that."""
    tgt.setting("MaxConnections", 3)
    service = make_service(SOON)
    service.cli("AddTargetPortal", "127.0.0.1", tgt.port, check=0)
    login = {**WHATEVER, "targetName": tgt.name, "portal": None, "securityFlags": 0, "loginOptions": DIGITS, "key": None, "persistent": False}
    session = service.varlink("Login", **login, informational=True)["sessionId"]
    tgt.stop()
    before = connected(tgt.port)
    adding = Later(service, "AddConnection", sessionId=session, initiatorPort=ANY_PORT, portal=None, securityFlags=0, loginOptions=None, key=None)
    wait_for(lambda: connected(tgt.port) > before, 10, "the connection")
    return service, session, adding


def test_logout_while_a_connection_is_added(make_service, tgt):
    service, session, adding = session_and_a_connection_that_comes(make_service, tgt)
    begin = time.monotonic()
    leaving = [Later(service, "Logout", sessionId=session) for _ in range(2)]
    codes = sorted(x.answer(30) for x in leaving)
    assert codes[0] == 0 and codes[1] in (0xEFFF001F, 0xEFFF001C)
    # ISDSC_INVALID_SESSION_ID, NO_CONNECTION_AVAILABLE or CONNECTION_FAILED: whichever was first
    assert adding.answer(30) in (0xEFFF001C, 0xEFFF0003, 0xEFFF0018, 0xEFFF0017), hex(adding.code)
    assert time.monotonic() - begin < 25
    assert service.sessions() == []
    tgt.go_on()


def test_the_service_ends_while_a_connection_is_added(make_service, tgt):
    service, _, adding = session_and_a_connection_that_comes(make_service, tgt)
    begin = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begin < 25
    adding.answer(5)
    tgt.go_on()


def test_the_service_ends_during_a_login(make_service, tgt):
    service = make_service("[session]\nlogin_timeout = 60\n")
    service.cli("AddTargetPortal", "127.0.0.1", tgt.port, check=0)
    tgt.stop()
    before = connected(tgt.port)
    login = {**WHATEVER, "targetName": tgt.name, "portal": None, "securityFlags": 0, "loginOptions": DIGITS, "key": None, "persistent": False,
             "informational": False}  # fmt: skip
    waiting = [Later(service, "Login", **login) for _ in range(3)] + [Later(service, "Login", **{**login, "loginOptions": None})
                                                                       for _ in range(3)]  # fmt: skip
    wait_for(lambda: connected(tgt.port) > before, 10, "a login")
    begin = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begin < 40
    # ISDSC_SERVICE_UNAVAILABLE, or the end of the connection
    assert all(x.answer(5) == 0xEFFF0013 or isinstance(x.code, OSError) for x in waiting), [x.code for x in waiting]
    tgt.go_on()


def test_a_static_target_is_removed_while_it_is_logged_in_to(make_service, tgt):
    """The login goes on with what it knows, and the session stays."""
    service = make_service()
    static = {"targetName": tgt.name, "targetAlias": None, "targetFlags": 0, "persist": True, "mapping": None, "loginOptions": DIGITS,
              "portalGroup": [{"symbolicName": "", "address": "127.0.0.1", "socket": tgt.port}]}  # fmt: skip
    service.varlink("AddStaticTarget", **static)
    tgt.stop()
    before = connected(tgt.port)
    coming = Later(service, "Login", **WHATEVER, targetName=tgt.name, portal=None, securityFlags=0, loginOptions=None, key=None, persistent=False,
                   informational=False)  # fmt: skip
    wait_for(lambda: connected(tgt.port) > before, 10, "the login")
    service.varlink("RemoveStaticTarget", targetName=tgt.name)
    assert service.varlink("ListTargets", forceUpdate=False)["targets"] == []
    tgt.go_on()
    assert coming.answer(60) == 0
    assert [s["id"] for s in service.sessions()] == [coming.result["sessionId"]]
    service.logout(coming.result["sessionId"])


def test_two_services_with_one_name(make_service, tgt):
    """In one network, as one node: neither takes the other's place at the target."""
    a, b = make_service(), make_service()
    sessions = []
    for s in (a, b):
        s.varlink("SetNodeName", name="iqn.2026-11.test:both")
        s.cli("AddTargetPortal", "127.0.0.1", tgt.port, check=0)
        sessions += [(s, s.login(tgt.name)), (s, s.varlink("Login", **WHATEVER, targetName=tgt.name, portal=None, securityFlags=0, loginOptions=DIGITS,
                                                         key=None, persistent=False, informational=True)["sessionId"])]  # fmt: skip
    isids = [s["isid"] for service in (a, b) for s in service.sessions()]
    assert len(set(isids)) == 4 and tgt.sessions() == 4
    for service, session in sessions:
        assert service.varlink("ScsiReportLuns", sessionId=session, allocationLength=64)["result"]["status"] == 0
    assert all(s["state"] == "up" for service in (a, b) for s in service.sessions())
    assert "connection lost" not in a.log() + b.log()


def test_all_paths_to_a_disk_are_logged_out_at_once(make_service, tgt):
    """One of them is the last, and takes the disk with it."""
    service = make_service()
    service.cli("AddTargetPortal", "127.0.0.1", tgt.port, check=0)
    login = {**WHATEVER, "targetName": tgt.name, "portal": None, "securityFlags": 0, "loginOptions": DIGITS, "key": None, "persistent": False,
             "informational": False}  # fmt: skip
    for _ in range(12):
        ids = [service.varlink("Login", **login)["sessionId"] for _ in range(3)]
        assert len({d["legacyName"] for d in service.devices()}) == 1
        while ids:
            calls = {s: Later(service, "Logout", sessionId=s) for s in ids}
            codes = {s: x.answer(60) for s, x in calls.items()}
            assert set(codes.values()) <= RETRY | {0}
            ids = [s for s, code in codes.items() if code]
        assert service.sessions() == []
        wait_for(lambda: loops_of(service.directory) == [], 5, lambda: "the end of %s" % loops_of(service.directory))
