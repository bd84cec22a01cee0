# SPDX-License-Identifier: MIT
"""What iscsicli prints, to the byte, for a service that says what the test wants."""
import json
import os
import re

import pytest

from fake_service import Error

BANNER = "iscsidsc iSCSI Initiator Version 10.0 Build 1\n\n"
OK = "The operation completed successfully. \n"
TARGET = "iqn.2020-01.net.example:disk1"
SESSION = "ffffa00112233440-4000013700000002"
CONNECTION = "ffffa00112233440-1b"
INSTANCE = "Root\\ISCSIPRT\\0000_0"
NODE = "iqn.2026-11.local.host1:00c0ffee"
PORTAL = {"symbolicName": "", "address": "192.0.2.10", "socket": 3260}
STARS = ("*",) * 9

SESSION_REPLY = {
    "id": SESSION, "initiatorNodeName": NODE, "initiatorInstance": INSTANCE, "targetName": TARGET, "isid": "400001370000",
    "tsih": 0x27, "informational": False, "state": "up", "portal": PORTAL,
    "connections": [{"id": CONNECTION, "initiatorAddress": "192.0.2.1", "initiatorSocket": 58847, "targetAddress": "192.0.2.10",
                     "targetSocket": 3260, "cid": 1}],
}  # fmt: skip
DEVICE_REPLY = {
    "initiatorInstance": INSTANCE, "targetName": TARGET, "sessionId": SESSION, "lun": "0001000000000000", "scsiPort": 1,
    "scsiBus": 0, "scsiTarget": 0, "scsiLun": 1, "deviceType": 0, "deviceNumber": 3, "legacyName": "/dev/loop3",
    "interfaceName": "/run/iscsidsc/devices/by-path/ip-192.0.2.10:3260-iscsi-iqn.2020-01.net.example:disk1-lun-1",
    "backend": "loop", "unitName": "naa.6001405", "vendor": "EXAMPLE", "product": "DISK", "serial": "42",
    "sizeBytes": 67108864, "blockBytes": 512, "readOnly": False, "writeCache": True, "state": "ready", "why": "",
    "volumePaths": [],
}  # fmt: skip
HOLDER = {"kind": "mount", "pid": 0, "process": "", "device": "/dev/loop3", "place": "/mnt/data", "otherNamespace": False,
          "text": "mounted on /mnt/data"}  # fmt: skip


def text(fake, *args, check=0, stdin=None):
    r = fake.cli(*args, check=check, stdin=stdin)
    assert r.out.startswith(BANNER)
    return r.out[len(BANNER) :]


def test_list_targets(fake):
    fake.replies["ListTargets"] = {"targets": [TARGET, "iqn.2020-01.net.example:disk2"], "status": 0}
    assert text(fake, "ListTargets") == "Targets List:\n    %s\n    iqn.2020-01.net.example:disk2\n%s" % (TARGET, OK)
    assert all(p == {"forceUpdate": False} for m, p in fake.calls if m == "ListTargets")


@pytest.mark.parametrize("arg", ("T", "t", "true", "TRUE"))
def test_list_targets_forced_asks_the_portals_once(fake, arg):
    fake.replies["ListTargets"] = {"targets": [], "status": 0}
    assert text(fake, "listtargets", arg) == "Targets List:\n" + OK
    assert [p for m, p in fake.calls if m == "ListTargets"] == [{"forceUpdate": True}]


@pytest.mark.parametrize("arg", ("*", "F", "1", "yes", ""))
def test_list_targets_not_forced(fake, arg):
    fake.replies["ListTargets"] = {"targets": [TARGET], "status": 0}
    text(fake, "LISTTARGETS", arg)
    assert not any(p["forceUpdate"] for m, p in fake.calls if m == "ListTargets")


def test_list_targets_when_a_portal_does_not_answer(fake):
    fake.replies["ListTargets"] = {"targets": [TARGET], "status": 0xAFFF002E}
    assert text(fake, "ListTargets", "T", check=1) == (
        "Targets List:\n    %s\nThe operation was not successful for all initiators or discovery methods. \n" % TARGET
    )


