# SPDX-License-Identifier: MIT
"""What only this command line has: Rescan, Stats, Watch, --wait, --secret-file"""
import json
import os
import re
import signal
import subprocess
import threading

import pytest

import bed
from bed import run, wait_for
from test_cli_layout import SESSION, STARS, TARGET
from test_session import discover, write

OK = "The operation completed successfully. "
INVALID = "The parameter is incorrect. "


def body(r, code=0, last=OK):
    assert (r.code, r.last) == (code, last), r
    return "".join(line + "\n" for line in r.data)


# ---- Rescan ----------------------------------------------------------------------------


def test_rescan_tells_what_has_changed(service, tgt):
    assert body(service.cli("Rescan")) == "No changes\n"
    discover(service, tgt)
    session = service.login(tgt.name)
    first = service.device(session)
    assert body(service.cli("Rescan")) == "No changes\n"
    tgt.lun(2, mb=8)
    second = re.fullmatch(r"    New: (/dev/\w+), LUN 2 of %s, ready\n" % re.escape(tgt.name), body(service.cli("rescan", session)))
    assert second and second.group(1) != first
    remove(tgt, 2)
    text = body(service.cli("Rescan"))
    assert re.fullmatch(r"    State: %s, LUN 2 of %s, \w+, it was ready: the target has no such unit any more\n" % (second.group(1), re.escape(tgt.name)), text)
    remove(tgt, 1)
    with open(tgt.file, "r+b") as f:
        f.truncate(96 << 20)
    tgt.lun(1, path=tgt.file)
    r = service.json("Rescan")
    assert [(c["Kind"], c["Device"]["legacyName"]) for c in r["Changes"]] == [("Resized", first)]
    assert r["Changes"][0]["Text"] == "%d bytes, it had %d" % (96 << 20, 64 << 20) and len(r["Devices"]) == 2
    service.logout(session)


def remove(tgt, lun):
    tgt.admin("--lld", "iscsi", "--op", "delete", "--mode", "logicalunit", "--tid", 1, "--lun", lun)


@pytest.mark.parametrize("name", ("Rescan", "Stats"))
def test_session_that_there_is_not(service, name):
    assert body(service.cli(name, "1-1"), 1, "Invalid Session Id. ") == ""
    assert body(service.cli(name, "x"), 2, INVALID) == "Invalid sessionid: x\n"
    assert body(service.cli(name, "x", "y")).startswith("iscsicli %s [SessionId]" % name)


# ---- Stats -----------------------------------------------------------------------------


def test_stats(service, tgt):
    assert body(service.cli("Stats")) == "No sessions\n"
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    write(device, 0, bytes(1 << 20))
    text = body(service.cli("Stats"))
    lines = text.splitlines()
    assert lines[0] == session and lines[1:3] == ["    Target             : " + tgt.name, "    State              : up"]
    labels = [line.split(":")[0].strip() for line in lines[1:]]
    assert labels == ["Target", "State", "Received", "Sent", "Commands", "Commands now", "Reconnects", "Connections lost", "Digest errors",
                      "Protocol errors", "Timeouts", "SNACKs", "Commands repeated", "Commands reassigned", "Connection", "Device",
                      "Reads", "Writes", "Flushes", "Discards", "Errors", "Retries"]  # fmt: skip
    assert "    Device             : %s, LUN 1\n" % device in text
    assert int(re.search(r"Writes +: \d+, (\d+) bytes", text).group(1)) == 1 << 20
    assert body(service.cli("stats", "*")).startswith(session) and body(service.cli("Stats", "0x" + session.replace("-", "-0x"))).startswith(session)
    told = service.json("Stats", session)["Statistics"]
    assert len(told) == 1 and told[0]["devices"][0]["writeBytes"] == 1 << 20
    service.logout(session)


# ---- Watch -----------------------------------------------------------------------------


