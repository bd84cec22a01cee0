# SPDX-License-Identifier: MIT
"""
Recovery inside a connection and over connections, by the whole path

Error recovery level 1 asks again for what was lost, level 2 lets the commands of a lost
connection go on over another one. Nothing of that may cost a byte, whatever the target of
our own does, and it may not break the protocol on the way.
"""
import pytest

from test_connections import add, login, parameters

FAST = "[session]\nretry_min = 100ms\nretry_max = 500ms\nnop_interval = 500ms\nnop_timeout = 1\n"


def at_level(make_service, t, level, n=1, more=""):
    """A service and a session with n connections at that level."""
    service = make_service(FAST + "[target %s]\nErrorRecoveryLevel = %d\nMaxConnections = 4\n%s" % (t.name, level, more))
    service.cli("AddTargetPortal", "127.0.0.1", t.port, check=0)
    session, first = login(service, t.name)
    return service, session, [first] + [add(service, session) for _ in range(n - 1)]


CONFIGURED = """InitialR2T = yes
ImmediateData = no
FirstBurstLength = 8K
MaxBurstLength = 128K
MaxRecvDataSegmentLength = 16K
MaxOutstandingR2T = 2
DefaultTime2Wait = 1
DefaultTime2Retain = 7
HeaderDigest = CRC32C
DataDigest = CRC32C
"""


def test_what_is_configured_is_negotiated(make_service, make_target):
    t = make_target("--erl", 2, "--maxconn", 4, "--time2wait", 0, "--time2retain", 20)
    service, session, _ = at_level(make_service, t, 2, more=CONFIGURED)
    p = parameters(service, session)
    wanted = {"initialR2T": True, "immediateData": False, "firstBurstLength": 8192, "maxBurstLength": 131072, "maxOutstandingR2T": 2,
              "errorRecoveryLevel": 2, "maximumConnections": 4}  # fmt: skip
    assert {k: p[k] for k in wanted} == wanted
    (c,) = p["connections"]
    assert (c["headerDigest"], c["dataDigest"], c["maxRecvDataSegmentLength"]) == (1, 1, 16384)
    service.logout(session)
    assert t.complaints() == []


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_target_may_choose_less(make_service, make_target, level):
    t = make_target("--erl", level, "--maxconn", 1)
    service, session, _ = at_level(make_service, t, 2)
    p = parameters(service, session)
    assert (p["errorRecoveryLevel"], p["maximumConnections"]) == (level, 1)
    service.logout(session)
