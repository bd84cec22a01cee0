# SPDX-License-Identifier: MIT
"""
Safe removal: whoever uses a device, however, keeps it, and is named

For each kind of holder: logout is refused with 0xEFFF0040, the holder is told, session
and device are as before, and once it has let go the logout succeeds.
"""
import contextlib
import glob
import os
import subprocess
import threading
import time

import pytest

import bed
from bed import Refused, run, wait_for
from test_session import discover, read, write

BUSY = "The session cannot be logged out since a device on that session is currently being used. "


@contextlib.contextmanager
def shell(script, *args):
    """A shell that says "ready" when it holds what it shall hold, and lets go when told."""
    p = subprocess.Popen(["sh", "-c", script + "\necho ready\nread x", "sh", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True)  # fmt: skip
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


@contextlib.contextmanager
def mounted(device, service):
    run("mkfs.ext4", "-q", "-F", device)
    run("mount", device, service.mnt)
    try:
        yield "mount", service.mnt
    finally:
        run("umount", service.mnt)


@contextlib.contextmanager
def mounted_read_only(device, service):
    run("mkfs.ext4", "-q", "-F", device)
    run("mount", "-o", "ro", device, service.mnt)
    try:
        yield "mount", service.mnt
    finally:
        run("umount", service.mnt)


@contextlib.contextmanager
def mounted_in_another_namespace(device, service):
    run("mkfs.ext4", "-q", "-F", device)
    # in a changed root that is no mount point the propagation cannot be changed, nor is there need to
    private = run("unshare", "-m", "true", check=False).code == 0
    p = subprocess.Popen(["unshare", "-m", "--propagation", "private" if private else "unchanged", "sh", "-c",
                          'mount "$1" "$2" && echo ready && read x', "sh", device, service.mnt],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        if p.stdout.readline() != "ready\n":
            pytest.skip("no mount namespaces here")
        assert service.mnt not in bed.mounts_below(service.mnt)
        yield "mount", service.mnt
    finally:
        p.stdin.close()
        p.wait(20)
        p.stdout.close()


@contextlib.contextmanager
def open_for_reading(device, service):
    with shell('exec 3<"$1"', device) as p:
        yield "open", str(p.pid)


@contextlib.contextmanager
def open_for_writing(device, service):
    with shell('exec 3<>"$1"', device) as p:
        yield "open", str(p.pid)


@contextlib.contextmanager
def open_exclusively(device, service):
    script = "import os,sys; os.open(sys.argv[1], os.O_RDWR | os.O_EXCL); print('ready', flush=True); sys.stdin.read()"
    p = subprocess.Popen(["/usr/bin/python3", "-c", script, device], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == "ready\n"
        yield "open", str(p.pid)
    finally:
        p.stdin.close()
        p.wait(20)
        p.stdout.close()


@contextlib.contextmanager
def swapped_on(device, service):
    run("mkswap", device)
    r = run("swapon", device, check=False)
    if r.code != 0:
        pytest.skip("no swap here: " + r.out.strip())
    try:
        yield "swap", device
    finally:
        run("swapoff", device)


@contextlib.contextmanager
def looped_on_top(device, service):
    top = run("losetup", "--show", "-f", device).out.strip()
    try:
        yield "loop", top
    finally:
        run("losetup", "-d", top)


@contextlib.contextmanager
def mapped_on_top(device, service):
    name = "isd-test-%d" % os.getpid()
    n = run("blockdev", "--getsz", device).out.strip()
    r = run("dmsetup", "create", name, "--noudevsync", "--table", "0 %s linear %s 0" % (n, device), check=False)
    if r.code != 0:
        pytest.skip("no device mapper here: " + r.out.strip().splitlines()[0])
    try:
        yield "dm", name
    finally:
        run("dmsetup", "remove", "--noudevsync", name)


@contextlib.contextmanager
def partition_mounted(device, service):
    run("sfdisk", "-q", "--wipe", "always", device, stdin="size=32M, type=L\n", check=False)
    run("partx", "-a", device, check=False)
    part = device + "p1"
    # partx returns when the kernel has it; the node may be made by somebody else
    if not glob.glob("/sys/block/%s/*p1" % os.path.basename(device)):
        pytest.skip("this kernel makes no partitions on loop devices")
    wait_for(lambda: os.path.exists(part), 5, "the partition")
    run("mkfs.ext4", "-q", "-F", part)
    run("mount", part, service.mnt)
    try:
        yield "mount", service.mnt
    finally:
        run("umount", service.mnt)
        run("partx", "-d", device, check=False)


HOLDERS = [mounted, mounted_read_only, mounted_in_another_namespace, open_for_reading, open_for_writing, open_exclusively, swapped_on,
           looped_on_top, mapped_on_top, partition_mounted]  # fmt: skip


def assert_refused(service, session, device, kind, words):
    before = service.sessions()
    r = service.cli("LogoutTarget", session, check=1)
    assert r.last == BUSY
    told = [line for line in r.lines if line.startswith("    In use: " + device)]
    assert told, r
    assert any(words in line for line in told), (words, told)
    with pytest.raises(Refused) as e:
        service.varlink("Logout", sessionId=session)
    assert e.value.code == 0xEFFF0040
    assert kind in [h["kind"] for h in e.value.parameters["holders"]], e.value.parameters
    assert service.json("LogoutTarget", session)["Holders"]
    # nothing was changed
    assert service.sessions() == before
    assert [d["state"] for d in service.devices(session)] == ["ready"]
    assert "In use: " + device in service.cli("Holders", check=0).out
    assert "In use: " + device in service.cli("Holders", session, check=0).out
    assert "In use: " + device in service.cli("Holders", device, check=0).out


@pytest.mark.parametrize("hold", HOLDERS, ids=lambda h: h.__name__)
def test_holder(service, tgt, hold):
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    with hold(device, service) as (kind, words):
        assert_refused(service, session, device, kind, words)
        if kind != "swap":
            read(device, 0, 4096)
    assert service.cli("Holders", check=0).data == ["No holders"]
    service.logout(session)
    assert service.sessions() == [] and bed.loops_of(service.directory) == []


@contextlib.contextmanager
def file_open(path, service):
    with shell('exec 3<"$1"', path) as p:
        yield "open", str(p.pid)


@contextlib.contextmanager
def file_mapped(path, service):
    script = ("import mmap,os,sys; f=os.open(sys.argv[1], os.O_RDONLY); m=mmap.mmap(f, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ); os.close(f);"
              "print('ready', flush=True); sys.stdin.read()")  # fmt: skip
    p = subprocess.Popen(["/usr/bin/python3", "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if p.stdout.readline() != "ready\n":
            pytest.skip("files of this backend cannot be mapped")
        yield "open", str(p.pid)
    finally:
        p.stdin.close()
        p.wait(20)
        p.stdout.close()


@pytest.mark.parametrize("hold", (file_open, file_mapped, looped_on_top), ids=lambda h: h.__name__)
def test_holder_of_a_file(make_service, tgt, hold):
    service = make_service(backend="fuse")
    discover(service, tgt)
    session = service.login(tgt.name)
    path = service.device(session)
    with hold(path, service) as (kind, words):
        assert_refused(service, session, path, kind, words)
    service.logout(session)
    assert not os.path.exists(path)


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
