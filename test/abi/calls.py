# SPDX-License-Identifier: MIT
"""What several tests pass to the library."""
import ctypes as c

from winapi import ANY_PORT, STATUS, Memory, id_of, lib, structure, ulong

INSTANCE = "Root\\ISCSIPRT\\0000_0"
TARGET = "iqn.2026-11.local.disk:eins"
OK = 0
TOO_SMALL = STATUS["ERROR_INSUFFICIENT_BUFFER"]
INVALID = STATUS["ERROR_INVALID_PARAMETER"]
NO_SERVICE = STATUS["ISDSC_SERVICE_NOT_RUNNING"]
ABSENT = STATUS["ERROR_CALL_NOT_IMPLEMENTED"]
USERNAME, PASSWORD, AUTH_TYPE, HEADER_DIGEST = 0x20, 0x40, 0x80, 0x01


def portal_of(form, address="192.0.2.1", socket=3260, label=""):
    portal = form.structure("ISCSI_TARGET_PORTAL")()
    form.put(portal, "SymbolicName", label)
    form.put(portal, "Address", address)
    portal.Socket = socket
    return portal


def options_of(bits, username=b"", password=b"", **members):
    options = structure("ISCSI_LOGIN_OPTIONS")()
    options.InformationSpecified = bits
    options.kept = [c.create_string_buffer(username), c.create_string_buffer(password)]
    options.UsernameLength, options.PasswordLength = len(username), len(password)
    options.Username = c.addressof(options.kept[0]) if username else None
    options.Password = c.addressof(options.kept[1]) if password else None
    for name, value in members.items():
        setattr(options, name, value)
    return options


def group_of(form, *portals, count=None):
    """ISCSI_TARGET_PORTAL_GROUP with any number of portals in line."""
    element = form.structure("ISCSI_TARGET_PORTAL")
    raw = (len(portals) if count is None else count).to_bytes(4, "little") + b"".join(bytes(p) for p in portals)
    assert form.structure("ISCSI_TARGET_PORTAL_GROUP").Portals.offset == 4 and c.sizeof(element) % 2 == 0
    return Memory(raw)


def mapping_of(form, bus=ANY_PORT, target=ANY_PORT, luns=(), count=None):
    """@luns: (number here, 64-bit number of the target)"""
    mapping = form.structure("ISCSI_TARGET_MAPPING")()
    mapping.kept = (structure("SCSI_LUN_LIST") * len(luns))(*luns)
    mapping.OSBusNumber, mapping.OSTargetNumber = bus, target
    mapping.LUNCount = len(luns) if count is None else count
    mapping.LUNList = c.addressof(mapping.kept) if luns else None
    return mapping


def ike_of(id_type=2, identity=b"host.example", key=b"", flags=3, method=1):
    info = structure("IKE_AUTHENTICATION_INFORMATION")()
    info.kept = [c.create_string_buffer(identity), c.create_string_buffer(key)]
    info.AuthMethod = method
    psk = info.PsKey
    psk.SecurityFlags, psk.IdType = flags, id_type
    psk.IdLengthInBytes, psk.Id = len(identity), c.addressof(info.kept[0]) if identity else None
    psk.KeyLengthInBytes, psk.Key = len(key), c.addressof(info.kept[1]) if key else None
    return info


def login(form, target=TARGET, informational=0, instance=None, port=ANY_PORT, portal=None, flags=0, mapping=None, options=None, key=None,
          key_size=None, persistent=0, session=True, connection=True):  # fmt: skip
    ids = [id_of(7, 7), id_of(7, 7)]
    status = form.call(
        "LoginIScsiTarget", form.text(target), informational, form.text(instance), port, c.addressof(portal) if portal else None, flags,
        c.addressof(mapping) if mapping else None, c.addressof(options) if options else None,
        len(key) if key_size is None and key else key_size or 0, key, persistent,
        c.addressof(ids[0]) if session else None, c.addressof(ids[1]) if connection else None,
    )  # fmt: skip
    return (status, *((i.AdapterUnique, i.AdapterSpecific) for i in ids))


class Scsi:
    """One call with its two buffers."""

    def __init__(self, n_response, n_sense=18, null=False):
        self.status = c.c_uint8(0xEE)
        self.n_response, self.n_sense = ulong(n_response), ulong(n_sense)
        self.response, self.sense = (None if null else Memory(n_response)), Memory(n_sense)
        self.session = id_of(1, 2)

    def args(self):
        return (c.addressof(self.status), c.addressof(self.n_response), self.response.addr if self.response else None,
                c.addressof(self.n_sense), self.sense.addr)  # fmt: skip

    def inquiry(self, lun=0, evpd=0, page=0):
        return lib.SendScsiInquiry(c.addressof(self.session), lun, evpd, page, *self.args())

    def capacity(self, lun=0):
        return lib.SendScsiReadCapacity(c.addressof(self.session), lun, *self.args())

    def report_luns(self):
        return lib.SendScsiReportLuns(c.addressof(self.session), *self.args())

    def sizes(self):
        self.sense.check()
        if self.response:
            self.response.check()
        return self.n_response.value, self.n_sense.value