def test_list_target_portals(fake):
    plain = {"initiatorName": "", "initiatorPort": 0xFFFFFFFF, "portal": PORTAL, "securityFlags": 0,
             "loginOptions": {"informationSpecified": 0, "loginFlags": 0}}  # fmt: skip
    rich = {"initiatorName": INSTANCE, "initiatorPort": 2, "portal": {**PORTAL, "symbolicName": "lab", "address": "2001:db8::1"},
            "securityFlags": 0x7B, "loginOptions": {"informationSpecified": 0xFF, "loginFlags": 3, "authType": 1, "headerDigest": 1,
            "dataDigest": 0, "maximumConnections": 1, "defaultTime2Wait": 2, "defaultTime2Retain": 20,
            "username": b"iqn.demo".hex()}}  # fmt: skip
    fake.replies["ListSendTargetPortals"] = {"portals": [plain, rich]}
    assert text(fake, "ListTargetPortals") == """\
Total of 2 portals are persisted:

    Address and Socket   : 192.0.2.10 3260
    Symbolic Name        :\x20
    Initiator Name       :\x20
    Port Number          : <Any Port>
    Security Flags        : 0x0
    Version              : 0
    Information Specified: 0x0
    Login Flags          : 0x0

    Address and Socket   : 2001:db8::1 3260
    Symbolic Name        : lab
    Initiator Name       : Root\\ISCSIPRT\\0000_0
    Port Number          : 2
    Security Flags        : 0x7b
        Tunnel Mode Preferred
        Transport Mode Preferred
        PFS Enabled
        Aggressive Mode Enabled
        IPSEC Enabled
        Security Flags are Valid
    Version              : 0
    Information Specified: 0xff
    Header Digest        : CRC-32C
    Data Digest          : None
    Maximum Connections  : 1
    Default Time 2 Wait  : 2
    Default Time 2 Retain: 20
    Login Flags          : 0x3
                           Require IPsec
                           Multipath Enabled
    Authentication Type  : CHAP
    Username             :\x20
                          69 71 6e 2e 64 65 6d 6f                             iqn.demo
    Password             : <is established>

""" + OK


def test_no_target_portals(fake):
    fake.replies["ListSendTargetPortals"] = {"portals": []}
    assert text(fake, "ListTargetPortals", "surplus") == OK


def test_session_list(fake):
    fake.replies["ListSessions"] = {"sessions": [SESSION_REPLY]}
    fake.replies["ListDevices"] = {"devices": [{**DEVICE_REPLY, "volumePaths": ["/mnt/data", "/srv"]}]}
    expected = """\
Total of 1 sessions

Session Id             : ffffa00112233440-4000013700000002
Initiator Node Name    : iqn.2026-11.local.host1:00c0ffee
Target Node Name       : iqn.2020-01.net.example:disk1
Target Name            : iqn.2020-01.net.example:disk1
ISID                   : 40 00 01 37 00 00
TSID                   : 27 00
Number Connections     : 1

    Connections:

        Connection Id     : ffffa00112233440-1b
        Initiator Portal  : 192.0.2.1/58847
        Target Portal     : 192.0.2.10/3260
        CID               : 01 00

    Devices:
        Device Type            : Disk
        Device Number          : 3
        Storage Device Type    : 7
        Partition Number       : 0
        Friendly Name          : EXAMPLE DISK SCSI Disk Device
        Device Description     : Disk drive
        Reported Mappings      : Port 1, Bus 0, Target Id 0, LUN 1
        Location               : Bus Number 0, Target Id 0, LUN 1
        Initiator Name         : Root\\ISCSIPRT\\0000_0
        Target Name            : iqn.2020-01.net.example:disk1
        Device Interface Name  : %s
        Legacy Device Name     : /dev/loop3
        Device Instance        : 0x3
        Volume Path Names      :\x20
                                 /mnt/data
                                 /srv

""" % DEVICE_REPLY["interfaceName"]
    assert text(fake, "SessionList") == expected + OK
    short = expected[: expected.index("    Devices:")] + OK
    for arg in ("F", "dummy", "0"):
        assert text(fake, "SessionList", arg) == short
    for arg in ("T", "*", "true"):
        assert text(fake, "SessionList", arg) == expected + OK


def test_session_that_is_coming_back_has_no_connections(fake):
    fake.replies["ListSessions"] = {"sessions": [{**SESSION_REPLY, "connections": [], "state": "down"}]}
    fake.replies["ListDevices"] = {"devices": []}
    out = text(fake, "SessionList")
    assert "Number Connections     : 0\n" in out and "Connections:" not in out and "Devices:" not in out


def test_no_sessions(fake):
    fake.replies["ListSessions"] = {"sessions": []}
    assert text(fake, "SessionList") == "Total of 0 sessions\n\n" + OK


def test_session_that_ends_while_it_is_listed(fake):
    fake.replies["ListSessions"] = {"sessions": [SESSION_REPLY]}
    fake.replies["ListDevices"] = Error(0xEFFF001C)
    assert text(fake, "SessionList").endswith("CID               : 01 00\n\n" + OK)


