# SPDX-License-Identifier: MIT
"""
Peers that do not do what a target must: for what an initiator does about them

Peer(serve) listens on a port of its own and runs serve(connection) for each
connection in a thread. The connection is closed when serve() returns.
"""
import selectors
import socket
import struct
import threading


class Peer:
    def __init__(self, serve, listen=True, family=socket.AF_INET, address="127.0.0.1"):
        self.serve = serve
        self.listener = socket.socket(family)
        self.listener.bind((address, 0))
        self.port = self.listener.getsockname()[1]
        self.n_connections = 0
        self.open = set()
        self.closed = threading.Event()
        if listen:
            self.listener.listen(64)
            threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.n_connections += 1
            self.open.add(connection)
            threading.Thread(target=self.run, args=(connection,), daemon=True).start()

    def run(self, connection):
        try:
            connection.settimeout(60)
            self.serve(connection)
        except OSError:
            pass
        finally:
            self.open.discard(connection)
            connection.close()

    def close(self):
        self.closed.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def relay_to(port, family, address):
    """A portal at another address that passes all on."""

    def serve(connection):
        with socket.create_connection(("127.0.0.1", port)) as there:
            there.setblocking(False)
            connection.setblocking(False)
            ends = {connection: there, there: connection}
            with selectors.DefaultSelector() as s:
                for e in ends:
                    s.register(e, selectors.EVENT_READ)
                while True:
                    for key, _ in s.select(60):
                        data = key.fileobj.recv(262144)
                        if not data:
                            return
                        other = ends[key.fileobj]
                        other.setblocking(True)
                        other.sendall(data)
                        other.setblocking(False)

    return Peer(serve, family=family, address=address)


def hang(connection):
    """Takes everything and says nothing."""
    while connection.recv(65536):
        pass


def close_at_once(connection):
    pass


def http(connection):
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def ssh(connection):
    connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    hang(connection)


def garbage(connection):
    connection.recv(48)
    connection.sendall(bytes(range(256)) * 64)


def flood(connection):
    """Without end, until the other side has had enough."""
    while True:
        connection.sendall(b"\xff" * 65536)


# ---- just enough of a target ---------------------------------------------


def read_exact(connection, n):
    data = b""
    while len(data) < n:
        got = connection.recv(n - len(data))
        if not got:
            raise OSError("closed")
        data += got
    return data


def read_pdu(connection):
    """Header and data, without digests."""
    header = read_exact(connection, 48)
    n = int.from_bytes(header[5:8], "big")
    ahs = header[4] * 4
    read_exact(connection, ahs)
    data = read_exact(connection, (n + 3) & ~3)[:n]
    return header, data


def pdu(opcode, flags, itt, data=b"", lun=bytes(8), rest=bytes(28), byte2=0, byte3=0):
    header = bytes([opcode, flags, byte2, byte3, 0]) + len(data).to_bytes(3, "big") + lun + itt + rest
    assert len(header) == 48
    return header + data + bytes(-len(data) % 4)


def login_response(request, data=b"", status=0, flags=None, tsih=1, stat_sn=0):
    """The answer to a login request: by default what it asked for."""
    cmd_sn = int.from_bytes(request[24:28], "big")
    flags = request[1] if flags is None else flags
    rest = struct.pack(">IIIHHQ", stat_sn, cmd_sn, cmd_sn + 31, status, 0, 0)
    return pdu(0x23, flags, request[16:20], data, lun=request[8:14] + tsih.to_bytes(2, "big"), rest=bytes(4) + rest)


def login_refused(status):
    def serve(connection):
        request, _ = read_pdu(connection)
        connection.sendall(login_response(request, status=status, flags=0))
        hang(connection)

    return serve


def login(connection):
    """Accepts whatever is asked for. Return: the StatSN that comes next."""
    stat_sn = 0
    while True:
        request, _ = read_pdu(connection)
        connection.sendall(login_response(request, stat_sn=stat_sn))
        stat_sn += 1
        if request[1] & 0x80 and request[1] & 3 == 3:
            return stat_sn


def discovery_answers(text, rounds=1):
    """A portal whose answer to SendTargets is these bytes."""

    def serve(connection):
        stat_sn = login(connection)
        while True:
            request, _ = read_pdu(connection)
            opcode, cmd_sn = request[0] & 0x3F, int.from_bytes(request[24:28], "big")
            if opcode == 0x04:
                rest = b"\xff\xff\xff\xff" + struct.pack(">III", stat_sn, cmd_sn + 1, cmd_sn + 32) + bytes(12)
                connection.sendall(pdu(0x24, 0x80, request[16:20], text, rest=rest))
            elif opcode == 0x06:
                rest = bytes(4) + struct.pack(">III", stat_sn, cmd_sn + 1, cmd_sn + 32) + bytes(12)
                connection.sendall(pdu(0x26, 0x80, request[16:20], rest=rest))
                return
            stat_sn += 1

    return serve
