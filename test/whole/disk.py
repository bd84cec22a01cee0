# SPDX-License-Identifier: MIT
"""
A disk that fails on request: a small target for what no real one can be made to do

One unit, LUN 0, with a write cache. Every command is answered properly but those whose
operation code is in `broken`, which end with the sense data given there, or with CONFLICT.
"""
import struct
import threading

from peer import Peer, login_response, pdu, read_pdu

NAME = "iqn.2026-11.test.whole:brittle"
MEDIUM_WRITE_ERROR = (3, 0x0C, 0x00)
CONFLICT = "reservation conflict"
BLOCK = 512
BURST = 262144
SYNC_10, SYNC_16 = 0x35, 0x91


class Disk(Peer):
    def __init__(self, mb=16):
        self.bytes = bytearray(mb << 20)
        self.broken = {}
        self.lock = threading.Lock()
        self.name = NAME
        self.seen = []
        super().__init__(self.talk)

    def talk(self, connection):
        Talk(self, connection).run()


class Talk:
    def __init__(self, disk, connection):
        self.disk, self.connection = disk, connection
        self.stat_sn, self.cmd_sn = 0, 0
        self.waiting = []

    def receive(self):
        header, data = read_pdu(self.connection)
        if not header[0] & 0x40 and header[0] & 0x3F != 0x05:
            self.cmd_sn = int.from_bytes(header[24:28], "big") + 1
        return header, data

    def numbers(self, status=True):
        n = struct.pack(">III", self.stat_sn, self.cmd_sn, (self.cmd_sn + 31) & 0xFFFFFFFF)
        self.stat_sn += status
        return n

    def run(self):
        while True:
            request, data = self.receive()
            self.cmd_sn = int.from_bytes(request[24:28], "big")
            self.connection.sendall(login_response(request, stat_sn=self.stat_sn))
            self.stat_sn += 1
            if request[1] & 0x80 and request[1] & 3 == 3:
                break
        while True:
            header, data = self.waiting.pop(0) if self.waiting else self.receive()
            opcode = header[0] & 0x3F
            if opcode == 0x01:
                self.command(header, data)
            elif opcode == 0x00:
                self.connection.sendall(pdu(0x20, 0x80, header[16:20], rest=b"\xff" * 4 + self.numbers() + bytes(12)))
            elif opcode == 0x04:
                text = ("TargetName=%s\0TargetAddress=127.0.0.1:%d,1\0" % (NAME, self.disk.port)).encode()
                self.connection.sendall(pdu(0x24, 0x80, header[16:20], text, rest=b"\xff" * 4 + self.numbers() + bytes(12)))
            elif opcode == 0x02:
                self.connection.sendall(pdu(0x22, 0x80, header[16:20], rest=bytes(4) + self.numbers() + bytes(12)))
            elif opcode == 0x06:
                self.connection.sendall(pdu(0x26, 0x80, header[16:20], rest=bytes(4) + self.numbers() + bytes(12)))
                return

    def status(self, header, status=0, sense=b"", residual=0):
        data = len(sense).to_bytes(2, "big") + sense if sense else b""
        flags = 0x82 if residual else 0x80
        rest = bytes(4) + self.numbers() + struct.pack(">III", 0, 0, residual)
        self.connection.sendall(pdu(0x21, flags, header[16:20], data, rest=rest, byte3=status))

    def check(self, header, key, asc, ascq):
        expected = int.from_bytes(header[20:24], "big") if header[1] & 0x60 else 0
        self.status(header, 2, bytes([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq, 0, 0, 0, 0]), expected)

    def give(self, header, data):
        expected = int.from_bytes(header[20:24], "big")
        data = data[:expected]
        at = sn = 0
        while True:
            part = data[at:at + BURST]
            last = at + len(part) == len(data)
            residual = expected - len(data) if last else 0
            flags = (0x81 if last else 0) | (2 if residual else 0)
            rest = b"\xff" * 4 + self.numbers(last) + struct.pack(">III", sn, at, residual)
            self.connection.sendall(pdu(0x25, flags, header[16:20], part, rest=rest))
            at, sn = at + len(part), sn + 1
            if last:
                return

    def take(self, header, data):
        """The data of a write: immediate, then as it is asked for."""
        expected, sn = int.from_bytes(header[20:24], "big"), 0
        got = bytearray(expected)
        got[:len(data)] = data
        at = len(data)
        while at < expected:
            n = min(BURST, expected - at)
            rest = struct.pack(">I", 7) + self.numbers(False) + struct.pack(">III", sn, at, n)
            self.connection.sendall(pdu(0x31, 0x80, header[16:20], lun=header[8:16], rest=rest))
            end = at + n
            while at < end:
                h, d = self.receive()
                if h[0] & 0x3F != 0x05 or h[16:20] != header[16:20]:
                    self.waiting.append((h, d))
                    continue
                assert int.from_bytes(h[40:44], "big") == at
                got[at:at + len(d)] = d
                at += len(d)
            sn += 1
        return got

    def command(self, header, data):
        cdb, disk = header[32:48], self.disk
        op = cdb[0]
        if op in disk.broken:
            if header[1] & 0x20:
                self.take(header, data)
            if disk.broken[op] == CONFLICT:
                self.status(header, 0x18, residual=int.from_bytes(header[20:24], "big"))
            else:
                self.check(header, *disk.broken[op])
        elif op == 0x12:
            self.give(header, inquiry(cdb))
        elif op == 0xA0:
            self.give(header, (8).to_bytes(4, "big") + bytes(4) + bytes(8))
        elif op == 0x25:
            self.give(header, struct.pack(">II", len(disk.bytes) // BLOCK - 1, BLOCK))
        elif op == 0x9E and cdb[1] & 0x1F == 0x10:
            self.give(header, struct.pack(">QI", len(disk.bytes) // BLOCK - 1, BLOCK) + bytes(20))
        elif op in (0x1A, 0x5A) and cdb[2] & 0x3F in (8, 0x3F):
            page = bytes([8, 0x12, 4]) + bytes(17)
            self.give(header, (bytes([3 + len(page), 0, 0x10, 0]) if op == 0x1A else struct.pack(">HBB4x", 6 + len(page), 0, 0x10)) + page)
        elif op in (0x28, 0x88, 0x2A, 0x8A):
            lba, n = (struct.unpack(">I", cdb[2:6]) + struct.unpack(">H", cdb[7:9])) if op & 0x80 == 0 else struct.unpack(">QI", cdb[2:14])
            if op & 0x0F == 8:
                with disk.lock:
                    self.give(header, bytes(disk.bytes[lba * BLOCK:(lba + n) * BLOCK]))
            else:
                written = self.take(header, data)
                with disk.lock:
                    disk.bytes[lba * BLOCK:(lba + n) * BLOCK] = written
                self.status(header)
        elif op in (0x00, SYNC_10, SYNC_16):
            self.status(header)
        else:
            self.check(header, 5, 0x20, 0)


def inquiry(cdb):
    if not cdb[1] & 1:
        return bytes([0, 0, 6, 2, 31, 0, 0, 2]) + b"TEST    " + b"BRITTLE DISK    " + b"1   "
    if cdb[2] == 0:
        return bytes([0, 0, 0, 3, 0, 0x80, 0x83])
    if cdb[2] == 0x80:
        return bytes([0, 0x80, 0, 8]) + b"brittle1"
    naa = bytes([1, 3, 0, 16, 0x60]) + b"brittle-disk-01"
    return bytes([0, 0x83, 0, len(naa)]) + naa
