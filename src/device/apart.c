/* SPDX-License-Identifier: MIT */
/*
 * Steps apart: in a process of their own
 *
 * The child starts by closing all that it inherited, and waits for a byte before
 * it runs, so that its parent has noted its number, and has closed what it gave
 * away. Signals are blocked in it: a service manager that ends a whole group shall
 * not tear a step in two.
 */
#include "device/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "io/loop.h"

#define GO_FD 4 /* the child's end of the socket */

enum {
	STATE_WAITED_FOR,
	STATE_COMMITTED,
	STATE_ALONE
};

struct shared {
	atomic_int state;
	pid_t parent;
	int result;
	size_t n_bytes;
	max_align_t arg[];
};

/* A child that is not reaped yet. */
struct child {
	struct list node;
	pid_t pid;
	bool is_alone; /* nobody waits: reaped by who comes next */
};

static pthread_mutex_t children_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list children = LIST_INIT(children);
static struct shared *own_shared; /* in the child */

bool apart_commit(void)
{
	int state = STATE_WAITED_FOR;

	/* A service that was killed waits for nothing either. */
	if (getppid() != own_shared->parent)
		return false;
	return atomic_compare_exchange_strong(&own_shared->state, &state, STATE_COMMITTED) ||
	       state == STATE_COMMITTED;
}

bool apart_is_child(pid_t pid)
{
	const struct child *c;
	bool found = false;

	pthread_mutex_lock(&children_lock);
	list_for_each (c, &children, node)
		found = found || c->pid == pid;
	pthread_mutex_unlock(&children_lock);
	return found;
}

/* With the lock. */
static void reap_alone(void)
{
	struct child *c, *tmp;

	list_for_each_safe (c, tmp, &children, node) {
		if (!c->is_alone || waitpid(c->pid, NULL, WNOHANG) == 0)
			continue;
		list_remove(&c->node);
		free(c);
	}
}

static _Noreturn void child_main(const struct apart *a, struct shared *sh, int go_fd)
{
	const int max_fd = 1 << 20;
	int given = -1;
	char byte;

	/* Away from the numbers that are to be filled. */
	go_fd = fcntl(go_fd, F_DUPFD, GO_FD + 1);
	if (a->fd >= 0)
		given = fcntl(a->fd, F_DUPFD, GO_FD + 1);
	if (go_fd < 0 || dup2(go_fd, GO_FD) < 0 || (a->fd >= 0 && dup2(given, APART_FD) < 0))
		_exit(1);
	if (a->fd < 0)
		close(APART_FD);
	if (syscall(SYS_close_range, GO_FD + 1, ~0u, 0) < 0)
		for (int fd = GO_FD + 1; fd < max_fd; fd++)
			close(fd);
	/* Past the library: a sanitizer's own would wait for a lock that no thread holds here. */
	syscall(SYS_prctl, PR_SET_NAME, "iscsidsc-step", 0, 0, 0);
	if (read(GO_FD, &byte, 1) != 1)
		_exit(1);
	close(GO_FD);
	own_shared = sh;
	sh->result = a->run(sh->arg);
	_exit(0);
}

static int left_ms(uint64_t deadline_ns)
{
	const uint64_t now_ns = clock_now_ns();

	if (now_ns >= deadline_ns)
		return 0;
	if (deadline_ns - now_ns > 3600 * NS_PER_S)
		return 3600 * 1000;
	return (int)((deadline_ns - now_ns) / NS_PER_MS) + 1;
}

/* True when the child has ended. */
static bool child_ended(pid_t pid, uint64_t deadline_ns)
{
	struct pollfd p = {.events = POLLIN};
	int n;

	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.fd < 0)
		return true; /* waitpid() will tell */
	while ((n = poll(&p, 1, left_ms(deadline_ns))) < 0 && errno == EINTR)
		;
	close(p.fd);
	return n > 0;
}

/* Starts the child; @ret_go is our end of the socket. */
static int child_new(struct child *c, const struct apart *a, struct shared *sh, int *ret_go)
{
	sigset_t all, before;
	int go[2], r = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_mutex_lock(&children_lock);
	reap_alone();
	c->pid = fork();
	if (c->pid == 0)
		child_main(a, sh, go[0]);
	if (c->pid < 0)
		r = -errno;
	else
		list_append(&children, &c->node);
	pthread_mutex_unlock(&children_lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(go[0]);
	if (r)
		close(go[1]);
	else
		*ret_go = go[1];
	return r;
}

/* Return: the result; -ETIMEDOUT, the child is alone now. */
static int child_finish(struct child *c, struct shared *sh, void *arg, uint64_t deadline_ns)
{
	int state = STATE_WAITED_FOR;
	bool has_ended = child_ended(c->pid, deadline_ns);
	int r;

	/* What has passed the point of no return is waited for: it is short from there. */
	if (!has_ended && !atomic_compare_exchange_strong(&sh->state, &state, STATE_ALONE))
		has_ended = child_ended(c->pid, deadline_ns + 60 * NS_PER_S);
	pthread_mutex_lock(&children_lock);
	if (has_ended) {
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
		memcpy(arg, sh->arg, sh->n_bytes);
		r = sh->result;
		list_remove(&c->node);
		free(c);
	} else {
		c->is_alone = true;
		r = -ETIMEDOUT;
	}
	pthread_mutex_unlock(&children_lock);
	return r;
}

int apart_run(const struct apart *a, uint64_t deadline_ns)
{
	const size_t n_shared = sizeof(struct shared) + a->n_arg;
	struct child *c = calloc(1, sizeof(*c));
	struct shared *sh =
		mmap(NULL, n_shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int go_fd = -1, r;

	if (!c || sh == MAP_FAILED) {
		if (sh != MAP_FAILED)
			munmap(sh, n_shared);
		if (a->give)
			close(a->fd);
		free(c);
		return -ENOMEM;
	}
	sh->parent = getpid();
	sh->n_bytes = a->n_arg;
	sh->result = -EIO; /* of a child that did not come to an end */
	memcpy(sh->arg, a->arg, a->n_arg);
	r = child_new(c, a, sh, &go_fd);
	if (a->give)
		close(a->fd);
	if (r) {
		free(c);
	} else {
		/* It can only fail when the child has died, which is noticed below. */
		(void)!send(go_fd, "", 1, MSG_NOSIGNAL);
		close(go_fd);
		r = child_finish(c, sh, a->arg, deadline_ns);
	}
	munmap(sh, n_shared);
	return r;
}
