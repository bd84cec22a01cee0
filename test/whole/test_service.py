# SPDX-License-Identifier: MIT
"""The daemon and its socket: bad input, rights, life and death."""
import json
import os
import random
import socket
import subprocess
import time

import pytest

import bed
from bed import INTERFACE, Refused, Varlink, run, wait_for

TARGET = "iqn.2026-11.test.whole:disk"
PORTAL = {"symbolicName": "", "address": "127.0.0.1", "socket": 3260}

BAD_MESSAGES = [
    b"\0", b"rubbish\0", b"[]\0", b"{}\0", b'"x"\0', b"null\0", b"{\0", b'{"method": 1}\0', b'{"method": null}\0',
    b'{"method": "x"}\0', b'{"method": ""}\0', b'{"method": "."}\0', b'{"method": "io.iscsidsc.Initiator."}\0',
    b'{"method": "io.iscsidsc.Initiator.Login", "parameters": []}\0', b'{"method": "io.iscsidsc.Initiator.Login", "parameters": 7}\0',
    b"\xff\xfe\xfd\0", b'{"method": "\xc3\x28"}\0', b"[" * 5000 + b"\0", b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"\0",
    b'{"method": "io.iscsidsc.Initiator.GetVersion", "method": "io.iscsidsc.Initiator.GetVersion"}\0', b" " * 100000 + b"\0",
]  # fmt: skip


@pytest.mark.parametrize("message", BAD_MESSAGES, ids=range(len(BAD_MESSAGES)))
def test_message_that_is_none(service, message):
    with Varlink(service.socket) as v:
        v.send(message)
        try:
            assert "error" in v.receive() or message.startswith(b'{"method": "io.iscsidsc.Initiator.GetVersion"')
        except (ConnectionError, OSError):
            pass
    assert service.varlink("GetVersion")["major"] == 10


def test_message_without_an_end_and_one_without_a_beginning(service):
    n = service.fds()
    for data in (b'{"method": "io.isc', b"", b"x" * 300000):
        with Varlink(service.socket) as v:
            v.send(data) if data else None
    with Varlink(service.socket) as v:
        # more than a message may have: the service lets go instead of taking memory
        with pytest.raises((ConnectionError, OSError)):
            for _ in range(64):
                v.send(b"x" * (1 << 20))
            v.receive()
    assert service.varlink("GetNodeName")["name"].startswith("iqn.")
    wait_for(lambda: service.fds() <= n, 10, "the descriptors of connections that ended")


def call_json(service, method, parameters):
    """A message that is no JSON to the service (a NUL in a text) ends the connection."""
    with Varlink(service.socket) as v:
        v.send({"method": INTERFACE + "." + method, "parameters": parameters})
        try:
            return v.receive()
        except ConnectionError:
            assert "\\u0000" in json.dumps(parameters) or "\\ud83d" in json.dumps(parameters)
            return {"error": "org.varlink.service.InvalidParameter"}


NUMBERS = (-1, 1 << 32, 1 << 53, -(1 << 53), 1.5, "1", None, True, [], {})
TEXTS = ("", "x" * 300, "x" * 100000, "a\u0000b", 7, None, [], "\ud83d\ude00" * 50, "iqn.2026-11.x:" + "y" * 250, "iqn.bad name", "iqn.2026-11.x:\n")


def test_members_of_every_wrong_kind(service):
    """None of these may reach a target, end the service, or be answered with success."""
    good = {"targetName": TARGET, "informational": False, "initiatorInstance": None, "initiatorPort": 0xFFFFFFFF, "portal": PORTAL,
            "securityFlags": 0, "loginOptions": None, "key": None, "persistent": False}  # fmt: skip
    tries = [{**good, "targetName": t} for t in TEXTS]
    tries += [{**good, "initiatorPort": n} for n in NUMBERS if n is not None]
    tries += [{**good, "portal": {**PORTAL, "socket": n}} for n in NUMBERS]
    tries += [{**good, "portal": {**PORTAL, "address": t}} for t in TEXTS]
    tries += [{**good, "portal": p} for p in (1, "x", [], {}, {"address": "x"})]
    tries += [{**good, "loginOptions": o} for o in (1, "x", [], {"informationSpecified": -1, "loginFlags": 0},
              {"informationSpecified": 0x40, "loginFlags": 0, "password": "xyz"}, {"informationSpecified": 0x40, "loginFlags": 0, "password": "abc"},
              {"informationSpecified": 0x40, "loginFlags": 0, "password": "ab" * 70000}, {"informationSpecified": 0x80, "loginFlags": 0, "authType": 9},
              {"informationSpecified": 0x01, "loginFlags": 0, "headerDigest": 7})]  # fmt: skip
    tries += [{**good, name: x} for name in ("informational", "persistent") for x in (1, "true", None, [])]
    tries += [{**good, "key": x} for x in (1, "zz", "abc", [])]
    tries += [{k: v for k, v in good.items() if k != missing} for missing in ("targetName", "informational", "persistent")]
    tries += [{**good, "unknown": 1}, {}]
    for parameters in tries:
        reply = call_json(service, "Login", parameters)
        assert "error" in reply, parameters
        assert reply["error"] in (INTERFACE + ".Status", "org.varlink.service.InvalidParameter"), reply
        if reply["error"] == INTERFACE + ".Status":
            assert reply["parameters"]["code"] and reply["parameters"]["text"]
    for method in ("Logout", "ListDevices", "ListHolders", "ScsiInquiry", "ScsiReadCapacity", "ScsiReportLuns"):
        for id_ in ("", "1", "1-", "-1", "x-y", "1-2-3", "1" * 40 + "-1", 5, [], "0x1-0x2x"):
            reply = call_json(service, method, {"sessionId": id_, "lun": "0" * 16, "evpdCmddt": 0, "pageCode": 0, "allocationLength": 36, "sixteen": False})
            assert "error" in reply, (method, id_)
    assert service.sessions() == []


