# SPDX-License-Identifier: MIT
"""Logins that are kept: listed, removed, and carried out at the start."""
import os
import signal
import time

import pytest

from bed import Refused, wait_for
from peer import hang, login_refused
from test_scale import sanitized
from test_session import discover

ANY_PORT = 0xFFFFFFFF
TARGET_NOT_FOUND = 0xEFFF0029
FAST = "[session]\nretry_min = 100ms\nretry_max = 400ms\nconnect_timeout = 1s\nlogin_timeout = 2s\n"


def keep(service, name, portal=None, informational=False, options=None, instance=None, port=ANY_PORT, flags=0, key=None, mapping=None):
    r = service.varlink("Login", targetName=name, informational=informational, initiatorInstance=instance, initiatorPort=port,
                        portal=portal, securityFlags=flags, loginOptions=options, key=key, persistent=True, mapping=mapping)  # fmt: skip
    assert r == {"sessionId": "0-0", "connectionId": "0-0"}


def kept(service):
    return service.varlink("ListPersistentLogins")["logins"]


def remove(service, name, portal=None, instance=None, port=ANY_PORT):
    service.varlink("RemovePersistentLogin", initiatorInstance=instance, initiatorPort=port, targetName=name, portal=portal)


def at(port, host="127.0.0.1", label=""):
    return {"symbolicName": label, "address": host, "socket": port}


def restart(service, how=signal.SIGTERM):
    service.stop() if how == signal.SIGTERM else service.kill()
    service.start()


def targets_of_sessions(service):
    return sorted(s["targetName"] for s in service.sessions())


def lines(service, *words):
    return [line for line in service.log().splitlines() if all(w in line for w in words)]


def test_listed_as_stored(make_service, tgt):
    service = make_service("[service]\nkept_logins = no\n")
    discover(service, tgt)
    name = tgt.name.replace("whole", "WHOLE")
    options = {"informationSpecified": 0xFF, "loginFlags": 2, "authType": 1, "headerDigest": 1, "dataDigest": 0, "maximumConnections": 4,
               "defaultTime2Wait": 3, "defaultTime2Retain": 44, "username": "00ff41", "password": "414243444546474849505152"}  # fmt: skip
    mapping = {"initiatorName": "a", "targetName": "b", "osDeviceName": "\\\\.\\Scsi5:", "sessionId": "1f-2", "osBusNumber": 1,
               "osTargetNumber": ANY_PORT, "luns": [{"osLun": 7, "targetLun": "0001000000000000"}]}  # fmt: skip
    keep(service, name, at(3260, "ARRAY.example", "a label"), True, options, "root\\iscsiprt\\0000_0", 5, 0x22, "6b6579", mapping)
    keep(service, tgt.name)
    shown = {k: v for k, v in options.items() if k != "password"}
    expected = [
        {"targetName": name, "informational": True, "initiatorInstance": "Root\\ISCSIPRT\\0000_0", "initiatorPort": 5,
         "portal": at(3260, "ARRAY.example", "a label"), "securityFlags": 0x22, "mapping": mapping, "loginOptions": shown},
        {"targetName": tgt.name, "informational": False, "initiatorInstance": "", "initiatorPort": ANY_PORT, "portal": None,
         "securityFlags": 0, "mapping": None, "loginOptions": None}]  # fmt: skip
    assert kept(service) == expected
    for how in (signal.SIGTERM, signal.SIGKILL):
        restart(service, how)
        assert kept(service) == expected and service.sessions() == []
    assert "414243444546" not in service.log() and "6b6579" not in service.log()


def test_removal_takes_every_match(make_service, tgt):
    service = make_service("[service]\nkept_logins = no\n")
    discover(service, tgt)
    multipath = {"informationSpecified": 0, "loginFlags": 2}
    keep(service, tgt.name, at(3260, "one.example"), options=multipath)
    keep(service, tgt.name, at(3260, "one.example"), options=multipath)
    keep(service, tgt.name, at(3261, "one.example"))
    keep(service, tgt.name, port=4)
    assert len(kept(service)) == 4
    for wrong in (dict(portal=at(3262, "one.example")), dict(port=9), dict(portal=at(3260, "one.example"), port=4)):
        with pytest.raises(Refused) as e:
            remove(service, tgt.name, **wrong)
        assert e.value.code == TARGET_NOT_FOUND
    remove(service, tgt.name.upper(), at(3260, "ONE.example"))
    assert [x["portal"] and x["portal"]["socket"] for x in kept(service)] == [3261, None]
    # an empty portal is every portal, an empty instance every instance
    remove(service, tgt.name, {"symbolicName": "", "address": "", "socket": 0}, "")
    assert kept(service) == []
    with pytest.raises(Refused) as e:
        remove(service, tgt.name)
    assert e.value.code == TARGET_NOT_FOUND
    restart(service)
    assert kept(service) == []


