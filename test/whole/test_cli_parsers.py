# SPDX-License-Identifier: MIT
"""
The ways in which scripts in the field read iscsicli, each written as it is written
there, against what we print
"""
import re

import pytest

from fake_service import Error
from test_cli_layout import CONNECTION, DEVICE_REPLY, INSTANCE, PORTAL, SESSION, SESSION_REPLY, STARS, TARGET

SECOND = "iqn.2020-01.net.example:disk2"
SECOND_ID = "ffffa00112233440-4000013700000003"


@pytest.fixture
def world(fake):
    """Two targets, two portals, two sessions, three devices."""
    fake.replies["ListTargets"] = {"targets": [TARGET, SECOND], "status": 0}
    fake.replies["ListSendTargetPortals"] = {"portals": [
        {"initiatorName": "", "initiatorPort": 0xFFFFFFFF, "portal": {**PORTAL, "address": a}, "securityFlags": 0,
         "loginOptions": {"informationSpecified": 0, "loginFlags": 0}} for a in ("192.0.2.10", "2001:db8::1")]}  # fmt: skip
    fake.replies["ListSessions"] = {"sessions": [SESSION_REPLY, {**SESSION_REPLY, "id": SECOND_ID, "targetName": SECOND}]}

    def devices(p):
        if p["sessionId"] == SESSION:
            return {"devices": [{**DEVICE_REPLY, "volumePaths": ["/mnt/data"]},
                                {**DEVICE_REPLY, "legacyName": "/dev/loop4", "scsiLun": 2, "deviceNumber": 4, "interfaceName": "/x/lun-2"}]}
        return {"devices": [{**DEVICE_REPLY, "targetName": SECOND, "legacyName": "/dev/loop5", "deviceNumber": 5, "interfaceName": "/x/y"}]}

    fake.replies["ListDevices"] = devices
    fake.replies["Login"] = {"sessionId": SESSION, "connectionId": CONNECTION}
    fake.replies["Logout"] = {}
    for method in ("AddSendTargetPortal", "RemoveSendTargetPortal", "RefreshSendTargetPortal"):
        fake.replies[method] = {}
    return fake


def test_openstack_nova(world):
    out = world.cli("ListTargetPortals").out
    assert "The operation completed successfully" in out
    found = [p.split() for p in re.findall(r"Address and Socket *: (.*)", out)]
    assert found == [["192.0.2.10", "3260"], ["2001:db8::1", "3260"]]
    assert "The operation completed successfully" in world.cli("AddTargetPortal", "192.0.2.10", "3260", *("*",) * 13).out
    assert TARGET in world.cli("SessionList").out
    # It may pass the text "None" for user and password.
    world.replies["Login"] = Error(0xEFFF004B)
    assert world.cli("qlogintarget", TARGET, "None", "None").code == 1


def test_oktet_labs(world):
    bad = r"Error:|The target has already been logged|[Ff]ailed|cannot|invalid|not found"
    out = world.cli("LoginTarget", TARGET, "T", "192.0.2.10", "3260", "*", "*", "*", *STARS, "*", "0").out
    assert re.search(r"^Session Id is (0x[a-f0-9]*-0x[a-f0-9]*)", out, re.M).group(1) == "0xffffa00112233440-0x4000013700000002"
    assert re.search(r"^Connection Id is (0x[a-f0-9]*-0x[a-f0-9]*)", out, re.M)
    assert re.search(r"^The operation completed successfully.", out, re.M)
    assert not re.search(bad, out)
    out = world.cli("SessionList").out
    assert not re.search(bad, out)
    assert re.search(r"^Total of ([0-9]*) sessions", out, re.M).group(1) == "2"
    assert re.findall(r"^Session Id\s*:\s*([a-f0-9]*-[a-f0-9]*)", out, re.M) == [SESSION, SECOND_ID]
    assert re.search(r"Connection Id\s*:\s*([a-f0-9]*)-([a-f0-9]*)", out).groups() == tuple(CONNECTION.split("-"))
    assert re.findall(r"Legacy Device Name\s*:\s*([^\s]+)", out) == ["/dev/loop3", "/dev/loop4", "/dev/loop5"]
    assert len(re.findall(r"Device Interface Name\s*:\s*([^\s]+)", out)) == 3
    world.replies["Login"] = Error(0xEFFF003F)
    assert re.search(bad, world.cli("QLoginTarget", TARGET).out)


def test_infinidat(world):
    r = world.cli("AddTargetPortal", "192.0.2.10", "3260")
    assert r.code == 0
    world.replies["Login"] = Error(0xEFFF003F)
    r = world.cli("LoginTarget", TARGET, "T", "192.0.2.10", "3260", "*", "*", "*", *STARS, "*", "0")
    assert r.code != 0 and "target has already been logged in" in r.out


def test_azure_connect(world):
    r = world.cli("PersistentLoginTarget", TARGET, "t", "host", "3260", "Root\\ISCSIPRT\\0000_0", "-1", "*", "0x00000002", "1", "1", *("*",) * 7, "0")
    assert r.code == 0
    # exit status 0 and the sentence at the end, its blank cut off
    assert r.out.rstrip().endswith("The operation completed successfully.")
    out = world.cli("SessionList").out
    assert len([line for line in out.splitlines() if re.search("Session Id", line)]) == 2
    line = next(line for line in out.splitlines() if SECOND in line)
    assert line[line.index(":") + 1 :].strip() == SECOND


