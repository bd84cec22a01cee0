# SPDX-License-Identifier: MIT
"""The demonstration does what it says, twice, and leaves nothing behind."""
import hashlib
import os

import pytest

import bed
from bed import run

DEMO = os.path.join(bed.SOURCE, "scripts/demo")


def leftovers():
    with open("/proc/self/mountinfo") as f:
        mounts = {line.split()[4] for line in f}
    loops = set()
    for name in os.listdir("/sys/block"):
        if os.path.exists("/sys/block/%s/loop/backing_file" % name):
            loops.add(name)
    return mounts, loops, {n for n in os.listdir("/tmp") if n.startswith("iscsidsc-demo")}


@pytest.mark.slow
def test_twice(make_service):
    make_service(start=False)
    before = leftovers()
    for _ in range(2):
        r = run(DEMO, check=False, seconds=400, env={**os.environ, "ISCSIDSC_BUILD": bed.BUILD})
        assert r.code == 0, r.out
        assert r.lines[-1].startswith("Done: "), r.out
        for words in ("AddTargetPortal", "Session Id is 0x", "mkfs.ext4", "    In use: ", "currently being used. ", "LogoutTarget", "sha256"):
            assert words in r.out, words
        after = leftovers()
        assert after[0] <= before[0] and after[1] <= before[1] and after[2] <= before[2]


@pytest.mark.slow
def test_with_a_portal_nothing_is_written(make_service, tgt):
    make_service(start=False)
    with open(tgt.file, "r+b") as f:
        f.write(os.urandom(1 << 20))

    def digest():
        with open(tgt.file, "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()

    before = digest()
    r = run(DEMO, "--portal", "127.0.0.1:%d" % tgt.port, check=False, seconds=300, env={**os.environ, "ISCSIDSC_BUILD": bed.BUILD})
    assert r.code == 0 and r.lines[-1].startswith("Done: "), r.out
    assert digest() == before and tgt.sessions() == 0
    r = run(DEMO, "--portal", "127.0.0.1:%d" % tgt.port, "--target", tgt.name, check=False, seconds=300, env={**os.environ, "ISCSIDSC_BUILD": bed.BUILD})
    assert r.code == 0, r.out
    r = run(DEMO, "--portal", "127.0.0.1:%d" % bed.free_port(), check=False, seconds=120, env={**os.environ, "ISCSIDSC_BUILD": bed.BUILD})
    assert r.code != 0 and "Connection Failed. " in r.out, r.out
