# SPDX-License-Identifier: MIT
"""
The binary interface is the one that is stored: programs that were built with it go on
working. Whoever adds something stores the new text; what is there is never changed.

    test/abi/dump_abi.py include build/src/client/libiscsidsc.so.1 >test/data/abi-x86_64.txt
"""
import difflib
import os
import platform

import pytest

from dump_abi import dump

SOURCE = os.environ["ISCSIDSC_SOURCE"]
STORED = os.path.join(SOURCE, "test/data/abi-%s.txt" % platform.machine())


def now(compiler):
    return dump(os.path.join(SOURCE, "include"), os.environ["ISCSIDSC_LIBRARY"], compiler)


def stored():
    if not os.path.exists(STORED):
        pytest.skip("no interface is stored for " + platform.machine())
    with open(STORED) as f:
        return f.read()


def test_interface_is_as_stored():
    was, is_ = stored().splitlines(), now(os.environ["CC"].split()).splitlines()
    assert is_ == was, "\n".join(difflib.unified_diff(was, is_, "stored", "now", lineterm="", n=1))


def test_the_stored_text_is_whole():
    """What abi.json counts is all there, so that nothing was lost with the way it is read."""
    kinds = [line.split()[0] for line in stored().splitlines() if not line.startswith(" ")]
    assert {k: kinds.count(k) for k in ("structure", "enumeration", "constant", "function", "symbol", "form")} == {
        "structure": 26 + 3, "enumeration": 5, "constant": 39 + 104 + 19, "function": 79 + 2, "symbol": 79 + 2, "form": 33 + 18,
    }  # fmt: skip