def test_poshcode_module(world):
    out = world.cli("ListTargets").out
    assert [line.strip() for line in out.splitlines() if re.search(r"^\s+\S+:\S+$", line)] == [TARGET, SECOND]
    blocks = re.split(r"Session Id\s+:\s+", world.cli("SessionList").out)[1:]
    assert len(blocks) == 2
    head, rest = re.split("Connections:", blocks[0])
    assert head.startswith(SESSION)
    connections, devices = re.split("Devices:", rest)

    def fields(text):
        return {k.replace(" ", ""): v.strip() for k, _, v in (line.partition(":") for line in text.splitlines()) if v}

    assert fields(head)["TargetName"] == TARGET
    assert fields(connections)["TargetPortal"] == "192.0.2.10/3260"
    assert fields(devices.split("\n\n")[0])["LegacyDeviceName"] == "/dev/loop3"
    # labels with " and " are two labels
    line = next(line for line in world.cli("ListTargetPortals").out.splitlines() if " and " in line)
    label, _, value = line.partition(":")
    assert dict(zip(label.replace(" ", "").split("and"), value.split())) == {"Address": "192.0.2.10", "Socket": "3260"}
    out = world.cli("qlogintarget", TARGET).out
    pairs = dict(line.split(" is ") for line in out.splitlines() if " is " in line)
    assert pairs["Session Id"] == "0xffffa00112233440-0x4000013700000002"
    assert "success" in world.cli("logouttarget", SESSION).out
    world.replies["Login"] = Error(0xEFFF003F)
    assert re.search("already.+logged", world.cli("qlogintarget", TARGET).out)


def test_fogbow(world):
    lines = [line.strip() for line in world.cli("ListTargets").out.splitlines()]
    listed = lines[lines.index("Targets List:") + 1 : lines.index("The operation completed successfully.")]
    assert listed == [TARGET, SECOND]
    device, target, kind = None, None, None
    for line in world.cli("SessionList").out.splitlines():
        if " : " not in line:
            continue
        label, value = (part.strip() for part in line.split(" : ", 1))
        if label == "Device Type":
            kind = value
        if label == "Target Name":
            target = value
        if label == "Legacy Device Name" and kind == "Disk" and target == SECOND:
            device = value
    assert device == "/dev/loop5"


def test_uniautos(world):
    assert re.search(r"Session Id is 0x(\S+)", world.cli("QLoginTarget", TARGET).out)
    out = world.cli("sessionlist").out
    assert re.findall(r"Session Id\s*:\s*(\S+)", out) == [SESSION, SECOND_ID]
    assert re.search(r"Target Name\s*:\s*(.+)", out).group(1) == TARGET
    assert re.findall(r"Target Portal\s+:\s+(\S+)\/", out) == ["192.0.2.10"] * 2
    out = world.cli("ListTargetPortals").out
    assert re.findall(r"Address and Socket\s*:\s*(\S+)\s+(\S+)", out)[1] == ("2001:db8::1", "3260")


def test_replication_agent(world):
    lines = world.cli("SessionList").lines
    at = next(i for i, line in enumerate(lines) if "Volume Path Names" in line)
    assert lines[at + 1].strip() == "/mnt/data"
    ids = [line.split(":", 1)[1].strip() for line in lines if "Session Id" in line]
    assert ids == [SESSION, SECOND_ID]


def test_batch_files(world):
    found = [line for line in world.cli("sessionList", "dummy").lines if line.startswith("Session")]
    assert len(found) == 2
    for line in found:
        id_ = line.split(":", 1)[1]
        assert world.cli("LogoutTarget", id_.strip()).code == 0


def test_powershell_clean_up(world):
    ids = [m.group("session_id") for m in re.finditer(r"(Session Id *: )(?P<session_id>.*)", world.cli("SessionList").out)]
    assert ids == [SESSION, SECOND_ID]


def test_clubshell(world):
    lines = [line.strip() for line in world.cli("ListTargets", "T").lines]
    assert [x for x in lines if x.startswith(("iqn.", "eui.")) and " " not in x] == [TARGET, SECOND]
    # it gives 12 stars, which is the usage, and success
    r = world.cli("AddTargetPortal", "192.0.2.10", "3260", *("*",) * 12)
    assert r.code == 0


def test_support_bundle(world):
    world.replies["ListInitiators"] = {"initiators": [INSTANCE]}
    for name in ("ListInitiators", "ListTargetPortals", "SessionList"):
        assert world.cli(name).code == 0
    for name in ("ListPersistentTargets", "ReportTargetMappings", "ListiSNSServers"):
        assert world.cli(name).last


def test_last_line_is_the_status_in_every_case(world):
    for args in (("SessionList",), ("ListTargets",), ("QLoginTarget", TARGET), ("LogoutTarget", SESSION), ("AddTargetPortal",)):
        assert world.cli(*args).last == "The operation completed successfully. "
    world.replies["Logout"] = Error(0xEFFF001C)
    assert world.cli("LogoutTarget", SESSION).last == "Invalid Session Id. "
