# SPDX-License-Identifier: MIT
"""
Without root: `iscsidscd --user`

The service, the command line and the use of the disk all belong to an ordinary user. What
a distribution does with its device rules (/dev/fuse for everybody) is done here in a mount
namespace of the test, so that the machine's own /dev stays as it is.
"""
import os
import shutil
import subprocess
import tempfile

import pytest

import bed

SCRIPT = r"""
set -eu
export XDG_RUNTIME_DIR=$1/run XDG_STATE_HOME=$1/state
mkdir -m 700 "$XDG_RUNTIME_DIR"
iscsidscd --user > "$1/log" 2>&1 &
service=$!
trap 'kill $service 2> /dev/null || :' EXIT
n=0
until [ -S "$XDG_RUNTIME_DIR/iscsidsc/iscsidsc.socket" ]; do
	n=$((n + 1)); [ $n -lt 200 ] || { cat "$1/log"; exit 1; }
	sleep 0.1
done
iscsicli AddTargetPortal 127.0.0.1 "$2" > /dev/null
iscsicli QLoginTarget "$3" > /dev/null
n=0
until file=$(iscsicli SessionList | sed -n 's/.*Legacy Device Name *: \(\/[^ ]*\).*/\1/p') && [ -n "$file" ]; do
	n=$((n + 1)); [ $n -lt 100 ] || { cat "$1/log"; exit 1; }
	sleep 0.1
done
session=$(iscsicli SessionList F | sed -n 's/^Session Id *: //p')
head -c 3000001 /dev/urandom > "$1/data"
dd if="$1/data" of="$file" bs=1M conv=notrunc,fsync 2> /dev/null
head -c 3000001 "$file" | cmp - "$1/data" && echo "read back"
exec 5< "$file"
iscsicli LogoutTarget "$session" 5<&- | sed -n 's/^ *In use: //p' | grep "process $$ " > /dev/null && echo "refused"
exec 5<&-
iscsicli LogoutTarget "$session" > /dev/null && echo "logged out"
trap - EXIT
kill $service
wait $service && echo "stopped"
[ -z "$(ls -A "$XDG_RUNTIME_DIR/iscsidsc/devices/by-path")" ] && echo "nothing left"
"""


def test_all_of_it_without_root(tgt):
    if os.geteuid() != 0:
        pytest.skip("the test itself needs root, to make a namespace and become another user")
    if not os.path.exists("/dev/fuse") or not shutil.which("fusermount3"):
        pytest.skip("there is no FUSE here")
    directory = tempfile.mkdtemp(prefix="isd-user-")
    try:
        os.chmod(directory, 0o755)
        programs = os.path.join(directory, "bin")
        os.mkdir(programs)
        # the build directory may be where the other user may not look
        for name in (bed.CLI, bed.DAEMON):
            shutil.copy(name, programs)
        library = os.path.join(directory, "lib")
        shutil.copytree(os.path.dirname(bed.LIBRARY), library, ignore=lambda _, names: [n for n in names if ".so" not in n], symlinks=True)
        home = os.path.join(directory, "home")
        os.mkdir(home)
        shutil.chown(home, "nobody")
        script = os.path.join(directory, "script")
        with open(script, "w") as f:
            f.write(SCRIPT)
        node = os.path.join(directory, "fuse")
        os.mknod(node, 0o020666, os.makedev(10, 229))
        os.chmod(node, 0o666)
        command = ('mount --bind "$1" /dev/fuse && exec setpriv --reuid=nobody --regid=nogroup --clear-groups '
                   'sh "$2" "$3" "$4" "$5"')  # fmt: skip
        env = dict(os.environ, PATH=programs + ":" + os.environ["PATH"], LD_LIBRARY_PATH=library)
        env.pop("ISCSIDSC_SOCKET", None)
        r = subprocess.run(["unshare", "-m", "--propagation", "private", "sh", "-c", command, "sh", node, script, home, str(tgt.port), tgt.name],
                           env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)  # fmt: skip
        assert r.stdout.splitlines() == ["read back", "refused", "logged out", "stopped", "nothing left"], r.stdout
        assert r.returncode == 0
    finally:
        shutil.rmtree(directory)
