/* SPDX-License-Identifier: MIT */
#include "service/refusal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

void refusal_clear(struct refusal *r)
{
	holders_clear(&r->holders);
}

uint32_t refuse(struct refusal *r, uint32_t code, const char *fmt, ...)
{
	va_list ap;

	r->code = code;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	return code;
}

uint32_t refuse_errno(struct refusal *r, int error, const char *what)
{
	return refuse(r, status_of_errno(error), "%s: %s", what, strerror(-error));
}

uint32_t status_of_login(uint16_t login_status)
{
	static const struct {
		uint16_t login;
		uint32_t status;
	} rows[] = {
		{0x0101, ISDSC_TARGET_MOVED_TEMPORARILY},
		{0x0102, ISDSC_TARGET_MOVED_PERMANENTLY},
		{0x0200, ISDSC_INITIATOR_ERROR},
		{0x0201, ISDSC_AUTHENTICATION_FAILURE},
		{0x0202, ISDSC_AUTHORIZATION_FAILURE},
		{0x0203, ISDSC_NOT_FOUND},
		{0x0204, ISDSC_TARGET_REMOVED},
		{0x0205, ISDSC_UNSUPPORTED_VERSION},
		{0x0206, ISDSC_TOO_MANY_CONNECTIONS},
		{0x0207, ISDSC_MISSING_PARAMETER},
		{0x0208, ISDSC_CANT_INCLUDE_IN_SESSION},
		{0x0209, ISDSC_SESSION_TYPE_NOT_SUPPORTED},
		{0x0300, ISDSC_TARGET_ERROR},
		{0x0301, ISDSC_SERVICE_UNAVAILABLE},
		{0x0302, ISDSC_OUT_OF_RESOURCES},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].login == login_status)
			return rows[i].status;
	}
	/* a status of a known class that has no own code means what its class means (§11.13.5) */
	switch (login_status >> 8) {
	case 1: return ISDSC_TARGET_MOVED_TEMPORARILY;
	case 2: return ISDSC_INITIATOR_ERROR;
	case 3: return ISDSC_TARGET_ERROR;
	default: return ISDSC_LOGIN_FAILED;
	}
}

uint32_t status_of_failure(const struct initiator_failure *f)
{
	switch (-f->error) {
	case EREMOTEIO: return status_of_login(f->login_status);
	case ENOENT: return ISDSC_DNS_NAME_UNRESOLVED;
	case EBADMSG: return ISDSC_INVALID_SENDTARGETS_TEXT;
	case EPROTO: return ISDSC_LOGIN_FAILED;
	case EAFNOSUPPORT: return ISDSC_ADDRESS_TYPE_NOT_SUPPORTED;
	case ENOMEM: return WIN_NOT_ENOUGH_MEMORY;
	case ETIMEDOUT: return f->connected ? ISDSC_LOGIN_FAILED : ISDSC_CONNECTION_FAILED;
	default: return f->connected ? ISDSC_TRANSPORT_ERROR : ISDSC_CONNECTION_FAILED;
	}
}

uint32_t status_of_errno(int error)
{
	switch (-error) {
	case 0: return WIN_SUCCESS;
	case ENOMEM: return WIN_NOT_ENOUGH_MEMORY;
	case EINVAL: return WIN_INVALID_PARAMETER;
	case EACCES:
	case EPERM: return WIN_ACCESS_DENIED;
	default: return ISDSC_NON_SPECIFIC_ERROR;
	}
}
