# SPDX-License-Identifier: MIT
"""
Programs of the machine under another kernel: Debian's of the backports, in QEMU

For what the machine's own kernel has not, ublk above all. The guest sees the machine's
root and may write to it, but what it writes stays in its memory; only `out` is a
directory of the machine. There is no acceleration: everything takes ten times as long.
"""
import os
import re
import shutil
import subprocess
import tempfile

import bed
import pytest

HERE = os.path.join(bed.SOURCE, "test/guest")
QEMU = "qemu-system-x86_64"
MODULES = ["virtio_pci", "virtio_rng", "9p", "9pnet_virtio", "overlay", "crc32c_generic", "crc32c-intel", "ext4", "loop", "fuse", "ublk_drv", "dm-mod", "md-mod", "raid1",
           "xfs", "nbd", "dm-multipath", "dm-round-robin", "configfs", "target_core_mod", "target_core_file", "iscsi_target_mod"]  # fmt: skip
LOADED = ["crc32c_generic", "ext4", "loop", "fuse", "dm-mod", "ublk_drv"]  # the others when somebody asks for them
TROUBLE = re.compile(r"(?m)^.*(?:WARNING: |BUG: |Kernel panic|Oops|Call Trace|INFO: task .* blocked|possible recursive|refcount_t).*$")


def need_guest():
    for program in (QEMU, "busybox", "cpio", "depmod", "xz"):
        if not shutil.which(program):
            pytest.skip("%s is not installed: no guest with another kernel" % program)
    if os.uname().machine != "x86_64":
        pytest.skip("the guest is for x86_64 only")


def fetch_kernel(directory):
    """The directory of an unpacked kernel; ISCSIDSC_GUEST_KERNEL names one that is there already."""
    given = os.environ.get("ISCSIDSC_GUEST_KERNEL")
    if given:
        return given
    r = bed.run(os.path.join(HERE, "fetch-kernel"), directory, seconds=600, check=False)
    if r.code != 0:
        pytest.skip("no kernel of bookworm-backports could be had: " + r.last)
    return r.last


def only(parent):
    (name,) = os.listdir(parent)
    return os.path.join(parent, name)


class Kernel:
    """What a guest boots: made once for all guests of a run."""

    def __init__(self, directory):
        self.directory = fetch_kernel(directory)
        lib = os.path.join(self.directory, "lib/modules")
        self.modules = only(lib if os.path.isdir(lib) else os.path.join(self.directory, "usr/lib/modules"))
        boot = os.path.join(self.directory, "boot")
        names = [n for n in (os.listdir(boot) if os.path.isdir(boot) else []) if n.startswith("vmlinuz")]
        self.image = os.path.join(boot, names[0]) if names else os.path.join(self.modules, "vmlinuz")
        self.initrd = os.path.join(directory, "run.gz")
        bed.run(os.path.join(HERE, "initramfs"), self.initrd, self.modules, os.path.join(HERE, "run-init"), *MODULES)


class Guest:
    """run() boots it, runs a shell script in it, and ends it."""

    def __init__(self, kernel, memory=1024, load=()):
        self.kernel, self.memory, self.load = kernel, memory, [*LOADED, *load]
        self.directory = tempfile.mkdtemp(prefix="isd-guest-", dir="/tmp")
        self.out = os.path.join(self.directory, "out")
        os.mkdir(self.out)
        self.log = os.path.join(self.directory, "log")

    def run(self, script, seconds=600):
        """Return: the script's exit status and what it said, without carriage returns."""
        path = os.path.join(self.directory, "script")
        with open(path, "w") as f:
            f.write(script)
        # /tmp is the guest's own: what it needs of ours is named
        see = sorted({p for p in (bed.SOURCE, bed.BUILD, self.directory) if p.startswith("/tmp/")})
        line = "console=ttyS0 quiet panic=-1 oops=panic guest.modules=%s guest.run=%s guest.see=%s" % (",".join(self.load), path, ",".join(see))
        args = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", "q35", "-accel", "tcg,thread=multi",
                "-cpu", "max,-cx16", "-smp", "2", "-m", str(self.memory), "-device", "virtio-rng-pci", "-kernel", self.kernel.image,
                "-initrd", self.kernel.initrd, "-append", line, "-serial", "stdio",
                "-fsdev", "local,id=m,path=/,security_model=none,readonly=on,multidevs=remap", "-device", "virtio-9p-pci,fsdev=m,mount_tag=machine",
                "-fsdev", "local,id=o,path=%s,security_model=none" % self.out, "-device", "virtio-9p-pci,fsdev=o,mount_tag=out"]  # fmt: skip
        process = bed.Process(args, self.log)
        try:
            process.join(seconds)
        finally:
            process.kill()
        text = process.text().replace("\r", "")
        m = re.search(r"(?m)^GUEST EXIT (\d+)$", text)
        assert m, "the guest came to no end:\n" + text[-6000:]
        return int(m.group(1)), text[: m.start()].rpartition("GUEST RUNS ")[2].partition("\n")[2]

    def trouble(self):
        """What the guest's kernel has complained of."""
        with open(os.path.join(self.out, "dmesg"), errors="replace") as f:
            return TROUBLE.findall(f.read())

    def close(self):
        for pid in bed.processes_of(self.directory):
            subprocess.run(["kill", "-9", str(pid)], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)
