# SPDX-License-Identifier: MIT
"""Targets: entered by hand, known by several mechanisms, logged in to as their entry says."""
import json
import os
import socket

import pytest

import peer
from bed import Refused, free_port, wait_for

NAME = "iqn.2026-11.test.whole:disk"
HIDE, MERGE = 2, 4
MULTIPATH, HOPPING = 2, 8
FAST = "[session]\nretry_min = 100ms\nretry_max = 500ms\nconnect_timeout = 2\n"
ANY = 0xFFFFFFFF
STATIC = "Static:*"
TARGET_NOT_FOUND, NO_MECHANISM, MAPPING_UNAVAILABLE, NO_PORTAL = 0xEFFF0029, 0xEFFF0045, 0xEFFF0020, 0xEFFF003C


def portal(port, address="127.0.0.1", symbolic=""):
    return {"symbolicName": symbolic, "address": address, "socket": port}


def enter(service, name=NAME, flags=0, persist=False, **more):
    service.varlink("AddStaticTarget", targetName=name, targetFlags=flags, persist=persist, **more)


def targets(service, force=False):
    return service.varlink("ListTargets", forceUpdate=force)["targets"]


def discover(service, port):
    service.varlink("AddSendTargetPortal", initiatorPort=ANY, securityFlags=0, portal=portal(port))


def sendtargets(port):
    return "SendTargets:*127.0.0.1 %07d Root\\ISCSIPRT\\0000_0 " % port


def mechanisms(service, name=NAME):
    return service.varlink("ListDiscoveryMechanisms", targetName=name)["mechanisms"]


def information(service, mechanism=STATIC, name=NAME):
    return service.varlink("GetTargetInformation", targetName=name, discoveryMechanism=mechanism)["information"]


def refused(service, code, method, **parameters):
    with pytest.raises(Refused) as e:
        service.varlink(method, **parameters)
    assert e.value.code == code, e.value


def restart(service):
    assert service.stop() == 0, service.log()
    service.start()


# ---- the list ------------------------------------------------------------


def test_added_reported_removed(service):
    refused(service, TARGET_NOT_FOUND, "RemoveStaticTarget", targetName=NAME)
    refused(service, TARGET_NOT_FOUND, "ListDiscoveryMechanisms", targetName=NAME)
    enter(service)
    assert targets(service) == [NAME]
    assert mechanisms(service, NAME.upper()) == [STATIC]
    assert information(service) == {
        "protocolType": 0, "targetAlias": "", "portalGroups": [], "initiatorName": "Root\\ISCSIPRT\\0000_0",
        "targetFlags": 0, "mapping": None, "loginOptions": None,
    }  # fmt: skip
    refused(service, NO_MECHANISM, "GetTargetInformation", targetName=NAME, discoveryMechanism="Static:")
    refused(service, TARGET_NOT_FOUND, "GetTargetInformation", targetName=NAME + "x", discoveryMechanism=STATIC)
    assert service.varlink("ListTargetPortals", targetName=NAME)["portals"] == []
    # a full refresh is about discovery
    assert targets(service, force=True) == [NAME]
    service.varlink("RemoveStaticTarget", targetName=NAME.upper())
    assert targets(service) == []


def test_what_cannot_be_a_target(service):
    full = dict(targetName=NAME, targetFlags=0, persist=False)
    with pytest.raises(Refused) as e:
        service.varlink("AddStaticTarget", **{**full, "targetName": "no name"})
    assert e.value.parameters["name"] == "ISDSC_INVALID_ISCSI_NAME"
    for wrong in (
        {"targetFlags": 1}, {"targetFlags": 8}, {"targetAlias": "x" * 256}, {"targetAlias": "\u20ac" * 256}, {"persist": None},
        {"portalGroup": [portal(0)]}, {"portalGroup": [portal(3260, "a b")]}, {"portalGroup": {}},
        {"portalGroup": [portal(3260)] * 1025}, {"mapping": {"osBusNumber": 0}}, {"loginOptions": []},
    ):  # fmt: skip
        refused(service, 87, "AddStaticTarget", **{**full, **wrong})
    assert targets(service) == []


