#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
count.py meson|junit FILE OUT: counts what tests said; names failures, gives the reasons of skips

A test program of meson counts as the tests that it reports: those of cmocka, of
pytest, or the lines of TAP; one that reports nothing, or ended otherwise than its
report says, counts as one. OUT gets "passed failed skipped". A FILE that is not there
counts as one failure: what should have written it has not run.
"""
import json
import re
import sys
import xml.etree.ElementTree

LAST_WORDS = 3


def of_cmocka(text):
    """A program may run several groups; each has a summary."""
    passed = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) test\(s\)\.", text, re.M))
    failed = sum(int(n) for n in re.findall(r"^\[  FAILED  \] (?:\S+: )?(\d+) test\(s\), listed below", text, re.M))
    skipped = sum(int(n) for n in re.findall(r"^\[  SKIPPED \] (\d+) test\(s\), listed below", text, re.M))
    return (passed, failed, skipped) if re.search(r"^\[==========\]", text, re.M) else None


def of_pytest(text):
    lines = [line for line in text.splitlines() if re.search(r"\d+ (passed|failed|skipped|error).* in [\d.]+s", line)]
    if not lines:
        return None
    n = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1])}
    return n.get("passed", 0), n.get("failed", 0) + n.get("error", 0), n.get("skipped", 0)


def of_tap(text):
    if not re.search(r"^1\.\.\d+", text, re.M):
        return None
    skipped = len(re.findall(r"^ok\b.*# SKIP", text, re.M | re.I))
    return len(re.findall(r"^ok\b", text, re.M)) - skipped, len(re.findall(r"^not ok\b", text, re.M)), skipped


def reasons(text):
    """Lines that say why something was skipped."""
    found = [line.strip() for line in text.splitlines() if re.search(r"# SKIP|^SKIPPED \[|\bskip(ped|ping)?:", line, re.I)]
    if found:
        return found
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("[")]
    return lines[-LAST_WORDS:] or ["no reason given"]


def meson_test(test):
    text = test.get("stdout", "") + "\n" + test.get("stderr", "")
    counts = of_cmocka(text) or of_pytest(text) or of_tap(text)
    result = test["result"]
    if result in ("OK", "EXPECTEDFAIL"):
        counts = counts or (1, 0, 0)
        if counts[1]:
            counts = (counts[0], 0, counts[2])
    elif result == "SKIP":
        counts = (0, 0, max(1, counts[2] if counts else 0))
    else:
        print("FAILED %s: %s" % (test["name"], result))
        counts = (counts[0], max(1, counts[1]), counts[2]) if counts else (0, 1, 0)
    if counts[2]:
        for line in reasons(text):
            print("skipped in %s: %s" % (test["name"], line))
    return counts


def meson(path):
    with open(path) as f:
        return [sum(n) for n in zip(*(meson_test(json.loads(line)) for line in f))] or [0, 1, 0]


def junit(path):
    passed = failed = skipped = 0
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        name = "%s.%s" % (case.get("classname"), case.get("name"))
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            print("FAILED " + name)
        elif case.find("skipped") is not None:
            skipped += 1
            print("skipped %s: %s" % (name, case.find("skipped").get("message")))
        else:
            passed += 1
    return passed, failed, skipped


def main():
    kind, path, out = sys.argv[1:]
    try:
        counts = {"meson": meson, "junit": junit}[kind](path)
    except (OSError, ValueError, xml.etree.ElementTree.ParseError) as e:
        print("FAILED %s: %s" % (path, e))
        counts = (0, 1, 0)
    print("%d passed, %d failed, %d skipped here" % tuple(counts))
    with open(out, "w") as f:
        f.write("%d %d %d\n" % tuple(counts))


if __name__ == "__main__":
    main()
