# SPDX-License-Identifier: MIT
"""What goes over the wire, as somebody else's dissector sees it."""
import os
import signal
import tempfile
from collections import Counter

import pytest

from bed import Process, run, wait_for
from conftest import need_program
from test_connections import login
from test_io import fio
from test_session import discover

pytestmark = pytest.mark.slow  # the dissector brings many packages

LOGIN, TEXT, COMMAND, DATA_OUT, LOGOUT, DATA_IN, NOP_OUT = 0x03, 0x04, 0x01, 0x05, 0x06, 0x25, 0x00
BAD = "_ws.malformed || iscsi.opcode.invalid || iscsi.keyvalue.invalid || _ws.expert.severity == 0x00800000"


class Capture:
    """Everything on the loopback to or from a port."""

    def __init__(self, port):
        need_program("tshark", "dumpcap")
        self.port = port
        self.directory = tempfile.mkdtemp(prefix="isd-wire-")
        os.chmod(self.directory, 0o777)
        self.file = os.path.join(self.directory, "pcap")
        self.process = Process(["dumpcap", "-q", "-i", "lo", "-B", "64", "-s", "0", "-f", "tcp port %d" % port, "-w", self.file],
                               os.path.join(self.directory, "log"))  # fmt: skip
        wait_for(lambda: os.path.exists(self.file) or not self.process.alive(), 20, self.process.text)
        if not self.process.alive():
            pytest.skip("nothing can be captured here: " + self.process.text())

    def end(self):
        self.process.signal(signal.SIGINT)
        self.process.join(30)

    def dissect(self, shown, *fields):
        """The fields' values, a list for each packet."""
        args = [x for f in fields for x in ("-e", f)]
        r = run("tshark", "-r", self.file, "-d", "tcp.port==%d,iscsi" % self.port, "-o", "iscsi.bogus_pdu_filter:FALSE",
                "-o", "iscsi.demand_good_f_bit:TRUE", "-o", "iscsi.bogus_pdu_max_data_len:16777215", "-Y", shown, "-T", "fields", *args,
                seconds=120)  # fmt: skip
        return [line.split("\t") for line in r.lines if "Running as user" not in line]

    def close(self):
        self.process.kill()
        run("rm", "-rf", self.directory)


@pytest.fixture
def capture():
    made = []

    def make(port):
        made.append(Capture(port))
        return made[-1]

    yield make
    for c in made:
        c.close()


@pytest.mark.parametrize("digests", (0, 1))
def test_no_packet_is_malformed(service, make_tgt, capture, digests):
    tgt = make_tgt()
    name = tgt.target("iqn.2026-11.test.whole:wire")
    tgt.lun(1)
    if digests:
        tgt.setting("HeaderDigest", "CRC32C")
        tgt.setting("DataDigest", "CRC32C")
    wire = capture(tgt.port)
    discover(service, tgt)
    session, _ = login(service, name, headerDigest=digests, dataDigest=digests)
    device = service.device(session)
    fio(device, "randrw", "4k", 16, 4)
    fio(device, "randwrite", "256k", 8, 8)
    service.logout(session)
    wire.end()

    opcodes = Counter(int(o, 16) for (packet,) in wire.dissect("iscsi.opcode", "iscsi.opcode") for o in packet.split(","))
    # it has seen all of it, or there is nothing to be judged
    for opcode in (LOGIN, TEXT, COMMAND, DATA_OUT, LOGOUT, DATA_IN):
        assert opcodes[opcode] > 0, (hex(opcode), opcodes)
    assert opcodes[COMMAND] > 1000
    assert wire.dissect(BAD, "frame.number", "_ws.col.Info") == []
