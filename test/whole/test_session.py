# SPDX-License-Identifier: MIT
"""Sessions from login to logout, and the devices they bring."""
import mmap
import os
import re
import time

import pytest

import bed
from bed import READ_ONLY, THIN, WRITE_CACHE_OFF, free_port, number_of_lun, run, wait_for

DIGESTS = ("*", "1", "1", *("*",) * 6)


def discover(service, tgt):
    service.cli("AddTargetPortal", "127.0.0.1", tgt.port, check=0)


def read(path, offset, n):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, n, offset)
    finally:
        os.close(fd)


def write(path, offset, data):
    fd = os.open(path, os.O_WRONLY)
    try:
        assert os.pwrite(fd, data, offset) == len(data)
        os.fsync(fd)
    finally:
        os.close(fd)


def size_of(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)


def test_login_device_logout(service, tgt):
    discover(service, tgt)
    r = service.cli("QLoginTarget", tgt.name, check=0)
    assert re.fullmatch(r"Session Id is 0x[0-9a-f]+-0x[0-9a-f]+\nConnection Id is 0x[0-9a-f]+-0x[0-9a-f]+", "\n".join(r.data))
    session = r.find(r"^Session Id is (.*)").replace("0x", "")
    # decision: the devices are there when login returns
    path = service.devices(session)[0]["legacyName"]
    assert path and os.path.exists(path)
    assert size_of(path) == 64 << 20
    data = os.urandom(1 << 20)
    write(path, 5 << 20, data)
    assert read(path, 5 << 20, len(data)) == data
    with open(tgt.file, "rb") as f:
        f.seek(5 << 20)
        assert f.read(len(data)) == data
    d = service.devices(session)[0]
    assert os.path.realpath(d["interfaceName"]) == os.path.realpath(path)
    assert "/by-path/ip-127.0.0.1:%d-iscsi-%s-lun-1" % (tgt.port, tgt.name) in d["interfaceName"]
    assert tgt.sessions() == 1
    r = service.cli("SessionList", check=0)
    assert r.lines[2] == "Total of 1 sessions" and "Legacy Device Name     : " + path in r.out
    service.logout(session)
    assert service.sessions() == [] and service.devices() == [] and tgt.sessions() == 0
    assert not os.path.lexists(d["interfaceName"])
    assert bed.loops_of(service.directory) == []
    r = service.cli("LogoutTarget", session, check=1)
    assert r.last == "Invalid Session Id. "


def test_login_at_a_portal_with_digests(service, tgt):
    tgt.setting("HeaderDigest", "CRC32C,None")
    tgt.setting("DataDigest", "CRC32C,None")
    discover(service, tgt)
    session = service.login_at(tgt.name, tgt.port, options=DIGESTS)
    path = service.device(session)
    data = os.urandom(300000)
    write(path, 12345 * 512, data)
    assert read(path, 12345 * 512, len(data)) == data
    service.logout(session)


def test_unknown_target(service, tgt):
    r = service.cli("QLoginTarget", "iqn.2026-11.test.whole:nobody", check=1)
    assert r.last == "The target name is not found or is marked as hidden from login. "
    assert service.json("QLoginTarget", "iqn.2026-11.test.whole:nobody")["Status"] == 0xEFFF0029


def test_target_that_the_portal_does_not_have(service, tgt, make_tgt):
    discover(service, tgt)
    other = make_tgt()
    other.target("iqn.2026-11.test.whole:other")
    args = ("LoginTarget", tgt.name, "T", "127.0.0.1", other.port, *("*",) * 13, "0")
    # tgt answers 02/03 to some and hangs up on others
    assert service.cli(*args, check=1).last in ("Not Found. ", "The TCP connection failed. ", "Login Failed. ")
    assert service.sessions() == []


