# SPDX-License-Identifier: MIT
"""
--json: every command against the real service, held against doc/iscsicli-json.md

What a command gives has the members of the document, each with its type, no more and no
less; and what the text of the command shows is among it.
"""
import json
import os
import re

import pytest

import bed
from test_cli_layout import STARS
from test_cli_real import INSTANCE, LUN_1, mechanism_of
from test_session import discover

ANYTHING = {"string": str, "int": int, "bool": bool}
COMMON = {"Command", "Status", "StatusName", "Message", "Detail", "Usage"}


def tables():
    """Of each command its members, and of each type."""
    with open(os.path.join(bed.SOURCE, "doc/iscsicli-json.md")) as f:
        parts = re.split(r"^## (.*)\n", f.read(), flags=re.M)
    found = {}
    for title, text in zip(parts[1::2], parts[2::2]):
        rows = {}
        for first, second, kind in re.findall(r"^\| `?(\w+)`? \| `?(\w+)\??`? \| ([\w\[\]?]+)", text, re.M):
            if title == "Of every command":
                rows[first] = second
            elif kind != "type":
                rows.setdefault(first, {})[second] = kind
        found[title] = rows
    return found


def of_interface():
    """The types of the varlink interface in the same form."""
    with open(os.path.join(bed.SOURCE, "doc/%s.varlink" % bed.INTERFACE)) as f:
        text = re.sub(r"#.*", "", f.read())
    found = {}
    for name, members in re.findall(r"^type (\w+) \((.*?)^\)", text, re.M | re.S):
        found[name] = {}
        for member, null, array, kind in re.findall(r"(\w+): (\??)(\[\]|)(\w+)", members):
            found[name][member] = kind + ("[]" if array else "") + null
    return found


TABLES = tables()
OF_COMMAND = TABLES["Of each command"]
TYPES = {**of_interface(), **TABLES["Types"]}


def check(value, kind, where):
    if kind.endswith("?"):
        if value is None:
            return
        kind = kind[:-1]
    if kind.endswith("[]"):
        assert isinstance(value, list), (where, value)
        for i, v in enumerate(value):
            check(v, kind[:-2], "%s[%d]" % (where, i))
    elif kind in ANYTHING:
        assert type(value) is ANYTHING[kind], (where, value)
    else:
        assert isinstance(value, dict), (where, value)
        members = TYPES[kind]
        optional = {m for m, k in members.items() if k.endswith("?")}
        assert set(value) <= set(members) and set(members) - set(value) <= optional, (where, set(value) ^ set(members))
        for m, v in value.items():
            check(v, members[m], "%s.%s" % (where, m))


@pytest.fixture
def told(service):
    """A command's object, found to be as the document says. Each is remembered."""

    def call(*args, code=0):
        r = service.cli("--json", *args)
        assert r.code == code and r.out.endswith("}\n") and r.out.count("\n") == 1, r
        o = json.loads(r.out)
        assert type(o["Status"]) is int and type(o["Message"]) is str and (o["Status"] == 0) == (code == 0)
        assert isinstance(o["StatusName"], str) and isinstance(o.get("Detail", ""), str)
        members = OF_COMMAND.get(o["Command"], {})
        assert set(o) <= COMMON | set(members), set(o)
        if code == 0:
            assert "Detail" not in o and "Usage" not in o
            missing = {m for m, k in members.items() if not k.endswith("?")} - set(o)
            assert missing == set(), missing
            for m in set(o) & set(members):
                check(o[m], members[m], m)
        call.seen.add(o["Command"])
        return o

    call.seen = set()
    return call