def test_an_entry_that_was_listed_removes_itself(service, tgt):
    discover(service, tgt)
    keep(service, tgt.name, at(tgt.port))
    keep(service, tgt.name, informational=True)
    session = service.login(tgt.name)
    for e in kept(service):
        remove(service, e["targetName"], e["portal"], e["initiatorInstance"], e["initiatorPort"])
        break
    assert [e["informational"] for e in kept(service)] == [True]
    # the session has nothing to do with it
    assert [s["id"] for s in service.sessions()] == [session]
    service.logout(session)


def test_who_may_only_read_removes_nothing(service, tgt):
    discover(service, tgt)
    keep(service, tgt.name)
    os.chmod(service.directory, 0o755)
    os.chmod(service.socket, 0o666)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            assert len(kept(service)) == 1
            remove(service, tgt.name)
        except Refused as e:
            code = 0 if e.code == 5 else 2
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert len(kept(service)) == 1


@pytest.mark.parametrize("how", (signal.SIGTERM, signal.SIGKILL))
def test_carried_out_at_the_start(make_service, make_tgt, how):
    tgt = make_tgt()
    names = [tgt.target("iqn.2026-11.test.whole:p%d" % i, tid=i) for i in (1, 2)]
    for i in (1, 2):
        tgt.lun(1, tid=i, mb=4)
    service = make_service(FAST)
    discover(service, tgt)
    keep(service, names[0], at(tgt.port))
    keep(service, names[1], informational=True)
    assert service.sessions() == []
    for _ in range(2):
        restart(service, how)
        wait_for(lambda: targets_of_sessions(service) == names, 20, service.log)
        assert {s["targetName"]: s["informational"] for s in service.sessions()} == {names[0]: False, names[1]: True}
        assert service.device(next(s["id"] for s in service.sessions() if not s["informational"]))
        assert len(kept(service)) == 2


def test_the_target_comes_later(make_service, tgt):
    service = make_service(FAST)
    discover(service, tgt)
    keep(service, tgt.name, at(tgt.port))
    service.stop()
    tgt.kill()
    service.start()
    # the service answers all the same, and says once what is in the way
    said = wait_for(lambda: lines(service, "stored login", tgt.name, "tried again"), 20, service.log)
    assert len(said) == 1 and service.sessions() == []
    time_to_fail_often = time.monotonic() + 2
    wait_for(lambda: time.monotonic() > time_to_fail_often, 5, "time")
    assert lines(service, "stored login", tgt.name) == said
    tgt.restart()
    wait_for(lambda: targets_of_sessions(service) == [tgt.name], 20, service.log)
    wait_for(lambda: lines(service, "stored login", tgt.name, "carried out after all"), 5, service.log)
    # tgt listens some time before it has its target again: that is another reason, and told once
    told = [line.partition(tgt.name)[2] for line in lines(service, "stored login", tgt.name)]
    assert len(told) == len(set(told)) <= 3, told
    assert len(lines(service, "stored login", tgt.name, "tried again")) == len(told) - 1


def test_removal_ends_the_tries(make_service, make_peer, tgt):
    service = make_service(FAST)
    discover(service, tgt)
    peer = make_peer(login_refused(0x0201))
    keep(service, tgt.name, at(peer.port))
    restart(service)
    wait_for(lambda: peer.n_connections >= 3, 20, service.log)
    assert lines(service, "stored login", tgt.name, "CHAP"), service.log()
    remove(service, tgt.name)
    # one may be under way; when it is over there are no more
    wait_for(lambda: not peer.open, 10, service.log)
    n = peer.n_connections
    time_for_others = time.monotonic() + 1.5
    wait_for(lambda: time.monotonic() > time_for_others, 5, "time")
    assert peer.n_connections <= n + 1
    assert len(lines(service, "stored login", tgt.name)) == 1


def test_removal_while_the_target_says_nothing(make_service, make_peer, tgt):
    service = make_service(FAST)
    discover(service, tgt)
    peer = make_peer(hang)
    keep(service, tgt.name, at(peer.port))
    restart(service)
    wait_for(lambda: peer.n_connections == 1, 20, service.log)
    remove(service, tgt.name)
    wait_for(lambda: not peer.open, 20, service.log)
    assert lines(service, "stored login") == []


