/* SPDX-License-Identifier: MIT */
#include "cli/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define N_PER_LINE 16

void print_bytes(const struct cli *cli, int n_indent, const UCHAR *p, size_t n)
{
	for (size_t at = 0; at < n; at += N_PER_LINE) {
		char hex[N_PER_LINE * 3 + 1];
		char text[N_PER_LINE + 1] = "";

		for (size_t i = 0; i < N_PER_LINE; i++) {
			if (at + i >= n) {
				memcpy(hex + i * 3, "   ", 4);
				continue;
			}
			snprintf(hex + i * 3, 4, "%02x ", p[at + i]);
			text[i] = p[at + i] > 0x20 && p[at + i] < 0x7f ? (char)p[at + i] : '.';
		}
		out(cli, "%*s%s    %s\n", n_indent, "", hex, text);
	}
}

void print_security_flags(const struct cli *cli, int n_indent, ISCSI_SECURITY_FLAGS flags)
{
	static const struct {
		ULONG bit;
		const char *words;
	} rows[] = {
		{ISCSI_SECURITY_FLAG_TUNNEL_MODE_PREFERRED, "Tunnel Mode Preferred"},
		{ISCSI_SECURITY_FLAG_TRANSPORT_MODE_PREFERRED, "Transport Mode Preferred"},
		{ISCSI_SECURITY_FLAG_PFS_ENABLED, "PFS Enabled"},
		{ISCSI_SECURITY_FLAG_AGGRESSIVE_MODE_ENABLED, "Aggressive Mode Enabled"},
		{ISCSI_SECURITY_FLAG_IKE_IPSEC_ENABLED, "IPSEC Enabled"},
		{ISCSI_SECURITY_FLAG_VALID, "Security Flags are Valid"},
	};

	out(cli, "%*s%-22s: 0x%llx\n", n_indent, "", "Security Flags", (unsigned long long)flags);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (flags & rows[i].bit)
			out(cli, "%*s%s\n", n_indent + 4, "", rows[i].words);
	}
}

static const char *digest_word(ULONG digest)
{
	switch (digest) {
	case ISCSI_DIGEST_TYPE_NONE: return "None";
	case ISCSI_DIGEST_TYPE_CRC32C: return "CRC-32C";
	default: return "Unknown";
	}
}

static void print_auth_type(const struct cli *cli, ULONG auth)
{
	static const char *const words[] = {"None", "CHAP", "Mutual CHAP"};

	if (auth < ARRAY_SIZE(words))
		out(cli, "    %-21s: %s\n", "Authentication Type", words[auth]);
	else
		out(cli, "    %-21s: Unknown - %u\n", "Authentication Type", auth);
}

static void print_login_flags(const struct cli *cli, ULONG flags)
{
	out(cli, "    %-21s: 0x%x\n", "Login Flags", flags);
	if (flags & ISCSI_LOGIN_FLAG_REQUIRE_IPSEC)
		out(cli, "%27s%s\n", "", "Require IPsec");
	if (flags & ISCSI_LOGIN_FLAG_MULTIPATH_ENABLED)
		out(cli, "%27s%s\n", "", "Multipath Enabled");
}

void print_login_options(const struct cli *cli, const ISCSI_LOGIN_OPTIONS *o)
{
	ULONG has = o->InformationSpecified;

	out(cli, "    %-21s: %u\n", "Version", o->Version);
	out(cli, "    %-21s: 0x%x\n", "Information Specified", has);
	if (has & ISCSI_LOGIN_OPTIONS_HEADER_DIGEST)
		out(cli, "    %-21s: %s\n", "Header Digest", digest_word(o->HeaderDigest));
	if (has & ISCSI_LOGIN_OPTIONS_DATA_DIGEST)
		out(cli, "    %-21s: %s\n", "Data Digest", digest_word(o->DataDigest));
	if (has & ISCSI_LOGIN_OPTIONS_MAXIMUM_CONNECTIONS)
		out(cli, "    %-21s: %u\n", "Maximum Connections", o->MaximumConnections);
	if (has & ISCSI_LOGIN_OPTIONS_DEFAULT_TIME_2_WAIT)
		out(cli, "    %-21s: %u\n", "Default Time 2 Wait", o->DefaultTime2Wait);
	if (has & ISCSI_LOGIN_OPTIONS_DEFAULT_TIME_2_RETAIN)
		out(cli, "    %-21s: %u\n", "Default Time 2 Retain", o->DefaultTime2Retain);
	print_login_flags(cli, o->LoginFlags);
	if (has & ISCSI_LOGIN_OPTIONS_AUTH_TYPE)
		print_auth_type(cli, o->AuthType);
	if (has & ISCSI_LOGIN_OPTIONS_USERNAME) {
		out(cli, "    %-21s: \n", "Username");
		if (o->Username)
			print_bytes(cli, 26, o->Username, o->UsernameLength);
	}
	if (has & ISCSI_LOGIN_OPTIONS_PASSWORD)
		out(cli, "    %-21s: <is established>\n", "Password");
}

