/* SPDX-License-Identifier: MIT */
/* path HOST PORT: from a portal to data on a disk and back, as any program would do it. */
#include <fcntl.h>
#include <iscsidsc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BYTES 4096

static int fail(const char *what, ISDSC_STATUS status)
{
	fprintf(stderr, "%s: 0x%08X %s (%s)\n", what, status, iscsidsc_strerror(status),
		iscsidsc_last_detail());
	return 1;
}

static int use(const char *path)
{
	static char out[BYTES], in[BYTES];
	int fd = open(path, O_RDWR);

	memset(out, 0x5a, sizeof(out));
	if (fd < 0 || pwrite(fd, out, sizeof(out), 0) != BYTES || fsync(fd) ||
	    pread(fd, in, sizeof(in), 0) != BYTES || memcmp(in, out, sizeof(in))) {
		perror(path);
		return 1;
	}
	return close(fd);
}

int main(int argc, char **argv)
{
	ISCSI_TARGET_PORTALA portal = {"", "", 0};
	ISCSI_UNIQUE_SESSION_ID session;
	ISCSI_UNIQUE_CONNECTION_ID connection;
	ISCSI_DEVICE_ON_SESSIONA *devices = NULL;
	char names[4096];
	ULONG n = sizeof(names), n_devices = 0;
	ISDSC_STATUS status;

	if (argc != 3)
		return 2;
	snprintf(portal.Address, sizeof(portal.Address), "%s", argv[1]);
	portal.Socket = (USHORT)atoi(argv[2]);
	status = AddIScsiSendTargetPortalA(NULL, ISCSI_ALL_INITIATOR_PORTS, NULL, 0, &portal);
	if (status)
		return fail("AddIScsiSendTargetPortal", status);
	status = ReportIScsiTargetsA(FALSE, &n, names);
	if (status)
		return fail("ReportIScsiTargets", status);
	status = LoginIScsiTargetA(names, FALSE, NULL, ISCSI_ANY_INITIATOR_PORT, NULL, 0, NULL,
				   NULL, 0, NULL, FALSE, &session, &connection);
	if (status)
		return fail("LoginIScsiTarget", status);
	while ((status = GetDevicesForIScsiSessionA(&session, &n_devices, devices)) ==
	       ERROR_INSUFFICIENT_BUFFER)
		devices = realloc(devices, n_devices * sizeof(*devices));
	if (status || n_devices == 0)
		return fail("GetDevicesForIScsiSession", status);
	if (use(devices[0].LegacyName))
		return 1;
	printf("%s %s\n", names, devices[0].LegacyName);
	free(devices);
	status = LogoutIScsiTarget(&session);
	return status ? fail("LogoutIScsiTarget", status) : 0;
}
