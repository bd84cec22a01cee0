# SPDX-License-Identifier: MIT
"""
Writes a program that compiles only when iscsidsc.h has the binary interface that
abi.json describes: every size, alignment, offset, type, value and signature. Run,
it checks what no compiler can (the bytes of GUIDs) and that every function links.

gen-abi.py ABI.JSON ERRORS.CSV OUTPUT
"""
import csv
import json
import sys

PRELUDE = """\
#include "iscsidsc.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
#include <type_traits>
#define ASSERT(e) static_assert(e, #e)
#define ALIGN(t) alignof(t)
#define TYPE_IS(place, ...) ASSERT((std::is_same<decltype(&(place)), __VA_ARGS__>::value))
#else
#define ASSERT(e) _Static_assert(e, #e)
#define ALIGN(t) _Alignof(t)
#define TYPE_IS(place, ...) ASSERT(_Generic(&(place), __VA_ARGS__: 1, default: 0))
#endif

/* 64-bit machines; i386, which aligns 8 bytes to 4; other 32-bit machines */
#if __SIZEOF_POINTER__ == 8
#define L(m64, i386, m32) (m64)
#elif defined(__i386__)
#define L(m64, i386, m32) (i386)
#else
#define L(m64, i386, m32) (m32)
#endif
"""

GROUPS_IN_TYPES = ("length_limit", "storage_device_type", "win32_error", "winsock_error")


def layouts(of):
    return "L(%d, %d, %d)" % (of["linux_x86_64_natural"], of["linux_i386_natural"], of["windows_i386"])


def base_types(abi):
    for t in abi["base_types"]:
        yield "ASSERT(sizeof(%s) == %s);" % (t["name"], layouts(t["size"]))
        yield "ASSERT(ALIGN(%s) == %s);" % (t["name"], layouts(t["align"]))
    for t in abi["scalar_typedefs"]:
        yield "TYPE_IS(*(%s *)NULL, %s *);" % (t["name"], t["underlying"])
        if t["pointer_typedef"]:
            yield "TYPE_IS(*(%s)NULL, %s *);" % (t["pointer_typedef"], t["name"])


def values(abi, errors):
    for c in abi["constants"] + abi["external_constants"] + abi["status_codes"]:
        yield "ASSERT((unsigned long long)(%s) == %dULL);" % (c["name"], c["value"])
    for row in errors:
        yield "ASSERT((ISDSC_STATUS)%s == %sU);" % (row["name"], row["hex"])
    for e in abi["enums"]:
        yield "ASSERT(sizeof(%s) == %s);" % (e["name"], layouts(e["size"]))
        yield "TYPE_IS(*(%s)NULL, %s *);" % (e["pointer_typedef"], e["name"])
        for v in e["values"]:
            yield "ASSERT(%s == %d);" % (v["name"], v["value"])


def structures(abi):
    for s in abi["structs"]:
        name = s["name"]
        yield "ASSERT(sizeof(%s) == %s);" % (name, layouts({k: v["size"] for k, v in s["layout"].items()}))
        yield "ASSERT(ALIGN(%s) == %s);" % (name, layouts({k: v["align"] for k, v in s["layout"].items()}))
        for other in s["other_typedef_names"]:
            if other.startswith("*"):
                yield "TYPE_IS(*(%s)NULL, %s *);" % (other[1:], name)
            else:
                yield "TYPE_IS(*(%s *)NULL, %s *);" % (other, name)
        if s["tag"]:
            yield "TYPE_IS(*(struct %s *)NULL, %s *);" % (s["tag"], name)
        for m in s["members"]:
            place = "((%s *)NULL)->%s" % (name, m["name"])
            yield "ASSERT(offsetof(%s, %s) == %s);" % (name, m["name"], layouts(m["offset"]))
            yield "ASSERT(sizeof(%s) == %s);" % (place, layouts(m["size"]))
            if m["array_dim"]:
                yield "TYPE_IS(%s, %s (*)[%s]);" % (place, m["c_type"], m["array_dim"])
            else:
                yield "TYPE_IS(%s, %s *);" % (place, m["c_type"])


def signature(function, name, called):
    types = ", ".join(p["type"] for p in function["parameters"]) or "void"
    return "static %s (WINAPI *const %s)(%s) = %s;" % (function["returns"], name, types, called)


def functions(abi):
    for f in abi["functions"]:
        yield signature(f, "signature_" + f["name"], f["name"])


def unsuffixed(abi):
    """The names without A and W mean the form that UNICODE chooses."""
    by_name = {f["name"]: f for f in abi["functions"]}
    families = [m if isinstance(m, str) else m["name"] for m in abi["unsuffixed_macros"]]
    for condition, form in (("#ifdef UNICODE", "W"), ("#else", "A")):
        yield condition
        for t in abi["tchar_aliases"]:
            chosen = t["when_UNICODE"] if form == "W" else t["otherwise"]
            yield "TYPE_IS(*(%s *)NULL, %s *);" % (t["alias"], chosen)
        for family in families:
            yield signature(by_name[family + form], "unsuffixed_" + family, family)
    yield "#endif"
    yield "static const void *const unsuffixed[] = {"
    for family in families:
        yield "\t&unsuffixed_%s," % family
    yield "};"


def program(abi):
    yield "static const struct { const GUID *guid; const char *bytes; } guids[] = {"
    for g in abi["guids"]:
        octets = "".join("\\x%s" % g["memory_bytes_hex"][i : i + 2] for i in range(0, 32, 2))
        yield '\t{&%s, "%s"},' % (g["name"], octets)
    yield "};"
    yield "int main(void)\n{\n\tsize_t n = 0, bad = 0;\n"
    for f in abi["functions"]:
        yield "\tn += signature_%s != NULL;" % f["name"]
    yield "\tfor (size_t i = 0; i < sizeof(guids) / sizeof(guids[0]); i++)"
    yield "\t\tbad += memcmp(guids[i].guid, guids[i].bytes, sizeof(GUID)) != 0;"
    yield "\tfor (size_t i = 0; i < sizeof(unsuffixed) / sizeof(unsuffixed[0]); i++)"
    yield "\t\tbad += unsuffixed[i] == NULL;"
    yield '\tprintf("%zu functions, %zu wrong\\n", n, bad);'
    yield "\treturn n == %d && bad == 0 ? 0 : 1;\n}" % abi["counts"]["functions"]


def main():
    with open(sys.argv[1]) as f:
        abi = json.load(f)
    with open(sys.argv[2], newline="") as f:
        errors = list(csv.DictReader(f))
    if len(abi["functions"]) != 79 or len(abi["status_codes"]) != 104:
        raise SystemExit("abi.json is not complete")
    with open(sys.argv[3], "w") as f:
        f.write(PRELUDE)
        for part in (base_types(abi), values(abi, errors), structures(abi), functions(abi), unsuffixed(abi), program(abi)):
            f.write("\n" + "\n".join(part) + "\n")


if __name__ == "__main__":
    main()
