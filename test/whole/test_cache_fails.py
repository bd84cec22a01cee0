# SPDX-License-Identifier: MIT
"""
A unit whose SYNCHRONIZE CACHE fails

Data that could not be made safe is never dropped silently: logout is refused, with the
reason, and everything is as before; when the unit is well again, logout succeeds.
"""
import os

import pytest

import disk
from bed import Refused, wait_for
from test_session import read


@pytest.fixture
def brittle():
    d = disk.Disk()
    yield d
    d.close()


def test_logout_is_refused_while_the_cache_cannot_be_flushed(service, brittle):
    service.cli("AddTargetPortal", "127.0.0.1", brittle.port, check=0)
    session = service.login(brittle.name)
    device = service.device(session)
    data = os.urandom(1 << 20)
    fd = os.open(device, os.O_WRONLY)
    os.write(fd, data)
    os.close(fd)
    brittle.broken = {disk.SYNC_10: disk.MEDIUM_WRITE_ERROR, disk.SYNC_16: disk.MEDIUM_WRITE_ERROR}
    with pytest.raises(Refused) as e:
        service.varlink("Logout", sessionId=session)
    assert e.value.code not in (0, 0xEFFF001C)
    assert "flush" in e.value.parameters["text"], e.value.parameters
    # as before: listed, ready, readable and writable
    assert [s["id"] for s in service.sessions()] == [session]
    assert [d["state"] for d in service.devices(session)] == ["ready"]
    assert read(device, 0, len(data)) == data
    # a user is told, too
    fd = os.open(device, os.O_WRONLY)
    try:
        os.write(fd, data[:4096])
        with pytest.raises(OSError):
            os.fsync(fd)
    finally:
        os.close(fd)
    brittle.broken = {}
    wait_for(lambda: service.cli("LogoutTarget", session).code == 0, 30, "a logout now that the cache can be flushed")
    assert bytes(brittle.bytes[4096:len(data)]) == data[4096:]
    assert service.sessions() == []


def test_a_disk_that_is_well_goes(service, brittle):
    """The same target without the fault: what the test above sees is the fault's doing."""
    service.cli("AddTargetPortal", "127.0.0.1", brittle.port, check=0)
    session = service.login(brittle.name)
    device = service.device(session)
    data = os.urandom(3 << 20)
    fd = os.open(device, os.O_WRONLY)
    os.write(fd, data)
    os.close(fd)
    service.logout(session)
    assert bytes(brittle.bytes[:len(data)]) == data
