/* SPDX-License-Identifier: MIT */
/*
 * iscsidscd: the service
 *
 * Start: options, configuration, directories, the lock on the state directory,
 * what a dead service left behind, store, reactors, socket, READY. The lock comes
 * before everything that would disturb a service that lives.
 *
 * End: by SIGTERM or SIGINT. Every session is logged out by safe removal for as
 * long as stop_timeout; a second signal ends the waiting. What is held even then
 * is flushed and cut off, because its device cannot outlive us, and the exit
 * status says so. By SIGUSR1 the same, but what the next service can take over stays
 * (handover.h): that is how to restart.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "base/cleanup.h"
#include "service/handover.h"
#include "service/log.h"
#include "service/memory.h"
#include "service/options.h"
#include "service/persistent.h"
#include "service/rpc.h"
#include "service/shutdown.h"
#include "service/startup.h"
#include "service/udev.h"
#include "service/undead.h"
#include "service/unit.h"

#define RPC_STOP_NS  (5 * NS_PER_S)
#define LOOK_NS      100000000L
#define EXTEND_NS    (30 * NS_PER_S)
#define EXTEND_USEC  "30000000"
#define FDS_WANTED   65536
#define REACTORS_OWN 4 /* at most, when the configuration leaves it to us */

static void notify(const char *text)
{
#ifdef HAVE_SYSTEMD
	sd_notify(0, text);
#else
	(void)text;
#endif
}

/* @text may hold anything, but each line is a message of its own. */
static void notify_status(const char *before, const char *what, const char *text)
{
	char status[2200];
	int at = snprintf(status, sizeof(status), "%sSTATUS=%s", before, what);

	snprintf(status + at, sizeof(status) - (size_t)at, "%s", text);
	for (char *p = status + at; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	}
	notify(status);
}

/* ---- preparations ------------------------------------------------------------- */

static int dir_make(const char *path, mode_t mode)
{
	CLEANUP(freep) char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(copy, mode) < 0 && errno != EEXIST ? -errno : 0;
}

static int dirs_make(const struct options *o)
{
	CLEANUP(freep) char *socket_dir = strdup(o->socket);
	const struct {
		const char *path;
		mode_t mode;
	} dirs[] = {{o->state_dir, 0700}, {o->devices_dir, 0755}, {socket_dir, 0755}};
	char *slash = socket_dir ? strrchr(socket_dir, '/') : NULL;

	if (!slash)
		return -ENOMEM;
	*slash = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		int r = dirs[i].path[0] ? dir_make(dirs[i].path, dirs[i].mode) : 0;

		if (r) {
			log_error("%s: cannot be made: %s", dirs[i].path, strerror(-r));
			return r;
		}
	}
	return 0;
}

/*
 * We may be what the machine writes its dirty pages through: our memory must not
 * wait for that. Both need a privilege that tests and users do not have.
 */
static void memory_prepare(void)
{
#ifdef PR_SET_IO_FLUSHER
	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
		log_debug("PR_SET_IO_FLUSHER: %s", strerror(errno));
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* under a limit, memory that is asked for later would be refused */
	struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_MEMLOCK, &l) < 0 ||
	    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		log_debug("mlockall: %s", strerror(errno));
#endif
}

static void fds_raise(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	if (l.rlim_cur < FDS_WANTED) {
		l.rlim_cur = l.rlim_max < FDS_WANTED ? l.rlim_max : FDS_WANTED;
		if (setrlimit(RLIMIT_NOFILE, &l) < 0)
			log_debug("RLIMIT_NOFILE: %s", strerror(errno));
	}
}

static void swept(void *arg, const char *what)
{
	(void)arg;
	log_warning("left behind by a service that died: %s", what);
}

/* Only ours is left to live here: what is in the way belongs to the dead. */
static void sweep(const char *devices_dir)
{
	static const struct blk_backend *const backends[] = {&blk_backend_loop, &blk_backend_fuse};
	unsigned n;

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		int r = backends[i]->sweep(devices_dir, swept, NULL);

		if (r)
			log_warning("%s: what a dead service left could not all be removed: %s",
				    devices_dir, strerror(-r));
	}
	udev_sweep(devices_dir);
	n = links_sweep(devices_dir);
	if (n)
		log_info("%u links left behind by a service that died: removed", n);
}

/* Devices that waited for a unit that did not come back, or cannot be served any more. */
static void give_up(const char *devices_dir)
{
	int r = blk_backend_give_up(devices_dir, swept, NULL);

	if (r)
		log_warning("%s: devices that waited could not all be removed: %s", devices_dir,
			    strerror(-r));
}

static unsigned reactors_wanted(const struct config *c)
{
	int n = get_nprocs();

	if (c->n_reactors)
		return (unsigned)c->n_reactors;
	return n < 1 ? 1 : n > REACTORS_OWN ? REACTORS_OWN : (unsigned)n;
}

