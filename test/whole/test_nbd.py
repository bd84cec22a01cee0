# SPDX-License-Identifier: MIT
"""The nbd backend: a unit of a real target, used by other people's NBD clients."""
import os
import signal
import socket
import subprocess
import urllib.parse

import pytest

from bed import run, wait_for
from conftest import need_program
from test_session import discover


@pytest.fixture
def nbd(make_service, tgt):
    """(service, session, URI)"""
    need_program("nbdinfo", "nbdcopy", "qemu-img")
    service = make_service(backend="nbd")
    discover(service, tgt)
    session = service.login(tgt.name)
    return service, session, service.device(session)


def socket_of(uri):
    parts = urllib.parse.urlsplit(uri)
    assert parts.scheme == "nbd+unix"
    return urllib.parse.parse_qs(parts.query)["socket"][0]


def test_names_of_the_device(nbd):
    service, session, uri = nbd
    (device,) = [d for d in service.devices(session) if d["legacyName"]]
    assert device["backend"] == "nbd" and device["state"] == "ready"
    # the stable name leads to the socket
    assert os.path.samefile(device["interfaceName"], socket_of(uri))
    assert uri in service.cli("SessionList", check=0).out
    assert int(run("nbdinfo", "--size", uri).out) == device["sizeBytes"]
    service.logout(session)
    assert not os.path.lexists(device["interfaceName"]) and not os.path.lexists(socket_of(uri))


def test_what_is_copied_there_comes_back(nbd, tmp_path):
    service, session, uri = nbd
    data = os.urandom(24 << 20)
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(data)
    run("nbdcopy", "--flush", "--connections=4", str(there), uri, seconds=60)
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", uri, str(back), seconds=60)
    with open(back, "rb") as f:
        assert f.read(len(data)) == data
    service.logout(session)


def test_logout_is_refused_while_a_client_is_connected(nbd):
    need_program("qemu-io")
    service, session, uri = nbd
    client = subprocess.Popen(["qemu-io", "-f", "raw", uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: service.varlink("ListHolders", sessionId=session, device=None)["holders"], 20, "the client to be a holder")
        refused = service.cli("LogoutTarget", session, check=1)
        assert "process %d (qemu-io)" % client.pid in refused.out
        (holder,) = service.varlink("ListHolders", sessionId=session, device=uri)["holders"]
        assert holder["kind"] == "nbd" and holder["pid"] == client.pid
        # as before: it still reads, and somebody else may come
        client.stdin.write(b"read 0 4096\n")
        client.stdin.flush()
        assert b"read 4096/4096" in wait_for(client.stdout.readline, 20, "the answer")
        run("nbdinfo", uri)
    finally:
        client.kill()
        client.communicate(timeout=20)
    service.logout(session)


def test_stop_takes_the_sockets_away(nbd):
    service, _, uri = nbd
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(socket_of(uri))
        assert client.recv(18).startswith(b"NBDMAGIC")
        assert service.stop() == 0
    assert not os.path.lexists(socket_of(uri))


def test_a_dead_services_socket_is_in_nobodys_way(nbd):
    service, _, uri = nbd
    service.process.signal(signal.SIGKILL)
    service.process.join(20)
    assert os.path.lexists(socket_of(uri))
    service.start()
    assert not os.path.lexists(socket_of(uri))
    session = service.login(service.varlink("ListTargets", forceUpdate=True)["targets"][0])
    run("nbdinfo", service.device(session))
    service.logout(session)