def test_stored_anew_with_what_was_wrong(make_service, tgt):
    """The password is mended while the login is being tried."""
    tgt.admin("--lld", "iscsi", "--op", "new", "--mode", "account", "--user", "alice", "--password", "correct-horse1")
    tgt.admin("--lld", "iscsi", "--op", "bind", "--mode", "account", "--tid", "1", "--user", "alice")
    service = make_service(FAST)
    discover(service, tgt)
    options = {"informationSpecified": 0xE0, "loginFlags": 0, "authType": 1, "username": b"alice".hex(), "password": b"wrong-battery2".hex()}
    keep(service, tgt.name, at(tgt.port), options=options)
    restart(service)
    wait_for(lambda: lines(service, "stored login", tgt.name), 20, service.log)
    assert service.sessions() == []
    if "cannot" in lines(service, "stored login")[0] or "not tried again" in lines(service, "stored login")[0]:
        pytest.skip("this version does not do CHAP")
    keep(service, tgt.name, at(tgt.port), options={**options, "password": b"correct-horse1".hex()})
    wait_for(lambda: targets_of_sessions(service) == [tgt.name], 20, service.log)
    assert "horse" not in service.log() and "battery" not in service.log()


def test_one_that_hangs_is_not_in_the_way_of_others(make_service, make_peer, tgt):
    service = make_service(FAST)
    slow = tgt.target("iqn.2026-11.test.whole:slow", tid=2)
    discover(service, tgt)
    peer = make_peer(hang)
    for i in range(1, 40):
        keep(service, slow, at(peer.port), informational=True, port=i)
    keep(service, tgt.name, at(tgt.port))
    restart(service)
    wait_for(lambda: targets_of_sessions(service) == [tgt.name], 20, service.log)
    wait_for(lambda: peer.n_connections >= 39, 20, service.log)
    service.stop(30)
    service.start()


def test_fifty_at_the_start(make_service, make_tgt):
    n = 50
    tgt = make_tgt()
    names = [tgt.target("iqn.2026-11.test.whole:f%02d" % i, tid=i) for i in range(1, n + 1)]
    for i in range(1, n + 1):
        tgt.lun(1, tid=i, store="null")
    service = make_service(FAST)
    discover(service, tgt)
    for i, name in enumerate(names):
        keep(service, name, at(tgt.port) if i % 2 else None, informational=i % 5 == 0)
    service.stop()
    service.start()
    assert service.threads() < 120
    wait_for(lambda: targets_of_sessions(service) == names, 60, service.log)
    assert lines(service, "stored login") == []
    wait_for(lambda: len([d for d in service.devices() if d["legacyName"]]) == 40, 60, service.log)


def test_kept_logins_off(make_service, tgt):
    service = make_service("[service]\nkept_logins = no\n")
    discover(service, tgt)
    keep(service, tgt.name, at(tgt.port))
    restart(service)
    assert len(kept(service)) == 1
    remove(service, tgt.name)
    assert kept(service) == [] and service.sessions() == [] and tgt.sessions() == 0


def set_much(service, tgt):
    """Something of all that is kept."""
    static = "iqn.2026-11.test.whole:static"
    options = {"informationSpecified": 0xFF, "loginFlags": 2, "authType": 1, "headerDigest": 1, "dataDigest": 1, "maximumConnections": 9,
               "defaultTime2Wait": 5, "defaultTime2Retain": 66, "username": "c3a9ff00", "password": "41" * 12}  # fmt: skip
    mapping = {"initiatorName": "", "targetName": "", "osDeviceName": "", "sessionId": "0-0", "osBusNumber": 2, "osTargetNumber": 3,
               "luns": [{"osLun": i, "targetLun": "%04x000000000000" % i} for i in range(1, 9)]}  # fmt: skip
    call = service.varlink
    call("SetNodeName", name="iqn.2026-11.test.whole:us")
    call("AddStaticTarget", targetName=static, targetAlias="\u00e9n alias", targetFlags=4, persist=True, mapping=mapping, loginOptions=options,
         portalGroup=[at(3260, "one.example", "a label"), at(3261, "2001:db8::1")])  # fmt: skip
    for i, host in enumerate(("127.0.0.1", "127.0.0.2", "127.0.0.1")):
        try:
            call("AddSendTargetPortal", initiatorInstance=None if i < 2 else "Root\\ISCSIPRT\\0000_0", initiatorPort=ANY_PORT if i < 2 else 1,
                 loginOptions={"informationSpecified": 0x0F, "loginFlags": 0, "headerDigest": 0, "dataDigest": 0, "maximumConnections": 1,
                               "defaultTime2Wait": i} if i else None,
                 securityFlags=0x20 * i, portal=at(tgt.port, host, "label %d \U0001f4be" % i))  # fmt: skip
        except Refused:
            # nothing listens there; it is kept all the same
            assert host == "127.0.0.2"
    for bits in range(8):
        keep(service, tgt.name, at(3260, "host-%d.example" % bits), bits & 1 == 1, {**options, "informationSpecified": 0x11 << bits & 0xFF},
             key="6b6579%02x" % bits, flags=bits << 2, mapping=mapping if bits & 2 else None)  # fmt: skip
    keep(service, static)
    keep(service, tgt.name, at(tgt.port))
    for method, address in (("AddRadiusServer", "192.0.2.5"), ("AddRadiusServer", "radius.example"), ("AddIsnsServer", "192.0.2.6")):
        try:
            call(method, address=address)
        except Refused:
            pass
    call("SetIkeInfo", initiatorInstance=None, initiatorPort=ANY_PORT, authMethod=1, identity={"idType": 2, "id": "686f7374"}, securityFlags=3,
         key="abcd", persist=True)  # fmt: skip
    call("SetChapSecret", secret="42" * 14)
    session = service.login_at(tgt.name, tgt.port)
    device = service.device(session)
    call("BindPersistentDevices")
    service.logout(session)
    return static, device


