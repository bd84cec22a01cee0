# SPDX-License-Identifier: MIT
"""
Our disks under what people put on them: run by test_loads.py inside a guest

ext4 and xfs under the loads of stress-ng and dbench, LVM and dm-multipath on top, with disks of
tgt and of Linux's own target. Whatever is done to them, the file system checkers find
nothing, and a logout knows who uses the disk.
"""
import os
import re
import signal
import subprocess
import time

import pytest

from bed import Refused, run, wait_for
from test_session import discover

BUSY = 0xEFFF0040
LIO = "iqn.2026-11.test.lio:loads"
CONFIGFS = "/sys/kernel/config/target"
FAST = "[session]\nretry_min = 100ms\nretry_max = 500ms\n"


def put(value, *path):
    with open(os.path.join(*path), "w") as f:
        f.write(value)


class Lio:
    """The guest's own kernel as a target: a disk of 400 MiB, in memory, with a write cache that is told of."""

    group = os.path.join(CONFIGFS, "iscsi", LIO, "tpgt_1")
    store = os.path.join(CONFIGFS, "core/fileio_0/loads")
    name = LIO
    port = 3299

    def __init__(self, tmp_path):
        if not os.path.isdir(CONFIGFS):
            subprocess.run(["mount", "-t", "configfs", "none", "/sys/kernel/config"], check=False, capture_output=True)
        assert os.path.isdir(CONFIGFS), "the guest has no LIO"
        path = str(tmp_path / "store")
        with open(path, "wb") as f:
            f.truncate(400 << 20)
        os.makedirs(self.store)
        put("fd_dev_name=%s,fd_dev_size=%d,fd_buffered_io=1" % (path, 400 << 20), self.store, "control")
        put("loads", self.store, "wwn/vpd_unit_serial")
        put("1", self.store, "enable")
        put("1", self.store, "attrib/emulate_tpu")
        self.portal = os.path.join(self.group, "np/127.0.0.1:%d" % self.port)
        os.makedirs(self.portal)
        self.lun = os.path.join(self.group, "lun/lun_0")
        os.mkdir(self.lun)
        os.symlink(self.store, os.path.join(self.lun, "store"))
        for name, value in (("authentication", "0"), ("generate_node_acls", "1"), ("cache_dynamic_acls", "1"), ("demo_mode_write_protect", "0")):
            put(value, self.group, "attrib", name)
        self.enable(True)

    def enable(self, enable):
        put("1" if enable else "0", self.group, "enable")

    def close(self):
        self.enable(False)
        os.unlink(os.path.join(self.lun, "store"))
        for path in (self.lun, self.portal, self.group, os.path.dirname(self.group), self.store):
            os.rmdir(path)


@pytest.fixture
def lio(tmp_path):
    made = Lio(tmp_path)
    yield made
    made.close()


@pytest.fixture
def big(make_tgt):
    """tgt with a disk of 400 MiB"""
    t = make_tgt()
    t.name = t.target("iqn.2026-11.test.whole:loads")
    t.lun(mb=400)
    return t


@pytest.fixture
def attach():
    """/dev/nbd0 on the socket of a unit, by the client that everybody has"""
    made = []

    def make(uri):
        socket = re.search(r"socket=([^&]+)", uri).group(1)
        node = "/dev/nbd%d" % len(made)
        run("nbd-client", "-unix", socket, node, "-N", "", "-C", "2")
        made.append(node)
        return node

    make.detach = lambda node: run("nbd-client", "-d", node)
    yield make
    for node in made:
        subprocess.run(["nbd-client", "-d", node], capture_output=True, check=False)


def make_fs(kind, path):
    run(*(["mkfs.ext4", "-q", "-E", "nodiscard"] if kind == "ext4" else ["mkfs.xfs", "-q", "-f", "-K"]), path)


def check_fs(kind, path):
    """Clean without any repair."""
    run(*(["e2fsck", "-fn"] if kind == "ext4" else ["xfs_repair", "-n"]), path, seconds=120)


LOADS = {
    "stress-ng": lambda mnt: ["stress-ng", "--temp-path", mnt, "--hdd", "1", "--hdd-bytes", "24m", "--hdd-write-size", "256k", "--hdd-opts", "fsync,wr-rnd", "--dir", "1", "--dirdeep", "1",
                              "--dirdeep-inodes", "1k", "--link", "1", "--rename", "1", "--fallocate", "1", "--fallocate-bytes", "16m", "--seek", "1", "--seek-size", "16m",
                              "--timeout", "8s", "--verify"],
    "dbench": lambda mnt: ["dbench", "-D", mnt, "-t", "8", "-s", "2"],
}  # fmt: skip