FULL = {
    "targetAlias": "Ein Alias, größer als man denkt",
    "mapping": {
        "initiatorName": "an HBA", "targetName": "", "osDeviceName": "\\\\.\\Scsi5:", "sessionId": "0-0",
        "osBusNumber": ANY, "osTargetNumber": 7,
        "luns": [{"osLun": 3, "targetLun": "0001000000000000"}, {"osLun": ANY, "targetLun": "ffffffffffffffff"}],
    },
    "loginOptions": {"informationSpecified": 0x6B, "loginFlags": 0x0A, "headerDigest": 1, "dataDigest": 0,
                     "defaultTime2Wait": 3, "username": "00ff", "password": "73656372657420666f722074"},
    "portalGroup": [portal(3260, "192.0.2.1", "first"), portal(65535, "target.invalid", "second")],
}  # fmt: skip


def told(full):
    """What is reported of it: everything but the secret."""
    options = {k: v for k, v in full["loginOptions"].items() if k != "password"}
    return {
        "protocolType": 0, "targetAlias": full["targetAlias"], "portalGroups": [{"tag": 1, "portals": full["portalGroup"]}],
        "initiatorName": "Root\\ISCSIPRT\\0000_0", "targetFlags": HIDE, "mapping": full["mapping"], "loginOptions": options,
    }  # fmt: skip


def test_restart_keeps_it_to_the_byte(service):
    enter(service, persist=True, flags=HIDE, **FULL)
    enter(service, "iqn.2026-11.test.whole:passing")
    assert information(service) == told(FULL)
    before = json.dumps(information(service))
    restart(service)
    assert json.dumps(information(service)) == before
    refused(service, TARGET_NOT_FOUND, "GetTargetInformation", targetName="iqn.2026-11.test.whole:passing", discoveryMechanism=STATIC)
    assert "secret for" not in service.log()
    # entered again without persist: the one that was stored is gone, too
    enter(service)
    assert information(service)["mapping"] is None
    restart(service)
    assert targets(service) == []


def test_removed_is_removed_from_the_store(service):
    enter(service, persist=True, **FULL)
    service.varlink("RemoveStaticTarget", targetName=NAME)
    restart(service)
    assert targets(service) == []
    with open(os.path.join(service.state, "state.db"), "rb") as f:
        assert b"secret for" not in f.read()


def test_alias_is_measured_in_characters(service):
    enter(service, targetAlias="\u20ac" * 255)
    assert information(service)["targetAlias"] == "\u20ac" * 255


def test_merge(service):
    enter(service, persist=True, **FULL)
    more = [portal(3261, "192.0.2.9"), portal(3260, "192.0.2.1", "again")]
    enter(service, flags=MERGE, targetAlias="another", portalGroup=more)
    want = told(FULL)
    want.update(targetAlias="another", targetFlags=MERGE, portalGroups=want["portalGroups"] + [{"tag": 2, "portals": more[:1]}])
    assert information(service) == want
    restart(service)
    assert information(service) == want
    # without the flag all of it is replaced
    enter(service, persist=True)
    assert information(service)["portalGroups"] == [] and information(service)["targetAlias"] == ""
    # merged with nothing
    enter(service, "iqn.2026-11.test.whole:new", flags=MERGE, targetAlias="x")
    assert information(service, name="iqn.2026-11.test.whole:new")["targetAlias"] == "x"


def test_hidden_until_discovered(service, tgt):
    enter(service, flags=HIDE, targetAlias="hidden one")
    assert targets(service) == []
    assert mechanisms(service) == [STATIC]
    discover(service, tgt.port)
    assert targets(service) == [NAME]
    service.varlink("RemoveSendTargetPortal", initiatorPort=ANY, portal=portal(tgt.port))
    assert targets(service, force=True) == []


