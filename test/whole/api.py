# SPDX-License-Identifier: MIT
"""
The library as a program uses it, in both forms, with what it returns as plain values

Failures are Status exceptions. The structures come from abi.json (test/abi/winapi.py).
"""
import ctypes as c

from winapi import A, ANY_PORT, CONSTANT, STATUS, Form, W, detail, lib, structure, ulong  # noqa: F401

INSUFFICIENT = STATUS["ERROR_INSUFFICIENT_BUFFER"]


class Status(Exception):
    def __init__(self, code, form):
        super().__init__("0x%X %s: %s" % (code, lib.iscsidsc_strerror(code).decode(), detail()))
        self.code = code
        self.detail = detail()


def call(form, family, *args):
    """Every function that exists in two forms."""
    code = form.call(family, *args)
    if code:
        raise Status(code, form)


def plain(name, *args):
    code = getattr(lib, name)(*args)
    if code:
        raise Status(code, None)


def portal(form, host, port):
    p = form.structure("ISCSI_TARGET_PORTAL")()
    form.put(p, "Address", host)
    p.Socket = port
    return p


def add_portal(host, port, form=W):
    p = portal(form, host, port)
    call(form, "AddIScsiSendTargetPortal", None, ANY_PORT, None, 0, c.addressof(p))


def remove_portal(host, port, form=W):
    p = portal(form, host, port)
    call(form, "RemoveIScsiSendTargetPortal", None, ANY_PORT, c.addressof(p))


def targets(force=False, form=W):
    size = ulong(0)
    code = form.call("ReportIScsiTargets", 1 if force else 0, c.addressof(size), None)
    assert code == INSUFFICIENT, hex(code)
    buffer = c.create_string_buffer(size.value * form.unit)
    call(form, "ReportIScsiTargets", 0, c.addressof(size), c.addressof(buffer))
    return form.names(buffer.raw[: size.value * form.unit])


def session_id(pair):
    s = structure("ISCSI_UNIQUE_SESSION_ID")()
    s.AdapterUnique, s.AdapterSpecific = pair
    return s


def login(name, host=None, port=None, informational=False, persistent=False, flags=0, form=W):
    """Return: the session's id and the connection's, as pairs of numbers."""
    session, connection = session_id((0, 0)), session_id((0, 0))
    options = structure("ISCSI_LOGIN_OPTIONS")()
    options.LoginFlags = flags
    at = portal(form, host, port) if host else None
    text = form.text(name)
    call(form, "LoginIScsiTarget", text, int(informational), None, ANY_PORT, c.addressof(at) if at else None, 0, None,
         c.addressof(options), 0, None, int(persistent), c.addressof(session), c.addressof(connection))  # fmt: skip
    return (session.AdapterUnique, session.AdapterSpecific), (connection.AdapterUnique, connection.AdapterSpecific)


def logout(session):
    s = session_id(session)
    plain("LogoutIScsiTarget", c.addressof(s))


def text_of(pair):
    return "%x-%x" % pair


def sessions(form=W):
    size, count = ulong(0), ulong(0)
    buffer = None
    for _ in range(10):
        code = form.call("GetIScsiSessionList", c.addressof(size), c.addressof(count), c.addressof(buffer) if buffer else None)
        if code != INSUFFICIENT:
            break
        buffer = c.create_string_buffer(size.value)
    if code:
        raise Status(code, form)
    result = []
    info = form.structure("ISCSI_SESSION_INFO")
    for i in range(count.value):
        s = info.from_buffer(buffer, i * c.sizeof(info))
        result.append({
            "id": (s.SessionId.AdapterUnique, s.SessionId.AdapterSpecific),
            "target": form.at(s.TargetName), "node": form.at(s.TargetNodeName), "initiator": form.at(s.InitiatorName),
            "isid": bytes(s.ISID), "tsid": bytes(s.TSID),
            "connections": [connection_of(form, s.Connections, k) for k in range(s.ConnectionCount)],
        })  # fmt: skip
    return result


