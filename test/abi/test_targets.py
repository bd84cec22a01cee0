# SPDX-License-Identifier: MIT
"""
Targets added by hand, and what is known about a target: what is sent, and how the
answer lies in the caller's buffer.
"""
import ctypes as c

import pytest

from calls import *
from winapi import STATUS, Memory, structure, ulong

MECHANISM = "SendTargets:*192.0.2.1 0003260 Root\\ISCSIPRT\\0000_0 "
PROTOCOL, ALIAS, MECHANISMS, GROUPS, MAPPINGS, INITIATOR, FLAGS, OPTIONS = range(8)


# -- static targets -------------------------------------------------------------


def add(form, target=TARGET, alias=None, flags=0, persist=1, mapping=None, options=None, group=None):
    at = lambda x: c.addressof(x) if x is not None else None
    return form.call("AddIScsiStaticTarget", form.text(target), form.text(alias), flags, persist, at(mapping), at(options), group)


def test_add_static_target_by_name_alone(service, form):
    service.replies["AddStaticTarget"] = {}
    assert add(form) == OK
    assert service.last() == {"targetName": TARGET, "targetAlias": None, "targetFlags": 0, "persist": True, "mapping": None,
                              "loginOptions": None, "portalGroup": None}  # fmt: skip


def test_add_static_target_with_everything(service, form):
    service.replies["AddStaticTarget"] = {}
    mapping = mapping_of(form, 3, 4, [(0, 0x100), (7, 0x0123456789ABCDEF)])
    c.memset(c.addressof(mapping), 0x41, mapping.__class__.SessionId.offset + 16)  # names without an end and an id: not looked at
    options = options_of(USERNAME, b"user")
    group = group_of(form, portal_of(form, "192.0.2.1", 3260, "eins"), portal_of(form, "2001:db8::1", 860, "zw\u00f6lf"))
    assert add(form, TARGET + "\u00e9", "\u00e4lias", 6, 0, mapping, options, group) == OK
    assert service.last() == {
        "targetName": TARGET + "\u00e9", "targetAlias": "\u00e4lias", "targetFlags": 6, "persist": False,
        "mapping": {"initiatorName": "", "targetName": "", "osDeviceName": "", "sessionId": "0-0", "osBusNumber": 3, "osTargetNumber": 4,
                    "luns": [{"osLun": 0, "targetLun": "0001000000000000"}, {"osLun": 7, "targetLun": "efcdab8967452301"}]},
        "loginOptions": {"informationSpecified": 0x20, "loginFlags": 0, "username": b"user".hex()},
        "portalGroup": [{"symbolicName": "eins", "address": "192.0.2.1", "socket": 3260},
                        {"symbolicName": "zw\u00f6lf", "address": "2001:db8::1", "socket": 860}],
    }  # fmt: skip


def test_add_static_target_with_an_empty_group(service, form):
    service.replies["AddStaticTarget"] = {}
    assert add(form, alias="", group=group_of(form)) == OK
    sent = service.last()
    assert (sent["portalGroup"], sent["targetAlias"]) == ([], None)


def test_add_static_target_arguments_that_are_wrong(service, form):
    good = portal_of(form)
    for wrong in (
        {"target": None}, {"target": "x" * 224}, {"alias": "x" * 256}, {"mapping": mapping_of(form, count=1)},
        {"mapping": mapping_of(form, luns=[(0, 0)], count=0xFFFFFFFF)}, {"group": group_of(form, good, portal_of(form, ""))},
        {"group": group_of(form, portal_of(form, socket=0), good)}, {"group": group_of(form, good, count=0xFFFFFFFF)},
        {"options": options_of(PASSWORD, PasswordLength=12)},
    ):  # fmt: skip
        assert add(form, **wrong) == INVALID, wrong
    assert not service.calls


def test_remove_static_target(service, form):
    service.replies["RemoveStaticTarget"] = {}
    assert form.call("RemoveIScsiStaticTarget", form.text(TARGET)) == OK
    assert service.last() == {"targetName": TARGET}
    assert form.call("RemoveIScsiStaticTarget", None) == INVALID


# -- information ----------------------------------------------------------------


def portal_json(n):
    return {"symbolicName": "portal %d" % n, "address": "192.0.2.%d" % n, "socket": 3260 + n}


def mapping_json(n=1, luns=2):
    return {"initiatorName": INSTANCE, "targetName": TARGET, "osDeviceName": "\\\\.\\Scsi%d:" % n, "sessionId": "a-%x" % n, "osBusNumber": 1,
            "osTargetNumber": n, "luns": [{"osLun": i, "targetLun": "%04x000000000000" % i} for i in range(luns)]}  # fmt: skip


