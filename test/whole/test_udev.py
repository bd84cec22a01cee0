# SPDX-License-Identifier: MIT
"""
What udev is told, and the names of disks: what udev makes of it is not tested here
"""
import os
import re

import bed
from bed import wait_for
from test_session import discover

RULES = os.path.join(bed.SOURCE, "packaging/udev/60-iscsidsc.rules")


def told(service):
    """{kernel's name of the disk: {property: value}}"""
    directory = os.path.join(service.devices_dir, ".udev")
    found = {}
    for file in os.listdir(directory):
        name, _, sequence = file.rpartition("-")
        with open("/sys/class/block/%s/diskseq" % name) as f:
            assert f.read().strip() == sequence
        with open(os.path.join(directory, file)) as f:
            lines = f.read().splitlines()
        assert all(re.fullmatch(r"[A-Z0-9_]+=[A-Za-z0-9#+.:=@_,/-]+", line) for line in lines), lines
        found[name] = dict(line.split("=", 1) for line in lines)
    return found


def names(properties, kind):
    return {v for k, v in properties.items() if re.fullmatch(r"ID_ISCSIDSC_%s_\d" % kind, k)}


def links(service, directory, device):
    path = os.path.join(service.devices_dir, directory)
    return {name for name in os.listdir(path) if os.path.samefile(os.path.join(path, name), device)}


def test_names_of_both_makers_are_the_same(make_service, tgt):
    service = make_service()
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    (properties,) = told(service).values()
    assert os.path.basename(device) in told(service)
    assert names(properties, "PATH") == links(service, "by-path", device)
    assert names(properties, "ID") == links(service, "by-id", device)
    # the names that open-iscsi's users know; tgt makes the designators of target's and unit's numbers
    assert names(properties, "PATH") == {"ip-127.0.0.1:%d-iscsi-%s-lun-1" % (tgt.port, tgt.name)}
    assert properties["ID_PATH"] in names(properties, "PATH")
    assert names(properties, "ID") == {"scsi-360000000000000000e00000000010001", "wwn-0x60000000000000000e00000000010001"}
    assert properties["ID_SERIAL"] == "3" + properties["ID_SERIAL_SHORT"] == "360000000000000000e00000000010001"
    assert properties["ID_WWN"] + properties["ID_WWN_VENDOR_EXTENSION"][2:] == properties["ID_WWN_WITH_EXTENSION"]
    assert (properties["ID_BUS"], properties["ID_VENDOR"], properties["ID_MODEL"]) == ("scsi", "IET", "VIRTUAL-DISK")
    assert properties["ID_ISCSIDSC_SESSION"] == session and properties["ID_ISCSIDSC_TARGET"] == tgt.name
    service.logout(session)
    assert not told(service)


def test_paths_are_told_as_they_come_and_go(make_service, tgt):
    service = make_service()
    discover(service, tgt)
    first = service.login_at(tgt.name, tgt.port, options=("2",) + ("*",) * 8)
    device = service.device(first)
    second = service.login_at(tgt.name, tgt.port, host="localhost", options=("2",) + ("*",) * 8)
    wait_for(lambda: len(links(service, "by-path", device)) == 2, 15, service.log)
    (properties,) = told(service).values()
    assert names(properties, "PATH") == links(service, "by-path", device)
    service.logout(first)
    (properties,) = told(service).values()
    assert names(properties, "PATH") == links(service, "by-path", device) and len(names(properties, "PATH")) == 1
    assert properties["ID_ISCSIDSC_SESSION"] == second
    service.logout(second)
    assert not told(service)


def test_what_a_dead_service_told_is_forgotten(make_service, tgt):
    service = make_service()
    discover(service, tgt)
    service.device(service.login(tgt.name))
    assert told(service)
    service.kill()
    service.start()
    assert not os.listdir(os.path.join(service.devices_dir, ".udev"))


def test_the_rules_take_all_that_is_told():
    with open(RULES) as f:
        text = f.read()
    with open(os.path.join(bed.SOURCE, "src/device/lu.h")) as f:
        n_paths = int(re.search(r"#define LU_MAX_PATHS (\d+)", f.read()).group(1))
    for kind, where, n in (("PATH", "by-path", n_paths), ("ID", "by-id", 2)):
        for i in range(n):
            key = "ID_ISCSIDSC_%s_%d" % (kind, i)
            assert 'ENV{DEVTYPE}=="disk", ENV{%s}=="?*", SYMLINK+="disk/%s/$env{%s}"\n' % (key, where, key) in text
            assert 'ENV{DEVTYPE}=="partition", ENV{%s}=="?*", SYMLINK+="disk/%s/$env{%s}-part%%n"\n' % (key, where, key) in text
