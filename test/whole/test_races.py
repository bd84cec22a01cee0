# SPDX-License-Identifier: MIT
"""
Several clients change the same thing at once: what is told afterwards is what was stored
"""
import contextlib
import os
import shutil
import sqlite3
import tempfile
import threading
import time

import pytest

import peer
from bed import Refused, Varlink, free_port, wait_for

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
    silent(service, 40)
    begin = time.monotonic()
    r = service.varlink("ListTargets", forceUpdate=True)
    assert time.monotonic() - begin < 6
    assert r == {"targets": [tgt.name], "status": 0xAFFF002E}
    assert "were not asked" in service.log()


def test_the_service_ends_while_all_portals_are_asked(make_service, silent):
    service = make_service("[session]\nlogin_timeout = 2\n")
    p = silent(service, 40)
    client = threading.Thread(target=lambda: service.cli("ListTargets", "T"))
    client.start()
    wait_for(lambda: p.n_connections >= 8, 20, "the portals to be asked")
    begin = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begin < 5
    client.join()
