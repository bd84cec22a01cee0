/* SPDX-License-Identifier: MIT */
/*
 * Every call that asks the service, in both forms, with each allocation failing
 * in turn
 *
 * The service is a thread here. What the calls mean is tested from outside, in
 * test/abi; this is for what only a checker of memory sees.
 */
#include "iscsidsc.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "varlink/varlink.h"

#define PORTAL "\"portal\":{\"symbolicName\":\"l\",\"address\":\"192.0.2.1\",\"socket\":3260}"
#define OPTIONS \
	"\"loginOptions\":{\"informationSpecified\":32,\"loginFlags\":0,\"username\":\"6162\"}"
/*
 * A long text comes first, as the service has it: where the parser has no memory to make room for
 * the last character of a text it goes astray, and 16 characters, those of a LUN, are such a case.
 */
#define MAPPING_OBJECT                                                                 \
	"{\"initiatorName\":\"a-name-that-is-longer-than-16\",\"targetName\":\"t\","   \
	"\"osDeviceName\":"                                                            \
	"\"\",\"sessionId\":\"1-"                                                      \
	"2\","                                                                         \
	"\"osBusNumber\":0,\"osTargetNumber\":0,\"luns\":[{\"osLun\":0,\"targetLun\":" \
	"\"0001000000000000\"}]}"
#define MAPPING "\"mapping\":" MAPPING_OBJECT
#define SCSI    "{\"result\":{\"status\":0,\"data\":\"ffffffff00000200\",\"sense\":\"\"}}"

