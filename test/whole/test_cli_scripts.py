# SPDX-License-Identifier: MIT
"""
What automation in the field does with iscsicli from beginning to end, each step with its own
way of reading the output, against the real service and targets
"""
import re
import subprocess

import pytest

import bed
from test_cli_layout import STARS

INSTANCE = "Root\\ISCSIPRT\\0000_0"
SENTENCE = "The operation completed successfully."


@pytest.fixture
def world(service, tgt):
    """Two targets, the first with two disks."""
    tgt.lun(2, mb=8)
    tgt.second = tgt.target("iqn.2026-11.test.whole:second", tid=2)
    tgt.lun(1, tid=2, mb=8)
    tgt.portal = ("127.0.0.1", str(tgt.port))
    return tgt


def must(r):
    """Exit status 0 and, trimmed, the sentence at the end."""
    assert r.code == 0 and r.out.rstrip().endswith(SENTENCE), r
    return r


def test_azure_elastic_san(service, world):
    host, port = world.portal
    name = world.name
    must(service.cli("AddTarget", name, "*", host, port, "*", "0", *STARS, "0"))
    must(service.cli("PersistentLoginTarget", name, "t", host, port, INSTANCE, "-1", "*", "0x00000002", "1", "1", *("*",) * 7, "0"))
    for _ in range(4):
        must(service.cli("LoginTarget", name, "t", host, port, INSTANCE, "-1", "*", "0x00000002", *("*",) * 9, "0"))
    # the validation: lines with "Session Id"
    out = service.cli("SessionList").out
    assert len([line for line in out.splitlines() if re.search("Session Id", line)]) == 4
    # disconnect: the target is the text after the first ":" of its line, the id that of the line of the session
    ids, current = [], None
    for line in out.splitlines():
        if re.search("Session Id", line):
            current = line[line.index(":") + 1 :].strip()
        elif name in line and "Target Name" in line and line[line.index(":") + 1 :].strip() == name and current:
            ids.append(current)
            current = None
    assert len(ids) == 4
    for session in ids:
        must(service.logout(session))
    out = must(service.cli("ListPersistentTargets")).out
    count = int(re.search(r"^\s*Total of\s+(\d+)\s+pers?istent targets\s*$", out, re.M).group(1))
    found = [re.match(r"^(.+?)\s+([0-9]+)$", line.split(":", 1)[1].strip()).groups() for line in out.splitlines() if re.match(r"\s*Address and Socket\s*:", line)]
    assert count == len(found) == 1
    for address, socket in found:
        must(service.cli("RemovePersistentTarget", "ROOT\\ISCSIPRT\\0000_0", name, "-1", address, socket))
    must(service.cli("RemoveTarget", name))
    assert "Total of 0 sessions" in service.cli("SessionList").out


def test_openstack_nova(service, world):
    host, port = world.portal
    for step in ("AddTargetPortal", "RefreshTargetPortal"):
        out = service.cli("ListTargetPortals").out
        known = [list(map(str, p.split())) for p in re.findall(r"Address and Socket *: (.*)", out)]
        assert ([host, port] in known) == (step == "RefreshTargetPortal")
        args = (host, port) if [host, port] in known else (host, port, *("*",) * 13)
        assert SENTENCE in service.cli(step, *args).out
    assert world.name in service.cli("ListTargets").out
    assert world.name not in service.cli("SessionList").out
    assert SENTENCE in service.cli("qlogintarget", world.name).out
    out = service.cli("SessionList").out
    assert world.name in out
    assert SENTENCE in service.logout(re.search(r"Session Id *: (.*)", out).group(1)).out


def test_infinidat(service, world):
    host, port = world.portal
    args = ("T", host, port, INSTANCE, *("*",) * 11, "*", "0")
    assert service.cli("AddTargetPortal", host, port).code == 0
    for command in ("LoginTarget", "PersistentLoginTarget"):
        assert len(args) + 1 == 18 and service.cli(command, world.name, *args).code == 0
    r = service.cli("LoginTarget", world.name, *args)
    assert r.code != 0 and "target has already been logged in" in r.out
    for secret in ("*", "abcdefghijkl"):
        assert service.cli("CHAPSecret", secret).code == 0
    assert service.cli("NodeName", "*").code == 0
    assert service.cli("RemoveTargetPortal", host, port).code == 0
    service.logout(re.search(r"Session Id *: (.*)", service.cli("SessionList").out).group(1))
    assert service.cli("RemovePersistentTarget", "*", world.name, "*", "*", "*").code == 0


