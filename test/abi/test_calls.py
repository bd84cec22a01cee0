# SPDX-License-Identifier: MIT
"""
What calls send to the service, what they refuse, and what they give back.
"""
import ctypes as c

import pytest

from calls import *
from fake_service import Error
from winapi import A, ANY_PORT, STATUS, W, Memory, detail, id_of, lib, structure, ulong


# -- node name, version ---------------------------------------------------------


def test_version(service):
    service.replies["GetVersion"] = {"major": 10, "minor": 0, "build": 7, "product": "iscsidsc"}
    version = structure("ISCSI_VERSION_INFO")()
    assert lib.GetIScsiVersionInformation(c.addressof(version)) == OK
    assert (version.MajorVersion, version.MinorVersion, version.BuildNumber) == (10, 0, 7)
    assert lib.GetIScsiVersionInformation(None) == INVALID


@pytest.mark.parametrize("name", ("iqn.2026-11.local.host:1", "iqn." + "x" * 219, "iqn.\u00e9\U0001f4be"))
def test_node_name_get(service, form, name):
    service.replies["GetNodeName"] = {"name": name}
    buffer = Memory(224 * form.unit)
    assert form.call("GetIScsiInitiatorNodeName", buffer) == OK
    assert form.at(buffer.addr) == name
    buffer.check()


def test_node_name_that_does_not_fit(service, form):
    service.replies["GetNodeName"] = {"name": "x" * 224}
    buffer = Memory(224 * form.unit)
    assert form.call("GetIScsiInitiatorNodeName", buffer) == INVALID
    assert buffer.untouched()
    assert form.call("GetIScsiInitiatorNodeName", None) == INVALID


def test_node_name_not_as_the_interface_says(service, form):
    for reply in ({}, {"name": None}, {"name": 5}):
        service.replies["GetNodeName"] = reply
        buffer = Memory(224 * form.unit)
        assert form.call("GetIScsiInitiatorNodeName", buffer) == STATUS["ISDSC_NON_SPECIFIC_ERROR"]
        assert buffer.untouched()


def test_node_name_set(service, form):
    service.replies["SetNodeName"] = {}
    for name in (None, "iqn.2026-11.local.host:\u00e9\u20ac\U0001f4be", "x" * 223):
        assert form.call("SetIScsiInitiatorNodeName", form.text(name)) == OK
        assert service.last() == {"name": name}
    for name in ("", "x" * 224):
        assert form.call("SetIScsiInitiatorNodeName", form.text(name)) == INVALID
    assert not service.calls


@pytest.mark.parametrize("form,bad", [(A, b"\xff\0"), (A, b"\xc3\0"), (A, b"\xed\xa0\x80\0"), (W, b"\x00\xd8\0\0"), (W, b"\x00\xdc\0\0"), (W, b"\x00\xd8a\0\0\0")])
def test_text_that_is_not_well_formed(service, form, bad):
    assert form.call("SetIScsiInitiatorNodeName", Memory(bad)) == INVALID
    assert "UTF" in detail()
    assert not service.calls


def test_text_at_an_odd_address(service, form):
    service.replies["SetNodeName"] = {}
    assert form.call("SetIScsiInitiatorNodeName", Memory(form.encode(TARGET), odd=True)) == OK
    assert service.last() == {"name": TARGET}


def test_text_is_read_up_to_its_end_and_no_further(service, form):
    """The page behind the terminator cannot be read."""
    import mmap

    libc = c.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = [c.c_void_p, c.c_size_t, c.c_int]
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    base = c.addressof(c.c_char.from_buffer(memory))
    assert libc.mprotect(base + page, page, mmap.PROT_NONE if hasattr(mmap, "PROT_NONE") else 0) == 0
    try:
        service.replies["SetNodeName"] = {}
        raw = form.encode(TARGET)
        memory[page - len(raw) : page] = raw
        assert form.call("SetIScsiInitiatorNodeName", base + page - len(raw)) == OK
        # and without an end no further than the longest name there can be
        raw = form.encode("x" * 224)[: 224 * form.unit]
        memory[page - len(raw) : page] = raw
        assert form.call("SetIScsiInitiatorNodeName", base + page - len(raw)) == INVALID
    finally:
        libc.mprotect(base + page, page, 3)


# -- portals and discovery ------------------------------------------------------


def test_add_portal(service, form):
    service.replies["AddSendTargetPortal"] = {}
    portal = portal_of(form, "fe80::1%eth0", 860, "B\u00fcro")
    assert form.call("AddIScsiSendTargetPortal", form.text(INSTANCE), 3, None, 0x22, c.addressof(portal)) == OK
    assert service.last() == {
        "initiatorInstance": INSTANCE, "initiatorPort": 3, "loginOptions": None, "securityFlags": 0x22,
        "portal": {"symbolicName": "B\u00fcro", "address": "fe80::1%eth0", "socket": 860},
    }  # fmt: skip
    assert detail() == ""