def test_login_target(fake):
    fake.replies["Login"] = {"sessionId": SESSION, "connectionId": "ffffa00112233440-1"}
    ids = "Session Id is 0xffffa00112233440-0x4000013700000002\nConnection Id is 0xffffa00112233440-0x1\n" + OK
    args = ("LoginTarget", TARGET, "T", "*", "*", "*", "*", "*", *STARS, "*", "0")
    assert text(fake, *args) == "LoginTarget to %s on <no init instance> to <no portal>/0\n%s" % (TARGET, ids)
    _, call = fake.calls[-1]
    assert call["portal"] is None and not call["informational"] and not call["persistent"] and call["key"] is None
    args = ("LoginTarget", TARGET, "f", "192.0.2.10", "3260", INSTANCE, "-1", "*", "0x2", "1", "0", "4", "2", "20", "user", "secret-of-12", "1", "*", "*")  # fmt: skip
    assert text(fake, *args) == "LoginTarget to %s on %s to 192.0.2.10/3260\n%s" % (TARGET, INSTANCE, ids)
    _, call = fake.calls[-1]
    options = call["loginOptions"]
    assert call["informational"] and call["initiatorInstance"] == INSTANCE and call["initiatorPort"] == 0xFFFFFFFF
    assert call["portal"]["address"] == "192.0.2.10" and call["portal"]["socket"] == 3260
    assert options["informationSpecified"] == 0xFF and options["loginFlags"] == 2
    assert bytes.fromhex(options["username"]) == b"user" and bytes.fromhex(options["password"]) == b"secret-of-12"
    assert (options["authType"], options["headerDigest"], options["dataDigest"]) == (1, 1, 0)
    assert (options["maximumConnections"], options["defaultTime2Wait"], options["defaultTime2Retain"]) == (4, 2, 20)


def test_persistent_login_prints_no_id(fake):
    fake.replies["Login"] = {"sessionId": "0-0", "connectionId": "0-0"}
    args = ("PersistentLoginTarget", TARGET, "t", "192.0.2.10", "3260", INSTANCE, "-1", "*", "0x00000002", "1", "1", *("*",) * 7, "0")
    assert text(fake, *args) == "LoginTarget to %s on %s to 192.0.2.10/3260\n%s" % (TARGET, INSTANCE, OK)
    assert fake.calls[-1][1]["persistent"] is True


def test_login_refused(fake):
    fake.replies["Login"] = Error(0xEFFF003F, "there is a session")
    assert text(fake, "QLoginTarget", TARGET, check=1) == "The target has already been logged in via an iSCSI session. \n"


def test_quick_login_with_secret(fake):
    fake.replies["Login"] = {"sessionId": SESSION, "connectionId": "1-2"}
    text(fake, "qlogintarget", TARGET, "me", "0x000102030405060708090a0b")
    options = fake.calls[-1][1]["loginOptions"]
    assert options["informationSpecified"] == 0xE0 and options["authType"] == 1
    assert options["password"] == "000102030405060708090a0b" and bytes.fromhex(options["username"]) == b"me"
    text(fake, "qlogintarget", TARGET, "-", "*")
    options = fake.calls[-1][1]["loginOptions"]
    assert options["informationSpecified"] == 0xE0 and not options.get("username") and not options.get("password")


def test_logout(fake):
    fake.replies["Logout"] = {}
    for form in (SESSION, SESSION.upper(), "0xffffa00112233440-0x4000013700000002", " %s " % SESSION):
        assert text(fake, "LogoutTarget", form) == "Logout Target 0xffffa00112233440-0x4000013700000002\n" + OK
        assert fake.calls[-1] == ("Logout", {"sessionId": SESSION})


BUSY = "The session cannot be logged out since a device on that session is currently being used. \n"


def test_logout_refused_names_the_holders(fake):
    fake.replies["Logout"] = Error(0xEFFF0040, "/dev/loop3 is in use", [HOLDER])
    fake.replies["ListHolders"] = {"holders": [HOLDER, {**HOLDER, "kind": "open", "text": "open by process 12 (fio)"}]}
    assert text(fake, "LogoutTarget", SESSION, check=1) == (
        "Logout Target 0xffffa00112233440-0x4000013700000002\n"
        "    In use: /dev/loop3 mounted on /mnt/data\n"
        "    In use: /dev/loop3 open by process 12 (fio)\n" + BUSY
    )


