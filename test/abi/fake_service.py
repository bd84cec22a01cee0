# SPDX-License-Identifier: MIT
"""
A service that says what a test wants it to say, on a socket of its own

replies[method] is a dict (the reply's parameters), an Error, bytes (sent as they
are, then the connection is closed), or a function that takes the parameters and
returns one of these.
"""
import json
import os
import shutil
import socket
import tempfile
import threading

INTERFACE = "io.iscsidsc.Initiator"


class Error:
    def __init__(self, code=None, text="", holders=(), name=INTERFACE + ".Status"):
        self.name = name
        self.parameters = {"code": code, "name": "", "text": text, "holders": list(holders)} if code else {}


class FakeService:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="iscsidsc-")
        self.path = os.path.join(self.directory, "socket")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.replies = {}
        self.calls = []
        self.n_connections = 0
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.n_connections += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        buffer = b""
        with connection:
            while True:
                while b"\0" not in buffer:
                    try:
                        got = connection.recv(65536)
                    except OSError:
                        return
                    if not got:
                        return
                    buffer += got
                message, _, buffer = buffer.partition(b"\0")
                answer = self.answer(json.loads(message))
                try:
                    connection.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\0")
                except OSError:
                    return
                if isinstance(answer, bytes):
                    return

    def answer(self, call):
        interface, _, method = call["method"].rpartition(".")
        assert interface == INTERFACE
        with self.lock:
            self.calls.append((method, call["parameters"]))
            reply = self.replies.get(method)
        if callable(reply):
            reply = reply(call["parameters"])
        if reply is None:
            reply = Error(name="org.varlink.service.MethodNotFound")
        if isinstance(reply, bytes):
            return reply
        if isinstance(reply, Error):
            return {"error": reply.name, "parameters": reply.parameters}
        return {"parameters": reply}

    def last(self):
        """Parameters of the one call since the last time."""
        with self.lock:
            assert len(self.calls) == 1, self.calls
            return self.calls.pop()[1]

    def stop(self):
        """The socket stays, but nobody listens any more."""
        if self.thread:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.thread.join()
            self.listener.close()
            self.thread = None

    def close(self):
        self.stop()
        shutil.rmtree(self.directory)
