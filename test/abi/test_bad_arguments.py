# SPDX-License-Identifier: MIT
"""
Every function of abi.json with every argument bad in every way

The table is made from the signatures and structures: what a parameter is follows from
its type, its direction and its name, and so does what is tried with it. What cannot be
told from there, as which pointers may be NULL here though the header does not say so,
stands in a few tables at the beginning.

Every call must give a code of errors.csv, must read no byte behind what it was lent
(there the memory ends), must write no byte around what it was given, and where it
refuses must not have asked the service for anything.
"""
import csv
import ctypes as c
import os
import random

import pytest

from calls import INSTANCE, INVALID, OK, TARGET, TOO_SMALL
from fake_service import FakeService
from winapi import ABI, ANY_PORT, A, SOURCE, STATUS, W, Memory, Page, lib, structure

ALL_ONES = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF, 8: 0xFFFFFFFFFFFFFFFF}
MOST_BYTES, MOST_UNITS, MOST_PORTALS = 255, 2048, 64  # of a secret or name, of a mapping, of a group

with open(os.path.join(SOURCE, "test/data/errors.csv"), newline="") as f:
    DOCUMENTED = {int(row["hex"], 16) for row in csv.DictReader(f)} | {OK, INVALID, TOO_SMALL}

# -- what signatures do not tell ------------------------------------------------

TEXTS = {
    "TargetName": (TARGET, 223), "TargetAlias": ("alias", 255), "InitiatorInstance": (INSTANCE, 255), "InitiatorName": (INSTANCE, 255),
    "DiscoveryMechanism": ("Static:*", 4095), "Address": ("192.0.2.1", 255), "DevicePath": ("/dev/loop0", 4095),
    "InitiatorNodeName": (TARGET, 223), "DestinationAddress": ("192.0.2.2", 255), "OuterModeAddress": ("192.0.2.3", 255),
}  # fmt: skip
LONGEST = {("AddRadiusServer", "Address"): 39, ("RemoveRadiusServer", "Address"): 39}
NUMBERS = {"InitiatorPortNumber": ANY_PORT, "InfoClass": 1, "SecurityFlags": 3, "Lun": 1}

# NULL is fine here, and where the header says "optional"
MAY_BE_NULL = {("RemoveIScsiPersistentTarget", "InitiatorInstance"), ("RemoveIScsiPersistentTarget", "Portal"), ("AddIScsiConnection", "TargetPortal"),
               ("AddIScsiConnection", "Reserved"), ("GetIScsiIKEInfo", "Reserved"), ("RefreshISNSServer", "Address")}  # fmt: skip
# but not here: only one class can do without
MUST_NOT_BE_NULL = {("GetIScsiTargetInformation", "DiscoveryMechanism")}
# members that are not looked at; a portal's label counts only where it is stored
IGNORED = {("ISCSI_TARGET_MAPPING", m) for m in ("InitiatorName", "TargetName", "OSDeviceName")}
LABELS_COUNT = {"AddIScsiSendTargetPortal", "AddIScsiStaticTarget"}
# pointers in structures and the members that count what is there
COUNTED = {"Username": "UsernameLength", "Password": "PasswordLength", "LUNList": "LUNCount", "Id": "IdLengthInBytes", "Key": "KeyLengthInBytes"}
NOT_READ = {("GetIScsiIKEInfo", "Key")}

PORTAL = {"symbolicName": "l", "address": "192.0.2.1", "socket": 3260}
OPTIONS = {"informationSpecified": 0x20, "loginFlags": 0, "username": "6162"}
MAPPING = {"initiatorName": "a", "targetName": "t", "osDeviceName": "d", "sessionId": "1-2", "osBusNumber": 0, "osTargetNumber": 0,
           "luns": [{"osLun": 0, "targetLun": "0001000000000000"}]}  # fmt: skip