def test_logout_refused_with_holders_that_have_gone_since(fake):
    fake.replies["Logout"] = Error(0xEFFF0040, "/dev/loop3 is in use", [HOLDER])
    fake.replies["ListHolders"] = {"holders": []}
    assert text(fake, "LogoutTarget", SESSION, check=1).endswith("    In use: mounted on /mnt/data\n" + BUSY)


def test_holders(fake):
    fake.replies["ListHolders"] = {"holders": [HOLDER]}
    line = "    In use: /dev/loop3 mounted on /mnt/data\n" + OK
    assert text(fake, "Holders") == line
    assert fake.calls[-1] == ("ListHolders", {"sessionId": None, "device": None})
    assert text(fake, "Holders", SESSION) == line
    assert fake.calls[-1] == ("ListHolders", {"sessionId": SESSION, "device": None})
    assert text(fake, "Holders", "/dev/loop3") == line
    assert fake.calls[-1] == ("ListHolders", {"sessionId": None, "device": "/dev/loop3"})
    fake.replies["ListHolders"] = {"holders": []}
    assert text(fake, "Holders") == "No holders\n" + OK
    fake.replies["ListHolders"] = Error(0xEFFF005D, "no device /dev/sda")
    assert text(fake, "Holders", "/dev/sda", check=1) == "Device was not found. \n"


def test_one_line_stays_one_line(fake):
    fake.replies["ListHolders"] = {"holders": [{**HOLDER, "text": "mounted on /mnt/a\nSession Id : 1-1"}]}
    assert text(fake, "Holders").splitlines()[0] == "    In use: /dev/loop3 mounted on /mnt/a?Session Id : 1-1"


def test_devices(fake):
    fake.replies["ListDevices"] = {"devices": [{**DEVICE_REPLY, "volumePaths": ["/mnt/data"]}]}
    assert text(fake, "Devices") == """\
/dev/loop3
    Target        : iqn.2020-01.net.example:disk1
    LUN           : 1
    Session       : ffffa00112233440-4000013700000002
    Unit          : EXAMPLE DISK, serial 42
    Identity      : naa.6001405
    Size          : 67108864 bytes (64.0 MiB), blocks of 512
    Access        : read and write
    Write cache   : yes
    Backend       : loop
    Stable name   : %s
    State         : ready
    Mounted on    : /mnt/data
""" % DEVICE_REPLY["interfaceName"] + OK
    fake.replies["ListDevices"] = {"devices": []}
    assert text(fake, "devices") == "No devices\n" + OK


def test_inquiry(fake):
    data = bytes.fromhex("000005021f000002") + b"EXAMPLE " + b"DISK            " + b"0001"
    fake.replies["ScsiInquiry"] = lambda p: {"result": {"status": 0, "data": data[: p["allocationLength"]].hex(), "sense": ""}}
    assert text(fake, "ScsiInquiry", SESSION, "0", "0", "0") == """\
    ScsiStatus             : 0x0
    Response Buffer Size   : 0x24
        00 00 05 02 1f 00 00 02 45 58 41 4d 50 4c 45 20     ........EXAMPLE.
        44 49 53 4b 20 20 20 20 20 20 20 20 20 20 20 20     DISK............
        30 30 30 31                                         0001
""" + OK


def test_scsi_command_that_fails_shows_its_sense(fake):
    sense = "70000500000000 0a 00000000 2500 00000000".replace(" ", "")
    fake.replies["ScsiInquiry"] = {"result": {"status": 2, "data": "", "sense": sense}}
    assert text(fake, "ScsiInquiry", SESSION, "0x100", "1", "0x83", check=1) == """\
    ScsiStatus             : 0x2
    Sense Buffer Size      : 0x12
    70 00 05 00 00 00 00 0a 00 00 00 00 25 00 00 00     p...........%...
    00 00                                               ..
The scsi request failed. 
"""
    _, call = fake.calls[-1]
    assert (call["lun"], call["evpdCmddt"], call["pageCode"]) == ("0001000000000000", 1, 0x83)


def test_read_capacity_and_report_luns(fake):
    fake.replies["ScsiReadCapacity"] = {"result": {"status": 0, "data": "0001ffff00000200", "sense": ""}}
    assert text(fake, "ReadCapacity", SESSION, "1") == (
        "    ScsiStatus             : 0x0\n    Response Buffer Size   : 0x8\n"
        "        00 01 ff ff 00 00 02 00                             ........\n" + OK
    )
    luns = "0000001000000000" + "0000000000000000" + "0001000000000000"
    fake.replies["ScsiReportLuns"] = {"result": {"status": 0, "data": luns, "sense": ""}}
    assert "Response Buffer Size   : 0x18\n" in text(fake, "ReportLUNs", SESSION)


