# SPDX-License-Identifier: MIT
"""
What programs that were written for Windows rely on, one test for each rule

As the library's callers see it, in both forms where there are two.
"""
import ctypes as c
import socket
import threading

import pytest

from bed import free_port, wait_for
from winapi import ANY_PORT, CONSTANT, STATUS, A, W, lib, structure, ulong

INSTANCE = "Root\\ISCSIPRT\\0000_0"
SMALL = STATUS["ERROR_INSUFFICIENT_BUFFER"]
MULTIPATH = CONSTANT["ISCSI_LOGIN_FLAG_MULTIPATH_ENABLED"]
ABSENT, PRESENT = "iqn.2026-11.test.rules:absent", "iqn.2026-11.test.rules:Present"


@pytest.fixture(params=[A, W], ids=["A", "W"])
def form(request):
    return request.param


def refused(api, name, call, *args, **more):
    with pytest.raises(api.Status) as e:
        call(*args, **more)
    assert e.value.code == STATUS[name], e.value


def portals(api, form):
    """As ReportIScsiSendTargetPortalsEx has them, with their buffer kept."""
    return api.of_records(form, "ReportIScsiSendTargetPortalsEx", form.structure("ISCSI_TARGET_PORTAL_INFO_EX"), "csb")


def add_portal(api, form, p, flags=0, options=None, instance=None):
    api.call(form, "AddIScsiSendTargetPortal", form.text(instance), ANY_PORT, api.at(options), flags, c.addressof(p))


def test_1_portal_that_fails_is_listed_and_removable(api, form):
    port = free_port()
    refused(api, "ISDSC_CONNECTION_FAILED", api.add_portal, "127.0.0.1", port, form)
    assert [(form.of(p.Address), p.Socket) for p in portals(api, form)] == [("127.0.0.1", port)]
    api.remove_portal("127.0.0.1", port, form)
    assert portals(api, form) == []


def test_2_stored_login_is_no_session_and_disturbs_none(api, form, tgt):
    api.add_portal("127.0.0.1", tgt.port, form)
    api.login(tgt.name, persistent=True, form=form)
    assert api.sessions(form) == []
    session, _ = api.login(tgt.name, form=form)
    before = api.sessions(form)
    api.login(tgt.name, persistent=True, form=form)
    api.login(tgt.name, "127.0.0.1", tgt.port, persistent=True, form=form)
    assert api.sessions(form) == before and before[0]["id"] == session
    assert len(api.persistent_logins(form)) == 2


def test_3_second_session_needs_multipath(api, form, tgt):
    api.add_portal("127.0.0.1", tgt.port, form)
    first, _ = api.login(tgt.name, form=form)
    ids = [api.session_id((7, 7)), api.session_id((7, 7))]
    code = form.call("LoginIScsiTarget", form.text(tgt.name.upper()), 0, None, ANY_PORT, None, 0, None, None, 0, None, 0,
                     api.at(ids[0]), api.at(ids[1]))  # fmt: skip
    assert code == STATUS["ISDSC_TARGET_ALREADY_LOGGED_IN"]
    assert [(i.AdapterUnique, i.AdapterSpecific) for i in ids] == [(7, 7), (7, 7)]
    second, _ = api.login(tgt.name, flags=MULTIPATH, form=form)
    assert [s["id"] for s in api.sessions(form)] == [first, second]


def test_4_every_call_on_a_closed_session(api, form, tgt):
    api.add_portal("127.0.0.1", tgt.port, form)
    session, connection = api.login(tgt.name, form=form)
    api.logout(session)
    for call, args in (
        (api.logout, ()),
        (api.devices, (form,)),
        (api.add_connection, ("127.0.0.1", tgt.port)),
        (api.add_connection, ()),
        (api.remove_connection, (connection,)),
        (api.inquiry, (1,)),
        (api.read_capacity, (1,)),
        (api.report_luns, ()),
    ):
        if call is api.read_capacity:
            # its sizing call does not ask the unit
            status, sizes, response = c.c_uint8(), (ulong(8), ulong(18)), c.create_string_buffer(64)
            assert lib.SendScsiReadCapacity(api.at(api.session_id(session)), 1, api.at(status), api.at(sizes[0]), api.at(response),
                                            api.at(sizes[1]), api.at(response)) == STATUS["ISDSC_INVALID_SESSION_ID"]  # fmt: skip
        else:
            refused(api, "ISDSC_INVALID_SESSION_ID", call, session, *args)