def test_instance_of_each_mechanism(service, tgt, make_tgt):
    other = make_tgt()
    other.target(NAME)
    enter(service, NAME.upper(), targetAlias="by hand", portalGroup=[portal(tgt.port, symbolic="mine")])
    discover(service, tgt.port)
    discover(service, other.port)
    # as the target spells itself, once
    assert targets(service) == [NAME]
    assert mechanisms(service) == [STATIC, sendtargets(tgt.port), sendtargets(other.port)]
    i = information(service, sendtargets(other.port))
    assert i["targetAlias"] == "" and i["targetFlags"] == 0 and i["mapping"] is None and i["loginOptions"] is None
    assert i["portalGroups"] == [{"tag": 1, "portals": [portal(other.port)]}]
    # a portal is told once, however many mechanisms have it
    want = [{"portal": portal(tgt.port, symbolic="mine"), "portalGroup": 1}, {"portal": portal(other.port), "portalGroup": 1}]
    assert service.varlink("ListTargetPortals", targetName=NAME)["portals"] == want
    service.varlink("RemoveStaticTarget", targetName=NAME)
    assert mechanisms(service) == [sendtargets(tgt.port), sendtargets(other.port)]
    assert targets(service) == [NAME]


# ---- logging in ------------------------------------------------------------


def login(service, name=NAME, informational=False, **more):
    return service.varlink("Login", targetName=name, informational=informational, initiatorPort=ANY, securityFlags=0,
                           **{"persistent": False, **more})["sessionId"]  # fmt: skip


def options(flags=0, **more):
    return {"informationSpecified": 0, "loginFlags": flags, **more}


def logout(service, session):
    service.logout(session)


def second_portal(tgt):
    port = free_port()
    tgt.admin("--op", "new", "--mode", "portal", "--param", "portal=127.0.0.1:%d" % port)
    return port


def drop_portal(tgt, port):
    """Nobody listens there any more, and who is connected is cut off."""
    tgt.admin("--op", "delete", "--mode", "portal", "--param", "portal=127.0.0.1:%d" % port)


def cut_off(tgt):
    """Every connection of the first target."""
    out = tgt.admin("--lld", "iscsi", "--op", "show", "--mode", "conn", "--tid", "1").out
    sid = None
    for line in out.splitlines():
        word = line.split()
        if word[:1] == ["Session:"]:
            sid = word[1]
        elif word[:1] == ["Connection:"]:
            tgt.admin("--lld", "iscsi", "--op", "delete", "--mode", "conn", "--tid", "1", "--sid", sid, "--cid", word[1])


def connected_to(service):
    return [c["targetSocket"] for s in service.sessions() for c in s["connections"]]


def test_static_without_portal_and_login_with_one(service, tgt):
    refused(service, TARGET_NOT_FOUND, "Login", targetName=NAME, informational=True, initiatorPort=ANY, securityFlags=0,
            persistent=False, portal=portal(tgt.port))  # fmt: skip
    enter(service)
    refused(service, NO_PORTAL, "Login", targetName=NAME, informational=False, initiatorPort=ANY, securityFlags=0, persistent=False)
    session = login(service, portal=portal(tgt.port, symbolic="x"))
    assert service.device(session)
    # the session stays when the entry goes
    service.varlink("RemoveStaticTarget", targetName=NAME)
    assert len(service.sessions()) == 1 and targets(service) == []
    logout(service, session)


def test_static_with_a_wrong_portal(make_service, tgt):
    service = make_service(FAST)
    nobody = free_port()
    enter(service, portalGroup=[portal(nobody)])
    with pytest.raises(Refused) as e:
        login(service)
    assert e.value.parameters["name"] == "ISDSC_CONNECTION_FAILED"
    # the right one beside it, by MERGE: both are tried
    enter(service, flags=MERGE, portalGroup=[portal(tgt.port)])
    session = login(service)
    assert connected_to(service) == [tgt.port]
    logout(service, session)


