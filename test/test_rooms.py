#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
test_rooms.py SOURCE [ARCHIVE...]: the rooms keep to themselves

Includes follow the table of HACKING.md, and the objects of the pure rooms (the
archives given) leave nothing undefined that could do I/O, tell the time, lock or
log. Output is TAP.
"""
import os
import re
import subprocess
import sys

# Rooms that a room may include besides itself. Public headers stand for include/.
MAY = {
    "base": set(),
    "iscsi": {"base"},
    "scsi": {"base"},
    "varlink": {"base"},
    "io": {"base"},
    "initiator": {"base", "iscsi", "scsi", "io"},
    "device": {"base", "scsi", "io"},
    "discovery": {"base", "iscsi", "initiator", "io"},
    "security": {"base", "iscsi", "initiator"},
    "service": {"base", "iscsi", "scsi", "varlink", "io", "initiator", "device", "discovery", "security", "include"},
    "client": {"base", "varlink", "include"},
    "cli": {"base", "varlink", "include"},
}
PUBLIC = {"iscsidsc.h", "iscsidsc_types.h", "iscsierr.h"}

# What the pure rooms may not include of the C library.
IMPURE = re.compile(
    r"^(sys/(socket|epoll|poll|select|stat|file|mman|ioctl|wait|timerfd|eventfd|signalfd|random|time)\.h|unistd\.h|fcntl\.h|netdb\.h"
    r"|netinet/.*|arpa/.*|poll\.h|time\.h|pthread\.h|threads\.h|syslog\.h|signal\.h|dirent\.h|liburing\.h|jansson\.h|sqlite3\.h|fuse.*)$"
)

# What their objects may leave undefined: memory, strings, numbers, CRC32C, the hashes of CHAP, and what
# compilers and sanitizers put in. Functions of base are defined in its archive.
ALLOWED = re.compile(
    r"^_?_?("
    r"mem(cpy|move|set|cmp|chr|rchr|mem|pcpy)|bcmp|bzero|explicit_bzero"
    r"|str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|rchr|str|spn|cspn|pbrk|dup|ndup|cpy|ncpy|cat|chrnul|sep|tok_r|toul|toull|tol|toll)|rawmemchr|stpcpy"
    r"|isoc23_strto(ul|ull|l|ll)"
    r"|malloc|calloc|realloc|reallocarray|free|qsort|bsearch|qsort_r|abs"
    r"|snprintf|vsnprintf|assert_fail|assert|abort|errno_location|ctype_b_loc|ctype_tolower_loc|ctype_toupper_loc|tolower|toupper|isxdigit"
    r"|crc32_iscsi"
    r"|EVP_(MD_CTX_(new|free)|Digest(Init_ex|Update|Final_ex)|md5|sha1|sha256|sha3_256)|CRYPTO_memcmp"
    r"|stack_chk_(fail|guard)|(mem|str)\w+_chk|v?snprintf_chk|explicit_bzero_chk"
    r"|asan_\w+|ubsan_\w+|tsan_\w+|sanitizer_\w+|sancov_\w+|msan_\w+|gcov_\w+|llvm_\w+|GLOBAL_OFFSET_TABLE_|tls_get_addr|dso_handle|gmon_start"
    r"|(u?div|u?mod|mul|ashl|ashr|lshr)(di|ti)3|popcount[sd]i2"
    r")$"
)

number = 0
bad = 0


def ok(good, name, why=()):
    global number, bad
    number += 1
    bad += not good
    print("%sok %d - %s" % ("" if good else "not ", number, name))
    for line in why:
        print("# " + line)


def includes(path):
    with open(path, encoding="utf-8") as f:
        for n, line in enumerate(f, 1):
            m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if m:
                yield n, m.group(1), m.group(2)


def room_of(name):
    if os.path.basename(name) in PUBLIC:
        return "include"
    return name.split("/")[0] if "/" in name else None


def check_file(room, path, shown):
    wrong = []
    is_test = os.path.basename(path).startswith("test-")
    for n, kind, name in includes(path):
        to = room_of(name)
        if to in MAY or to == "include":
            if to != room and to not in MAY[room]:
                wrong.append("%s:%d: %s may not include %s" % (shown, n, room, name))
        elif kind == '"':
            wrong.append('%s:%d: "%s" is in no room' % (shown, n, name))
        elif room in ("iscsi", "scsi") and not is_test and IMPURE.match(name):
            wrong.append("%s:%d: <%s> in a pure room" % (shown, n, name))
    return wrong


def sources(directory):
    for name in sorted(os.listdir(directory)):
        if name.endswith((".c", ".h")):
            yield os.path.join(directory, name)


def check_rooms(source):
    src = os.path.join(source, "src")
    rooms = sorted(r for r in os.listdir(src) if os.path.isdir(os.path.join(src, r)))
    for room in rooms:
        if room not in MAY:
            ok(False, "includes of " + room, ["this room is not in the table"])
            continue
        wrong = []
        for path in sources(os.path.join(src, room)):
            wrong += check_file(room, path, os.path.relpath(path, source))
        ok(not wrong, "includes of " + room, wrong)
    wrong = []
    for path in sources(os.path.join(source, "include")):
        for n, kind, name in includes(path):
            if kind == '"' and os.path.basename(name) not in PUBLIC:
                wrong.append("%s:%d: %s is not installed" % (os.path.relpath(path, source), n, name))
    ok(not wrong, "includes of include", wrong)


def symbols(archive, *options):
    out = subprocess.run(["nm", "-A", *options, archive], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        where, _, rest = line.rpartition(":")
        yield where, rest.split()[-1]


def check_archive(archive, base):
    own = {name for a in (archive, *base) for _, name in symbols(a, "--defined-only")}
    wrong = []
    for where, name in symbols(archive, "--undefined-only"):
        name = name.partition("@")[0]
        if name not in own and not ALLOWED.match(name):
            wrong.append("%s: %s" % (where, name))
    ok(not wrong, "undefined symbols of " + os.path.basename(archive), sorted(set(wrong)))


def check_the_check():
    """A test that finds nothing must be able to find something."""
    for name in ("socket", "read", "write", "poll", "clock_gettime", "syslog", "pthread_mutex_lock", "open", "fopen", "printf", "getrandom",
                 "send", "recvmsg", "time", "getenv", "rand"):  # fmt: skip
        if ALLOWED.match(name):
            return ["%s is allowed" % name]
    for name in ("memcpy", "__memcpy_chk", "crc32_iscsi", "__stack_chk_fail", "__asan_report_load8", "__ubsan_handle_add_overflow"):
        if not ALLOWED.match(name):
            return ["%s is not allowed" % name]
    return []


def main():
    source, archives = sys.argv[1], sys.argv[2:]
    trouble = check_the_check()
    ok(not trouble, "the list of symbols", trouble)
    check_rooms(source)
    pure = [a for a in archives if re.search(r"lib(iscsi|scsi)\.a$", a)]
    for archive in pure:
        check_archive(archive, [a for a in archives if a not in pure])
    print("1..%d" % number)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
