# SPDX-License-Identifier: MIT
"""
The way to the service: when it is not there, says nonsense, says no, or is asked by
several at once.
"""
import ctypes as c
import os
import re
import stat
import threading
import time

import pytest

from calls import *
from fake_service import Error
from winapi import A, ABI, ANY_PORT, SOURCE, STATUS, Memory, detail, id_of, lib, structure, ulong


# -- the way to the service -----------------------------------------------------


def every_call(form):
    """(name, call) of every function that asks the service; each with sizes that must end as 0."""
    session, portal, version = id_of(1, 1), portal_of(form), structure("ISCSI_VERSION_INFO")()
    kept = (session, portal, version, Memory(4096), form.text(TARGET), ike_of())
    text, buffer = kept[4], kept[3]

    def sized(family, *args, n=1, before=0):
        def call():
            sizes = [ulong(3) for _ in range(n)]
            addresses = [c.addressof(s) for s in sizes]
            status = form.call(family, *args, *addresses, buffer)
            assert [s.value for s in sizes] == [0] * n, family
            return status

        return family, call

    def scsi(family, *args):
        def call():
            s = Scsi(96)
            status = getattr(lib, family)(c.addressof(session), *args, *s.args())
            assert (s.status.value, s.sizes()) == (0, (0, 0))
            return status

        return family, call

    def plain(family, *args):
        if hasattr(lib, family):
            return family, lambda: getattr(lib, family)(*args)
        return family, lambda: form.call(family, *args)

    def logins():
        size, count = ulong(3), ulong(3)
        status = form.call("ReportIScsiPersistentLogins", at(count), buffer, at(size))
        assert (size.value, count.value) == (0, 0)
        return status

    def parameters():
        size, count = ulong(3), ulong(3)
        status = lib.GetIScsiSessionListEx(at(size), at(count), buffer.addr)
        assert (size.value, count.value) == (0, 0)
        return status

    def information():
        size = ulong(3)
        status = form.call("GetIScsiTargetInformation", text, text, 1, at(size), buffer)
        assert size.value == 0
        return status

    at = c.addressof
    return kept, [
        ("GetIScsiVersionInformation", lambda: lib.GetIScsiVersionInformation(at(version))),
        ("GetIScsiInitiatorNodeName", lambda: form.call("GetIScsiInitiatorNodeName", buffer)),
        ("SetIScsiInitiatorNodeName", lambda: form.call("SetIScsiInitiatorNodeName", text)),
        sized("ReportIScsiInitiatorList"),
        ("AddIScsiSendTargetPortal", lambda: form.call("AddIScsiSendTargetPortal", None, ANY_PORT, None, 0, at(portal))),
        ("RemoveIScsiSendTargetPortal", lambda: form.call("RemoveIScsiSendTargetPortal", None, ANY_PORT, at(portal))),
        ("RefreshIScsiSendTargetPortal", lambda: form.call("RefreshIScsiSendTargetPortal", None, ANY_PORT, at(portal))),
        sized("ReportIScsiSendTargetPortals"),
        sized("ReportIScsiSendTargetPortalsEx", n=2),
        sized("ReportIScsiTargets", 0),
        sized("ReportIScsiTargetPortals", None, text, None),
        ("LoginIScsiTarget", lambda: login(form)[0]),
        ("LogoutIScsiTarget", lambda: lib.LogoutIScsiTarget(at(session))),
        sized("GetIScsiSessionList", n=2),
        sized("GetDevicesForIScsiSession", at(session)),
        scsi("SendScsiInquiry", 0, 0, 0),
        scsi("SendScsiReadCapacity", 0),
        scsi("SendScsiReportLuns"),
        plain("AddIScsiStaticTarget", text, None, 0, 0, None, None, None),
        plain("RemoveIScsiStaticTarget", text),
        ("GetIScsiTargetInformation", information),
        plain("AddIScsiConnection", at(session), None, ANY_PORT, None, 0, None, 0, None, None),
        plain("RemoveIScsiConnection", at(session), at(session)),
        ("GetIScsiSessionListEx", parameters),
        sized("ReportActiveIScsiTargetMappings", n=2),
        ("ReportIScsiPersistentLogins", logins),
        plain("RemoveIScsiPersistentTarget", None, ANY_PORT, text, None),
        plain("SetupPersistentIScsiDevices"),
        plain("SetupPersistentIScsiVolumes"),
        plain("AddPersistentIScsiDevice", text),
        plain("RemovePersistentIScsiDevice", text),
        plain("ClearPersistentIScsiDevices"),
        sized("ReportPersistentIScsiDevices"),
        plain("SetIScsiInitiatorCHAPSharedSecret", 4, b"abcd"),
        plain("SetIScsiInitiatorRADIUSSharedSecret", 4, b"abcd"),
        plain("AddRadiusServer", text),
        plain("RemoveRadiusServer", text),
        sized("ReportRadiusServerList"),
        plain("SetIScsiGroupPresharedKey", 4, b"abcd", 0),
        plain("SetIScsiIKEInfo", None, ANY_PORT, at(kept[5]), 0),
        plain("GetIScsiIKEInfo", None, ANY_PORT, None, at(kept[5])),
        plain("SetIScsiTunnelModeOuterAddress", None, ANY_PORT, None, None, 0),
        plain("AddISNSServer", text),
        plain("RemoveISNSServer", text),
        plain("RefreshISNSServer", text),
        sized("ReportISNSServerList"),
    ]