def test_stored_options_are_used_and_given_ones_win(service, tgt):
    def digests():
        p = service.varlink("ListSessionParameters")["sessions"][-1]["connections"][0]
        return p["headerDigest"], p["dataDigest"]

    tgt.setting("HeaderDigest", "CRC32C,None")
    tgt.setting("DataDigest", "CRC32C,None")
    stored = {"informationSpecified": 3, "loginFlags": MULTIPATH, "headerDigest": 1, "dataDigest": 1}
    enter(service, loginOptions=stored, portalGroup=[portal(tgt.port)])
    session = login(service)
    assert digests() == (1, 1)
    # a structure of zeroes is as good as none; and the stored flag lets a second session in
    other = login(service, loginOptions=options())
    assert digests() == (1, 1)
    logout(service, other)
    other = login(service, loginOptions={"informationSpecified": 1, "loginFlags": MULTIPATH, "headerDigest": 0})
    assert digests()[0] == 0
    logout(service, other)
    logout(service, session)


def test_stored_secret_is_used_after_a_restart(service, tgt):
    secret = b"correct-horse-1"
    tgt.do("--op", "new", "--mode", "account", "--user", "alice", "--password", secret.decode())
    tgt.do("--op", "bind", "--mode", "account", "--tid", "1", "--user", "alice")
    chap = {"informationSpecified": 0xE0, "loginFlags": 0, "authType": 1, "username": b"alice".hex()}
    enter(service, persist=True, portalGroup=[portal(tgt.port)])
    with pytest.raises(Refused) as e:
        login(service)
    assert e.value.parameters["name"] == "ISDSC_AUTHENTICATION_FAILURE"
    enter(service, flags=MERGE, loginOptions={**chap, "password": secret.hex()})
    restart(service)
    assert information(service)["loginOptions"] == chap
    session = login(service)
    assert service.varlink("ListSessionParameters")["sessions"][0]["connections"][0]["authType"] == 1
    logout(service, session)
    assert secret.decode() not in service.log()


def test_hidden_options_count_for_a_discovered_target(service, tgt):
    tgt.setting("HeaderDigest", "CRC32C,None")
    enter(service, flags=HIDE, loginOptions={"informationSpecified": 1, "loginFlags": 0, "headerDigest": 1})
    discover(service, tgt.port)
    session = login(service)
    assert service.varlink("ListSessionParameters")["sessions"][0]["connections"][0]["headerDigest"] == 1
    logout(service, session)


def test_alias_is_learnt_at_the_login(service, make_peer):
    def serve(connection):
        request, _ = peer.read_pdu(connection)
        text = b"TargetAlias=a disk in the cellar\0TargetPortalGroupTag=1\0"
        if request[1] & 0x80 and request[1] & 3 == 3:
            connection.sendall(peer.login_response(request, text))
        else:
            connection.sendall(peer.login_response(request, text))
            request, _ = peer.read_pdu(connection)
            connection.sendall(peer.login_response(request, stat_sn=1))
        peer.hang(connection)

    target = make_peer(serve)
    portals = make_peer(peer.discovery_answers(b"TargetName=%s\0TargetAddress=127.0.0.1:%d,1\0" % (NAME.encode(), target.port)))
    discover(service, portals.port)
    assert information(service, sendtargets(portals.port))["targetAlias"] == ""
    session = login(service, informational=True)
    assert information(service, sendtargets(portals.port))["targetAlias"] == "a disk in the cellar"
    target.close()
    service.varlink("Logout", sessionId=session)
    assert information(service, sendtargets(portals.port))["targetAlias"] == "a disk in the cellar"


# ---- portals that die --------------------------------------------------------


