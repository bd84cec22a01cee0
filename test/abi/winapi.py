# SPDX-License-Identifier: MIT
"""
The library by ctypes: structures are made from abi.json, so that tests read what
any other program would. WCHAR is c_uint16, because c_wchar has 32 bits here.
"""
import ctypes as c
import json
import mmap
import os

SOURCE = os.environ.get("ISCSIDSC_SOURCE", os.path.join(os.path.dirname(__file__), "../.."))

with open(os.path.join(SOURCE, "test/data/abi.json")) as f:
    ABI = json.load(f)

STATUS = {s["name"]: s["value"] for s in ABI["status_codes"] + ABI["external_constants"]}
STATUS["ERROR_CALL_NOT_IMPLEMENTED"] = 120
CONSTANT = {s["name"]: s["value"] for s in ABI["constants"] + ABI["external_constants"]}
ANY_PORT = 0xFFFFFFFF

types = {
    "CHAR": c.c_char,
    "WCHAR": c.c_uint16,
    "UCHAR": c.c_uint8,
    "BOOLEAN": c.c_uint8,
    "USHORT": c.c_uint16,
    "ULONG": c.c_uint32,
    "DWORD": c.c_uint32,
    "DEVICE_TYPE": c.c_uint32,
    "ULONGLONG": c.c_uint64,
    "ISCSI_SECURITY_FLAGS": c.c_uint64,
    "ISCSI_LOGIN_FLAGS": c.c_uint32,
    "ISCSI_LOGIN_OPTIONS_INFO_SPECIFIED": c.c_uint32,
    "ISCSI_TARGET_FLAGS": c.c_uint32,
    "IKE_IDENTIFICATION_PAYLOAD_TYPE": c.c_uint8,
    **{e["name"]: c.c_uint32 for e in ABI["enums"]},
}


def type_of(name):
    """Pointers are plain addresses: a test must be able to look where one points."""
    if name in types:
        return types[name]
    if name.startswith("P") or name.endswith("*"):
        return c.c_void_p
    return structure(name)


def structure(name):
    if name not in types:
        s = next((s for s in ABI["structs"] if name == s["name"] or name in s["other_typedef_names"]))
        fields = []
        for m in s["members"]:
            t = type_of(m["c_type"])
            fields.append((m["name"], t * (m.get("count") or int(m["array_dim"])) if m["array_dim"] else t))
        made = type(s["name"], (c.Structure,), {"_fields_": fields})
        assert c.sizeof(made) == s["layout"]["windows_x86_64"]["size"]
        types[name] = made
    return types[name]


lib = c.CDLL(os.environ["ISCSIDSC_LIBRARY"])
lib.iscsidsc_strerror.restype = c.c_char_p
lib.iscsidsc_last_detail.restype = c.c_char_p
for function in ABI["functions"]:
    f = getattr(lib, function["name"])
    f.restype = c.c_uint32
    f.argtypes = [type_of(p["type"]) for p in function["parameters"]]


class Form:
    """A or W: how text looks in this form."""

    def __init__(self, letter):
        self.letter = letter
        self.unit = 2 if letter == "W" else 1
        self.codec = "utf-16-le" if letter == "W" else "utf-8"

    def call(self, family, *args):
        return getattr(lib, family + self.letter)(*[a.addr if isinstance(a, Memory) else a for a in args])

    def structure(self, name):
        return structure(name + self.letter)

    def encode(self, text):
        return (text + "\0").encode(self.codec)

    def text(self, text):
        return None if text is None else Memory(self.encode(text))

    def at(self, address):
        """The terminated text at an address."""
        raw = b""
        while True:
            unit = c.string_at(address, self.unit)
            if unit == bytes(self.unit):
                return raw.decode(self.codec)
            raw += unit
            address += self.unit

    def of(self, array):
        """The text in an array of a structure; what is behind the terminator must be 0."""
        raw = bytes(bytearray(memoryview(array).cast("B")))
        text = raw.decode(self.codec)
        head, _, rest = text.partition("\0")
        assert not rest.strip("\0")
        return head

    def put(self, struct, member, text):
        offset = getattr(type(struct), member).offset
        raw = self.encode(text)
        assert len(raw) <= getattr(type(struct), member).size
        c.memmove(c.addressof(struct) + offset, raw, len(raw))

    def names(self, raw):
        text = raw.decode(self.codec)
        assert text.endswith("\0\0")
        return [n for n in text.split("\0") if n]


A, W = Form("A"), Form("W")


class Memory:
    """
    Bytes for the library with a guard of known bytes on both sides, at an odd
    address when asked to.
    """

    GUARD = b"\xa5" * 64

    def __init__(self, content, odd=False):
        if isinstance(content, int):
            content = b"\xcc" * content
        self.size = len(content)
        self.before = self.GUARD + (b"\xa5" if odd else b"")
        self.memory = c.create_string_buffer(self.before + content + self.GUARD)
        self.addr = c.addressof(self.memory) + len(self.before)

    def bytes(self, n=None):
        self.check()
        return c.string_at(self.addr, self.size if n is None else n)

    def untouched(self):
        return self.bytes() == b"\xcc" * self.size

    def check(self):
        raw = self.memory.raw[:-1]
        assert raw.startswith(self.before)
        assert raw.endswith(self.GUARD)

    def inside(self, address, n):
        return self.addr <= address and address + n <= self.addr + self.size


class Page:
    """
    Bytes for the library to read, up to the very end of what can be read: behind them
    lies a page without any rights. @odd: one byte further to the front.
    """

    libc = c.CDLL(None)
    libc.mmap.restype = c.c_void_p
    libc.mmap.argtypes = [c.c_void_p, c.c_size_t, c.c_int, c.c_int, c.c_int, c.c_long]
    libc.munmap.argtypes = [c.c_void_p, c.c_size_t]
    libc.mprotect.argtypes = [c.c_void_p, c.c_size_t, c.c_int]

    def __init__(self, content, odd=False):
        page = mmap.PAGESIZE
        self.size = len(content)
        self.n_map = (self.size + 1 + page - 1) // page * page + page
        self.base = self.libc.mmap(None, self.n_map, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        assert self.base != 2**64 - 1
        assert self.libc.mprotect(self.base + self.n_map - page, page, 0) == 0
        self.addr = self.base + self.n_map - page - self.size - (1 if odd else 0)
        c.memmove(self.addr, content, self.size)
        self.content = content

    def __del__(self):
        self.libc.munmap(self.base, self.n_map)

    def check(self):
        """What a program lends to be read is not written to."""
        assert c.string_at(self.addr, self.size) == self.content


def ulong(value=0xDEADBEEF):
    return c.c_uint32(value)


def id_of(unique, specific):
    session = structure("ISCSI_UNIQUE_SESSION_ID")()
    session.AdapterUnique = unique
    session.AdapterSpecific = specific
    return session


def detail():
    return lib.iscsidsc_last_detail().decode()