def methods():
    """Of the interface, those that a call of the library asks for."""
    with open(os.path.join(SOURCE, "doc/io.iscsidsc.Initiator.varlink")) as f:
        return set(re.findall(r"^method (\w+)\(", f.read(), re.M)) - {"ListHolders", "LogoutByForce", "Subscribe", "RescanSession", "GetStatistics"}


METHODS = methods()


def test_service_absent(monkeypatch, tmp_path, form):
    monkeypatch.setenv("ISCSIDSC_SOCKET", str(tmp_path / "none"))
    kept, calls = every_call(form)
    for name, call in calls:
        assert call() == NO_SERVICE, name
        assert str(tmp_path / "none") in detail()
        assert kept[3].untouched()


def test_socket_path_that_is_too_long(monkeypatch):
    for n in (150, 5000):  # more than a socket address has room for, more than a path may have
        monkeypatch.setenv("ISCSIDSC_SOCKET", "/" * n)
        assert lib.SetIScsiInitiatorNodeNameA(None) == NO_SERVICE
        assert "too long" in detail()


def test_nobody_listens_on_the_socket(monkeypatch, service, form):
    service.stop()
    size = ulong(0)
    assert form.call("ReportIScsiTargets", 0, c.addressof(size), None) == NO_SERVICE


@pytest.mark.parametrize("raw", (b"", b"{", b'{"parameters":', b'{"parameters":{}}', b"nonsense\0", b"[]\0", b'"x"\0', b"\0", b'{"parameters":1}\0',
                                 b'{"parameters":{"a":1,"a":2}}\0', b'{"error":5}\0', b'{"parameters":{},"continues":true}\0', b"\xff\xfe\0"))  # fmt: skip
def test_service_hangs_up_or_talks_nonsense(service, form, raw):
    """Nothing, half a reply, a reply without its end, and what is no reply at all."""
    for method in METHODS:
        service.replies[method] = raw
    kept, calls = every_call(form)
    for name, call in calls:
        assert call() == NO_SERVICE, name
        assert detail()
        assert kept[3].untouched()


def test_service_sends_more_than_a_message_may_have(service):
    service.replies["ListTargets"] = b'{"parameters":{"targets":["' + b"x" * (17 << 20)
    size = ulong(0)
    assert lib.ReportIScsiTargetsW(0, c.addressof(size), None) == NO_SERVICE
    assert size.value == 0


def test_reply_of_many_entries(service, form):
    names = ["iqn.2026-11.local.disk:%06d" % i for i in range(50000)]
    service.replies["ListTargets"] = {"targets": names, "status": 0}
    size = ulong(0)
    assert form.call("ReportIScsiTargets", 0, c.addressof(size), None) == TOO_SMALL
    buffer = Memory(size.value * form.unit)
    assert form.call("ReportIScsiTargets", 0, c.addressof(size), buffer) == OK
    assert form.names(buffer.bytes()) == names


@pytest.mark.parametrize("status", (0xEFFF0009, 0xAFFF003B, 5, 0xFFFFFFFF))
def test_status_of_the_service_is_passed_on(service, form, status):
    for method in METHODS:
        service.replies[method] = Error(status, "Grund: \u00e9")
    kept, calls = every_call(form)
    for name, call in calls:
        assert call() == status, name
        assert detail() == "Grund: \u00e9"
        assert kept[3].untouched()


@pytest.mark.parametrize("error,status", (
    (Error(name="org.varlink.service.MethodNotFound"), ABSENT),
    (Error(name="org.varlink.service.MethodNotImplemented"), ABSENT),
    (Error(name="org.varlink.service.InvalidParameter"), INVALID),
    (Error(name="org.varlink.service.PermissionDenied"), 5),
    (Error(name="org.varlink.service.ExpectedMore"), 0xEFFF0001),
    (Error(name="com.example.Status"), 0xEFFF0001),
    (Error(), 0xEFFF0001),
    (Error(-1), 0xEFFF0001),
    (Error(1 << 32), 0xEFFF0001),
    (Error("5"), 0xEFFF0001),
))  # fmt: skip
def test_errors_of_the_service(service, error, status):
    service.replies["SetNodeName"] = error
    assert lib.SetIScsiInitiatorNodeNameA(None) == status
    assert detail()