def test_add_portal_with_options(service, form):
    service.replies["AddSendTargetPortal"] = {}
    portal = portal_of(form)
    options = options_of(0xFF, b"user\xff\0", b"a secret of 16 b", Version=1, LoginFlags=2, AuthType=2, HeaderDigest=1, DataDigest=0,
                         MaximumConnections=4, DefaultTime2Wait=5, DefaultTime2Retain=6)  # fmt: skip
    assert form.call("AddIScsiSendTargetPortal", None, ANY_PORT, c.addressof(options), 0, c.addressof(portal)) == OK
    assert service.last()["loginOptions"] == {
        "informationSpecified": 0xFF, "loginFlags": 2, "authType": 2, "headerDigest": 1, "dataDigest": 0, "maximumConnections": 4,
        "defaultTime2Wait": 5, "defaultTime2Retain": 6, "username": b"user\xff\0".hex(), "password": b"a secret of 16 b".hex(),
    }  # fmt: skip


def test_options_whose_bit_is_clear_are_not_looked_at(service, form):
    service.replies["AddSendTargetPortal"] = {}
    portal = portal_of(form)
    options = options_of(0, LoginFlags=2, AuthType=0xDEAD, UsernameLength=0xFFFFFFFF, Username=1, PasswordLength=0xFFFFFFFF, Password=1)
    assert form.call("AddIScsiSendTargetPortal", None, ANY_PORT, c.addressof(options), 0, c.addressof(portal)) == OK
    assert service.last()["loginOptions"] == {"informationSpecified": 0, "loginFlags": 2}


def test_options_present_but_empty(service, form):
    service.replies["AddSendTargetPortal"] = {}
    portal = portal_of(form)
    options = options_of(USERNAME | PASSWORD)
    assert form.call("AddIScsiSendTargetPortal", None, ANY_PORT, c.addressof(options), 0, c.addressof(portal)) == OK
    assert service.last()["loginOptions"] == {"informationSpecified": 0x60, "loginFlags": 0, "username": "", "password": ""}


@pytest.mark.parametrize("members", ({"UsernameLength": 1}, {"PasswordLength": 1}, {"UsernameLength": 256, "Username": 1}))
def test_options_that_are_wrong(service, form, members):
    portal = portal_of(form)
    options = options_of(USERNAME | PASSWORD, **members)
    assert form.call("AddIScsiSendTargetPortal", None, ANY_PORT, c.addressof(options), 0, c.addressof(portal)) == INVALID
    assert not service.calls


def unterminated(form, portal, member):
    field = getattr(type(portal), member)
    c.memset(c.addressof(portal) + field.offset, 0x41, field.size)


def test_portals_that_are_wrong(service, form):
    for change in (
        lambda p: form.put(p, "Address", ""),
        lambda p: setattr(p, "Socket", 0),
        lambda p: unterminated(form, p, "Address"),
        lambda p: unterminated(form, p, "SymbolicName"),
    ):
        portal = portal_of(form)
        change(portal)
        assert form.call("AddIScsiSendTargetPortal", None, ANY_PORT, None, 0, c.addressof(portal)) == INVALID
    assert form.call("AddIScsiSendTargetPortal", None, ANY_PORT, None, 0, None) == INVALID
    portal = portal_of(form)
    assert form.call("AddIScsiSendTargetPortal", None, 0, None, 0, c.addressof(portal)) == INVALID
    assert form.call("AddIScsiSendTargetPortal", form.text("x" * 256), ANY_PORT, None, 0, c.addressof(portal)) == INVALID
    assert not service.calls


@pytest.mark.parametrize("call", ("Remove", "Refresh"))
def test_remove_and_refresh_portal(service, form, call):
    service.replies[call + "SendTargetPortal"] = {}
    portal = portal_of(form)
    unterminated(form, portal, "SymbolicName")  # must not be looked at
    for instance in (None, "", INSTANCE):
        assert form.call(call + "IScsiSendTargetPortal", form.text(instance), ANY_PORT, c.addressof(portal)) == OK
        assert service.last() == {
            "initiatorInstance": instance or None, "initiatorPort": ANY_PORT,
            "portal": {"symbolicName": "", "address": "192.0.2.1", "socket": 3260},
        }  # fmt: skip
    assert form.call(call + "IScsiSendTargetPortal", None, ANY_PORT, None) == INVALID


# -- login and logout -----------------------------------------------------------


