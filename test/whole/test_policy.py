# SPDX-License-Identifier: MIT
"""Which connections of a session are preferred, by the portals that they lead to."""
import socket

import pytest

from bed import wait_for
from peer import relay_to
from test_connections import FAST, add, connections, ended_well, login, parameters, verify_io


@pytest.fixture
def two_ways(make_target):
    """A target with a second portal."""
    t = make_target("--maxconn", 4)
    relay = relay_to(t.port, socket.AF_INET, "127.0.0.2")
    yield t, relay
    relay.close()


def over_both(make_service, t, relay, policy):
    """A session with a connection to each."""
    service = make_service(FAST + "MaxConnections = 4\n" + policy)
    service.cli("AddTargetPortal", "127.0.0.1", t.port, check=0)
    session, first = login(service, t.name)
    second = add(service, session, {"symbolicName": "", "address": "127.0.0.2", "socket": relay.port})
    return service, session, [first, second]


def moved(service, session):
    """How many bytes a second went over each."""
    return [c["estimatedThroughput"] for c in parameters(service, session)["connections"]]


POLICIES = [
    ("connection_policy = subset\npreferred_portals = 127.0.0.1:%(direct)d", 0),
    ("connection_policy = subset\npreferred_portals = 127.0.0.2:%(relay)d", 1),
    ("connection_policy = failover\npreferred_portals = 127.0.0.2:%(relay)d", 1),
    ("connection_policy = weighted\nportal_weights = 127.0.0.1:%(direct)d=2, 127.0.0.2:%(relay)d=1", 1),
    ("connection_policy = weighted\nportal_weights = 127.0.0.1:%(direct)d=65535", 0),
]


@pytest.mark.parametrize("policy,favourite", POLICIES, ids=["subset-first", "subset-second", "failover", "weighted", "weighted-unlisted"])
def test_what_is_preferred_is_used(make_service, two_ways, policy, favourite):
    t, relay = two_ways
    service, session, ids = over_both(make_service, t, relay, policy % {"direct": t.port, "relay": relay.port} + "\n")
    ended_well(verify_io(service.device(session), size="4M"))
    rates = moved(service, session)
    assert rates[1 - favourite] * 20 < rates[favourite], rates
    service.logout(session)
    assert t.complaints() == []


def test_when_the_preferred_one_is_gone_the_other_is_used(make_service, two_ways):
    t, relay = two_ways
    service, session, ids = over_both(make_service, t, relay, "connection_policy = subset\npreferred_portals = 127.0.0.2:%d\n" % relay.port)
    device = service.device(session)
    fio = verify_io(device, size="16M")
    relay.close()
    wait_for(lambda: len(connections(service)) == 1, 15, "the loss")
    ended_well(fio)
    assert [c["id"] for c in connections(service)] == ids[:1]
    assert service.sessions()[0]["state"] == "up"
    service.logout(session)
    assert t.complaints() == []
