# SPDX-License-Identifier: MIT
"""
Every command of the Windows program, as a script would give it, against the real service
and a real target: layout, order of fields, last line and exit status
"""
import os
import re

import pytest

from bed import free_port, run, wait_for
from test_cli_layout import STARS

OK = "The operation completed successfully. "
INSTANCE = "Root\\ISCSIPRT\\0000_0"
NODE = r"iqn\.[^\s]+"
LUN_1 = "0x0000000000000100"
DIGESTS = ("*", "1", "1", *("*",) * 6)
BAD_WORDS = r"Error:|The target has already been logged|[Ff]ailed|cannot|invalid|not found"


@pytest.fixture
def cli(service):
    """A command that must succeed: what is between the banner and the status line, as text."""

    def call(*args, code=0, last=OK):
        r = service.cli(*args)
        lines = r.out.split("\n")
        assert re.fullmatch(r"iscsidsc iSCSI Initiator Version 10\.0 Build \d+", lines[0]) and lines[1] == ""
        assert (r.code, lines[-2:]) == (code, [last, ""]), r
        return "\n".join(lines[2:-2]) + ("\n" if lines[2:-2] else "")

    return call


def matches(text, *patterns):
    """Line by line; a pattern is a regular expression, or plain text after "="."""
    lines = text.split("\n")[:-1]
    assert len(lines) == len(patterns), text
    for line, pattern in zip(lines, patterns):
        if pattern.startswith("="):
            assert line == pattern[1:], text
        else:
            assert re.fullmatch(pattern, line), "%r is not %r in\n%s" % (line, pattern, text)


def portal_args(tgt):
    return "127.0.0.1", str(tgt.port)


def mechanism_of(port):
    return "SendTargets:*127.0.0.1 %07d %s " % (port, INSTANCE)


def sid_of(text):
    return re.search(r"^Session Id is (0x[a-f0-9]+-0x[a-f0-9]+)$", text, re.M).group(1)


def discovered(cli, tgt):
    assert cli("AddTargetPortal", *portal_args(tgt)) == ""


# ---- empty ---------------------------------------------------------------------------


def test_nothing_there(cli):
    assert cli("ListTargets") == "Targets List:\n"
    assert cli("ListTargets", "T") == "Targets List:\n"
    assert cli("ListTargetPortals") == ""
    assert cli("ListPersistentTargets") == "Total of 0 peristent targets\n"
    assert cli("ReportTargetMappings") == "No mappings\n"
    assert cli("SessionList") == "Total of 0 sessions\n\n"
    assert cli("ListiSNSServers") == "No SNS Servers\n"
    assert cli("ReportPersistentDevices") == "Persistent Volumes\n\n"
    assert cli("ListInitiators") == "Initiators List:\n    %s\n" % INSTANCE
    assert cli("FirewallExemptiSNSServer") == ""
    assert cli("BindPersistentVolumes") == cli("BindPersistentDevices") == cli("ClearPersistentDevices") == ""
    assert cli("Ping", "*", "127.0.0.1", code=2, last="The function is not implemented. ") == ""


# ---- discovery -------------------------------------------------------------------------


def test_portals_and_their_targets(cli, tgt):
    second = tgt.target("iqn.2026-11.test.whole:disk2", tid=2)
    address, port = portal_args(tgt)
    assert cli("AddTargetPortal", address, port, "*", "*", "*", *STARS) == ""
    assert cli("ListTargets") == "Targets List:\n    %s\n    %s\n" % (tgt.name, second) or cli("ListTargets") == "Targets List:\n    %s\n    %s\n" % (second, tgt.name)
    matches(
        cli("ListTargetPortals"), "=Total of 1 portals are persisted:", "=",
        "=    Address and Socket   : 127.0.0.1 %s" % port, "=    Symbolic Name        : ", "=    Initiator Name       : ",
        "=    Port Number          : <Any Port>", "=    Security Flags        : 0x0", "=    Version              : 0",
        "=    Information Specified: 0x0", "=    Login Flags          : 0x0", "=",
    )  # fmt: skip
    assert cli("RefreshTargetPortal", address, port) == ""
    assert cli("RefreshTargetPortal", address, port, "*", "-1") == ""
    # the same portal again only asks it again
    assert cli("AddTargetPortal", address, port) == ""
    assert cli("ListTargetPortals").startswith("Total of 1 portals")
    assert cli("RemoveTArgetPortal", address, port, "*", "*") == ""
    assert cli("RemoveTargetPortal", address, port, code=1, last="The specified portal was not found. ") == ""
    assert cli("RefreshTargetPortal", address, port, code=1, last="The specified portal was not found. ") == ""


