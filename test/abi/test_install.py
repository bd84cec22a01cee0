# SPDX-License-Identifier: MIT
"""A program is built against what is installed, with what pkg-config says."""
import csv
import os
import re
import subprocess

import pytest

BUILD = os.environ["ISCSIDSC_BUILD"]

PROGRAM = """
#include <iscsidsc.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	ISCSI_TARGET_PORTAL portal;
	ISCSI_LOGIN_OPTIONS options;
	ULONG size = 0, count = 0;
	ISDSC_STATUS status;

	memset(&portal, 0, sizeof(portal));
	memset(&options, 0, sizeof(options));
	status = GetIScsiSessionList(&size, &count, NULL);
	if (status != ISDSC_SERVICE_NOT_RUNNING)
		return 1;
	status = ReportIScsiTargets(FALSE, &size, NULL);
	if (status != ISDSC_SERVICE_NOT_RUNNING || size != 0)
		return 2;
	status = AddIScsiSendTargetPortal(NULL, ISCSI_ALL_INITIATOR_PORTS, &options, 0, &portal);
	if (status != ERROR_INVALID_PARAMETER)
		return 3;
	printf("%u %s\\n", (unsigned)sizeof(portal), iscsidsc_strerror(status));
	return 0;
}
"""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """Where the library, its headers and its pkg-config file are installed."""
    directory = tmp_path_factory.mktemp("stage")
    subprocess.run(
        ["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", str(directory), "--tags", "runtime,devel"],
        check=True, capture_output=True,
    )
    found = [os.path.join(d, f) for d, _, files in os.walk(directory) for f in files]
    return directory, found


def flags(stage, what):
    directory, found = stage
    pc = next(f for f in found if f.endswith("/iscsidsc.pc"))
    environment = {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(pc), "PKG_CONFIG_SYSROOT_DIR": str(directory)}
    out = subprocess.run(["pkg-config", *what, "iscsidsc"], env=environment, capture_output=True, text=True, check=True)
    return out.stdout.split()


def build_and_run(stage, tmp_path, compiler, suffix, args):
    if not os.environ.get(compiler):
        pytest.skip("no " + compiler)
    source = tmp_path / ("program" + suffix)
    source.write_text(PROGRAM)
    program = tmp_path / "program"
    subprocess.run(
        [*os.environ[compiler].split(), "-Wall", "-Wextra", "-Wpedantic", "-Werror", *args, *flags(stage, ["--cflags"]),
         str(source), "-o", str(program), *flags(stage, ["--libs"])],
        check=True,
    )
    library = next(f for f in stage[1] if os.path.basename(f).startswith("libiscsidsc.so.1"))
    environment = {**os.environ, "LD_LIBRARY_PATH": os.path.dirname(library), "ISCSIDSC_SOCKET": str(tmp_path / "none")}
    out = subprocess.run([str(program)], env=environment, capture_output=True, text=True, check=True)
    return out.stdout


def test_c(stage, tmp_path):
    assert build_and_run(stage, tmp_path, "CC", ".c", ["-std=c17"]) == "514 The parameter is incorrect.\n"


def test_c_unicode(stage, tmp_path):
    assert build_and_run(stage, tmp_path, "CC", ".c", ["-std=c99", "-DUNICODE"]).startswith("1026 ")


def test_cpp(stage, tmp_path):
    assert build_and_run(stage, tmp_path, "CXX", ".cc", ["-std=c++17", "-DUNICODE"]).startswith("1026 ")


def test_only_the_public_headers_are_installed(stage):
    headers = {os.path.basename(f) for f in stage[1] if f.endswith(".h")}
    assert headers == {"iscsidsc.h", "iscsidsc_types.h", "iscsierr.h"}


def test_pkg_config_names_nothing_of_the_inside(stage):
    assert {f for f in flags(stage, ["--libs"]) if f.startswith("-l")} == {"-liscsidsc"}


def test_every_function_has_a_page(tmp_path):
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", str(tmp_path), "--tags", "man"], check=True, capture_output=True)
    (directory,) = [d for d, _, files in os.walk(tmp_path) if "iscsidsc.3" in files]
    with open(os.path.join(os.environ["ISCSIDSC_SOURCE"], "test/data/exports.csv"), newline="") as f:
        functions = [row["name"] for row in csv.DictReader(f) if row["kind"] == "function"]
    assert len(functions) == 79
    for name in [*functions, "LoginIScsiTarget"]:
        with open(os.path.join(directory, name + ".3")) as f:
            there = re.fullmatch(r"\.so man3/(iscsidsc-\w+\.3)\n", f.read())
        assert os.path.exists(os.path.join(directory, there[1])), name