def test_list_initiators_and_node_name(fake):
    fake.replies["ListInitiators"] = {"initiators": [INSTANCE]}
    fake.replies["SetNodeName"] = {}
    assert text(fake, "ListInitiators") == "Initiators List:\n    %s\n%s" % (INSTANCE, OK)
    assert text(fake, "NodeName", "iqn.2026-11.local.new") == OK
    assert fake.calls[-1] == ("SetNodeName", {"name": "iqn.2026-11.local.new"})
    assert text(fake, "NodeName", "*") == OK
    assert fake.calls[-1] == ("SetNodeName", {"name": None})


def test_portals_are_given_as_they_are(fake):
    for method in ("AddSendTargetPortal", "RemoveSendTargetPortal", "RefreshSendTargetPortal"):
        fake.replies[method] = {}
    assert text(fake, "AddTargetPortal", "192.0.2.10", "0xCBC") == OK
    call = fake.calls[-1][1]
    assert call["portal"]["socket"] == 3260 and call["initiatorInstance"] is None and call["initiatorPort"] == 0xFFFFFFFF
    # OpenStack gives one argument too many.
    assert text(fake, "AddTargetPortal", "host.example", "3260", "*", "*", "*", *STARS, "*") == OK
    assert fake.calls[-1][1]["portal"]["address"] == "host.example"
    assert text(fake, "QAddTargetPortal", "2001:db8::1") == OK
    assert fake.calls[-1][1]["portal"]["socket"] == 3260
    assert text(fake, "RemoveTArgetPortal", "192.0.2.10", "3260", "*", "*") == OK
    assert fake.calls[-1][0] == "RemoveSendTargetPortal"
    assert text(fake, "refreshtargetportal", "192.0.2.10", "3260") == OK


USAGE_ARGS = [
    ("AddTargetPortal", ("a",)), ("AddTargetPortal", ("a", "1", "*")), ("AddTargetPortal", ("*",) * 13),
    ("LoginTarget", (TARGET, "T")), ("LoginTarget", (TARGET, "T", *("*",) * 15, "2")), ("QAddTarget", (TARGET,)),
    ("QLoginTarget", ()), ("QLoginTarget", (TARGET, "user")), ("LogoutTarget", ()), ("SessionList", ("T", "T")),
    ("RemovePersistentTarget", ("*", TARGET, "*", "*")), ("ListInitiators", ("x",)), ("NodeName", ()), ("PSKey", ()),
    ("LoginTarget", (TARGET, "T", *("*",) * 15, "999999999")), ("LoginTarget", (TARGET, "T", *("*",) * 15, "-1")),
    ("AddConnection", ("no id", *("*",) * 15)), ("Devices", ("x",)),
]  # fmt: skip


@pytest.mark.parametrize("name,args", USAGE_ARGS)
def test_wrong_arguments_show_the_usage_and_succeed(fake, name, args):
    out = text(fake, name, *args)
    assert out.startswith("iscsicli %s" % name)
    assert out.endswith("\nNumbers are decimal unless they begin with 0x.\n\n" + OK)
    assert [m for m, _ in fake.calls] == ["GetVersion"]


@pytest.mark.parametrize("name", ("/?", "LisTargets", "help", "--help", "", "AddRadiusServer"))
def test_unknown_command_shows_the_help_and_succeeds(fake, name):
    out = text(fake, name)
    assert out.endswith(OK)
    for command in ("AddTarget ", "QAddConnection ", "FirewallExemptiSNSServer", "GetPSKey ", "Holders "):
        assert "\niscsicli " + command in "\n" + out


def test_help_has_no_word_that_scripts_take_for_something_else(fake):
    out = text(fake, "/?")
    names = re.findall(r"^iscsicli (\w+)", out, re.M)
    assert len(names) == 43 + 5 and len(set(n.lower() for n in names)) == 48
    for name in names:
        if not re.match(r"(List|Report|Clear|Bind|SessionList|Firewall|Devices|Holders|Rescan|Stats|Watch)", name):
            out += text(fake, name)
    assert not re.search(r"Error:|The target has already been logged|[Ff]ailed|cannot|invalid|not found", out)
    assert "Session Id" not in out and not re.search(r"^\s+\S+:\S+$", out, re.M)