SCSI = {"result": {"status": 0, "data": "00" * 64, "sense": ""}}
REPLIES = {
    "GetVersion": {"major": 10, "minor": 0, "build": 1, "product": "x"}, "GetNodeName": {"name": TARGET},
    "ListInitiators": {"initiators": ["a", "b"]}, "ListTargets": {"targets": [TARGET], "status": 0},
    "ListSendTargetPortals": {"portals": 2 * [{"initiatorName": "a", "initiatorPort": 1, "portal": PORTAL, "securityFlags": 1, "loginOptions": OPTIONS}]},
    "ListTargetPortals": {"portals": 2 * [{"portal": PORTAL, "portalGroup": 1}]}, "Login": {"sessionId": "1-2", "connectionId": "1-3"},
    "AddConnection": {"connectionId": "1-4"},
    "ListSessions": {"sessions": [{"id": "1-2", "initiatorNodeName": "n", "targetName": "t", "isid": "800102030405", "tsih": 1, "connections": [
        {"id": "1-3", "initiatorAddress": "::1", "initiatorSocket": 1, "targetAddress": "::1", "targetSocket": 3260, "cid": 1}]}]},
    "ListSessionParameters": {"sessions": [{
        "id": "1-2", "initialR2T": False, "immediateData": True, "type": 2, "dataSequenceInOrder": True, "dataPduInOrder": True,
        "errorRecoveryLevel": 0, "maxOutstandingR2T": 1, "firstBurstLength": 1, "maxBurstLength": 1, "maximumConnections": 1, "connections": [
            {"id": "1-3", "state": 1, "protocol": 6, "headerDigest": 0, "dataDigest": 0, "maxRecvDataSegmentLength": 1, "authType": 0,
             "estimatedThroughput": 0, "maxDatagramSize": 0}]}]},
    "ListDevices": {"devices": 2 * [{
        "initiatorInstance": "a", "targetName": "t", "scsiPort": 1, "scsiBus": 0, "scsiTarget": 0, "scsiLun": 0, "deviceType": 0,
        "deviceNumber": 1, "legacyName": "/dev/x", "interfaceName": ""}]},
    "ListMappings": {"mappings": [MAPPING]}, "ListPersistentDevices": {"paths": ["/dev/loop0"]}, "ListIsnsServers": {"servers": ["a"]},
    "ListPersistentLogins": {"logins": [{
        "targetName": "t", "informational": False, "initiatorInstance": "", "initiatorPort": 1, "portal": PORTAL, "securityFlags": 0,
        "mapping": MAPPING, "loginOptions": OPTIONS}]},
    "ListRadiusServers": {"servers": ["a"]}, "GetIkeInfo": {"securityFlags": 3}, "ScsiInquiry": SCSI, "ScsiReadCapacity": SCSI, "ScsiReportLuns": SCSI,
    "GetTargetInformation": {"information": {"protocolType": 0, "targetAlias": "alias", "portalGroups": [], "initiatorName": "a", "targetFlags": 0,
                                             "mapping": None, "loginOptions": None}},
}  # fmt: skip


# -- arguments that are right ---------------------------------------------------


class Parameter:
    def __init__(self, function, p):
        self.function, self.family, self.name, self.type = function, function["family"], p["name"], p["type"]
        self.direction = p["header_direction"] or ("out" if self.type.startswith("P") else "in")
        self.form = W if function["charset"] == "W" else A
        self.record = self.find_record()
        self.kind = self.find_kind()

    def find_record(self):
        name = self.type[1:]
        known = next((s for s in ABI["structs"] if name == s["name"] or "*" + self.type in s["other_typedef_names"]), None)
        return known and known["name"]

    def find_kind(self):
        if self.name == "Reserved":
            return "reserved"
        if self.type in ("PSTR", "PWSTR"):
            return "text"
        if self.record:
            return "record out" if self.direction.startswith("out") or self.family.startswith("Report") else "record in"
        if self.type in ("PULONG", "ULONG*"):
            return "size"
        if self.type == "PUSHORT":
            return "tag"
        if self.direction == "in" or self.name == "Key":
            return "bytes" if self.type in ("PUCHAR", "PCHAR") else "number"
        return "buffer" if self.type.startswith("P") else "number"

    def optional(self):
        key = (self.family, self.name)
        return key in MAY_BE_NULL or ("optional" in self.direction and key not in MUST_NOT_BE_NULL and self.kind not in ("bytes",))


def parameters(function):
    return [Parameter(function, p) for p in function["parameters"]]


