#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
conformance.py SOURCE [--write]: which test proves which behaviour

The rows of test/conformance.csv are behaviours that an initiator has to show,
numbered as in the UNH-IOL test suites for initiators. A test proves a row by
carrying its number in its name:

    unh_login_7_2_22_1_invalid_auth_method    login 7.2 and login 22.1
    unh_chap_3_4_base64_of_every_length       chap 3.x (.x takes every number below 3)
    own_ffp_reject_of_a_command               ffp reject (rows that have no number there)

With --write doc/conformance.md is made anew; without it is compared, as TAP. A row
needs a test or a reason in its last column why there is none, and not both.
"""
import csv
import os
import re
import sys

TITLES = {"login": "Login phase", "ffp": "Full feature phase", "chap": "CHAP"}
HEAD = """# Conformance

Behaviours that an initiator has to show, with the numbers that the UNH-IOL test
suites for iSCSI initiators give them (rows without a number are ours), and the tests
that prove each. Made by `scripts/lib/conformance.py . --write` from
`test/conformance.csv` and the names of the tests; a test fails when it is not up to
date.
"""
C_TEST = re.compile(r"^static void ((?:unh|own)_(?:login|ffp|chap)_\w+)\(void \*\*\w+\)", re.M)
PY_TEST = re.compile(r"^def test_((?:unh|own)_(?:login|ffp|chap)_\w+)\(", re.M)


def rows_of(source):
    with open(os.path.join(source, "test/conformance.csv"), encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def tests_of(source):
    """(name, file, is it run) of every test that carries a number."""
    for top in ("src", "test"):
        for directory, _, names in sorted(os.walk(os.path.join(source, top))):
            for name in sorted(names):
                path = os.path.join(directory, name)
                shown = os.path.relpath(path, source)
                if re.match(r"test[-_].*\.c$", name):
                    with open(path, encoding="utf-8") as f:
                        text = f.read()
                    for test in C_TEST.findall(text):
                        yield test, shown, len(re.findall(r"\b%s\b" % test, text)) > 1
                elif re.match(r"test_.*\.py$", name):
                    with open(path, encoding="utf-8") as f:
                        for test in PY_TEST.findall(f.read()):
                            yield test, shown, True


def numbers_of(test, rows):
    """The rows that a name carries, as (area, number)."""
    kind, area, rest = test.split("_", 2)
    known = {r["number"] for r in rows if r["area"] == area}
    if kind == "own":
        return [(area, n) for n in known if rest.startswith(n + "_")]
    digits = re.match(r"(?:\d+_)*", rest)[0].split("_")[:-1]
    pairs = ["%s.%s" % (a, b) for a, b in zip(digits[::2], digits[1::2])]
    found = []
    for pair in pairs:
        whole = pair.split(".")[0] + ".x"
        found.append((area, whole if whole in known else pair))
    return found if len(digits) % 2 == 0 else []


def match(rows, tests):
    """The tests of each row, and what is wrong with any of them."""
    proof = {(r["area"], r["number"]): [] for r in rows}
    wrong = []
    for test, path, runs in tests:
        numbers = numbers_of(test, rows)
        if not numbers:
            wrong.append("%s: %s carries no number" % (path, test))
        if not runs:
            wrong.append("%s: %s is not run" % (path, test))
        for number in numbers:
            if number not in proof:
                wrong.append("%s: %s: there is no %s %s" % (path, test, *number))
            else:
                proof[number].append((test, path))
    for row in rows:
        tested = proof[row["area"], row["number"]]
        if not tested and not row["reason"]:
            wrong.append("%s %s has neither a test nor a reason" % (row["area"], row["number"]))
        if tested and row["reason"]:
            wrong.append("%s %s has a test: strike its reason" % (row["area"], row["number"]))
    return proof, wrong


def document(rows, proof):
    text = HEAD
    area = None
    for row in rows:
        if row["area"] != area:
            area = row["area"]
            text += "\n## %s\n\n| no. | behaviour | proved by |\n|---|---|---|\n" % TITLES[area]
        tested = ["`%s` (%s)" % (name, os.path.basename(path)) for name, path in proof[area, row["number"]]]
        number = row["number"] if row["number"][0].isdigit() else "–"
        text += "| %s | %s | %s |\n" % (number, row["what"], "<br>".join(tested) or "not tested: " + row["reason"])
    return text


def check_the_check(rows):
    """A check that finds nothing must be able to find something."""
    samples = {
        "unh_login_7_2_22_1_invalid": [("login", "7.2"), ("login", "22.1")],
        "unh_chap_3_14_odd": [("chap", "3.x")],
        "unh_login_7_faulty": [],
        "own_login_c_bit_of_ours": [("login", "c_bit")],
        "own_login_other": [],
    }
    wrong = ["%s gives %s" % (n, numbers_of(n, rows)) for n, due in samples.items() if numbers_of(n, rows) != due]
    if not match([{"area": "login", "number": "1.1", "what": "", "reason": ""}], [])[1]:
        wrong.append("a row without a test is not missed")
    return wrong


def ok(number, what, why):
    print("%sok %d - %s" % ("not " if why else "", number, what))
    for line in why:
        print("# " + line)
    return not why


def main():
    source = sys.argv[1]
    rows = rows_of(source)
    proof, wrong = match(rows, tests_of(source))
    path = os.path.join(source, "doc/conformance.md")
    text = document(rows, proof)
    if "--write" in sys.argv[2:]:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        for line in wrong:
            print(line, file=sys.stderr)
        return 1 if wrong else 0
    old = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            old = f.read()
    stale = [] if old == text else ["doc/conformance.md is stale: scripts/lib/conformance.py %s --write" % source]
    good = ok(1, "the reading of names", check_the_check(rows))
    good = ok(2, "each row has a test or a reason", wrong) and good
    good = ok(3, "doc/conformance.md", stale) and good
    print("1..3")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
