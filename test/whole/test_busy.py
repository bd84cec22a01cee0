# SPDX-License-Identifier: MIT
"""
Safe removal: whoever uses a device, however, keeps it, and is named

For each kind of holder and each backend (test/removal.csv): logout is refused with
0xEFFF0040, the holder is told, session and device are as before, and once it has let go
the logout succeeds. ISCSIDSC_HOLDERS names other cells of that table than those of the
backends which every machine has.
"""
import contextlib
import fnmatch
import glob
import os
import subprocess
import sys
import threading
import time

import pytest

import bed
from bed import Refused, run, wait_for
from conftest import need_program, need_root
from test_nbd import socket_of
from test_session import discover, read, write

sys.path.append(os.path.join(bed.SOURCE, "scripts/lib"))
import removal  # noqa: E402

BUSY = "The session cannot be logged out since a device on that session is currently being used. "


@contextlib.contextmanager
def holding(*args):
    """A program that says "ready" when it holds what it shall hold, and lets go at the end of its input."""
    p = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = p.stdout.readline()
        assert said == "ready\n", said + p.stdout.read()
        yield p
    finally:
        with contextlib.suppress(OSError):
            p.stdin.close()
        try:
            p.wait(20)
        except subprocess.TimeoutExpired:
            p.kill()
        p.stdout.close()


def shell(script, *args):
    return holding("sh", "-c", script + "\necho ready\nread x", "sh", *args)


def python(script, *args, before=()):
    """For what a shell has no words for."""
    return holding(*before, "/usr/bin/python3", "-c", "import os, sys\n" + script + "\nprint('ready', flush=True); sys.stdin.read()", *args)


def make_small_fs(path):
    """It is there to be mounted: no time for more."""
    run("mkfs.ext4", "-q", "-F", "-E", "nodiscard", "-N", "64", path, "16M")


# ---- holders: each yields a word by which it has to be named --------------

HOLDERS = {}


def holds(*backends):
    """What can hold devices of these backends."""

    def note(f):
        for backend in backends:
            HOLDERS["%s-%s" % (backend, f.__name__)] = f
        return f

    return note


@holds("loop", "ublk")
@contextlib.contextmanager
def mounted(device, service):
    make_small_fs(device)
    run("mount", device, service.mnt)
    try:
        yield service.mnt
    finally:
        run("umount", service.mnt)


@holds("loop", "ublk")
@contextlib.contextmanager
def mounted_read_only(device, service):
    make_small_fs(device)
    run("mount", "-o", "ro", device, service.mnt)
    try:
        yield service.mnt
    finally:
        run("umount", service.mnt)