@pytest.mark.parametrize("hopping", (False, True))
def test_given_portal_is_dead_at_login(make_service, tgt, hopping):
    service = make_service(FAST)
    discover(service, tgt.port)
    more = dict(portal=portal(free_port()), loginOptions=options(HOPPING if hopping else 0))
    if not hopping:
        with pytest.raises(Refused) as e:
            login(service, **more)
        assert e.value.parameters["name"] == "ISDSC_CONNECTION_FAILED"
        return
    session = login(service, **more)
    assert connected_to(service) == [tgt.port]
    logout(service, session)


def test_every_portal_has_its_turn_before_the_login_is_late(make_service, make_peer, tgt):
    """Hosts that do not answer at all, and take their whole time."""
    service = make_service("[session]\nlogin_timeout = 4\nconnect_timeout = 3\n")
    silent, filling = [make_peer(peer.hang, listen=False) for _ in range(3)], []
    for p in silent:
        p.listener.listen(0)
        for _ in range(4):
            s = socket.socket()
            filling.append(s)
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", p.port))
    try:
        enter(service, portalGroup=[portal(p.port) for p in silent] + [portal(tgt.port)])
        session = login(service)
        assert connected_to(service) == [tgt.port]
        logout(service, session)
    finally:
        for s in filling:
            s.close()


def test_hopping_when_the_portal_dies_under_the_session(make_service, tgt):
    service = make_service(FAST)
    second = second_portal(tgt)
    discover(service, second)
    enter(service)
    stays = login(service, informational=True, portal=portal(tgt.port))
    hops = login(service, portal=portal(tgt.port), loginOptions=options(HOPPING))
    assert connected_to(service) == [tgt.port, tgt.port]
    drop_portal(tgt, tgt.port)
    cut_off(tgt)

    def state(session):
        return next(s for s in service.sessions() if s["id"] == session)

    wait_for(lambda: state(hops)["state"] == "up" and connected_to(service) == [second], 20, "the second portal: " + service.log())
    assert state(stays)["state"] == "down"
    assert service.device(hops)
    logout(service, hops)
    service.varlink("Logout", sessionId=stays)


def test_session_comes_back_to_where_it_was(make_service, tgt):
    """Not to the portal that was the first to be tried, and may be of another group."""
    service = make_service(FAST)
    first = free_port()
    enter(service, portalGroup=[portal(first), portal(tgt.port, symbolic="here")])
    session = login(service)
    assert connected_to(service) == [tgt.port]
    assert service.sessions()[0]["portal"] == portal(tgt.port, symbolic="here")
    tgt.admin("--op", "new", "--mode", "portal", "--param", "portal=127.0.0.1:%d" % first)
    cut_off(tgt)
    wait_for(lambda: "logged in again" in service.log(), 20, "the session's return")
    assert connected_to(service) == [tgt.port]
    logout(service, session)


def test_portals_learnt_later_are_tried_too(make_service, tgt):
    service = make_service(FAST)
    second = second_portal(tgt)
    discover(service, tgt.port)
    session = login(service)
    given = login(service, portal=portal(tgt.port), informational=True, loginOptions=options(MULTIPATH))
    assert connected_to(service) == [tgt.port, tgt.port]
    # one is discovered, one entered by hand; nobody listens at the latter
    discover(service, second)
    enter(service, portalGroup=[portal(free_port())])
    assert connected_to(service) == [tgt.port, tgt.port]
    drop_portal(tgt, tgt.port)
    cut_off(tgt)
    wait_for(lambda: connected_to(service) == [second], 20, "the second portal: " + service.log())
    # what is not changed by a refresh is not told to anybody
    n = service.log().count("have changed")
    assert n == 2
    service.varlink("RefreshSendTargetPortal", initiatorPort=ANY, portal=portal(second))
    assert service.log().count("have changed") == n
    logout(service, session)
    service.varlink("Logout", sessionId=given)


# ---- mappings ------------------------------------------------------------------


def lun(number):
    return "%016x" % (number << 48)


def wanted(bus=ANY, target=ANY, luns=()):
    names = {"initiatorName": "", "targetName": "", "osDeviceName": "", "sessionId": "0-0"}
    return {**names, "osBusNumber": bus, "osTargetNumber": target, "luns": [{"osLun": o, "targetLun": lun(t)} for o, t in luns]}


