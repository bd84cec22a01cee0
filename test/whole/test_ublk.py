# SPDX-License-Identifier: MIT
"""
The ublk backend, in a guest whose kernel has the driver

One guest runs the backend's own tests, the whole service (ublk_inside.py), and whatever can
hold a device (test_busy.py), with what the machine's own kernel may lack for that.
"""
import os

import pytest

import bed
import guest
from conftest import need_root

pytestmark = pytest.mark.slow  # a kernel is to be downloaded, and nothing in the guest is fast

SCRIPT = """
cd {build} || exit 1
export ISCSIDSC_BUILD={build} ISCSIDSC_SOURCE={source} RIG_SECONDS=500
timeout 600 src/device/test-device-backend-ublk > /run/out/backend 2>&1
echo $? > /run/out/backend.status
timeout 400 /usr/bin/python3 -B -m pytest -p no:cacheprovider -q -rs --tb=short {source}/test/whole/ublk_inside.py > /run/out/whole 2>&1
echo $? > /run/out/whole.status
export ISCSIDSC_HOLDERS="ublk-* loop-mapped_on_top loop-raided_on_top loop-swapped_on loop-partition_mounted"
timeout 300 /usr/bin/python3 -B -m pytest -p no:cacheprovider -v -rs --tb=short --durations=5 {source}/test/whole/test_busy.py -k test_holder > /run/out/holders 2>&1
echo $? > /run/out/holders.status
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """{what: text} that the guest wrote, and what its kernel complained of"""
    need_root()
    guest.need_guest()
    if not os.path.exists(os.path.join(bed.BUILD, "src/device/test-device-backend-ublk")):
        pytest.skip("built without ublk")
    g = guest.Guest(guest.Kernel(str(tmp_path_factory.mktemp("kernel"))), load=["md-mod", "raid1"])
    try:
        code, said = g.run(SCRIPT.format(build=bed.BUILD, source=bed.SOURCE), seconds=870)
        assert code == 0, said
        found = {name: open(os.path.join(g.out, name), errors="replace").read() for name in os.listdir(g.out)}
        found["trouble"] = g.trouble()
        return found
    finally:
        g.close()


def test_backend(outcome):
    assert outcome["backend.status"].strip() == "0", outcome["backend"][-8000:]
    assert "[  PASSED  ]" in outcome["backend"]


def test_service(outcome):
    assert outcome["whole.status"].strip() == "0", outcome["whole"][-8000:]
    assert " passed" in outcome["whole"] and "skipped" not in outcome["whole"], outcome["whole"]


def test_holders(outcome):
    assert outcome["holders.status"].strip() == "0", outcome["holders"][-8000:]
    assert " passed" in outcome["holders"] and "SKIPPED" not in outcome["holders"], outcome["holders"]


def test_the_kernel_has_nothing_to_complain_of(outcome):
    assert not outcome["trouble"], outcome["dmesg"][-8000:]