def test_portal_that_does_not_answer_says_so(cli):
    assert cli("AddTargetPortal", "127.0.0.1", str(free_port()), code=1, last="Connection Failed. ") == ""
    # it stays stored, and what it told is nothing
    assert cli("ListTargetPortals").startswith("Total of 1 portals")
    assert cli("ListTargets", "T", code=1, last="The operation was not successful for all initiators or discovery methods. ") == "Targets List:\n"


def test_target_info_with_the_mechanisms_of_its_own_listing(cli, tgt):
    discovered(cli, tgt)
    text = cli("TargetInfo", tgt.name)
    assert text == 'Get Target information for %s discovered by <all mechanisms>\n    Discovery Mechanisms :\n         "%s"\n\n' % (tgt.name, mechanism_of(tgt.port))
    # as two parsers in the field read it
    assert re.search(r"\"\S+\*(\S+) ", text).group(1) == "127.0.0.1"
    assert re.search(r"(?P<ip>\d+\.\d+\.\d+\.\d+) (?P<port>\d+)", text).group("port").lstrip("0") == str(tgt.port)
    expected = (
        "    Protocol Type        : iSCSI TCP Protocol\n    Target Alias         : \n    PortalGroups         : 1 portal groups\n"
        "        Group 0 has 1 portals\n            Address and Socket    : 127.0.0.1 %d\n            Symbolic Name         : \n"
        "    Initiator Name       : %s\n    Target Flags         : 0x0\n\n" % (tgt.port, INSTANCE)
    )
    for name in re.findall(r'^         "(.*)"$', text, re.M):
        for given in (name, name.rstrip()):  # a parser cuts the blank off
            assert cli("TargetInfo", tgt.name, given) == 'Get Target information for %s discovered by "%s"\n%s' % (tgt.name, given, expected)
    # with a mechanism that there is not, each item says so, and the status is success
    text = cli("TargetInfo", tgt.name, "HBA:none")
    assert text.splitlines()[1] == "    Protocol Type Failed : The specified discovery mechanism was not found."
    unknown = "The target name is not found or is marked as hidden from login. "
    assert cli("TargetInfo", "iqn.2026-11.test.whole:none", code=1, last=unknown) == ""
    assert cli("TargetInfo", tgt.name.upper(), "*").count("SendTargets:") == 1


# ---- static targets ----------------------------------------------------------------------


def test_static_target_with_every_argument(cli):
    name = "iqn.2020-01.net.example:static"
    args = ("AddTarget", name, "An alias", "192.0.2.9", "3261", "*", "*", "0x2", "1", "0", "4", "2", "20", "user", "secret-of-12", "1")
    mappings = ("2", "0x0000000000000000", "0", "1", "5", LUN_1, "0", "1", "6")
    assert cli(*args, *mappings) == ""
    assert cli("ListTargets") == "Targets List:\n    %s\n" % name
    mechanism = re.search(r'^         "(.*)"$', cli("TargetInfo", name), re.M).group(1)
    assert cli("TargetInfo", name, mechanism) == """\
Get Target information for %s discovered by "%s"
    Protocol Type        : iSCSI TCP Protocol
    Target Alias         : An alias
    PortalGroups         : 1 portal groups
        Group 0 has 1 portals
            Address and Socket    : 192.0.2.9 3261
            Symbolic Name         :\x20
    Initiator Name       : %s
    Target Flags         : 0x0
    Version              : 0
    Information Specified: 0xff
    Header Digest        : CRC-32C
    Data Digest          : None
    Maximum Connections  : 4
    Default Time 2 Wait  : 2
    Default Time 2 Retain: 20
    Login Flags          : 0x2
                           Multipath Enabled
    Authentication Type  : CHAP
    Username             :\x20
                          75 73 65 72                                         user
    Password             : <is established>
    Initiator Bus          : 0
    Initiator Target Id    : 1
        Target Lun: 0x0 <--> OS Lun: 0x5
        Target Lun: 0x100 <--> OS Lun: 0x6

""" % (name, mechanism, INSTANCE) + "\n"
    assert cli("RemoveTarget", name) == ""
    assert cli("RemoveTarget", name, code=1, last="The target name is not found or is marked as hidden from login. ") == ""