LABELS = {
    "none": "",
    "longest": "x" * 255,
    "wide": "\u00e9\u20ac" * 127 + "\u00e9",
    "surrogates": "\U0001f4be" * 127 + "y",
}


@pytest.mark.parametrize("label", LABELS)
def test_5_labels_come_back(api, label):
    """As long as the structure has room for them: in the A form that is less, in bytes."""
    text = LABELS[label]
    for form in (A, W):
        if form is A and len(text.encode()) > 255:
            continue
        port = free_port()
        p = api.portal(form, "127.0.0.1", port)
        form.put(p, "SymbolicName", text)
        refused(api, "ISDSC_CONNECTION_FAILED", add_portal, api, form, p)
        assert [form.of(x.SymbolicName) for x in portals(api, form)] == [text]
        api.remove_portal("127.0.0.1", port, form)


@pytest.mark.parametrize("flags", (0, 0x22, 1 << 62, 1 << 63, 0xFFFFFFFFFFFFFFFE))
def test_5_security_flags_come_back(api, form, tgt, flags):
    """Without VALID they mean nothing, and are kept to the last bit."""
    tgt.setting("MaxConnections", 2)
    add_portal(api, form, api.portal(form, "127.0.0.1", tgt.port), flags)
    assert [p.SecurityFlags for p in portals(api, form)] == [flags]
    api.login_with(tgt.name, persistent=True, flags=flags, form=form)
    assert [x["flags"] for x in api.persistent_logins(form)] == [flags]
    session, _ = api.login_with(tgt.name, options=api.options(4, MaximumConnections=2), flags=flags, form=form)
    s, connection = api.session_id(session), api.session_id((0, 0))
    api.call(form, "AddIScsiConnection", api.at(s), None, ANY_PORT, None, flags, None, 0, None, api.at(connection))


def test_5_flags_of_an_identity_come_back(api, form):
    flags = 1 << 63 | 6
    info = api.ike(2, b"host.example", b"secret key", flags)
    api.call(form, "SetIScsiIKEInfo", None, ANY_PORT, c.addressof(info), 0)
    info = api.ike(2, b"host.example", b"", 0)
    api.call(form, "GetIScsiIKEInfo", None, ANY_PORT, None, c.addressof(info))
    assert info.PsKey.SecurityFlags == flags


def test_5_option_values_come_back(api, form, tgt):
    """Also of bits and flags that nobody has defined; a member whose bit is clear does not."""
    values = {"HeaderDigest": 1, "DataDigest": 1, "MaximumConnections": 65535, "DefaultTime2Wait": 3600, "DefaultTime2Retain": 0, "AuthType": 2}
    every = api.options(0xFFFFFF9F, b"\x00user \xff", b"twelve bytes", LoginFlags=0xFFFFFFCE, **values)
    none = api.options(0x80000000, LoginFlags=0x04, **values)
    for o, expected in ((every, values), (none, dict.fromkeys(values, 0))):
        port = free_port()
        with pytest.raises(api.Status):
            add_portal(api, form, api.portal(form, "127.0.0.1", port), 0, o)
        (p,) = portals(api, form)
        back = p.LoginOptions
        assert back.InformationSpecified == o.InformationSpecified and back.LoginFlags == o.LoginFlags
        assert {k: getattr(back, k) for k in values} == expected
        assert (c.string_at(back.Username, back.UsernameLength) if back.Username else b"") == (b"\x00user \xff" if o is every else b"")
        assert back.PasswordLength == 0 and not back.Password
        api.remove_portal("127.0.0.1", port, form)


