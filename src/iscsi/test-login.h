/* SPDX-License-Identifier: MIT */
/* The steps of a login that several groups of conversations begin with. */
#ifndef ISCSI_TEST_LOGIN_H
#define ISCSI_TEST_LOGIN_H

#include "iscsi/test-peer.h"

#define TEXT(s) (s), sizeof(s) - 1
#define OPERATIONAL_END                                                                        \
	"HeaderDigest=None\0DataDigest=None\0MaxConnections=1\0InitialR2T=Yes\0ImmediateData=" \
	"Yes\0"                                                                                \
	"MaxRecvDataSegmentLength=8192\0MaxBurstLength=262144\0FirstBurstLength=65536\0"       \
	"DefaultTime2Wait=2\0DefaultTime2Retain=20\0MaxOutstandingR2T=1\0DataPDUInOrder=Yes\0" \
	"DataSequenceInOrder=Yes\0ErrorRecoveryLevel=0\0"

/* The value of a key in what the engine sent; NULL: not there. */
const char *login_said(const struct seen *u, const char *key);
/* A response that grants what the request asks. */
struct pdu login_grant(const struct peer *p, const struct seen *u);
/* Up to the first request; up to the operational one. */
const struct seen *login_begin(struct peer *p);
const struct seen *login_begin_operational(struct peer *p);
/* The same as login_begin(), with a peer of defaults. */
const struct seen *login_begin_peer(struct peer *p);
void login_expect_up(struct peer *p);
/* After the engine has given up: one event, nothing more to send, nothing more taken. Closes the
 * peer. */
void login_expect_over(struct peer *p);

#endif
