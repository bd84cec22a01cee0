# SPDX-License-Identifier: MIT
"""Often, many, and at once."""
import os
import subprocess
import sys
import threading
import time

import pytest

import bed
from bed import run, wait_for
from test_session import discover, read, write


def sanitized():
    out = subprocess.run(["ldd", bed.DAEMON], capture_output=True, text=True).stdout
    return "libasan" in out or "libtsan" in out


def test_a_hundred_logins_and_logouts_leave_nothing(service, tgt):
    discover(service, tgt)

    def once():
        session = service.varlink("Login", targetName=tgt.name, informational=False, initiatorInstance=None, initiatorPort=0xFFFFFFFF,
                                  portal=None, securityFlags=0, loginOptions=None, key=None, persistent=False)["sessionId"]  # fmt: skip
        service.varlink("Logout", sessionId=session)

    for _ in range(10):
        once()
    fds, threads, rss = service.fds(), service.threads(), service.rss_kib()
    for _ in range(100):
        once()
    wait_for(lambda: service.fds() <= fds, 10, lambda: "descriptors: %d, now %d" % (fds, service.fds()))
    wait_for(lambda: service.threads() <= threads, 10, lambda: "threads: %d, now %d" % (threads, service.threads()))
    if not sanitized():
        assert service.rss_kib() < rss + 2048, (rss, service.rss_kib())
    assert service.sessions() == [] and tgt.sessions() == 0


def test_failed_logins_leave_nothing(service, tgt):
    discover(service, tgt)
    tgt.kill()
    fds = None
    for i in range(60):
        assert service.json("QLoginTarget", tgt.name)["Status"] == 0xEFFF0003
        if i == 5:
            fds, rss = service.fds(), service.rss_kib()
    wait_for(lambda: service.fds() <= fds, 10, "the descriptors")
    if not sanitized():
        assert service.rss_kib() < rss + 2048


