# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
#
# Debian packages that the scripts need. Sourced, not run.
#
# need_packages NAME...: installs those that are missing, says so, waits a bounded time
# for another package manager to finish. Fails with what to do when it may not install.

PACKAGES_BUILD="gcc libc6-dev meson ninja-build pkg-config libjansson-dev libsqlite3-dev libinih-dev libisal-dev libssl-dev
libfuse3-dev liburing-dev libmount-dev libblkid-dev libsystemd-dev"
PACKAGES_RUN="fuse3 tgt e2fsprogs util-linux mount kmod"
PACKAGES_TEST="g++ binutils libcmocka-dev python3 python3-pytest fio fdisk xfsprogs dmsetup mandoc libnbd-bin qemu-utils
golang-go golang-github-varlink-go-dev istgt
libiscsi-bin qemu-block-extra"
PACKAGES_FULL="clang libclang-rt-14-dev user-mode-linux qemu-system-x86 busybox-static cpio xz-utils tshark valgrind
stress-ng dbench lvm2 nbd-client mdadm"

package_missing() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" != installed ]
}

# Waits for the lock of another package manager, but not for ever; a connection that
# stalls is tried again.
apt() {
	timeout --kill-after=30 1800 apt-get -qq -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 \
		-o Dpkg::Use-Pty=0 "$@" < /dev/null
}

need_packages() {
	missing=
	for package in "$@"; do
		if package_missing "$package"; then
			missing="$missing $package"
		fi
	done
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "These Debian packages are missing, and only root can install them:$missing" >&2
		return 1
	fi
	echo "== installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	# The list of packages may be old or not there at all on a new machine.
	apt update > /dev/null || echo "apt-get update failed; going on with the lists that are there" >&2
	# Nobody asked for the daemons that come with some of them (tgt): keep them from starting.
	policy=/usr/sbin/policy-rc.d
	made_policy=
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' > $policy
		chmod 755 $policy
		made_policy=yes
	fi
	packages_status=0
	# shellcheck disable=SC2086
	apt --no-install-recommends install $missing > /dev/null || packages_status=$?
	[ -z "$made_policy" ] || rm -f $policy
	[ $packages_status = 0 ] || echo "apt-get could not install:$missing" >&2
	return $packages_status
}