static const struct canned {
	const char *method, *reply;
} canned[] = {
	{"GetVersion", "{\"major\":10,\"minor\":0,\"build\":1,\"product\":\"x\"}"},
	{"GetNodeName", "{\"name\":\"iqn.2026-11.local.host:1\"}"},
	{"SetNodeName", "{}"},
	{"ListInitiators", "{\"initiators\":[\"a\",\"b\"]}"},
	{"AddSendTargetPortal", "{}"},
	{"RemoveSendTargetPortal", "{}"},
	{"RefreshSendTargetPortal", "{}"},
	{"ListSendTargetPortals",
	 "{\"portals\":[{\"initiatorName\":\"a\",\"initiatorPort\":4294967295," PORTAL
	 ",\"securityFlags\":1," OPTIONS "}]}"},
	{"ListTargets", "{\"targets\":[\"iqn.2026-11.local.disk:1\"],\"status\":0}"},
	{"ListTargetPortals", "{\"portals\":[{" PORTAL ",\"portalGroup\":1}]}"},
	{"Login", "{\"sessionId\":\"1-2\",\"connectionId\":\"1-3\"}"},
	{"ListSessions",
	 "{\"sessions\":[{\"id\":\"1-2\",\"initiatorNodeName\":\"n\",\"targetName\":\"t\","
	 "\"isid\":\"800102030405\",\"tsih\":1,\"connections\":[{\"id\":\"1-3\","
	 "\"initiatorAddress\":\"::1\",\"initiatorSocket\":1,\"targetAddress\":\"::1\","
	 "\"targetSocket\":3260,\"cid\":1}]}]}"},
	{"ListDevices",
	 "{\"devices\":[{\"initiatorInstance\":\"a\",\"targetName\":\"t\",\"scsiPort\":1,"
	 "\"scsiBus\":0,\"scsiTarget\":0,\"scsiLun\":0,\"deviceType\":0,\"deviceNumber\":-1,"
	 "\"legacyName\":\"\",\"interfaceName\":\"/dev/disk/by-path/x\"}]}"},
	{"AddStaticTarget", "{}"},
	{"RemoveStaticTarget", "{}"},
	{"ListDiscoveryMechanisms", "{\"mechanisms\":[\"iSNS:a\",\"HBA:b\"]}"},
	{"GetTargetInformation",
	 "{\"information\":{\"protocolType\":0,\"targetAlias\":\"a\",\"portalGroups\":[{\"tag\":1,"
	 "\"portals\":[{\"symbolicName\":\"\",\"address\":\"::1\",\"socket\":1}]}],"
	 "\"initiatorName\":\"a\",\"targetFlags\":0," MAPPING "," OPTIONS "}}"},
	{"AddConnection", "{\"connectionId\":\"1-4\"}"},
	{"RemoveConnection", "{}"},
	{"ListSessionParameters",
	 "{\"sessions\":[{\"id\":\"1-2\",\"initialR2T\":false,\"immediateData\":true,\"type\":2,"
	 "\"dataSequenceInOrder\":true,\"dataPduInOrder\":true,\"errorRecoveryLevel\":0,"
	 "\"maxOutstandingR2T\":1,\"firstBurstLength\":1,\"maxBurstLength\":1,"
	 "\"maximumConnections\":1,\"connections\":[{\"id\":\"1-3\",\"state\":1,\"protocol\":6,"
	 "\"headerDigest\":0,\"dataDigest\":0,\"maxRecvDataSegmentLength\":1,\"authType\":0,"
	 "\"estimatedThroughput\":0,\"maxDatagramSize\":0}]}]}"},
	{"ListMappings", "{\"mappings\":[" MAPPING_OBJECT "]}"},
	{"ListPersistentLogins",
	 "{\"logins\":[{\"targetName\":\"t\",\"informational\":false,\"initiatorInstance\":\"\","
	 "\"initiatorPort\":1," PORTAL ",\"securityFlags\":0," MAPPING "," OPTIONS "}]}"},
	{"RemovePersistentLogin", "{}"},
	{"BindPersistentDevices", "{}"},
	{"AddPersistentDevice", "{}"},
	{"RemovePersistentDevice", "{}"},
	{"ClearPersistentDevices", "{}"},
	{"ListPersistentDevices", "{\"paths\":[\"/dev/loop0\"]}"},
	{"SetChapSecret", "{}"},
	{"SetRadiusSecret", "{}"},
	{"SetGroupKey", "{}"},
	{"SetIkeInfo", "{}"},
	{"GetIkeInfo", "{\"securityFlags\":3}"},
	{"SetTunnelAddress", "{}"},
	{"AddRadiusServer", "{}"},
	{"RemoveRadiusServer", "{}"},
	{"ListRadiusServers", "{\"servers\":[\"::1\"]}"},
	{"AddIsnsServer", "{}"},
	{"RemoveIsnsServer", "{}"},
	{"RefreshIsnsServer", "{}"},
	{"ListIsnsServers", "{\"servers\":[]}"},
	{"ScsiInquiry", SCSI},
	{"ScsiReadCapacity", SCSI},
	{"ScsiReportLuns", SCSI},
	/* and the one that fails */
	{"Logout", NULL},
};

static char dir[] = "/tmp/iscsidsc-XXXXXX";
static char path[64];
static int listener = -1;
static pthread_t server;

static void conn_answer(struct varlink_conn *c)
{
	struct varlink_request req;
	const char *method;
	json_t *msg;

	if (varlink_recv(c, &msg, 20000) < 0)
		return;
	if (varlink_request_of(&req, msg) < 0)
		abort();
	method = strrchr(req.method, '.') + 1;
	for (size_t i = 0; i < ARRAY_SIZE(canned); i++) {
		if (strcmp(canned[i].method, method) != 0)
			continue;
		if (canned[i].reply)
			varlink_reply(c, json_loads(canned[i].reply, 0, NULL), false, 20000);
		else
			varlink_error(c, VARLINK_INTERFACE ".Status",
				      json_pack("{s:I, s:s, s:[{s:s}]}", "code",
						(json_int_t)ISDSC_DEVICE_BUSY_ON_SESSION, "text",
						"in use", "holders", "text", "by me"),
				      20000);
	}
	json_decref(msg);
}

static void *server_run(void *arg)
{
	for (;;) {
		struct varlink_conn *c;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return NULL;
		if (varlink_conn_new(&c, fd) == 0) {
			conn_answer(c);
			varlink_conn_free(c);
		}
	}
}

static int server_start(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/socket", dir);
	memcpy(addr.sun_path, path, strlen(path));
	setenv("ISCSIDSC_SOCKET", path, 1);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(listener, 16) < 0)
		return -1;
	return pthread_create(&server, NULL, server_run, NULL);
}