@pytest.mark.skipif(os.geteuid() != 0, reason="must be root to become someone else")
def test_socket_that_may_not_be_used(service):
    os.chmod(service.directory, 0o755)
    os.chmod(service.path, 0o600)
    pid = os.fork()
    if pid == 0:
        os.setresuid(65534, 65534, 65534)
        os._exit(0 if lib.SetIScsiInitiatorNodeNameA(None) == 5 and detail() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert not service.calls


@pytest.mark.skipif(os.geteuid() != 0, reason="must be root to become someone else")
def test_socket_of_the_user_is_used_where_the_system_has_none(service, monkeypatch, tmp_path):
    if os.path.exists("/run/iscsidsc/iscsidsc.socket"):
        pytest.skip("a service runs here")
    service.replies["SetNodeName"] = {}
    monkeypatch.delenv("ISCSIDSC_SOCKET")
    run = os.path.join(service.directory, "run")
    os.makedirs(os.path.join(run, "iscsidsc"))
    os.link(service.path, os.path.join(run, "iscsidsc/iscsidsc.socket"))
    for place in (service.directory, run, os.path.join(run, "iscsidsc")):
        os.chmod(place, 0o755)
    os.chmod(service.path, 0o666)
    monkeypatch.setenv("XDG_RUNTIME_DIR", run)
    assert lib.SetIScsiInitiatorNodeNameA(None) == NO_SERVICE  # root has no service of its own
    pid = os.fork()
    if pid == 0:
        os.setresuid(65534, 65534, 65534)
        os._exit(0 if lib.SetIScsiInitiatorNodeNameA(None) == OK else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert len(service.calls) == 1


def test_detail_is_of_the_last_call(service):
    service.replies["SetNodeName"] = Error(5, "who are you")
    lib.SetIScsiInitiatorNodeNameA(None)
    assert detail() == "who are you"
    assert lib.LogoutIScsiTarget(None) == INVALID
    assert "sessionId" in detail()
    service.replies["SetNodeName"] = {}
    assert lib.SetIScsiInitiatorNodeNameA(None) == OK
    assert detail() == ""


def test_detail_that_is_too_long_is_cut_between_characters(service):
    service.replies["SetNodeName"] = Error(5, "\u20ac" * 1000, [{"text": "short"}])
    lib.SetIScsiInitiatorNodeNameA(None)
    text = detail()
    assert text.strip("\u20ac") == "" and 600 < len(text) < 700


def test_threads_do_not_meet(service):
    """Replies and details belong to the thread that called."""
    service.replies["SetNodeName"] = lambda p: Error(0xEFFF0000 + int(p["name"][1:]), p["name"])
    wrong = []

    def run(n):
        for i in range(30):
            code = n * 30 + i + 1
            status = A.call("SetIScsiInitiatorNodeName", A.text("n%d" % code))
            if status != 0xEFFF0000 + code or detail() != "n%d" % code:
                wrong.append((code, status, detail()))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def sockets():
    """Of each socket of this process: would a new program get it?"""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(fd)).st_mode):
                found.append(os.get_inheritable(int(fd)))
        except OSError:
            pass  # the descriptor of the listing itself
    return found


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_no_descriptor_is_left_or_inherited(service):
    during = []
    service.replies["SetNodeName"] = lambda p: during.append(sockets()) or {}
    before = len(sockets())
    for _ in range(20):
        assert lib.SetIScsiInitiatorNodeNameA(None) == OK
    assert max(map(len, during)) >= before + 2  # both ends
    assert not any(inherited for found in during for inherited in found)
    service.stop()
    assert lib.SetIScsiInitiatorNodeNameA(None) == NO_SERVICE
    wait_until(lambda: len(sockets()) == before - 1)  # the service's ends go a little later


def test_call_after_fork(service):
    service.replies["SetNodeName"] = {}
    assert lib.SetIScsiInitiatorNodeNameA(None) == OK
    pid = os.fork()
    if pid == 0:
        os._exit(0 if lib.SetIScsiInitiatorNodeNameA(None) == OK else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert lib.SetIScsiInitiatorNodeNameA(None) == OK
    assert service.n_connections == 3


# -- every function, texts ------------------------------------------------------


def test_every_function_is_there(service, form):
    """Each of the 46 families asks for a method of the interface, and no method is left out."""
    kept, calls = every_call(form)
    assert sorted(name for name, _ in calls) == sorted({f["family"] for f in ABI["functions"]})
    asked = set()
    for name, call in calls:
        assert call() == ABSENT, name  # the service here knows no method at all
        asked |= {method for method, _ in service.calls}
        assert len(service.calls) == 1, name
        service.calls.clear()
    assert asked | {"ListDiscoveryMechanisms"} == METHODS


def test_texts_of_statuses():
    assert lib.iscsidsc_strerror(0xEFFF003E).startswith(b"The Microsoft iSCSI Initiator Service is not running.")
    assert lib.iscsidsc_strerror(12345) == b"Unknown status."
    with open(os.path.join(SOURCE, "src/base/status.c")) as f:
        table = re.findall(r'^\t\{(0x[0-9A-F]{8}), "(\w+)", "(.*)"\},$', f.read(), re.M)
    for code, name, text in table:
        assert lib.iscsidsc_strerror(int(code, 16)).decode() == text, name
    assert {s["value"] for s in ABI["status_codes"]} <= {int(code, 16) for code, _, _ in table}
