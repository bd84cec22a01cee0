# SPDX-License-Identifier: MIT
"""What the library sends is what doc/io.iscsidsc.Initiator.varlink describes, member by member."""
import os
import re

import pytest

from calls import OK
from test_bad_arguments import Arguments, asked, parameters, service  # noqa: F401
from winapi import ABI, SOURCE

with open(os.path.join(SOURCE, "doc/io.iscsidsc.Initiator.varlink")) as f:
    TEXT = re.sub(r"#.*", "", f.read())


def members(text):
    return {name: kind for name, kind in re.findall(r"(\w+)\s*:\s*(\??(?:\[\])?\w+)", text)}


TYPES = {name: members(body) for name, body in re.findall(r"^type (\w+) \((.*?)^\)", TEXT, re.S | re.M)}
METHODS = {name: members(body) for name, body in re.findall(r"^method (\w+)\((.*?)\)\s*->", TEXT, re.S | re.M)}
PLAIN = {"string": str, "int": int, "bool": bool}


def faults(value, kind, where):
    if kind.startswith("?"):
        return [] if value is None else faults(value, kind[1:], where)
    if kind.startswith("[]"):
        if not isinstance(value, list):
            return [where + " is no list"]
        return [x for i, v in enumerate(value) for x in faults(v, kind[2:], "%s[%d]" % (where, i))]
    if kind in PLAIN:
        right = type(value) is PLAIN[kind]
        return [] if right else ["%s is %r, not %s" % (where, value, kind)]
    return of_object(value, TYPES[kind], where)


def of_object(value, wanted, where):
    if not isinstance(value, dict):
        return [where + " is no object"]
    found = ["%s.%s is not known" % (where, k) for k in value if k not in wanted]
    found += ["%s.%s is missing" % (where, k) for k, kind in wanted.items() if k not in value and not kind.startswith("?")]
    return found + [x for k, v in value.items() if k in wanted for x in faults(v, wanted[k], where + "." + k)]


def test_the_interface_was_understood():
    assert len(METHODS) == len(re.findall(r"^method ", TEXT, re.M)) and len(TYPES) == len(re.findall(r"^type ", TEXT, re.M))
    assert METHODS["AddConnection"] == {"sessionId": "string", "initiatorPort": "int", "portal": "?Portal", "securityFlags": "int",
                                        "loginOptions": "?LoginOptions", "key": "?string"}  # fmt: skip
    assert of_object({"initiatorPort": True, "x": 1}, METHODS["AddConnection"], "") != []


@pytest.mark.parametrize("function", ABI["functions"], ids=[f["name"] for f in ABI["functions"]])
def test_calls_are_as_described(service, function):  # noqa: F811
    """With everything given, and with each that may be NULL left out."""
    asked(service)
    optional = [p.name for p in parameters(function) if p.optional() and p.kind in ("text", "record in", "tag")]
    for gone in [(), *[(name,) for name in optional], tuple(optional)]:
        a = Arguments(function)
        a.at.update({name: None for name in gone})
        assert a.call() == OK, gone
        for method, sent in asked(service):
            assert of_object(sent, METHODS[method], method) == [], gone