def test_manual_page_has_every_command_and_its_examples_are_right(fake, tmp_path):
    import bed

    with open(os.path.join(bed.SOURCE, "man/iscsicli.8")) as f:
        page = f.read()
    told = set(re.findall(r"^(?:\.It )?\.?Cm (\w{4,})", page.replace(".It Cm", ".Cm"), re.M))
    names = set(re.findall(r"^iscsicli (\w+)", text(fake, "/?"), re.M))
    assert told == names
    for method in ("AddSendTargetPortal", "Logout", "RescanSession"):
        fake.replies[method] = {}
    secret = tmp_path / "secret"
    secret.write_text("secret-of-12\n")
    page = page.replace("/etc/keys/disk1", str(secret)).replace("iscsicli --wait ", "iscsicli ")  # test_cli_own.py waits
    fake.replies.update(ListTargets={"targets": [], "status": 0}, ListSessions={"sessions": []}, ListHolders={"holders": []},
                        ListDevices={"devices": []}, Login={"sessionId": SESSION, "connectionId": "1-2"})  # fmt: skip
    examples = page[page.index(".Sh EXAMPLES") :].replace("\\e\n", "")
    lines = re.findall(r"^iscsicli ([^|\n]*)", examples, re.M)
    assert len(lines) == 10
    for line in lines:
        assert not text_or_json(fake, line.split()).startswith("iscsicli"), line


def text_or_json(fake, args):
    r = fake.cli(*args, check=0)
    return json.dumps(json.loads(r.out).get("Usage", "")).strip('"') if "--json" in args else r.out[len(BANNER) :]


REFUSED = [
    (("LogoutTarget", "rubbish"), "Invalid sessionid: rubbish"),
    (("ScsiInquiry", SESSION, "xyz", "0", "0"), "Invalid LUN: xyz"),
    (("ScsiInquiry", SESSION, "0", "256", "0"), "EvpdCmddt must be from 0 to 255: 256"),
    (("LoginTarget", TARGET, "T", "192.0.2.1", "*", "*", "*", "*", *STARS, "*", "0"), "Portal address and socket must be specified"),
    (("LoginTarget", TARGET, "T", "*", "3260", "*", "*", "*", *STARS, "*", "0"), "Portal address and socket must be specified"),
    (("AddTargetPortal", "192.0.2.1", "0"), "Target portal socket must be from 1 to 65535: 0"),
    (("AddTargetPortal", "192.0.2.1", "65536"), "Target portal socket must be from 1 to 65535: 65536"),
    (("AddTargetPortal", "3260", "host.example"), "Target portal socket must be from 1 to 65535: host.example"),
    (("AddTargetPortal", "a" * 256, "3260"), "Target portal address has more than 255 characters"),
    (("AddTargetPortal", "", "3260"), "Target portal address is empty"),
    (("QLoginTarget", TARGET, "user", "0x123"), "A secret in hexadecimal has two digits for each byte"),
    (("CHAPSecret", "0xabc"), "A secret in hexadecimal has two digits for each byte"),
    (("LoginTarget", TARGET, "T", *("*",) * 15, "1", "0x0", "0", "0", "0"), "Target LUN must be in 0x0123456789abcdef format"),
    (("LoginTarget", TARGET, "T", *("*",) * 15, "2", "0x0000000000000000", "0", "0", "0", "0x0000000000000100", "1", "0", "1"),
     "OSBus number must be the same for all LUNs"),
    (("LoginTarget", TARGET, "T", *("*",) * 15, "2", "0x0000000000000000", "0", "0", "0", "0x0000000000000100", "0", "1", "1"),
     "OSTarget number must be the same for all LUNs"),
    (("Holders", "loop3"), "Neither a sessionid nor the path of a device: loop3"),
    (("GetPSKey", "*", "*", "1", "fe80::1"), "Not an address of the type given: fe80::1"),
]  # fmt: skip


@pytest.mark.parametrize("args,line", REFUSED)
def test_values_that_make_no_sense(fake, args, line):
    out = text(fake, *args, check=2)
    assert out == line + "\nThe parameter is incorrect. \n"
    assert [m for m, _ in fake.calls] == ["GetVersion"]


def test_id_type_that_is_not_known_is_said_and_succeeds(fake):
    assert text(fake, "GetPSKey", "*", "*", "4", "x") == (
        "Id Type must be 1 (IPv4 address), 2 (FQDN), 3 (user FQDN) or 5 (IPv6 address)\n" + OK
    )


