# SPDX-License-Identifier: MIT
"""One disk that several sessions lead to, and paths that go and come back."""
import os

import pytest

from bed import wait_for
from test_attention import MULTIPATH, Relay, states
from test_connections import ended_well, verify_io
from test_recovery import direct_read
from test_session import discover, read, write

FAST = "[session]\nretry_min = 100ms\nretry_max = 500ms\nnop_interval = 500ms\nnop_timeout = 1\n"


class Ways:
    """A service with a session through each of some relays, and the disk that all of them lead to."""

    def __init__(self, make_service, tgt, more="", n=2):
        self.tgt = tgt
        self.service = make_service(FAST + more)
        self.relays = [Relay(tgt.port) for _ in range(n)]
        discover(self.service, tgt)
        self.sessions = [self.service.login_at(tgt.name, r.port, options=MULTIPATH) for r in self.relays]
        self.device = self.service.device(self.sessions[0])
        for s in self.sessions:
            wait_for(lambda s=s: [d["legacyName"] for d in self.service.devices(s)] == [self.device], 30, "a path of " + s)

    def cut(self, i):
        self.relays[i].cut()
        wait_for(lambda: states(self.service)[self.sessions[i]] == "down", 30, "the loss of path %d" % i)

    def mend(self, i):
        port = self.relays[i].port
        self.relays[i] = wait_for(lambda: self.try_relay(port), 30, "port %d" % port)
        wait_for(lambda: states(self.service)[self.sessions[i]] == "up", 60, lambda: "path %d:\n%s" % (i, self.service.log()[-3000:]))

    def try_relay(self, port):
        try:
            return Relay(self.tgt.port, port)
        except OSError:
            return None

    def moved(self):
        """Bytes that each session has sent."""
        counted = {s["id"]: s for s in self.service.varlink("GetStatistics", sessionId=None)["sessions"]}
        return [counted[s]["sentBytes"] for s in self.sessions]

    def logout(self):
        for s in self.sessions:
            self.service.logout(s)
        assert self.service.sessions() == []


@pytest.fixture
def make_ways(make_service, tgt):
    made = []

    def make(more="", n=2):
        made.append(Ways(make_service, tgt, more, n))
        return made[-1]

    yield make
    for w in made:
        for r in w.relays:
            r.cut()


@pytest.mark.parametrize("first", [0, 1])
def test_io_goes_on_at_once_on_the_other_path(make_ways, first):
    """Not only when hold_time is over: that is longer than this test may take."""
    w = make_ways("hold_time = 1h\n")
    data = os.urandom(1 << 20)
    for lost in (first, 1 - first):
        w.cut(lost)
        write(w.device, 0, data)
        assert direct_read(w.device).code == 0
        assert read(w.device, 0, len(data)) == data
        w.mend(lost)
    w.logout()


@pytest.mark.parametrize("policy", ["failover", "round_robin", "least_queue"])
def test_no_byte_is_wrong_while_paths_go_and_come_back(make_ways, policy):
    w = make_ways("hold_time = 1h\npath_policy = %s\n" % policy)
    fio = verify_io(w.device, size="16M", seconds=120)
    try:
        for i in (0, 1, 0, 1):
            w.cut(i)
            w.mend(i)
        ended_well(fio)
    finally:
        if fio.poll() is None:
            fio.terminate()
            fio.wait(20)
    assert states(w.service) == dict.fromkeys(w.sessions, "up")
    w.logout()


@pytest.mark.parametrize("policy", ["failover", "round_robin", "least_queue"])
def test_policy(make_ways, policy):
    w = make_ways("path_policy = %s\n" % policy, n=3)
    before = w.moved()
    data = os.urandom(4 << 20)
    write(w.device, 0, data)
    with open(w.tgt.file, "rb") as f:
        assert f.read(len(data)) == data
    moved = [b - a for a, b in zip(before, w.moved())]
    assert sum(moved) >= len(data)
    used = [m for m in moved if m > len(data) // 20]
    if policy == "failover":
        assert moved[0] == sum(moved)
    elif policy == "round_robin":
        assert len(used) == 3, moved
    w.logout()


def test_all_paths_down_and_one_comes_back(make_ways):
    w = make_ways("hold_time = 1h\n")
    write(w.device, 0, b"a" * 4096)
    w.cut(0)
    w.cut(1)
    w.mend(1)
    write(w.device, 4096, b"b" * 4096)
    assert read(w.device, 0, 8192) == b"a" * 4096 + b"b" * 4096
    w.mend(0)
    w.logout()