void print_port_number(const struct cli *cli, int n_width, ULONG port)
{
	if (port == ISCSI_ANY_INITIATOR_PORT)
		out(cli, "    %-*s: <Any Port>\n", n_width, "Port Number");
	else
		out(cli, "    %-*s: %u\n", n_width, "Port Number", port);
}

void print_mapping(const struct cli *cli, const ISCSI_TARGET_MAPPINGA *m)
{
	char id[ID_TEXT_BYTES];

	id_format(&m->SessionId, id);
	if (m->SessionId.AdapterUnique || m->SessionId.AdapterSpecific)
		out(cli, "    %-23s: %s\n", "Session Id", id);
	if (m->TargetName[0])
		out(cli, "    %-23s: %s\n", "Target Name", m->TargetName);
	if (m->InitiatorName[0])
		out(cli, "    %-23s: %s\n", "Initiator", m->InitiatorName);
	if (m->OSDeviceName[0])
		out(cli, "    %-23s: %s\n", "Initiator Scsi Device", m->OSDeviceName);
	out(cli, "    %-23s: %x\n", "Initiator Bus", m->OSBusNumber);
	out(cli, "    %-23s: %x\n", "Initiator Target Id", m->OSTargetNumber);
	for (ULONG i = 0; i < m->LUNCount; i++)
		out(cli, "        Target Lun: 0x%llx <--> OS Lun: 0x%x\n",
		    (unsigned long long)m->LUNList[i].TargetLUN, m->LUNList[i].OSLUN);
	out(cli, "\n");
}

const char *auth_word(ULONG auth)
{
	switch (auth) {
	case ISCSI_NO_AUTH_TYPE: return "NONE";
	case ISCSI_CHAP_AUTH_TYPE: return "ONEWAYCHAP";
	case ISCSI_MUTUAL_CHAP_AUTH_TYPE: return "MUTUALCHAP";
	default: return "UNKNOWN";
	}
}

json_t *json_bytes(const UCHAR *p, size_t n)
{
	CLEANUP(freep) char *hex = malloc(n * 2 + 1);

	if (!hex)
		return NULL;
	hex[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(hex + i * 2, 3, "%02x", p[i]);
	return json_string(hex);
}

json_t *json_id(const ISCSI_UNIQUE_SESSION_ID *id)
{
	char text[ID_TEXT_BYTES];

	id_format(id, text);
	return json_string(text);
}

json_t *json_login_options(const ISCSI_LOGIN_OPTIONS *o)
{
	return json_pack(
		"{s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "Version",
		(json_int_t)o->Version, "InformationSpecified", (json_int_t)o->InformationSpecified,
		"LoginFlags", (json_int_t)o->LoginFlags, "AuthType", auth_word(o->AuthType),
		"HeaderDigest", (json_int_t)o->HeaderDigest, "DataDigest",
		(json_int_t)o->DataDigest, "MaximumConnections", (json_int_t)o->MaximumConnections,
		"DefaultTime2Wait", (json_int_t)o->DefaultTime2Wait, "DefaultTime2Retain",
		(json_int_t)o->DefaultTime2Retain, "Username",
		json_bytes(o->Username, o->Username ? o->UsernameLength : 0));
}

/* The target's number as the text that shows it: not every reader of JSON has 64 bits. */
static json_t *json_lun(const SCSI_LUN_LIST *lun)
{
	return json_pack("{s:o, s:I}", "TargetLUN",
			 json_sprintf("0x%llx", (unsigned long long)lun->TargetLUN), "OSLUN",
			 (json_int_t)lun->OSLUN);
}

json_t *json_mapping(const ISCSI_TARGET_MAPPINGA *m)
{
	json_t *luns = json_array();

	for (ULONG i = 0; i < m->LUNCount; i++)
		json_array_append_new(luns, json_lun(&m->LUNList[i]));
	return json_pack("{s:o, s:s, s:s, s:s, s:I, s:I, s:o}", "SessionIdentifier",
			 json_id(&m->SessionId), "TargetName", m->TargetName, "InitiatorName",
			 m->InitiatorName, "OSDeviceName", m->OSDeviceName, "OSBusNumber",
			 (json_int_t)m->OSBusNumber, "OSTargetNumber",
			 (json_int_t)m->OSTargetNumber, "LUNList", luns);
}

void text_clean(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
	}
}
