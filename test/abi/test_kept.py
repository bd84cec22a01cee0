# SPDX-License-Identifier: MIT
"""
Connections, mappings, and what is kept over a restart.
"""
import ctypes as c

from calls import *
from test_targets import mapping_json, portal_json
from winapi import ANY_PORT, STATUS, Memory, id_of, lib, structure, ulong


def record_list(form, family, service, method, reply, order="scb", one_form=False):
    """One list in bytes by its two calls. @order of size, count and buffer. Return: buffer, number of records."""
    service.replies[method] = reply
    call = (lambda *args: getattr(lib, family)(*[a.addr if isinstance(a, Memory) else a for a in args])) if one_form else lambda *args: form.call(family, *args)
    size, count = ulong(0), ulong()
    by = lambda buffer: call(*[{"s": c.addressof(size), "c": c.addressof(count), "b": buffer}[x] for x in order])
    assert by(None) == TOO_SMALL
    need = size.value
    buffer = Memory(need)
    assert by(buffer) == OK
    assert size.value == need
    return buffer, count.value


# -- connections ----------------------------------------------------------------


def add(form, session=True, portal=None, options=None, key=None, key_size=None, connection=True, port=ANY_PORT, flags=0, reserved=None):
    ids = [id_of(1, 2), id_of(7, 7)]
    at = lambda x: c.addressof(x) if x is not None else None
    status = form.call("AddIScsiConnection", at(ids[0]) if session else None, reserved, port, at(portal), flags, at(options),
                       len(key) if key_size is None and key else key_size or 0, key, at(ids[1]) if connection else None)  # fmt: skip
    return status, (ids[1].AdapterUnique, ids[1].AdapterSpecific)


def test_add_connection(service, form):
    service.replies["AddConnection"] = {"connectionId": "a-b"}
    assert add(form, reserved=1) == (OK, (0xA, 0xB))  # what Reserved points to is not looked at
    assert service.last() == {"sessionId": "1-2", "initiatorPort": ANY_PORT, "portal": None, "securityFlags": 0, "loginOptions": None, "key": None}
    portal = portal_of(form, "192.0.2.9", 860)
    c.memset(c.addressof(portal), 0x41, portal.__class__.Address.offset)
    assert add(form, portal=portal, options=options_of(HEADER_DIGEST, HeaderDigest=1), key=b"key\0", flags=3, port=2, connection=False)[0] == OK
    assert service.last() == {
        "sessionId": "1-2", "initiatorPort": 2, "portal": {"symbolicName": "", "address": "192.0.2.9", "socket": 860}, "securityFlags": 3,
        "loginOptions": {"informationSpecified": 1, "loginFlags": 0, "headerDigest": 1}, "key": b"key\0".hex(),
    }  # fmt: skip


def test_add_connection_that_fails(service, form):
    for wrong in ({"session": False}, {"portal": portal_of(form, "")}, {"portal": portal_of(form, socket=0)}, {"key_size": 3}, {"key": b"x" * 256}):
        assert add(form, **wrong) == (INVALID, (7, 7)), wrong
    assert not service.calls
    for bad in ({}, {"connectionId": None}, {"connectionId": "1"}):
        service.replies["AddConnection"] = bad
        assert add(form) == (STATUS["ISDSC_NON_SPECIFIC_ERROR"], (7, 7))


def test_remove_connection(service):
    service.replies["RemoveConnection"] = {}
    session, connection = id_of(1, 2), id_of(3, 0xABC)
    assert lib.RemoveIScsiConnection(c.addressof(session), c.addressof(connection)) == OK
    assert service.last() == {"sessionId": "1-2", "connectionId": "3-abc"}
    assert lib.RemoveIScsiConnection(None, c.addressof(connection)) == INVALID
    assert lib.RemoveIScsiConnection(c.addressof(session), None) == INVALID


def parameters_json(n, connections=1):
    return {
        "id": "a-%x" % n, "initialR2T": False, "immediateData": True, "type": 2, "dataSequenceInOrder": True, "dataPduInOrder": True,
        "errorRecoveryLevel": 2, "maxOutstandingR2T": 4, "firstBurstLength": 65536, "maxBurstLength": 262144, "maximumConnections": 8,
        "connections": [{"id": "a-%x" % (100 + i), "state": 1, "protocol": 6, "headerDigest": 1, "dataDigest": 0,
                         "maxRecvDataSegmentLength": 8192 + i, "authType": 2, "estimatedThroughput": 1 << 40, "maxDatagramSize": 1460}
                        for i in range(connections)],
    }  # fmt: skip


