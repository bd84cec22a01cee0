# SPDX-License-Identifier: MIT
"""
Secrets, IPsec, and the servers of iSNS and RADIUS.
"""
import ctypes as c

import pytest

from calls import *
from winapi import ANY_PORT, STATUS, Memory, lib, ulong

SECRETS = {
    "SetIScsiInitiatorCHAPSharedSecret": ("SetChapSecret", "secret", ()),
    "SetIScsiInitiatorRADIUSSharedSecret": ("SetRadiusSecret", "secret", ()),
    "SetIScsiGroupPresharedKey": ("SetGroupKey", "key", (0,)),
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets(service, name):
    method, key, more = SECRETS[name]
    call = lambda n, p: getattr(lib, name)(n, p, *more)
    persist = {"persist": False} if more else {}
    service.replies[method] = {}
    for secret in (b"0123456789ab", b"\0" * 16, b"\xff" * 255):
        assert call(len(secret), secret) == OK
        assert service.last() == {key: secret.hex(), **persist}
    for pointer in (None, b"not looked at"):
        assert call(0, pointer) == OK
        assert service.last() == {key: None, **persist}
    for n, pointer in ((1, None), (256, b"x" * 256), (0xFFFFFFFF, b"x")):
        assert call(n, pointer) == INVALID
    assert not service.calls


def test_group_key_for_good(service):
    service.replies["SetGroupKey"] = {}
    assert lib.SetIScsiGroupPresharedKey(3, b"key", 255) == OK
    assert service.last() == {"key": b"key".hex(), "persist": True}


# -- IKE ------------------------------------------------------------------------


def test_set_ike_info(service, form):
    service.replies["SetIkeInfo"] = {}
    info = ike_of(1, b"\xc0\0\x02\x01", b"a key", 0x8000000000000003)
    assert form.call("SetIScsiIKEInfo", form.text(INSTANCE), 3, c.addressof(info), 1) == OK
    assert service.last() == {
        "initiatorInstance": INSTANCE, "initiatorPort": 3, "authMethod": 1, "identity": {"idType": 1, "id": "c0000201"},
        "securityFlags": 0x8000000000000003 - (1 << 64), "key": b"a key".hex(), "persist": True,
    }  # fmt: skip
    info = ike_of(2, b"")
    assert form.call("SetIScsiIKEInfo", None, ANY_PORT, c.addressof(info), 0) == OK
    sent = service.last()
    assert (sent["initiatorInstance"], sent["identity"], sent["key"], sent["persist"]) == (None, {"idType": 2, "id": ""}, None, False)


def test_get_ike_info(service, form):
    service.replies["GetIkeInfo"] = {"securityFlags": -(1 << 63) + 5}
    info = ike_of(5, b"\x20\x01" + bytes(14), flags=0)
    info.PsKey.KeyLengthInBytes, info.PsKey.Key = 0xFFFFFFFF, 1  # there is no room for a key, and none is looked for
    before = bytes(info)
    assert form.call("GetIScsiIKEInfo", None, ANY_PORT, None, c.addressof(info)) == OK
    assert service.last() == {"initiatorInstance": None, "initiatorPort": ANY_PORT, "authMethod": 1, "identity": {"idType": 5, "id": "2001" + "00" * 14}}
    assert info.PsKey.SecurityFlags == 0x8000000000000005
    info.PsKey.SecurityFlags = 0
    assert bytes(info) == before


def test_get_ike_info_at_an_odd_address(service, form):
    service.replies["GetIkeInfo"] = {"securityFlags": 3}
    info = ike_of(flags=0)
    memory = Memory(bytes(info), odd=True)
    assert form.call("GetIScsiIKEInfo", None, ANY_PORT, None, memory) == OK
    assert type(info).from_buffer_copy(memory.bytes()).PsKey.SecurityFlags == 3


def test_get_ike_info_that_fails(service, form):
    for reply in ({}, {"securityFlags": None}, {"securityFlags": "1"}):
        service.replies["GetIkeInfo"] = reply
        info = ike_of(flags=7)
        assert form.call("GetIScsiIKEInfo", None, ANY_PORT, None, c.addressof(info)) == STATUS["ISDSC_NON_SPECIFIC_ERROR"]
        assert info.PsKey.SecurityFlags == 7


def test_ike_arguments_that_are_wrong(service, form):
    def both(info):
        at = c.addressof(info) if info else None
        return {form.call("SetIScsiIKEInfo", None, ANY_PORT, at, 0), form.call("GetIScsiIKEInfo", None, ANY_PORT, None, at)}

    assert both(None) == {INVALID}
    for method in (0, 2, 0xFFFFFFFF):
        assert both(ike_of(method=method)) == {STATUS["ISDSC_REQUEST_NOT_SUPPORTED"]}
    for n, pointer in ((1, None), (256, 1), (0xFFFFFFFF, 1)):
        info = ike_of()
        info.PsKey.IdLengthInBytes, info.PsKey.Id = n, pointer
        assert both(info) == {INVALID}
        info = ike_of()
        info.PsKey.KeyLengthInBytes, info.PsKey.Key = n, pointer
        assert form.call("SetIScsiIKEInfo", None, ANY_PORT, c.addressof(info), 0) == INVALID
    info = ike_of()
    assert form.call("SetIScsiIKEInfo", None, 0, c.addressof(info), 0) == INVALID
    assert not service.calls


def test_tunnel(service, form):
    service.replies["SetTunnelAddress"] = {}
    for destination, outer in ((None, None), ("", ""), ("192.0.2.1", "198.51.100.1"), ("2001:db8::1", None)):
        assert form.call("SetIScsiTunnelModeOuterAddress", None, ANY_PORT, form.text(destination), form.text(outer), 1) == OK
        assert service.last() == {"initiatorInstance": None, "initiatorPort": ANY_PORT, "destinationAddress": destination or None,
                                  "outerAddress": outer or None, "persist": True}  # fmt: skip
    long = form.text("x" * 256)
    assert form.call("SetIScsiTunnelModeOuterAddress", None, ANY_PORT, long, None, 1) == INVALID
    assert form.call("SetIScsiTunnelModeOuterAddress", None, ANY_PORT, None, long, 1) == INVALID
    assert not service.calls


# -- servers --------------------------------------------------------------------

SERVERS = {"AddISNSServer": ("AddIsnsServer", 255), "RemoveISNSServer": ("RemoveIsnsServer", 255), "RefreshISNSServer": ("RefreshIsnsServer", 255),
           "AddRadiusServer": ("AddRadiusServer", 39), "RemoveRadiusServer": ("RemoveRadiusServer", 39)}  # fmt: skip


@pytest.mark.parametrize("family", SERVERS)
def test_servers(service, form, family):
    method, longest = SERVERS[family]
    service.replies[method] = {}
    for address in ("192.0.2.1", "2001:db8:1111:2222:3333:4444:5555:6666", "x" * longest):
        assert form.call(family, form.text(address)) == OK
        assert service.last() == {"address": address}
    assert form.call(family, form.text("x" * (longest + 1))) == INVALID
    if family == "RefreshISNSServer":
        assert form.call(family, None) == OK
        assert service.last() == {"address": None}
    else:
        assert form.call(family, None) == INVALID
    assert not service.calls


LISTS = {"ReportISNSServerList": "ListIsnsServers", "ReportRadiusServerList": "ListRadiusServers"}


@pytest.mark.parametrize("family", LISTS)
def test_server_lists(service, form, family):
    names = ["192.0.2.1", "isns.example"]
    service.replies[LISTS[family]] = {"servers": names}
    need = sum(len(n) + 1 for n in names) + 1
    size = ulong(1000)
    assert form.call(family, c.addressof(size), None) == TOO_SMALL
    assert size.value == need
    for room in (0, need - 1):
        size, buffer = ulong(room), Memory(need * form.unit)
        assert form.call(family, c.addressof(size), buffer) == TOO_SMALL
        assert size.value == need and buffer.untouched()
    size, buffer = ulong(need), Memory(need * form.unit)
    assert form.call(family, c.addressof(size), buffer) == OK
    assert form.names(buffer.bytes()) == names
    assert form.call(family, None, buffer) == INVALID


@pytest.mark.parametrize("family", LISTS)
def test_server_lists_that_are_empty(service, form, family):
    """That there are none is told without a buffer; where there is one it is a list all the same."""
    service.replies[LISTS[family]] = {"servers": []}
    for room in (0, 77):
        size = ulong(room)
        assert form.call(family, c.addressof(size), None) == OK
        assert size.value == 0
    for room in (0, 1, 2, 9):
        size, buffer = ulong(room), Memory(room * form.unit)
        assert form.call(family, c.addressof(size), buffer) == OK
        n = min(room, 2)
        assert size.value == n
        assert buffer.bytes() == bytes(n * form.unit) + b"\xcc" * ((room - n) * form.unit)
