#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""count.py meson|junit FILE OUT: counts results; prints why tests were skipped.

Writes `passed failed skipped` to OUT. A file that is not there counts as one failure:
whatever should have written it has not run.
"""
import json
import sys
import xml.etree.ElementTree


def meson(path):
    passed = failed = skipped = 0
    for line in open(path):
        test = json.loads(line)
        result = test["result"]
        if result in ("OK", "EXPECTEDFAIL"):
            passed += 1
        elif result == "SKIP":
            skipped += 1
            words = (test.get("stdout", "") + test.get("stderr", "")).strip().splitlines()
            print(f"skipped {test['name']}: {words[-1] if words else 'no reason given'}")
        else:
            failed += 1
            print(f"FAILED {test['name']}: {result}")
    return passed, failed, skipped


def junit(path):
    passed = failed = skipped = 0
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            print(f"FAILED {case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


kind, path, out = sys.argv[1:]
try:
    counts = {"meson": meson, "junit": junit}[kind](path)
except (OSError, ValueError, xml.etree.ElementTree.ParseError) as e:
    print(f"FAILED {path}: {e}")
    counts = (0, 1, 0)
print("%d passed, %d failed, %d skipped here" % counts)
with open(out, "w") as f:
    f.write("%d %d %d\n" % counts)