static int server_stop(void **state)
{
	shutdown(listener, SHUT_RDWR);
	pthread_join(server, NULL);
	close(listener);
	unlink(path);
	rmdir(dir);
	return 0;
}

/* -- allocations of this thread that fail -- */

static _Thread_local long n_until_failure; /* 0: never */

static void *failing_malloc(size_t n)
{
	if (n_until_failure > 0 && --n_until_failure == 0)
		return NULL;
	return malloc(n);
}

/* -- the calls -- */

/* What calls write to is each thread's own. */
static _Thread_local ISCSI_UNIQUE_SESSION_ID id;
static _Thread_local uint8_t memory[1 << 16];
static ISCSI_LOGIN_OPTIONS options = {
	.InformationSpecified = ISCSI_LOGIN_OPTIONS_USERNAME | ISCSI_LOGIN_OPTIONS_PASSWORD,
	.Username = (PUCHAR) "me",
	.UsernameLength = 2,
	.Password = (PUCHAR) "0123456789ab",
	.PasswordLength = 12,
};
static ISCSI_TARGET_PORTALA portal_a = {.SymbolicName = "l", .Address = "a", .Socket = 1};
static ISCSI_TARGET_PORTALW portal_w = {.SymbolicName = u"l", .Address = u"a", .Socket = 1};
static SCSI_LUN_LIST lun = {.OSLUN = 1, .TargetLUN = 0x100};
static ISCSI_TARGET_MAPPINGA mapping_a = {.LUNCount = 1, .LUNList = &lun};
static ISCSI_TARGET_MAPPINGW mapping_w = {.LUNCount = 1, .LUNList = &lun};
static ISCSI_TARGET_PORTAL_GROUPA group_a = {1, {{.Address = "a", .Socket = 1}}};
static ISCSI_TARGET_PORTAL_GROUPW group_w = {1, {{.Address = u"a", .Socket = 1}}};
static _Thread_local IKE_AUTHENTICATION_INFORMATION ike = {
	.AuthMethod = IKE_AUTHENTICATION_PRESHARED_KEY_METHOD,
	.PsKey = {.IdType = ID_FQDN,
		  .Id = (PUCHAR) "host",
		  .IdLengthInBytes = 4,
		  .Key = (PUCHAR) "0123456789ab",
		  .KeyLengthInBytes = 12},
};
static char name_a[] = "iqn.2026-11.local.disk:1";
static WCHAR name_w[] = u"iqn.2026-11.local.disk:1";
static char key[] = "key";

#define SIZES                                   \
	ULONG size = sizeof(memory), count = 4; \
	(void)size;                             \
	(void)count

#define BOTH(name, args_a, args_w)         \
	static ISDSC_STATUS name##_a(void) \
	{                                  \
		SIZES;                     \
		return name##A args_a;     \
	}                                  \
	static ISDSC_STATUS name##_w(void) \
	{                                  \
		SIZES;                     \
		return name##W args_w;     \
	}

#define ONE(name, args)                       \
	static ISDSC_STATUS name##_one(void)  \
	{                                     \
		UCHAR status;                 \
		ULONG n_all = sizeof(memory); \
		ULONG n = 64, n_sense = 18;   \
		(void)n_all;                  \
		(void)status;                 \
		(void)n;                      \
		(void)n_sense;                \
		return name args;             \
	}