def test_every_command(told, service, tgt):
    tgt.setting("MaxConnections", "8")
    tgt.setting("HeaderDigest", "CRC32C,None")
    address, port = "127.0.0.1", str(tgt.port)
    name = tgt.name
    static = "iqn.2020-01.net.example:static"
    # discovery
    told("AddTargetPortal", address, port, "*", "*", "*", *STARS)
    p = told("ListTargetPortals")["TargetPortals"][0]
    assert (p["TargetPortalAddress"], p["TargetPortalPortNumber"], p["InititorIPAdressListNumber"]) == (address, tgt.port, 0xFFFFFFFF)
    told("RefreshTargetPortal", address, port)
    assert told("ListTargets", "T")["Targets"] == [{"NodeAddress": name, "IsConnected": False}]
    assert told("TargetInfo", name)["DiscoveryMechanisms"] == [mechanism_of(tgt.port)]
    o = told("TargetInfo", name, mechanism_of(tgt.port))
    assert o["ProtocolType"] == 0 and o["PortalGroups"] == [{"Portals": [{"SymbolicName": "", "Address": address, "Port": tgt.port}]}]
    told("AddTarget", static, "An alias", "192.0.2.9", "3261", "*", "*", "2", "1", "0", "4", "2", "20", "user", "secret-of-12", "1", "1", LUN_1, "0", "1", "6")
    o = told("TargetInfo", static, "Static:*")
    assert o["TargetAlias"] == "An alias" and o["LoginOptions"]["InformationSpecified"] == 0xFF and o["LoginOptions"]["AuthType"] == "ONEWAYCHAP"
    assert o["LoginOptions"]["Username"] == b"user".hex() and "secret" not in json.dumps(o) and b"secret".hex() not in json.dumps(o)
    assert o["Mappings"]["LUNList"] == [{"TargetLUN": "0x100", "OSLUN": 6}] and o["Mappings"]["OSTargetNumber"] == 1
    told("RemoveTarget", static)
    told("QAddTarget", static, "*")
    told("RemoveTarget", static)
    service.cli("AddiSNSServer", "192.0.2.77")
    assert told("ListiSNSServers")["iSNSServers"] == ["192.0.2.77"]
    told("RemoveiSNSServer", "192.0.2.77")
    told("RefreshiSNSServer", "*")
    told("FirewallExemptiSNSServer")
    # sessions
    o = told("LoginTarget", name, "T", address, port, "*", "*", "*", "*", "1", "*", "8", *STARS[4:], "*", "0", "--wait")
    sid = o["SessionIdentifier"]
    assert re.fullmatch("[0-9a-f]+-[0-9a-f]+", sid) and o["TargetName"] == name
    s = told("SessionList")["Sessions"][0]
    assert (s["SessionIdentifier"], s["TargetNodeAddress"], s["NumberOfConnections"]) == (sid, name, 1)
    assert (s["AuthenticationType"], s["IsHeaderDigest"], s["IsDataDigest"]) == ("NONE", True, False)
    assert s["Connections"][0]["ConnectionIdentifier"] == o["ConnectionIdentifier"] and s["Connections"][0]["CID"] == 1
    device = s["Devices"][0]["LegacyName"]
    assert os.path.exists(device) and "Devices" not in told("SessionList", "F")["Sessions"][0]
    assert told("ListTargets")["Targets"][0]["IsConnected"] is True
    m = told("ReportTargetMappings")["Mappings"][0]
    assert (m["SessionIdentifier"], m["TargetName"], m["LUNList"]) == (sid, name, [{"TargetLUN": "0x100", "OSLUN": 1}])
    c = told("AddConnection", sid, "*", "*", address, port, "*", *STARS, "*")["ConnectionIdentifier"]
    told("RemoveConnection", sid, c)
    c = told("QAddConnection", sid, "*", "*")["ConnectionIdentifier"]
    assert [c["ConnectionIdentifier"] for c in told("SessionList")["Sessions"][0]["Connections"]][1] == c
    # queries
    assert bytes.fromhex(told("ScsiInquiry", sid, "100", "0", "0")["ResponseBuffer"])[8:12] == b"IET "
    assert told("ReadCapacity", sid, "100")["ResponseBuffer"] == "0001ffff00000200"
    assert told("ReportLUNs", sid)["ResponseBuffer"].startswith("00000010")
    o = told("ScsiInquiry", sid, "100", "1", "0x99", code=1)
    assert o["ScsiStatus"] == 2 and o["SenseBuffer"].startswith("700005") and o["StatusName"] == "ISDSC_SCSI_REQUEST_FAILED"
    # what is kept
    told("PersistentLoginTarget", name, "T", address, port, INSTANCE, "-1", "*", "*", "1", *STARS[2:], "*", "1", LUN_1, "0", "1", "6")
    o = told("ListPersistentTargets")["PersistentLogins"][0]
    assert (o["TargetName"], o["InitiatorInstance"], o["TargetPortal"]["Port"]) == (name, INSTANCE, tgt.port) and o["Mappings"]["LUNList"][0]["OSLUN"] == 6
    told("AddPersistentDevice", device)
    assert told("ReportPersistentDevices")["PersistentDevices"] == [device]
    told("RemovePersistentDevice", device)
    told("BindPersistentVolumes")
    told("BindPersistentDevices")
    told("ClearPersistentDevices")
    told("RemovePersistentTarget", INSTANCE, name, "*", address, port)
    # ours
    assert told("Devices")["Devices"][0]["legacyName"] == device
    told("Rescan", sid)
    assert told("Stats")["Statistics"][0]["id"] == sid
    with open(device, "rb"):
        assert told("Holders", sid)["Holders"][0]["device"] == device
        o = told("LogoutTarget", sid, code=1)
        assert o["StatusName"] == "ISDSC_DEVICE_BUSY_ON_SESSION"
        check(o["Holders"], OF_COMMAND["LogoutTarget"]["Holders"], "Holders")
        assert any(h["pid"] == os.getpid() for h in o["Holders"])
    service.logout(sid)
    sid = told("QLoginTarget", name)["SessionIdentifier"]
    service.device(sid)
    service.logout(sid)
    told.seen.add("LogoutTarget")
    told("RemoveTargetPortal", address, port)
    # this machine
    assert told("ListInitiators")["Initiators"][0]["InstanceName"] == INSTANCE
    told("NodeName", "iqn.2026-11.test:me")
    assert told("ListInitiators")["Initiators"][0]["NodeAddress"] == "iqn.2026-11.test:me"
    told("NodeName", "*")
    told("CHAPSecret", "123456789012")
    told("GroupKey", "a key", "F")
    told("PSKey", "*", "*", "0x43", "2", "host.example", "key", "F")
    assert told("GetPSKey", "*", "*", "2", "host.example")["SecurityFlags"] == 0x43
    told("TunnelAddr", "*", "*", "192.0.2.1", "192.0.2.2", "F")
    # what does not succeed here
    told("QAddTargetPortal", "host.invalid", code=1)
    told("AddiSNSServer", "a" * 300, code=service.cli("AddiSNSServer", "a" * 300).code)
    assert told("Ping", "*", "127.0.0.1", code=2)["StatusName"] == "ERROR_CALL_NOT_IMPLEMENTED"
    every = set(re.findall(r"^iscsicli (\w+)", service.cli("/?").out, re.M))
    assert every - told.seen == {"Watch"}  # test_cli_own.py
    assert set(OF_COMMAND) <= every