def test_second_login_needs_multipath(service, tgt):
    discover(service, tgt)
    session = service.login(tgt.name)
    for name in (tgt.name, tgt.name.upper()):
        r = service.cli("QLoginTarget", name, check=1)
        assert r.last == "The target has already been logged in via an iSCSI session. "
    assert service.json("QLoginTarget", tgt.name)["Status"] == 0xEFFF003F
    second = service.login_at(tgt.name, tgt.port, options=("2", *("*",) * 8))
    assert second != session
    assert sorted(s["id"] for s in service.sessions()) == sorted((session, second))
    # one unit is one device however many sessions lead to it
    assert service.device(session) == service.device(second)
    path = service.device(session)
    data = os.urandom(8192)
    write(path, 0, data)
    service.logout(session)
    assert read(path, 0, 8192) == data
    service.logout(second)
    assert not service.devices()


def test_nothing_listens_any_more(service, tgt):
    discover(service, tgt)
    tgt.kill()
    r = service.cli("QLoginTarget", tgt.name, check=1)
    assert r.last == "Connection Failed. "


def test_login_fails_through_a_portal_that_is_not_there(service, tgt):
    discover(service, tgt)
    r = service.cli("LoginTarget", tgt.name, "T", "127.0.0.1", free_port(), *("*",) * 13, "0", check=1)
    assert r.last == "Connection Failed. " and service.sessions() == []


def test_informational_session_has_no_devices_and_ends_at_once(service, tgt):
    discover(service, tgt)
    session = service.login_at(tgt.name, tgt.port, informational=True)
    assert service.devices(session) == [] and bed.loops_of(service.directory) == []
    r = service.cli("ReportLUNs", session, check=0)
    assert "ScsiStatus             : 0x0" in r.out
    started = time.monotonic()
    service.logout(session)
    assert time.monotonic() - started < 20
    assert service.sessions() == []


def test_persistent_login_opens_no_session_now_and_one_at_the_next_start(service, tgt):
    discover(service, tgt)
    r = service.cli("PersistentLoginTarget", tgt.name, "T", "127.0.0.1", tgt.port, *("*",) * 13, "0", check=0)
    assert r.data == ["LoginTarget to %s on <no init instance> to 127.0.0.1/%d" % (tgt.name, tgt.port)]
    assert service.sessions() == []
    session = service.login(tgt.name)
    service.logout(session)
    assert service.stop() == 0
    service.start()
    wait_for(service.sessions, 20, "the stored login")
    assert service.sessions()[0]["targetName"] == tgt.name


@pytest.mark.parametrize("lun", (1, 7, 255, 256, 300))
def test_luns_by_their_number(service, make_tgt, lun):
    tgt = make_tgt()
    tgt.target("iqn.2026-11.test.whole:luns")
    path = tgt.lun(lun, mb=8)
    with open(path, "r+b") as f:
        f.write(b"lun %d" % lun)
    discover(service, tgt)
    session = service.login("iqn.2026-11.test.whole:luns")
    device = service.device(session, lun)
    assert read(device, 0, 8).startswith(b"lun %d" % lun)
    d = service.devices(session)[0]
    assert d["interfaceName"].endswith("-lun-%d" % lun) and number_of_lun(d["lun"]) == lun
    service.logout(session)


def test_several_units_of_several_kinds(service, make_tgt):
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:many")
    tgt.lun(1, mb=16)
    tgt.lun(2, mb=16, params=[READ_ONLY])
    tgt.lun(3, mb=16, block=4096)
    tgt.lun(4, mb=16, params=[WRITE_CACHE_OFF])
    tgt.lun(5, mb=16, params=[THIN])
    tgt.lun(6, store="null")
    discover(service, tgt)
    session = service.login(name)
    for lun in range(1, 7):
        service.device(session, lun)
    d = {number_of_lun(d["lun"]): d for d in service.devices(session)}
    assert sorted(d) == [1, 2, 3, 4, 5, 6]
    assert len({x["deviceNumber"] for x in d.values()}) == 6 and len({x["legacyName"] for x in d.values()}) == 6
    assert all(x["state"] == "ready" and x["vendor"] == "IET" for x in d.values())
    assert [x["sizeBytes"] for _, x in sorted(d.items())] == [16 << 20] * 5 + [1 << 40]
    assert d[1]["blockBytes"] == 512 and d[3]["blockBytes"] == 4096
    assert d[1]["writeCache"] and not d[4]["writeCache"]
    assert d[2]["readOnly"] and not d[1]["readOnly"]

    with pytest.raises(OSError):
        write(d[2]["legacyName"], 0, b"x" * 4096)
    assert read(d[2]["legacyName"], 0, 512) == bytes(512)
    data = os.urandom(8192)
    for lun in (1, 3, 4, 5):
        write(d[lun]["legacyName"], 4096, data)
        assert read(d[lun]["legacyName"], 4096, 8192) == data
    assert run("blockdev", "--getss", d[3]["legacyName"]).out.strip() == "4096"
    service.logout(session)


