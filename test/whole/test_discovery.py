# SPDX-License-Identifier: MIT
"""Portals: what they tell, and what is said when they do not."""
import socket
import threading
import time

import pytest

import peer
from bed import free_port, wait_for

QUICK = "[session]\nlogin_timeout = 3\nconnect_timeout = 2\n"
CONNECTION_FAILED, LOGIN_FAILED, TRANSPORT = 0xEFFF0003, 0xEFFF0002, 0xEFFF0024
BAD_TEXT, AUTHENTICATION, DNS, HOST = 0xEFFF001B, 0xEFFF0009, 0xEFFF005F, 0xEFFF0068
NOT_ALL = 0xAFFF002E


def add(service, host, port, seconds):
    """The status of AddTargetPortal, which must come in time."""
    started = time.monotonic()
    status = service.json("AddTargetPortal", host, port)["Status"]
    took = time.monotonic() - started
    assert took < seconds, "took %.1f s" % took
    return status


def listed(service):
    return ["%s:%d" % (p["portal"]["address"], p["portal"]["socket"]) for p in service.varlink("ListSendTargetPortals")["portals"]]


def test_targets_of_a_portal(service, make_tgt):
    tgt = make_tgt()
    names = [tgt.target("iqn.2026-11.test.whole:d%d" % i, tid=i) for i in range(1, 6)]
    r = service.cli("AddTargetPortal", "127.0.0.1", tgt.port, check=0)
    assert r.data == [] and r.last == "The operation completed successfully. "
    assert service.cli("ListTargets", check=0).data == ["Targets List:"] + ["    " + n for n in names]
    assert listed(service) == ["127.0.0.1:%d" % tgt.port]
    # again: the same portal, refreshed
    service.cli("AddTargetPortal", "127.0.0.1", tgt.port, check=0)
    assert len(listed(service)) == 1
    tgt.target("iqn.2026-11.test.whole:more", tid=9)
    service.cli("RefreshTargetPortal", "127.0.0.1", tgt.port, check=0)
    assert "iqn.2026-11.test.whole:more" in service.cli("ListTargets").out
    tgt.target("iqn.2026-11.test.whole:latest", tid=10)
    assert "latest" not in service.cli("ListTargets", "F").out
    assert "latest" in service.cli("ListTargets", "T", check=0).out
    service.cli("RemoveTargetPortal", "127.0.0.1", tgt.port, "*", "*", check=0)
    assert listed(service) == []
    # its targets stay known
    assert names[0] in service.cli("ListTargets").out


def test_portal_that_is_not_there(service):
    assert service.json("RemoveTargetPortal", "127.0.0.1", "3260")["StatusName"] == "ISDSC_PORTAL_NOT_FOUND"
    r = service.cli("RemoveTargetPortal", "127.0.0.1", "3260", check=1)
    assert r.last == "The specified portal was not found. "


def test_nothing_listens(service):
    port = free_port()
    assert add(service, "127.0.0.1", port, 4) == CONNECTION_FAILED
    # it stays in the list, and can be removed
    assert listed(service) == ["127.0.0.1:%d" % port]
    service.cli("RemoveTargetPortal", "127.0.0.1", port, check=0)


def test_host_that_does_not_answer(make_service, make_peer):
    """A backlog that is full drops what comes, like a host that is dead."""
    service = make_service(QUICK)
    p = make_peer(peer.hang, listen=False)
    p.listener.listen(0)
    filling = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", p.port))
        filling.append(s)
    try:
        assert add(service, "127.0.0.1", p.port, 12) == CONNECTION_FAILED
    finally:
        for s in filling:
            s.close()


def test_name_that_does_not_resolve(service):
    assert add(service, "no-such-host.invalid", 3260, 60) in (DNS, HOST)


@pytest.mark.parametrize("serve,codes", (
    (peer.hang, (LOGIN_FAILED,)), (peer.close_at_once, (TRANSPORT, CONNECTION_FAILED)), (peer.http, (LOGIN_FAILED, TRANSPORT)),
    (peer.ssh, (LOGIN_FAILED,)), (peer.garbage, (LOGIN_FAILED,)), (peer.flood, (LOGIN_FAILED,)),
), ids=lambda x: getattr(x, "__name__", ""))  # fmt: skip
def test_what_listens_is_no_target(make_service, make_peer, serve, codes):
    service = make_service(QUICK)
    p = make_peer(serve)
    fds = service.fds()
    assert add(service, "127.0.0.1", p.port, 12) in codes
    assert service.cli("ListTargets", check=0).data == ["Targets List:"]
    assert service.cli("ListTargets", "T").last == "The operation was not successful for all initiators or discovery methods. "
    wait_for(lambda: service.fds() <= fds, 10, "the connections' descriptors")