@pytest.mark.parametrize("address", ("::1", "[::1]", "0:0:0:0:0:0:0:1", "127.1"))
def test_5_address_comes_back_as_it_was_given(api, form, tgt, address):
    """In the list of portals, in that of stored logins, and as the peer of a connection."""
    port = tgt.port
    if ":" in address:
        with socket.socket(socket.AF_INET6) as s:
            try:
                s.bind(("::1", 0))
            except OSError:
                pytest.skip("there is no IPv6 here")
        port = free_port()
        tgt.admin("--lld", "iscsi", "--op", "new", "--mode", "portal", "--param", "portal=[::1]:%d" % port)
    tgt.setting("MaxConnections", 2)
    api.add_portal(address, port, form)
    assert [(form.of(p.Address), p.Socket) for p in portals(api, form)] == [(address, port)]
    api.login(tgt.name, address, port, persistent=True, form=form)
    assert [x["portal"] for x in api.persistent_logins(form)] == [(address, port)]
    session, _ = api.login_with(tgt.name, address, port, options=api.options(4, MaximumConnections=2), form=form)
    api.add_connection(session, address, port, form=form)
    assert [x["peer"] for x in api.sessions(form)[0]["connections"]] == [(address, port)] * 2
    api.remove_persistent_login(tgt.name, address, port, form=form)
    api.remove_portal(address, port, form)


def test_6_the_initiator_has_one_spelling(api, form, tgt):
    given = INSTANCE.lower()
    add_portal(api, form, api.portal(form, "127.0.0.1", tgt.port), instance=given)
    ids = [api.session_id((0, 0)), api.session_id((0, 0))]
    for persistent in (1, 0):
        api.call(form, "LoginIScsiTarget", form.text(tgt.name), 0, form.text(given), ANY_PORT, None, 0, None, None, 0, None, persistent,
                 api.at(ids[0]), api.at(ids[1]))  # fmt: skip
    session = (ids[0].AdapterUnique, ids[0].AdapterSpecific)
    wait_for(lambda: api.devices(session, form), 20, "the device")
    told = {
        "initiators": api.of_names(form, "ReportIScsiInitiatorList"),
        "portals": [form.of(p.InitiatorName) for p in portals(api, form)],
        "devices": [d["initiator"] for d in api.devices(session, form)],
        "mappings": [m["initiator"] for m in api.mappings(form)],
        "logins": [x["initiator"] for x in api.persistent_logins(form)],
        "target": [api.target_information(tgt.name, api.mechanisms(tgt.name, form)[0], 5, form)[0].decode(form.codec).rstrip("\0")],
    }
    assert told == dict.fromkeys(told, [INSTANCE])


def test_7_listed_at_once_with_connections_in_order(api, form, tgt):
    tgt.setting("MaxConnections", 5)
    api.add_portal("127.0.0.1", tgt.port, form)
    session, leading = api.login_with(tgt.name, options=api.options(4, MaximumConnections=5), form=form)
    connections = [leading]

    def check():
        (s,) = api.sessions(form)
        assert s["id"] == session and [x["id"] for x in s["connections"]] == connections
        assert [x["id"] for x in api.session_parameters()[0]["connections"]] == connections

    check()
    for _ in range(3):
        connections.append(api.add_connection(session, form=form))
        check()
    for gone in (2, 1):
        api.remove_connection(session, connections.pop(gone))
        check()
        connections.append(api.add_connection(session, form=form))
        check()