def test_fogbow_and_uniautos_read_the_mappings(service, world):
    service.cli("AddTargetPortal", *world.portal)
    for name in (world.name, world.second):
        service.device(service.login(name))
    # fogbow: the device of a target, then the session of its mapping
    kind = target = None
    devices = {}
    for line in service.cli("SessionList").out.splitlines():
        if " : " not in line:
            continue
        label, value = (part.strip() for part in line.split(" : ", 1))
        if label == "Device Type":
            kind = value
        elif label == "Target Name":
            target = value
        elif label == "Legacy Device Name" and kind == "Disk":
            devices.setdefault(target, []).append(value)
    assert {name: len(v) for name, v in devices.items()} == {world.name: 2, world.second: 1}
    out = service.cli("reporttargetmappings").out
    session, of_target, reading = None, {}, False
    for line in out.splitlines():
        if "Session Id" in line:
            reading = True
        if line.strip().startswith("Target Lun:"):
            reading = False
        if reading:
            label, value = line.split(" : ")[0].strip(), line.split(" : ")[1].strip()
            session = value if label == "Session Id" else session
            if label == "Target Name":
                of_target[value] = session
    assert set(of_target) == {world.name, world.second}
    # UniAutos
    for pattern in (r"Session Id\s*:\s*(\S+)", r"Target Name\s*:\s*(.+)", r"Initiator\s*:\s*(.+)", r"Initiator Scsi Device\s*:\s*(.+)",
                    r"Initiator Bus\s*:\s*(.+)", r"Initiator Target Id\s*:\s*(.+)"):  # fmt: skip
        assert len(re.findall(pattern, out)) == 2, pattern
    info = service.cli("targetinfo", world.name).out
    assert re.search(r"\"\S+\*(\S+) ", info).group(1) == world.portal[0]
    # inventory: lines with "Target Name", split at " : "
    assert [line.split(" : ")[1] for line in out.splitlines() if "Target Name" in line] == list(of_target)
    for session in of_target.values():
        service.logout(session)


def test_replication_agent(service, world):
    assert service.cli("TargetInfo", world.name).code != 0
    service.cli("AddTargetPortal", *world.portal, check=0)
    assert service.cli("TargetInfo", world.name).code == 0
    assert service.cli("QAddTarget", world.name).code == 0  # the usage, taken for a success
    assert service.cli("QLoginTarget", world.name).code == 0
    r = service.cli("QLoginTarget", world.name)
    assert r.code != 0 and "The target has already been logged in" in r.out
    assert service.cli("persistentlogintarget", world.name, "T", *("*",) * 15, "0").code == 0
    assert world.name in service.cli("listpersistenttargets").out
    session = None
    for line in service.cli("reporttargetmappings").lines:
        if "Session Id" in line:
            session = line.split(":", 1)[1].strip()
    service.logout(session)
    assert service.cli("removepersistenttarget", "*", world.name, "*", "*", "0").code == 0
    assert service.cli("listpersistenttargets").code == 0


def test_shell_and_batch(service, world):
    """findstr /B Session, and FOR /F "TOKENS=1* DELIMS=:"; the blank before the id goes with the shell."""
    service.cli("AddTargetPortal", *world.portal)
    for name in (world.name, world.second):
        service.device(service.login(name))
    script = '"$0" sessionList dummy | grep "^Session" | cut -d: -f2 | while read id; do for i in 1 2 3 4 5 6 7 8 9; do "$0" LogoutTarget $id && break; done; done'
    r = subprocess.run(["sh", "-c", script, bed.CLI], env=service.env, capture_output=True, text=True, timeout=100)
    assert r.returncode == 0 and service.sessions() == [], r


def test_power_shell_clean_up(service, world):
    service.cli("AddTargetPortal", *world.portal)
    for name, where in ((world.name, world.portal), (world.second, ("*", "*"))):
        must(service.cli("PersistentLoginTarget", name, "T", *where, *("*",) * 3, *STARS, "*", "0"))
    # Ballast: fields of a record by label; *Any* is a star
    records = []
    for line in service.cli("ListPersistentTargets").lines:
        label, colon, value = (part.strip() for part in line.partition(":"))
        if colon and label == "Target Name":
            records.append({})
        if colon and records:
            records[-1][label] = "*" if "Any" in value else value
    for r in records:
        address, socket = r["Address and Socket"].split()
        must(service.cli("RemovePersistentTarget", r["Initiator Name"] or "*", r["Target Name"], r["Port Number"], address, socket))
    assert len(records) == 2 and "Total of 0" in service.cli("ListPersistentTargets").out


def test_support_bundle(service, world):
    service.cli("AddTargetPortal", *world.portal)
    session = service.login(world.name)
    for name in ("ListInitiators", "ListTargetPortals", "SessionList", "ListPersistentTargets", "ReportTargetMappings", "ListiSNSServers"):
        assert must(service.cli(name)).out.isascii()
    service.device(session)
    service.logout(session)