def test_negotiated_parameters(service, form):
    buffer, n = record_list(form, "GetIScsiSessionListEx", service, "ListSessionParameters",
                            {"sessions": [parameters_json(1, 2), parameters_json(2, 0)]}, one_form=True)  # fmt: skip
    record, of_connection = structure("ISCSI_SESSION_INFO_EX"), structure("ISCSI_CONNECTION_INFO_EX")
    assert (n, buffer.size) == (2, 2 * 56 + 2 * 48) == (2, 2 * c.sizeof(record) + 2 * c.sizeof(of_connection))
    first, second = (record * 2).from_buffer_copy(buffer.bytes())
    assert (first.SessionId.AdapterUnique, first.SessionId.AdapterSpecific) == (0xA, 1)
    assert (first.InitialR2t, first.ImmediateData, first.Type, first.DataSequenceInOrder, first.DataPduInOrder, first.ErrorRecoveryLevel) == (0, 1, 2, 1, 1, 2)
    assert (first.MaxOutstandingR2t, first.FirstBurstLength, first.MaxBurstLength, first.MaximumConnections) == (4, 65536, 262144, 8)
    assert (second.ConnectionCount, second.Connections) == (0, None)
    assert first.ConnectionCount == 2 and buffer.inside(first.Connections, 2 * c.sizeof(of_connection))
    b = (of_connection * 2).from_buffer_copy(c.string_at(first.Connections, 2 * c.sizeof(of_connection)))[1]
    assert (b.ConnectionId.AdapterSpecific, b.State, b.Protocol, b.HeaderDigest, b.DataDigest) == (101, 1, 6, 1, 0)
    assert (b.MaxRecvDataSegmentLength, b.AuthType, b.EstimatedThroughput, b.MaxDatagramSize) == (8193, 2, 1 << 40, 1460)


# -- mappings -------------------------------------------------------------------


def test_active_mappings(service, form):
    record, lun = form.structure("ISCSI_TARGET_MAPPING"), structure("SCSI_LUN_LIST")
    buffer, n = record_list(form, "ReportActiveIScsiTargetMappings", service, "ListMappings",
                            {"mappings": [mapping_json(1, 2), mapping_json(2, 0), mapping_json(3, 1)]})  # fmt: skip
    assert (n, buffer.size) == (3, 3 * c.sizeof(record) + 3 * c.sizeof(lun))
    one, two, three = (record * 3).from_buffer_copy(buffer.bytes())
    assert (one.SessionId.AdapterUnique, one.SessionId.AdapterSpecific) == (0xA, 1)
    assert form.of(three.OSDeviceName) == "\\\\.\\Scsi3:" and form.of(three.InitiatorName) == INSTANCE
    assert (two.LUNCount, two.LUNList) == (0, None)
    assert (one.LUNCount, three.LUNCount) == (2, 1)
    assert one.LUNList == buffer.addr + 3 * c.sizeof(record) and three.LUNList == one.LUNList + 2 * c.sizeof(lun)
    assert [(x.OSLUN, x.TargetLUN) for x in (lun * 2).from_buffer_copy(c.string_at(one.LUNList, 32))] == [(0, 0), (1, 0x100)]


# -- logins ---------------------------------------------------------------------


def login_json(n, **members):
    return {"targetName": TARGET + str(n), "informational": False, "initiatorInstance": "", "initiatorPort": ANY_PORT, "portal": None,
            "securityFlags": 0, "mapping": None, "loginOptions": None, **members}  # fmt: skip


