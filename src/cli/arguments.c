/* SPDX-License-Identifier: MIT */
#include "cli/arguments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define N_MAPPING 4    /* arguments of one unit: target LUN, bus, target, LUN */
#define LUNS_MAX  1024 /* of one mapping: more than a command line could hold in a useful way */

void login_options_clear(struct login_options *o)
{
	secret_clear(&o->username);
	secret_clear(&o->password);
}

ISDSC_STATUS secret_take(struct cli *cli, char *arg, struct secret *ret)
{
	int r = value_secret(arg, ret);

	if (r == -ENOMEM)
		return ERROR_NOT_ENOUGH_MEMORY;
	if (r)
		return out_refuse(cli, "A secret in hexadecimal has two digits for each byte");
	return ERROR_SUCCESS;
}

static ISDSC_STATUS username_take(const char *arg, struct secret *ret)
{
	ret->p = (UCHAR *)strdup(arg);
	if (!ret->p)
		return ERROR_NOT_ENOUGH_MEMORY;
	ret->n = (ULONG)strlen(arg);
	return ERROR_SUCCESS;
}

static void options_point(struct login_options *o)
{
	o->options.Username = o->username.n ? o->username.p : NULL;
	o->options.UsernameLength = o->username.n;
	o->options.Password = o->password.n ? o->password.p : NULL;
	o->options.PasswordLength = o->password.n;
}

static bool is_empty(const char *arg)
{
	return strcmp(arg, "-") == 0;
}

/* False when the argument says "not specified". */
static bool option_is_given(struct login_options *o, const char *arg, ULONG bit)
{
	if (value_is_any(arg))
		return false;
	o->options.InformationSpecified |= bit;
	return true;
}

ISDSC_STATUS login_options_take(struct cli *cli, char **argv, struct login_options *ret)
{
	ISDSC_STATUS status = ERROR_SUCCESS;

	ret->options.LoginFlags = value_number_or(argv[0], 0);
	if (option_is_given(ret, argv[1], ISCSI_LOGIN_OPTIONS_HEADER_DIGEST))
		ret->options.HeaderDigest = (ISCSI_DIGEST_TYPES)value_number(argv[1]);
	if (option_is_given(ret, argv[2], ISCSI_LOGIN_OPTIONS_DATA_DIGEST))
		ret->options.DataDigest = (ISCSI_DIGEST_TYPES)value_number(argv[2]);
	if (option_is_given(ret, argv[3], ISCSI_LOGIN_OPTIONS_MAXIMUM_CONNECTIONS))
		ret->options.MaximumConnections = value_number(argv[3]);
	if (option_is_given(ret, argv[4], ISCSI_LOGIN_OPTIONS_DEFAULT_TIME_2_WAIT))
		ret->options.DefaultTime2Wait = value_number(argv[4]);
	if (option_is_given(ret, argv[5], ISCSI_LOGIN_OPTIONS_DEFAULT_TIME_2_RETAIN))
		ret->options.DefaultTime2Retain = value_number(argv[5]);
	if (option_is_given(ret, argv[6], ISCSI_LOGIN_OPTIONS_USERNAME) && !is_empty(argv[6]))
		status = username_take(argv[6], &ret->username);
	if (!status && option_is_given(ret, argv[7], ISCSI_LOGIN_OPTIONS_PASSWORD) &&
	    !is_empty(argv[7]))
		status = secret_take(cli, argv[7], &ret->password);
	if (option_is_given(ret, argv[8], ISCSI_LOGIN_OPTIONS_AUTH_TYPE))
		ret->options.AuthType = (ISCSI_AUTH_TYPES)value_number(argv[8]);
	options_point(ret);
	return status;
}

ISDSC_STATUS login_options_quick(struct cli *cli, char *user, char *password,
				 struct login_options *ret)
{
	ISDSC_STATUS status = ERROR_SUCCESS;