def information(**members):
    return {"information": {
        "protocolType": 0, "targetAlias": "Alias \u00e9", "portalGroups": [], "initiatorName": INSTANCE, "targetFlags": 4,
        "mapping": None, "loginOptions": None, **members,
    }}  # fmt: skip


class Info:
    def __init__(self, form, info_class):
        self.form, self.info_class = form, info_class

    def call(self, size, buffer, mechanism=MECHANISM):
        return self.form.call("GetIScsiTargetInformation", self.form.text(TARGET), self.form.text(mechanism), self.info_class,
                              c.addressof(size) if size is not None else None, buffer)  # fmt: skip

    def fetch(self, need):
        """Sizing call, every room that is too small, the exact one and larger ones. Return: the bytes."""
        for size_in in (0, 99999):
            size = ulong(size_in)
            assert self.call(size, None) == (TOO_SMALL if need else OK)
            assert size.value == need
        for room in {0, 1, need // 2, need - 1} & set(range(need)):
            size, buffer = ulong(room), Memory(need)
            assert self.call(size, buffer) == TOO_SMALL
            assert size.value == need and buffer.untouched()
        for room in (need + 8192, need + 1, need):
            size, buffer = ulong(room), Memory(room)
            assert self.call(size, buffer) == OK
            assert size.value == need
            assert buffer.bytes()[need:] == b"\xcc" * (room - need)
        self.buffer = buffer
        return buffer.bytes()


def test_mechanisms(service, form):
    long = "iSNS:" + "x" * 600
    service.replies["ListDiscoveryMechanisms"] = {"mechanisms": [MECHANISM, long]}
    need = (len(MECHANISM) + 1 + len(long) + 1 + 1) * form.unit
    info = Info(form, MECHANISMS)
    assert form.names(info.fetch(need)) == [MECHANISM, long]
    assert {m for m, _ in service.calls} == {"ListDiscoveryMechanisms"}
    assert service.calls[0][1] == {"targetName": TARGET}
    size = ulong(0)
    assert info.call(size, None, mechanism=None) == TOO_SMALL


def test_every_other_class_needs_a_mechanism(service, form):
    for info_class in set(range(8)) - {MECHANISMS} | {8, 0x7FFFFFFF, 0xFFFFFFFF}:
        size = ulong(500)
        assert Info(form, info_class).call(size, Memory(500), mechanism=None) == INVALID
        assert size.value == 0
    assert not service.calls


def test_classes_that_do_not_exist(service, form):
    for info_class in (8, 9, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        size = ulong(500)
        assert Info(form, info_class).call(size, Memory(500)) == INVALID
    assert not service.calls


@pytest.mark.parametrize("info_class,value", ((PROTOCOL, 0), (FLAGS, 4)))
def test_numbers(service, form, info_class, value):
    service.replies["GetTargetInformation"] = information()
    assert Info(form, info_class).fetch(4) == value.to_bytes(4, "little")
    assert service.calls[0][1] == {"targetName": TARGET, "discoveryMechanism": MECHANISM}


@pytest.mark.parametrize("info_class,text", ((ALIAS, "Alias \u00e9"), (INITIATOR, INSTANCE)))
def test_texts(service, form, info_class, text):
    service.replies["GetTargetInformation"] = information()
    raw = form.encode(text)
    assert Info(form, info_class).fetch(len(raw)) == raw


def test_alias_that_is_empty(service, form):
    service.replies["GetTargetInformation"] = information(targetAlias="")
    assert Info(form, ALIAS).fetch(form.unit) == bytes(form.unit)


STRIDES = {"W": {0: 4, 1: 1032, 2: 2060, 3: 3084}, "A": {0: 4, 1: 520, 2: 1036, 3: 1548}}


@pytest.mark.parametrize("sizes", ([1], [0], [3, 1, 2], [2, 0, 3]))
def test_portal_groups_lie_where_programs_look(service, form, sizes):
    groups = [{"tag": i + 1, "portals": [portal_json(10 * i + k) for k in range(n)]} for i, n in enumerate(sizes)]
    service.replies["GetTargetInformation"] = information(portalGroups=groups)
    raw = Info(form, GROUPS).fetch(4 + sum(STRIDES[form.letter][n] for n in sizes))
    element = form.structure("ISCSI_TARGET_PORTAL")
    group = form.structure("ISCSI_TARGET_PORTAL_GROUP")
    assert int.from_bytes(raw[:4], "little") == len(sizes)
    at = 4
    for i, n in enumerate(sizes):
        assert int.from_bytes(raw[at : at + 4], "little") == n
        for k in range(n):
            portal = element.from_buffer_copy(raw, at + group.Portals.offset + k * c.sizeof(element))
            assert (form.of(portal.SymbolicName), form.of(portal.Address), portal.Socket) == tuple(portal_json(10 * i + k).values())
        if n:
            assert c.sizeof(group) + (n - 1) * c.sizeof(element) <= STRIDES[form.letter][n]
        at += STRIDES[form.letter][n]
    assert at == len(raw)


def test_what_a_target_does_not_have(service, form):
    service.replies["GetTargetInformation"] = information()
    for info_class in (GROUPS, MAPPINGS, OPTIONS):
        assert Info(form, info_class).fetch(0) == b""


def test_mapping_lies_at_the_beginning(service, form):
    service.replies["GetTargetInformation"] = information(mapping=mapping_json(3, luns=2))
    info, record, lun = Info(form, MAPPINGS), form.structure("ISCSI_TARGET_MAPPING"), structure("SCSI_LUN_LIST")
    raw = info.fetch(c.sizeof(record) + 2 * c.sizeof(lun))
    mapping = record.from_buffer_copy(raw)
    assert (form.of(mapping.InitiatorName), form.of(mapping.TargetName), form.of(mapping.OSDeviceName)) == (INSTANCE, TARGET, "\\\\.\\Scsi3:")
    assert (mapping.OSBusNumber, mapping.OSTargetNumber, mapping.LUNCount) == (1, 3, 2)
    assert mapping.LUNList == info.buffer.addr + c.sizeof(record)
    luns = (lun * 2).from_buffer_copy(raw, c.sizeof(record))
    assert [(x.OSLUN, x.TargetLUN) for x in luns] == [(0, 0), (1, 0x100)]


def test_options_with_a_user_name_behind(service, form):
    service.replies["GetTargetInformation"] = information(
        loginOptions={"informationSpecified": USERNAME | PASSWORD | AUTH_TYPE, "loginFlags": 2, "authType": 1, "username": b"user".hex(), "password": b"secret".hex()}
    )
    record, info = structure("ISCSI_LOGIN_OPTIONS"), Info(form, OPTIONS)
    raw = info.fetch(c.sizeof(record) + 4)
    options = record.from_buffer_copy(raw)
    assert (options.InformationSpecified, options.LoginFlags, options.AuthType, options.UsernameLength) == (0xE0, 2, 1, 4)
    assert options.Username == info.buffer.addr + c.sizeof(record) and raw[-4:] == b"user"
    assert (options.PasswordLength, options.Password) == (0, None)


def test_information_not_as_the_interface_says(service, form):
    bad_portal = {**portal_json(1), "socket": None}
    for info_class, key, bads in (
        (PROTOCOL, "protocolType", (None, "x", -1, 1 << 32)), (FLAGS, "targetFlags", (None, 1.5)), (ALIAS, "targetAlias", (None, 3)),
        (INITIATOR, "initiatorName", (None, [])), (GROUPS, "portalGroups", (None, {}, [1], [{"tag": 1}], [{"portals": [bad_portal]}])),
        (MAPPINGS, "mapping", (3, {}, {**mapping_json(), "sessionId": "1"}, {**mapping_json(), "luns": [{"osLun": 1, "targetLun": "01"}]})),
        (OPTIONS, "loginOptions", (3, {}, {"informationSpecified": 0})),
    ):  # fmt: skip
        for bad in bads:
            service.replies["GetTargetInformation"] = information(**{key: bad})
            size, buffer = ulong(8192), Memory(8192)
            assert Info(form, info_class).call(size, buffer) == STATUS["ISDSC_NON_SPECIFIC_ERROR"], (key, bad)
            assert size.value == 0 and buffer.untouched()
        service.replies["GetTargetInformation"] = {"information": {}}
        assert Info(form, info_class).call(ulong(8192), Memory(8192)) == STATUS["ISDSC_NON_SPECIFIC_ERROR"]


def test_information_that_grows_between_two_calls(service, form):
    service.replies["GetTargetInformation"] = information(mapping=mapping_json(luns=1))
    size, info = ulong(0), Info(form, MAPPINGS)
    assert info.call(size, None) == TOO_SMALL
    first, buffer = size.value, Memory(size.value)
    service.replies["GetTargetInformation"] = information(mapping=mapping_json(luns=3))
    assert info.call(size, buffer) == TOO_SMALL
    assert size.value == first + 32 and buffer.untouched()