/* ---- signals ---------------------------------------------------------------------- */

static sigset_t ending(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	return set;
}

/* A second signal while we wait for devices. */
static bool hurry(void *arg)
{
	bool *again = arg;
	sigset_t set = ending();
	struct timespec now = {0};

	if (!*again && sigtimedwait(&set, NULL, &now) > 0)
		*again = true;
	return *again;
}

static void held_said(void *arg, const char *text)
{
	(void)arg;
	notify_status("", "Stopping, held up: ", text);
}

struct starting {
	int signal; /* that came meanwhile, or 0 */
	uint64_t extended_ns;
};

/* systemd's patience for the start is not ours to know, but to extend. */
static bool starting_pause(void *arg)
{
	struct starting *s = arg;
	struct timespec moment = {.tv_nsec = LOOK_NS};
	sigset_t set = ending();
	int sig;

	if (clock_now_ns() >= s->extended_ns + EXTEND_NS / 4) {
		s->extended_ns = clock_now_ns();
		notify("EXTEND_TIMEOUT_USEC=" EXTEND_USEC);
	}
	sig = sigtimedwait(&set, NULL, &moment);
	if (sig > 0)
		s->signal = sig;
	return sig > 0;
}

static void starting_say(void *arg, const char *text)
{
	(void)arg;
	log_info("waiting for bound devices: %s", text);
	notify_status("", "Waiting for bound devices: ", text);
}

/* Return: the signal that came before we were ready, or 0. */
static int become_ready(struct manager *m, const char *socket)
{
	struct starting s = {0};
	const struct bound_wait_ops ops = {starting_pause, starting_say, &s};
	char name[ISCSI_NAME_MAX + 1], missing[2048];

	startup_wait_bound(m, &ops, missing, sizeof(missing));
	if (s.signal)
		return s.signal;
	manager_get_node_name(m, name);
	log_info("ready: version %s, node %s, socket %s", ISCSIDSC_VERSION, name, socket);
	if (missing[0])
		notify_status("READY=1\n", "Ready, without bound devices: ", missing);
	else
		notify("READY=1\nSTATUS=Ready");
	return 0;
}

static int wait_for_end(void)
{
	sigset_t set = ending();
	int sig;

	while (sigwait(&set, &sig))
		;
	return sig;
}

/* ---- the whole ----------------------------------------------------------------------- */

struct service {
	struct options options;
	struct config config;
	struct manager manager;
	struct rpc_server *rpc;
	int state_lock_fd, devices_lock_fd;
};

static int config_read(struct service *sv)
{
	const struct options *o = &sv->options;
	char why[600] = "";
	int r;

	config_init(&sv->config);
	/* the machine's configuration is not a user's own service's */
	r = o->user_mode && !o->config_given
		    ? 0
		    : config_load(&sv->config, o->config, o->config_given, why, sizeof(why));
	if (r == 0)
		r = config_check(&sv->config, why, sizeof(why));
	if (r) {
		log_error("%s", why[0] ? why : strerror(-r));
		return r;
	}
	if (!o->has_log_level)
		log_setup((enum log_level)sv->config.log_level, log_is_journal());
	if (o->backend)
		snprintf(sv->config.backend, sizeof(sv->config.backend), "%s", o->backend);
	return 0;
}

static int backend_choose(struct service *sv)
{
	struct manager *m = &sv->manager;
	char why[300] = "";

	m->backend = blk_backend_choose(sv->config.backend, m->user_mode, why, sizeof(why));
	if (!m->backend) {
		log_error("backend %s: %s", sv->config.backend, why);
		return -EINVAL;
	}
	log_info("backend: %s", m->backend->name);
	return 0;
}

