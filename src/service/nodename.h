/* SPDX-License-Identifier: MIT */
/*
 * The node name by default
 *
 * Where the machine has one already (/etc/iscsi/initiatorname.iscsi), that one, so
 * that the access lists of targets go on working. Else one made from the host name
 * and the machine's id.
 */
#ifndef SERVICE_NODENAME_H
#define SERVICE_NODENAME_H

#include <stddef.h>

#define NODENAME_FILE "/etc/iscsi/initiatorname.iscsi"

/* The InitiatorName= line of @file. 0; -ENOENT no file or no such line; -EINVAL not an iSCSI name.
 */
int nodename_from_file(const char *file, char *ret, size_t n);
/* "iqn.2026-11.local.HOST:HASH"; @host is made fit (letters, digits, '-', '.'). */
void nodename_make(const char *host, const char *machine_id, char *ret, size_t n);
/* The same for this machine. */
void nodename_of_machine(char *ret, size_t n);

#endif