class Filled:
    """A structure to be read, with all that its pointers lead to."""

    def __init__(self, record):
        self.value = structure(record)()
        self.kept = []

    def point(self, member, content):
        page = Page(content)
        self.kept.append(page)
        setattr(self.value, member, page.addr)

    def place(self, odd=False):
        page = Page(bytes(self.value), odd)
        page.filled = self
        return page


def stem(record):
    return record[:-1] if record[-1] in "AW" and record[-2] != "_" else record


def filled(p):
    f = Filled(p.record)
    v, kind = f.value, stem(p.record)
    if kind == "ISCSI_UNIQUE_SESSION_ID":
        v.AdapterUnique, v.AdapterSpecific = 1, 2
    elif kind == "ISCSI_TARGET_PORTAL":
        fill_portal(p.form, v)
    elif kind == "ISCSI_TARGET_PORTAL_GROUP":
        v.Count = 1
        fill_portal(p.form, v.Portals[0])
    elif kind == "ISCSI_LOGIN_OPTIONS":
        v.InformationSpecified = 0xFF
        v.UsernameLength, v.PasswordLength = 2, 12
        f.point("Username", b"me")
        f.point("Password", b"0123456789ab")
    elif kind == "ISCSI_TARGET_MAPPING":
        v.OSBusNumber = v.OSTargetNumber = ANY_PORT
        v.LUNCount = 1
        f.point("LUNList", bytes(16))
    elif kind == "IKE_AUTHENTICATION_INFORMATION":
        v.AuthMethod = 1
        v.PsKey.IdType, v.PsKey.IdLengthInBytes, v.PsKey.KeyLengthInBytes = 2, 4, 3
        for member, content in (("Id", b"host"), ("Key", b"key")):
            page = Page(content)
            f.kept.append(page)
            setattr(v.PsKey, member, page.addr)
    else:
        raise AssertionError(p.record)
    return f


def fill_portal(form, portal):
    form.put(portal, "SymbolicName", "label")
    form.put(portal, "Address", "192.0.2.1")
    portal.Socket = 3260


class Arguments:
    """Those of one call. Outputs have guards around them and room for what the replies above need."""

    ROOM = 8192

    def __init__(self, function):
        self.function, self.list = function, parameters(function)
        self.at = {p.name: self.good(p) for p in self.list}

    def good(self, p):
        if p.kind == "text":
            return Page(p.form.encode(TEXTS[p.name][0]))
        if p.kind == "record in":
            if p.family == "GetIScsiIKEInfo":
                f = filled(p)
                memory = Memory(bytes(f.value))
                memory.filled = f
                return memory
            return filled(p).place()
        if p.kind == "bytes":
            return Page(b"0123456789abcdef")
        if p.kind == "tag":
            return Page(b"\1\0")
        if p.kind == "size":
            return Memory(self.room_of(p.name).to_bytes(4, "little"))
        if p.kind in ("record out", "buffer"):
            return Memory({"ScsiStatus": 1, "SenseBuffer": 18}.get(p.name, 16 if p.record == "ISCSI_UNIQUE_SESSION_ID" else self.ROOM))
        if p.kind == "reserved":
            return None
        if p.name.endswith(("Length", "KeySize")):
            return 16
        return NUMBERS.get(p.name, 0)

    def room_of(self, name):
        return 18 if name == "SenseSize" else self.ROOM // self.unit()

    def unit(self):
        """Bytes that one of the size is."""
        sizes = [p for p in self.list if p.kind == "size"]
        for p in self.list:
            if p.kind == "record out" and len(sizes) == 1:
                return c.sizeof(structure(p.record))
            if p.kind == "buffer" and p.type == "PWCHAR":
                return 2
        return 1

    def main_size(self):
        """The size that belongs to the buffer; the other one counts elements and is written only."""
        sizes = [p for p in self.list if p.kind == "size" and p.name != "SenseSize"]
        return next((p for p in sizes if "Size" in p.name), sizes[0] if sizes else None)

    def main_buffer(self):
        wanted = [p for p in self.list if p.kind in ("record out", "buffer") and p.name not in ("ScsiStatus", "SenseBuffer")]
        return wanted[-1] if self.main_size() else None

    def call(self):
        before = {name: a.bytes() for name, a in self.at.items() if isinstance(a, Memory)}
        status = getattr(lib, self.function["name"])(*[a.addr if isinstance(a, (Memory, Page)) else a for a in self.at.values()])
        for a in self.at.values():
            if isinstance(a, (Memory, Page)):
                a.check()
        self.changed = {name for name, was in before.items() if self.at[name].bytes() != was}
        return status

    def number(self, name):
        return int.from_bytes(self.at[name].bytes(), "little")


