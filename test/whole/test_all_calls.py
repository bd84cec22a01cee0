# SPDX-License-Identifier: MIT
"""
All 79 functions, in both forms, against the real service and a real target

Each family is walked through once: what it gives back, the sizes and counts it asks
for, and that the second call with exactly that much is enough while one byte, element
or character less is not. The last test counts that no function was left out.
"""
import ctypes as c
import os

import pytest

import winapi
from bed import wait_for
from winapi import ABI, ANY_PORT, STATUS, A, Memory, W, structure, ulong

OK, SMALL, INVALID, ABSENT = 0, STATUS["ERROR_INSUFFICIENT_BUFFER"], STATUS["ERROR_INVALID_PARAMETER"], STATUS["ERROR_CALL_NOT_IMPLEMENTED"]
INSTANCE = "Root\\ISCSIPRT\\0000_0"
HOST = "127.0.0.1"
EVERY = {f["name"] for f in ABI["functions"]}
walked = set()


class Watched:
    """The library, which remembers what was called."""

    def __getattr__(self, name):
        function = getattr(plain_lib, name)
        if name not in EVERY:
            return function

        def call(*args):
            code = function(*args)
            assert code != ABSENT, name
            walked.add(name)
            return code

        return call


plain_lib = winapi.lib


@pytest.fixture(params=[A, W], ids=["A", "W"])
def form(request):
    return request.param


@pytest.fixture(autouse=True)
def watched(monkeypatch, api):
    for module in (winapi, api):
        monkeypatch.setattr(module, "lib", Watched())


def at(x):
    return c.addressof(x) if x is not None else None


def of_id(pair):
    i = structure("ISCSI_UNIQUE_SESSION_ID")()
    i.AdapterUnique, i.AdapterSpecific = pair
    return i


def pair_of(i):
    return i.AdapterUnique, i.AdapterSpecific


def fails(api, status, call, *args, **more):
    with pytest.raises(api.Status) as e:
        call(*args, **more)
    assert e.value.code == STATUS[status], e.value