STATUSES = {
    0x0200: "ISDSC_INITIATOR_ERROR", 0x0201: "ISDSC_AUTHENTICATION_FAILURE", 0x0202: "ISDSC_AUTHORIZATION_FAILURE",
    0x0203: "ISDSC_NOT_FOUND", 0x0204: "ISDSC_TARGET_REMOVED", 0x0205: "ISDSC_UNSUPPORTED_VERSION",
    0x0206: "ISDSC_TOO_MANY_CONNECTIONS", 0x0207: "ISDSC_MISSING_PARAMETER", 0x0208: "ISDSC_CANT_INCLUDE_IN_SESSION",
    0x0300: "ISDSC_TARGET_ERROR", 0x0301: "ISDSC_SERVICE_UNAVAILABLE", 0x0302: "ISDSC_OUT_OF_RESOURCES",
}  # fmt: skip


def test_every_login_status_has_its_code(service, make_peer):
    for status, name in STATUSES.items():
        p = make_peer(peer.login_refused(status))
        o = service.json("AddTargetPortal", "127.0.0.1", p.port)
        assert o["StatusName"] == name, (hex(status), o)
        service.cli("RemoveTargetPortal", "127.0.0.1", p.port, check=0)


def test_answers_of_sendtargets(service, make_peer):
    def names(text):
        p = make_peer(peer.discovery_answers(text))
        status = service.json("AddTargetPortal", "127.0.0.1", p.port)["Status"]
        service.cli("RemoveTargetPortal", "127.0.0.1", p.port, check=0)
        return status, [line.strip() for line in service.cli("ListTargets", check=0).data[1:]]

    assert names(b"") == (0, [])
    status, got = names(b"TargetName=iqn.2026-11.x:a\0TargetAddress=127.0.0.1:3260,1\0TargetName=IQN.2026-11.x:A\0TargetAddress=[::1]:3260,2\0")
    assert status == 0 and len(got) == 1
    assert names(b"TargetAddress=127.0.0.1:3260,1\0")[0] == BAD_TEXT
    assert names(b"rubbish without an equals sign\0")[0] == BAD_TEXT
    # a name that is none does not spoil the others
    status, got = names(b"TargetName=../../etc/passwd\0TargetAddress=127.0.0.1:3260,1\0TargetName=iqn.2026-11.x:b\0TargetAddress=127.0.0.1:3260,1\0")
    assert not any("passwd" in n for n in got)


def test_one_portal_of_several_does_not_answer(service, tgt):
    service.cli("AddTargetPortal", "127.0.0.1", free_port(), check=1)
    service.cli("AddTargetPortal", "127.0.0.1", tgt.port, check=0)
    o = service.json("ListTargets", "T")
    assert o["Status"] == NOT_ALL and [t["NodeAddress"] for t in o["Targets"]] == [tgt.name]
    assert service.json("ListTargets")["Status"] == 0


def test_other_calls_go_on_while_a_portal_hangs(make_service, make_peer):
    service = make_service("[session]\nlogin_timeout = 10\n")
    p = make_peer(peer.hang)
    t = threading.Thread(target=lambda: service.cli("AddTargetPortal", "127.0.0.1", p.port))
    t.start()
    wait_for(lambda: p.n_connections, 10, "the connection")
    service.cli("SessionList", check=0)
    service.cli("ListTargetPortals", check=0)
    assert t.is_alive()
    t.join(60)
    assert not t.is_alive()


def test_targets_and_portals_through_the_library(api, tgt):
    for form in (api.A, api.W):
        api.add_portal("127.0.0.1", tgt.port, form)
        assert api.targets(form=form) == [tgt.name]
        assert api.targets(force=True, form=form) == [tgt.name]
    api.remove_portal("127.0.0.1", tgt.port)
    with pytest.raises(api.Status) as e:
        api.remove_portal("127.0.0.1", tgt.port)
    assert e.value.code == api.STATUS["ISDSC_PORTAL_NOT_FOUND"]
    with pytest.raises(api.Status) as e:
        api.add_portal("127.0.0.1", free_port())
    assert e.value.code == CONNECTION_FAILED and e.value.detail