def test_discard_gives_the_blocks_back(service, make_tgt):
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:thin")
    path = tgt.lun(1, mb=32, params=[THIN])
    discover(service, tgt)
    session = service.login(name)
    device = service.device(session)
    write(device, 0, os.urandom(16 << 20))
    full = os.stat(path).st_blocks
    r = run("blkdiscard", "-o", "0", "-l", str(16 << 20), device, check=False)
    if r.code != 0:
        pytest.skip("no discard on this device: " + r.out.strip())
    run("sync")
    if os.stat(path).st_blocks >= full:
        pytest.skip("the target does not give blocks back on this file system")
    assert os.stat(path).st_blocks < full // 4
    assert read(device, 1 << 20, 4096) == bytes(4096)
    service.logout(session)


def test_zeroing_a_range_leaves_its_neighbours(service, tgt):
    discover(service, tgt)
    session = service.login(tgt.name)
    device = service.device(session)
    data = os.urandom(4 << 20)
    write(device, 0, data)
    run("blkdiscard", "-z", "-o", str(1 << 20), "-l", str(1 << 20), device)
    run("blockdev", "--flushbufs", device)
    assert read(device, 0, 4 << 20) == data[: 1 << 20] + bytes(1 << 20) + data[2 << 20 :]
    service.logout(session)


def test_units_that_come_and_change_size(service, make_tgt):
    """What a target says in unit attentions is acted on without a new login."""
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:grow")
    tgt.lun(1, mb=16)
    discover(service, tgt)
    session = service.login(name)
    first = service.device(session, 1)
    tgt.lun(2, mb=8)
    # tgt tells it with the next command
    read(first, 0, 512)

    def there():
        fd = os.open(first, os.O_RDONLY | os.O_DIRECT)
        try:
            os.preadv(fd, [mmap.mmap(-1, 4096)], 0)
        finally:
            os.close(fd)
        return any(number_of_lun(d["lun"]) == 2 and d["legacyName"] for d in service.devices(session))

    wait_for(there, 20, lambda: "LUN 2:\n" + service.log()[-3000:])
    service.logout(session)


def test_fuse_backend(make_service, tgt):
    service = make_service(backend="fuse")
    discover(service, tgt)
    session = service.login(tgt.name)
    path = service.device(session)
    assert path.startswith(service.devices_dir) and os.path.isfile(path)
    data = os.urandom(100000)
    write(path, 777, data)
    assert read(path, 777, len(data)) == data
    assert size_of(path) == 64 << 20
    service.logout(session)
    assert not os.path.exists(path)


def test_whole_path_through_the_library(api, service, tgt):
    for form in (api.A, api.W):
        api.add_portal("127.0.0.1", tgt.port, form)
        session, connection = api.login(tgt.name, form=form)
        listed = api.sessions(form)
        assert len(listed) == 1
        s = listed[0]
        assert s["id"] == session and s["target"] == s["node"] == tgt.name and s["initiator"] == api.node_name(form)
        assert [c["id"] for c in s["connections"]] == [connection]
        assert s["connections"][0]["peer"] == ("127.0.0.1", tgt.port)
        assert s["isid"] != bytes(6) and s["tsid"] != bytes(2)
        wait_for(lambda: any(d["name"] for d in api.devices(session, form)), 10, "the device")
        d = api.devices(session, form)[0]
        assert d["target"] == tgt.name and d["length"] == 8 and d["lun"] == 1 and d["type"] == 7
        assert d["initiator"] == "Root\\ISCSIPRT\\0000_0" and d["number"] == d["instance"] != 0xFFFFFFFF
        assert os.path.realpath(d["interface"]) == os.path.realpath(d["name"])
        with pytest.raises(api.Status) as e:
            api.login(tgt.name, form=form)
        assert e.value.code == api.STATUS["ISDSC_TARGET_ALREADY_LOGGED_IN"]
        api.logout(session)
        for gone in (lambda: api.logout(session), lambda: api.devices(session), lambda: api.inquiry(session, 0)):
            with pytest.raises(api.Status) as e:
                gone()
            assert e.value.code == api.STATUS["ISDSC_INVALID_SESSION_ID"]
        assert api.sessions(form) == []
    with pytest.raises(api.Status) as e:
        api.login("iqn.2026-11.test.whole:nobody")
    assert e.value.code == api.STATUS["ISDSC_TARGET_NOT_FOUND"]