def test_static_target_as_azure_and_others_add_it(cli, tgt):
    address, port = portal_args(tgt)
    assert cli("AddTarget", tgt.name, "*", address, port, "*", "0", *STARS, "0") == ""
    text = cli("QLoginTarget", tgt.name)
    cli("LogoutTarget", sid_of(text))
    assert cli("RemoveTarget", tgt.name) == ""
    # no portal when either of the two is a star; then a login has to name one
    assert cli("AddTarget", tgt.name, "*", address, "*", "*", "*", *STARS, "0") == ""
    cli("QLoginTarget", tgt.name, code=1, last="There is no target portal available to complete the login. ")
    sid = sid_of(cli("LoginTarget", tgt.name, "T", address, port, "*", "*", "*", *STARS, "*", "0"))
    cli("LogoutTarget", sid)
    assert cli("RemoveTarget", tgt.name) == ""
    assert cli("QAddTarget", tgt.name, "192.0.2.1") == ""
    assert "192.0.2.1 3260\n" in cli("TargetInfo", tgt.name, "Static:*")
    assert cli("RemoveTarget", tgt.name) == ""
    assert cli("QAddTarget", tgt.name, "*") == ""
    assert "PortalGroups         : 0 portal groups\n" in cli("TargetInfo", tgt.name, "Static:*")
    # hidden until it is discovered
    assert cli("AddTarget", "iqn.2020-01.net.example:hidden", "*", "*", "*", "2", "*", *STARS, "0") == ""
    assert "hidden" not in cli("ListTargets")


# ---- sessions ----------------------------------------------------------------------------


def test_session_from_login_to_logout(cli, service, tgt):
    for name in ("HeaderDigest", "DataDigest"):
        tgt.setting(name, "CRC32C,None")
    discovered(cli, tgt)
    address, port = portal_args(tgt)
    text = cli("LoginTarget", tgt.name, "t", address, port, INSTANCE.upper(), "-1", "*", *DIGESTS, "*", "0")
    matches(
        text, "=LoginTarget to %s on %s to 127.0.0.1/%s" % (tgt.name, INSTANCE.upper(), port),
        "Session Id is 0x[0-9a-f]+-0x[0-9a-f]+", "Connection Id is 0x[0-9a-f]+-0x[0-9a-f]+",
    )  # fmt: skip
    assert not re.search(BAD_WORDS, text)
    sid = sid_of(text)
    device = service.device(sid.replace("0x", ""))
    head = (
        "=Total of 1 sessions", "=", "=Session Id             : " + sid.replace("0x", ""), "Initiator Node Name    : " + NODE,
        "=Target Node Name       : " + tgt.name, "=Target Name            : " + tgt.name,
        "ISID                   : 80( [0-9a-f]{2}){5}", "TSID                   : [0-9a-f]{2} [0-9a-f]{2}",
        "=Number Connections     : 1", "=", "=    Connections:", "=", "        Connection Id     : [0-9a-f]+-[0-9a-f]+",
        r"        Initiator Portal  : 127\.0\.0\.1/\d+", "=        Target Portal     : 127.0.0.1/" + port,
        "        CID               : [0-9a-f]{2} [0-9a-f]{2}", "=",
    )  # fmt: skip
    mount = os.path.join(service.mnt, "cli")
    os.makedirs(mount)
    run("mkfs.ext4", "-q", "-F", device)
    run("mount", device, mount)
    matches(
        cli("SessionList"), *head, "=    Devices:", "=        Device Type            : Disk", r"        Device Number          : \d+",
        "=        Storage Device Type    : 7", "=        Partition Number       : 0",
        "=        Friendly Name          : IET VIRTUAL-DISK SCSI Disk Device", "=        Device Description     : Disk drive",
        r"        Reported Mappings      : Port 0, Bus 0, Target Id \d+, LUN 1", r"        Location               : Bus Number 0, Target Id \d+, LUN 1",
        "=        Initiator Name         : " + INSTANCE, "=        Target Name            : " + tgt.name,
        r"        Device Interface Name  : .*/by-path/ip-127\.0\.0\.1:%s-iscsi-%s-lun-1" % (port, re.escape(tgt.name)),
        "=        Legacy Device Name     : " + device, "        Device Instance        : 0x[0-9a-f]+",
        "=        Volume Path Names      : ", "=                                 " + mount, "=",
    )  # fmt: skip
    for arg in ("F", "dummy"):
        matches(cli("SessionList", arg), *head)
    # in use: by whom, and everything goes on
    busy = "The session cannot be logged out since a device on that session is currently being used. "
    text = cli("LogoutTarget", sid, code=1, last=busy)
    assert text.startswith("Logout Target %s\n    In use: " % sid) and mount in text
    run("umount", mount)
    service.logout(sid)
    assert cli("SessionList") == "Total of 0 sessions\n\n"
    cli("LogoutTarget", sid, code=1, last="Invalid Session Id. ")