def connection_of(form, address, k):
    info = form.structure("ISCSI_CONNECTION_INFO")
    x = info.from_address(address + k * c.sizeof(info))
    return {"id": (x.ConnectionId.AdapterUnique, x.ConnectionId.AdapterSpecific), "cid": bytes(x.CID),
            "local": (form.at(x.InitiatorAddress), x.InitiatorSocket), "peer": (form.at(x.TargetAddress), x.TargetSocket)}  # fmt: skip


def devices(session, form=W):
    count, id_ = ulong(0), session_id(session)
    element = form.structure("ISCSI_DEVICE_ON_SESSION")
    buffer = None
    for _ in range(10):
        code = form.call("GetDevicesForIScsiSession", c.addressof(id_), c.addressof(count), c.addressof(buffer) if buffer else None)
        if code != INSUFFICIENT:
            break
        buffer = (element * count.value)()
    if code:
        raise Status(code, form)
    return [{
        "initiator": form.of(d.InitiatorName), "target": form.of(d.TargetName), "name": form.of(d.LegacyName),
        "interface": form.of(d.DeviceInterfaceName), "lun": d.ScsiAddress.Lun, "length": d.ScsiAddress.Length,
        "type": d.StorageDeviceNumber.DeviceType, "number": d.StorageDeviceNumber.DeviceNumber,
        "instance": d.DeviceInstance,
    } for d in (buffer[i] for i in range(count.value))]  # fmt: skip


def scsi(name, session, *args):
    """Return: response bytes. A command that does not end with GOOD is a Status with sense and status."""
    status, size, sense_size = c.c_uint8(0xEE), ulong(0), ulong(252)
    sense, id_ = c.create_string_buffer(252), session_id(session)
    response = None
    for _ in range(4):
        sense_size.value = 252
        code = getattr(lib, name)(c.addressof(id_), *args, c.addressof(status), c.addressof(size),
                                  c.addressof(response) if response else None, c.addressof(sense_size), c.addressof(sense))  # fmt: skip
        if code != INSUFFICIENT:
            break
        response = c.create_string_buffer(size.value)
    if code:
        e = Status(code, None)
        e.scsi_status, e.sense = status.value, sense.raw[: sense_size.value]
        raise e
    assert status.value == 0
    return response.raw[: size.value]


def inquiry(session, lun, page=None):
    return scsi("SendScsiInquiry", session, lun, 0 if page is None else 1, page or 0)


def read_capacity(session, lun):
    return scsi("SendScsiReadCapacity", session, lun)


def report_luns(session):
    return scsi("SendScsiReportLuns", session)


def node_name(form=W):
    buffer = c.create_string_buffer(224 * form.unit)
    call(form, "GetIScsiInitiatorNodeName", c.addressof(buffer))
    return form.at(c.addressof(buffer))


# -- the rest: targets, connections, mappings, what is kept, security, servers ----


def at(x):
    return c.addressof(x) if x is not None else None


def of_names(form, family, *args):
    """A list of names by its two calls; a list of servers may say success to the first one."""
    size = ulong(0)
    code = form.call(family, *args, c.addressof(size), None)
    if code == 0:
        assert size.value == 0
        return []
    for _ in range(10):
        if code != INSUFFICIENT:
            raise Status(code, form)
        buffer = c.create_string_buffer(size.value * form.unit)
        code = form.call(family, *args, c.addressof(size), c.addressof(buffer))
        if code == 0:
            return form.names(buffer.raw[: size.value * form.unit])


def of_records(form, family, record, order, size_args=()):
    """A list in bytes by its two calls. @order: of size, count and buffer. Return: the records and their buffer."""
    size, count, buffer = ulong(0), ulong(0), None
    function = getattr(lib, family + form.letter, None) or getattr(lib, family)
    for _ in range(10):
        by = {"s": c.addressof(size), "c": c.addressof(count), "b": c.addressof(buffer) if buffer else None}
        code = function(*size_args, *[by[x] for x in order])
        if code != INSUFFICIENT:
            break
        assert size.value > 0 and count.value > 0
        buffer = c.create_string_buffer(size.value)
    if code:
        raise Status(code, form)
    return [record.from_buffer(buffer, i * c.sizeof(record)) for i in range(count.value)]