def test_fifty_sessions_to_fifty_targets(service, make_tgt):
    n = 50
    tgt = make_tgt()
    names = [tgt.target("iqn.2026-11.test.whole:s%02d" % i, tid=i) for i in range(1, n + 1)]
    for i in range(1, n + 1):
        with open(tgt.lun(1, tid=i, mb=4), "r+b") as f:
            f.write(b"%-64d" % i)
    discover(service, tgt)
    assert len(service.json("ListTargets")["Targets"]) == n
    queue = list(enumerate(names, 1))
    sessions = {}
    errors = []

    def worker():
        while queue:
            try:
                i, name = queue.pop()
            except IndexError:
                return
            try:
                sessions[i] = service.login(name)
            except AssertionError as e:
                errors.append(str(e))

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors[0]
    assert len(set(sessions.values())) == n and len(service.sessions()) == n
    by_target = {d["targetName"]: d for d in service.devices()}
    assert len({d["legacyName"] for d in by_target.values()}) == n
    for i, name in enumerate(names, 1):
        assert read(by_target[name]["legacyName"], 0, 64) == b"%-64d" % i
    assert len(service.json("SessionList")["Sessions"]) == n
    queue = list(sessions.items())

    def leaver():
        while queue:
            try:
                _, session = queue.pop()
            except IndexError:
                return
            try:
                service.logout(session)
            except AssertionError as e:
                errors.append(str(e))

    threads = [threading.Thread(target=leaver) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors[0]
    assert service.sessions() == [] and bed.loops_of(service.directory) == [] and tgt.sessions() == 0


CLIENT = """
import os, sys
sys.path[:0] = [%(here)r, %(abi)r]
import api
name, lun, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for i in range(rounds):
    session, _ = api.login(name)
    assert any(s["id"] == session for s in api.sessions())
    device = api.devices(session)[0]["name"]
    data = os.urandom(65536)
    fd = os.open(device, os.O_RDWR)
    os.pwrite(fd, data, 4096 * i); os.fsync(fd)
    assert os.pread(fd, len(data), 4096 * i) == data
    os.close(fd)
    assert api.inquiry(session, lun)[8:11] == b"IET"
    assert name in api.targets()
    api.logout(session)
    try:
        api.logout(session)
        raise SystemExit("logged out twice")
    except api.Status as e:
        assert e.code == api.STATUS["ISDSC_INVALID_SESSION_ID"], e
print("fine")
"""


def test_four_client_processes_at_once(api, service, make_tgt):
    tgt = make_tgt()
    names = [tgt.target("iqn.2026-11.test.whole:c%d" % i, tid=i) for i in range(1, 5)]
    for i in range(1, 5):
        tgt.lun(i, tid=i, mb=8)
    discover(service, tgt)
    program = CLIENT % {"here": bed.HERE, "abi": os.path.join(os.path.dirname(bed.HERE), "abi")}
    env = {**service.env, "LD_PRELOAD": os.environ.get("ISCSIDSC_PRELOAD", ""), "ASAN_OPTIONS": "detect_leaks=0", "PYTHONDONTWRITEBYTECODE": "1"}
    clients = [subprocess.Popen([sys.executable, "-c", program, name, str(i), "10"], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for i, name in enumerate(names, 1)]  # fmt: skip
    try:
        for p in clients:
            out, _ = p.communicate(timeout=150)
            assert p.returncode == 0 and out == "fine\n", out
    finally:
        for p in clients:
            if p.poll() is None:
                p.kill()
    assert service.sessions() == []


def test_one_of_many_logins_to_the_same_target_wins(service, tgt):
    discover(service, tgt)
    for _ in range(4):
        results = []
        threads = [threading.Thread(target=lambda: results.append(service.json("QLoginTarget", tgt.name))) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        winners = [r for r in results if r["Status"] == 0]
        assert len(winners) == 1 and all(r["Status"] in (0, 0xEFFF003F, 0xEFFF001F) for r in results), results
        service.logout(winners[0]["SessionIdentifier"])


def test_two_services_side_by_side(make_service, tgt):
    a, b = make_service(), make_service()
    for s, name in ((a, "iqn.2026-11.local.test:a"), (b, "iqn.2026-11.local.test:b")):
        s.cli("NodeName", name, check=0)
        discover(s, tgt)
    sa, sb = a.login(tgt.name), b.login(tgt.name)
    assert a.device(sa) != b.device(sb)
    data = os.urandom(4096)
    write(a.device(sa), 0, data)
    fd = os.open(b.device(sb), os.O_RDONLY | os.O_DIRECT)
    os.close(fd)
    run("blockdev", "--flushbufs", b.device(sb))
    assert read(b.device(sb), 0, 4096) == data
    a.kill()
    a.start()
    # the other one's devices are not swept away with those of the dead
    assert read(b.device(sb), 0, 4096) == data
    b.logout(sb)


@pytest.mark.parametrize("seconds", (12, pytest.param(90, marks=pytest.mark.slow)))
def test_everything_at_once(service, make_tgt, seconds):
    """Logins, logouts, discovery, lists and I/O, side by side."""
    tgt = make_tgt()
    names = [tgt.target("iqn.2026-11.test.whole:m%d" % i, tid=i) for i in range(1, 7)]
    for i in range(1, 7):
        tgt.lun(1, tid=i, mb=16)
    discover(service, tgt)
    end = time.monotonic() + seconds
    errors = []

    def worker(name):
        while time.monotonic() < end and not errors:
            try:
                session = service.login(name)
                data = os.urandom(1 << 20)
                write(service.device(session), 0, data)
                assert read(service.device(session), 0, len(data)) == data
                service.logout(session)
            except (AssertionError, OSError) as e:
                errors.append("%s: %s" % (name, e))

    def lister():
        while time.monotonic() < end and not errors:
            try:
                service.cli("SessionList", check=0)
                service.cli("Devices", check=0)
                service.cli("Holders", check=0)
                service.cli("ListTargets", "T", check=0)
            except AssertionError as e:
                errors.append(str(e))

    threads = [threading.Thread(target=worker, args=(n,)) for n in names] + [threading.Thread(target=lister)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors, errors[0]
    assert service.sessions() == [] and bed.loops_of(service.directory) == []


@pytest.mark.slow
@pytest.mark.parametrize("backend, fds_each", [("loop", 2), ("fuse", 2), ("nbd", 1)])
def test_what_a_disk_costs(make_service, make_tgt, backend, fds_each):
    """Memory and descriptors grow with the disks by what doc/scale.md says; threads do not."""
    service = make_service(backend=backend)
    tgt = make_tgt()
    counts = (20, 60)
    names = []
    for tid, n in enumerate(counts, 1):
        names.append(tgt.target("iqn.2026-11.test.whole:n%d" % n, tid=tid))
        for lun in range(1, n + 1):
            tgt.lun(lun, tid=tid, store="null")
    discover(service, tgt)
    at, sessions = [], []
    for i, name in enumerate(names):
        sessions.append(service.login(name))
        wait_for(lambda: sum(1 for d in service.devices() if d["legacyName"]) == sum(counts[:i + 1]), 120, "the disks")
        # threads that a login needs for itself end soon, and one looks after each session
        wait_for(lambda: service.threads() < 16, 30, lambda: "%d threads" % service.threads())
        at.append((service.rss_kib(), service.fds()))
    rss, fds = (b - a for a, b in zip(*at))
    n = counts[1]
    assert fds <= n * fds_each + 4
    assert sanitized() or rss < n * 400, "%d KiB each" % (rss // n)
    for session in sessions:
        service.logout(session)
    assert bed.loops_of(service.directory) == [] and tgt.sessions() == 0