def test_second_login_and_multipath(cli, service, tgt):
    discovered(cli, tgt)
    plain = ("LoginTarget", tgt.name, "T", *("*",) * 5, *STARS, "*", "0")
    multi = ("LoginTarget", tgt.name, "T", *("*",) * 5, "0x2", *STARS[1:], "*", "0")
    already = "The target has already been logged in via an iSCSI session. "
    first = sid_of(cli(*plain))
    assert cli(*plain, code=1, last=already) == "LoginTarget to %s on <no init instance> to <no portal>/0\n" % tgt.name
    assert cli("QLoginTarget", tgt.name, code=1, last=already) == ""
    second = sid_of(cli(*multi))
    text = cli("SessionList", "F")
    assert re.findall(r"^Session Id\s*:\s*([a-f0-9]*-[a-f0-9]*)", text, re.M) == [s.replace("0x", "") for s in (first, second)]
    for sid in (first, second):
        service.logout(sid)
    unknown = "The target name is not found or is marked as hidden from login. "
    cli("QLoginTarget", "iqn.2026-11.test.whole:none", code=1, last=unknown)


def test_login_with_mappings(cli, service, tgt):
    tgt.lun(2, mb=8)
    discovered(cli, tgt)
    args = ("LoginTarget", tgt.name, "T", *portal_args(tgt), *("*",) * 3, *STARS, "*")
    sid = sid_of(cli(*args, "1", "0x0000000000000200", "0", "4", "7")).replace("0x", "")
    service.device(sid)
    text = cli("ReportTargetMappings")
    matches(
        text, "=Total of 1 mappings returned", "=    Session Id             : " + sid, "=    Target Name            : " + tgt.name,
        "=    Initiator              : " + INSTANCE, r"=    Initiator Scsi Device  : \\.\Scsi0:", "=    Initiator Bus          : 0",
        "=    Initiator Target Id    : 4", "=        Target Lun: 0x200 <--> OS Lun: 0x7", "=",
    )  # fmt: skip
    # fogbow's reader: up to the first "Target Lun:" every line has two parts
    for line in text.splitlines()[1:7]:
        assert len(line.split(" : ")) == 2
    assert "Target Id 4, LUN 7" in cli("SessionList") and len(service.devices(sid)) == 1
    # the id of this listing ends the session
    service.logout(re.search(r"Session Id\s*:\s*(\S+)", text).group(1))
    # any target number, both units
    sid = sid_of(cli(*args, "2", "0x0000000000000100", "-1", "-1", "0", "0x0000000000000200", "-1", "-1", "1")).replace("0x", "")
    wait_for(lambda: len([d for d in service.devices(sid) if d["legacyName"]]) == 2, 15, "both devices")
    assert re.findall(r"Target Lun: 0x(\S+) <--> OS Lun: 0x(\S+)", cli("ReportTargetMappings")) == [("100", "0"), ("200", "1")]
    service.logout(sid)


