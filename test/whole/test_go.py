# SPDX-License-Identifier: MIT
"""A client in Go, generated from the interface description alone."""
import os
import shutil

import pytest

import bed
from bed import run
from conftest import need_program

LIBRARY = "/usr/share/gocode/src/github.com/varlink/go"
PACKAGE = "ioiscsidscinitiator"


def go(directory, *args):
    """The go command, offline, with Debian's libraries and nothing kept outside of the directory."""
    env = {**os.environ, "GOPATH": directory + ":/usr/share/gocode", "GO111MODULE": "off", "GOFLAGS": "", "GOPROXY": "off",
           "GOCACHE": os.path.join(directory, "cache"), "CGO_ENABLED": "0"}  # fmt: skip
    return run("go", *args, env=env, seconds=300)


@pytest.fixture
def client(tmp_path):
    """The program, built."""
    need_program("go")
    if not os.path.isdir(LIBRARY):
        pytest.skip("golang-github-varlink-go-dev is not installed")
    directory = str(tmp_path)
    package = os.path.join(directory, "src", PACKAGE)
    os.makedirs(package)
    generator = os.path.join(directory, "generator")
    go(directory, "build", "-o", generator, "github.com/varlink/go/cmd/varlink-go-interface-generator")
    # This generator takes names of interfaces in lower case only; on the wire it is ours.
    description = os.path.join(package, "interface.varlink")
    with open(os.path.join(bed.SOURCE, "doc", bed.INTERFACE + ".varlink")) as f:
        text = f.read()
    with open(description, "w") as f:
        f.write(text.replace("\ninterface " + bed.INTERFACE + "\n", "\ninterface " + bed.INTERFACE.lower() + "\n"))
    run(generator, description)
    generated = os.path.join(package, PACKAGE + ".go")
    with open(generated) as f:
        text = f.read()
    with open(generated, "w") as f:
        f.write(text.replace(bed.INTERFACE.lower() + ".", bed.INTERFACE + "."))
    main = os.path.join(directory, "src", "client")
    shutil.copytree(os.path.join(bed.HERE, "go"), main)
    program = os.path.join(directory, "client")
    go(directory, "build", "-o", program, "client")
    return program


def test_client_in_go(client, service, tgt):
    tgt.setting("MaxConnections", 8)
    out = run(client, service.socket, "127.0.0.1", tgt.port, tgt.name, seconds=90).lines
    assert out[0].startswith("version ")
    steps = [line.split()[0] + " " + line.split()[1] for line in out[1:]]
    assert steps[:3] == ["event current", "event target-added", "refused ISDSC_TARGET_NOT_FOUND"], out
    assert out[4].startswith("session ") and "event session-up" in out and "event device-added" in out
    assert "devices 1 ready %d" % (64 << 20) in out
    assert out[-3:] == ["event connection-up", "event session-closed", "sessions 0"], out
    assert service.sessions() == []
