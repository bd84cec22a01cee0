# SPDX-License-Identifier: MIT
"""
What the tests stand on: the service, targets, and processes that end

Everything is private to one test: directories, sockets, ports. Whatever is started
here is ended by close(), also when the test failed, and close() complains about what
the service left behind. Waiting is for a condition and has a bound.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("ISCSIDSC_BUILD", os.path.join(SOURCE, "build")))
CLI = os.path.join(BUILD, "src/cli/iscsicli")
DAEMON = os.path.join(BUILD, "src/service/iscsidscd")
LIBRARY = os.path.join(BUILD, "src/client/libiscsidsc.so.1")
INTERFACE = "io.iscsidsc.Initiator"
SUCCESS = "The operation completed successfully. "
PASSERS_BY = re.compile(r"open by process \d+ \((losetup|lsblk|blkid|udev-worker|\(udev-worker\)|systemd-udevd|partx|blockdev|fdisk|sfdisk)\)")


class Late(AssertionError):
    """A bound was passed."""


PATIENCE = 60  # what a busy machine may make of a moment


def wait_for(condition, seconds, what):
    """
    The condition's value, as soon as it is true.

    @seconds is what it takes by its nature, a time-out of somebody else for one; nobody waits
    shorter than PATIENCE, for that costs nothing when all is well.
    """
    seconds = max(seconds, PATIENCE)
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Late("waited %g s in vain for %s" % (seconds, what() if callable(what) else what))
        time.sleep(0.02)


def free_port():
    """Below the range from which the kernel takes ports for itself."""
    while True:
        port = 20000 + int.from_bytes(os.urandom(2), "big") % 12000
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def run(*args, seconds=60, check=True, env=None, stdin=None):
    """A command whose output is text; it may not outlive its bound, nor keep us when it cannot be killed."""
    p = subprocess.Popen([str(a) for a in args], stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, start_new_session=True)  # fmt: skip
    try:
        out, _ = p.communicate(stdin, timeout=seconds)
    except BaseException:
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        p.poll()
        raise
    result = Result(args, p.returncode, out)
    if check and p.returncode != 0:
        raise AssertionError("%s\nended with %d:\n%s" % (" ".join(map(str, args)), p.returncode, out))
    return result


class Result:
    def __init__(self, args, code, out):
        self.args, self.code, self.out = args, code, out
        self.lines = out.splitlines()

    @property
    def last(self):
        """The last line that is not empty: where scripts look for the status."""
        return next((line for line in reversed(self.lines) if line), "")

    @property
    def data(self):
        """Without banner and status line."""
        lines = self.lines
        if lines and " Version " in lines[0]:
            lines = lines[2:]
        return lines[:-1]

    def find(self, pattern):
        m = re.search(pattern, self.out, re.M)
        assert m, "no %r in:\n%s" % (pattern, self.out)
        return m.group(1)

    def __repr__(self):
        return "<%s: %d>\n%s" % (" ".join(map(str, self.args)), self.code, self.out)


def process_state(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


class Process:
    """A long-running program with its output in a file."""

    def __init__(self, args, log, env=None):
        self.log = log
        with open(log, "ab") as f:
            self.p = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=f, stderr=f, env=env,
                                      start_new_session=True)  # fmt: skip
        self.pid = self.p.pid

    def alive(self):
        return self.p.poll() is None

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def signal(self, number):
        if self.alive():
            self.p.send_signal(number)

    def kill(self):
        """At once, as a crash would; returns when it is gone."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self.join(20)

    def join(self, seconds):
        wait_for(lambda: self.p.poll() is not None, seconds, "the end of process %d" % self.pid)
        return self.p.returncode


# ---- what is mounted and looped ----------------------------------------


def mounts_below(directory):
    """Mount points, the deepest last."""
    found = []
    with open("/proc/self/mountinfo") as f:
        for line in f:
            place = line.split()[4].encode().decode("unicode_escape")
            if place == directory or place.startswith(directory + "/"):
                found.append(place)
    return found


def loops_of(directory):
    """Loop devices on files below a directory."""
    found = []
    for name in os.listdir("/sys/block"):
        try:
            with open("/sys/block/%s/loop/backing_file" % name) as f:
                backing = f.read().strip()
        except OSError:
            continue
        if backing.startswith(directory + "/"):
            found.append("/dev/" + name)
    return found


