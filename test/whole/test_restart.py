# SPDX-License-Identifier: MIT
"""
SIGUSR1, which is how systemd restarts the service: what can be taken over stays, the rest goes

What stays is a matter of ublk: ublk_inside.py.
"""
import os
import signal

from bed import run, wait_for
from conftest import need_root
from test_persistent import keep
from test_session import discover


def restart_signal(service, seconds=60):
    service.process.signal(signal.SIGUSR1)
    return service.process.join(seconds)


def test_what_nobody_uses_is_logged_out(make_service, tgt):
    service = make_service()
    discover(service, tgt)
    keep(service, tgt.name)
    service.device(service.login(tgt.name))
    assert restart_signal(service) == 0
    assert "SIGUSR1" in service.log() and "logged out" in service.log()
    assert tgt.sessions() == 0


def test_what_cannot_be_taken_over_is_waited_for(make_service, tgt):
    """A loop device ends with its service, so a restart is as a stop for it: bounded, flushed, said."""
    need_root()
    service = make_service("[service]\nstop_timeout = 2s\n", expect_clean=False)
    discover(service, tgt)
    keep(service, tgt.name)
    device = service.device(service.login(tgt.name))
    run("mkfs.ext4", "-q", device)
    run("mount", device, service.mnt)
    with open(os.path.join(service.mnt, "file"), "wb") as f:
        f.write(b"x" * 100000)
    assert restart_signal(service) == 3
    assert "held up: " in service.log() and "cut off although in use" in service.log() and "left to the next" not in service.log()
    run("umount", service.mnt)
    service.start()
    device = wait_for(lambda: service.sessions() and service.device(service.sessions()[0]["id"]), 60, service.log)
    run("mount", device, service.mnt)
    with open(os.path.join(service.mnt, "file"), "rb") as f:
        assert f.read() == b"x" * 100000
    run("umount", service.mnt)