def test_informational_session_and_its_queries(cli, service, tgt):
    discovered(cli, tgt)
    sid = sid_of(cli("LoginTarget", tgt.name, "F", *portal_args(tgt), *("*",) * 3, *STARS, "*", "0"))
    assert "Devices:" not in cli("SessionList") and cli("ReportTargetMappings") == "No mappings\n"
    hexa = r"        ([0-9a-f]{2} ){1,16} *    [\x21-\x7e]{1,16}"
    lines = cli("ScsiInquiry", sid, "100", "0", "0").splitlines()
    assert lines[:2] == ["    ScsiStatus             : 0x0", "    Response Buffer Size   : 0x42"]
    assert all(re.fullmatch(hexa, line) for line in lines[2:]) and "VIRTUAL-DISK" in "".join(line[-16:] for line in lines)
    assert cli("ScsiInquiry", sid, "0x100", "1", "0x83").splitlines()[2].startswith("        00 83 ")
    assert cli("ScsiInquiry", sid, "1", "1", "0x83") == cli("ScsiInquiry", sid, "100", "1", "0x83")
    assert cli("ReadCapacity", sid, "100") == (
        "    ScsiStatus             : 0x0\n    Response Buffer Size   : 0x8\n"
        "        00 01 ff ff 00 00 02 00                             ........\n"
    )
    assert cli("ReportLUNs", sid) == (
        "    ScsiStatus             : 0x0\n    Response Buffer Size   : 0x18\n"
        "        00 00 00 10 00 00 00 00 00 00 00 00 00 00 00 00     ................\n"
        "        00 01 00 00 00 00 00 00                             ........\n"
    )
    matches(
        cli("ScsiInquiry", sid, "100", "1", "0x99", code=1, last="The scsi request failed. "), "=    ScsiStatus             : 0x2",
        "=    Sense Buffer Size      : 0x12", "=    70 00 05 00 00 00 00 0a 00 00 00 00 24 00 00 00     p...........$...",
        "=    00 00                                               ..",
    )  # fmt: skip
    cli("LogoutTarget", sid)


def test_connections(cli, service, tgt):
    for name, value in (("MaxConnections", "8"), ("HeaderDigest", "CRC32C,None"), ("DataDigest", "CRC32C,None")):
        tgt.setting(name, value)
    discovered(cli, tgt)
    address, port = portal_args(tgt)
    sid = sid_of(cli("LoginTarget", tgt.name, "T", address, port, *("*",) * 3, "*", "*", "*", "8", *STARS[4:], "*", "0"))
    found = [re.search(r"Connection Id     : (\S+)", cli("SessionList", "F")).group(1)]
    one = ("AddConnection", sid, "*", "*", address, port, "*", *STARS, "*")
    for args in (one, ("AddConnection", sid.upper().replace("X", "x"), INSTANCE, "-1", "*", "*", "*", *DIGESTS, "*"), ("QAddConnection", sid, "*", "*")):
        text = cli(*args)
        assert re.fullmatch(r"Connection Id is 0x[a-f0-9]+-0x[a-f0-9]+\n", text)
        found.append(text.split()[-1].replace("0x", ""))
    text = cli("SessionList")
    assert "Number Connections     : 4\n" in text and re.findall(r"Connection Id     : (\S+)", text) == found
    assert cli("RemoveConnection", sid, found[0], code=1, last="The leading connection in the session cannot be removed. ") == ""
    for c in found[1:]:
        assert cli("RemoveConnection", sid, "0x" + c.replace("-", "-0x")) == ""
    assert cli("RemoveConnection", sid, found[1], code=1, last="Given connection was not found in the session. ") == ""
    # an id that is none: the usage of AddConnection, a complaint by the others
    assert cli("AddConnection", "x", *one[2:]).startswith("iscsicli AddConnection <SessionId>")
    assert cli("QAddConnection", "x", "*", "*", code=2, last="The parameter is incorrect. ") == "Invalid sessionid: x\n"
    assert cli("RemoveConnection", sid, "x", code=2, last="The parameter is incorrect. ") == "Invalid connectionid: x\n"
    service.logout(sid)


def test_chap(cli, service, tgt):
    tgt.admin("--lld", "iscsi", "--op", "new", "--mode", "account", "--user", "user", "--password", "secret-of-12x")
    tgt.admin("--lld", "iscsi", "--op", "bind", "--mode", "account", "--tid", 1, "--user", "user")
    discovered(cli, tgt)
    for args in ((), ("user", "wrong-of-1234"), ("other", "secret-of-12x"), ("None", "None")):
        r = service.cli("QLoginTarget", tgt.name, *args)
        assert r.code == 1 and r.last in ("Authentication Failure. ", "Target CHAP secret given is invalid. Maximum size of CHAP secret is 16 bytes. Minimum size is 12 bytes if IPSec is not used. "), r
    for secret in ("secret-of-12x", "0x" + b"secret-of-12x".hex().upper()):
        service.logout(sid_of(cli("QLoginTarget", tgt.name, "user", secret)))
        service.logout(sid_of(cli("LoginTarget", tgt.name, "T", *("*",) * 5, *("*",) * 6, "user", secret, "1", "*", "0")))


# ---- logins that are kept --------------------------------------------------------------------


