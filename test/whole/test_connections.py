# SPDX-License-Identifier: MIT
"""Connections of a session: what was negotiated, more of them, fewer of them."""
import pytest

from bed import Refused
from test_session import discover

INVALID_SESSION_ID = 0xEFFF001C
TOO_MANY_CONNECTIONS = 0xEFFF000E
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