#undef GetIScsiInitiatorNodeName
#undef SetIScsiInitiatorNodeName
#undef ReportIScsiInitiatorList
#undef AddIScsiSendTargetPortal
#undef RemoveIScsiSendTargetPortal
#undef RefreshIScsiSendTargetPortal
#undef ReportIScsiSendTargetPortals
#undef ReportIScsiSendTargetPortalsEx
#undef ReportIScsiTargetPortals
#undef ReportIScsiTargets
#undef LoginIScsiTarget
#undef GetIScsiSessionList
#undef GetDevicesForIScsiSession
#undef AddISNSServer
#undef AddIScsiConnection
#undef AddIScsiStaticTarget
#undef AddPersistentIScsiDevice
#undef AddRadiusServer
#undef GetIScsiIKEInfo
#undef GetIScsiTargetInformation
#undef RefreshISNSServer
#undef RemoveISNSServer
#undef RemoveIScsiPersistentTarget
#undef RemoveIScsiStaticTarget
#undef RemovePersistentIScsiDevice
#undef RemoveRadiusServer
#undef ReportActiveIScsiTargetMappings
#undef ReportISNSServerList
#undef ReportIScsiPersistentLogins
#undef ReportPersistentIScsiDevices
#undef ReportRadiusServerList
#undef SetIScsiIKEInfo
#undef SetIScsiTunnelModeOuterAddress

BOTH(GetIScsiInitiatorNodeName, ((PCHAR)memory), ((PWCHAR)memory))
BOTH(SetIScsiInitiatorNodeName, (name_a), (name_w))
BOTH(ReportIScsiInitiatorList, (&size, (PCHAR)memory), (&size, (PWCHAR)memory))
BOTH(AddIScsiSendTargetPortal, (name_a, 1, &options, 1, &portal_a),
     (name_w, 1, &options, 1, &portal_w))
BOTH(RemoveIScsiSendTargetPortal, (name_a, 1, &portal_a), (name_w, 1, &portal_w))
BOTH(RefreshIScsiSendTargetPortal, (name_a, 1, &portal_a), (name_w, 1, &portal_w))
BOTH(ReportIScsiSendTargetPortals, (&count, (void *)memory), (&count, (void *)memory))
BOTH(ReportIScsiSendTargetPortalsEx, (&count, &size, (void *)memory),
     (&count, &size, (void *)memory))
BOTH(ReportIScsiTargetPortals, (NULL, name_a, NULL, &count, (void *)memory),
     (NULL, name_w, NULL, &count, (void *)memory))
BOTH(ReportIScsiTargets, (1, &size, (PCHAR)memory), (1, &size, (PWCHAR)memory))
BOTH(LoginIScsiTarget,
     (name_a, 0, NULL, ISCSI_ANY_INITIATOR_PORT, &portal_a, 0, NULL, &options, 3, key, 0, &id, &id),
     (name_w, 0, NULL, ISCSI_ANY_INITIATOR_PORT, &portal_w, 0, NULL, &options, 3, key, 0, &id, &id))
BOTH(GetIScsiSessionList, (&size, &count, (void *)memory), (&size, &count, (void *)memory))
BOTH(GetDevicesForIScsiSession, (&id, &count, (void *)memory), (&id, &count, (void *)memory))
BOTH(AddIScsiStaticTarget, (name_a, name_a, 0, 1, &mapping_a, &options, &group_a),
     (name_w, name_w, 0, 1, &mapping_w, &options, &group_w))
BOTH(RemoveIScsiStaticTarget, (name_a), (name_w))
BOTH(AddIScsiConnection, (&id, NULL, 1, &portal_a, 0, &options, 3, key, &id),
     (&id, NULL, 1, &portal_w, 0, &options, 3, key, &id))
BOTH(ReportActiveIScsiTargetMappings, (&size, &count, (void *)memory),
     (&size, &count, (void *)memory))
BOTH(ReportIScsiPersistentLogins, (&count, (void *)memory, &size), (&count, (void *)memory, &size))
BOTH(RemoveIScsiPersistentTarget, (NULL, 1u << 31, name_a, &portal_a),
     (NULL, 1u << 31, name_w, &portal_w))
