# SPDX-License-Identifier: MIT
"""
File systems, LVM and dm-multipath on our disks, under loads

Here with the backends that this machine's kernel can have, and in a guest whose kernel has the
others too; one guest does it all (loads_inside.py).
"""
import os
import subprocess
import time

import pytest

import bed
import guest
from bed import run, wait_for
from conftest import need_program, need_root
from loads_inside import FAST, check_fs, ended_well, load, login, make_fs, refused

pytestmark = pytest.mark.slow

SCRIPT = """
cd {build} || exit 1
export ISCSIDSC_BUILD={build} ISCSIDSC_SOURCE={source}
timeout 700 /usr/bin/python3 -B -m pytest -p no:cacheprovider -q -rs --tb=short --durations=0 {source}/test/whole/loads_inside.py > /run/out/whole 2>&1
echo $? > /run/out/whole.status
"""


def test_loads(tmp_path):
    need_root()
    guest.need_guest()
    need_program("stress-ng", "dbench", "lvm", "nbd-client", "dmsetup", "mkfs.xfs", "tgtd")
    if not os.path.exists(os.path.join(bed.BUILD, "src/device/test-device-backend-ublk")):
        pytest.skip("built without ublk")
    g = guest.Guest(guest.Kernel(str(tmp_path)), memory=2048, load=["nbd", "configfs", "target_core_mod", "iscsi_target_mod"])
    try:
        code, said = g.run(SCRIPT.format(build=bed.BUILD, source=bed.SOURCE), seconds=840)
        assert code == 0, said
        text = {name: open(os.path.join(g.out, name), errors="replace").read() for name in os.listdir(g.out)}
        assert text["whole.status"].strip() == "0", text["whole"][-8000:]
        assert " passed" in text["whole"] and "skipped" not in text["whole"], text["whole"]
        assert not g.trouble(), text["dmesg"][-8000:]
    finally:
        g.close()


@pytest.fixture
def on_loop(tmp_path):
    """on_loop(file or NBD URI): a kernel block device on it"""
    loops, fuses = [], []

    def make(name):
        if "://" in name:
            place = tmp_path / "nbd"
            place.mkdir()
            fuses.append((bed.Process(["nbdfuse", place, name], str(tmp_path / "log")), str(place)))
            name = str(place / "nbd")
            wait_for(lambda: os.path.exists(name), 20, "nbdfuse")
        loops.append(run("losetup", "-f", "--show", name).last)
        return loops[-1]

    def undo():
        while loops:
            run("losetup", "-d", loops.pop())
        while fuses:
            process, place = fuses.pop()
            wait_for(lambda: run("umount", place, check=False).code == 0, 20, "the end of " + place)
            process.join(20)

    make.undo = undo
    yield make
    undo()


@pytest.mark.parametrize("backend, fs, what", [("loop", "ext4", "stress-ng"), ("loop", "xfs", "dbench"), ("fuse", "xfs", "stress-ng"), ("nbd", "ext4", "dbench")])
def test_file_system(make_service, make_tgt, on_loop, backend, fs, what):
    need_program("stress-ng", "dbench", "mkfs.xfs", "nbdfuse", "ss")
    if subprocess.run(["grep", "-qw", fs, "/proc/filesystems"], check=False).returncode and run("modprobe", fs, check=False).code:
        pytest.skip("this kernel has no " + fs)
    t = make_tgt()
    t.name = t.target("iqn.2026-11.test.whole:loads")
    t.lun(mb=400)
    service = make_service(FAST, backend=backend)
    session, path = login(service, t)
    disk = path if backend == "loop" else on_loop(path)
    make_fs(fs, disk)
    run("mount", disk, service.mnt)
    try:
        working = load(what, service.mnt)
        for _ in range(4):
            time.sleep(0.7)
            run("ss", "-K", "dport", "=", ":%d" % t.port)
        t.restart()
        ended_well(working)
        assert refused(service, session)
    finally:
        run("umount", service.mnt)
    check_fs(fs, disk)
    on_loop.undo()
    service.logout(session)
    assert "is back" in service.log()