def test_login(service, form):
    service.replies["Login"] = {"sessionId": "fffffa800f7900a8-400001370000000d", "connectionId": "fffffa800f7900a8-1b"}
    assert login(form) == (OK, (0xFFFFFA800F7900A8, 0x400001370000000D), (0xFFFFFA800F7900A8, 0x1B))
    assert service.last() == {
        "targetName": TARGET, "informational": False, "initiatorInstance": None, "initiatorPort": ANY_PORT, "portal": None,
        "securityFlags": 0, "loginOptions": None, "key": None, "persistent": False,
    }  # fmt: skip


def test_login_with_everything(service, form):
    service.replies["Login"] = {"sessionId": "0-0", "connectionId": "0-0"}
    portal = portal_of(form, "disk.example", 3261)
    unterminated(form, portal, "SymbolicName")
    options = options_of(AUTH_TYPE | PASSWORD, password=b"0123456789ab", AuthType=1)
    assert login(form, TARGET + "\u00e9", 255, INSTANCE, 0, portal, 3, None, options, b"key\0", None, 255) == (OK, (7, 7), (7, 7))
    assert service.last() == {
        "targetName": TARGET + "\u00e9", "informational": True, "initiatorInstance": INSTANCE, "initiatorPort": 0,
        "portal": {"symbolicName": "", "address": "disk.example", "socket": 3261}, "securityFlags": 3,
        "loginOptions": {"informationSpecified": 0xC0, "loginFlags": 0, "authType": 1, "password": b"0123456789ab".hex()},
        "key": "6b657900", "persistent": True,
    }  # fmt: skip


def test_login_with_an_empty_portal_means_any(service, form):
    service.replies["Login"] = {"sessionId": "1-1", "connectionId": "1-2"}
    portal = portal_of(form, "", 0)
    assert login(form, portal=portal)[0] == OK
    assert service.last()["portal"] is None


def test_login_arguments_that_are_wrong(service, form):
    for wrong in (
        {"target": None}, {"target": "x" * 224}, {"session": False}, {"connection": False}, {"key_size": 4}, {"key": b"k" * 2000},
        {"port": 0}, {"portal": portal_of(form, "")}, {"portal": portal_of(form, socket=0)}, {"instance": "x" * 256},
    ):  # fmt: skip
        assert login(form, **wrong) == (INVALID, (7, 7), (7, 7)), wrong
    assert not service.calls


def test_login_with_mappings(service, form):
    """Of a mapping only what can be asked for is looked at; without one the service is not told of any."""
    service.replies["Login"] = {"sessionId": "1-1", "connectionId": "1-2"}
    assert login(form)[0] == OK
    assert "mapping" not in service.last()
    for luns in ((), ((3, 0), (4, 0x100))):
        mapping = mapping_of(form, 1, ANY_PORT, luns)
        c.memset(c.addressof(mapping), 0x41, type(mapping).OSBusNumber.offset)
        assert login(form, mapping=mapping)[0] == OK
        assert service.last()["mapping"] == {
            "initiatorName": "", "targetName": "", "osDeviceName": "", "sessionId": "0-0", "osBusNumber": 1, "osTargetNumber": ANY_PORT,
            "luns": [{"osLun": here, "targetLun": there.to_bytes(8, "little").hex()} for here, there in luns],
        }  # fmt: skip


def test_login_that_is_only_stored_leaves_the_ids_alone(service, form):
    service.replies["Login"] = {"sessionId": "0-0", "connectionId": "0-0"}
    assert login(form, persistent=1) == (OK, (7, 7), (7, 7))


@pytest.mark.parametrize("bad", ("", "1", "1-", "-1", "1-2-3", "x-1", "1-1 ", "11111111111111111-1", None, 5))
def test_login_with_ids_not_as_the_interface_says(service, form, bad):
    service.replies["Login"] = {"sessionId": "1-1", "connectionId": bad}
    assert login(form) == (STATUS["ISDSC_NON_SPECIFIC_ERROR"], (7, 7), (7, 7))


def test_logout(service):
    service.replies["Logout"] = {}
    session = id_of(0, 0xABC)
    assert lib.LogoutIScsiTarget(c.addressof(session)) == OK
    assert service.last() == {"sessionId": "0-abc"}
    assert lib.LogoutIScsiTarget(None) == INVALID


def test_logout_of_a_device_in_use_says_who_uses_it(service):
    service.replies["Logout"] = Error(0xEFFF0040, "The session has devices in use",
                                      [{"text": "/dev/ublkb0 is mounted on /srv"}, {"text": "process 12 (postgres) has /dev/ublkb1 open"}])  # fmt: skip
    session = id_of(1, 1)
    assert lib.LogoutIScsiTarget(c.addressof(session)) == STATUS["ISDSC_DEVICE_BUSY_ON_SESSION"]
    assert detail().splitlines() == ["The session has devices in use", "/dev/ublkb0 is mounted on /srv", "process 12 (postgres) has /dev/ublkb1 open"]