@pytest.mark.parametrize("args", (
    ("ListPersistentTargets",), ("ReportTargetMappings",), ("ReportPersistentDevices",), ("ListiSNSServers",), ("TargetInfo", TARGET),
    ("AddiSNSServer", "x"), ("RefreshiSNSServer", "*"), ("BindPersistentVolumes",), ("ClearPersistentDevices",),
    ("GroupKey", "*", "T"), ("TunnelAddr", "*", "*", "*", "*", "*"), ("PSKey", "*", "*", "*", "2", "x", "*", "T"),
    ("RemovePersistentTarget", "*", TARGET, "*", "*", "*"), ("RemoveTarget", TARGET), ("QAddTarget", TARGET, "*"),
    ("AddTarget", TARGET, "*", "host", "3260", "*", "0", *STARS, "0"), ("Ping", "*", "192.0.2.1"), ("CHAPSecret", "*"),
    ("QAddConnection", SESSION, "*", "*"), ("AddConnection", SESSION, "*", "*", "*", "*", "*", *STARS, "*"),
    ("RemoveConnection", SESSION, CONNECTION), ("GetPSKey", "*", "*", "5", "fe80::1"),
))  # fmt: skip
def test_what_the_service_does_not_do_yet_prints_only_that(fake, args):
    assert text(fake, *args, check=2) == "The function is not implemented. \n"


def test_status_option_prints_the_number_and_the_reason(fake):
    fake.replies["Login"] = Error(0xEFFF0003, "192.0.2.10 port 3260: connection refused")
    for args in (("--status", "QLoginTarget", TARGET), ("QLoginTarget", TARGET, "--status")):
        assert text(fake, *args, check=1) == (
            "    192.0.2.10 port 3260: connection refused\nConnection Failed. \nStatus: 0xefff0003\n"
        )
    fake.replies["ListTargets"] = {"targets": [], "status": 0}
    assert text(fake, "--status", "ListTargets") == "Targets List:\n" + OK + "Status: 0x0\n"


def test_code_without_a_text(fake):
    fake.replies["Login"] = Error(0xEFFF0FFF)
    assert text(fake, "QLoginTarget", TARGET, check=1) == "Status: 0xefff0fff\n"
    fake.replies["Login"] = Error(1234)
    assert text(fake, "QLoginTarget", TARGET, check=2) == "Status: 0x4d2\n"


def test_service_not_running(tmp_path):
    import bed

    env = {**os.environ, "ISCSIDSC_SOCKET": str(tmp_path / "none")}
    message = "The Microsoft iSCSI Initiator Service is not running. Please start the service and retry. \n"
    r = bed.run(bed.CLI, "SessionList", env=env, check=False)
    assert (r.code, r.out) == (1, message)
    r = bed.run(bed.CLI, "Devices", env=env, check=False)
    assert (r.code, r.out) == (1, message)
    r = bed.run(bed.CLI, env=env, check=False)
    assert (r.code, r.out) == (1, "Error getting node name: " + message)
    r = bed.run(bed.CLI, "/?", env=env, check=False)
    assert r.code == 0 and r.out.endswith(OK)


def test_interactive(fake):
    fake.replies["GetNodeName"] = {"name": NODE}
    fake.replies["ListTargets"] = {"targets": [TARGET], "status": 0}
    prompt = "[%s] Enter command or ^C to exit\n" % NODE
    listing = "Targets List:\n    %s\n%s" % (TARGET, OK)
    out = text(fake, stdin='ListTargets\n\niscsicli listtargets "F"\n"ListTargets"')
    assert out == prompt + listing + prompt + prompt + listing + prompt + listing + prompt


def test_interactive_ends_with_the_status_of_the_last_command(fake):
    fake.replies["GetNodeName"] = {"name": NODE}
    out = text(fake, stdin="LogoutTarget nonsense\n", check=2)
    assert "Invalid sessionid: nonsense\nThe parameter is incorrect. \n" in out


def test_interactive_line_that_is_too_long(fake):
    fake.replies["GetNodeName"] = {"name": NODE}
    fake.replies["ListTargets"] = {"targets": [], "status": 0}
    out = text(fake, stdin="x" * 5000 + "\nListTargets\n")
    assert "A command may have 4096 characters\nThe parameter is incorrect. \n" in out
    assert out.endswith("Targets List:\n%s[%s] Enter command or ^C to exit\n" % (OK, NODE))


# ---- JSON ---------------------------------------------------------------


def as_json(fake, *args, check=0):
    r = fake.cli("--json", *args, check=check)
    assert r.out.endswith("}\n") and r.out.count("\n") == 1
    return json.loads(r.out)