def test_8_logout_returns_when_the_session_is_gone(api, form, tgt):
    """Whoever is told that it is gone does not find it; whoever comes meanwhile is to try again."""
    api.add_portal("127.0.0.1", tgt.port, form)
    for _ in range(4):
        session, _ = api.login(tgt.name, form=form)
        codes, gate = [], threading.Barrier(4)

        def client():
            gate.wait(30)
            try:
                api.logout(session)
                assert session not in [s["id"] for s in api.sessions(form)]
                codes.append(0)
            except api.Status as e:
                codes.append(e.code)

        threads = [threading.Thread(target=client) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert codes.count(0) == 1 and len(codes) == 4
        assert set(codes) <= {0, STATUS["ISDSC_SESSION_BUSY"], STATUS["ISDSC_INVALID_SESSION_ID"]}


def test_9_empty_lists_need_no_room_or_some(api, form):
    """ERROR_INSUFFICIENT_BUFFER with a size of 0 would make programs ask for ever."""
    size, count = ulong(77), ulong(77)
    sc = (api.at(size), api.at(count), None)
    calls = {
        "ReportIScsiTargets": (0, api.at(size), None),
        "ReportIScsiInitiatorList": (api.at(size), None),
        "ReportPersistentIScsiDevices": (api.at(size), None),
        "ReportISNSServerList": (api.at(size), None),
        "ReportRadiusServerList": (api.at(size), None),
        "ReportIScsiSendTargetPortals": (api.at(size), None),
        "ReportIScsiSendTargetPortalsEx": (api.at(count), api.at(size), None),
        "ReportIScsiPersistentLogins": (api.at(count), None, api.at(size)),
        "GetIScsiSessionList": sc,
        "GetIScsiSessionListEx": sc,
        "ReportActiveIScsiTargetMappings": sc,
    }
    for name, args in calls.items():
        size.value = count.value = 77
        code = (getattr(lib, name + form.letter, None) or getattr(lib, name))(*args)
        assert code in (0, SMALL), (name, hex(code))
        assert (code == SMALL) == (size.value > 0), (name, size.value)
        assert count.value in (0, 77), name


def inside(buffer, address, n):
    return address == 0 or address is None or c.addressof(buffer) <= address <= c.addressof(buffer) + len(buffer) - n


def test_10_pointers_lie_in_the_callers_buffer(api, form, tgt):
    tgt.setting("MaxConnections", 2)
    api.add_portal("127.0.0.1", tgt.port, form)
    o = api.options(4, b"somebody", b"a secret of 16 b", MaximumConnections=2)
    wanted = api.mapping(form, 3, 4, [(5, bytes([0, 1, 0, 0, 0, 0, 0, 0]))])
    api.login_with(tgt.name, persistent=True, options=o, mapping=wanted, form=form)
    api.add_static_target(PRESENT, options=o, mapping=wanted, form=form)
    session, _ = api.login_with(tgt.name, options=api.options(4, MaximumConnections=2), mapping=wanted, form=form)
    api.add_connection(session, form=form)

    def records(family, name, order):
        r = api.of_records(form, family, structure(name) if name.endswith("_EX") else form.structure(name), order)
        assert len(r) == 1
        # every record lies at the beginning of a buffer of which it keeps hold
        return r[0], r[0]._b_base_ if r[0]._b_base_ is not None else next(iter(r[0]._objects.values()))

    def check(buffer, n_pointers, *pointers):
        buffer = memoryview(buffer).obj if isinstance(buffer, memoryview) else buffer
        pointers = [p for p in pointers if p[0]]
        assert len(pointers) == n_pointers
        for address, n in pointers:
            assert inside(buffer, address, n), (hex(address), hex(c.addressof(buffer)), len(buffer))

    info = form.structure("ISCSI_CONNECTION_INFO")
    s, buffer = records("GetIScsiSessionList", "ISCSI_SESSION_INFO", "scb")
    texts = [(p, form.unit) for p in (s.InitiatorName, s.TargetNodeName, s.TargetName)]
    for k in range(s.ConnectionCount):
        x = info.from_address(s.Connections + k * c.sizeof(info))
        texts += [(x.InitiatorAddress, form.unit), (x.TargetAddress, form.unit)]
    check(buffer, 8, (s.Connections, 2 * c.sizeof(info)), *texts)
    s, buffer = records("GetIScsiSessionListEx", "ISCSI_SESSION_INFO_EX", "scb")
    check(buffer, 1, (s.Connections, 2 * c.sizeof(structure("ISCSI_CONNECTION_INFO_EX"))))
    m, buffer = records("ReportActiveIScsiTargetMappings", "ISCSI_TARGET_MAPPING", "scb")
    check(buffer, 1, (m.LUNList, 16))
    p, buffer = records("ReportIScsiPersistentLogins", "PERSISTENT_ISCSI_LOGIN_INFO", "cbs")
    m = form.structure("ISCSI_TARGET_MAPPING").from_address(p.Mappings)
    check(buffer, 3, (p.Mappings, c.sizeof(m)), (m.LUNList, 16), (p.LoginOptions.Username, 8), (p.LoginOptions.Password, 1))
    for info_class, name in ((4, "ISCSI_TARGET_MAPPING"), (7, "ISCSI_LOGIN_OPTIONS")):
        _, address, buffer = api.target_information(PRESENT, api.mechanisms(PRESENT, form)[0], info_class, form)
        x = (form.structure(name) if info_class == 4 else structure(name)).from_address(address)
        check(buffer, 1, (x.LUNList, 16) if info_class == 4 else (x.Username, 8))