def in_force(service):
    return service.varlink("ListMappings")["mappings"]


@pytest.fixture
def three(make_tgt):
    """A target with three disks."""
    t = make_tgt()
    t.target(NAME)
    for n in (1, 2, 3):
        t.lun(n)
    return t


def test_two_of_three_units_with_numbers_of_their_own(service, three):
    discover(service, three.port)
    session = login(service, mapping=wanted(2, 9, ((70, 3), (0, 1))))
    devices = service.devices(session)
    assert [(d["lun"], d["scsiPort"], d["scsiBus"], d["scsiTarget"], d["scsiLun"]) for d in devices] == [(lun(1), 0, 2, 9, 0), (lun(3), 0, 2, 9, 70)]
    assert all(d["legacyName"] for d in devices)
    assert in_force(service) == [{
        "initiatorName": "Root\\ISCSIPRT\\0000_0", "targetName": NAME, "osDeviceName": "\\\\.\\Scsi0:", "sessionId": session,
        "osBusNumber": 2, "osTargetNumber": 9, "luns": [{"osLun": 0, "targetLun": lun(1)}, {"osLun": 70, "targetLun": lun(3)}],
    }]  # fmt: skip
    # looking again does not bring the third: what comes next to the target is on the list or not, too
    three.lun(4)
    service.varlink("ScsiInquiry", sessionId=session, lun=lun(1), evpdCmddt=0, pageCode=0, allocationLength=36)
    other = login(service, loginOptions=options(MULTIPATH), mapping=wanted(luns=((4, 4), (1, 1))))
    assert [d["lun"] for d in service.devices(other)] == [lun(1), lun(4)]
    assert len(service.devices(session)) == 2
    logout(service, other)
    logout(service, session)
    assert in_force(service) == []


def test_numbers_without_a_mapping(service, three):
    discover(service, three.port)
    first = login(service)
    second = login(service, loginOptions=options(MULTIPATH))
    third = login(service, informational=True, loginOptions=options(MULTIPATH))
    assert [(m["sessionId"], m["osBusNumber"], m["osTargetNumber"]) for m in in_force(service)] == [(first, 0, 0), (second, 0, 1)]
    assert [u["osLun"] for u in in_force(service)[0]["luns"]] == [1, 2, 3]
    assert [(d["scsiBus"], d["scsiTarget"], d["scsiLun"]) for d in service.devices(second)] == [(0, 1, n) for n in (1, 2, 3)]
    logout(service, first)
    # the number that became free is given out again
    fourth = login(service, loginOptions=options(MULTIPATH))
    assert [(m["sessionId"], m["osTargetNumber"]) for m in in_force(service)] == [(second, 1), (fourth, 0)]
    for session in (second, third, fourth):
        logout(service, session)


def test_numbers_of_another_session_are_refused(service, three):
    discover(service, three.port)
    first = login(service, mapping=wanted(1, 4))
    more = dict(targetName=NAME, initiatorPort=ANY, securityFlags=0, persistent=False, loginOptions=options(MULTIPATH))
    refused(service, MAPPING_UNAVAILABLE, "Login", informational=False, mapping=wanted(1, 4), **more)
    assert len(service.sessions()) == 1
    # one number open: it finds a free one beside the other
    second = login(service, loginOptions=options(MULTIPATH), mapping=wanted(ANY, 4))
    third = login(service, loginOptions=options(MULTIPATH), mapping=wanted(1, ANY))
    assert [(m["osBusNumber"], m["osTargetNumber"]) for m in in_force(service)] == [(1, 4), (0, 4), (1, 0)]
    # without devices nothing is presented, so no number is asked for
    info = service.varlink("Login", informational=True, mapping=wanted(1, 4), **more)["sessionId"]
    service.varlink("Logout", sessionId=info)
    logout(service, first)
    again = login(service, loginOptions=options(MULTIPATH), mapping=wanted(1, 4))
    for session in (second, third, again):
        logout(service, session)


