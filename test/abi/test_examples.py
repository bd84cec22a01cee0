# SPDX-License-Identifier: MIT
"""The programs in the manual pages compile without a warning and do what they say."""
import os
import re
import subprocess

import pytest

from fake_service import Error, FakeService

SOURCE = os.environ["ISCSIDSC_SOURCE"]
LIBRARY = os.environ["ISCSIDSC_LIBRARY"]


@pytest.fixture
def service():
    s = FakeService()
    yield s
    s.close()


def example(page, tmp_path):
    with open(os.path.join(SOURCE, "man", page)) as f:
        text = re.search(r"^\.Sh EXAMPLES$.*?^\.Bd -literal$\n(.*?)^\.Ed$", f.read(), re.S | re.M)[1]
    source, program = tmp_path / "example.c", tmp_path / "example"
    source.write_text(text.replace("\\e", "\\"))
    subprocess.run(
        [*os.environ["CC"].split(), "-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", os.path.join(SOURCE, "include"),
         str(source), "-o", str(program), LIBRARY, "-Wl,-rpath," + os.path.dirname(LIBRARY)],
        check=True,
    )  # fmt: skip
    return program


def run(program, service, *args):
    return subprocess.run([str(program), *args], env={**os.environ, "ISCSIDSC_SOCKET": service.path}, capture_output=True, text=True)


def test_targets(service, tmp_path):
    program = example("iscsidsc.3", tmp_path)
    for names in ([], ["iqn.2026-11.local.disk:1", "iqn.2026-11.local.disk:2"]):
        service.replies["ListTargets"] = {"targets": names, "status": 0}
        out = run(program, service)
        assert (out.returncode, out.stdout.splitlines()) == (0, names)
    service.replies["ListTargets"] = Error(5, "not for you")
    out = run(program, service)
    assert (out.returncode, out.stderr) == (1, "Access is denied.\nnot for you\n")


def test_session(service, tmp_path):
    device = {"initiatorInstance": "x", "targetName": "iqn.x", "scsiPort": 0, "scsiBus": 0, "scsiTarget": 0, "scsiLun": 0,
              "deviceType": 0, "deviceNumber": 0, "legacyName": "/dev/ublkb0", "interfaceName": ""}  # fmt: skip
    service.replies = {"Login": {"sessionId": "1-2", "connectionId": "1-3"}, "ListDevices": {"devices": [device]}, "Logout": {}}
    program = example("iscsidsc-session.3", tmp_path)
    out = run(program, service, "iqn.x")
    assert (out.returncode, out.stdout) == (0, "/dev/ublkb0\n")
    assert [m for m, _ in service.calls] == ["Login", "ListDevices", "Logout"]


def test_target(service, tmp_path):
    portals = [[("192.0.2.1", 3260)], [], [("2001:db8::1", 860), ("192.0.2.2", 3261)]]
    groups = [{"tag": i, "portals": [{"symbolicName": "", "address": a, "socket": s} for a, s in g]} for i, g in enumerate(portals)]
    information = {"protocolType": 0, "targetAlias": "", "initiatorName": "a", "targetFlags": 0, "mapping": None, "loginOptions": None}
    service.replies = {
        "ListDiscoveryMechanisms": {"mechanisms": ["Static:*", "iSNS:x"]},
        "GetTargetInformation": lambda p: {"information": {**information, "portalGroups": groups if p["discoveryMechanism"] == "Static:*" else []}},
    }
    program = example("iscsidsc-target.3", tmp_path)
    out = run(program, service, "iqn.x")
    assert (out.returncode, out.stdout.splitlines()) == (0, ["Static:*", "  192.0.2.1 3260", "  2001:db8::1 860", "  192.0.2.2 3261", "iSNS:x"])
    service.replies["ListDiscoveryMechanisms"] = Error(0xEFFF0029)
    assert run(program, service, "iqn.x").returncode == 1
