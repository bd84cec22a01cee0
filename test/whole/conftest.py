# SPDX-License-Identifier: MIT
"""
Fixtures of the whole-program tests

ISCSIDSC_BUILD is the build directory; without it build/ of the tree. Everything
needs root (loop devices, mounts) but the tests of the command line's layout.
"""
import os
import shutil
import signal
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "abi")]
sys.dont_write_bytecode = True

import bed  # noqa: E402

# The interpreter may run with a sanitizer's run time for the library's sake; the
# programs that it starts bring their own.
os.environ.pop("LD_PRELOAD", None)
if "ISCSIDSC_ASAN_OPTIONS" in os.environ:
    os.environ["ASAN_OPTIONS"] = os.environ["ISCSIDSC_ASAN_OPTIONS"]
os.environ.setdefault("ISCSIDSC_LIBRARY", bed.LIBRARY)
os.environ.setdefault("ISCSIDSC_SOURCE", bed.SOURCE)
os.environ["LC_ALL"] = "C.UTF-8"
os.environ["PATH"] += ":/usr/sbin:/sbin"

SECONDS, SECONDS_SLOW = 180, 900


def pytest_configure(config):
    def terminated(*_):
        # so that fixtures take away what they made
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminated)
    config.addinivalue_line("markers", "slow: takes long; left out by scripts/check --quick")
    if not os.path.exists(bed.CLI):
        raise pytest.UsageError("%s is not built; ISCSIDSC_BUILD says which build directory" % bed.CLI)


def pytest_collection_modifyitems(items):
    """The cheap ones first, so that what is broken is known soon."""
    order = ["test_cli", "test_service", "test_all_calls", "test_client_rules", "test_discovery", "test_targets", "test_session", "test_udev", "test_persistent", "test_restart", "test_bound", "test_user", "test_security", "test_scsi", "test_connections", "test_events", "test_upkeep", "test_go",
             "test_busy", "test_force", "test_attention", "test_paths", "test_cache", "test_errno", "test_io", "test_nbd", "test_recovery", "test_swap",
             "test_scale", "test_store", "test_crowd", "test_races", "test_wire", "test_lio", "test_ublk", "test_boot", "test_loads", "test_install", "test_demo"]  # fmt: skip

    def cost(item):
        name = item.module.__name__
        return (item.get_closest_marker("slow") is not None, next((i for i, o in enumerate(order) if name.startswith(o)), 99))

    items.sort(key=cost)


@pytest.fixture(autouse=True)
def deadline(request):
    """No test takes for ever."""
    seconds = SECONDS_SLOW if request.node.get_closest_marker("slow") else SECONDS

    def late(*_):
        raise bed.Late("the test takes longer than %d s" % seconds)

    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


def need_root():
    if os.geteuid() != 0:
        pytest.skip("needs root, for loop devices and mounts")
    if not os.path.exists("/dev/loop-control"):
        pytest.skip("there are no loop devices here")


def need_program(*names):
    for name in names:
        if not shutil.which(name):
            pytest.skip("%s is not installed" % name)


@pytest.fixture
def make_tgt():
    """Real targets by the dozen. Those that make_service started end before these do."""
    made = []

    def make(in_memory=False):
        need_program("tgtd", "tgtadm")
        t = bed.Tgt(in_memory)
        made.append(t)
        return t.start()

    make.made = made
    yield make
    for t in reversed(made):
        t.close()


@pytest.fixture
def make_service(make_tgt):
    """Services by the dozen: make_service(config=..., backend=...)."""
    need_root()
    made = []

    def make(config="", backend=None, start=True, expect_clean=True, inside=()):
        # not what this machine's kernel happens to have
        s = bed.Service(config, backend or "loop", inside)
        made.append((s, expect_clean))
        return s.start() if start else s

    yield make
    errors = []
    for t in make_tgt.made:
        t.go_on()
    for s, expect_clean in reversed(made):
        try:
            s.close(expect_clean)
        except AssertionError as e:
            errors.append(str(e))
    assert not errors, "\n".join(errors)


@pytest.fixture(scope="session")
def guest_image(tmp_path_factory):
    import lio

    lio.need_lio()
    return lio.make_image(str(tmp_path_factory.mktemp("guest")))


@pytest.fixture
def make_lio(guest_image):
    """Guests with Linux's own target; those that make_service started end before these do."""
    import lio

    made = []

    def make(**options):
        guest = lio.Lio(guest_image, **options)
        made.append(guest)
        return guest.start()

    yield make
    errors = []
    for guest in made:
        try:
            guest.close()
        except AssertionError as e:
            errors.append(str(e))
    assert not errors, "\n".join(errors)


@pytest.fixture
def service(make_service):
    return make_service()


@pytest.fixture
def tgt(make_tgt):
    """One target with one disk of 64 MiB, LUN 1."""
    t = make_tgt()
    t.name = t.target("iqn.2026-11.test.whole:disk")
    t.file = t.lun()
    return t


@pytest.fixture
def make_target():
    """target.Target, the one that misbehaves on request; ended with the test."""
    import target

    made = []

    def make(*options, **more):
        t = target.Target(*options, **more)
        made.append(t)
        return t

    yield make
    for t in made:
        t.close()


@pytest.fixture
def make_peer():
    """peer.Peer, ended with the test."""
    import peer

    made = []

    def make(serve, listen=True):
        p = peer.Peer(serve, listen)
        made.append(p)
        return p

    yield make
    for p in made:
        p.close()


@pytest.fixture
def fake():
    """A service that says what the test wants, and iscsicli for it."""
    from fake_service import FakeService

    f = FakeService()
    f.replies["GetVersion"] = {"major": 10, "minor": 0, "build": 1, "product": "iscsidsc"}
    f.env = {**os.environ, "ISCSIDSC_SOCKET": f.path}

    def cli(*args, check=None, stdin=None):
        r = bed.run(bed.CLI, *args, env=f.env, check=False, stdin=stdin)
        assert check is None or r.code == check, r
        return r

    f.cli = cli
    yield f
    f.close()


@pytest.fixture
def api(service, monkeypatch):
    """The library in this process, speaking to the test's service."""
    needed = subprocess.run(["ldd", bed.LIBRARY], capture_output=True, text=True).stdout
    with open("/proc/self/maps") as f:
        maps = f.read()
    for runtime in ("libasan", "libtsan"):
        if runtime in needed and runtime not in maps:
            pytest.skip("the library has a sanitizer, the interpreter has not: set LD_PRELOAD to %s.so" % runtime)
    monkeypatch.setenv("ISCSIDSC_SOCKET", service.socket)
    import api as module

    return module