def test_refusals(told, service, tgt):
    discover(service, tgt)
    o = told("QLoginTarget", "iqn.2026-11.test.whole:none", code=1)
    assert o["StatusName"] == "ISDSC_TARGET_NOT_FOUND" and o["Status"] == 0xEFFF0029 and "not known" in o["Detail"]
    o = told("LogoutTarget", "x", code=2)
    assert (o["Status"], o["Detail"]) == (87, "Invalid sessionid: x")
    o = json.loads(service.cli("--json", "TargetInfo", tgt.name, "HBA:none", check=0).out)
    assert o["ProtocolType"] == o["Mappings"] == {"Status": 0xEFFF0045, "Message": "The specified discovery mechanism was not found."}


def test_arguments_that_do_not_fit(service):
    o = json.loads(service.cli("--json", "LoginTarget", "x", check=0).out)
    assert o["Status"] == 0 and o["Usage"].startswith("iscsicli LoginTarget <TargetName>") and o["Detail"] == "Given: 1 argument" and o["Command"] == "LoginTarget"
    o = json.loads(service.cli("--json", "LisTargets", check=0).out)
    assert o["Status"] == 0 and o["Usage"] is None and "Command" not in o


def test_interactive(service, tgt):
    lines = ["AddTargetPortal 127.0.0.1 %d" % tgt.port, "ListTargets", "LogoutTarget x", "", "SessionList"]
    r = service.cli("--json", stdin="\n".join(lines) + "\n", check=0)
    told = [json.loads(line) for line in r.lines]
    assert [o["Command"] for o in told] == ["AddTargetPortal", "ListTargets", "LogoutTarget", "SessionList"]
    assert told[1]["Targets"][0]["NodeAddress"] == tgt.name and told[2]["Status"] == 87 and "Targets" not in told[2]
