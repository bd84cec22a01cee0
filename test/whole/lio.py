# SPDX-License-Identifier: MIT
"""
Linux's own target, LIO, in user-mode Linux

The guest and whoever speaks to it share a network namespace of their own, so that no
address of theirs is seen by the machine. A guest that panics ends; its log has the trace.
"""
import glob
import os
import re
import shutil
import subprocess
import tempfile

import bed
import pytest

KERNEL = "/usr/bin/linux.uml"
HERE = os.path.join(bed.SOURCE, "test/guest")
MODULES = ["configfs", "crc32c_generic", "target_core_mod", "target_core_file", "iscsi_target_mod"]
HOST, ADDRESS, PORT = "192.168.77.1", "192.168.77.2", 3260
OPEN, CHAP = "iqn.2026-11.test.lio:open", "iqn.2026-11.test.lio:chap"
TROUBLE = re.compile(r"(?m)^.*(?:WARNING: |BUG: |Kernel panic|Oops|Call Trace|INFO: task .* blocked).*$")


def need_lio():
    for program in (KERNEL, shutil.which("busybox"), shutil.which("cpio"), shutil.which("ip"), shutil.which("depmod")):
        if not program or not os.path.exists(program):
            pytest.skip("user-mode Linux or what makes a guest for it is not installed")
    if os.geteuid() != 0:
        pytest.skip("needs root, for a network namespace")
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("there is no /dev/net/tun here")


def make_image(directory):
    """The initramfs of all guests of a run."""
    path = os.path.join(directory, "lio.gz")
    modules = sorted(glob.glob("/usr/lib/uml/modules/*"))[-1]
    bed.run(os.path.join(HERE, "initramfs"), path, modules, os.path.join(HERE, "lio-init"), *MODULES)
    return path


class Lio:
    """A guest with the targets OPEN (LUNs 0, 1 and 2) and CHAP (LUN 0)."""

    def __init__(self, image, erl=0, connections=8, mib=64):
        self.image = image
        self.options = ["guest.erl=%d" % erl, "guest.connections=%d" % connections, "guest.mib=%d" % mib]
        self.directory = tempfile.mkdtemp(prefix="isd-lio-")
        self.namespace = os.path.basename(self.directory)
        self.process = None

    def inside(self, *args):
        """A command line that runs in the guest's network namespace, and sees all else as it is."""
        return ["nsenter", "--net=/run/netns/" + self.namespace, *args]

    def start(self):
        bed.run("ip", "netns", "add", self.namespace)
        for line in ("link set lo up", "tuntap add dev tap0 mode tap", "addr add %s/24 dev tap0" % HOST, "link set tap0 up"):
            bed.run(*self.inside("ip", *line.split()))
        args = [KERNEL, "mem=512M", "initrd=" + self.image, "vec0:transport=tap,ifname=tap0,depth=128,gro=1", "con=null", "con0=null,fd:1",
                "con1=null", "ssl=null", "quiet", "panic=-1", "uml_dir=" + self.directory + "/", "umid=g", *self.options]  # fmt: skip
        self.process = bed.Process(self.inside(*args), os.path.join(self.directory, "log"))
        bed.wait_for(lambda: "GUEST READY" in self.log() or not self.process.alive(), 60, lambda: "the guest:\n" + self.log())
        assert self.process.alive(), self.log()
        return self

    def log(self):
        return self.process.text() if self.process else ""

    def shell(self, commands, seconds=20):
        """Runs commands as root in the guest. Return: what they print."""
        script = "(%s) 2>&1\nexit\n" % commands
        return bed.run(*self.inside("busybox", "nc", ADDRESS, "2222"), stdin=script, seconds=seconds).out

    def cut(self, connections=1):
        """Resets that many of the connections to the target, as a network would; all when 0."""
        ports = re.findall(r"%s:(\d+)\s+%s:%d" % (re.escape(HOST), re.escape(ADDRESS), PORT), bed.run(*self.inside("ss", "-Htn")).out)
        assert ports, "there is no connection to cut"
        for port in ports[: connections or None]:
            bed.run(*self.inside("ss", "-K", "sport", "=", ":" + port))
        return len(ports)

    def trouble(self):
        """What the guest's kernel has complained of."""
        text = self.log()
        if self.process.alive():
            text += self.shell("dmesg")
        return TROUBLE.findall(text)

    def close(self):
        trouble = []
        try:
            if self.process:
                trouble = self.trouble()
        finally:
            if self.process:
                self.process.kill()
            # the processes of a killed guest are children of its own
            for pid in bed.processes_of(self.directory):
                subprocess.run(["kill", "-9", str(pid)], check=False)
            subprocess.run(["ip", "netns", "del", self.namespace], check=False)
            shutil.rmtree(self.directory, ignore_errors=True)
        assert not trouble, "\n".join(trouble)
