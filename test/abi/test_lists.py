# SPDX-License-Identifier: MIT
"""
Lists in the buffers of a program: sizes, contents, and replies that are not as they
should be. Every buffer has guards around it, so a byte written too far is noticed.
"""
import ctypes as c

import pytest

from calls import *
from test_kept import login_json, parameters_json
from test_targets import mapping_json
from winapi import ABI, ANY_PORT, STATUS, Memory, detail, id_of, lib, structure, ulong


# -- lists of names -------------------------------------------------------------

NAMES = {
    "ReportIScsiInitiatorList": ("ListInitiators", "initiators", ()),
    "ReportIScsiTargets": ("ListTargets", "targets", (0,)),
    "ReportPersistentIScsiDevices": ("ListPersistentDevices", "paths", ()),
}


@pytest.fixture(params=NAMES)
def names(request, service, form):
    method, key, args = NAMES[request.param]

    class List:
        def set(self, names, status=0):
            service.replies[method] = {key: names, "status": status}

        def call(self, size, buffer):
            return form.call(request.param, *args, c.addressof(size) if size is not None else None, buffer)

    return List()


def characters(form, names):
    return sum(len(form.encode(n)) // form.unit for n in names) + (1 if names else 2)


@pytest.mark.parametrize("content", ([], ["a"], [TARGET, "eui.0011223344556677"], ["iqn.2026-11.local.disk:\u00e9\u20ac\U0001f4be"]))
def test_names_sizes(form, names, content):
    names.set(content)
    need = characters(form, content)

    for size_in in (0, 77, 0xFFFFFFFF):  # a size with a NULL buffer counts as 0
        size = ulong(size_in)
        assert names.call(size, None) == TOO_SMALL
        assert size.value == need

    for room in (0, 1, need - 1):
        size, buffer = ulong(room), Memory(need * form.unit)
        assert names.call(size, buffer) == TOO_SMALL
        assert size.value == need
        assert buffer.untouched()

    for room in (need, need + 1, 4096):
        size, buffer = ulong(room), Memory(room * form.unit)
        assert names.call(size, buffer) == OK
        assert size.value == need
        raw = buffer.bytes()
        assert form.names(raw[: need * form.unit]) == content
        assert raw[need * form.unit :] == b"\xcc" * (room - need) * form.unit


def test_names_that_grow_between_two_calls(form, names):
    names.set([TARGET])
    size = ulong(0)
    assert names.call(size, None) == TOO_SMALL
    names.set([TARGET, TARGET + "2"])
    buffer = Memory(size.value * form.unit)
    first = size.value
    assert names.call(size, buffer) == TOO_SMALL
    assert size.value > first
    assert buffer.untouched()


def test_names_without_a_size(names):
    names.set([])
    assert names.call(None, None) == INVALID
    assert names.call(None, Memory(100)) == INVALID


def test_names_to_odd_addresses(form, names):
    names.set([TARGET])
    memory = c.create_string_buffer(b"\xff" * 9)
    size = c.c_uint32.from_buffer(memory, 1)
    size.value = 100
    buffer = Memory(200, odd=True)
    assert names.call(size, buffer) == OK
    assert form.names(buffer.bytes(size.value * form.unit)) == [TARGET]


@pytest.mark.parametrize("reply", (None, 1, [1], [""], [TARGET, None]))
def test_names_not_as_the_interface_says(service, names, reply):
    names.set(reply)
    size, buffer = ulong(100), Memory(200)
    assert names.call(size, buffer) == STATUS["ISDSC_NON_SPECIFIC_ERROR"]
    assert size.value == 0
    assert buffer.untouched()
    assert detail()


def test_name_that_cannot_be_held(names):
    names.set(["x" * 4096])
    size = ulong(0)
    assert names.call(size, None) == INVALID
    assert size.value == 0


def test_targets_are_asked_anew_only_on_request(service, form):
    service.replies["ListTargets"] = {"targets": [], "status": 0}
    for force in (0, 1, 255):
        size = ulong(0)
        form.call("ReportIScsiTargets", force, c.addressof(size), None)
        assert service.last() == {"forceUpdate": force != 0}


def test_targets_with_a_warning(service, form):
    """The list is there though not every portal answered."""
    warning = STATUS["ISDSC_OPERATION_NOT_ALL_SUCCESS"]
    service.replies["ListTargets"] = {"targets": [TARGET], "status": warning}
    size, buffer = ulong(0), Memory(200)
    assert form.call("ReportIScsiTargets", 1, c.addressof(size), None) == TOO_SMALL
    size = ulong(200 // form.unit)
    assert form.call("ReportIScsiTargets", 1, c.addressof(size), buffer) == warning
    assert form.names(buffer.bytes(size.value * form.unit)) == [TARGET]


# -- lists of elements ----------------------------------------------------------


def portal_json(n):
    return {"symbolicName": "label \u00e9%d" % n, "address": "192.0.2.%d" % n, "socket": 3260 + n}


def send_target_portal(n, **options):
    return {
        "initiatorName": INSTANCE,
        "initiatorPort": ANY_PORT,
        "portal": portal_json(n),
        "securityFlags": 0x22,
        "loginOptions": {"informationSpecified": 0, "loginFlags": 0, **options},
    }


def device_json(n, **members):
    return {
        "initiatorInstance": INSTANCE, "targetName": TARGET, "sessionId": "1-2", "lun": "%04x000000000000" % n,
        "scsiPort": 2, "scsiBus": 0, "scsiTarget": 300, "scsiLun": n, "deviceType": 0, "deviceNumber": n,
        "legacyName": "/dev/ublkb%d" % n, "interfaceName": "/dev/disk/by-path/ip-192.0.2.1:3260-iscsi-\u00e9-lun-%d" % n,
        "backend": "ublk", "unitName": "", "vendor": "", "product": "", "serial": "", "sizeBytes": 1, "blockBytes": 512,
        "readOnly": False, "writeCache": True, "state": "ready", "why": "", "volumePaths": [], **members,
    }  # fmt: skip


ELEMENTS = {
    "ReportIScsiSendTargetPortals": ("ListSendTargetPortals", "portals", "ISCSI_TARGET_PORTAL_INFO", send_target_portal),
    "ReportIScsiTargetPortals": ("ListTargetPortals", "portals", "ISCSI_TARGET_PORTAL", lambda n: {"portal": portal_json(n), "portalGroup": 1}),
    "GetDevicesForIScsiSession": ("ListDevices", "devices", "ISCSI_DEVICE_ON_SESSION", device_json),
}


@pytest.fixture(params=ELEMENTS)
def elements(request, service, form):
    method, key, record, make = ELEMENTS[request.param]
    leading = {
        "ReportIScsiSendTargetPortals": (),
        "ReportIScsiTargetPortals": (None, form.text(TARGET), None),
        "GetDevicesForIScsiSession": (c.addressof(id_of(1, 2)),),
    }[request.param]
    session = id_of(1, 2)
    if leading and len(leading) == 1:
        leading = (c.addressof(session),)

    class List:
        element = form.structure(record)
        kept = session

        def set(self, n):
            service.replies[method] = {key: [make(i) for i in range(n)]}

        def set_raw(self, reply):
            service.replies[method] = reply

        def call(self, count, buffer):
            return form.call(request.param, *leading, c.addressof(count) if count is not None else None, buffer)

    List.key, List.make = key, staticmethod(make)
    return List()


@pytest.mark.parametrize("n", (1, 2, 5))
def test_elements_sizes(elements, n):
    elements.set(n)
    size = c.sizeof(elements.element)

    for count_in in (0, 77, 0xFFFFFFFF):
        count = ulong(count_in)
        assert elements.call(count, None) == TOO_SMALL
        assert count.value == n

    for room in range(n):
        count, buffer = ulong(room), Memory(n * size)
        assert elements.call(count, buffer) == TOO_SMALL
        assert count.value == n
        assert buffer.untouched()

    for room in (n, n + 2):
        count, buffer = ulong(room), Memory(room * size)
        assert elements.call(count, buffer) == OK
        assert count.value == n
        assert buffer.bytes()[n * size :] == b"\xcc" * (room - n) * size


def test_elements_of_nothing(elements):
    elements.set(0)
    count = ulong(77)
    assert elements.call(count, None) == OK
    assert count.value == 0
    count, buffer = ulong(3), Memory(100)
    assert elements.call(count, buffer) == OK
    assert count.value == 0
    assert buffer.untouched()


def test_elements_without_a_count(elements):
    elements.set(1)
    assert elements.call(None, Memory(4096)) == INVALID


def test_elements_that_grow_between_two_calls(elements):
    elements.set(1)
    count = ulong(0)
    assert elements.call(count, None) == TOO_SMALL
    buffer = Memory(c.sizeof(elements.element))
    elements.set(3)
    assert elements.call(count, buffer) == TOO_SMALL
    assert count.value == 3
    assert buffer.untouched()


def test_elements_that_vanish_between_two_calls(elements):
    elements.set(0)
    count, buffer = ulong(2), Memory(2 * c.sizeof(elements.element))
    assert elements.call(count, buffer) == OK
    assert count.value == 0


def test_elements_not_as_the_interface_says(elements):
    """Whatever member is missing or of another type, nothing is written."""
    good = elements.make(1)

    def spoilt(value, path=()):
        for key in value:
            if isinstance(value[key], dict):
                yield from spoilt(value[key], path + (key,))
            yield path + (key,)

    used = {"portal", "symbolicName", "address", "socket", "initiatorName", "initiatorPort", "initiatorInstance", "targetName",
            "scsiPort", "scsiBus", "scsiTarget", "scsiLun", "deviceType", "deviceNumber", "legacyName", "interfaceName"}  # fmt: skip
    seen = 0
    for path in spoilt(good):
        if path[-1] not in used or (elements.element is not None and path[0] == "loginOptions"):
            continue
        for bad in (None, [], {}, "missing"):
            broken = {**good}
            place = broken
            for step in path[:-1]:
                place[step] = {**place[step]}
                place = place[step]
            if bad == "missing":
                del place[path[-1]]
            else:
                place[path[-1]] = bad
            elements.set_raw({elements.key: [good, broken]})
            count, buffer = ulong(2), Memory(2 * c.sizeof(elements.element))
            assert elements.call(count, buffer) == STATUS["ISDSC_NON_SPECIFIC_ERROR"], (path, bad)
            assert count.value == 0
            assert buffer.untouched()
            seen += 1
    assert seen >= 12
    for reply in ({}, {elements.key: None}, {elements.key: {}}, {elements.key: [1]}):
        elements.set_raw(reply)
        count = ulong(0)
        assert elements.call(count, None) == STATUS["ISDSC_NON_SPECIFIC_ERROR"]


def test_send_target_portals_content(service, form):
    service.replies["ListSendTargetPortals"] = {"portals": [send_target_portal(1), send_target_portal(2)]}
    array = (form.structure("ISCSI_TARGET_PORTAL_INFO") * 2)()
    count = ulong(2)
    assert form.call("ReportIScsiSendTargetPortals", c.addressof(count), c.addressof(array)) == OK
    assert form.of(array[1].InitiatorName) == INSTANCE
    assert array[1].InitiatorPortNumber == ANY_PORT
    assert form.of(array[1].SymbolicName) == "label \u00e92"
    assert form.of(array[1].Address) == "192.0.2.2"
    assert array[1].Socket == 3262


def test_target_portals_content_and_arguments(service, form):
    service.replies["ListTargetPortals"] = {"portals": [{"portal": portal_json(7), "portalGroup": 2}]}
    tag = c.c_uint16(2)
    array = (form.structure("ISCSI_TARGET_PORTAL") * 1)()
    for instance, group, given in ((None, None, None), ("", 0, 0), (INSTANCE, 0xFFFF, 0xFFFF)):
        tag.value = group or 0
        count = ulong(1)
        assert form.call("ReportIScsiTargetPortals", form.text(instance), form.text(TARGET), c.addressof(tag) if group is not None else None,
                         c.addressof(count), c.addressof(array)) == OK  # fmt: skip
        assert service.last() == {"initiatorInstance": instance or None, "targetName": TARGET, "portalGroup": given}
    assert form.of(array[0].SymbolicName) == "label \u00e97"
    assert form.of(array[0].Address) == "192.0.2.7"
    assert array[0].Socket == 3267


def test_devices_content(service, form):
    service.replies["ListDevices"] = {"devices": [device_json(0), device_json(1, legacyName="", deviceNumber=-1), device_json(2, deviceType=5)]}
    array = (form.structure("ISCSI_DEVICE_ON_SESSION") * 3)()
    count = ulong(3)
    session = id_of(0xFFFFFA800F7900A8, 0x400001370000000D)
    assert form.call("GetDevicesForIScsiSession", c.addressof(session), c.addressof(count), c.addressof(array)) == OK
    assert service.last() == {"sessionId": "fffffa800f7900a8-400001370000000d"}
    disk, starting, cd = array
    assert form.of(disk.InitiatorName) == INSTANCE
    assert form.of(disk.TargetName) == TARGET
    address = disk.ScsiAddress
    assert (address.Length, address.PortNumber, address.PathId, address.TargetId, address.Lun) == (8, 2, 0, 300 & 0xFF, 0)
    guids = {g["name"]: g["memory_bytes_hex"] for g in ABI["guids"]}
    assert bytes(disk.DeviceInterfaceType).hex() == guids["GUID_DEVINTERFACE_DISK"]
    assert form.of(disk.DeviceInterfaceName) == "/dev/disk/by-path/ip-192.0.2.1:3260-iscsi-\u00e9-lun-0"
    assert form.of(disk.LegacyName) == "/dev/ublkb0"
    number = disk.StorageDeviceNumber
    assert (number.DeviceType, number.DeviceNumber, number.PartitionNumber) == (7, 0, 0)
    assert disk.DeviceInstance == 0
    assert form.of(starting.LegacyName) == ""
    assert starting.StorageDeviceNumber.DeviceNumber == 0xFFFFFFFF
    assert starting.ScsiAddress.Lun == 1
    assert bytes(cd.DeviceInterfaceType).hex() == guids["GUID_DEVINTERFACE_CDROM"]
    assert (cd.StorageDeviceNumber.DeviceType, cd.StorageDeviceNumber.PartitionNumber) == (2, 0xFFFFFFFF)


def test_text_that_does_not_fit_is_never_cut(service, form):
    count = ulong(0)
    session = id_of(1, 2)
    service.replies["ListDevices"] = {"devices": [device_json(0, legacyName="/" * 259)]}
    assert form.call("GetDevicesForIScsiSession", c.addressof(session), c.addressof(count), None) == TOO_SMALL
    service.replies["ListDevices"] = {"devices": [device_json(0, legacyName="/" * 260)]}
    assert form.call("GetDevicesForIScsiSession", c.addressof(session), c.addressof(count), None) == INVALID
    assert count.value == 0


# -- lists of bytes -------------------------------------------------------------


def session_json(n, connections=1):
    return {
        "id": "a-%x" % n, "initiatorNodeName": "iqn.2026-11.local.host:\u00e9", "initiatorInstance": INSTANCE,
        "targetName": TARGET + str(n), "isid": "800102030405", "tsih": 0x1234, "informational": False, "state": "up",
        "portal": portal_json(1),
        "connections": [
            {"id": "a-%x" % (100 + i), "initiatorAddress": "192.0.2.9", "initiatorSocket": 40000 + i,
             "targetAddress": "2001:db8::%d" % i, "targetSocket": 3260, "cid": 0x0102 + i}
            for i in range(connections)
        ],
    }  # fmt: skip


# method, key, one record, its structure, order of size, count and buffer
BYTES = {
    "GetIScsiSessionList": ("ListSessions", "sessions", lambda n: session_json(n, n % 3), "ISCSI_SESSION_INFO", "scb"),
    "GetIScsiSessionListEx": ("ListSessionParameters", "sessions", lambda n: parameters_json(n, n % 3), "ISCSI_SESSION_INFO_EX", "scb"),
    "ReportIScsiSendTargetPortalsEx": ("ListSendTargetPortals", "portals",
                                       lambda n: send_target_portal(n, informationSpecified=USERNAME, username="41" * n),
                                       "ISCSI_TARGET_PORTAL_INFO_EX", "csb"),
    "ReportActiveIScsiTargetMappings": ("ListMappings", "mappings", lambda n: mapping_json(n, n % 3), "ISCSI_TARGET_MAPPING", "scb"),
    "ReportIScsiPersistentLogins": ("ListPersistentLogins", "logins",
                                    lambda n: login_json(n, mapping=mapping_json(n, n % 3) if n % 2 else None,
                                                         loginOptions={"informationSpecified": USERNAME, "loginFlags": 0, "username": "41" * n}),
                                    "PERSISTENT_ISCSI_LOGIN_INFO", "cbs"),
}  # fmt: skip


@pytest.fixture(params=BYTES)
def in_bytes(request, service, form):
    method, key, make, record, order = BYTES[request.param]
    one_form = request.param == "GetIScsiSessionListEx"

    class List:
        element = structure(record) if one_form else form.structure(record)

        def set(self, n):
            service.replies[method] = {key: [make(i) for i in range(n)]}

        def call(self, size, count, buffer):
            size = c.addressof(size) if size is not None else None
            count = c.addressof(count) if count is not None else None
            args = [{"s": size, "c": count, "b": buffer}[x] for x in order]
            if one_form:
                return getattr(lib, request.param)(*[a.addr if isinstance(a, Memory) else a for a in args])
            return form.call(request.param, *args)

    return List()


@pytest.mark.parametrize("n", (1, 2, 5))
def test_bytes_sizes(in_bytes, n):
    in_bytes.set(n)
    size, count = ulong(0), ulong()
    assert in_bytes.call(size, count, None) == TOO_SMALL
    assert count.value == n
    need = size.value
    assert need >= n * c.sizeof(in_bytes.element)

    size, count = ulong(0xFFFFFFFF), ulong()
    assert in_bytes.call(size, count, None) == TOO_SMALL
    assert (size.value, count.value) == (need, n)

    for room in (0, 1, n * c.sizeof(in_bytes.element) - 1, need - 1):
        size, count, buffer = ulong(room), ulong(), Memory(need)
        assert in_bytes.call(size, count, buffer) == TOO_SMALL
        assert (size.value, count.value) == (need, n)
        assert buffer.untouched()

    for room in (need, need + 1, need + 16384):
        size, count, buffer = ulong(room), ulong(), Memory(room)
        assert in_bytes.call(size, count, buffer) == OK
        assert (size.value, count.value) == (need, n)
        assert buffer.bytes()[need:] == b"\xcc" * (room - need)


def test_bytes_of_nothing(in_bytes):
    in_bytes.set(0)
    for size_in, buffer in ((77, None), (100, Memory(100)), (0, Memory(1))):
        size, count = ulong(size_in), ulong()
        assert in_bytes.call(size, count, buffer) == OK
        assert (size.value, count.value) == (0, 0)


def test_bytes_without_sizes(in_bytes):
    in_bytes.set(1)
    value = ulong(500)
    assert in_bytes.call(None, value, None) == INVALID
    assert value.value == 0
    value = ulong(500)
    assert in_bytes.call(value, None, None) == INVALID
    assert value.value == 0


def test_bytes_that_grow_between_two_calls(in_bytes):
    in_bytes.set(1)
    size, count = ulong(0), ulong()
    in_bytes.call(size, count, None)
    buffer, first = Memory(size.value), size.value
    in_bytes.set(2)
    assert in_bytes.call(size, count, buffer) == TOO_SMALL
    assert size.value > first and count.value == 2
    assert buffer.untouched()


@pytest.mark.parametrize("odd", (False, True))
def test_sessions_content(service, form, odd):
    service.replies["ListSessions"] = {"sessions": [session_json(1, 2), session_json(2, 0)]}
    size, count, buffer = ulong(8192), ulong(), Memory(8192, odd)
    assert form.call("GetIScsiSessionList", c.addressof(size), c.addressof(count), buffer) == OK
    session = form.structure("ISCSI_SESSION_INFO")
    connection = form.structure("ISCSI_CONNECTION_INFO")
    first, second = (session * 2).from_buffer_copy(buffer.bytes(2 * c.sizeof(session)))

    assert (first.SessionId.AdapterUnique, first.SessionId.AdapterSpecific) == (0xA, 1)
    assert form.at(first.InitiatorName) == "iqn.2026-11.local.host:\u00e9"
    assert form.at(first.TargetNodeName) == form.at(first.TargetName) == TARGET + "1"
    assert bytes(first.ISID).hex() == "800102030405"
    assert bytes(first.TSID) == b"\x34\x12"
    assert first.ConnectionCount == 2
    assert buffer.inside(first.Connections, 2 * c.sizeof(connection))
    assert (first.Connections - buffer.addr) % 8 == 0
    a, b = (connection * 2).from_buffer_copy(c.string_at(first.Connections, 2 * c.sizeof(connection)))
    assert (a.ConnectionId.AdapterUnique, b.ConnectionId.AdapterSpecific) == (0xA, 101)
    assert form.at(b.InitiatorAddress) == "192.0.2.9"
    assert form.at(b.TargetAddress) == "2001:db8::1"
    assert (b.InitiatorSocket, b.TargetSocket) == (40001, 3260)
    assert bytes(b.CID) == b"\x03\x01"

    assert (second.ConnectionCount, second.Connections) == (0, None)
    used = size.value
    for address in (first.InitiatorName, first.TargetNodeName, first.TargetName, a.InitiatorAddress, b.TargetAddress, second.TargetName):
        assert buffer.addr <= address < buffer.addr + used
        assert (address - buffer.addr) % form.unit == 0


def test_portals_ex_exact_size_and_content(service, form):
    service.replies["ListSendTargetPortals"] = {"portals": [
        send_target_portal(1, informationSpecified=USERNAME | PASSWORD | AUTH_TYPE, loginFlags=2, authType=1, username="757365722d31"),
        send_target_portal(2),
        send_target_portal(3, informationSpecified=USERNAME | HEADER_DIGEST, username="e9", headerDigest=1, password="736563726574"),
        send_target_portal(4, informationSpecified=USERNAME, username=None, headerDigest=1),
    ]}  # fmt: skip
    element = form.structure("ISCSI_TARGET_PORTAL_INFO_EX")
    need = 4 * c.sizeof(element) + len(b"user-1") + 1
    size, count, buffer = ulong(need), ulong(0), Memory(need)
    assert form.call("ReportIScsiSendTargetPortalsEx", c.addressof(count), c.addressof(size), buffer) == OK
    assert (size.value, count.value) == (need, 4)
    array = (element * 4).from_buffer_copy(buffer.bytes(4 * c.sizeof(element)))
    one, two, three, four = (e.LoginOptions for e in array)
    assert form.of(array[0].Address) == "192.0.2.1"
    assert form.of(array[0].InitiatorName) == INSTANCE
    assert array[0].SecurityFlags == 0x22
    assert (one.Version, one.InformationSpecified, one.LoginFlags, one.AuthType) == (0, 0xE0, 2, 1)
    assert one.UsernameLength == 6 and c.string_at(one.Username, 6) == b"user-1"
    assert buffer.inside(one.Username, 6)
    assert (one.PasswordLength, one.Password) == (0, None)
    assert (two.InformationSpecified, two.UsernameLength, two.Username) == (0, 0, None)
    assert three.HeaderDigest == 1 and c.string_at(three.Username, three.UsernameLength) == b"\xe9"
    # never, not even when a service says it
    assert (three.PasswordLength, three.Password) == (0, None)
    assert b"secret" not in buffer.bytes()
    assert (four.InformationSpecified, four.UsernameLength, four.Username, four.HeaderDigest) == (USERNAME, 0, None, 0)


def test_security_flags_of_64_bits(service, form):
    flags = 0x8000000000000022
    service.replies["AddSendTargetPortal"] = {}
    portal = portal_of(form)
    assert form.call("AddIScsiSendTargetPortal", None, ANY_PORT, None, flags, c.addressof(portal)) == OK
    sent = service.last()["securityFlags"]
    service.replies["ListSendTargetPortals"] = {"portals": [{**send_target_portal(1), "securityFlags": sent}]}
    element = form.structure("ISCSI_TARGET_PORTAL_INFO_EX")
    size, count, buffer = ulong(c.sizeof(element)), ulong(), Memory(c.sizeof(element))
    assert form.call("ReportIScsiSendTargetPortalsEx", c.addressof(count), c.addressof(size), buffer) == OK
    assert element.from_buffer_copy(buffer.bytes()).SecurityFlags == flags


def test_sessions_not_as_the_interface_says(service, form):
    """Whatever member of a session or of its connection is missing or of another type."""
    good = session_json(1, 1)
    used = {"id", "initiatorNodeName", "targetName", "isid", "tsih", "connections"}
    of_connection = {"id", "initiatorAddress", "initiatorSocket", "targetAddress", "targetSocket", "cid"}
    broken = [{**good, key: bad} for key in used for bad in (None, {}, "x" if key == "isid" else 1.5)]
    broken += [{k: v for k, v in good.items() if k != key} for key in used]
    for key in of_connection:
        for bad in (None, [], 1.5):
            broken.append({**good, "connections": [{**good["connections"][0], key: bad}]})
    broken += [{**good, "isid": "8001020304"}, {**good, "isid": "80010203040506"}, {**good, "tsih": 65536}, {**good, "id": "1"}]
    broken += [{**good, "connections": [7]}, 7]
    for session in broken:
        service.replies["ListSessions"] = {"sessions": [good, session]}
        size, count, buffer = ulong(8192), ulong(), Memory(8192)
        assert form.call("GetIScsiSessionList", c.addressof(size), c.addressof(count), buffer) == STATUS["ISDSC_NON_SPECIFIC_ERROR"], session
        assert (size.value, count.value) == (0, 0)
        assert buffer.untouched()


def test_address_that_does_not_fit(service, form):
    session = session_json(1, 1)
    session["connections"][0]["targetAddress"] = "x" * 300
    service.replies["ListSessions"] = {"sessions": [session]}
    size, count = ulong(0), ulong()
    assert form.call("GetIScsiSessionList", c.addressof(size), c.addressof(count), None) == INVALID


@pytest.mark.parametrize("username", ("0", "zz", 5, "00" * 70000))
def test_user_name_not_as_the_interface_says(service, form, username):
    service.replies["ListSendTargetPortals"] = {"portals": [send_target_portal(1, informationSpecified=USERNAME, username=username)]}
    size, count = ulong(0), ulong()
    assert form.call("ReportIScsiSendTargetPortalsEx", c.addressof(count), c.addressof(size), None) == STATUS["ISDSC_NON_SPECIFIC_ERROR"]


def test_targets_without_their_status(service, form):
    service.replies["ListTargets"] = {"targets": [TARGET]}
    size, buffer = ulong(100), Memory(200)
    assert form.call("ReportIScsiTargets", 0, c.addressof(size), buffer) == STATUS["ISDSC_NON_SPECIFIC_ERROR"]
    assert size.value == 0
    assert buffer.untouched()
