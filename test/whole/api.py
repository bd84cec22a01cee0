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
