# SPDX-License-Identifier: MIT
"""
The whole path against a target that does what no real one can be made to do

First the target itself is judged by programs that are not ours; then the service must
bring every byte where it belongs, whatever the target does.
"""
import os
import subprocess

import pytest

import bed
from bed import run, wait_for
from conftest import need_program
from test_session import read, write

FAST = "[session]\nretry_min = 100ms\nretry_max = 500ms\nnop_interval = 500ms\nnop_timeout = 1\n"


def url(t, lun=0):
    return "iscsi://127.0.0.1:%d/%s/%d" % (t.port, t.name, lun)


def options_of(t, digest):
    return "driver=iscsi,transport=tcp,portal=127.0.0.1:%d,target=%s,lun=0,header-digest=%s" % (t.port, t.name, digest)


@pytest.mark.parametrize("options", [(), ("--random-sizes", "--ping-ms", "50", "--service-ms", "2"), ("--initial-r2t", "--no-immediate", "--max-r2t", "1")])
def test_others_find_it_right(make_target, options, tmp_path):
    need_program("iscsi-ls", "iscsi-readcapacity16", "qemu-img")
    t = make_target(*options)
    assert t.name in run("iscsi-ls", "-s", "iscsi://127.0.0.1:%d" % t.port, seconds=20).out
    assert "Total size:16777216" in run("iscsi-readcapacity16", url(t), seconds=20).out
    data = os.urandom(4 << 20)
    (tmp_path / "data").write_bytes(data)
    for digest in ("none", "crc32c"):
        run("qemu-img", "convert", "-n", "-f", "raw", "--target-image-opts", tmp_path / "data", options_of(t, digest))
        with open(t.file, "rb") as f:
            assert f.read(len(data)) == data
        run("qemu-img", "convert", "-O", "raw", "--image-opts", options_of(t, digest), tmp_path / "back")
        assert (tmp_path / "back").read_bytes()[: len(data)] == data


def session_at(make_service, t):
    service = make_service(FAST)
    service.cli("AddTargetPortal", "127.0.0.1", t.port, check=0)
    session = service.login(t.name)
    return service, session, service.device(session)


OPTIONS = [
    ("plain", ()),
    ("digests", ("--digests", "require")),
    ("small", ("--mrdsl", "512", "--burst", "2048", "--first-burst", "512", "--window", "3", "--random-sizes", "--service-ms", "3")),
    ("r2t", ("--initial-r2t", "--no-immediate", "--max-r2t", "8", "--burst", "16384")),
    ("login", ("--login-chunk", "30", "--login-rounds", "--ping-ms", "20")),
]


@pytest.mark.parametrize("options", [o for _, o in OPTIONS], ids=[n for n, _ in OPTIONS])
def test_every_byte_arrives(make_service, make_target, options):
    t = make_target(*options)
    service, session, device = session_at(make_service, t)
    data = os.urandom(1 << 20)
    write(device, 12345 * 4, data)
    with open(t.file, "rb") as f:
        f.seek(12345 * 4)
        assert f.read(len(data)) == data
    run("blockdev", "--flushbufs", device)
    assert read(device, 12345 * 4, len(data)) == data
    service.logout(session)
    assert t.complaints() == []
    assert t.stats()["sessions"] == 0


MISDEEDS = [
    "data-in 2 datasn 1", "data-in 3 offset 512", "data-in 2 length 4", "data-in 2 itt", "data-in 2 half", "data-in 1 close", "data-in 2 corrupt-data",
    "data-in 1 corrupt-header", "data-in 2 duplicate", "r2t 1 offset 4096", "r2t 1 length 1048576", "r2t 1 itt", "r2t 2 datasn 3", "response 1 statsn 7", "response 2 duplicate",
    "response 1 itt", "response 1 close", "command 2 early-status 0x08", "command 3 busy 0x08", "command 2 busy 0x28", "command 2 close", "response 1 opcode 0x2e",
    "command 1 async 2", "command 1 async 3", "command 2 async 1", "command 1 async 4", "command 1 async 5", "command 1 async 255", "response 1 window 0", "data-out 1 close",
    "response 2 delay 400", "data-in 2 delay 400", "r2t 1 delay 400",
]  # fmt: skip


# Each costs Time2Wait: a few of every kind are enough in a hurry.
@pytest.mark.parametrize("misdeed", [m if i % 4 == 0 else pytest.param(m, marks=pytest.mark.slow) for i, m in enumerate(MISDEEDS)])
def test_no_misdeed_spoils_data(make_service, make_target, misdeed):
    t = make_target("--digests", "require", "--burst", "65536", "--first-burst", "4096", "--initial-r2t", "--mrdsl", "8192", "--time2wait", "0")
    service, session, device = session_at(make_service, t)
    data = os.urandom(1 << 19)
    done = t.stats()["misdeeds"]
    t.rule(misdeed)
    write(device, 0, data)
    run("blockdev", "--flushbufs", device)
    assert read(device, 0, len(data)) == data
    with open(t.file, "rb") as f:
        assert f.read(len(data)) == data
    assert t.stats()["misdeeds"] > done, "the rule was never met"
    t.clear()
    wait_for(lambda: service.sessions()[0]["state"] == "up", 20, "the session")
    service.logout(session)
    assert service.process.alive()


def test_cut_again_and_again_while_writing(make_service, make_target):
    t = make_target("--digests", "require", "--time2wait", "0", "--service-ms", "2")
    service, session, device = session_at(make_service, t)
    data = os.urandom(4 << 20)
    p = subprocess.Popen(["dd", "of=" + device, "bs=64k", "oflag=direct", "iflag=fullblock", "status=none"], stdin=subprocess.PIPE)
    try:
        for i in range(4):
            p.stdin.write(data[i << 20: i + 1 << 20])
            p.stdin.flush()
            t.cut()
        p.stdin.close()
        assert p.wait(90) == 0
    finally:
        p.kill()
    with open(t.file, "rb") as f:
        assert f.read(len(data)) == data
    service.logout(session)
    assert t.complaints() == []