def processes_of(directory):
    """Those that were told of a directory and are still there."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                if directory.encode() + b"/" in f.read() and process_state(int(pid)) not in ("", "Z", "X"):
                    found.append(int(pid))
        except OSError:
            continue
    return found


def abort_fuse(directory):
    """Ends the FUSE connections of a dead service, so that nobody waits for it."""
    minors = []
    with open("/proc/self/mountinfo") as f:
        for line in f:
            fields = line.split()
            if fields[4].startswith(directory + "/") and " - fuse" in line:
                minors.append(fields[2].split(":")[1])
    if not minors:
        return
    control = tempfile.mkdtemp(prefix="isd-ctl-", dir="/tmp")
    try:
        if subprocess.run(["mount", "-t", "fusectl", "none", control], timeout=20, capture_output=True).returncode == 0:
            for minor in minors:
                with contextlib.suppress(OSError), open(os.path.join(control, minor, "abort"), "w") as f:
                    f.write("1")
            subprocess.run(["umount", control], timeout=20, capture_output=True)
    finally:
        os.rmdir(control)


def sweep(directory):
    """Takes away what a service that has ended left mounted and looped. Return: what it was."""
    said = []
    for _ in range(3):
        abort_fuse(directory)
        for device in loops_of(directory):
            said.append("loop " + device)
            for place in device_mounts(device):
                subprocess.run(["umount", "-l", place], timeout=20, capture_output=True)
            subprocess.run(["losetup", "-d", device], timeout=20, capture_output=True)
        for place in reversed(mounts_below(directory)):
            said.append("mount " + place)
            subprocess.run(["umount", "-l", place], timeout=20, capture_output=True)
        if not mounts_below(directory) and not loops_of(directory):
            break
        time.sleep(0.1)
    return said


def device_mounts(device):
    with open("/proc/self/mountinfo") as f:
        return [line.split()[4] for line in f if line.split(" - ")[1].split()[1] == device]


# ---- varlink -------------------------------------------------------------


class Refused(Exception):
    def __init__(self, error, parameters):
        super().__init__("%s %s" % (error, parameters))
        self.error, self.parameters = error, parameters
        self.code = parameters.get("code")


class Varlink:
    """One connection to the service."""

    def __init__(self, path, seconds=60):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(seconds)
        self.s.connect(path)
        self.buffer = b""

    def send(self, message):
        self.s.sendall(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\0")

    def receive(self):
        while b"\0" not in self.buffer:
            got = self.s.recv(1 << 16)
            if not got:
                raise ConnectionError("the service closed the connection")
            self.buffer += got
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, **parameters):
        if "." not in method:
            method = INTERFACE + "." + method
        self.send({"method": method, "parameters": parameters})
        reply = self.receive()
        if "error" in reply:
            raise Refused(reply["error"], reply.get("parameters", {}))
        return reply.get("parameters", {})

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# ---- the service ---------------------------------------------------------


class Service:
    """iscsidscd with a socket, a state and devices of its own."""

    def __init__(self, config="", backend=None, inside=()):
        # Short: a Unix socket's name has 107 bytes.
        self.directory = tempfile.mkdtemp(prefix="isd-", dir="/tmp")
        self.socket = os.path.join(self.directory, "s")
        self.state = os.path.join(self.directory, "state")
        self.devices_dir = os.path.join(self.directory, "dev")
        self.config = os.path.join(self.directory, "iscsidscd.conf")
        self.mnt = os.path.join(self.directory, "mnt")
        self.env = {**os.environ, "ISCSIDSC_SOCKET": self.socket}
        self.backend = backend
        self.inside = list(inside)  # what starts it, in a network namespace for one
        self.process = None
        os.mkdir(self.mnt)
        with open(self.config, "w") as f:
            f.write(config)

    def args(self):
        args = self.inside + [DAEMON, "--foreground", "--config", self.config, "--socket", self.socket, "--state-dir", self.state,
                "--devices-dir", self.devices_dir, "--log-level", "debug"]  # fmt: skip
        return args + (["--backend", self.backend] if self.backend else [])

    def start(self, seconds=20):
        self.process = Process(self.args(), os.path.join(self.directory, "log"), self.env)
        wait_for(lambda: self.answers() or not self.process.alive(), seconds, lambda: "the service:\n" + self.log())
        assert self.process.alive(), self.log()
        return self

    def answers(self):
        try:
            with Varlink(self.socket, 20) as v:
                v.call("GetVersion")
            return True
        except (OSError, ValueError):
            return False

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.process.text() if self.process else ""

    def cli(self, *args, check=None, seconds=200, stdin=None):
        """iscsicli; check: the exit status it must have."""
        r = run(CLI, *args, check=False, env=self.env, seconds=seconds, stdin=stdin)
        if check is not None and r.code != check:
            raise AssertionError("%r\nservice log:\n%s" % (r, self.log()[-6000:]))
        return r

    def json(self, *args, seconds=200):
        r = run(CLI, "--json", *args, check=False, env=self.env, seconds=seconds)
        return json.loads(r.out)

    def varlink(self, method, **parameters):
        with Varlink(self.socket, 200) as v:
            return v.call(method, **parameters)

    def sessions(self):
        return self.varlink("ListSessions")["sessions"]

    def devices(self, session=None):
        return self.varlink("ListDevices", sessionId=session)["devices"]

    def login(self, target, *more):
        """The session's id."""
        return self.cli("QLoginTarget", target, *more, check=0).find(r"^Session Id is 0x([0-9a-f]+-0x[0-9a-f]+)").replace("0x", "")

    def login_at(self, target, port, host="127.0.0.1", informational=False, options=("*",) * 9):
        r = self.cli("LoginTarget", target, "F" if informational else "T", host, port, "*", "*", "*", *options, "*", "0", check=0)
        return r.find(r"^Session Id is 0x([0-9a-f]+-0x[0-9a-f]+)").replace("0x", "")

    def logout(self, session):
        """Whoever looks at every block device of the machine is in the way for a moment."""
        end = time.monotonic() + 10
        while True:
            r = self.cli("LogoutTarget", session)
            told = [line for line in r.lines if line.startswith("    In use: ")]
            if r.code == 0 or not told or not all(PASSERS_BY.search(line) for line in told) or time.monotonic() > end:
                break
            time.sleep(0.05)
        assert r.code == 0, "%r\nservice log:\n%s" % (r, self.log()[-6000:])
        return r

    def device(self, session, lun=None, seconds=15):
        """The path of a session's device, the first one or that of a LUN, once it can be used."""

        def ready():
            for d in self.devices(session):
                if d["legacyName"] and (lun is None or number_of_lun(d["lun"]) == lun):
                    return d["legacyName"]
            return None

        return wait_for(ready, seconds, lambda: "a device of %s:\n%s" % (session, self.log()[-4000:]))

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def threads(self):
        return len(os.listdir("/proc/%d/task" % self.pid))

    def rss_kib(self):
        with open("/proc/%d/status" % self.pid) as f:
            return int(re.search(r"VmRSS:\s*(\d+)", f.read()).group(1))

    def stop(self, seconds=90):
        """As systemd would. Return: its exit status."""
        self.process.signal(signal.SIGTERM)
        return self.process.join(seconds)

    def kill(self):
        """As a crash would. It must end whatever it was at, its own devices included."""
        try:
            self.process.kill()
        except Late:
            abort_fuse(self.directory)
            raise

    def end_children(self):
        """Processes of its own that outlived it. Return: what they were."""
        try:
            wait_for(lambda: not processes_of(self.directory), 5, "its processes")
        except Late:
            pass
        said = []
        for pid in processes_of(self.directory):
            said.append("process %d" % pid)
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        return said

    def close(self, expect_clean=True):
        """Ends it and takes away what is left; tells what should not have been left."""
        left, trouble = [], []
        try:
            for place in reversed(mounts_below(self.mnt)):
                subprocess.run(["umount", place], timeout=30, capture_output=True)
            if self.process and self.process.alive():
                try:
                    code = self.stop(60)
                    if code != 0:
                        trouble.append("the service ended with %d" % code)
                except Late as e:
                    trouble.append(str(e))
                    self.kill()
            elif self.process and self.process.p.returncode not in (0, -signal.SIGKILL):
                trouble.append("the service ended by itself with %d" % self.process.p.returncode)
        finally:
            left = sweep(self.directory)
            left += self.end_children()
            log = self.log()
            shutil.rmtree(self.directory, ignore_errors=True)
        spoken = re.search(r"Sanitizer|runtime error:", log)
        if spoken:
            trouble.append("a sanitizer spoke:\n%s\n" % log[max(0, spoken.start() - 200):][:6000])
        if expect_clean and left:
            trouble.append("left behind: " + ", ".join(left))
        assert not trouble, "%s\n%s" % ("; ".join(trouble), log[-8000:])


