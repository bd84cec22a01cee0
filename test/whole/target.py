# SPDX-License-Identifier: MIT
"""
The target of our own that misbehaves on request (test/target/iscsi-target)

    t = make_target("--erl", 2, "--digests", "require")
    t.rule("data-in 3 drop")
    t.cut()
"""
import json
import os
import shutil
import socket
import tempfile

from bed import BUILD, Process, wait_for

PROGRAM = os.path.join(BUILD, "test/target/iscsi-target")


class Target:
    def __init__(self, *options, mb=16, luns=1):
        self.directory = tempfile.mkdtemp(prefix="isd-own-", dir="/tmp")
        self.name = "iqn.2026-11.test.whole:own"
        self.file = os.path.join(self.directory, "disk")
        self.control = None
        with open(self.file, "wb") as f:
            f.truncate(luns * mb << 20)
        self.options = ["--name", self.name, "--file", self.file, "--luns", luns, *options]
        self.begin(0)

    def begin(self, port):
        path = os.path.join(self.directory, "c")
        if os.path.exists(path):
            os.unlink(path)
        self.process = Process([PROGRAM, *self.options, "--port", port, "--control", path], os.path.join(self.directory, "log"))
        wait_for(lambda: "ready " in self.text() or not self.process.alive(), 10, "iscsi-target")
        assert self.process.alive(), self.text()
        self.port = int(self.text().rpartition("ready ")[2].split()[0])
        self.control = socket.socket(socket.AF_UNIX)
        self.control.settimeout(60)
        self.control.connect(path)

    def text(self):
        return self.process.text()

    def ask(self, line):
        self.control.sendall(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            part = self.control.recv(4096)
            assert part, "iscsi-target has ended:\n" + self.text()
            answer += part
        return answer.decode().strip()

    def order(self, line):
        assert self.ask(line) == "ok", line

    def rule(self, line):
        self.order("rule " + line)

    def clear(self):
        self.order("clear")

    def cut(self):
        """Every transport, as a network would."""
        self.order("cut")

    def lose_power(self):
        self.order("restart lose-cache")

    def stats(self):
        return json.loads(self.ask("stats"))

    def kill(self):
        self.process.kill()

    def restart(self):
        if self.process.alive():
            self.kill()
        self.begin(self.port)

    def complaints(self):
        """What the initiator did against the protocol."""
        return [line for line in self.text().splitlines() if "breaks the protocol" in line]

    def close(self):
        if self.control:
            self.control.close()
        self.process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