def persistent(text):
    """As the strictest reader in the field takes it apart."""
    lines = text.splitlines()
    n = int(re.match(r"^\s*Total of\s+(\d+)\s+pers?istent targets\s*$", lines[0]).group(1))
    records = []
    for line in lines[1:]:
        label, colon, value = line.partition(":")
        label = re.sub(r"\s+", " ", label.strip())
        if not colon:
            continue
        if label == "Target Name":
            records.append({})
        records[-1][label] = value.strip()
    assert n == len(records)
    return records


def test_stored_login_round_trip_with_the_values_of_the_listing(cli, tgt):
    discovered(cli, tgt)
    address, port = portal_args(tgt)
    name = tgt.name
    text = cli("PersistentLoginTarget", name, "t", address, port, INSTANCE, "-1", "*", "0x00000002", "1", "1", *("*",) * 7, "0")
    assert text == "LoginTarget to %s on %s to 127.0.0.1/%s\n" % (name, INSTANCE, port)
    text = cli("PersistentLoginTarget", name, "T", *("*",) * 15, "0")
    assert text == "LoginTarget to %s on <no init instance> to <no portal>/0\n" % name
    cli("PersistentLoginTarget", name, "F", address, port, "*", "*", "*", *STARS, "*", "1", LUN_1, "0", "3", "4")
    assert cli("SessionList") == "Total of 0 sessions\n\n"
    assert cli("ListPersistentTargets") == """\
Total of 3 peristent targets
    Target Name           : {0}
    Address and Socket    : 127.0.0.1 {1}
    Session Type          : Data
    Initiator Name        : {2}
    Port Number           : <Any Port>
    Security Flags        : 0x0
    Version              : 0
    Information Specified: 0x3
    Header Digest        : CRC-32C
    Data Digest          : CRC-32C
    Login Flags          : 0x2
                           Multipath Enabled

    Target Name           : {0}
    Address and Socket    : * 0
    Session Type          : Data
    Initiator Name        :\x20
    Port Number           : <Any Port>
    Security Flags        : 0x0
    Version              : 0
    Information Specified: 0x0
    Login Flags          : 0x0

    Target Name           : {0}
    Address and Socket    : 127.0.0.1 {1}
    Session Type          : Informational
    Initiator Name        :\x20
    Port Number           : <Any Port>
    Security Flags        : 0x0
    Version              : 0
    Information Specified: 0x0
    Login Flags          : 0x0
    Initiator Bus          : 0
    Initiator Target Id    : 3
        Target Lun: 0x100 <--> OS Lun: 0x4


""".format(name, port, INSTANCE)
    records = persistent(cli("ListPersistentTargets"))
    # a star, also one that was printed, stands for all: it comes last
    for r in (records[0], records[2], records[1]):
        n_before = len(persistent(cli("ListPersistentTargets")))
        host, number = re.match(r"^(.+?)\s+([0-9]+)$", r["Address and Socket"]).groups()
        n = "*" if "Any" in r["Port Number"] else r["Port Number"]
        assert cli("RemovePersistentTarget", r["Initiator Name"] or "*", r["Target Name"], n, host, number) == ""
        assert len(persistent(cli("ListPersistentTargets"))) == n_before - 1
    assert cli("ListPersistentTargets") == "Total of 0 peristent targets\n"
    gone = "The target name is not found or is marked as hidden from login. "
    assert cli("RemovePersistentTarget", "ROOT\\ISCSIPRT\\0000_0", name, "-1", address, port, code=1, last=gone) == ""


def test_stored_login_runs_at_the_next_start(cli, service, tgt):
    discovered(cli, tgt)
    cli("PersistentLoginTarget", tgt.name, "T", *portal_args(tgt), *("*",) * 3, *STARS, "*", "0")
    service.stop()
    service.start()
    wait_for(lambda: "Legacy Device Name     : /dev/" in cli("SessionList"), 30, "the device of the stored login")
    service.logout(re.search(r"^Session Id\s*:\s*(\S+)", cli("SessionList"), re.M).group(1))


# ---- persistent devices ------------------------------------------------------------------------