# -- the table ------------------------------------------------------------------

REFUSED, SAME, PASSED = "refused", "same", "passed"


def refused(status=INVALID):
    return REFUSED, status


def ill_formed(form):
    """Text of this form that is none, each with its terminator."""
    if form is W:
        return {"high surrogate alone": b"\x00\xd8\0\0", "low surrogate first": b"\x00\xdc\x00\xd8\0\0", "high surrogate before text": b"\x00\xd8a\0\0\0"}
    return {"no UTF-8": b"\xff\0", "cut sequence": b"\xc3\0", "surrogate": b"\xed\xa0\x80\0", "overlong": b"\xc0\xaf\0", "beyond Unicode": b"\xf4\x90\x80\x80\0"}


def rows_of_text(p):
    longest = LONGEST.get((p.family, p.name), TEXTS[p.name][1])
    yield "longest", lambda a: a.at.update({p.name: Page(p.form.encode("x" * longest))}), (PASSED, None)
    yield "too long", lambda a: a.at.update({p.name: Page(p.form.encode("x" * (longest + 1)))}), refused()
    yield "without an end", lambda a: a.at.update({p.name: Page(p.form.encode("x" * (longest + 1))[: (longest + 1) * p.form.unit])}), refused()
    for what, raw in ill_formed(p.form).items():
        yield what, lambda a, raw=raw: a.at.update({p.name: Page(raw)}), refused()


def rows_of_members(p, record=None, base=0, prefix=""):
    """Of a structure: each text, each counted pointer, each number."""
    record = record or p.record
    made = structure(record)
    for name, _ in made._fields_:
        field = getattr(made, name)
        member = next(m for s in ABI["structs"] if s["name"] == made.__name__ for m in s["members"] if m["name"] == name)
        if name in ("PsKey", "Portals"):
            yield from rows_of_members(p, member["c_type"], base + field.offset, name + ".")
        elif member["array_dim"] and member["c_type"] in ("CHAR", "WCHAR"):
            ignored = (stem(record), name) in IGNORED or (name == "SymbolicName" and p.family not in LABELS_COUNT)
            expect = (SAME, None) if ignored else refused()
            for what, raw in {"without an end": b"A" * field.size, **ill_formed(p.form)}.items():
                yield prefix + name + " " + what, rewrite(p, base + field.offset, raw), expect
        elif name in COUNTED:
            count = getattr(made, COUNTED[name])
            if (p.family, name) in NOT_READ:
                yield prefix + name + " NULL", rewrite(p, base + field.offset, bytes(8)), (SAME, None)
                yield prefix + COUNTED[name] + " all ones", rewrite(p, base + count.offset, b"\xff" * 4), (SAME, None)
                continue
            most = MOST_UNITS if name == "LUNList" else MOST_BYTES
            yield prefix + name + " NULL", rewrite(p, base + field.offset, bytes(8)), refused()
            for n in (most + 1, 0x80000000, 0xFFFFFFFF):
                yield prefix + COUNTED[name] + " 0x%x" % n, rewrite(p, base + count.offset, n.to_bytes(4, "little")), refused()
            yield prefix + COUNTED[name] + " 0", rewrite(p, base + count.offset, bytes(4)), (PASSED, None)
        elif name == "Count":
            for n in (MOST_PORTALS + 1, 0xFFFFFFFF):
                yield "Count 0x%x" % n, rewrite(p, field.offset, n.to_bytes(4, "little")), refused()
            yield "Count 0", rewrite(p, field.offset, bytes(4)), (PASSED, None)
        elif name == "Socket":
            yield prefix + "Socket 0", rewrite(p, base + field.offset, bytes(2)), refused()
            yield prefix + "Socket all ones", rewrite(p, base + field.offset, b"\xff" * 2), (PASSED, None)
        elif name == "AuthMethod":
            for n in (0, 2, 0xFFFFFFFF):
                yield "AuthMethod 0x%x" % n, rewrite(p, field.offset, n.to_bytes(4, "little")), refused(STATUS["ISDSC_REQUEST_NOT_SUPPORTED"])
        elif name not in COUNTED.values() and not member["array_dim"] and field.size in ALL_ONES:
            yield prefix + name + " all ones", rewrite(p, base + field.offset, b"\xff" * field.size), (PASSED, None)