def options(bits=0, username=b"", password=b"", **members):
    o = structure("ISCSI_LOGIN_OPTIONS")()
    o.kept = [c.create_string_buffer(username), c.create_string_buffer(password)]
    if username:
        bits |= CONSTANT["ISCSI_LOGIN_OPTIONS_USERNAME"]
    if password:
        bits |= CONSTANT["ISCSI_LOGIN_OPTIONS_PASSWORD"]
    o.InformationSpecified = bits
    o.Username, o.UsernameLength = c.addressof(o.kept[0]) if username else None, len(username)
    o.Password, o.PasswordLength = c.addressof(o.kept[1]) if password else None, len(password)
    for name, value in members.items():
        setattr(o, name, value)
    return o


def mapping(form, bus=ANY_PORT, target=ANY_PORT, luns=()):
    """@luns: (number here, the 8 bytes of REPORT LUNS)"""
    m = form.structure("ISCSI_TARGET_MAPPING")()
    m.kept = (structure("SCSI_LUN_LIST") * len(luns))(*[(n, int.from_bytes(wire, "little")) for n, wire in luns])
    m.OSBusNumber, m.OSTargetNumber, m.LUNCount = bus, target, len(luns)
    m.LUNList = c.addressof(m.kept) if luns else None
    return m


def mapping_plain(form, m):
    luns = (structure("SCSI_LUN_LIST") * m.LUNCount).from_address(m.LUNList) if m.LUNCount else ()
    return {"initiator": form.of(m.InitiatorName), "target": form.of(m.TargetName), "name": form.of(m.OSDeviceName),
            "session": (m.SessionId.AdapterUnique, m.SessionId.AdapterSpecific), "bus": m.OSBusNumber, "number": m.OSTargetNumber,
            "luns": [(x.OSLUN, x.TargetLUN.to_bytes(8, "little")) for x in luns]}  # fmt: skip


def login_with(name, host=None, port=None, informational=False, persistent=False, options=None, mapping=None, flags=0, key=b"", form=W):
    """As login(), with structures. Return: the ids, which stay (7, 7) when nothing was stored there."""
    ids = [session_id((7, 7)), session_id((7, 7))]
    where = portal(form, host, port) if host else None
    call(form, "LoginIScsiTarget", form.text(name), int(informational), None, ANY_PORT, at(where), flags, at(mapping), at(options), len(key),
         key or None, int(persistent), at(ids[0]), at(ids[1]))  # fmt: skip
    return tuple((i.AdapterUnique, i.AdapterSpecific) for i in ids)


def add_static_target(name, alias=None, flags=0, persist=True, mapping=None, options=None, portals=None, form=W):
    """@portals: (host, port) each, None: no group."""
    group = None
    if portals is not None:
        group = c.create_string_buffer(len(portals).to_bytes(4, "little") + b"".join(bytes(portal(form, *p)) for p in portals))
    call(form, "AddIScsiStaticTarget", form.text(name), form.text(alias), flags, int(persist), at(mapping), at(options), at(group))


def remove_static_target(name, form=W):
    call(form, "RemoveIScsiStaticTarget", form.text(name))


def target_information(name, mechanism, info_class, form=W):
    """The raw bytes, with the address that they had."""
    size, buffer = ulong(0), None
    for _ in range(10):
        code = form.call("GetIScsiTargetInformation", form.text(name), form.text(mechanism), info_class, c.addressof(size), at(buffer))
        if code != INSUFFICIENT:
            break
        buffer = c.create_string_buffer(size.value)
    if code:
        raise Status(code, form)
    return buffer.raw[: size.value] if buffer else b"", c.addressof(buffer) if buffer else None, buffer


def mechanisms(name, form=W):
    return form.names(target_information(name, None, 2, form)[0])


def portal_groups(name, mechanism, form=W):
    raw = target_information(name, mechanism, 3, form)[0]
    element, group = form.structure("ISCSI_TARGET_PORTAL"), form.structure("ISCSI_TARGET_PORTAL_GROUP")
    result, place = [], 4
    for _ in range(int.from_bytes(raw[:4], "little")):
        n = int.from_bytes(raw[place : place + 4], "little")
        portals = [element.from_buffer_copy(raw, place + 4 + i * c.sizeof(element)) for i in range(n)]
        result.append([(form.of(p.Address), p.Socket) for p in portals])
        place += (c.sizeof(group) + (n - 1) * c.sizeof(element) + 3) // 4 * 4 if n else 4
    assert place == len(raw) or not raw
    return result