def test_persistent_logins(service, form):
    full = login_json(2, informational=True, initiatorInstance=INSTANCE, initiatorPort=1, portal=portal_json(5), securityFlags=0x8000000000000001 - (1 << 64),
                      mapping=mapping_json(4, 2), loginOptions={"informationSpecified": USERNAME | PASSWORD, "loginFlags": 2, "username": b"me!".hex()})  # fmt: skip
    buffer, n = record_list(form, "ReportIScsiPersistentLogins", service, "ListPersistentLogins", {"logins": [login_json(1), full, login_json(3)]}, "cbs")
    record, mapping, lun = form.structure("PERSISTENT_ISCSI_LOGIN_INFO"), form.structure("ISCSI_TARGET_MAPPING"), structure("SCSI_LUN_LIST")
    assert (n, buffer.size) == (3, 3 * c.sizeof(record) + c.sizeof(mapping) + 2 * c.sizeof(lun) + 3)
    one, two, three = (record * 3).from_buffer_copy(buffer.bytes())
    assert (form.of(one.TargetName), one.IsInformationalSession, form.of(one.InitiatorInstance), one.InitiatorPortNumber) == (TARGET + "1", 0, "", ANY_PORT)
    assert (form.of(one.TargetPortal.Address), one.TargetPortal.Socket, one.Mappings, one.LoginOptions.InformationSpecified) == ("", 0, None, 0)
    assert (form.of(two.TargetName), two.IsInformationalSession, form.of(two.InitiatorInstance), two.InitiatorPortNumber) == (TARGET + "2", 1, INSTANCE, 1)
    assert (form.of(two.TargetPortal.SymbolicName), form.of(two.TargetPortal.Address), two.TargetPortal.Socket) == ("portal 5", "192.0.2.5", 3265)
    assert two.SecurityFlags == 0x8000000000000001
    assert (two.LoginOptions.UsernameLength, c.string_at(two.LoginOptions.Username, 3)) == (3, b"me!")
    assert (two.LoginOptions.InformationSpecified, two.LoginOptions.PasswordLength, two.LoginOptions.Password) == (0x60, 0, None)
    assert two.Mappings == buffer.addr + 3 * c.sizeof(record)
    kept = mapping.from_buffer_copy(c.string_at(two.Mappings, c.sizeof(mapping)))
    assert (kept.OSTargetNumber, kept.LUNCount, kept.LUNList) == (4, 2, two.Mappings + c.sizeof(mapping))
    assert form.of(three.TargetName) == TARGET + "3"


def test_persistent_logins_not_as_the_interface_says(service, form):
    good = login_json(1, portal=portal_json(1), mapping=mapping_json(), loginOptions={"informationSpecified": 0, "loginFlags": 0})
    broken = [{k: v for k, v in good.items() if k != key} for key in good]
    broken += [{**good, key: []} for key in good] + [{**good, "securityFlags": None}, {**good, "targetName": None}, {**good, "informational": 256}]
    for login in broken:
        service.replies["ListPersistentLogins"] = {"logins": [good, login]}
        size, count, buffer = ulong(16384), ulong(), Memory(16384)
        assert form.call("ReportIScsiPersistentLogins", c.addressof(count), buffer, c.addressof(size)) == STATUS["ISDSC_NON_SPECIFIC_ERROR"], login
        assert (size.value, count.value) == (0, 0) and buffer.untouched()


def remove(form, instance=None, port=ANY_PORT, target=TARGET, portal=None):
    return form.call("RemoveIScsiPersistentTarget", form.text(instance), port, form.text(target), c.addressof(portal) if portal else None)


def test_remove_persistent_login(service, form):
    service.replies["RemovePersistentLogin"] = {}
    empty = portal_of(form, "", 0)
    c.memset(c.addressof(empty), 0x41, empty.__class__.Address.offset)  # a label is no content
    for portal in (None, empty):
        for instance in (None, ""):
            assert remove(form, instance, portal=portal) == OK
            assert service.last() == {"initiatorInstance": None, "initiatorPort": ANY_PORT, "targetName": TARGET, "portal": None}
    assert remove(form, INSTANCE, 0, portal=portal_of(form, "192.0.2.1", 3260, "label")) == OK
    assert service.last() == {"initiatorInstance": INSTANCE, "initiatorPort": 0, "targetName": TARGET,
                              "portal": {"symbolicName": "", "address": "192.0.2.1", "socket": 3260}}  # fmt: skip
    for wrong in ({"target": None}, {"port": 0}, {"portal": portal_of(form, "192.0.2.1", 0)}, {"portal": portal_of(form, "")}, {"instance": "x" * 256}):
        assert remove(form, **wrong) == INVALID
    assert not service.calls


# -- devices --------------------------------------------------------------------


def test_devices_that_are_waited_for(service, form):
    for family, method in (("SetupPersistentIScsiDevices", "Bind"), ("SetupPersistentIScsiVolumes", "Bind"), ("ClearPersistentIScsiDevices", "Clear")):
        service.replies[method + "PersistentDevices"] = {}
        assert getattr(lib, family)() == OK
        assert service.last() == {}
    for verb in ("Add", "Remove"):
        service.replies[verb + "PersistentDevice"] = {}
        for path in ("/dev/ublkb0", "/srv/d\u00e9p\u00f4t", "/" * 4095):
            assert form.call(verb + "PersistentIScsiDevice", form.text(path)) == OK
            assert service.last() == {"path": path}
        for path in (None, "/" * 4096):
            assert form.call(verb + "PersistentIScsiDevice", form.text(path)) == INVALID
    assert not service.calls
