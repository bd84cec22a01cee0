# SPDX-License-Identifier: MIT
"""What is installed is enough: a program of somebody else's, and the programs themselves."""
import fnmatch
import os
import shutil
import subprocess

import pytest

import bed
from bed import run
from conftest import need_program


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    need_program("meson", "pkg-config", "cc")
    directory = str(tmp_path_factory.mktemp("stage"))
    run("meson", "install", "-C", bed.BUILD, "--no-rebuild", "--destdir", directory, seconds=120)
    return directory


def found(stage, name):
    hits = [os.path.join(d, f) for d, _, files in os.walk(stage) for f in files if fnmatch.fnmatch(f, name)]
    assert hits, "%s is not installed" % name
    return hits[0]


def test_program_goes_the_whole_path(stage, service, tgt, tmp_path):
    if "libasan" in run("ldd", bed.LIBRARY).out:
        pytest.skip("a library with a sanitizer does not go into a program without")
    env = {**os.environ, "PKG_CONFIG_PATH": os.path.dirname(found(stage, "iscsidsc.pc")), "PKG_CONFIG_SYSROOT_DIR": stage}
    flags = run("pkg-config", "--cflags", "--libs", "iscsidsc", env=env).out.split()
    program = str(tmp_path / "path")
    run("cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", os.path.join(bed.HERE, "path.c"), "-o", program, *flags, env=env)
    r = run(program, "127.0.0.1", tgt.port, env={**service.env, "LD_LIBRARY_PATH": os.path.dirname(found(stage, "libiscsidsc.so.1*"))}, check=False)
    assert r.code == 0, r
    assert r.out.startswith(tgt.name + " /")
    with open(tgt.file, "rb") as f:
        assert f.read(4096) == b"\x5a" * 4096
    assert service.sessions() == []


def test_what_is_installed_runs(stage):
    library = os.path.dirname(found(stage, "libiscsidsc.so.1*"))
    env = {**os.environ, "LD_LIBRARY_PATH": library, "ISCSIDSC_SOCKET": "/nonexistent"}
    r = run(found(stage, "iscsicli"), "SessionList", env=env, check=False)
    assert r.code == 1 and r.out.endswith("retry. \n")
    assert run(found(stage, "iscsidscd"), "--version", env=env).out


def test_manual_pages_are_installed(stage):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed")
    for name in ("iscsicli.8*", "iscsidsc.3*"):
        page = found(stage, name)
        r = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True)
        assert r.returncode == 0, r.stdout


def test_nothing_points_into_the_build(stage):
    for name in ("iscsicli", "iscsidscd"):
        out = run("readelf", "-d", found(stage, name)).out
        assert "RUNPATH" not in out and "RPATH" not in out