def test_persistent_login_through_the_library_leaves_the_ids_alone(api, service, tgt):
    api.add_portal("127.0.0.1", tgt.port)
    assert api.login(tgt.name, persistent=True) == ((0, 0), (0, 0))
    assert api.sessions() == []
    session, _ = api.login(tgt.name)
    assert api.login(tgt.name, persistent=True) == ((0, 0), (0, 0))
    assert [s["id"] for s in api.sessions()] == [session]
    api.logout(session)


def test_service_not_running(api, service):
    service.stop()
    for call in (api.sessions, api.node_name, lambda: api.login("iqn.2026-11.x:y"), lambda: api.logout((1, 2)), lambda: api.report_luns((1, 2))):
        with pytest.raises(api.Status) as e:
            call()
        assert e.value.code == api.STATUS["ISDSC_SERVICE_NOT_RUNNING"]


def test_chap_is_done_or_there_is_no_session(service, tgt):
    """It must not be taken for a login without: that would be less than what was asked for."""
    discover(service, tgt)
    r = service.cli("QLoginTarget", tgt.name, "user", "secret-of-16-byt", check=1)
    assert r.last == "Authentication Failure. " and service.sessions() == []


def test_isid_is_the_same_after_logout_and_restart(service, tgt):
    discover(service, tgt)

    def isid():
        session = service.login(tgt.name)
        found = service.sessions()[0]["isid"]
        service.logout(session)
        return found

    first = isid()
    assert isid() == first
    assert service.stop() == 0
    service.start()
    wait_for(lambda: tgt.name in service.cli("ListTargets").out, 20, "the target after a restart")
    assert isid() == first


def test_units_beyond_the_limit_are_left_out(make_service, make_tgt):
    service = make_service("[session]\nmax_units = 2\n")
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:many")
    for lun in range(1, 6):
        tgt.lun(lun, mb=4)
    discover(service, tgt)
    session = service.login(name)
    # the target's controller, LUN 0, is no disk and takes no place
    said = "3 of 6 luns are left out: there are 2 disks"
    wait_for(lambda: said in service.log(), 15, lambda: "the log:\n" + service.log()[-3000:])
    assert [number_of_lun(d["lun"]) for d in service.devices(session)] == [1, 2]
    assert service.log().count("left out") == 1
    service.logout(session)


def test_link_that_cannot_be_made_is_not_told_of(service, make_tgt):
    """One name is too long for a file, one is somebody else's, the third one is fine."""
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:" + "x" * 200)
    for lun in (1, 2, 1234):
        tgt.lun(lun, mb=4)
    discover(service, tgt)
    taken = os.path.join(service.devices_dir, "by-path/ip-127.0.0.1:%d-iscsi-%s-lun-2" % (tgt.port, name))
    os.symlink("/dev/null", taken)
    session = service.login(name)
    service.device(session, 1234)
    devices = {number_of_lun(d["lun"]): d for d in service.devices(session)}
    assert all(os.path.exists(d["legacyName"]) for d in devices.values()) and len(devices) == 3
    assert os.path.realpath(devices[1]["interfaceName"]) == os.path.realpath(devices[1]["legacyName"])
    assert devices[2]["interfaceName"] == "" and devices[1234]["interfaceName"] == ""
    service.logout(session)
    assert os.readlink(taken) == "/dev/null" and len(os.listdir(os.path.dirname(taken))) == 1
    os.unlink(taken)
