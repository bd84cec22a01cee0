# SPDX-License-Identifier: MIT
"""
Many threads over many functions at once: each gets what belongs to its own call, in its
own buffers.
"""
import ctypes as c
import threading

import pytest

from calls import *
from fake_service import Error
from test_kept import login_json
from test_targets import mapping_json
from winapi import A, ANY_PORT, W, Memory, detail, id_of, lib, structure, ulong

N_THREADS, N_ROUNDS = 16, 12


@pytest.fixture
def echo(service):
    """A service whose answers tell who asked."""
    service.replies.update({
        "ListTargetPortals": lambda p: {"portals": [{"portal": {"symbolicName": "", "address": p["targetName"], "socket": 1}, "portalGroup": 1}]},
        "GetTargetInformation": lambda p: {"information": {**{k: None for k in ("mapping", "loginOptions")}, "targetAlias": p["targetName"]}},
        "ListDiscoveryMechanisms": lambda p: {"mechanisms": [p["targetName"], p["targetName"]]},
        "Login": lambda p: {"sessionId": p["targetName"] + "-1", "connectionId": p["targetName"] + "-2"},
        "AddConnection": lambda p: {"connectionId": p["sessionId"]},
        "GetIkeInfo": lambda p: {"securityFlags": int(p["identity"]["id"], 16)},
        "ListDevices": lambda p: Error(0xEFFF001C, p["sessionId"]),
        "ListPersistentLogins": lambda p: {"logins": [login_json(i, mapping=mapping_json(i)) for i in range(20)]},
        "AddStaticTarget": lambda p: Error(5, p["targetAlias"]),
        "SetChapSecret": lambda p: Error(87, p["secret"]),
    })  # fmt: skip
    return service


def target_portals(form, n):
    element = form.structure("ISCSI_TARGET_PORTAL")
    count, buffer = ulong(1), Memory(c.sizeof(element))
    assert form.call("ReportIScsiTargetPortals", None, form.text(n), None, c.addressof(count), buffer) == OK
    assert form.of(element.from_buffer_copy(buffer.bytes()).Address) == n


def information(form, n):
    for info_class, expected in ((1, form.encode(n)), (2, form.encode(n) * 2 + bytes(form.unit))):
        size, buffer = ulong(len(expected)), Memory(len(expected))
        assert form.call("GetIScsiTargetInformation", form.text(n), form.text("m"), info_class, c.addressof(size), buffer) == OK
        assert buffer.bytes() == expected


def logins(form, n):
    assert login(form, target=n) == (OK, (int(n, 16), 1), (int(n, 16), 2))
    record = form.structure("PERSISTENT_ISCSI_LOGIN_INFO")
    size, count = ulong(0), ulong(0)
    call = lambda buffer: form.call("ReportIScsiPersistentLogins", c.addressof(count), buffer, c.addressof(size))
    assert call(None) == TOO_SMALL
    buffer = Memory(size.value)
    assert call(buffer) == OK and count.value == 20
    last = record.from_buffer_copy(buffer.bytes(), 19 * c.sizeof(record))
    assert form.of(last.TargetName) == TARGET + "19" and buffer.inside(last.Mappings, 1)


def connection(form, n):
    session, got = id_of(int(n, 16), 3), id_of(0, 0)
    assert form.call("AddIScsiConnection", c.addressof(session), None, ANY_PORT, None, 0, None, 0, None, c.addressof(got)) == OK
    assert bytes(got) == bytes(session)


def ike(form, n):
    info = ike_of(1, int(n, 16).to_bytes(4, "big"), flags=0)
    assert form.call("GetIScsiIKEInfo", None, ANY_PORT, None, c.addressof(info)) == OK
    assert info.PsKey.SecurityFlags == int(n, 16)


def failures(form, n):
    session, count = id_of(int(n, 16), 9), ulong(0)
    assert form.call("GetDevicesForIScsiSession", c.addressof(session), c.addressof(count), None) == 0xEFFF001C
    assert detail() == n + "-9"
    assert form.call("AddIScsiStaticTarget", form.text(TARGET), form.text(n), 0, 0, None, None, None) == 5
    assert detail() == n
    assert form.call("RemoveIScsiStaticTarget", None) == INVALID
    assert detail() == "targetName: NULL"
    assert lib.SetIScsiInitiatorCHAPSharedSecret(len(n), n.encode()) == 87
    assert detail() == n.encode().hex()


def test_many_threads_over_many_functions(echo):
    errors = []
    work = (target_portals, information, logins, connection, ike, failures)
    together = threading.Barrier(N_THREADS)

    def run(k):
        try:
            together.wait(30)
            for i in range(N_ROUNDS):
                for w in range(len(work)):
                    work[(k + w) % len(work)]((A, W)[(i + w) % 2], "%x" % (1 + k * N_ROUNDS + i))
        except BaseException as e:
            errors.append((k, repr(e)))

    threads = [threading.Thread(target=run, args=(k,)) for k in range(N_THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    assert not any(t.is_alive() for t in threads)
    assert not errors
    assert echo.n_connections == len(echo.calls)
