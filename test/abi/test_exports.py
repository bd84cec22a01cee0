# SPDX-License-Identifier: MIT
"""The library exports Microsoft's functions and our two, and nothing else."""
import csv
import os
import re
import subprocess

SOURCE = os.environ["ISCSIDSC_SOURCE"]
LIBRARY = os.environ["ISCSIDSC_LIBRARY"]
OWN = {"iscsidsc_strerror", "iscsidsc_last_detail"}


def exported():
    out = subprocess.run(["nm", "-D", "--defined-only", "--no-weak", LIBRARY], capture_output=True, text=True, check=True)
    names = {line.split()[-1].partition("@")[0] for line in out.stdout.splitlines()}
    return {n for n in names if n != "ISCSIDSC_1" and not n.startswith("__")}


def listed():
    with open(os.path.join(SOURCE, "test/data/exports.csv"), newline="") as f:
        return {row["name"] for row in csv.DictReader(f) if row["kind"] == "function"}


def test_the_names_of_the_list_and_two_of_our_own():
    assert len(listed()) == 79
    assert exported() == listed() | OWN


def test_soname():
    out = subprocess.run(["readelf", "-d", LIBRARY], capture_output=True, text=True, check=True).stdout
    assert re.search(r"SONAME.*\[libiscsidsc\.so\.1\]", out)