def sized(call, unit=1):
    """
    The whole protocol of one list. @call(size, buffer), @unit: bytes that one of the
    size is. Return: the bytes of the buffer, and the buffer itself, whose pointers hold.
    """
    need = None
    for size_in in (0, 12345):
        size = ulong(size_in)
        code = call(at(size), None)
        if size.value == 0:
            assert code == OK
            return b"", None
        assert code == SMALL and need in (None, size.value)
        need = size.value
    for room in sorted({0, 1, need // 2, need - 1} & set(range(need))):
        size, buffer = ulong(room), Memory(need * unit)
        assert call(at(size), buffer.addr) == SMALL
        assert size.value == need and buffer.untouched()
    for room in (need + 100, need):
        size, buffer = ulong(room), Memory(room * unit)
        assert call(at(size), buffer.addr) == OK
        assert size.value == need
        assert buffer.bytes()[need * unit :] == b"\xcc" * ((room - need) * unit)
    assert call(None, buffer.addr) == INVALID
    return buffer.bytes(), buffer


def names(form, family, *args):
    raw, _ = sized(lambda size, buffer: form.call(family, *args, size, buffer), form.unit)
    return form.names(raw) if raw else []


def elements(form, family, record, *args):
    raw, _ = sized(lambda n, buffer: form.call(family, *args, n, buffer), c.sizeof(record))
    return [record.from_buffer_copy(raw, i) for i in range(0, len(raw), c.sizeof(record))]


def records(call, record):
    """A list in bytes. @call(size, count, buffer). Return: the records and the buffer they point into."""
    counts = set()

    def counted(size, buffer):
        n = ulong()
        code = call(size, at(n), buffer)
        if code in (OK, SMALL):
            counts.add(n.value)
        return code

    raw, buffer = sized(counted)
    size = ulong(0)
    assert call(at(size), None, None) == INVALID and size.value == 0
    (n,) = counts
    assert n * c.sizeof(record) <= len(raw)
    return [record.from_buffer_copy(raw, i * c.sizeof(record)) for i in range(n)], buffer


# -- node name, version, initiators ---------------------------------------------


def test_version(api):
    version = structure("ISCSI_VERSION_INFO")()
    api.plain("GetIScsiVersionInformation", at(version))
    assert (version.MajorVersion, version.MinorVersion) == (10, 0)


def test_node_name(api, form):
    default, other = api.node_name(form), "iqn.2026-11.test.whole:w\u00f6rt"
    api.call(form, "SetIScsiInitiatorNodeName", form.text(other))
    assert api.node_name(form) == other
    api.call(form, "SetIScsiInitiatorNodeName", None)
    assert api.node_name(form) == default


def test_initiators(api, form):
    assert names(form, "ReportIScsiInitiatorList") == [INSTANCE]


# -- portals and discovery ------------------------------------------------------


def test_portals(api, form, tgt):
    info, ex = form.structure("ISCSI_TARGET_PORTAL_INFO"), form.structure("ISCSI_TARGET_PORTAL_INFO_EX")
    ex_call = lambda size, count, buffer: form.call("ReportIScsiSendTargetPortalsEx", count, size, buffer)
    assert elements(form, "ReportIScsiSendTargetPortals", info) == [] and records(ex_call, ex)[0] == []
    portal = api.portal(form, HOST, tgt.port)
    form.put(portal, "SymbolicName", "Stra\u00dfe")
    options = api.options(username=b"somebody", LoginFlags=2)
    api.call(form, "AddIScsiSendTargetPortal", form.text(INSTANCE), 3, at(options), 0x22, at(portal))
    (one,) = elements(form, "ReportIScsiSendTargetPortals", info)
    assert (form.of(one.InitiatorName), one.InitiatorPortNumber, form.of(one.SymbolicName), form.of(one.Address), one.Socket) == (
        INSTANCE, 3, "Stra\u00dfe", HOST, tgt.port)  # fmt: skip
    (one,), buffer = records(ex_call, ex)
    assert buffer.size == c.sizeof(ex) + len(b"somebody")
    assert (form.of(one.Address), one.SecurityFlags, one.LoginOptions.InformationSpecified, one.LoginOptions.LoginFlags) == (HOST, 0x22, 0x20, 2)
    assert c.string_at(one.LoginOptions.Username, one.LoginOptions.UsernameLength) == b"somebody"
    api.call(form, "RefreshIScsiSendTargetPortal", form.text(INSTANCE), 3, at(portal))
    for _ in range(2):
        code = form.call("RemoveIScsiSendTargetPortal", form.text(INSTANCE), 3, at(portal))
        assert code == (OK if _ == 0 else STATUS["ISDSC_PORTAL_NOT_FOUND"])
    assert elements(form, "ReportIScsiSendTargetPortals", info) == []


def test_targets_and_their_portals(api, form, tgt):
    assert names(form, "ReportIScsiTargets", 0) == []
    api.add_portal(HOST, tgt.port, form)
    assert names(form, "ReportIScsiTargets", 0) == names(form, "ReportIScsiTargets", 1) == [tgt.name]
    record = form.structure("ISCSI_TARGET_PORTAL")
    tag = c.c_uint16(1)
    for group in (None, at(tag)):
        (one,) = elements(form, "ReportIScsiTargetPortals", record, None, form.text(tgt.name.upper()), group)
        assert (form.of(one.Address), one.Socket) == (HOST, tgt.port)
    tag.value = 77
    assert elements(form, "ReportIScsiTargetPortals", record, form.text(""), form.text(tgt.name), at(tag)) == []
    size = ulong(0)
    assert form.call("ReportIScsiTargetPortals", None, form.text(tgt.name + "x"), None, at(size), None) == STATUS["ISDSC_TARGET_NOT_FOUND"]


# -- targets added by hand, and what is known -----------------------------------

PROTOCOL, ALIAS, MECHANISMS, GROUPS, MAPPINGS, INITIATOR, FLAGS, OPTIONS = range(8)


def information(form, name, mechanism, info_class):
    return sized(lambda size, buffer: form.call("GetIScsiTargetInformation", form.text(name), form.text(mechanism), info_class, size, buffer))


def test_static_target(api, form):
    name, alias = "iqn.2026-11.test.whole:by-hand", "Alias \u00e9\U0001f4be"
    mapping = api.mapping(form, 0, 9, [(2, bytes.fromhex("0003000000000000"))])
    options = api.options(api.CONSTANT["ISCSI_LOGIN_OPTIONS_HEADER_DIGEST"], b"user", b"a secret word", HeaderDigest=1)
    portals = [("192.0.2.1", 3260), ("2001:db8::1", 860)]
    api.add_static_target(name, alias, 4, True, mapping, options, portals, form)
    more = [("192.0.2.9", 3261)]
    api.add_static_target(name, None, 4, True, None, None, more, form)
    assert names(form, "ReportIScsiTargets", 0) == [name]
    (mechanism,) = form.names(information(form, name, None, MECHANISMS)[0])
    get = lambda info_class: information(form, name, mechanism, info_class)
    assert get(PROTOCOL)[0] == bytes(4) and get(FLAGS)[0] == (4).to_bytes(4, "little")
    assert get(ALIAS)[0] == form.encode(alias) and get(INITIATOR)[0] == form.encode(INSTANCE)

    assert api.portal_groups(name, mechanism, form) == [portals, more]
    stride = {"W": {1: 1032, 2: 2060}, "A": {1: 520, 2: 1036}}[form.letter]
    assert len(get(GROUPS)[0]) == 4 + stride[2] + stride[1]

    raw, buffer = get(MAPPINGS)
    record = form.structure("ISCSI_TARGET_MAPPING")
    assert len(raw) == c.sizeof(record) + 16
    kept = record.from_buffer_copy(raw)
    assert kept.LUNList == buffer.addr + c.sizeof(record)
    kept = api.mapping_plain(form, kept)
    assert (kept["bus"], kept["number"], kept["luns"]) == (0, 9, [(2, bytes.fromhex("0003000000000000"))])

    raw, buffer = get(OPTIONS)
    kept = structure("ISCSI_LOGIN_OPTIONS").from_buffer_copy(raw)
    assert len(raw) == c.sizeof(kept) + 4 and (kept.InformationSpecified, kept.HeaderDigest) == (0x61, 1)
    assert c.string_at(kept.Username, kept.UsernameLength) == b"user" and (kept.Password, kept.PasswordLength) == (None, 0)

    size = ulong(0)
    for target, through, status in ((name, "x:y", "ISDSC_DISCOVERY_MECHANISM_NOT_FOUND"), (name + "x", mechanism, "ISDSC_TARGET_NOT_FOUND")):
        assert form.call("GetIScsiTargetInformation", form.text(target), form.text(through), ALIAS, at(size), None) == STATUS[status]
    api.remove_static_target(name, form)
    fails(api, "ISDSC_TARGET_NOT_FOUND", api.remove_static_target, name, form)
    assert names(form, "ReportIScsiTargets", 0) == []


def test_information_of_a_discovered_target(api, form, tgt):
    api.add_portal(HOST, tgt.port, form)
    (mechanism,) = form.names(information(form, tgt.name, None, MECHANISMS)[0])
    assert mechanism.startswith("SendTargets:")
    assert api.portal_groups(tgt.name, mechanism, form) == [[(HOST, tgt.port)]]
    for info_class in (MAPPINGS, OPTIONS):
        assert information(form, tgt.name, mechanism, info_class) == (b"", None)


# -- sessions, connections, devices ---------------------------------------------


def test_session_from_login_to_logout(api, form, tgt):
    sessions_of = lambda size, count, buffer: form.call("GetIScsiSessionList", size, count, buffer)
    parameters_of = lambda size, count, buffer: winapi.lib.GetIScsiSessionListEx(size, count, buffer)
    mappings_of = lambda size, count, buffer: form.call("ReportActiveIScsiTargetMappings", size, count, buffer)
    info, of_connection = form.structure("ISCSI_SESSION_INFO"), form.structure("ISCSI_CONNECTION_INFO")
    info_ex, of_connection_ex = structure("ISCSI_SESSION_INFO_EX"), structure("ISCSI_CONNECTION_INFO_EX")
    record, device = form.structure("ISCSI_TARGET_MAPPING"), form.structure("ISCSI_DEVICE_ON_SESSION")
    for call, kind in ((sessions_of, info), (parameters_of, info_ex)):
        assert records(call, kind) == ([], None)
    api.add_portal(HOST, tgt.port, form)
    data, first = api.login_with(tgt.name, form=form)
    fails(api, "ISDSC_TARGET_ALREADY_LOGGED_IN", api.login_with, tgt.name, form=form)
    quiet, second = api.login_with(tgt.name.upper(), HOST, tgt.port, informational=True, options=api.options(LoginFlags=2), form=form)

    (a, b), buffer = records(sessions_of, info)
    assert {pair_of(a.SessionId), pair_of(b.SessionId)} == {data, quiet}
    for s, connection in ((a, first), (b, second)):
        assert form.at(s.TargetName).lower() == tgt.name and form.at(s.InitiatorName) == api.node_name(form)
        assert s.ConnectionCount == 1 and buffer.inside(s.Connections, c.sizeof(of_connection))
        k = of_connection.from_buffer_copy(c.string_at(s.Connections, c.sizeof(of_connection)))
        assert (form.at(k.TargetAddress), k.TargetSocket, form.at(k.InitiatorAddress)) == (HOST, tgt.port, HOST)
        assert pair_of(k.ConnectionId) in (first, second) and k.InitiatorSocket > 0

    (a, b), buffer = records(parameters_of, info_ex)
    assert buffer.size == 2 * 56 + 2 * 48
    assert {(pair_of(x.SessionId), x.Type) for x in (a, b)} == {(data, 2), (quiet, 1)}
    for x in (a, b):
        assert x.ConnectionCount == 1 and x.MaxBurstLength >= x.FirstBurstLength >= 512
        k = of_connection_ex.from_buffer_copy(c.string_at(x.Connections, 48))
        assert pair_of(k.ConnectionId) in (first, second) and (k.State, k.Protocol) == (1, 6)

    wait_for(lambda: api.devices(data, form) and api.devices(data, form)[0]["name"], 20, "the device")
    sid = of_id(data)
    (one,) = elements(form, "GetDevicesForIScsiSession", device, at(sid))
    assert (form.of(one.InitiatorName), form.of(one.TargetName), one.ScsiAddress.Length, one.ScsiAddress.Lun) == (INSTANCE, tgt.name, 8, 1)
    assert os.path.exists(form.of(one.LegacyName)) and (one.StorageDeviceNumber.DeviceType, one.StorageDeviceNumber.PartitionNumber) == (7, 0)
    sid = of_id(quiet)
    assert elements(form, "GetDevicesForIScsiSession", device, at(sid)) == []

    maps, buffer = records(mappings_of, record)
    (one,) = [api.mapping_plain(form, m) for m in maps]
    assert (one["session"], one["target"], one["initiator"]) == (data, tgt.name, INSTANCE)
    assert [wire for _, wire in one["luns"]] == [bytes.fromhex("0001000000000000")]

    for session in (quiet, data):
        sid = of_id(session)
        assert winapi.lib.LogoutIScsiTarget(at(sid)) == OK
        assert winapi.lib.LogoutIScsiTarget(at(sid)) == STATUS["ISDSC_INVALID_SESSION_ID"]
    assert records(sessions_of, info)[0] == records(mappings_of, record)[0] == []


def test_login_with_a_mapping(api, form, tgt):
    """One of two units, under a number of our choice."""
    tgt.lun(2)
    api.add_portal(HOST, tgt.port, form)
    session, _ = api.login_with(tgt.name, mapping=api.mapping(form, luns=[(5, bytes.fromhex("0002000000000000"))]), form=form)
    assert [d["lun"] for d in api.devices(session, form)] == [5]
    (one,) = [m for m in api.mappings(form) if m["session"] == session]
    assert one["luns"] == [(5, bytes.fromhex("0002000000000000"))]
    api.logout(session)


def test_connections(api, form, tgt):
    api.add_portal(HOST, tgt.port, form)
    session, first = api.login_with(tgt.name, options=api.options(api.CONSTANT["ISCSI_LOGIN_OPTIONS_MAXIMUM_CONNECTIONS"], MaximumConnections=2), form=form)
    negotiated = api.session_parameters()[0]["MaximumConnections"]
    if negotiated > 1:
        connection = api.add_connection(session, HOST, tgt.port, form=form)
        assert [k["id"] for k in api.sessions(form)[0]["connections"]] == [first, connection]
        api.remove_connection(session, connection)
    fails(api, "ISDSC_INVALID_CONNECTION_ID", api.remove_connection, session, (7, 7))
    fails(api, "ISDSC_CANT_REMOVE_LAST_CONNECTION", api.remove_connection, session, first)
    if negotiated == 1:
        fails(api, "ISDSC_TOO_MANY_CONNECTIONS", api.add_connection, session, HOST, tgt.port, form=form)
        fails(api, "ISDSC_TOO_MANY_CONNECTIONS", api.add_connection, session, form=form)
    assert [k["id"] for k in api.sessions(form)[0]["connections"]] == [first]
    api.logout(session)
    fails(api, "ISDSC_INVALID_SESSION_ID", api.add_connection, session, HOST, tgt.port, form=form)
    fails(api, "ISDSC_INVALID_SESSION_ID", api.remove_connection, session, first)


# -- SCSI -----------------------------------------------------------------------


def scsi(name, session, *args):
    """The sizing call, an answer in exactly that room, and one in less."""
    status, size, n_sense, sense, sid = c.c_uint8(0xEE), ulong(0), ulong(18), Memory(18), of_id(session)
    call = lambda buffer: getattr(winapi.lib, name)(at(sid), *args, at(status), at(size), buffer, at(n_sense), sense.addr)
    assert call(None) == SMALL and size.value > 0 and n_sense.value >= 18 and status.value == 0
    need, buffer, n_sense.value = size.value, Memory(size.value), 18
    assert call(buffer.addr) == OK and size.value == need
    whole = buffer.bytes()
    size.value, n_sense.value, less = need - 1, 18, Memory(need - 1)
    code = call(less.addr)
    assert code in (OK, SMALL) and (code == SMALL or less.bytes(size.value) == whole[: size.value])
    sense.check()
    return whole


def test_scsi_commands(api, tgt):
    api.add_portal(HOST, tgt.port)
    session, _ = api.login_with(tgt.name, informational=True)
    luns = scsi("SendScsiReportLuns", session)
    assert luns[8:] == bytes(8) + bytes.fromhex("0001000000000000") and int.from_bytes(luns[:4], "big") == 16
    for lun in (1, 0x100):
        assert scsi("SendScsiInquiry", session, lun, 0, 0)[0] & 0x1F == 0
        capacity = scsi("SendScsiReadCapacity", session, lun)
        assert (int.from_bytes(capacity[:4], "big") + 1) * int.from_bytes(capacity[4:8], "big") == 64 << 20
    assert scsi("SendScsiInquiry", session, 1, 1, 0x83)[1] == 0x83
    api.logout(session)


# -- what is kept ---------------------------------------------------------------


def test_persistent_logins(api, form, tgt):
    record = form.structure("PERSISTENT_ISCSI_LOGIN_INFO")
    call = lambda size, count, buffer: form.call("ReportIScsiPersistentLogins", count, buffer, size)
    assert records(call, record) == ([], None)
    api.add_portal(HOST, tgt.port, form)
    mapping = api.mapping(form, ANY_PORT, ANY_PORT, [(4, bytes.fromhex("0001000000000000"))])
    ids = api.login_with(tgt.name, HOST, tgt.port, persistent=True, mapping=mapping, options=api.options(username=b"me", password=b"twelve bytes"), form=form)
    assert ids == ((7, 7), (7, 7)) and api.sessions(form) == []
    api.login_with(tgt.name, persistent=True, informational=True, flags=5, form=form)
    (a, b), buffer = records(call, record)
    assert buffer.size == 2 * c.sizeof(record) + c.sizeof(form.structure("ISCSI_TARGET_MAPPING")) + 16 + 2
    assert a.Mappings and buffer.inside(a.Mappings, 8) and not b.Mappings
    assert buffer.inside(a.LoginOptions.Username, 2)
    a, b = api.persistent_logins(form)
    assert (a["target"], a["portal"], a["informational"], a["port"], a["initiator"]) == (tgt.name, (HOST, tgt.port), 0, ANY_PORT, "")
    assert (a["username"], a["specified"], a["password"]) == (b"me", 0x60, 0)
    assert a["mapping"]["luns"] == [(4, bytes.fromhex("0001000000000000"))]
    assert (b["portal"], b["informational"], b["mapping"], b["flags"]) == (("", 0), 1, None, 5)
    api.remove_persistent_login(tgt.name, HOST, tgt.port, form=form)
    assert [p["portal"] for p in api.persistent_logins(form)] == [("", 0)]
    api.remove_persistent_login(tgt.name, form=form)
    fails(api, "ISDSC_TARGET_NOT_FOUND", api.remove_persistent_login, tgt.name, form=form)
    assert records(call, record) == ([], None)


def test_persistent_devices(api, form, tgt):
    api.add_portal(HOST, tgt.port, form)
    api.login_with(tgt.name, persistent=True, form=form)
    session, _ = api.login_with(tgt.name, form=form)
    wait_for(lambda: api.devices(session, form) and api.devices(session, form)[0]["name"], 20, "the device")
    for setup in ("SetupPersistentIScsiDevices", "SetupPersistentIScsiVolumes"):
        api.plain(setup)
        (path,) = names(form, "ReportPersistentIScsiDevices")
        api.plain("ClearPersistentIScsiDevices")
        assert names(form, "ReportPersistentIScsiDevices") == []
    name = api.devices(session, form)[0]["name"]
    api.add_persistent_device(name, form)
    fails(api, "ISDSC_DEVICE_ALREADY_PERSISTENTLY_BOUND", api.add_persistent_device, name, form)
    assert len(names(form, "ReportPersistentIScsiDevices")) == 1
    api.remove_persistent_device(name, form)
    fails(api, "ISDSC_DEVICE_NOT_FOUND", api.remove_persistent_device, name, form)
    fails(api, "ISDSC_DEVICE_NOT_ISCSI_OR_PERSISTENT", api.add_persistent_device, "/dev/null", form)
    api.logout(session)


# -- security and servers -------------------------------------------------------


@pytest.mark.parametrize("name,good,bad,status", (
    ("SetIScsiInitiatorCHAPSharedSecret", b"twelve bytes", b"x" * 17, "ISDSC_INVALID_INITIATOR_CHAP_SECRET"),
    ("SetIScsiInitiatorRADIUSSharedSecret", b"a secret of 24 bytes yes", b"x" * 27, "ERROR_INVALID_PARAMETER"),
    ("SetIScsiGroupPresharedKey", b"key", None, None),
))  # fmt: skip
def test_secrets(api, name, good, bad, status):
    more = (0,) if name == "SetIScsiGroupPresharedKey" else ()
    api.plain(name, len(good), good, *more)
    api.plain(name, 0, None, *more)
    if bad:
        fails(api, status, api.plain, name, len(bad), bad, *more)


def test_ike(api, form):
    info = api.ike(2, b"host.example", b"a key", 3)
    fails(api, "ISDSC_NO_AUTH_INFO_AVAILABLE", api.call, form, "GetIScsiIKEInfo", None, ANY_PORT, None, at(info))
    api.call(form, "SetIScsiIKEInfo", None, ANY_PORT, at(info), 0)
    asked = api.ike(2, b"host.example", b"", 0)
    api.call(form, "GetIScsiIKEInfo", form.text(""), ANY_PORT, None, at(asked))
    assert (asked.PsKey.SecurityFlags, asked.PsKey.Key, asked.PsKey.KeyLengthInBytes) == (3, None, 0)
    for wrong, status in ((api.ike(4, b"x"), "ISDSC_IKE_ID_PAYLOAD_TYPE_NOT_SUPPORTED"), (api.ike(1, b"12345"), "ISDSC_IKE_ID_PAYLOAD_INCORRECT_SIZE")):
        fails(api, status, api.call, form, "SetIScsiIKEInfo", None, ANY_PORT, at(wrong), 0)


def test_tunnel(api, form):
    for destination, outer in (("192.0.2.1", "198.51.100.1"), (None, "198.51.100.2"), ("192.0.2.1", None), (None, None)):
        api.call(form, "SetIScsiTunnelModeOuterAddress", None, ANY_PORT, form.text(destination), form.text(outer), 0)


def test_radius_servers(api, form):
    assert names(form, "ReportRadiusServerList") == []
    for address in ("192.0.2.1", "radius.example"):
        api.call(form, "AddRadiusServer", form.text(address))
    assert names(form, "ReportRadiusServerList") == ["192.0.2.1", "radius.example"]
    api.call(form, "RemoveRadiusServer", form.text("192.0.2.1"))
    assert names(form, "ReportRadiusServerList") == ["radius.example"]


def test_isns_servers(api, form):
    """The server cannot be asked; it is kept all the same."""
    may = {STATUS["ISDSC_ISNS_SERVER_NOT_FOUND"], STATUS["ISDSC_CONNECTION_FAILED"], STATUS["ERROR_NOT_SUPPORTED"] if "ERROR_NOT_SUPPORTED" in STATUS else 50}
    assert names(form, "ReportISNSServerList") == []
    assert form.call("AddISNSServer", form.text(HOST)) in may
    assert names(form, "ReportISNSServerList") == [HOST]
    for address in (HOST, None):
        assert form.call("RefreshISNSServer", form.text(address)) in may
    api.call(form, "RemoveISNSServer", form.text(HOST))
    assert names(form, "ReportISNSServerList") == []


# -- and none was left out ------------------------------------------------------


def test_zz_every_function_was_walked(request, api):
    tests = [i for i in request.session.items if i.module is request.module]
    if len({i.function for i in tests}) < sum(1 for n in dir(request.module) if n.startswith("test_")):
        pytest.skip("only some tests of this file were run")
    assert EVERY - walked == set()