static int store_begin(struct service *sv)
{
	CLEANUP(freep) char *path = NULL;
	char why[700] = "";
	int r;

	if (asprintf(&path, "%s/state.db", sv->options.state_dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	r = store_open(&sv->manager.store, path, why, sizeof(why));
	if (r)
		log_error("%s", why);
	return r;
}

static int service_start(struct service *sv)
{
	struct manager *m = &sv->manager;
	struct rpc_cfg rpc = {
		.m = m,
		.socket_path = sv->options.socket,
		.mode = (mode_t)sv->config.socket_mode,
		.group = sv->config.socket_group,
		.max_clients = (unsigned)sv->config.max_clients,
		.others_may_read = sv->config.others_may_read,
		.idle_timeout_ns = sv->config.idle_timeout_ns,
	};
	char why[600] = "";
	int r;

	m->config = &sv->config;
	m->devices_dir = sv->options.devices_dir;
	m->user_mode = sv->options.user_mode;
	sweep(m->devices_dir);
	r = backend_choose(sv);
	if (r || !m->backend->takes_over)
		give_up(m->devices_dir);
	if (r == 0)
		r = store_begin(sv);
	if (r)
		return r;
	r = manager_init(m);
	if (r) {
		log_error("the state cannot be read: %s", strerror(-r));
		return r;
	}
	links_prepare(m);
	r = reactors_start(&m->reactors, reactors_wanted(&sv->config));
	if (r) {
		log_error("no threads to work with: %s", strerror(-r));
		return r;
	}
	r = rpc_start(&sv->rpc, &rpc, why, sizeof(why));
	if (r)
		log_error("%s", why);
	return r;
}

static bool any_session(struct manager *m)
{
	bool any;

	pthread_mutex_lock(&m->lock);
	any = !list_empty(&m->sessions);
	pthread_mutex_unlock(&m->lock);
	return any;
}

/* @may_stay: which sessions the next service may find in use; NULL: none. Return: exit status. */
static int service_stop(struct service *sv, bool (*may_stay)(struct session *s))
{
	struct manager *m = &sv->manager;
	bool again = false, clean = true;
	int status = EXIT_SUCCESS;
	size_t n;

	manager_begin_stop(m);
	n = shutdown_sessions(m, sv->config.stop_timeout_ns, may_stay, hurry, held_said, &again);
	if (n) {
		status = EXIT_HELD;
		log_error("stopping: %zu sessions are still held; their devices are flushed and "
			  "cut off",
			  n);
		clean = shutdown_force(m, may_stay);
	}
	if (!clean)
		log_error("stopping: not everything could be taken away");
	if (!may_stay)
		give_up(m->devices_dir);
	else if (any_session(m))
		clean = false;
	/* a discovery under way has a bound of its own, which nobody needs to wait for */
	if (!rpc_stop(sv->rpc, RPC_STOP_NS) || !manager_wait_helpers(m, RPC_STOP_NS) || !clean) {
		log_info("stopped");
		/* threads may still use what would be freed */
		_exit(status);
	}
	return status;
}

static void service_free(struct service *sv)
{
	struct manager *m = &sv->manager;

	m->reactors = reactors_stop(m->reactors);
	m->persistent = persistent_free(m->persistent);
	if (m->lock_made)
		manager_clear(m);
	m->store = store_close(m->store);
	config_clear(&sv->config);
	closep(&sv->devices_lock_fd);
	closep(&sv->state_lock_fd);
}

/* Held for as long as we live; the kernel lets go of them whatever happens to us. */
static int locks_take(struct service *sv)
{
	const struct options *o = &sv->options;
	char state[sizeof(o->state_dir) + 8], devices[sizeof(o->devices_dir) + 8];
	int r;

	snprintf(state, sizeof(state), "%s/lock", o->state_dir);
	snprintf(devices, sizeof(devices), "%s/.lock", o->devices_dir);
	r = dir_lock(state, o->devices_dir, &sv->state_lock_fd);
	return r ? r : dir_lock(devices, o->devices_dir, &sv->devices_lock_fd);
}

static int run(struct service *sv)
{
	sigset_t set = ending();
	int r;

	/* every thread inherits it: only those who wait for a signal get one */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(0022);
	fds_raise();
	r = dirs_make(&sv->options);
	if (r)
		return EXIT_FAILURE;
	r = locks_take(sv);
	if (r)
		return r == -EBUSY ? EXIT_IN_USE : EXIT_FAILURE;
	memory_prepare();
	if (chdir("/") < 0)
		log_debug("chdir: %s", strerror(errno));
	r = service_start(sv);
	if (r)
		return r == -EADDRINUSE ? EXIT_IN_USE : EXIT_FAILURE;
	startup_begin(&sv->manager);
	r = become_ready(&sv->manager, sv->options.socket);
	if (r == 0)
		r = wait_for_end();
	log_info("stopping (%s)", r == SIGUSR1  ? "SIGUSR1, for a restart"
				  : r == SIGINT ? "SIGINT"
						: "SIGTERM");
	notify("STOPPING=1\nSTATUS=Stopping");
	r = service_stop(sv, r == SIGUSR1 ? handover_can_stay : NULL);
	log_info("stopped");
	return r;
}

int main(int argc, char **argv)
{
	static struct service sv = {.state_lock_fd = -1, .devices_lock_fd = -1};
	int status;

	memory_wipe_libraries();
	log_setup(LOG_LEVEL_INFO, log_is_journal());
	if (options_parse(&sv.options, argc, argv))
		return EXIT_USAGE;
	if (sv.options.ends)
		return EXIT_SUCCESS;
	if (sv.options.has_log_level)
		log_setup(sv.options.log_level, log_is_journal());
	if (config_read(&sv)) {
		config_clear(&sv.config);
		return EXIT_USAGE;
	}
	status = run(&sv);
	service_free(&sv);
	return status;
}
