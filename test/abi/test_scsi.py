# SPDX-License-Identifier: MIT
"""
SCSI commands: two buffers, their sizes, and what units answer.
"""
import ctypes as c
import struct

import pytest

from calls import *
from winapi import STATUS, lib


SENSE = "700005000000000a00000000240000000000"


def result(data=b"", status=0, sense=""):
    return {"result": {"status": status, "data": data.hex(), "sense": sense}}


STANDARD = bytes([0, 0, 6, 2, 91, 0, 0, 2]) + b"VENDOR  PRODUCT         0001" + bytes(60)


def test_inquiry(service):
    service.replies["ScsiInquiry"] = lambda p: result(STANDARD[: p["allocationLength"]])
    for n in (36, 96, 255, 100000):
        s = Scsi(n)
        assert s.inquiry(0, 0xFF if n == 255 else 0, 0x83) == OK
        assert service.last() == {"sessionId": "1-2", "lun": "0000000000000000", "evpdCmddt": 3 if n == 255 else 0, "pageCode": 0x83,
                                  "allocationLength": min(n, 65535)}  # fmt: skip
        assert s.status.value == 0
        assert s.sizes() == (min(n, 96), 0)
        assert s.response.bytes() == STANDARD[:n] + b"\xcc" * (n - 96)


def test_inquiry_size(service):
    """The call without a buffer is told what the response needs."""
    vpd = struct.pack(">BBH", 0, 0x83, 1000)
    service.replies["ScsiInquiry"] = lambda p: result(((vpd + bytes(1000)) if p["evpdCmddt"] else STANDARD)[: p["allocationLength"]])
    for s in (Scsi(0), Scsi(77, null=True)):
        assert s.inquiry() == TOO_SMALL
        assert s.sizes() == (96, 18)
        assert s.status.value == 0
    s = Scsi(0)
    assert s.inquiry(evpd=1) == TOO_SMALL
    assert s.sizes() == (1004, 18)
    service.replies["ScsiInquiry"] = result(bytes([0, 1, 0, 0, 0, 10]) + bytes(10))
    s = Scsi(0)
    assert s.inquiry(evpd=2) == TOO_SMALL  # CMDDT has its length elsewhere
    assert s.sizes() == (16, 18)
    service.replies["ScsiInquiry"] = result(b"")
    s = Scsi(0)
    assert s.inquiry() == TOO_SMALL
    assert s.sizes() == (255, 18)


@pytest.mark.parametrize("lun,text", ((0, "0000000000000000"), (1, "0001000000000000"), (255, "00ff000000000000"), (0x100, "0001000000000000"),
                                      (0x200, "0002000000000000"), (0x0140, "4001000000000000"), (0x01C1, "c101000000000000"),
                                      (0xFFEEDDCCBBAA9988, "8899aabbccddeeff")))  # fmt: skip
def test_lun_argument(service, lun, text):
    service.replies["ScsiInquiry"] = result(STANDARD)
    assert Scsi(96).inquiry(lun) == OK
    assert service.last()["lun"] == text


def test_scsi_request_that_failed(service):
    for method, call in (("ScsiInquiry", Scsi.inquiry), ("ScsiReadCapacity", Scsi.capacity), ("ScsiReportLuns", Scsi.report_luns)):
        service.replies[method] = result(b"", 2, SENSE)
        s = Scsi(96)
        assert call(s) == STATUS["ISDSC_SCSI_REQUEST_FAILED"]
        assert s.status.value == 2
        assert s.sizes() == (0, 18)
        assert s.sense.bytes().hex() == SENSE
        # less room for the sense data: never more than was passed
        s = Scsi(96, 4)
        assert call(s) == STATUS["ISDSC_SCSI_REQUEST_FAILED"]
        assert s.sizes() == (0, 4)
        service.replies[method] = result(b"", 8, "")
        s = Scsi(96, 0)
        assert call(s) == STATUS["ISDSC_SCSI_REQUEST_FAILED"]
        assert (s.status.value, s.sizes()) == (8, (0, 0))


