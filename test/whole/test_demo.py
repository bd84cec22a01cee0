# SPDX-License-Identifier: MIT
"""The demonstration does what it says, twice, and leaves nothing behind."""
import hashlib
import os

import pytest

import bed
from bed import run

DEMO = os.path.join(bed.SOURCE, "scripts/demo")


def leftovers():
    """Whatever bears the name of a demonstration's directory."""
    found = [n for n in os.listdir("/tmp") if n.startswith("iscsidsc-demo")]
    with open("/proc/self/mountinfo") as f:
        found += [line for line in f if "/iscsidsc-demo" in line]
    for name in os.listdir("/sys/block"):
        try:
            with open("/sys/block/%s/loop/backing_file" % name) as f:
                found += [x for x in f if "/iscsidsc-demo" in x]
        except OSError:
            continue
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                found += [pid for x in [f.read()] if b"iscsidsc-demo" in x]
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_twice(make_service):
    make_service(start=False)
    assert leftovers() == [], "from an earlier run, or one beside this"
    for _ in range(2):
        r = run(DEMO, check=False, seconds=400, env={**os.environ, "ISCSIDSC_BUILD": bed.BUILD})
        assert r.code == 0, r.out
        assert r.lines[-1].startswith("Done: "), r.out
        for words in ("AddTargetPortal", "Session Id is 0x", "mkfs.ext4", "    In use: ", "currently being used. ", "LogoutTarget", "sha256"):
            assert words in r.out, words
        assert leftovers() == []


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
