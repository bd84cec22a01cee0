# SPDX-License-Identifier: MIT
"""
The manual pages: every function is described, with the parameters that it has, and no
tool finds a fault in a page.
"""
import json
import os
import re
import shutil
import subprocess

import pytest

SOURCE = os.environ["ISCSIDSC_SOURCE"]
MAN = os.path.join(SOURCE, "man")
OVERVIEW = "iscsidsc.3"
PAGES = sorted(p for p in os.listdir(MAN) if re.search(r"\.[1-8]$", p))
FAMILIES = [p for p in PAGES if re.fullmatch(r"iscsidsc-\w+\.3", p)]

with open(os.path.join(SOURCE, "test/data/abi.json")) as f:
    FUNCTIONS = {f["name"]: f for f in json.load(f)["functions"]}
with open(os.path.join(SOURCE, "include/iscsierr.h")) as f:
    CODES = set(re.findall(r"^#define ((?:ISDSC|ERROR)_\w+)", f.read(), re.M))


def read(page):
    with open(os.path.join(MAN, page)) as f:
        return f.read()


def section(page, name):
    found = re.search(r"^\.Sh %s\n(.*?)(?=^\.Sh |\Z)" % name, read(page), re.S | re.M)
    return found and found[1]


def synopsis(page):
    """(name, parameters) of each function that a page shows."""
    for line, name, block in re.findall(r"^\.Fn ([^\n]*)$|^\.Fo (\w+)\n(.*?)^\.Fc", section(page, "SYNOPSIS"), re.M | re.S):
        if line:
            name, *parameters = re.findall(r'"[^"]*"|\S+', line)
            if parameters:  # else it is named in a sentence
                yield name, [p.strip('"') for p in parameters if p != "void"]
        else:
            yield name, re.findall(r'^\.Fa "(.*)"$', block, re.M)


def spelt(parameter):
    kind = parameter["type"]
    return kind[:-1] + " *" + parameter["name"] if kind.endswith("*") else kind + " " + parameter["name"]


def test_every_function_is_on_one_page():
    shown = [name for page in FAMILIES for name, _ in synopsis(page)]
    wanted = {f["family"] + ("A" if f["charset"] else "") for f in FUNCTIONS.values()}
    assert len(wanted) == 46
    assert sorted(shown) == sorted(wanted)


@pytest.mark.parametrize("page", FAMILIES)
def test_functions_have_the_parameters_that_they_have(page):
    for name, parameters in synopsis(page):
        assert parameters == [spelt(p) for p in FUNCTIONS[name]["parameters"]], name


@pytest.mark.parametrize("page", FAMILIES)
def test_page_is_whole(page):
    names = re.findall(r"^\.Nm (\w+)", section(page, "NAME"), re.M)
    assert names == list(dict.fromkeys(FUNCTIONS[name]["family"] for name, _ in synopsis(page)))
    description = section(page, "DESCRIPTION")
    assert [n for n in names if ".Fn %s\n" % n not in description] == []
    for name in ("RETURN VALUES", "ERRORS", "SEE ALSO", "CAVEATS"):
        assert section(page, name), name
    assert "Windows" in section(page, "CAVEATS")
    assert set(re.findall(r"Bq Er (\w+)", section(page, "ERRORS"))) <= CODES
    if any(FUNCTIONS[name]["charset"] for name, _ in synopsis(page)):
        assert re.search(r"W\sforms?", section(page, "SYNOPSIS"))
    # from the overview to the page and back
    for there, back in ((OVERVIEW, page), (page, OVERVIEW)):
        assert re.search(r"^\.Xr %s 3" % back[:-2], section(there, "SEE ALSO"), re.M)
    assert ".It Xr %s 3\n" % page[:-2] in section(OVERVIEW, "DESCRIPTION")


def test_nothing_is_said_to_be_missing():
    for page in PAGES:
        assert "in this version" not in read(page), page
    with open(os.path.join(SOURCE, "include/iscsidsc.h")) as f:
        assert "This version" not in f.read()


def test_pages_are_listed_where_they_are_installed():
    assert set(re.findall(r"^  '(.+)',$", read("meson.build"), re.M)) == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_mandoc_finds_nothing(page):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    out = subprocess.run(["mandoc", "-T", "lint", "-W", "style", os.path.join(MAN, page)], capture_output=True, text=True).stdout
    # whether a page that is referred to is installed on this machine is another matter
    found = [line for line in out.splitlines() if "referenced manual not found" not in line and "outdated mandoc.db" not in line]
    assert [line for line in found if page.startswith("iscsidsc") and page.endswith(".3") or "STYLE" not in line] == []


@pytest.mark.parametrize("page", PAGES)
def test_man_finds_nothing(page):
    if not shutil.which("man") or not shutil.which("groff"):
        pytest.skip("man or groff is not installed")
    environment = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""}
    out = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", os.path.join(MAN, page)], env=environment, capture_output=True, text=True)
    assert (out.returncode, out.stderr) == (0, "")