def test_scsi_sizing_call_that_failed(service):
    service.replies["ScsiInquiry"] = service.replies["ScsiReportLuns"] = result(b"", 2, SENSE)
    for call in (Scsi.inquiry, Scsi.report_luns):
        s = Scsi(0)
        assert call(s) == STATUS["ISDSC_SCSI_REQUEST_FAILED"]
        assert s.status.value == 2
        assert s.sizes() == (0, 18)


def test_read_capacity(service):
    ten = struct.pack(">II", 0x1234, 512)
    service.replies["ScsiReadCapacity"] = result(ten)
    for n in (8, 9, 31, 32, 100):
        s = Scsi(n)
        assert s.capacity(3) == OK
        assert service.last() == {"sessionId": "1-2", "lun": "0003000000000000", "sixteen": False, "allocationLength": 8}
        assert s.sizes() == (8, 0)
        assert s.response.bytes(8) == ten


def test_read_capacity_of_a_large_unit(service):
    ten, sixteen = struct.pack(">II", 0xFFFFFFFF, 512), struct.pack(">QI", 1 << 33, 512) + bytes(20)
    service.replies["ScsiReadCapacity"] = lambda p: result(sixteen if p["sixteen"] else ten)
    s = Scsi(32)
    assert s.capacity() == OK
    assert [p["allocationLength"] for _, p in service.calls] == [8, 32]
    assert s.sizes() == (32, 0)
    assert s.response.bytes() == sixteen
    s = Scsi(31)
    assert s.capacity() == OK
    assert s.sizes() == (8, 0)
    assert s.response.bytes(8) == ten


@pytest.mark.parametrize("n", (0, 1, 7))
def test_read_capacity_size(service, n):
    for s in (Scsi(n), Scsi(500, null=True)):
        assert s.capacity() == TOO_SMALL
        assert s.sizes() == (8, 18)
        assert s.status.value == 0
    assert not service.calls


def test_report_luns(service):
    luns = struct.pack(">II", 24, 0) + bytes([0, 0] + [0] * 6 + [0, 1] + [0] * 6 + [0, 2] + [0] * 6)
    service.replies["ScsiReportLuns"] = lambda p: result(luns[: p["allocationLength"]])
    s = Scsi(0)
    assert s.report_luns() == TOO_SMALL
    assert service.last() == {"sessionId": "1-2", "allocationLength": 16}
    assert s.sizes() == (32, 18)
    for n in (1, 8, 16, 32, 64):
        s = Scsi(n)
        assert s.report_luns() == OK
        assert service.last()["allocationLength"] == max(n, 16)
        assert s.sizes() == (min(n, 32), 0)
        assert s.response.bytes(min(n, 32)) == luns[:n]


def test_scsi_arguments_that_are_wrong(service):
    for i in (0, 1, 3):
        s = Scsi(96)
        args = list(s.args())
        args[i] = None
        assert lib.SendScsiReportLuns(c.addressof(s.session), *args) == INVALID
        assert lib.SendScsiInquiry(c.addressof(s.session), 0, 0, 0, *args) == INVALID
        assert lib.SendScsiReadCapacity(c.addressof(s.session), 0, *args) == INVALID
    s = Scsi(96)
    assert lib.SendScsiReportLuns(None, *s.args()) == INVALID
    assert lib.SendScsiInquiry(None, 0, 0, 0, *s.args()) == INVALID
    assert lib.SendScsiReadCapacity(None, 0, *s.args()) == INVALID
    assert not service.calls


@pytest.mark.parametrize("bad", ({}, {"result": None}, result(status=256), result(status=-1), {"result": {"status": 0, "data": "0", "sense": ""}},
                                 {"result": {"status": 0, "data": "zz", "sense": ""}}, {"result": {"status": 0, "data": ""}}))  # fmt: skip
def test_scsi_reply_not_as_the_interface_says(service, bad):
    service.replies["ScsiInquiry"] = bad
    s = Scsi(96)
    assert s.inquiry() == STATUS["ISDSC_NON_SPECIFIC_ERROR"]
    assert (s.status.value, s.sizes()) == (0, (0, 0))
    assert s.response.untouched()