BOTH(AddPersistentIScsiDevice, (name_a), (name_w))
BOTH(RemovePersistentIScsiDevice, (name_a), (name_w))
BOTH(ReportPersistentIScsiDevices, (&size, (PCHAR)memory), (&size, (PWCHAR)memory))
BOTH(AddRadiusServer, (name_a), (name_w))
BOTH(RemoveRadiusServer, (name_a), (name_w))
BOTH(ReportRadiusServerList, (&size, (PCHAR)memory), (&size, (PWCHAR)memory))
BOTH(AddISNSServer, (name_a), (name_w))
BOTH(RemoveISNSServer, (name_a), (name_w))
BOTH(RefreshISNSServer, (name_a), (name_w))
BOTH(ReportISNSServerList, (&size, (PCHAR)memory), (&size, (PWCHAR)memory))
BOTH(SetIScsiIKEInfo, (NULL, 1, &ike, 1), (NULL, 1, &ike, 1))
BOTH(GetIScsiIKEInfo, (NULL, 1, NULL, &ike), (NULL, 1, NULL, &ike))
BOTH(SetIScsiTunnelModeOuterAddress, (NULL, 1, name_a, name_a, 1), (NULL, 1, name_w, name_w, 1))

#define INFORMATION(class)                                                               \
	static ISDSC_STATUS information_##class##_a(void)                                \
	{                                                                                \
		ULONG size = sizeof(memory);                                             \
		return GetIScsiTargetInformationA(name_a, name_a, class, &size, memory); \
	}                                                                                \
	static ISDSC_STATUS information_##class##_w(void)                                \
	{                                                                                \
		ULONG size = sizeof(memory);                                             \
		return GetIScsiTargetInformationW(name_w, name_w, class, &size, memory); \
	}

INFORMATION(ProtocolType)
INFORMATION(TargetAlias)
INFORMATION(DiscoveryMechanisms)
INFORMATION(PortalGroups)
INFORMATION(PersistentTargetMappings)
INFORMATION(LoginOptions)

ONE(RemoveIScsiConnection, (&id, &id))
ONE(GetIScsiSessionListEx, (&n_all, &n, (void *)memory))
ONE(SetupPersistentIScsiDevices, ())
ONE(SetupPersistentIScsiVolumes, ())
ONE(ClearPersistentIScsiDevices, ())
ONE(SetIScsiInitiatorCHAPSharedSecret, (12, (PUCHAR) "0123456789ab"))
ONE(SetIScsiInitiatorRADIUSSharedSecret, (12, (PUCHAR) "0123456789ab"))
ONE(SetIScsiGroupPresharedKey, (12, (PUCHAR) "0123456789ab", 1))
ONE(GetIScsiVersionInformation, ((void *)memory))
ONE(LogoutIScsiTarget, (&id))
ONE(SendScsiInquiry, (&id, 1, 0, 0, &status, &n, memory, &n_sense, memory + 64))
ONE(SendScsiReadCapacity, (&id, 0x100, &status, &n, memory, &n_sense, memory + 64))
ONE(SendScsiReportLuns, (&id, &status, &n, memory, &n_sense, memory + 64))