class Watcher:
    def __init__(self, env, *options):
        self.p = subprocess.Popen([bed.CLI, *options, "Watch"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.timer = threading.Timer(60, self.p.kill)
        self.timer.start()

    def until(self, start):
        """The lines up to the first that starts so."""
        lines = []
        for line in self.p.stdout:
            lines.append(line)
            if line.startswith(start):
                return lines
        raise AssertionError("it ended after %r" % lines)

    def rest(self):
        out = self.p.stdout.read()
        return self.p.wait(20), out

    def close(self):
        self.timer.cancel()
        self.p.kill()
        self.p.wait(20)
        self.p.stdout.close()


@pytest.fixture
def watch():
    made = []

    def make(env, *options):
        made.append(Watcher(env, *options))
        return made[-1]

    yield make
    for w in made:
        w.close()


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_watch_until_it_is_interrupted(service, tgt, watch, number):
    w = watch(service.env)
    lines = w.until("current")
    assert re.match(r"iscsidsc iSCSI Initiator Version 10\.0 Build \d+\n", lines[0]) and lines[1:] == ["\n", "current\n"]
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    service.logout(session)
    lines = w.until("session-closed")
    connection = lines[2].split()[-1]
    assert lines == [
        "target-added %s\n" % tgt.name, "session-up %s session %s\n" % (tgt.name, session),
        "connection-up %s session %s connection %s\n" % (tgt.name, session, connection),
        "device-added %s session %s lun 1 device %s ready\n" % (tgt.name, session, device),
        "device-removed %s session %s lun 1\n" % (tgt.name, session), "session-closed %s session %s\n" % (tgt.name, session),
    ]  # fmt: skip
    w.p.send_signal(number)
    assert w.rest() == (0, OK + "\n")


def test_watch_as_json_until_the_service_ends(service, tgt, watch):
    discover(service, tgt)
    session = service.login(tgt.name)
    w = watch(service.env, "--json")
    events = [json.loads(line) for line in w.until('{"kind":"current"')]
    assert [e["kind"] for e in events] == ["session-up", "connection-up", "device-added", "current"]
    assert events[2]["device"]["sessionId"] == session
    service.logout(session)
    assert json.loads(w.until('{"kind":"session-closed"')[-1])["sessionId"] == session
    assert service.stop() == 0
    code, out = w.rest()
    told = json.loads(out)
    assert code == 1 and told["StatusName"] == "ISDSC_SERVICE_NOT_RUNNING" and told["Detail"].startswith("The service has ended")


def test_watch_without_a_service(tmp_path):
    env = {**os.environ, "ISCSIDSC_SOCKET": str(tmp_path / "none")}
    r = run(bed.CLI, "Watch", env=env, check=False)
    assert r.code == 1 and r.out == "The Microsoft iSCSI Initiator Service is not running. Please start the service and retry. \n"


def test_watch_when_nobody_reads_any_more(service, tgt):
    p = subprocess.Popen([bed.CLI, "--json", "Watch"], env=service.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert json.loads(p.stdout.readline())["kind"] == "current"
    p.stdout.close()
    discover(service, tgt)  # tells of the target
    assert p.wait(20) != 0


def test_watch_in_interactive_mode_goes_on_with_the_next_command(service, watch):
    p = subprocess.Popen([bed.CLI], env=service.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    p.stdin.write("Watch\nSessionList\n")
    p.stdin.close()
    for line in p.stdout:
        if line == "current\n":
            break
    p.send_signal(signal.SIGINT)
    rest = p.stdout.read()
    p.stdout.close()
    assert p.wait(20) == 0 and "Total of 0 sessions\n\n%s\n" % OK in rest


# ---- --wait ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ("QLoginTarget", "LoginTarget"))
def test_login_that_waits_for_all_devices(service, tgt, form):
    for lun in range(2, 9):
        tgt.lun(lun, mb=1)
    discover(service, tgt)
    args = (form, tgt.name) if form == "QLoginTarget" else (form, tgt.name, "T", *("*",) * 5, *STARS, "*", "0")
    r = service.cli(*args, "--wait")
    assert r.code == 0 and r.last == OK
    ready = [d for d in service.devices() if d["state"] == "ready" and os.path.exists(d["legacyName"])]
    assert len(ready) == 8
    service.logout(r.find(r"^Session Id is (\S+)"))


def test_login_that_waits_in_vain(service, make_tgt):
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:empty")
    discover(service, tgt)
    r = service.cli("--wait=1", "--status", "QLoginTarget", name)
    assert (r.code, r.lines[-3:]) == (1, ["    The session is there, its devices are not after 1 s", "Device was not found. ", "Status: 0xefff005d"])
    session = r.find(r"^Session Id is (\S+)")
    assert len(service.sessions()) == 1
    service.logout(session)
    # a unit that comes while it waits
    p = subprocess.Popen([bed.CLI, "--json", "--wait=60", "QLoginTarget", name], env=service.env, stdout=subprocess.PIPE, text=True)
    wait_for(service.sessions, 20, "the session")
    tgt.lun(1, mb=1)
    service.cli("Rescan", check=0)
    out = json.loads(p.communicate(timeout=60)[0])
    assert p.returncode == 0 and out["Status"] == 0
    service.logout(out["SessionIdentifier"])


def test_wait_where_there_is_nothing_to_wait_for(service, tgt):
    discover(service, tgt)
    r = service.cli("--wait", "LoginTarget", tgt.name, "F", *("*",) * 5, *STARS, "*", "0", check=0)
    service.logout(r.find(r"^Session Id is (\S+)"))
    for args in (("--wait", "SessionList"), ("PersistentLoginTarget", tgt.name, "T", *("*",) * 15, "0", "--wait=5")):
        assert body(service.cli(*args), 2, INVALID) == "--wait is for LoginTarget and QLoginTarget\n"
    for word in ("--wait=0", "--wait=x", "--wait=", "--wait=1x", "--wait=99999999"):
        assert body(service.cli(word, "SessionList")).startswith("iscsicli AddTarget")  # no option: a command that is not known
    assert body(service.cli("--wait", stdin=""), 2, INVALID) == "--secret-file and --wait stand before a command\n"


# ---- secrets -----------------------------------------------------------------------------


# each command that has secrets, and where they are
SECRET = "topsecret-1234"
WITH_SECRETS = [
    ("AddTarget", "AddStaticTarget", (TARGET, "*", "*", "*", "*", "*", *STARS[:6], "user", SECRET, "1", "0")),
    ("AddTargetPortal", "AddSendTargetPortal", ("192.0.2.1", "3260", "*", "*", "*", *STARS[:6], "user", SECRET, "1")),
    ("QAddTargetPortal", "AddSendTargetPortal", ("192.0.2.1", "user", SECRET)),
    ("LoginTarget", "Login", (TARGET, "T", *("*",) * 5, *STARS[:6], "user", SECRET, "1", "*", "0")),
    ("LoginTarget", "Login", (TARGET, "T", *("*",) * 5, *STARS, SECRET, "0")),
    ("PersistentLoginTarget", "Login", (TARGET, "T", *("*",) * 5, *STARS[:6], "user", SECRET, "1", "*", "0")),
    ("PersistentLoginTarget", "Login", (TARGET, "T", *("*",) * 5, *STARS, SECRET, "0")),
    ("QLoginTarget", "Login", (TARGET, "user", SECRET)),
    ("AddConnection", "AddConnection", (SESSION, *("*",) * 5, *STARS[:6], "user", SECRET, "1", "*")),
    ("AddConnection", "AddConnection", (SESSION, *("*",) * 5, *STARS, SECRET)),
    ("QAddConnection", "AddConnection", (SESSION, "*", "*", "user", SECRET)),
    ("CHAPSecret", "SetChapSecret", (SECRET,)),
    ("GroupKey", "SetGroupKey", (SECRET, "T")),
    ("PSKey", "SetIkeInfo", ("*", "*", "*", "2", "host.example", SECRET, "T")),
]  # fmt: skip
REPLIES = {"Login": {"sessionId": SESSION, "connectionId": "1-2"}, "AddConnection": {"connectionId": "1-2"}}


def sent(fake, method):
    return json.dumps([p for m, p in fake.calls if m == method])


@pytest.mark.parametrize("name,method,args", WITH_SECRETS)
def test_secret_is_hidden_before_anybody_is_asked(fake, name, method, args):
    """Also from the first question, which is that for the banner."""
    seen = []

    def look(answer):
        def reply(_):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open("/proc/%s/cmdline" % pid, "rb") as f:
                        line = f.read()
                except OSError:
                    continue
                if line.startswith(bed.CLI.encode() + b"\0" + name.encode() + b"\0") and marker.encode() in line:
                    seen.append(line)
            return answer

        return reply

    marker = args[0] if args[0] != SECRET else name
    fake.replies["GetVersion"] = look({"major": 10, "minor": 0, "build": 1, "product": "iscsidsc"})
    fake.replies[method] = look(REPLIES.get(method, {}))
    r = fake.cli(name, *args)
    assert r.code == 0 and SECRET.encode().hex() in sent(fake, method)
    assert len(seen) >= 2 and not any(SECRET.encode() in line for line in seen)


def test_every_command_with_a_secret_is_here(fake):
    """By the words of the help: a new one must be hidden as well."""
    out = fake.cli("/?").out
    told = {m.group(1) for m in re.finditer(r"^iscsicli (\w+) .*(?:assword|secret|<Key>)", out, re.M)}
    assert told == {name for name, _, _ in WITH_SECRETS}


def test_secret_is_hidden_also_when_the_arguments_do_not_fit(fake):
    asked, go_on = threading.Event(), threading.Event()

    def reply(_):
        asked.set()
        go_on.wait(20)
        return {"major": 10, "minor": 0, "build": 1, "product": "iscsidsc"}

    fake.replies["GetVersion"] = reply
    p = subprocess.Popen([bed.CLI, "QLoginTarget", TARGET, "user", SECRET, "surplus"], env=fake.env, stdout=subprocess.PIPE)
    assert asked.wait(20)
    with open("/proc/%d/cmdline" % p.pid, "rb") as f:
        line = f.read()
    go_on.set()
    out = p.communicate(timeout=20)[0]
    assert SECRET.encode() not in line and b"surplus" in line and SECRET.encode() not in out


@pytest.mark.parametrize("name,method,args", WITH_SECRETS)
def test_secret_from_a_file(fake, tmp_path, name, method, args):
    fake.replies[method] = REPLIES.get(method, {})
    file = tmp_path / "secret"
    args = ["-" if a == SECRET else a for a in args]
    for content, value in ((SECRET + "\n", SECRET.encode()), ("*" + SECRET, b"*" + SECRET.encode()), ("0x00112233445566778899aabb\r\nsecond line\n", bytes.fromhex("00112233445566778899aabb")),
                           ("-\n", b"-"), ("pass wörd\n", "pass wörd".encode())):  # fmt: skip
        file.write_text(content)
        fake.calls.clear()
        r = fake.cli("--secret-file", file, name, *args)
        assert r.code == 0 and '"%s"' % value.hex() in sent(fake, method), r
        assert content.strip("\r\n") not in r.out or len(content) < 3


def test_secret_from_standard_input_and_pipe(fake, tmp_path):
    fake.replies["SetChapSecret"] = {}
    fake.cli("--secret-file", "-", "CHAPSecret", "-", check=0, stdin=SECRET + "\nmore\n")
    assert SECRET.encode().hex() in sent(fake, "SetChapSecret")
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: open(pipe, "w").write("another-secret\n"))
    writer.start()
    fake.cli("--secret-file", pipe, "--json", "CHAPSecret", "-", check=0)
    writer.join(20)
    assert b"another-secret".hex() in sent(fake, "SetChapSecret")


def test_secret_file_that_is_of_no_use(fake, tmp_path):
    empty, long = tmp_path / "empty", tmp_path / "long"
    empty.write_text("\n")
    long.write_text("x" * 2000)
    bad = [
        ((str(tmp_path / "none"), "CHAPSecret", "-"), "%s cannot be read: No such file or directory" % (tmp_path / "none")),
        ((str(tmp_path), "CHAPSecret", "-"), "%s cannot be read: Is a directory" % tmp_path),
        ((str(empty), "CHAPSecret", "-"), "%s has no secret in its first line" % empty),
        ((str(long), "CHAPSecret", "-"), "The secret in %s has more than 1024 bytes" % long),
    ]
    empty2 = tmp_path / "good"
    empty2.write_text(SECRET)
    bad += [((str(empty2), *args), "--secret-file: no secret among the arguments of %s is -" % args[0])
            for args in (("CHAPSecret", "*"), ("SessionList", "-"), ("QLoginTarget", TARGET, "-", "x"))]  # fmt: skip
    for args, line in bad:
        fake.calls.clear()
        assert body(fake.cli("--secret-file", *args), 2, INVALID) == line + "\n"
        assert [m for m, _ in fake.calls] == ["GetVersion"]
        told = json.loads(fake.cli("--json", "--secret-file", *args, check=2).out)
        assert told["Status"] == 87 and told["Detail"] == line


def test_option_is_not_taken_from_the_arguments(fake):
    """A secret may look like it."""
    fake.replies["SetChapSecret"] = {}
    fake.cli("CHAPSecret", "--secret-file", check=0)
    assert b"--secret-file".hex() in sent(fake, "SetChapSecret")
