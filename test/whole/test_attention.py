# SPDX-License-Identifier: MIT
"""
What a target tells on the side, and paths that fail, in the middle of other work

A unit attention is told once, with whatever command comes next: the service's own
questions, a client's INQUIRY, the flush of a logout. Nobody may swallow it, and nobody may
wait for ever because of it.
"""
import contextlib
import os
import socket
import threading
import time

import pytest

from bed import Refused, run, wait_for
from test_session import discover, read, write

MULTIPATH = ("2",) + ("*",) * 8  # login flags, and the other eight options


def test_logout_with_a_unit_attention_waiting(service, tgt):
    """The flush gets the news; what it stirs up must not hold the flush up."""
    discover(service, tgt)
    for lun in (2, 3, 4):
        session = service.login(tgt.name)
        write(service.device(session), 0, os.urandom(1 << 20))
        tgt.lun(lun)  # REPORTED LUNS DATA HAS CHANGED is waiting now
        started = time.monotonic()
        service.logout(session)
        assert time.monotonic() - started < 30
        assert service.sessions() == []


def test_news_told_to_a_question_is_heard(service, tgt):
    """READ CAPACITY by a client takes the unit attention; the new unit is found all the same."""
    discover(service, tgt)
    session = service.login(tgt.name)
    service.device(session)
    tgt.lun(2)
    service.cli("ReadCapacity", session, "1", check=0)
    service.device(session, lun=2)
    service.logout(session)


class Relay:
    """A TCP relay to a port, that can be cut and stays cut."""

    def __init__(self, port, at=0):
        self.port_to = port
        self.listener = socket.create_server(("127.0.0.1", at))
        self.port = self.listener.getsockname()[1]
        self.sockets = []
        self.is_cut = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
                b = socket.create_connection(("127.0.0.1", self.port_to), 10)
            except OSError:
                return
            b.settimeout(None)
            self.sockets += [a, b]
            for pair in ((a, b), (b, a)):
                threading.Thread(target=self.pump, args=pair, daemon=True).start()

    @staticmethod
    def pump(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        for s in (a, b):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def cut(self):
        # a listener that another thread waits in is closed by shutting it down
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()


@pytest.fixture
def two_paths(service, tgt):
    """One disk, a session at the target and one through a relay: (service, first, second, relay, device)."""
    discover(service, tgt)
    relay = Relay(tgt.port)
    first = service.login_at(tgt.name, tgt.port, options=MULTIPATH)
    device = service.device(first)
    second = service.login_at(tgt.name, relay.port, options=MULTIPATH)
    wait_for(lambda: [d["legacyName"] for d in service.devices(second)] == [device], 15, "the second path to be one of the same disk")
    yield service, first, second, relay, device
    relay.cut()


def states(service):
    return {s["id"]: s["state"] for s in service.sessions()}


def test_a_path_may_go_while_another_serves(two_paths):
    service, first, second, _, device = two_paths
    run("mkfs.ext4", "-q", "-F", device)
    run("mount", device, service.mnt)
    try:
        service.logout(first)
        data = os.urandom(1 << 20)
        with open(os.path.join(service.mnt, "x"), "wb") as f:
            f.write(data)
            os.fsync(f.fileno())
        assert [d["legacyName"] for d in service.devices(second)] == [device]
        with pytest.raises(Refused):
            service.varlink("Logout", sessionId=second)
    finally:
        run("umount", service.mnt)
    service.logout(second)


def test_the_last_path_that_serves_stays_while_the_disk_is_in_use(two_paths):
    service, first, second, relay, device = two_paths
    run("mkfs.ext4", "-q", "-F", device)
    run("mount", device, service.mnt)
    try:
        relay.cut()
        wait_for(lambda: states(service)[second] == "down", 15, "the second session to be down")
        with pytest.raises(Refused) as e:
            service.varlink("Logout", sessionId=first)
        assert e.value.code == 0xEFFF0040 and e.value.parameters["holders"]
        with open(os.path.join(service.mnt, "x"), "wb") as f:
            f.write(b"still served")
            os.fsync(f.fileno())
    finally:
        run("umount", service.mnt)
    service.logout(first)
    service.logout(second)
    assert service.sessions() == []


def test_io_goes_on_after_a_refused_and_an_accepted_logout_of_a_path(two_paths):
    service, first, second, _, device = two_paths
    data = os.urandom(1 << 20)
    write(device, 0, data)
    service.logout(second)
    assert read(device, 0, len(data)) == data
    service.logout(first)


def test_who_only_looks_is_not_in_the_way(service, tgt):
    """Programs that open every disk for a moment do not make a logout fail."""
    discover(service, tgt)
    for _ in range(5):
        session = service.login(tgt.name)
        device = service.device(session)
        fd = os.open(device, os.O_RDONLY)
        timer = threading.Timer(0.1, os.close, (fd,))
        timer.start()
        r = service.cli("LogoutTarget", session)
        timer.join()
        assert r.code == 0, r
