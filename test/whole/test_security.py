# SPDX-License-Identifier: MIT
"""
Secrets, servers and rights

What is set comes back as far as it may, survives a restart where it is to be kept, and
is found nowhere that others can look.
"""
import os

import pytest

import bed

ANY = 0xFFFFFFFF
NOT_SUPPORTED, INVALID = 50, 87
ISNS_NOT_FOUND, NO_AUTH_INFO, SHORT_CHAP = 0xEFFF003A, 0xEFFF0034, 0xAFFF0048


def refused(call, *args, **parameters):
    with pytest.raises(bed.Refused) as e:
        call(*args, **parameters)
    return e.value


def restart(service):
    assert service.stop() == 0
    service.start()


def files_with(directory, wanted):
    found = []
    for place, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(place, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    if wanted in f.read():
                        found.append(os.path.relpath(path, directory))
    return found


# ---- servers --------------------------------------------------------------


def test_radius_servers(service):
    assert service.varlink("ListRadiusServers") == {"servers": []}
    for address in ("radius.example", "192.0.2.7", "2001:db8::7", "radius.example"):
        service.varlink("AddRadiusServer", address=address)
    restart(service)
    assert service.varlink("ListRadiusServers")["servers"] == ["radius.example", "192.0.2.7", "2001:db8::7"]
    service.varlink("RemoveRadiusServer", address="RADIUS.example")
    assert service.varlink("ListRadiusServers")["servers"] == ["192.0.2.7", "2001:db8::7"]
    assert refused(service.varlink, "RemoveRadiusServer", address="radius.example").code == INVALID
    for bad in ("", "a b", "x" * 40, "a/b", "ä"):
        assert refused(service.varlink, "AddRadiusServer", address=bad).code == INVALID


def test_isns_servers_are_kept_and_not_asked(service):
    service.varlink("RefreshIsnsServer", address=None)
    assert service.varlink("ListTargets", forceUpdate=True)["status"] == 0
    e = refused(service.varlink, "AddIsnsServer", address="isns.example")
    assert e.code == NOT_SUPPORTED and "in the list" in e.parameters["text"]
    restart(service)
    assert service.varlink("ListIsnsServers") == {"servers": ["isns.example"]}
    assert refused(service.varlink, "RefreshIsnsServer", address="isns.example").code == NOT_SUPPORTED
    assert refused(service.varlink, "RefreshIsnsServer", address=None).code == NOT_SUPPORTED
    assert refused(service.varlink, "RefreshIsnsServer", address="other.example").code == ISNS_NOT_FOUND
    assert service.varlink("ListTargets", forceUpdate=True)["status"] == 0xAFFF002E
    service.varlink("RemoveIsnsServer", address="isns.example")
    assert refused(service.varlink, "RemoveIsnsServer", address="isns.example").code == ISNS_NOT_FOUND
    assert service.varlink("ListIsnsServers") == {"servers": []}


# ---- secrets --------------------------------------------------------------

CHAP, RADIUS, GROUP, IKE = b"chap-initiator-1", b"radius-secret-of-26-bytes!", b"the group's key", b"the identity's key"
IDENTITY = {"idType": 2, "id": b"host.example".hex()}


def ike(service, method="GetIkeInfo", **more):
    return service.varlink(method, initiatorInstance=None, initiatorPort=ANY, authMethod=1, identity=IDENTITY, **more)


def test_secrets_are_in_the_store_alone(service):
    service.varlink("SetChapSecret", secret=CHAP.hex())
    service.varlink("SetRadiusSecret", secret=RADIUS.hex())
    service.varlink("SetGroupKey", key=GROUP.hex(), persist=True)
    ike(service, "SetIkeInfo", securityFlags=0x23, key=IKE.hex(), persist=True)
    restart(service)
    assert ike(service) == {"securityFlags": 0x23}
    for secret in (CHAP, RADIUS, GROUP, IKE):
        (name,) = files_with(service.state, secret)
        assert os.stat(os.path.join(service.state, name)).st_mode & 0o777 == 0o600
        assert secret.hex() not in service.log() and secret.decode() not in service.log()
    service.varlink("SetChapSecret", secret=None)
    service.varlink("SetRadiusSecret", secret=None)
    service.varlink("SetGroupKey", key=None, persist=True)
    ike(service, "SetIkeInfo", securityFlags=0, key=None, persist=True)
    assert refused(ike, service).code == NO_AUTH_INFO
    for secret in (CHAP, RADIUS, GROUP, IKE):
        assert files_with(service.directory, secret) == []


def test_secrets_that_are_not_kept(service):
    service.varlink("SetGroupKey", key=GROUP.hex(), persist=False)
    ike(service, "SetIkeInfo", securityFlags=0x23, key=IKE.hex(), persist=False)
    service.varlink("SetTunnelAddress", initiatorInstance=None, initiatorPort=ANY, destinationAddress=None, outerAddress="192.0.2.1", persist=False)
    assert ike(service) == {"securityFlags": 0x23}
    for secret in (GROUP, IKE, b"192.0.2.1"):
        assert files_with(service.state, secret) == []
    restart(service)
    assert refused(ike, service).code == NO_AUTH_INFO


def test_secrets_of_a_wrong_form(service):
    assert refused(service.varlink, "SetChapSecret", secret="00" * 17).code == 0xEFFF004C
    assert refused(service.varlink, "SetChapSecret", secret="00" * 11).code == SHORT_CHAP
    assert refused(service.varlink, "SetRadiusSecret", secret="00" * 21).code == INVALID
    for bad in ("0", "xx", 5):
        e = refused(service.varlink, "SetChapSecret", secret=bad)
        assert e.code == INVALID and "secret" in e.parameters["text"]
    assert refused(service.varlink, "SetGroupKey", key="00" * 256, persist=True).code == INVALID
    assert refused(service.varlink, "GetIkeInfo", initiatorInstance=None, initiatorPort=ANY, authMethod=2, identity=IDENTITY).code == 0xEFFF0037
    for identity, code in (({"idType": 4, "id": "00"}, 0xEFFF0030), ({"idType": 1, "id": "00"}, 0xEFFF0031), ({"idType": 2}, 0xEFFF0031),
                           (None, INVALID), ({"idType": 2, "id": "00", "x": 1}, INVALID)):  # fmt: skip
        e = refused(service.varlink, "GetIkeInfo", initiatorInstance=None, initiatorPort=ANY, authMethod=1, identity=identity)
        assert e.code == code, identity
    assert refused(service.varlink, "SetTunnelAddress", initiatorInstance=None, initiatorPort=ANY, destinationAddress="a b", outerAddress=None,
                   persist=True).code == INVALID  # fmt: skip
