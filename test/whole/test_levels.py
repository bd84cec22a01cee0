# SPDX-License-Identifier: MIT
"""
Recovery inside a connection and over connections, by the whole path

Error recovery level 1 asks again for what was lost, level 2 lets the commands of a lost
connection go on over another one. Nothing of that may cost a byte, whatever the target of
our own does, and it may not break the protocol on the way.
"""
import subprocess

import pytest

from bed import wait_for

from test_connections import add, connections, ended_well, kill_connection, login, parameters, verify_io

FAST = "[session]\nretry_min = 100ms\nretry_max = 500ms\nnop_interval = 500ms\nnop_timeout = 1\n"


def at_level(make_service, t, level, n=1, more=""):
    """A service and a session with n connections at that level."""
    # a login that the target leaves without an answer ends long before a test stops waiting
    service = make_service(FAST + "login_timeout = 5\n[target %s]\nErrorRecoveryLevel = %d\nMaxConnections = 4\n%s" % (t.name, level, more))
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


# ---- everything goes wrong -----------------------------------------------------


def counters(service):
    (s,) = service.varlink("GetStatistics", sessionId=None)["sessions"]
    return s


def went_well(service, t, session, ids):
    """All of the session is there again, and nobody broke the protocol."""
    wait_for(lambda: [c["id"] for c in connections(service)] == ids, 60, lambda: "all connections:\n" + service.log()[-4000:])
    wait_for(lambda: service.sessions()[0]["state"] == "up", 60, "the session")
    service.logout(session)
    assert t.complaints() == []
    assert t.stats()["tasks"] == 0


@pytest.fixture
def load(make_service):
    """fio that writes and reads back; it never outlives the test, and not the service either."""
    made = []

    def make(service, session, size="8M"):
        made.append(verify_io(service.device(session), size=size, seconds=40))
        return made[-1]

    yield make
    for fio in made:
        if fio.poll() is None:
            fio.terminate()  # "timeout", which passes it on
            fio.wait(20)


@pytest.mark.parametrize("which", [0, 1], ids=["leading", "added"])
@pytest.mark.parametrize("level", [0, 2])
def test_the_session_goes_on_when_one_of_two_is_lost(make_service, make_target, load, level, which):
    t = make_target("--erl", level, "--maxconn", 4, "--service-ms", 2)
    service, session, ids = at_level(make_service, t, level, n=2)
    fio = load(service, session)
    for _ in range(3):
        before = wait_for(lambda: len(connections(service)) == 2 and connections(service), 20, "both connections")
        kill_connection(before[which])
        wait_for(lambda: [c["cid"] for c in connections(service)] != [c["cid"] for c in before], 10, "the loss")
        assert service.sessions()[0]["state"] == "up"
    ended_well(fio)
    went_well(service, t, session, ids)
    assert "is back" not in service.log() and t.stats()["reinstated"] == 0


LOSSES = {
    "status": ["response 0 drop"],
    "data-in": ["data-in 0 drop"],
    "r2t": ["r2t 0 drop"],
    "duplicates": ["data-in 0 duplicate", "response 0 duplicate"],
    "late": ["response 0 delay 40"],
}


def sprinkle(t, rules, fio):
    """Each rule once again and again, as long as fio works."""
    n = 0
    while fio.poll() is None and n < 60:
        t.clear()
        for rule in rules:
            op, _, rest = rule.split(" ", 2)
            t.rule("%s %d %s" % (op, 5 + n % 7, rest))
        n += 1
        try:
            fio.wait(0.1)
        except subprocess.TimeoutExpired:
            pass
    t.clear()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("level", [1, 2])
def test_what_is_lost_is_asked_for_again(make_service, make_target, load, level, loss):
    t = make_target("--erl", level, "--maxconn", 4, "--digests", "require", "--ping-ms", 50, *(["--initial-r2t", "--no-immediate"] if loss == "r2t" else []))
    service, session, ids = at_level(make_service, t, level, n=2, more="command_timeout = 3\n")
    fio = load(service, session, "4M")
    sprinkle(t, LOSSES[loss], fio)
    ended_well(fio)
    stats = t.stats()
    assert stats["misdeeds"] > 0
    if loss in ("status", "data-in"):
        assert counters(service)["snacks"] > 0 and stats["snacks"] > 0
    went_well(service, t, session, ids)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_digests_that_do_not_match(make_service, make_target, load, level):
    t = make_target("--erl", level, "--maxconn", 4, "--digests", "require")
    service, session, ids = at_level(make_service, t, level, n=2)
    fio = load(service, session, "4M")
    sprinkle(t, ["data-in 0 corrupt-data", "response 0 corrupt-header"], fio)
    ended_well(fio)
    assert counters(service)["digestErrors"] > 0
    went_well(service, t, session, ids)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_everything_at_once(make_service, make_target, load, level):
    """Two in a hundred PDUs go wrong in some way, and every now and then all connections are cut."""
    t = make_target("--erl", level, "--maxconn", 4, "--digests", "require", "--seed", 7 + level)
    service, session, ids = at_level(make_service, t, level, n=3)
    service.device(session)
    t.order("misbehave 20")
    fio = load(service, session, "2M")
    for _ in range(3):
        try:
            fio.wait(1.5)
        except subprocess.TimeoutExpired:
            t.cut()
    t.order("misbehave 2")
    ended_well(fio)
    t.clear()
    assert t.stats()["misdeeds"] > 0
    # what a target does wrong on purpose may make ours look wrong: that is not judged here
    wait_for(lambda: service.sessions()[0]["state"] == "up" and len(connections(service)) == 3, 60, lambda: "the session:\n" + service.log()[-4000:])
    service.logout(session)