	if (!user || !password)
		return ERROR_SUCCESS;
	ret->options.InformationSpecified = ISCSI_LOGIN_OPTIONS_USERNAME |
					    ISCSI_LOGIN_OPTIONS_PASSWORD |
					    ISCSI_LOGIN_OPTIONS_AUTH_TYPE;
	ret->options.AuthType = ISCSI_CHAP_AUTH_TYPE;
	if (!value_is_any(user) && !is_empty(user))
		status = username_take(user, &ret->username);
	if (!status && !value_is_any(password) && !is_empty(password))
		status = secret_take(cli, password, &ret->password);
	options_point(ret);
	return status;
}

ISDSC_STATUS portal_take(struct cli *cli, const char *address, const char *socket,
			 ISCSI_TARGET_PORTALA *ret)
{
	size_t n = strlen(address);

	memset(ret, 0, sizeof(*ret));
	if (n >= sizeof(ret->Address))
		return out_refuse(cli, "Target portal address has more than %zu characters",
				  sizeof(ret->Address) - 1);
	if (n == 0)
		return out_refuse(cli, "Target portal address is empty");
	memcpy(ret->Address, address, n + 1);
	ret->Socket = DEFAULT_SOCKET;
	if (socket && !value_socket(socket, &ret->Socket))
		return out_refuse(cli, "Target portal socket must be from 1 to 65535: %s", socket);
	return ERROR_SUCCESS;
}

ISDSC_STATUS portal_take_or_any(struct cli *cli, const char *address, const char *socket,
				ISCSI_TARGET_PORTALA *ret, bool *ret_given)
{
	*ret_given = false;
	if (value_is_any(address) && value_is_any(socket))
		return ERROR_SUCCESS;
	if (value_is_any(address) || value_is_any(socket))
		return out_refuse(cli, "Portal address and socket must be specified");
	*ret_given = true;
	return portal_take(cli, address, socket, ret);
}

bool mapping_fits(int argc, char **argv, int n_before)
{
	ULONG n;

	if (argc < n_before)
		return false;
	n = value_number(argv[n_before - 1]);
	return n <= LUNS_MAX && argc == n_before + (int)n * N_MAPPING;
}

ISDSC_STATUS mapping_take(struct cli *cli, char **argv, ISCSI_TARGET_MAPPINGA **ret)
{
	CLEANUP(freep) ISCSI_TARGET_MAPPINGA *m = NULL;
	ULONG n = value_number(argv[0]);
	char **group = argv + 1;

	*ret = NULL;
	if (n == 0)
		return ERROR_SUCCESS;
	m = calloc(1, sizeof(*m) + n * sizeof(SCSI_LUN_LIST));
	if (!m)
		return ERROR_NOT_ENOUGH_MEMORY;
	m->LUNList = (SCSI_LUN_LIST *)(m + 1);
	m->LUNCount = n;
	m->OSBusNumber = value_number(group[1]);
	m->OSTargetNumber = value_number(group[2]);
	for (ULONG i = 0; i < n; i++, group += N_MAPPING) {
		if (!value_mapping_lun(group[0], &m->LUNList[i].TargetLUN))
			return out_refuse(cli, "Target LUN must be in 0x0123456789abcdef format");
		if (value_number(group[1]) != m->OSBusNumber)
			return out_refuse(cli, "OSBus number must be the same for all LUNs");
		if (value_number(group[2]) != m->OSTargetNumber)
			return out_refuse(cli, "OSTarget number must be the same for all LUNs");
		m->LUNList[i].OSLUN = value_number(group[3]);
	}
	*ret = TAKE(m);
	return ERROR_SUCCESS;
}

ISDSC_STATUS session_id_take(struct cli *cli, const char *arg, ISCSI_UNIQUE_SESSION_ID *ret)
{
	if (!value_id(arg, ret))
		return out_refuse(cli, "Invalid sessionid: %s", arg);
	return ERROR_SUCCESS;
}
