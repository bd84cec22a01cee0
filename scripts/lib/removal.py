#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
removal.py SOURCE [--write]: which holder keeps a device of which backend, and the test of it

A row of test/removal.csv is a holder, with a cell for each backend: "refused", or "-" and
the key of a reason why there is no such holder. A refused cell is the test
test_holder[BACKEND-HOLDER] of test/whole/test_busy.py, which takes the kind of holder that
is reported from the same row:

    @holds("loop", "ublk")
    def mounted(device, service):

The backends of HOST are tested on the machine itself, what test_ublk.py names in
ISCSIDSC_HOLDERS in a guest. There nothing may be skipped; so a holder that the machine's
kernel may lack (its test can skip) has to be named there too.

With --write the table between the marks in doc/safe-removal.md is made anew; without it is
compared, as TAP.
"""
import csv
import fnmatch
import os
import re
import sys

sys.dont_write_bytecode = True
from conformance import ok  # noqa: E402

BACKENDS = ("loop", "ublk", "fuse", "nbd")
HOST = ("loop-*", "fuse-*", "nbd-*")
REASONS = {
    "file": "a file, no block device; used as one it has a loop device on top",
    "excl": "O_EXCL without O_CREAT says nothing of a file",
    "socket": "no device: who uses it is a connected client",
    "blockdev": "a device or file: nobody connects to it",
}
BEGIN, END = "<!-- made by scripts/lib/removal.py -->\n", "<!-- end -->\n"
HOLDER = re.compile(r"^@holds\(([^)]*)\)\n(?:@.*\n)*def (\w+)\((.*\n(?:[ \n#].*\n|\n)*)", re.M)
GUEST = re.compile(r'ISCSIDSC_HOLDERS="([^"]*)"')


def read(source, name):
    path = os.path.join(source, name)
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as f:
        return f.read()


def rows_of(source):
    return list(csv.DictReader(read(source, "test/removal.csv").splitlines()))


def cells_of(text):
    """{BACKEND-HOLDER: can its test skip} of what test_busy.py holds."""
    found = {}
    for backends, name, body in HOLDER.findall(text):
        for backend in re.findall(r'"(\w+)"', backends):
            found["%s-%s" % (backend, name)] = "pytest.skip" in body
    return found


def match(rows, tests, guest):
    """What is wrong with any cell."""
    wrong, due = [], set()
    for row in rows:
        for backend in BACKENDS:
            cell, value = "%s-%s" % (backend, row["holder"]), row[backend]
            if value == "refused":
                due.add(cell)
            elif not value.startswith("- ") or value[2:] not in REASONS:
                wrong.append("%s: %r is neither refused nor a reason" % (cell, value))
    wrong += ["%s: no test" % cell for cell in sorted(due - set(tests))]
    wrong += ["%s: a test, but the table does not have it" % cell for cell in sorted(set(tests) - due)]
    for cell in sorted(due & set(tests)):
        if not any(fnmatch.fnmatch(cell, p) for p in (guest if tests[cell] else (*HOST, *guest))):
            wrong.append("%s: its test is never sure to run" % cell)
    return wrong


def table(rows):
    text = "| holder | kind | %s | named by |\n|%s\n" % (" | ".join("`%s`" % b for b in BACKENDS), "---|" * (len(BACKENDS) + 3))
    notes = []
    for row in rows:
        cells = []
        for value in (row[b] for b in BACKENDS):
            if value != "refused":
                if value[2:] not in notes:
                    notes.append(value[2:])
                value = "– (%d)" % (notes.index(value[2:]) + 1)
            cells.append(value)
        text += "| %s | %s | %s | %s |\n" % (row["what"], row["kind"], " | ".join(cells), row["named by"])
    return text + "\n" + "".join("%d. %s\n" % (k + 1, REASONS.get(n, "?")) for k, n in enumerate(notes))


def document(old, rows):
    """The document with its table made anew, or None: it has no place for one."""
    head, begin, rest = old.partition(BEGIN)
    _, end, tail = rest.partition(END)
    return head + begin + "\n" + table(rows) + "\n" + end + tail if begin and end else None


def check_the_check():
    """A check that finds nothing must be able to find something."""
    text = '@holds("loop", "ublk")\n@contextlib.contextmanager\ndef a(device):\n    x\n\n    pytest.skip()\n\n\n@holds("fuse")\ndef b(d):\n    x\n'
    row = {"holder": "a", "loop": "refused", "ublk": "- file", "fuse": "- file", "nbd": "- file"}
    wrong = [] if cells_of(text) == {"loop-a": True, "ublk-a": True, "fuse-b": False} else ["holders are read as %s" % cells_of(text)]
    samples = [
        (row, {"loop-a": False}, (), 0),
        (row, {}, (), 1),
        (row, {"loop-a": False, "nbd-a": False}, (), 1),
        (row, {"loop-a": True}, ("ublk-*",), 1),
        (row, {"loop-a": True}, ("loop-a",), 0),
        ({**row, "nbd": ""}, {"loop-a": False}, (), 1),
    ]
    return wrong + ["%s is not judged right" % (s,) for s in samples if len(match([s[0]], s[1], s[2])) != s[3]]


def main():
    source = sys.argv[1]
    rows = rows_of(source)
    guest = GUEST.search(read(source, "test/whole/test_ublk.py"))
    wrong = match(rows, cells_of(read(source, "test/whole/test_busy.py")), guest[1].split() if guest else ())
    path = "doc/safe-removal.md"
    old = read(source, path)
    text = document(old, rows)
    if "--write" in sys.argv[2:]:
        if text is None:
            wrong.append(path + " has no marks for the table")
        else:
            with open(os.path.join(source, path), "w", encoding="utf-8") as f:
                f.write(text)
        for line in wrong:
            print(line, file=sys.stderr)
        return 1 if wrong else 0
    stale = [] if old == text else ["%s is stale: scripts/lib/removal.py %s --write" % (path, source)]
    good = ok(1, "the reading of holders", check_the_check())
    good = ok(2, "each cell has a test or a reason", wrong) and good
    good = ok(3, path, stale) and good
    print("1..3")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