def test_everything_survives(make_service, tgt, monkeypatch):
    """To the byte: what every report call fills in, after an end and after a crash."""
    service = make_service("[service]\nkept_logins = no\n")
    monkeypatch.setenv("ISCSIDSC_SOCKET", service.socket)
    from many import Reports
    from winapi import A, W

    static, _ = set_much(service, tgt)

    def all_of():
        found = {}
        for form in (A, W):
            r = Reports(form, tgt.name)
            found.update({name + form.letter: data for name, data in r.bytes().items()})
            found.update({"%d%s" % (k, form.letter): data for k, data in r.information(static, (0, 1, 2, 3, 4, 5, 6, 7)).items()})
        found["kept"] = kept(service)
        found["bound"] = service.varlink("ListPersistentDevices")
        found["node"] = service.varlink("GetNodeName")
        found["ike"] = service.varlink("GetIkeInfo", initiatorInstance=None, initiatorPort=ANY_PORT, authMethod=1,
                                       identity={"idType": 2, "id": "686f7374"})  # fmt: skip
        return found

    before = all_of()
    assert len(before["kept"]) == 10 and before["ReportIScsiPersistentLoginsW"] and len(before["bound"]["paths"]) == 1
    assert all(before["%d%s" % (k, x)] for k in range(8) for x in "AW"), before

    def differences():
        now = all_of()
        return [k for k in before if now.get(k) != before[k]]

    for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        restart(service, how)
        # the portals are asked again meanwhile
        wait_for(lambda: not differences(), 20, lambda: "%s\n%s" % (differences(), service.log()))


@pytest.mark.slow
def test_a_thousand_portals_with_a_hundred_targets(make_service, tgt, monkeypatch):
    very_many(make_service, tgt, monkeypatch, 1000, 100, 500)


def test_a_hundred_portals_with_a_hundred_targets(make_service, tgt, monkeypatch):
    very_many(make_service, tgt, monkeypatch, 100, 100, 100)


def very_many(make_service, tgt, monkeypatch, n_portals, n_targets, n_logins):
    """No report call takes a second."""
    service = make_service("[session]\nqueue_depth = 8\n")
    monkeypatch.setenv("ISCSIDSC_SOCKET", service.socket)
    import many
    from bed import Varlink
    from winapi import A, W

    portals = many.Portals(n_portals, n_targets)
    try:
        discover(service, tgt)
        with Varlink(service.socket, 60) as v:
            for address in portals.addresses:
                v.call("AddSendTargetPortal", initiatorInstance=None, initiatorPort=ANY_PORT, loginOptions=None, securityFlags=0,
                       portal=at(portals.port, address))  # fmt: skip
            for i in range(n_logins):
                many.keep_login(service, v, tgt.name, i, portal=at(tgt.port))
        restart(service)
        n = 1 + n_portals * n_targets
        wait_for(lambda: len(service.varlink("ListTargets", forceUpdate=False)["targets"]) == n, 120, service.log)
        wait_for(lambda: len(service.sessions()) == n_logins, 120, service.log)
        for form in (A, W):
            r = many.Reports(form, portals.names(portals.addresses[-1])[0])
            for name, call in r.all().items():
                fastest = min(seconds_of(lambda: r.run(*call)) for _ in range(3))
                assert fastest < (10 if sanitized() else 1), (name, fastest)
        # what a target costs, and a session
        if not sanitized():
            assert service.rss_kib() < 16384 + n * 2 + n_logins * 512
    finally:
        service.stop(120)
        portals.close()


def seconds_of(call):
    begin = time.monotonic()
    call()
    return time.monotonic() - begin