#define CALLS(name)                    \
	{#name "A", name##_a, 0},      \
	{                              \
#name "W", name##_w, 0 \
	}
#define CALL(name, status)                \
	{                                 \
#name, name##_one, status \
	}

static const struct call {
	const char *name;
	ISDSC_STATUS (*run)(void);
	ISDSC_STATUS expected;
} calls[] = {
	CALLS(GetIScsiInitiatorNodeName),
	CALLS(SetIScsiInitiatorNodeName),
	CALLS(ReportIScsiInitiatorList),
	CALLS(AddIScsiSendTargetPortal),
	CALLS(RemoveIScsiSendTargetPortal),
	CALLS(RefreshIScsiSendTargetPortal),
	CALLS(ReportIScsiSendTargetPortals),
	CALLS(ReportIScsiSendTargetPortalsEx),
	CALLS(ReportIScsiTargetPortals),
	CALLS(ReportIScsiTargets),
	CALLS(LoginIScsiTarget),
	CALLS(GetIScsiSessionList),
	CALLS(GetDevicesForIScsiSession),
	CALLS(AddIScsiStaticTarget),
	CALLS(RemoveIScsiStaticTarget),
	CALLS(AddIScsiConnection),
	CALLS(ReportActiveIScsiTargetMappings),
	CALLS(ReportIScsiPersistentLogins),
	CALLS(RemoveIScsiPersistentTarget),
	CALLS(AddPersistentIScsiDevice),
	CALLS(RemovePersistentIScsiDevice),
	CALLS(ReportPersistentIScsiDevices),
	CALLS(AddRadiusServer),
	CALLS(RemoveRadiusServer),
	CALLS(ReportRadiusServerList),
	CALLS(AddISNSServer),
	CALLS(RemoveISNSServer),
	CALLS(RefreshISNSServer),
	CALLS(ReportISNSServerList),
	CALLS(SetIScsiIKEInfo),
	CALLS(GetIScsiIKEInfo),
	CALLS(SetIScsiTunnelModeOuterAddress),
	CALLS(information_ProtocolType),
	CALLS(information_TargetAlias),
	CALLS(information_DiscoveryMechanisms),
	CALLS(information_PortalGroups),
	CALLS(information_PersistentTargetMappings),
	CALLS(information_LoginOptions),
	CALL(RemoveIScsiConnection, 0),
	CALL(GetIScsiSessionListEx, 0),
	CALL(SetupPersistentIScsiDevices, 0),
	CALL(SetupPersistentIScsiVolumes, 0),
	CALL(ClearPersistentIScsiDevices, 0),
	CALL(SetIScsiInitiatorCHAPSharedSecret, 0),
	CALL(SetIScsiInitiatorRADIUSSharedSecret, 0),
	CALL(SetIScsiGroupPresharedKey, 0),
	CALL(GetIScsiVersionInformation, 0),
	CALL(LogoutIScsiTarget, ISDSC_DEVICE_BUSY_ON_SESSION),
	CALL(SendScsiInquiry, 0),
	CALL(SendScsiReadCapacity, 0),
	CALL(SendScsiReportLuns, 0),
};

static void every_call(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		ISDSC_STATUS status = calls[i].run();

		if (status != calls[i].expected)
			fail_msg("%s: 0x%08x %s", calls[i].name, status, iscsidsc_last_detail());
	}
}

/* -- many threads -- */

#define N_THREADS 12
#define N_ROUNDS  4

struct caller {
	pthread_t thread;
	size_t start;
	const char *wrong; /* NULL: nothing was */
};

/* All calls, each thread from another one on; details must be those of its own calls. */
static void *caller_run(void *arg)
{
	struct caller *c = arg;

	for (size_t i = 0; i < N_ROUNDS * ARRAY_SIZE(calls); i++) {
		const struct call *call = &calls[(c->start + i) % ARRAY_SIZE(calls)];
		ISDSC_STATUS status = call->run();

		if (status != call->expected || (status == 0) != (*iscsidsc_last_detail() == '\0'))
			c->wrong = call->name;
	}
	return NULL;
}

static void every_call_from_many_threads(void **state)
{
	struct caller callers[N_THREADS] = {0};

	for (size_t i = 0; i < N_THREADS; i++) {
		callers[i].start = i * ARRAY_SIZE(calls) / N_THREADS;
		assert_int_equal(pthread_create(&callers[i].thread, NULL, caller_run, &callers[i]),
				 0);
	}
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_join(callers[i].thread, NULL);
	for (size_t i = 0; i < N_THREADS; i++)
		assert_null(callers[i].wrong);
}

static void every_call_with_every_allocation_failing(void **state)
{
	json_set_alloc_funcs(failing_malloc, free);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		for (long n = 1;; n++) {
			ISDSC_STATUS status;
			bool was_reached;

			n_until_failure = n;
			status = calls[i].run();
			was_reached = n_until_failure == 0;
			n_until_failure = 0;
			if (!was_reached) {
				assert_int_equal(status, calls[i].expected);
				break;
			}
			/*
			 * Not every allocation is needed, and the parser may take a text it
			 * has no memory for as one that is not well-formed.
			 */
			if (status != ERROR_NOT_ENOUGH_MEMORY &&
			    status != ISDSC_SERVICE_NOT_RUNNING &&
			    status != ISDSC_NON_SPECIFIC_ERROR && status != calls[i].expected)
				fail_msg("%s, allocation %ld: 0x%08x %s", calls[i].name, n, status,
					 iscsidsc_last_detail());
			assert_true(n < 10000);
		}
	}
	json_set_alloc_funcs(malloc, free);
}