def rewrite(p, offset, raw):
    """The same structure with other bytes at @offset."""

    def change(a):
        old = a.at[p.name]
        content = c.string_at(old.addr, old.size)
        content = content[:offset] + raw + content[offset + len(raw) :]
        a.at[p.name] = type(old)(content)
        a.at[p.name].filled = old.filled

    return change


def rows_of_record(p):
    if stem(p.record) == "ISCSI_UNIQUE_SESSION_ID":
        chance = random.Random(p.function["name"] + p.name)
        for raw in (bytes(16), b"\xff" * 16, chance.randbytes(16), chance.randbytes(16)):
            yield raw.hex(), rewrite(p, 0, raw), (PASSED, None)
        return
    yield from rows_of_members(p)
    if stem(p.record) == "ISCSI_TARGET_PORTAL":
        yield "Address empty", rewrite(p, getattr(structure(p.record), "Address").offset, bytes(2)), refused()
        zero = rewrite(p, 0, bytes(c.sizeof(structure(p.record))))
        yield "without content", zero, (PASSED, None) if p.optional() else refused()
    if stem(p.record) == "ISCSI_LOGIN_OPTIONS":
        rubbish = bytearray(b"\xff" * c.sizeof(structure(p.record)))
        rubbish[4:8] = bytes(4)
        yield "rubbish that no bit vouches for", rewrite(p, 0, bytes(rubbish)), (PASSED, None)


