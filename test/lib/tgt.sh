#!/bin/sh
# SPDX-License-Identifier: MIT
#
# tgtd for tests: private ports, private control socket, everything in one directory.
# Any number of instances can run side by side.
#
#	tgt.sh start DIR [MB]	starts it on a free port of 127.0.0.1, makes the target, and prints
#				TGT_PORT=… TGT_TARGET=… TGT_PID=… TGT_LUN=1 as lines for eval
#	tgt.sh restart DIR	the same again, on the same port with the same disk
#	tgt.sh kill DIR		ends it at once, as a crash would; returns when it is gone
#	tgt.sh stop DIR		kill, and removes what was made in DIR
#	tgt.sh adm DIR ARGS…	tgtadm for this instance
#
# With TGT_OWNER=pid in the environment the instance ends when that process does.
# TGT_DIGEST=CRC32C makes both digests compulsory. Exit 77: cannot run here.
set -eu

PATH=$PATH:/usr/sbin:/sbin
TARGET=iqn.2026-01.test.tgt:disk

say() { printf '%s\n' "tgt.sh: $*" >&2; }

[ $# -ge 2 ] || { say "start|restart|kill|stop|adm DIR"; exit 2; }
what=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
shift 2
# A Unix socket's address is short; the directory may not be.
sock=$dir/ipc
[ ${#sock} -lt 95 ] || { say "directory name too long"; exit 2; }
export TGT_IPC_SOCKET="$sock"

adm() { tgtadm -C 1 "$@"; }
lld() { tgtadm -C 1 --lld iscsi "$@"; }

# A process that has ended and was not waited for holds nothing any more.
running() {
	case $(cat "/proc/$1/stat" 2> /dev/null) in
	"" | *") Z "* | *") X "*) return 1 ;;
	esac
}

alive() {
	running "$1" || return 1
	case $(cat "/proc/$1/stat" 2> /dev/null) in
	*"(tgtd) "*) return 0 ;;
	esac
	return 1
}

end() {
	[ -f "$dir/pid" ] || return 0
	pid=$(cat "$dir/pid")
	if alive "$pid"; then
		kill -9 "$pid" 2> /dev/null || :
		n=0
		while alive "$pid" && [ $n -lt 500 ]; do
			sleep 0.01
			n=$((n + 1))
		done
		! alive "$pid" || { say "process $pid does not end"; exit 1; }
	fi
	rm -f "$dir/pid" "$sock".*
}

# begin PORT: 0 when it listens there and answers
begin() {
	rm -f "$sock".*
	tgtd -f -C 1 --iscsi "portal=127.0.0.1:$1" < /dev/null > "$dir/log" 2>&1 &
	pid=$!
	echo $pid > "$dir/pid"
	n=0
	until adm --op show --mode sys > /dev/null 2>&1; do
		alive $pid || [ $n -lt 10 ] || return 1
		[ $n -lt 500 ] || return 1
		sleep 0.02
		n=$((n + 1))
	done
	# It goes on without the portal when the port is taken.
	! grep -q 'failed to create/bind' "$dir/log"
}

make_target() {
	lld --op new --mode target --tid 1 -T $TARGET
	lld --op new --mode logicalunit --tid 1 --lun 1 -b "$dir/disk"
	digest=${TGT_DIGEST:-CRC32C,None}
	lld --op update --mode target --tid 1 -n HeaderDigest -v "$digest"
	lld --op update --mode target --tid 1 -n DataDigest -v "$digest"
	lld --op bind --mode target --tid 1 -I ALL
}

watch_owner() {
	[ -n "${TGT_OWNER:-}" ] || return 0
	(
		while running "$TGT_OWNER" && alive "$1"; do
			sleep 0.2
		done
		! alive "$1" || kill -9 "$1"
	) < /dev/null > /dev/null 2>&1 &
}

report() {
	watch_owner "$(cat "$dir/pid")"
	echo "TGT_PORT=$(cat "$dir/port")"
	echo "TGT_TARGET=$TARGET"
	echo "TGT_PID=$(cat "$dir/pid")"
	echo "TGT_LUN=1"
}

start() {
	command -v tgtd > /dev/null && command -v tgtadm > /dev/null ||
		{ say "tgt is not installed"; exit 77; }
	truncate -s "${1:-64}M" "$dir/disk"
	for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
		# Below the range from which the kernel takes ports for itself.
		port=$(($(od -An -N2 -tu2 /dev/urandom) % 12000 + 20000))
		if begin "$port"; then
			echo "$port" > "$dir/port"
			make_target
			report
			return 0
		fi
		end
	done
	cat "$dir/log" >&2
	say "tgtd does not start"
	exit 77
}

restart() {
	for try in 1 2 3 4 5 6 7 8 9 10; do
		end
		if begin "$(cat "$dir/port")"; then
			make_target
			report
			return 0
		fi
	done
	cat "$dir/log" >&2
	say "tgtd does not start again"
	exit 1
}

case $what in
start) start "$@" ;;
restart) restart ;;
kill) end ;;
stop)
	end
	rm -f "$dir/disk" "$dir/port" "$dir/log"
	rmdir "$dir" 2> /dev/null || :
	;;
adm) adm "$@" ;;
*)
	say "what is \"$what\"?"
	exit 2
	;;
esac