def test_rubbish_by_the_thousand(service):
    n = random.Random(20261125)
    methods = ["Login", "Logout", "ListTargets", "SetNodeName", "AddSendTargetPortal", "ScsiInquiry", "ListHolders", "Nonsense"]

    def value(depth=0):
        kind = n.randrange(9 if depth < 3 else 6)
        if kind == 6:
            return [value(depth + 1) for _ in range(n.randrange(4))]
        if kind > 6:
            return {n.choice(("sessionId", "portal", "targetName", "name", "address", "x")): value(depth + 1) for _ in range(n.randrange(5))}
        return [None, n.random() < 0.5, n.randrange(-10, 10), n.randrange(1 << 60), "x" * n.randrange(50), "1-2"][kind]

    with Varlink(service.socket) as v:
        for _ in range(2000):
            parameters = value(2)
            v.send({"method": INTERFACE + "." + n.choice(methods), "parameters": parameters if isinstance(parameters, dict) else {"x": parameters}})
            v.receive()
    assert service.sessions() == []


def test_two_calls_in_one_packet_and_one_in_many(service):
    call = json.dumps({"method": INTERFACE + ".GetVersion", "parameters": {}}).encode() + b"\0"
    with Varlink(service.socket) as v:
        v.send(call + call)
        assert v.receive() == v.receive()
        for i in range(len(call)):
            v.send(call[i : i + 1])
        assert v.receive()["parameters"]["major"] == 10


def test_interface_description_is_the_file(service):
    with open(os.path.join(bed.SOURCE, "doc/io.iscsidsc.Initiator.varlink")) as f:
        assert service.varlink("org.varlink.service.GetInterfaceDescription", interface=INTERFACE)["description"] == f.read()
    info = service.varlink("org.varlink.service.GetInfo")
    assert INTERFACE in info["interfaces"]


def test_clients_that_hang_do_not_shut_others_out(service):
    idle = [Varlink(service.socket) for _ in range(40)]
    try:
        assert service.varlink("GetVersion")["major"] == 10
    finally:
        for v in idle:
            v.close()


def test_too_many_clients(make_service):
    service = make_service("[service]\nmax_clients = 8\n")
    idle = []
    try:
        for _ in range(40):
            idle.append(Varlink(service.socket, 5))
    except OSError:
        pass
    finally:
        for v in idle:
            v.close()
    wait_for(service.answers, 20, "an answer after the crowd has gone")


def as_nobody(service, *args):
    """The command line as somebody who is neither root nor in the socket's group."""
    return subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", bed.CLI, *args],
                          env=service.env, capture_output=True, text=True, timeout=60)  # fmt: skip


def test_others_may_look_but_not_change(make_service):
    service = make_service("[service]\nsocket_mode = 0666\n")
    os.chmod(service.directory, 0o755)
    if subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "test", "-x", bed.CLI], timeout=20).returncode:
        pytest.skip("the build directory is not readable for others")
    assert as_nobody(service, "SessionList").returncode == 0
    for args in (("AddTargetPortal", "127.0.0.1", "1"), ("QLoginTarget", TARGET), ("NodeName", "iqn.2026-11.x"), ("ListTargets", "T")):
        r = as_nobody(service, *args)
        assert r.returncode == 2 and r.stdout.splitlines()[-1] == "Access is denied. ", r.stdout
    assert service.varlink("ListSendTargetPortals")["portals"] == []


def test_others_may_not_even_look(make_service):
    service = make_service("[service]\nsocket_mode = 0666\n[access]\nothers_may_read = no\n")
    os.chmod(service.directory, 0o755)
    if subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "test", "-x", bed.CLI], timeout=20).returncode:
        pytest.skip("the build directory is not readable for others")
    for args in (("SessionList",), ("ListTargets",), ("ListPersistentTargets",), ("NodeName", "iqn.2026-11.x")):
        r = as_nobody(service, *args)
        assert r.returncode == 2 and r.stdout.splitlines()[-1] == "Access is denied. ", r.stdout
    service.cli("SessionList", check=0)


