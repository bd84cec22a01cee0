# SPDX-License-Identifier: MIT
"""
Statuses: the command line has a text for every code, and it is that of the one table,
src/base/status.c, from which the library speaks as well (test/abi/test_service.py).
"""
import csv
import json
import os
import re

import bed
import pytest
from fake_service import Error

with open(os.path.join(bed.SOURCE, "test/data/errors.csv"), newline="") as f:
    LISTED = {row["name"]: int(row["hex"], 16) for row in csv.DictReader(f)}
with open(os.path.join(bed.SOURCE, "src/base/status.c")) as f:
    TABLE = {name: (int(code, 16), text) for code, name, text in re.findall(r'^\t\{(0x[0-9A-F]{8}), "(\w+)", "(.*)"\},$', f.read(), re.M)}


def test_table_has_every_code_under_its_name():
    assert sum(name.startswith("ISDSC_") for name in LISTED) == 104
    assert {name: TABLE[name][0] for name in LISTED} == LISTED
    assert len({text for _, text in TABLE.values()}) == len(TABLE)


def test_command_line_says_each(fake):
    """As the service refuses with it: the text on the output, the symbol in JSON."""
    for name, (code, text) in TABLE.items():
        if code == 0:
            continue
        fake.replies["Logout"] = Error(code)
        assert text in fake.cli("LogoutTarget", "1-2").out, name
        told = json.loads(fake.cli("LogoutTarget", "1-2", "--json").last)
        assert (told["Message"], told["StatusName"], told["Status"]) == (text, name, code)


def sources(*rooms):
    for room in rooms:
        for directory, _, names in os.walk(os.path.join(bed.SOURCE, "src", room)):
            for name in names:
                if re.search(r"\.[ch]$", name) and not name.startswith("test-") and name != "status.c":
                    with open(os.path.join(directory, name)) as f:
                        yield name, re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)


def test_every_code_that_is_used_is_in_the_table():
    used = {}
    for file, text in sources("base", "client", "cli", "service", "discovery"):
        for name in re.findall(r"\b(?:ISDSC|ERROR|WSA)_?[A-Z0-9_]+\b", text):
            used.setdefault(name, file)
    del used["ISDSC_STATUS"]
    assert {name: file for name, file in used.items() if name not in TABLE} == {}
    # and those of which the service has names of its own
    for file, text in sources("service"):
        for name, value in re.findall(r"^#define WIN_(\w+)\s+(\d+)u?$", text, re.M):
            assert TABLE["ERROR_" + name][0] == int(value), (file, name)


@pytest.mark.parametrize("code", (1, 12345, 0xEFFF0000, 0xFFFFFFFF))
def test_code_that_nobody_knows(fake, code):
    fake.replies["Logout"] = Error(code, "what it was")
    r = fake.cli("LogoutTarget", "1-2")
    assert r.code != 0 and "Status: 0x%x" % code in r.lines
