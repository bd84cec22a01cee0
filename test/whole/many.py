# SPDX-License-Identifier: MIT
"""
Very many portals and targets, and what every report call says of them

Portals(n, m) is one listener that answers SendTargets at as many addresses of 127/8 as are
asked for, each with targets of its own (or, shared, with the same ones).
Reports(form).all() calls every report call of the library as a program does, twice, and
gives back the bytes that it filled. They are always at the same address, so that bytes can
be compared although there are pointers in them.
"""
import ctypes as c
import socket

import peer
from winapi import ANY_PORT, STATUS, lib, structure, ulong

SMALL = STATUS["ERROR_INSUFFICIENT_BUFFER"]
ROOM = 256 << 20


class Portals(peer.Peer):
    def __init__(self, n, n_targets, shared=False, name_bytes=0):
        self.addresses = ["127.1.%d.%d" % (i // 250, i % 250 + 1) for i in range(n)]
        self.n_targets, self.shared, self.name_bytes = n_targets, shared, name_bytes
        super().__init__(self.answer, listen=False)
        self.listener.close()
        self.listener = socket.socket()
        self.listener.bind(("0.0.0.0", 0))
        self.port = self.listener.getsockname()[1]
        self.listener.listen(256)
        peer.threading.Thread(target=self.accept, daemon=True).start()

    def names(self, address):
        at = "all" if self.shared else address.replace(".", "-")
        return [("iqn.2026-11.test.many:%s:%03d" % (at, i)).ljust(self.name_bytes, "x") for i in range(self.n_targets)]

    def answer(self, connection):
        address = connection.getsockname()[0]
        text = "".join("TargetName=%s\0TargetAddress=%s:%d,1\0" % (n, address, self.port) for n in self.names(address))
        peer.discovery_answers(text.encode())(connection)


class Reports:
    buffer = None

    def __init__(self, form, target=None):
        if Reports.buffer is None:
            Reports.buffer = c.create_string_buffer(ROOM)
        self.form, self.target, self.count, self.text = form, target, ulong(0), form.text(target)

    def run(self, call, unit):
        """@call(size, buffer) -> status; a unit of size has that many bytes."""
        size = ulong(0)
        code = call(c.addressof(size), None)
        if code == 0:
            return b""
        assert code == SMALL, hex(code)
        assert 0 < size.value * unit <= ROOM
        c.memset(self.buffer, 0, size.value * unit)
        code = call(c.addressof(size), c.addressof(self.buffer))
        assert code == 0, hex(code)
        return c.string_at(self.buffer, size.value * unit)

    def all(self):
        f, n = self.form, self.form.unit
        at = c.addressof(self.count)

        def function(name):
            return getattr(lib, name + f.letter, None) or getattr(lib, name)

        found = {}
        for name in ("ReportIScsiInitiatorList", "ReportPersistentIScsiDevices", "ReportISNSServerList", "ReportRadiusServerList"):
            found[name] = (function(name), n)
        found["ReportIScsiTargets"] = (lambda size, b: function("ReportIScsiTargets")(0, size, b), n)
        found["ReportIScsiSendTargetPortals"] = (function("ReportIScsiSendTargetPortals"),
                                                 c.sizeof(structure("ISCSI_TARGET_PORTAL_INFO" + f.letter)))  # fmt: skip
        found["ReportIScsiSendTargetPortalsEx"] = (lambda size, b: function("ReportIScsiSendTargetPortalsEx")(at, size, b), 1)
        found["ReportIScsiPersistentLogins"] = (lambda size, b: function("ReportIScsiPersistentLogins")(at, b, size), 1)
        for name in ("GetIScsiSessionList", "GetIScsiSessionListEx", "ReportActiveIScsiTargetMappings"):
            found[name] = (lambda size, b, name=name: function(name)(size, at, b), 1)
        if self.target:
            text = self.text
            found["ReportIScsiTargetPortals"] = (lambda size, b: function("ReportIScsiTargetPortals")(None, text.addr, None, size, b),
                                                 c.sizeof(structure("ISCSI_TARGET_PORTAL" + f.letter)))  # fmt: skip
        return found

    def information(self, target, classes):
        """Of the first mechanism that knows it, by class."""
        name = self.form.text(target)
        get = getattr(lib, "GetIScsiTargetInformation" + self.form.letter)
        first = self.run(lambda size, b: get(name.addr, None, 2, size, b), 1).decode(self.form.codec).split("\0")[0]
        mechanism = self.form.text(first)
        return {k: self.run(lambda size, b, k=k: get(name.addr, mechanism.addr, k, size, b), 1) for k in classes}

    def bytes(self, *without):
        return {name: self.run(*call) for name, call in self.all().items() if name not in without}


def keep_login(service, v, name, i, **more):
    """One more stored login, by an open connection @v: one call for each would be most of the time."""
    v.call("Login", **{"targetName": name, "informational": True, "initiatorInstance": None, "initiatorPort": ANY_PORT, "portal": None,
                       "securityFlags": 4 * i, "loginOptions": {"informationSpecified": 0x20, "loginFlags": 2, "username": b"somebody".hex()},
                       "key": None, "persistent": True, "mapping": None, **more})  # fmt: skip