def test_others_may_not_even_connect_by_default(service):
    os.chmod(service.directory, 0o755)
    s = os.stat(service.socket)
    assert s.st_mode & 0o007 == 0


def test_node_name_is_kept_over_a_restart(service):
    first = service.varlink("GetNodeName")["name"]
    assert first.startswith("iqn.")
    service.cli("NodeName", "iqn.2026-11.local.test:renamed", check=0)
    r = service.cli("NodeName", "not a name", check=1)
    assert r.last == "The iSCSI name specified contains invalid characters or is too long. "
    assert service.stop() == 0
    service.start()
    assert service.varlink("GetNodeName")["name"] == "iqn.2026-11.local.test:renamed"
    service.cli("NodeName", "*", check=0)
    assert service.varlink("GetNodeName")["name"] == first


def test_portals_are_kept_over_a_restart(service, tgt):
    service.cli("AddTargetPortal", "127.0.0.1", tgt.port, check=0)
    assert service.stop() == 0
    service.start()
    assert "127.0.0.1 %d" % tgt.port in service.cli("ListTargetPortals", check=0).out
    wait_for(lambda: tgt.name in service.cli("ListTargets").out, 20, "the target after a restart")


def test_state_is_private(service):
    assert os.stat(service.state).st_mode & 0o077 == 0
    for name in os.listdir(service.state):
        assert os.stat(os.path.join(service.state, name)).st_mode & 0o077 == 0, name


def test_second_service_on_the_same_state_does_not_start(service):
    r = run(*service.args(), check=False, seconds=20)
    assert r.code not in (0, None) and "another service" in r.out
    assert service.varlink("GetVersion")["major"] == 10


@pytest.mark.parametrize("config", (
    "[service]\nnonsense = 1\n", "[nonsense]\nx = 1\n", "[session]\nhold_time = never\n", "[session]\nhold_time = 0\n", "no section\n",
    "[target not a name]\nhold_time = 5\n", "[session]\nMaxBurstLength = 1\n",
))  # fmt: skip
def test_configuration_that_is_wrong_is_refused_with_its_place(make_service, config):
    service = make_service(config, start=False)
    r = run(*service.args(), check=False, seconds=20)
    assert r.code == 2 and service.config + ":" in r.out and not os.path.exists(service.socket)


@pytest.mark.parametrize("args", (["--nonsense"], ["--log-level", "loud"], ["--backend", "nonsense"], ["--socket"], ["word"], ["--config", "/nonexistent"]))
def test_command_line_that_is_wrong_is_refused(make_service, args):
    service = make_service(start=False)
    r = run(*service.args(), *args, check=False, seconds=20)
    assert r.code != 0 and r.out.strip()


def test_socket_left_by_a_dead_service_is_taken_over(service):
    service.kill()
    assert os.path.exists(service.socket)
    r = service.cli("SessionList", check=1)
    assert r.last == "The Microsoft iSCSI Initiator Service is not running. Please start the service and retry. "
    service.start()
    service.cli("SessionList", check=0)


def test_something_else_at_the_socket_is_left_alone(make_service):
    service = make_service(start=False)
    with open(service.socket, "w") as f:
        f.write("mine")
    r = run(*service.args(), check=False, seconds=20)
    assert r.code != 0
    with open(service.socket) as f:
        assert f.read() == "mine"


def test_state_that_cannot_be_read_is_no_reason_to_lose_it(make_service):
    service = make_service()
    assert service.stop() == 0
    database = next(os.path.join(service.state, n) for n in sorted(os.listdir(service.state)) if "." in n and "lock" not in n)
    with open(database, "wb") as f:
        f.write(b"this is no database" * 100)
    r = run(*service.args(), check=False, seconds=20)
    assert r.code != 0 and r.out.strip()
    with open(database, "rb") as f:
        assert f.read() == b"this is no database" * 100


def test_what_answers_at_the_socket_is_not_the_service(tmp_path):
    path = str(tmp_path / "s")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(8)
    env = {**os.environ, "ISCSIDSC_SOCKET": path}
    listener.settimeout(20)
    p = subprocess.Popen([bed.CLI, "SessionList"], env=env, stdout=subprocess.PIPE, text=True)
    for _ in range(2):
        c, _ = listener.accept()
        c.recv(1000)
        c.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n\0")
        c.close()
    out, _ = p.communicate(timeout=20)
    listener.close()
    assert p.returncode == 1 and out.endswith("retry. \n")


def test_stop_is_quick_when_there_is_nothing(service):
    started = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - started < 20
    assert not os.path.exists(service.socket)


def test_refusal_has_words(service):
    with pytest.raises(Refused) as e:
        service.varlink("Logout", sessionId="1-2")
    p = e.value.parameters
    assert p["code"] == 0xEFFF001C and p["name"] == "ISDSC_INVALID_SESSION_ID" and p["text"] and p["holders"] == []