/* -- secrets in memory that this thread gives back -- */

static _Thread_local bool looks_for_secrets;
static unsigned n_secrets, n_frees;

static void looking_free(void *p)
{
	static const char *const secrets[] = {"0123456789ab", "303132333435363738396162"};

	if (p && looks_for_secrets) {
		n_frees++;
		for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
			n_secrets += memmem(p, malloc_usable_size(p), secrets[i],
					    strlen(secrets[i])) != NULL;
	}
	free(p);
}

static ISDSC_STATUS (*const taking_secrets[])(void) = {
	LoginIScsiTarget_a,
	AddIScsiSendTargetPortal_w,
	AddIScsiStaticTarget_a,
	AddIScsiConnection_w,
	SetIScsiIKEInfo_a,
	SetIScsiInitiatorCHAPSharedSecret_one,
	SetIScsiInitiatorRADIUSSharedSecret_one,
	SetIScsiGroupPresharedKey_one,
};

/* As long as the service takes, and no longer. */
static void longest_key(void **state)
{
	static char bytes[256];
	ISCSI_UNIQUE_SESSION_ID session;

	assert_int_equal(LoginIScsiTargetA(name_a, 0, NULL, ISCSI_ANY_INITIATOR_PORT, &portal_a, 0,
					   NULL, &options, 255, bytes, 0, &session, &session),
			 0);
	assert_int_equal(LoginIScsiTargetA(name_a, 0, NULL, ISCSI_ANY_INITIATOR_PORT, &portal_a, 0,
					   NULL, &options, 256, bytes, 0, &session, &session),
			 ERROR_INVALID_PARAMETER);
}

static void no_secret_is_left_in_memory(void **state)
{
	ISCSI_UNIQUE_SESSION_ID session;
	const char *secret;
	json_t *string;

	json_set_alloc_funcs(malloc, looking_free);
	looks_for_secrets = true;
	assert_int_equal(LoginIScsiTargetA(name_a, 0, NULL, ISCSI_ANY_INITIATOR_PORT, &portal_a, 0,
					   NULL, &options, 0, NULL, 0, &session, &session),
			 0);
	/* one that is refused after its secret has been read */
	assert_int_equal(LoginIScsiTargetA(name_a, 0, NULL, ISCSI_ANY_INITIATOR_PORT, &portal_a, 0,
					   NULL, &options, 99999, key, 0, &session, &session),
			 ERROR_INVALID_PARAMETER);
	/* and one whose service is not there */
	setenv("ISCSIDSC_SOCKET", "/nonexistent", 1);
	assert_int_equal(LoginIScsiTargetA(name_a, 0, NULL, ISCSI_ANY_INITIATOR_PORT, &portal_a, 0,
					   NULL, &options, 0, NULL, 0, &session, &session),
			 ISDSC_SERVICE_NOT_RUNNING);
	setenv("ISCSIDSC_SOCKET", path, 1);
	/* the others that take one, also with one allocation after the other failing */
	for (size_t i = 0; i < ARRAY_SIZE(taking_secrets); i++)
		assert_int_equal(taking_secrets[i](), 0);
	json_set_alloc_funcs(failing_malloc, looking_free);
	for (size_t i = 0; i < ARRAY_SIZE(taking_secrets); i++) {
		bool was_reached = true;

		for (long n = 1; was_reached; n++) {
			n_until_failure = n;
			taking_secrets[i]();
			was_reached = n_until_failure == 0;
			n_until_failure = 0;
		}
	}
	assert_int_equal(n_secrets, 0);
	assert_true(n_frees > 100);

	/* it would have been found */
	secret = "303132333435363738396162";
	string = json_string(secret);
	json_decref(string);
	assert_int_equal(n_secrets, 1);
	looks_for_secrets = false;
	json_set_alloc_funcs(malloc, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call),
		cmocka_unit_test(every_call_from_many_threads),
		cmocka_unit_test(longest_key),
		cmocka_unit_test(no_secret_is_left_in_memory),
		cmocka_unit_test(every_call_with_every_allocation_failing),
	};

	return cmocka_run_group_tests(tests, server_start, server_stop);
}
