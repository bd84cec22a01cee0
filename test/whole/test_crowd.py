# SPDX-License-Identifier: MIT
"""
A user without rights does what he can; root logs in and out all the same
"""
import os
import subprocess
import sys
import time

import pytest

import bed
from bed import Varlink, wait_for
from test_scale import sanitized
from test_session import discover

# Each is run until it is ended, with as many connections as it gets.
PROGRAM = """
import json, socket, sys, time
path, how = sys.argv[1:]
def message(method, interface="io.iscsidsc.Initiator", parameters={}, **more):
    return json.dumps({"method": interface + "." + method, "parameters": parameters, **more}).encode() + b"\\0"
WORDS = {
    "half": [b'{"method":"io.iscsidsc.Initiator.GetVer'],
    "garbage": [b"x" * 65536] * 16,
    "deep": [b'{"method":' + b"[" * 200000],
    "nothing": [],
    "calls": [message("ListSessions") * 1000] * 10,
    "big answers": [message("GetInterfaceDescription", "org.varlink.service", {"interface": "io.iscsidsc.Initiator"}) * 100] * 100,
    "listeners": [message("Subscribe", more=True)],
    "holders": [message("ListHolders") * 1000],
    "devices": [message("ListDevices") * 1000],
}
open_ones, said, tries = [], False, 0
while True:
    try:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(0.05)
        s.connect(path)
        open_ones.append(s)
        for w in WORDS[how]:
            s.sendall(w)
    except OSError:
        pass
    tries += 1
    open_ones = open_ones[-400:]
    if tries > 150:
        if not said:
            print("ready", flush=True)
            said = True
        time.sleep(0.002)
"""
WAYS = ("half", "garbage", "deep", "nothing", "calls", "big answers", "listeners", "holders", "devices")


class Crowd:
    """Users who do the same, or each something else."""

    def __init__(self, service, ways, uids):
        self.processes = []
        os.chmod(service.directory, 0o755)
        for uid in uids:
            for how in ways:
                self.processes.append(subprocess.Popen(
                    ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", sys.executable, "-I", "-c", PROGRAM, service.socket, how],
                    stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]}))  # fmt: skip

    def wait(self):
        for p in self.processes:
            assert p.stdout.readline() == b"ready\n"

    def close(self):
        for p in self.processes:
            p.kill()
            p.wait()
            p.stdout.close()


def try_it(make_service, tgt, ways, uids):
    service = make_service("[service]\nsocket_mode = 0666\nmax_clients = 32\n")
    discover(service, tgt)
    session = service.login(tgt.name)
    service.device(session)
    rss, crowd = service.rss_kib(), Crowd(service, ways, uids)
    try:
        crowd.wait()
        for _ in range(3):
            begin = time.monotonic()
            service.logout(session)
            session = service.login(tgt.name)
            service.device(session)
            assert time.monotonic() - begin < 20
        assert service.fds() < 200 and service.threads() < 150
        with Varlink(service.socket, 10) as v:
            assert v.call("ListSessions")["sessions"]
    finally:
        crowd.close()
    # a sanitizer keeps what was freed
    assert sanitized() or service.rss_kib() - rss < 200 << 10
    wait_for(lambda: service.threads() < 20, 40, lambda: "the crowd's threads: %d" % service.threads())
    service.logout(session)


@pytest.mark.parametrize("how", WAYS)
def test_one_user(make_service, tgt, how):
    try_it(make_service, tgt, [how], [65534])


def test_three_users_and_everything(make_service, tgt):
    try_it(make_service, tgt, ("half", "calls", "listeners", "big answers"), [65534, 64001, 64002])