def number_of_lun(text):
    """The number of a peripheral or flat LUN, else None."""
    v = int(text, 16)
    return (v >> 48) & 0x3FFF if v >> 62 in (0, 1) and not v & 0xFFFFFFFFFFFF else None


# ---- tgt -----------------------------------------------------------------


class Tgt:
    """tgtd with a port and a control socket of its own; kill() and restart() keep the data."""

    def __init__(self, in_memory=False):
        self.directory = tempfile.mkdtemp(prefix="isd-tgt-", dir="/dev/shm" if in_memory else "/tmp")
        self.env = {**os.environ, "TGT_IPC_SOCKET": os.path.join(self.directory, "ipc"),
                    "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}  # fmt: skip
        self.port = None
        self.done = []
        self.process = None

    def start(self):
        for _ in range(10):
            port = self.port or free_port()
            if self.begin(port):
                self.port = port
                return self
        raise AssertionError("tgtd does not start:\n" + self.process.text())

    def begin(self, port):
        for name in os.listdir(self.directory):
            if name.startswith("ipc"):
                os.unlink(os.path.join(self.directory, name))
        log = os.path.join(self.directory, "log")
        open(log, "w").close()
        self.process = Process(["tgtd", "-f", "-C", "1", "--iscsi", "portal=127.0.0.1:%d" % port], log, self.env)
        wait_for(lambda: self.admin("--op", "show", "--mode", "sys", check=False).code == 0 or not self.process.alive(), 10, "tgtd")
        # It goes on without the portal when the port is taken.
        if not self.process.alive() or "failed to create/bind" in self.process.text():
            self.process.kill()
            return False
        return True

    def admin(self, *args, check=True):
        return run("tgtadm", "-C", "1", *args, env=self.env, check=check)

    def do(self, *args):
        """A change that a restart repeats."""
        self.admin("--lld", "iscsi", *args)
        self.done.append(args)

    def target(self, name, tid=1):
        self.do("--op", "new", "--mode", "target", "--tid", tid, "-T", name)
        self.do("--op", "bind", "--mode", "target", "--tid", tid, "-I", "ALL")
        return name

    def lun(self, lun=1, tid=1, mb=64, block=512, params=(), store=None, path=None):
        """A disk on a file of its own, or of the store "null". Return: the file."""
        args = ["--op", "new", "--mode", "logicalunit", "--tid", tid, "--lun", lun]
        if store:
            path = "none"
            args += ["--bstype", store]
        elif not path:
            path = os.path.join(self.directory, "t%d-lun%d" % (tid, lun))
            with open(path, "wb") as f:
                f.truncate(mb << 20)
        if block != 512:
            args += ["--blocksize", block]
        self.do(*args, "-b", path)
        for p in params:
            self.do("--op", "update", "--mode", "logicalunit", "--tid", tid, "--lun", lun, "--params", p)
        return path

    def setting(self, name, value, tid=1):
        self.do("--op", "update", "--mode", "target", "--tid", tid, "-n", name, "-v", value)

    def kill(self):
        self.process.kill()

    def restart(self):
        """On the same port, with the same disks."""
        if self.process.alive():
            self.kill()
        wait_for(lambda: self.begin(self.port), 20, "tgtd on its port again")
        # Who may log in comes last: nobody shall see a target that has not got its disks yet.
        for args in sorted(self.done, key=lambda args: args[:4] == ("--op", "bind", "--mode", "target")):
            self.admin("--lld", "iscsi", *args)

    def stop(self):
        self.process.signal(signal.SIGSTOP)

    def go_on(self):
        self.process.signal(signal.SIGCONT)

    def sessions(self):
        """How many sessions of ours the target has."""
        out = self.admin("--lld", "iscsi", "--op", "show", "--mode", "target").out
        return len(re.findall(r"I_T nexus: [1-9]\d*", out))

    def close(self):
        if self.process:
            self.process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


WRITE_CACHE_OFF = "mode_page=8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0"
THIN = "thin_provisioning=1"
READ_ONLY = "readonly=1"