def add_connection(session, host=None, port=None, options=None, form=W):
    s, connection = session_id(session), session_id((0, 0))
    where = portal(form, host, port) if host else None
    call(form, "AddIScsiConnection", at(s), None, ANY_PORT, at(where), 0, at(options), 0, None, at(connection))
    return connection.AdapterUnique, connection.AdapterSpecific


def remove_connection(session, connection):
    s, k = session_id(session), session_id(connection)
    plain("RemoveIScsiConnection", at(s), at(k))


def session_parameters():
    record, of_connection = structure("ISCSI_SESSION_INFO_EX"), structure("ISCSI_CONNECTION_INFO_EX")
    names = [m for m, _ in record._fields_ if m not in ("SessionId", "ConnectionCount", "Connections")]
    result = []
    for s in of_records(A, "GetIScsiSessionListEx", record, "scb"):
        connections = (of_connection * s.ConnectionCount).from_address(s.Connections) if s.ConnectionCount else ()
        result.append({
            "id": (s.SessionId.AdapterUnique, s.SessionId.AdapterSpecific), **{n: getattr(s, n) for n in names},
            "connections": [{"id": (x.ConnectionId.AdapterUnique, x.ConnectionId.AdapterSpecific),
                             **{n: getattr(x, n) for n, _ in of_connection._fields_ if n != "ConnectionId"}} for x in connections],
        })  # fmt: skip
    return result


def mappings(form=W):
    record = form.structure("ISCSI_TARGET_MAPPING")
    return [mapping_plain(form, m) for m in of_records(form, "ReportActiveIScsiTargetMappings", record, "scb")]


def persistent_logins(form=W):
    record, result = form.structure("PERSISTENT_ISCSI_LOGIN_INFO"), []
    for p in of_records(form, "ReportIScsiPersistentLogins", record, "cbs"):
        kept = form.structure("ISCSI_TARGET_MAPPING").from_address(p.Mappings) if p.Mappings else None
        o = p.LoginOptions
        result.append({
            "target": form.of(p.TargetName), "informational": p.IsInformationalSession, "initiator": form.of(p.InitiatorInstance),
            "port": p.InitiatorPortNumber, "portal": (form.of(p.TargetPortal.Address), p.TargetPortal.Socket), "flags": p.SecurityFlags,
            "mapping": mapping_plain(form, kept) if kept else None, "specified": o.InformationSpecified, "login_flags": o.LoginFlags,
            "username": c.string_at(o.Username, o.UsernameLength) if o.Username else b"", "password": o.PasswordLength,
        })  # fmt: skip
    return result


def remove_persistent_login(name, host=None, port=None, initiator=None, initiator_port=ANY_PORT, form=W):
    where = portal(form, host, port) if host else None
    call(form, "RemoveIScsiPersistentTarget", form.text(initiator), initiator_port, form.text(name), at(where))


def persistent_devices(form=W):
    return of_names(form, "ReportPersistentIScsiDevices")


def add_persistent_device(path, form=W):
    call(form, "AddPersistentIScsiDevice", form.text(path))


def remove_persistent_device(path, form=W):
    call(form, "RemovePersistentIScsiDevice", form.text(path))


def ike(id_type, identity, key=b"", flags=3):
    info = structure("IKE_AUTHENTICATION_INFORMATION")()
    info.kept = [c.create_string_buffer(identity), c.create_string_buffer(key)]
    info.AuthMethod = 1
    k = info.PsKey
    k.SecurityFlags, k.IdType, k.IdLengthInBytes, k.Id = flags, id_type, len(identity), c.addressof(info.kept[0])
    k.KeyLengthInBytes, k.Key = len(key), c.addressof(info.kept[1]) if key else None
    return info


def isns_servers(form=W):
    return of_names(form, "ReportISNSServerList")


def radius_servers(form=W):
    return of_names(form, "ReportRadiusServerList")