def test_json_of_lists(fake):
    fake.replies["ListTargets"] = {"targets": [TARGET, "iqn.2020-01.net.example:disk2"], "status": 0}
    fake.replies["ListSessions"] = {"sessions": [SESSION_REPLY]}
    fake.replies["ListDevices"] = {"devices": [DEVICE_REPLY]}
    o = as_json(fake, "ListTargets")
    assert o["Status"] == 0 and o["StatusName"] == "ERROR_SUCCESS" and o["Command"] == "ListTargets"
    assert o["Targets"] == [{"NodeAddress": TARGET, "IsConnected": True},
                            {"NodeAddress": "iqn.2020-01.net.example:disk2", "IsConnected": False}]  # fmt: skip
    s = as_json(fake, "SessionList")["Sessions"][0]
    assert s["SessionIdentifier"] == SESSION and s["InitiatorSideIdentifier"] == "400001370000" and s["TargetSideIdentifier"] == "2700"
    assert s["TargetNodeAddress"] == TARGET and s["IsConnected"] is True and s["NumberOfConnections"] == 1
    assert s["Connections"][0]["ConnectionIdentifier"] == CONNECTION and s["Connections"][0]["TargetPortNumber"] == 3260
    d = s["Devices"][0]
    assert (d["LegacyName"], d["ScsiLun"], d["DeviceNumber"], d["DeviceType"]) == ("/dev/loop3", 1, 3, 7)
    assert d["DeviceInterfaceGuid"] == "{53f56307-b6bf-11d0-94f2-00a0c91efb8b}"
    assert as_json(fake, "Devices")["Devices"] == [DEVICE_REPLY]


def test_json_of_portals_never_has_a_password(fake):
    fake.replies["ListSendTargetPortals"] = {"portals": [
        {"initiatorName": "", "initiatorPort": 0xFFFFFFFF, "portal": PORTAL, "securityFlags": 0,
         "loginOptions": {"informationSpecified": 0x60, "loginFlags": 0, "username": b"me".hex()}}]}  # fmt: skip
    o = as_json(fake, "ListTargetPortals")["TargetPortals"][0]
    assert (o["TargetPortalAddress"], o["TargetPortalPortNumber"]) == ("192.0.2.10", 3260)
    assert o["LoginOptions"]["Username"] == b"me".hex() and "Password" not in json.dumps(o)


def test_json_of_a_refusal(fake):
    fake.replies["Logout"] = Error(0xEFFF0040, "/dev/loop3 is in use", [HOLDER])
    fake.replies["ListHolders"] = {"holders": [HOLDER]}
    o = as_json(fake, "LogoutTarget", SESSION, check=1)
    assert o["Status"] == 0xEFFF0040 and o["StatusName"] == "ISDSC_DEVICE_BUSY_ON_SESSION" and o["Holders"] == [HOLDER]
    o = as_json(fake, "LogoutTarget", "rubbish", check=2)
    assert o["Status"] == 87 and o["Detail"] == "Invalid sessionid: rubbish"
    o = as_json(fake, "LoginTarget", "x")
    assert o["Status"] == 0 and o["Usage"].startswith("iscsicli LoginTarget <TargetName>")


def test_everything_goes_to_standard_output(fake):
    import subprocess

    import bed

    for args in (["LogoutTarget", "rubbish"], ["/?"], ["Holders"], ["--json", "nonsense"], ["LoginTarget"]):
        r = subprocess.run([bed.CLI, *args], env=fake.env, capture_output=True)
        assert r.stderr == b"" and r.stdout


def test_output_that_cannot_be_written_is_a_failure(fake):
    import subprocess

    import bed

    fake.replies["ListTargets"] = {"targets": [], "status": 0}
    with open("/dev/full", "w") as full:
        assert subprocess.run([bed.CLI, "ListTargets"], env=fake.env, stdout=full).returncode == 2


def test_secret_is_not_to_be_seen_in_the_list_of_processes(fake):
    import subprocess
    import threading

    import bed

    asked, go_on = threading.Event(), threading.Event()

    def reply(_):
        asked.set()
        go_on.wait(20)
        return {"sessionId": SESSION, "connectionId": "1-2"}

    fake.replies["Login"] = reply
    p = subprocess.Popen([bed.CLI, "QLoginTarget", TARGET, "me", "topsecret-12345"], env=fake.env, stdout=subprocess.DEVNULL)
    assert asked.wait(20)
    with open("/proc/%d/cmdline" % p.pid, "rb") as f:
        seen = f.read()
    go_on.set()
    assert p.wait(20) == 0
    assert TARGET.encode() in seen and b"topsecret" not in seen