def rows_of_number(p):
    function = getattr(lib, p.function["name"])
    size = c.sizeof(function.argtypes[[x["name"] for x in p.function["parameters"]].index(p.name)])
    put = lambda n: lambda a: a.at.update({p.name: n})
    if p.name.endswith("Length") or p.name == "KeySize":
        yield "0", put(0), (PASSED, None)
        for n in (MOST_BYTES + 1, 0x80000000, 0xFFFFFFFF):
            yield "0x%x" % n, put(n), refused()
    elif p.name == "InfoClass":
        for n in (8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            yield "0x%x" % n, put(n), refused()
    else:
        yield "all ones", put(ALL_ONES[size]), (PASSED, None)
        yield "0", put(0), (PASSED, None)
        instance = next((x for x in parameters(p.function) if x.name in ("InitiatorInstance", "InitiatorName")), None)
        if p.name == "InitiatorPortNumber" and instance:
            yield "0 of no instance", lambda a: a.at.update({p.name: 0, instance.name: None}), refused()


TOLD = "told"


def rows_of_size(p):
    a = Arguments(p.function)
    if p.name != getattr(a.main_size(), "name", None):
        return
    buffer = a.main_buffer().name
    put = lambda n: Memory(n.to_bytes(4, "little"))
    for n in (0, 1, 0xFFFFFFFF):
        yield "0x%x without a buffer" % n, lambda a, n=n: a.at.update({p.name: put(n), buffer: None}), (TOLD, None)
    if p.family.startswith("SendScsi"):
        for n in (1, 7, 0xFFFFFFFF):  # no more is written than there is room for, and no more than there is
            yield "0x%x" % n, lambda a, n=n: a.at.update({p.name: put(n), buffer: Memory(min(n, 4096))}), (PASSED, {OK, TOO_SMALL})
        return
    for n in (0, 1):
        yield "%d" % n, lambda a, n=n: a.at.update({p.name: put(n), buffer: Memory(n * a.unit())}), (TOLD, None)
    yield "one too few", lambda a: a.at.update({p.name: put(need(a) - 1), buffer: Memory((need(a) - 1) * a.unit())}), (TOLD, None)
    yield "exactly", lambda a: a.at.update({p.name: put(need(a)), buffer: Memory(need(a) * a.unit())}), (SAME, None)
    yield "all ones", lambda a: a.at.update({p.name: put(0xFFFFFFFF)}), (SAME, None)


needs = {}


def need(a):
    """What the call asks for."""
    name = a.function["name"]
    if name not in needs:
        asking = Arguments(a.function)
        asking.at[asking.main_buffer().name] = None
        assert asking.call() == TOO_SMALL
        needs[name] = asking.number(asking.main_size().name)
    return needs[name]


def rows_of_pointer(p):
    gone = lambda a: a.at.update({p.name: None})
    a = Arguments(p.function)
    if p.kind in ("record out", "buffer") and a.main_buffer() and p.name == a.main_buffer().name:
        yield "NULL", gone, (TOLD, None)
    elif p.name == "SenseBuffer" or p.optional():
        yield "NULL", gone, (PASSED, None)
    else:
        yield "NULL", gone, refused()

    def move(a):
        old = a.at[p.name]
        if old is None:
            return
        a.at[p.name] = type(old)(c.string_at(old.addr, old.size), odd=True)
        a.at[p.name].filled = getattr(old, "filled", None)

    yield "at an odd address", move, (SAME, None)


def table():
    for function in ABI["functions"]:
        for p in parameters(function):
            rows = []
            if p.kind != "number":
                rows += rows_of_pointer(p)
            rows += {"text": rows_of_text, "record in": rows_of_record, "number": rows_of_number, "size": rows_of_size}.get(p.kind, lambda p: [])(p)
            for what, change, expected in rows:
                yield pytest.param(function, change, expected, id="%s-%s-%s" % (function["name"], p.name, what.replace(" ", "_")))


@pytest.fixture(scope="module")
def service():
    s = FakeService()
    s.replies = {m: {} for m in METHODS}
    s.replies.update(REPLIES)
    was = os.environ.get("ISCSIDSC_SOCKET")
    os.environ["ISCSIDSC_SOCKET"] = s.path
    yield s
    if was is None:
        del os.environ["ISCSIDSC_SOCKET"]
    else:
        os.environ["ISCSIDSC_SOCKET"] = was
    s.close()


METHODS = (
    "SetNodeName", "AddSendTargetPortal", "RemoveSendTargetPortal", "RefreshSendTargetPortal", "Logout", "AddStaticTarget", "RemoveStaticTarget",
    "RemoveConnection", "RemovePersistentLogin", "BindPersistentDevices", "AddPersistentDevice", "RemovePersistentDevice", "ClearPersistentDevices",
    "SetChapSecret", "SetRadiusSecret", "SetGroupKey", "SetIkeInfo", "SetTunnelAddress", "AddRadiusServer", "RemoveRadiusServer", "AddIsnsServer",
    "RemoveIsnsServer", "RefreshIsnsServer",
)  # fmt: skip


def asked(service):
    with service.lock:
        calls, service.calls = service.calls, []
    return calls


@pytest.mark.parametrize("function,change,expected", table())
def test_argument(service, function, change, expected):
    good = Arguments(function)
    assert good.call() == OK
    asked_before = asked(service)
    assert asked_before
    bad = Arguments(function)
    change(bad)
    asked(service)
    status = bad.call()
    asked_now = asked(service)
    kind, wanted = expected
    assert status in DOCUMENTED
    if kind == REFUSED:
        assert status == wanted
        assert asked_now == []
        sizes = {p.name for p in bad.list if p.kind == "size"} | {"ScsiStatus"}
        assert bad.changed <= sizes
        assert all(bad.number(name) == 0 for name in sizes if isinstance(bad.at.get(name), Memory))
    elif kind == SAME:
        assert (status, asked_now) == (OK, asked_before)
    elif kind == PASSED:
        assert status in (wanted or {OK})
        if status == OK:
            assert [method for method, _ in asked_now] == [method for method, _ in asked_before]
    elif kind == TOLD:
        assert status == TOO_SMALL
        assert bad.number(bad.main_size().name) > 0
        buffer = bad.main_buffer().name
        assert buffer not in bad.changed


def test_the_table_is_complete():
    """Each parameter of each function is tried, and pointers in at least two ways."""
    rows = {}
    for row in table():
        function, parameter, _ = row.id.split("-", 2)
        rows[function, parameter] = rows.get((function, parameter), 0) + 1
    for function in ABI["functions"]:
        for p in parameters(function):
            assert rows[function["name"], p.name] >= 2, (function["name"], p.name)
    assert sum(rows.values()) > 1500
