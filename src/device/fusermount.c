/* SPDX-License-Identifier: MIT */
/*
 * fusermount3: mounting without root
 *
 * The helper is told the number of its end of the socket in _FUSE_COMMFD.
 */
#include "device/fusermount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "io/loop.h"

#define HELPER     "fusermount3"
#define HELPER_FD  3
#define PATH_USUAL "/usr/local/bin:/usr/bin:/bin"

static int left_ms(uint64_t deadline_ns)
{
	const uint64_t now_ns = clock_now_ns();

	if (now_ns >= deadline_ns)
		return 0;
	if (deadline_ns - now_ns > 3600 * NS_PER_S)
		return 3600 * 1000;
	return (int)((deadline_ns - now_ns) / NS_PER_MS) + 1;
}

static const char *search_path(void)
{
	const char *path = getenv("PATH");

	return path && *path ? path : PATH_USUAL;
}

bool fusermount_exists(void)
{
	char file[PATH_MAX];

	for (const char *at = search_path(); *at;) {
		const size_t n = strcspn(at, ":");

		if (n > 0 && n < sizeof(file) - sizeof(HELPER) - 1) {
			snprintf(file, sizeof(file), "%.*s/" HELPER, (int)n, at);
			if (access(file, X_OK) == 0)
				return true;
		}
		at += n;
		if (*at == ':')
			at++;
	}
	return false;
}

/* Waits for a child and ends it when the time is up. Return: exit status or -errno. */
static int child_wait(pid_t pid, uint64_t deadline_ns)
{
	CLEANUP(closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int status, n;

	if (fd >= 0) {
		while ((n = poll(&p, 1, left_ms(deadline_ns))) < 0 && errno == EINTR)
			;
		if (n == 0) {
			kill(pid, SIGKILL);
			(void)waitpid(pid, &status, 0);
			return -ETIMEDOUT;
		}
	}
	while (waitpid(pid, &status, 0) < 0) {
		/* A process that ignores SIGCHLD is not told how it ended. */
		if (errno == ECHILD)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* @fd: becomes HELPER_FD of the child; -1: none. */
static int helper_spawn(pid_t *ret_pid, char *const argv[], int fd)
{
	char path[PATH_MAX + 8], comm_fd[32];
	char *envp[] = {path, comm_fd, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, usual;
	int r;

	snprintf(path, sizeof(path), "PATH=%s", search_path());
	snprintf(comm_fd, sizeof(comm_fd), "_FUSE_COMMFD=%d", HELPER_FD);
	if (fd < 0)
		envp[1] = NULL;

	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attr);
	if (r) {
		posix_spawn_file_actions_destroy(&actions);
		return -r;
	}
	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	sigaddset(&usual, SIGCHLD);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &usual);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (fd >= 0)
		r = posix_spawn_file_actions_adddup2(&actions, fd, HELPER_FD);
	if (!r)
		r = posix_spawnp(ret_pid, HELPER, &actions, &attr, argv, envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Return: the descriptor that came, or -errno. */
static int receive_fd(int sock, uint64_t deadline_ns)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct pollfd p = {.fd = sock, .events = POLLIN};
	const struct cmsghdr *c;
	ssize_t got;
	int n, fd;

	while ((n = poll(&p, 1, left_ms(deadline_ns))) < 0 && errno == EINTR)
		;
	if (n == 0)
		return -ETIMEDOUT;
	got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (got < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (got == 0 || !c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return -EPERM;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int fusermount_mount(const char *dir, const char *options, uint64_t deadline_ns)
{
	CLEANUP(closep) int ours = -1;
	CLEANUP(closep) int theirs = -1;
	CLEANUP(closep) int fd = -1;
	char *argv[] = {(char *)(uintptr_t)HELPER,  (char *)(uintptr_t) "-o",
			(char *)(uintptr_t)options, (char *)(uintptr_t) "--",
			(char *)(uintptr_t)dir,     NULL};
	int sv[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	ours = sv[0];
	theirs = sv[1];
	/* A dup2() onto itself would leave close-on-exec set. */
	if (theirs == HELPER_FD) {
		int other = fcntl(theirs, F_DUPFD_CLOEXEC, HELPER_FD + 1);

		if (other < 0)
			return -errno;
		close(theirs);
		theirs = other;
	}
	r = helper_spawn(&pid, argv, theirs);
	if (r)
		return r;
	close(TAKE_FD(theirs));
	fd = receive_fd(ours, deadline_ns);
	r = child_wait(pid, deadline_ns);
	if (fd < 0)
		return r == -ETIMEDOUT ? r : fd;
	if (r)
		return r < 0 ? r : -EPERM;
	return TAKE_FD(fd);
}

int fusermount_umount(const char *dir, bool lazy, uint64_t deadline_ns)
{
	char *argv[] = {(char *)(uintptr_t)HELPER, (char *)(uintptr_t)(lazy ? "-uqz" : "-uq"),
			(char *)(uintptr_t) "--", (char *)(uintptr_t)dir, NULL};
	pid_t pid;
	int r = helper_spawn(&pid, argv, -1);

	if (r)
		return r;
	r = child_wait(pid, deadline_ns);
	return r > 0 ? -EBUSY : r;
}