def test_persistent_devices(cli, service, tgt):
    discovered(cli, tgt)
    sid = sid_of(cli("QLoginTarget", tgt.name))
    device = service.device(sid.replace("0x", ""))
    foreign = "The device specified does not originate from an iSCSI disk or a persistent iSCSI login. "
    assert cli("AddPersistentDevice", device, code=1, last=foreign) == ""
    assert cli("AddPersistentDevice", "/dev/null", code=1, last=foreign) == ""
    cli("PersistentLoginTarget", tgt.name, "T", *portal_args(tgt), *("*",) * 3, *STARS, "*", "0")
    assert cli("AddPersistentDevice", device) == ""
    assert cli("ReportPersistentDevices") == 'Persistent Volumes\n"%s"\n\n' % device
    assert cli("AddPersistentDevice", device, code=1, last="Device is already a persistently bound device. ") == ""
    assert cli("RemovePersistentDevice", device) == ""
    assert cli("RemovePersistentDevice", device, code=1, last="Device was not found. ") == ""
    assert cli("BindPersistentVolumes") == ""
    listed = re.findall(r'^"(.*)"$', cli("ReportPersistentDevices"), re.M)
    assert len(listed) == 1 and os.path.realpath(listed[0]) == device
    # with the path that the listing has
    assert cli("RemovePersistentDevice", listed[0]) == ""
    assert cli("BindPersistentDevices") == "" and cli("ClearPersistentDevices", "surplus") == ""
    assert cli("ReportPersistentDevices") == "Persistent Volumes\n\n"
    service.logout(sid)


# ---- this machine ----------------------------------------------------------------------------


def test_node_name(cli, service, tgt):
    before = service.varlink("GetNodeName")["name"]
    assert cli("NodeName", "iqn.2026-11.test:me") == ""
    assert service.varlink("GetNodeName")["name"] == "iqn.2026-11.test:me"
    invalid = "The iSCSI name specified contains invalid characters or is too long. "
    assert cli("NodeName", "no name", code=1, last=invalid) == ""
    discovered(cli, tgt)
    sid = sid_of(cli("QLoginTarget", tgt.name))
    assert "Initiator Node Name    : iqn.2026-11.test:me\n" in cli("SessionList")
    service.logout(sid)
    assert cli("NodeName", "*") == "" and service.varlink("GetNodeName")["name"] == before


def test_chap_secret(cli):
    length = "Initiator CHAP secret given is invalid. Maximum size of CHAP secret is 16 bytes. Minimum size is 12 bytes if IPSec is not used. "
    for secret in ("123456789012", "1234567890123456", "0x00112233445566778899aabb", "0X00112233445566778899AABBCCDDEEFF", "*"):
        assert cli("CHAPSecret", secret) == ""
    assert cli("CHAPSecret", "12345678901234567", code=1, last=length) == ""
    r = cli("CHAPSecret", "short", code=1, last="The CHAP secret is shorter than 96 bits and works with IPsec only. ")
    assert r == ""
    assert cli("CHAPSecret", "0x123", code=2, last="The parameter is incorrect. ") == "A secret in hexadecimal has two digits for each byte\n"


def test_ipsec(cli):
    assert cli("GroupKey", "a key for the group", "*") == cli("GroupKey", "*", "F") == ""
    identities = (("1", "192.0.2.1"), ("2", "host.example"), ("3", "me@host.example"), ("5", "2001:db8::1"))
    for kind, name in identities:
        assert cli("PSKey", "*", "*", "0x43", kind, name, "a preshared key", "*") == ""
        assert cli("GetPSKey", INSTANCE, "-1", kind, name) == (
            "    Security Flags        : 0x43\n        Tunnel Mode Preferred\n        IPSEC Enabled\n        Security Flags are Valid\n"
        )
        assert cli("PSKey", "*", "*", "*", kind, name, "*", "*") == ""
        cli("GetPSKey", "*", "*", kind, name, code=1, last="There is no IKE authentication information. ")
    types = "Id Type must be 1 (IPv4 address), 2 (FQDN), 3 (user FQDN) or 5 (IPv6 address)\n"
    assert cli("PSKey", "*", "*", "*", "4", "x", "key", "T") == cli("GetPSKey", "*", "*", "x", "x") == types
    assert cli("PSKey", "*", "*", "*", "1", "x", "key", "T", code=2, last="The parameter is incorrect. ") == "Not an address of the type given: x\n"
    assert cli("TunnelAddr", "*", "*", "192.0.2.1", "192.0.2.2", "*") == cli("TunnelAddr", INSTANCE, "-1", "*", "*", "F") == ""


