# SPDX-License-Identifier: MIT
"""
The binary interface as text: what the headers say to a compiler of this machine, and
what the library exports

Nothing here knows what it should be: structures, values and functions are taken from
the headers as they are, so that whatever is added, moved or lost shows in the stored
text (test/data/abi-MACHINE.txt) as a line.

dump_abi.py INCLUDE-DIRECTORY LIBRARY [COMPILER...]
"""
import os
import re
import subprocess
import sys
import tempfile

HEADERS = ("iscsidsc_types.h", "iscsierr.h", "iscsidsc.h")


def text_of(include):
    """All headers without comments and without continued lines."""
    text = ""
    for name in HEADERS:
        with open(os.path.join(include, name)) as f:
            text += f.read()
    return re.sub(r"\\\n", " ", re.sub(r"/\*.*?\*/", "", text, flags=re.S))


def squeezed(text):
    return re.sub(r"\s+", " ", text).strip()


def structures(text):
    """(name, members) of each structure; one in an unnamed union is a member as any other."""
    for body, names in re.findall(r"^typedef struct(?: \w+)? \{\n(.*?)^\} ([^;]+);", text, re.S | re.M):
        body = re.sub(r"ISCSIDSC_EXTENSION union \{(.*?)\};", r"\1", body, flags=re.S)
        members = [re.search(r"(\w+)(?:\[[^]]*\])?$", m.strip())[1] for m in body.split(";") if m.strip()]
        yield squeezed(names).split(",")[0], members


def enumerators(text):
    for body, names in re.findall(r"^typedef enum \{\n(.*?)^\} ([^;]+);", text, re.S | re.M):
        yield squeezed(names).split(",")[0], re.findall(r"^\t(\w+) =", body, re.M)


def scalars(text):
    found = re.findall(r"^typedef (?!struct|enum)[\w ]+? (\w+(?:, ?\*\w+)*);", text, re.M)
    return dict.fromkeys(name for names in found for name in re.findall(r"\w+", names))


def constants(text):
    """Macros that are a number for a program."""
    return re.findall(r"^[ \t]*#define ((?:ISCSI|ISDSC|MAX|ID|IKE|ERROR|WSA|RPC|FILE)_\w+|TRUE|FALSE)[ \t]+[(0-9M]", text, re.M)


def functions(text):
    found = re.findall(r"^((?:ISDSC_STATUS WINAPI|const char \*)\s*\w+\([^;{]*\));", text, re.M)
    return sorted(squeezed(f) for f in found)


def chosen(text):
    """Names that mean the form UNICODE chooses."""
    return sorted(set(re.findall(r"^#define (\w+)\s+\1[AW]$", text, re.M)))


def program(text):
    yield '#include "iscsidsc.h"\n#include <stddef.h>\n#include <stdio.h>\nint main(void)\n{'
    for name in scalars(text):
        yield '\tprintf("type %s size %%zu align %%zu\\n", sizeof(%s), _Alignof(%s));' % (name, name, name)
    for name, members in structures(text):
        yield '\tprintf("structure %s size %%zu align %%zu\\n", sizeof(%s), _Alignof(%s));' % (name, name, name)
        for m in members:
            yield '\tprintf("  %%zu %s size %%zu\\n", offsetof(%s, %s), sizeof(((%s *)0)->%s));' % (m, name, m, name, m)
    for name, values in enumerators(text):
        yield '\tprintf("enumeration %s size %%zu\\n", sizeof(%s));' % (name, name)
        for v in values:
            yield '\tprintf("  %s %%d\\n", (int)%s);' % (v, v)
    for name in constants(text):
        yield '\tprintf("constant %s 0x%%llx\\n", (unsigned long long)%s);' % (name, name)
    yield "\treturn 0;\n}"


def compiled(text, include, compiler):
    with tempfile.TemporaryDirectory(prefix="iscsidsc-") as d:
        source, out = os.path.join(d, "dump.c"), os.path.join(d, "dump")
        with open(source, "w") as f:
            f.write("\n".join(program(text)) + "\n")
        subprocess.run([*compiler, "-std=gnu17", "-I", include, source, "-o", out], check=True)
        return subprocess.run([out], check=True, capture_output=True, text=True).stdout


def symbols(library):
    out = subprocess.run(["readelf", "--dyn-syms", "-W", library], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        part = line.split()
        if len(part) >= 8 and part[3] in ("FUNC", "OBJECT") and part[4] == "GLOBAL" and part[6] != "UND" and "@@" in part[7]:
            yield "symbol %s %s" % (part[3].lower(), part[7])


def dump(include, library, compiler):
    text = text_of(include)
    lines = [compiled(text, include, compiler).rstrip("\n")]
    lines += ["function " + f for f in functions(text)]
    lines += ["form chosen by UNICODE " + n for n in chosen(text)]
    lines += sorted(symbols(library))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(dump(sys.argv[1], sys.argv[2], sys.argv[3:] or ["cc"]))
