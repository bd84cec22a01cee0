# SPDX-License-Identifier: MIT
"""The public headers in every language they are for, and beside other headers."""
import json
import os
import re
import subprocess

import pytest

SOURCE = os.environ["ISCSIDSC_SOURCE"]
INCLUDE = os.path.join(SOURCE, "include")
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wundef", "-Werror"]
C = [("c", std) for std in ("c99", "c11", "c17", "gnu17")]
CPP = [("c++", std) for std in ("c++11", "c++17", "c++20")]
HEADERS = ("iscsidsc.h", "iscsierr.h", "iscsidsc_types.h")


def check(language, std, text, *args):
    compiler = os.environ.get("CC" if language == "c" else "CXX")
    if not compiler:
        pytest.skip("no compiler for " + language)
    command = compiler.split() + ["-x", language, "-std=" + std, *STRICT, "-I", INCLUDE, *args, "-fsyntax-only", "-"]
    result = subprocess.run(command, input=text, text=True, capture_output=True)
    return result.stderr if result.returncode else ""


@pytest.mark.parametrize("language,std", C + CPP)
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("form", ([], ["-DUNICODE"]))
def test_alone_and_twice(language, std, header, form):
    assert check(language, std, "#include <%s>\n#include <%s>\n" % (header, header), *form) == ""


@pytest.mark.parametrize("language,std", [("c", "c11"), ("c", "c17"), ("c++", "c++11"), ("c++", "c++17")])
def test_wide_text_is_written_as_u(language, std):
    assert check(language, std, """
#include <iscsidsc.h>
static WCHAR name[] = u"iqn.2026-11.local.disk:\\u00e9";
ISDSC_STATUS set(void);
ISDSC_STATUS set(void) { return SetIScsiInitiatorNodeNameW(name); }
""") == ""


OWN_TYPES = """
#include <stdint.h>
typedef char CHAR, *PCHAR, *PSTR;
typedef unsigned char UCHAR, *PUCHAR, BOOLEAN;
typedef unsigned short USHORT, *PUSHORT;
typedef unsigned short WCHAR, *PWCHAR, *PWSTR;
typedef unsigned int %(ulong)s, *PULONG, DWORD;
typedef unsigned long long ULONGLONG;
typedef void *PVOID;
typedef struct { unsigned int a; unsigned short b, c; unsigned char d[8]; } GUID;
#define WINAPI
#define TRUE 1
#define MAX_PATH 260
#define FILE_DEVICE_DISK 7
#define ERROR_SUCCESS 0
#define ERROR_INSUFFICIENT_BUFFER 122
%(opt)s
#include <iscsidsc.h>
int use(ISCSI_DEVICE_ON_SESSIONW *d);
int use(ISCSI_DEVICE_ON_SESSIONW *d) { return d->DeviceInterfaceType.a == 0 && MAX_PATH == 260; }
"""


@pytest.mark.parametrize("language,std", C + CPP)
@pytest.mark.parametrize("opt", ("#define ISCSIDSC_NO_WINDOWS_TYPES", "#define _WINNT_"))
def test_program_with_windows_types_of_its_own(language, std, opt):
    assert check(language, std, OWN_TYPES % {"ulong": "ULONG", "opt": opt}) == ""


def test_own_types_of_a_wrong_size_are_refused():
    text = OWN_TYPES % {"ulong": "ulong_t", "opt": "typedef unsigned long ULONG;\n#define ISCSIDSC_NO_WINDOWS_TYPES"}
    assert "iscsidsc_check_ulong" in check("c", "c17", text)


def test_storage_types_of_its_own():
    assert check("c", "c17", """
typedef struct { int x; } SCSI_ADDRESS_OTHER;
#include <stdint.h>
typedef uint32_t DEVICE_TYPE;
typedef struct { uint32_t a; uint8_t b[4]; } SCSI_ADDRESS;
typedef struct { uint32_t a, b, c; } STORAGE_DEVICE_NUMBER;
#define ISCSIDSC_NO_STORAGE_TYPES
#include <iscsidsc.h>
_Static_assert(sizeof(ISCSI_DEVICE_ON_SESSIONA) == 1040, "");
""") == ""


def test_macros_that_exist_are_left_as_they_are():
    assert check("c", "c17", """
#define ERROR_ACCESS_DENIED mine
#define MAX_PATH 260
#include <iscsidsc.h>
enum { mine = 5 };
_Static_assert(ERROR_ACCESS_DENIED == 5, "");
""") == ""


def test_status_codes_can_be_used_by_the_preprocessor():
    assert check("c", "c99", """
#include <iscsierr.h>
#if ISDSC_SERVICE_NOT_RUNNING != 0xEFFF003EU || ERROR_INSUFFICIENT_BUFFER != 122
#error
#endif
""") == ""


def macros(text, *args):
    """Names of macros that are there after @text."""
    command = os.environ["CC"].split() + ["-x", "c", "-std=c17", "-I", INCLUDE, *args, "-dM", "-E", "-"]
    out = subprocess.run(command, input=text, text=True, capture_output=True, check=True).stdout
    return {re.match(r"#define (\w+)", line)[1] for line in out.splitlines()}


@pytest.mark.parametrize("form", ([], ["-DUNICODE"]))
def test_no_macro_but_those_of_the_interface(form):
    with open(os.path.join(SOURCE, "test/data/abi.json")) as f:
        abi = json.load(f)
    known = {x["name"] for kind in ("constants", "external_constants", "status_codes") for x in abi[kind]}
    known |= {m if isinstance(m, str) else m["name"] for m in abi["unsuffixed_macros"]} | {t["alias"] for t in abi["tchar_aliases"]}
    known |= {"WINAPI", "TRUE", "FALSE", "GUID_DEFINED", "ERROR_CALL_NOT_IMPLEMENTED", "FILE_DEVICE_TAPE", "FILE_DEVICE_CHANGER"}
    added = macros("#include <iscsidsc.h>\n", *form) - macros("#include <stdint.h>\n", *form)
    assert {m for m in added - known if not m.startswith(("ISCSIDSC_", "ISCSIERR_H"))} == set()


ORDER = ("stdio.h", "stdlib.h", "string.h", "unistd.h", "sys/socket.h", "netinet/in.h", "sys/ioctl.h", "linux/types.h", "scsi/sg.h", "pthread.h", "uchar.h")


@pytest.mark.parametrize("language,std", [("c", "gnu99"), ("c", "gnu17"), ("c++", "gnu++17")])
@pytest.mark.parametrize("first", (True, False))
def test_beside_headers_of_the_system(language, std, first):
    others = "".join("#include <%s>\n" % h for h in ORDER)
    ours = "#include <iscsidsc.h>\n"
    assert check(language, std, ours + others if first else others + ours) == ""


@pytest.mark.parametrize("args", (["-fshort-wchar"], ["-funsigned-char"], ["-fpack-struct=8"], ["-fshort-enums"], ["-m32"]))
def test_layout_is_the_same_with_options_that_change_types(args):
    """But for enumerations made short, which the header cannot allow."""
    if args == ["-m32"] and check("c", "c17", "#include <stdint.h>\n", "-m32"):
        pytest.skip("no headers of the C library for 32 bits")
    text = """
#include <iscsidsc.h>
_Static_assert(sizeof(ISCSI_TARGET_PORTALW) == 1026 && sizeof(ISCSI_DEVICE_ON_SESSIONA) == 1040, "");
_Static_assert(sizeof(WCHAR) == 2 && sizeof(ISCSI_AUTH_TYPES) == 4, "");
"""
    assert (check("c", "c17", text, *args) == "") == (args != ["-fshort-enums"])
