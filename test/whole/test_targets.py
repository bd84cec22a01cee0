# SPDX-License-Identifier: MIT
"""Targets: entered by hand, known by several mechanisms, logged in to as their entry says."""
import json
import os

import pytest

from bed import Refused

NAME = "iqn.2026-11.test.whole:disk"
HIDE, MERGE = 2, 4
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
        {"targetFlags": 1}, {"targetFlags": 8}, {"targetAlias": "x" * 256}, {"persist": None},
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