def test_isns_servers(cli, service):
    # whether they can be asked is another matter: they are kept and listed
    service.cli("AddiSNSServer", "192.0.2.77")
    assert cli("ListiSNSServers") == "    192.0.2.77\n"
    assert cli("RemoveiSNSServer", "192.0.2.77") == ""
    missing = "The Internet Storage Name Server (iSNS) server was not found or is unavailable. "
    assert cli("RemoveiSNSServer", "192.0.2.77", code=1, last=missing) == ""
    assert cli("RefreshiSNSServer", "192.0.2.77", code=1, last=missing) == ""
    assert cli("RefreshiSNSServer", "*") == "" and cli("ListiSNSServers") == "No SNS Servers\n"


# ---- mistakes of scripts in the field ------------------------------------------------------------


def test_scripts_that_are_wrong_get_what_windows_gives(cli, service, tgt):
    discovered(cli, tgt)
    # the multipath flag where the number of mappings belongs
    text = cli("LoginTarget", tgt.name, "T", *("*",) * 15, "2")
    assert text.startswith("iscsicli LoginTarget <TargetName>") and service.sessions() == []
    assert "    Given: 18 arguments; number 18 is the Mapping Count, and four belong to each mapping\n" in text
    assert cli("QAddTarget", "iqn.2020-01.net.example:one").startswith("iscsicli QAddTarget <TargetName>")
    assert cli("LisTargets").startswith("iscsicli AddTarget ")
    assert cli("ListTargets") == "Targets List:\n    %s\n" % tgt.name
    # port and host the other way round
    text = cli("RemovePersistentTarget", INSTANCE, tgt.name, "*", "3260", "127.0.0.1", code=1,
               last="The target name is not found or is marked as hidden from login. ")  # fmt: skip
    assert text == ""


def test_interactive(service, tgt):
    name = service.varlink("GetNodeName")["name"]
    prompt = "[%s] Enter command or ^C to exit\n" % name
    lines = [
        "AddTargetPortal 127.0.0.1 %d" % tgt.port, "listtargets", 'iscsicli TargetInfo %s "%s"' % (tgt.name, mechanism_of(tgt.port)),
        "NodeName iqn.2026-11.test:other", "SessionList F",
    ]  # fmt: skip
    out = service.cli(stdin="\n".join(lines) + "\n", check=0).out
    out = out[out.index("\n\n") + 2 :]
    parts = re.split(r"\[(iqn\.\S+)\] Enter command or \^C to exit\n", out)
    assert out.startswith(prompt) and parts[0] == "" and parts[1::2] == [name] * 4 + ["iqn.2026-11.test:other"] * 2
    assert parts[2::2][1] == "Targets List:\n    %s\n%s\n" % (tgt.name, OK)
    assert "    PortalGroups         : 1 portal groups\n" in parts[2::2][2]
    assert parts[-3] == "Total of 0 sessions\n\n%s\n" % OK and parts[-1] == ""
    # the exit status is that of the last command
    assert service.cli(stdin="SessionList\nLogoutTarget 1-1\n").code == 1


# ---- a target that misbehaves ------------------------------------------------------------------


@pytest.mark.parametrize("status,code", ((0x0200, 0x08), (0x0201, 0x09), (0x0202, 0x0A), (0x0203, 0x0B), (0x0204, 0x0C), (0x0206, 0x0E), (0x0300, 0x12), (0x0301, 0x13)))
def test_login_that_the_target_refuses(service, make_target, status, code):
    t = make_target()
    service.cli("AddTargetPortal", "127.0.0.1", t.port, check=0)
    t.rule("login 0 status 0x%04x" % status)
    r = service.cli("--status", "QLoginTarget", t.name)
    assert (r.code, r.last) == (1, "Status: 0x%x" % (0xEFFF0000 + code)), r
    # the reason, and nothing that looks like a session
    assert re.match("    .*%s" % re.escape(t.name), r.lines[-3]) and "Session Id" not in r.out
    assert service.cli("SessionList").out.count("Total of 0 sessions") == 1


def test_query_that_a_target_refuses(service, make_target):
    t = make_target()
    service.cli("AddTargetPortal", "127.0.0.1", t.port, check=0)
    session = service.login_at(t.name, t.port, informational=True)
    t.rule("command 1 early-status 0x18")
    r = service.cli("ReportLUNs", session)
    # RESERVATION CONFLICT has no sense data
    assert r.code == 1 and r.data == ["    ScsiStatus             : 0x18", "    Sense Buffer Size      : 0x0"] and r.last == "The scsi request failed. "
    t.clear()
    service.cli("ReportLUNs", session, check=0)
    service.logout(session)