@holds("loop", "ublk")
@contextlib.contextmanager
def mounted_in_another_namespace(device, service):
    make_small_fs(device)
    # in a changed root that is no mount point the propagation cannot be changed, nor is there need to
    private = run("unshare", "-m", "true", check=False).code == 0
    p = subprocess.Popen(["unshare", "-m", "--propagation", "private" if private else "unchanged", "sh", "-c",
                          'mount "$1" "$2" && echo ready && read x', "sh", device, service.mnt],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        assert p.stdout.readline() == "ready\n"
        assert service.mnt not in bed.mounts_below(service.mnt)
        yield service.mnt
    finally:
        p.stdin.close()
        p.wait(20)
        p.stdout.close()


@holds("loop", "ublk", "fuse")
@contextlib.contextmanager
def open_for_reading(device, service):
    with shell('exec 3<"$1"', device) as p:
        yield str(p.pid)


@holds("loop", "ublk", "fuse")
@contextlib.contextmanager
def open_for_writing(device, service):
    with shell('exec 3<>"$1"', device) as p:
        yield str(p.pid)


@holds("loop", "ublk")
@contextlib.contextmanager
def open_exclusively(device, service):
    with python("os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)", device) as p:
        yield str(p.pid)


@holds("loop", "ublk")
@contextlib.contextmanager
def swapped_on(device, service):
    run("mkswap", device)
    r = run("swapon", device, check=False)
    if r.code != 0:
        pytest.skip("no swap here: " + r.out.strip())
    try:
        yield device
    finally:
        run("swapoff", device)


@holds("loop", "ublk", "fuse")
@contextlib.contextmanager
def looped_on_top(device, service):
    top = run("losetup", "--show", "-f", device).out.strip()
    try:
        yield top
    finally:
        run("losetup", "-d", top)


@holds("loop", "ublk")
@contextlib.contextmanager
def mapped_on_top(device, service):
    name = "isd-test-%d" % os.getpid()
    n = run("blockdev", "--getsz", device).out.strip()
    r = run("dmsetup", "create", name, "--noudevsync", "--table", "0 %s linear %s 0" % (n, device), check=False)
    if r.code != 0:
        pytest.skip("no device mapper here: " + r.out.strip().splitlines()[0])
    try:
        yield name
    finally:
        run("dmsetup", "remove", "--noudevsync", name)


@holds("loop", "ublk")
@contextlib.contextmanager
def partition_mounted(device, service):
    run("sfdisk", "-q", "--wipe", "always", device, stdin="size=32M, type=L\n", check=False)
    run("partx", "-a", device, check=False)
    part = device + "p1"
    # partx returns when the kernel has it; the node may be made by somebody else
    if not glob.glob("/sys/block/%s/*p1" % os.path.basename(device)):
        pytest.skip("this kernel makes no partitions on such devices")
    wait_for(lambda: os.path.exists(part), 5, "the partition")
    make_small_fs(part)
    run("mount", part, service.mnt)
    try:
        yield service.mnt
    finally:
        run("umount", service.mnt)
        run("partx", "-d", device, check=False)


@holds("loop", "ublk", "fuse")
@contextlib.contextmanager
def bound_elsewhere(device, service):
    place = os.path.join(service.directory, "bound")
    if os.path.isfile(device):
        open(place, "w").close()
        run("mount", "--bind", device, place)
    else:
        os.mkdir(place)
        make_small_fs(device)
        run("mount", device, service.mnt)
        run("mount", "--bind", os.path.join(service.mnt, "lost+found"), place)
        run("umount", service.mnt)
    try:
        yield place
    finally:
        run("umount", place)
        (os.rmdir if os.path.isdir(place) else os.unlink)(place)


@holds("loop", "ublk")
@contextlib.contextmanager
def unmounted_lazily(device, service):
    make_small_fs(device)
    run("mount", device, service.mnt)
    with shell('exec 3>"$1/file"', service.mnt) as p:
        run("umount", "-l", service.mnt)
        yield str(p.pid)


@holds("loop", "ublk")
@contextlib.contextmanager
def raided_on_top(device, service):
    if run("which", "mdadm", check=False).code or not os.path.exists("/proc/mdstat"):
        pytest.skip("no md here")
    name = "md%d" % (os.getpid() % 100 + 100)
    r = run("mdadm", "--build", "/dev/" + name, "--run", "--force", "--level=1", "--raid-devices=1", device, check=False)
    if r.code != 0:
        pytest.skip("no md here: " + r.last)
    try:
        yield name
    finally:
        run("mdadm", "--stop", "/dev/" + name)


@holds("loop", "ublk", "fuse")
@contextlib.contextmanager
def mapped_into_memory(device, service):
    script = "import mmap; f = os.open(sys.argv[1], os.O_RDONLY); m = mmap.mmap(f, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ); os.close(f)"
    with python(script, device) as p:
        yield str(p.pid)


def only_child(p):
    with open("/proc/%d/task/%d/children" % (p.pid, p.pid)) as f:
        (child,) = f.read().split()
    return child


@holds("loop", "ublk", "fuse")
@contextlib.contextmanager
def open_in_another_pid_namespace(device, service):
    with python("assert os.getpid() == 1; os.open(sys.argv[1], os.O_RDONLY)", device, before=("unshare", "--pid", "--fork")) as p:
        yield only_child(p)


@holds("loop", "ublk", "fuse")
@contextlib.contextmanager
def open_in_another_root(device, service):
    with python("os.open(sys.argv[1], os.O_RDONLY); os.chroot(sys.argv[2]); os.chdir('/')", device, service.mnt) as p:
        yield str(p.pid)


@holds("loop", "ublk", "fuse")
@contextlib.contextmanager
def passed_over_a_socket(device, service):
    script = """
import socket
ours, theirs = socket.socketpair()
if os.fork() == 0:
    socket.send_fds(theirs, [b"x"], [os.open(sys.argv[1], os.O_RDWR)])
    os._exit(0)
fds = socket.recv_fds(ours, 1, 1)[1]
os.wait()
assert len(fds) == 1
"""
    with python(script, device) as p:
        yield str(p.pid)


# To where requests would follow: who is still being greeted uses nothing yet.
CONNECT = """
import socket, struct
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
assert s.recv(18, socket.MSG_WAITALL)[:8] == b"NBDMAGIC"
s.sendall(struct.pack(">I8sII", 1, b"IHAVEOPT", 1, 0))
assert len(s.recv(134, socket.MSG_WAITALL)) == 134
"""


@holds("nbd")
@contextlib.contextmanager
def connected(device, service):
    with python(CONNECT, socket_of(device)) as p:
        yield str(p.pid)


@holds("nbd")
@contextlib.contextmanager
def connected_in_another_pid_namespace(device, service):
    with python(CONNECT, socket_of(device), before=("unshare", "--pid", "--fork")) as p:
        yield only_child(p)


# ---- cells ------------------------------------------------------------------


def assert_refused(service, session, device, kind, words):
    before = service.sessions()
    shown = socket_of(device) if "://" in device else device
    r = service.cli("LogoutTarget", session, check=1)
    assert r.last == BUSY
    told = [line for line in r.lines if line.startswith("    In use: " + shown)]
    assert told, r
    assert any(words in line for line in told), (words, told)
    with pytest.raises(Refused) as e:
        service.varlink("Logout", sessionId=session)
    assert e.value.code == 0xEFFF0040
    assert kind in [h["kind"] for h in e.value.parameters["holders"]], e.value.parameters
    # nothing was changed
    assert service.sessions() == before
    assert [d["state"] for d in service.devices(session)] == ["ready"]
    assert "In use: " + shown in service.cli("Holders", device, check=0).out


@pytest.fixture(scope="module")
def kept():
    """{backend: (service, target)} for all holders, none of which leaves anything."""
    made = {}
    yield made
    for pair in made.values():
        for one in pair:
            one.close()


@pytest.fixture
def at_backend(kept):
    """at_backend(backend): (service, target's name)"""
    need_root()
    need_program("tgtd", "tgtadm")
    used = []

    def get(backend):
        if backend not in kept:
            t = bed.Tgt().start()
            try:
                t.target("iqn.2026-11.test.whole:disk")
                t.lun()
                service = bed.Service("", backend).start()
            except BaseException:
                t.close()
                raise
            kept[backend] = service, t
            discover(service, t)
        used.append(backend)
        return kept[backend][0], "iqn.2026-11.test.whole:disk"

    yield get
    for backend in used:
        service, t = kept[backend]
        if not service.process.alive() or service.sessions():
            # it failed, and the next one shall not
            del kept[backend]
            service.close(expect_clean=False)
            t.close()


KINDS = {row["holder"]: row["kind"] for row in removal.rows_of(bed.SOURCE)}
CELLS = [c for c in HOLDERS if any(fnmatch.fnmatch(c, p) for p in os.environ.get("ISCSIDSC_HOLDERS", " ".join(removal.HOST)).split())]


@pytest.mark.parametrize("cell", CELLS)
def test_holder(at_backend, cell):
    backend, holder = cell.split("-")
    service, name = at_backend(backend)
    session = service.login(name)
    device = service.device(session, seconds=60)
    with HOLDERS[cell](device, service) as words:
        assert_refused(service, session, device, KINDS[holder], words)
        if backend != "nbd" and KINDS[holder] != "swap":
            read(device, 0, 4096)
    # who is connected goes when the service has seen it
    wait_for(lambda: service.cli("Holders", check=0).data == ["No holders"], 20, lambda: service.cli("Holders").out)
    service.logout(session)
    assert service.sessions() == [] and bed.loops_of(service.directory) == []
    assert backend == "nbd" or backend == "loop" or not os.path.exists(device)


def test_whoever_asks_is_told_of_holders(at_backend):
    service, name = at_backend("loop")
    session = service.login(name)
    device = service.device(session)
    with open_for_reading(device, service):
        assert service.json("LogoutTarget", session)["Holders"]
        for more in ((), (session,), (device,)):
            assert "In use: " + device in service.cli("Holders", *more, check=0).out
    service.logout(session)


def test_data_of_a_refused_logout_is_not_lost(service, tgt):
    """Dirty pages before, writes after the refusal: all of it comes through."""
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    run("mkfs.ext4", "-q", "-F", device)
    run("mount", device, service.mnt)
    content = {}

    def put(name):
        content[name] = os.urandom(3 << 20)
        with open(os.path.join(service.mnt, name), "wb") as f:
            f.write(content[name])

    put("before")
    assert service.cli("LogoutTarget", session, check=1).last == BUSY
    put("after")
    run("umount", service.mnt)
    service.logout(session)
    run("e2fsck", "-fn", tgt.file)
    session = service.login(tgt.name)
    run("mount", "-o", "ro", service.device(session), service.mnt)
    for name, data in content.items():
        with open(os.path.join(service.mnt, name), "rb") as f:
            assert f.read() == data
    run("umount", service.mnt)
    service.logout(session)


def test_data_in_the_page_cache_is_flushed_by_logout(service, tgt):
    """A raw write that nobody synced."""
    discover(service, tgt)
    session = service.login(tgt.name)
    data = os.urandom(8 << 20)
    fd = os.open(service.device(session), os.O_WRONLY)
    os.write(fd, data)
    os.close(fd)
    service.logout(session)
    with open(tgt.file, "rb") as f:
        assert f.read(len(data)) == data


def test_logout_against_somebody_who_opens_and_closes(service, tgt):
    """Whoever wins the race wins it whole: no half-open device, no lost session."""
    discover(service, tgt)
    refused = 0
    for _ in range(4):
        session = service.login(tgt.name)
        device = service.device(session)
        stop = threading.Event()
        errors = []

        def opener():
            while not stop.is_set():
                try:
                    fd = os.open(device, os.O_RDONLY)
                except OSError:
                    continue
                try:
                    os.pread(fd, 512, 0)
                except OSError as e:
                    # of a device that went away: an empty loop device has nothing to read
                    errors.append(e)
                finally:
                    os.close(fd)

        threads = [threading.Thread(target=opener) for _ in range(2)]
        for t in threads:
            t.start()
        end = time.monotonic() + 4
        while time.monotonic() < end:
            r = service.cli("LogoutTarget", session)
            if r.code == 0:
                break
            assert r.last in (BUSY, "Session is busy since a request is already in progress. "), r
            refused += 1
        stop.set()
        for t in threads:
            t.join()
        if r.code != 0:
            service.logout(session)
        assert service.sessions() == [] and bed.loops_of(service.directory) == []


def test_two_logouts_at_once(service, tgt):
    discover(service, tgt)
    for _ in range(5):
        session = service.login(tgt.name)
        codes = []
        threads = [threading.Thread(target=lambda: codes.append(service.json("LogoutTarget", session)["Status"])) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert codes.count(0) == 1 and all(c in (0, 0xEFFF001C, 0xEFFF001F) for c in codes), codes
        assert service.sessions() == []


def test_service_that_is_stopped_waits_for_the_holder_and_says_so(make_service, tgt):
    service = make_service("[service]\nstop_timeout = 60\n")
    discover(service, tgt)
    session = service.login(tgt.name)
    run("mkfs.ext4", "-q", "-F", service.device(session))
    run("mount", service.device(session), service.mnt)
    service.process.signal(15)
    wait_for(lambda: service.mnt in service.log(), 20, lambda: "the holder in the log:\n" + service.log()[-2000:])
    assert service.process.alive()
    with open(os.path.join(service.mnt, "x"), "w") as f:
        f.write("still here")
    run("umount", service.mnt)
    assert service.process.join(30) == 0
    assert bed.loops_of(service.directory) == []


def test_service_that_must_end_flushes_first(make_service, tgt):
    service = make_service("[service]\nstop_timeout = 1\n", expect_clean=False)
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    data = os.urandom(4 << 20)
    fd = os.open(device, os.O_RDWR)
    try:
        os.write(fd, data)
        service.process.signal(15)
        # devices were in use: its exit status says so
        assert service.process.join(60) == 3
    finally:
        os.close(fd)
    with open(tgt.file, "rb") as f:
        assert f.read(len(data)) == data
    service.process = None


def test_writes_go_on_during_refused_logouts(service, tgt):
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    fd = os.open(device, os.O_RDWR)
    try:
        data = os.urandom(64 << 10)
        for i in range(30):
            os.pwrite(fd, data, i * len(data))
            if i % 5 == 0:
                service.cli("LogoutTarget", session, check=1)
        os.fsync(fd)
    finally:
        os.close(fd)
    assert all(read(device, i * len(data), len(data)) == data for i in range(30))
    write(device, 0, bytes(4096))
    service.logout(session)
