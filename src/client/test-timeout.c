/* SPDX-License-Identifier: MIT */
/*
 * A service that says nothing: every call comes back all the same
 *
 * Built with the library's sources and short limits.
 */
#include "client/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SLACK_MS 10000 /* a busy machine */

static char dir[] = "/tmp/iscsidsc-XXXXXX";
static struct sockaddr_un addr = {.sun_family = AF_UNIX};
static int listener = -1;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Connections are made by the kernel and answered by nobody. */
static int socket_open(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
	setenv("ISCSIDSC_SOCKET", addr.sun_path, 1);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 64);
}

static int socket_close(void **state)
{
	close(listener);
	unlink(addr.sun_path);
	rmdir(dir);
	return 0;
}

#define TAKES(limit_ms, call)                                                              \
	do {                                                                               \
		int64_t start_ms = now_ms();                                               \
		assert_int_equal((call), ISDSC_SERVICE_NOT_RUNNING);                       \
		assert_in_range(now_ms() - start_ms, (limit_ms)-1, (limit_ms) + SLACK_MS); \
		assert_non_null(strstr(detail_get(), "did not answer"));                   \
	} while (0)

static void calls_end_at_their_limit(void **state)
{
	ISCSI_TARGET_PORTALA portal = {.Address = "a", .Socket = 1};
	ISCSI_UNIQUE_SESSION_ID id = {1, 2};
	ULONG size = 0;
	char name[] = "iqn.2026-11.local.disk:1";

	TAKES(QUERY_MS, ReportIScsiTargetsA(FALSE, &size, NULL));
	TAKES(DISCOVER_MS, ReportIScsiTargetsA(TRUE, &size, NULL));
	TAKES(DISCOVER_MS,
	      AddIScsiSendTargetPortalA(NULL, ISCSI_ALL_INITIATOR_PORTS, NULL, 0, &portal));
	TAKES(DISCOVER_MS, RefreshIScsiSendTargetPortalA(NULL, ISCSI_ALL_INITIATOR_PORTS, &portal));
	TAKES(QUERY_MS, RemoveIScsiSendTargetPortalA(NULL, ISCSI_ALL_INITIATOR_PORTS, &portal));
	TAKES(LOGIN_MS, LoginIScsiTargetA(name, FALSE, NULL, ISCSI_ANY_INITIATOR_PORT, NULL, 0,
					  NULL, NULL, 0, NULL, FALSE, &id, &id));
	TAKES(LOGOUT_MS, LogoutIScsiTarget(&id));
}

/* The listener's queue is full: connecting is within the limit, too. */
static void connecting_ends_at_the_limit(void **state)
{
	int queued[100];
	size_t n = 0;

	while (n < ARRAY_SIZE(queued)) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		queued[n++] = fd;
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			break;
	}
	assert_true(n < ARRAY_SIZE(queued));
	TAKES(QUERY_MS, SetIScsiInitiatorNodeNameA(NULL));
	while (n > 0)
		close(queued[--n]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_end_at_their_limit),
		cmocka_unit_test(connecting_ends_at_the_limit),
	};

	return cmocka_run_group_tests(tests, socket_open, socket_close);
}
