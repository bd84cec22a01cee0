# SPDX-License-Identifier: MIT
"""SendScsi* and the commands of iscsicli on top of them."""
import pytest

from bed import run


@pytest.fixture
def session(api, service, make_tgt):
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:scsi")
    tgt.lun(1, mb=64)
    tgt.lun(300, mb=8)
    tgt.lun(5, store="null")
    api.add_portal("127.0.0.1", tgt.port)
    return api.login(name, informational=True)[0]


def test_inquiry(api, session):
    data = api.inquiry(session, 1)
    assert data[0] == 0 and data[8:16] == b"IET     " and data[16:32] == b"VIRTUAL-DISK    "
    assert api.inquiry(session, 0x100) == data
    page = api.inquiry(session, 1, 0x00)
    assert page[1] == 0 and 0x83 in page[4:]
    assert api.inquiry(session, 1, 0x83)[1] == 0x83
    # LUN 0 of tgt is its controller
    assert api.inquiry(session, 0)[0] & 0x1F == 0x0C


def test_page_that_is_not_there_comes_with_sense(api, session):
    with pytest.raises(api.Status) as e:
        api.inquiry(session, 1, 0xDF)
    assert e.value.code == api.STATUS["ISDSC_SCSI_REQUEST_FAILED"]
    assert e.value.scsi_status == 2 and len(e.value.sense) >= 18 and e.value.sense[2] & 0xF == 5


def test_read_capacity(api, session):
    assert api.read_capacity(session, 1) == ((64 << 11) - 1).to_bytes(4, "big") + (512).to_bytes(4, "big")


def test_capacity_of_a_large_unit(api, service, session):
    id_ = api.text_of(session)
    r = service.cli("ReadCapacity", id_, "5", check=0)
    assert "Response Buffer Size   : 0x8" in r.out or "Response Buffer Size   : 0x20" in r.out


def test_report_luns(api, session):
    data = api.report_luns(session)
    n = int.from_bytes(data[:4], "big")
    assert len(data) == n + 8
    luns = [data[i : i + 8] for i in range(8, len(data), 8)]
    assert bytes.fromhex("0001000000000000") in luns and len(luns) == 4
    assert any(int.from_bytes(x[:2], "big") & 0x3FFF == 300 for x in luns)


def test_lun_that_is_not_there(api, session):
    with pytest.raises(api.Status):
        api.read_capacity(session, 99)


def test_commands_of_the_command_line(api, service, session):
    id_ = api.text_of(session)
    r = service.cli("ScsiInquiry", id_, "1", "0", "0", check=0)
    assert r.data[0] == "    ScsiStatus             : 0x0" and "IET.....VIRTUAL-" in r.out.replace("  ", " ") or "IET" in r.out
    r = service.cli("ScsiInquiry", id_, "0x1", "1", "0xdf", check=1)
    assert r.data[0] == "    ScsiStatus             : 0x2" and r.last == "The scsi request failed. "
    assert "Sense Buffer Size" in r.out
    service.cli("ReadCapacity", id_, "0100", check=0)
    service.cli("ReportLUNs", id_, check=0)
    assert service.cli("ReportLUNs", "1-2", check=1).last == "Invalid Session Id. "


def test_queries_on_a_session_with_devices(api, service, tgt):
    api.add_portal("127.0.0.1", tgt.port)
    session, _ = api.login(tgt.name)
    assert api.inquiry(session, 1)[8:11] == b"IET"
    run("dd", "if=" + service.device(api.text_of(session)), "of=/dev/null", "bs=64k", "count=16")
    assert len(api.report_luns(session)) == 24
    api.logout(session)