def load(kind, mnt):
    return subprocess.Popen(LOADS[kind](mnt), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def ended_well(process, seconds=240):
    try:
        out, _ = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, out[-4000:]


def login(service, target, backend="ublk", attach=None):
    """(session, what programs use)"""
    discover(service, target)
    session = service.login(target.name)
    path = service.device(session, seconds=60)
    return session, attach(path) if backend == "nbd" else path


def refused(service, session):
    with pytest.raises(Refused) as e:
        service.varlink("Logout", sessionId=session)
    assert e.value.code == BUSY
    return str(e.value)


@pytest.mark.parametrize("backend, where, fs, what", [("ublk", "big", "ext4", "stress-ng"), ("ublk", "lio", "xfs", "dbench"),
                                                      ("nbd", "big", "xfs", "stress-ng"), ("nbd", "lio", "ext4", "dbench")])  # fmt: skip
def test_file_system(make_service, attach, request, backend, where, fs, what):
    target = request.getfixturevalue(where)
    service = make_service(FAST, backend=backend)
    session, path = login(service, target, backend, attach)
    make_fs(fs, path)
    run("mount", path, service.mnt)
    working = load(what, service.mnt)
    time.sleep(2)
    # the session is lost under it, and comes back
    if where == "lio":
        target.enable(False)
        time.sleep(0.5)
        target.enable(True)
    else:
        target.restart()
    ended_well(working)
    assert refused(service, session)
    run("fstrim", service.mnt, check=False)
    run("umount", service.mnt)
    check_fs(fs, path)
    if backend == "nbd":
        attach.detach(path)
    service.logout(session)
    assert "is back" in service.log()


def test_lvm_on_top(make_service, big, tmp_path):
    big.lun(lun=2, mb=200)
    service = make_service(FAST, backend="ublk")
    discover(service, big)
    session = service.login(big.name)
    disks = [service.device(session, lun, seconds=60) for lun in (1, 2)]
    # only our disks, and nothing of the machine
    conf = ["--config", 'devices { filter=[%s,"r|.*|"] types=["ublk",16] use_devicesfile=0 dir="/dev" scan="/dev" external_device_info_source="none" obtain_device_list_from_udev=0 } '
            "activation { udev_sync=0 udev_rules=0 } global { locking_dir=\"%s\" } backup { backup=0 archive=0 }" % (",".join('"a|^%s$|"' % d for d in disks), tmp_path)]  # fmt: skip

    def lvm(*args):
        return run("lvm", args[0], *conf, *args[1:])

    lvm("vgcreate", "-y", "isdvg", *disks)
    lvm("lvcreate", "-y", "-Wn", "-Zn", "-i", "2", "-L", "128M", "-n", "striped", "isdvg")
    lvm("vgmknodes")
    volume = "/dev/mapper/isdvg-striped"
    run("dmsetup", "mknodes")
    make_fs("ext4", volume)
    run("mount", volume, service.mnt)
    working = load("stress-ng", service.mnt)
    time.sleep(2)
    big.restart()
    ended_well(working)
    run("umount", service.mnt)
    # nothing is mounted, but the volume has the disks
    assert "isdvg-striped" in refused(service, session)
    check_fs("ext4", volume)
    lvm("vgchange", "-an", "isdvg")
    service.logout(session)


def paths_of(node):
    return re.findall(r" (\d+:\d+) ([AF]) ", run("dmsetup", "status", node).out)


def test_dm_multipath_on_top(make_service, make_tgt):
    """Two disks that are one, each with a session of its own; the kernel's own multipath on top."""
    service = make_service("[session]\nretry_min = 100ms\nretry_max = 500ms\nhold_time = 1\n", backend="ublk")
    targets, sessions, disks = [], [], []
    store = None
    for i in range(2):
        t = make_tgt()
        t.name = t.target("iqn.2026-11.test.whole:path%d" % i)
        store = t.lun(mb=400, path=store)
        discover(service, t)
        targets.append(t)
        sessions.append(service.login(t.name))
        disks.append(service.device(sessions[-1], seconds=60))
    sectors = int(run("blockdev", "--getsz", disks[0]).out)
    table = "0 %d multipath 3 queue_if_no_path queue_mode bio 0 2 1 round-robin 0 1 1 %s 100 round-robin 0 1 1 %s 100" % (sectors, *disks)
    run("dmsetup", "create", "isdmp", "--table", table)
    run("dmsetup", "mknodes")
    node = "/dev/mapper/isdmp"
    try:
        make_fs("xfs", node)
        run("mount", node, service.mnt)
        working = load("stress-ng", service.mnt)
        time.sleep(2)
        targets[0].kill()
        wait_for(lambda: [s for _, s in paths_of("isdmp")] == ["F", "A"], 60, lambda: run("dmsetup", "status", "isdmp").out)
        time.sleep(1)
        targets[0].restart()
        wait_for(lambda: service.log().count("is back"), 60, service.log)
        run("dmsetup", "message", "isdmp", "0", "reinstate_path %s" % paths_of("isdmp")[0][0])
        ended_well(working)
        for session in sessions:
            assert "isdmp" in refused(service, session)
        run("umount", service.mnt)
        check_fs("xfs", node)
    finally:
        subprocess.run(["umount", service.mnt], capture_output=True, check=False)
        run("dmsetup", "remove", "--retry", "isdmp", check=False)
    for session in sessions:
        service.logout(session)