def test_mapping_of_the_static_target_is_used(service, three):
    enter(service, mapping=wanted(ANY, 3, ((8, 2),)), portalGroup=[portal(three.port)])
    session = login(service)
    assert [(d["lun"], d["scsiTarget"], d["scsiLun"]) for d in service.devices(session)] == [(lun(2), 3, 8)]
    logout(service, session)
    # without devices there is nothing to be mapped
    session = login(service, informational=True)
    assert in_force(service) == []
    logout(service, session)
    # one that is given with the call counts instead
    session = login(service, mapping=wanted())
    assert [d["scsiLun"] for d in service.devices(session)] == [1, 2, 3]
    assert in_force(service)[0]["osTargetNumber"] == 0
    logout(service, session)


def test_mapping_of_a_kept_login_is_honoured_at_the_start(service, three):
    enter(service, persist=True)
    asked = {**wanted(6, 5, ((300, 3),)), "osDeviceName": "\\\\.\\Scsi9:", "initiatorName": "whoever", "sessionId": "1-2"}
    assert login(service, persistent=True, portal=portal(three.port), mapping=asked) == "0-0"
    restart(service)
    assert service.varlink("ListPersistentLogins")["logins"][0]["mapping"] == asked
    wait_for(lambda: service.devices() and service.devices()[0]["legacyName"], 20, "the device")
    assert [(d["lun"], d["scsiBus"], d["scsiTarget"], d["scsiLun"]) for d in service.devices()] == [(lun(3), 6, 5, 300)]
    assert service.stop() == 0


def test_unit_that_is_named_and_not_there(service, three):
    discover(service, three.port)
    session = login(service, mapping=wanted(luns=((1, 77),)))
    assert service.devices(session) == [] and in_force(service)[0]["luns"] == []
    logout(service, session)


def test_unit_that_is_not_named_never_comes(make_service, three):
    """Not with a rescan, not after a lost connection, not at the next start; and the numbers stay."""
    service = make_service(FAST)
    discover(service, three.port)
    asked = wanted(ANY, 9, ((1, 2), (0, 4)))
    # numbers that would have been the first ones to be given are another session's
    other = login(service, mapping=wanted(0, 9, ((5, 3),)), loginOptions={"informationSpecified": 0, "loginFlags": MULTIPATH})
    assert login(service, persistent=True, mapping=asked) == "0-0"
    session = login(service, mapping=asked, loginOptions={"informationSpecified": 0, "loginFlags": MULTIPATH})

    def numbers(session):
        m = next(m for m in in_force(service) if m["sessionId"] == session)
        return m["osBusNumber"], m["osTargetNumber"], [(x["osLun"], x["targetLun"]) for x in m["luns"]]

    assert numbers(session) == (1, 9, [(1, lun(2))])
    three.lun(4)
    service.varlink("RescanSession", sessionId=session)
    wait_for(lambda: numbers(session) == (1, 9, [(1, lun(2)), (0, lun(4))]), 20, lambda: "the unit that is named: %s" % (numbers(session),))
    three.lun(5)
    service.varlink("RescanSession", sessionId=session)
    three.restart()
    wait_for(lambda: all(s["state"] == "up" for s in service.sessions()), 30, "the sessions")
    service.varlink("RescanSession", sessionId=session)
    assert numbers(session) == (1, 9, [(1, lun(2)), (0, lun(4))]) and numbers(other) == (0, 9, [(5, lun(3))])
    assert sorted(d["lun"] for d in service.devices(session)) == [lun(2), lun(4)]
    restart(service)
    wait_for(lambda: len([d for d in service.devices() if d["legacyName"]]) == 2, 20, "the devices")
    assert numbers(service.sessions()[0]["id"]) == (0, 9, [(1, lun(2)), (0, lun(4))])
    assert service.stop() == 0
