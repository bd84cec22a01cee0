# SPDX-License-Identifier: MIT
"""
Every function with an answer of the service that is wrong in one place, in many ways

A member is missing, or has another type, or a value that its field cannot hold. The
call must give a code that is documented and, unless it is a success, have written
nothing but sizes of 0; there are guards around every buffer.
"""
import copy

import pytest

from calls import OK, TOO_SMALL
from test_bad_arguments import DOCUMENTED, REPLIES, Arguments, asked, service  # noqa: F401
from winapi import ABI, STATUS, Memory

MISSING = object()
BAD = (MISSING, None, True, -1, 256, 65536, 1 << 32, (1 << 63) - 1, -(1 << 63), 1.5, "", "x", "0", "0-0", "f" * 16, "x" * 300, "x" * 5000, "\u20ac" * 200, [], [1], {}, {"a": 1})
FUNCTIONS = ABI["functions"]


def places(value, path=()):
    """Every place of a reply, from the outside to the inside."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value[:1])
    else:
        return
    for key, inner in items:
        yield path + (key,)
        yield from places(inner, path + (key,))


def spoilt(reply, path, bad):
    reply = copy.deepcopy(reply)
    place = reply
    for key in path[:-1]:
        place = place[key]
    if bad is not MISSING:
        place[path[-1]] = bad
    else:
        del place[path[-1]]
    return reply


@pytest.mark.parametrize("function", FUNCTIONS, ids=[f["name"] for f in FUNCTIONS])
def test_replies(service, function):  # noqa: F811
    asked(service)
    assert Arguments(function).call() == OK
    ((method, _), *_) = asked(service)
    good = REPLIES.get(method, {})
    tried = failed = 0
    try:
        for path in places(good):
            for bad in BAD:
                service.replies[method] = spoilt(good, path, bad)
                a = Arguments(function)
                status = a.call()
                tried += 1
                assert status in DOCUMENTED, (path, bad)
                if status in (OK, TOO_SMALL):
                    continue
                failed += 1
                sizes = {p.name for p in a.list if p.kind == "size"} | {"ScsiStatus"}
                assert a.changed <= sizes, (path, bad)
                assert all(a.number(name) == 0 for name in sizes if isinstance(a.at.get(name), Memory)), (path, bad)
    finally:
        service.replies[method] = good
        asked(service)
    assert not good or (tried >= 20 and failed >= 10), (tried, failed)


def test_lists_of_what_is_no_object(service):  # noqa: F811
    """A reply that is wrong as a whole."""
    for function in FUNCTIONS:
        asked(service)
        assert Arguments(function).call() == OK
        ((method, _), *_) = asked(service)
        good = REPLIES.get(method, {})
        if not good:
            continue
        service.replies[method] = {}
        assert Arguments(function).call() == STATUS["ISDSC_NON_SPECIFIC_ERROR"], function["name"]
        service.replies[method] = good
