/* SPDX-License-Identifier: MIT */
/*
 * Text keys and their negotiation (RFC 7143 §6, §13)
 *
 * One table, keys.c, has a row for every key we know: its name, scope, how the
 * two sides' values make one, range and default. Offering, judging answers,
 * answering offers and reporting all read that table.
 */
#ifndef ISCSI_KEYS_H
#define ISCSI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum iscsi_digest {
	ISCSI_DIGEST_NONE = 0,
	ISCSI_DIGEST_CRC32C = 1,
};

/* A digest offer is a list in order of preference. */
enum iscsi_digest_offer {
	ISCSI_OFFER_NONE,        /* "None" */
	ISCSI_OFFER_CRC32C,      /* "CRC32C": the target must do it */
	ISCSI_OFFER_NONE_CRC32C, /* "None,CRC32C" */
	ISCSI_OFFER_CRC32C_NONE, /* "CRC32C,None" */
};

/*
 * Operational values. As an offer: what we ask for. As a result: what holds.
 * HeaderDigest and DataDigest are enum iscsi_digest_offer in an offer, enum
 * iscsi_digest in a result.
 */
struct iscsi_params {
	uint32_t HeaderDigest, DataDigest;
	uint32_t MaxConnections;                       /* 1 … 65535 */
	uint32_t InitialR2T, ImmediateData;            /* 0 or 1 */
	uint32_t MaxRecvDataSegmentLength;             /* ours, declared; 512 … 2^24-1 */
	uint32_t TargetMaxRecvDataSegmentLength;       /* result only: his, what we may send */
	uint32_t MaxBurstLength, FirstBurstLength;     /* 512 … 2^24-1 */
	uint32_t DefaultTime2Wait, DefaultTime2Retain; /* s, 0 … 3600 */
	uint32_t MaxOutstandingR2T;                    /* 1 … 65535; at most 8 are used */
	uint32_t DataPDUInOrder, DataSequenceInOrder;  /* 0 or 1 */
	uint32_t ErrorRecoveryLevel;                   /* 0 … 2 */
	uint32_t TargetPortalGroupTag;                 /* result only */
	char TargetAlias[256];                         /* result only */
};

/* Good values for a data session; digests "None,CRC32C"; ErrorRecoveryLevel 0; one connection. */
void iscsi_params_default_offer(struct iscsi_params *ret);
/* Is every member within the key's range? */
bool iscsi_params_offer_valid(const struct iscsi_params *offer);

/*
 * Text on its way out: key=value pairs, each ended by NUL. Out of memory is
 * remembered and asked for once, at the end.
 */
struct text {
	char *bytes;
	size_t n, n_room;
	bool failed;
};

void text_add(struct text *t, const char *key, const char *value);
void text_add_number(struct text *t, const char *key, uint32_t value);
void text_add_bytes(struct text *t, const void *bytes, size_t n);
void text_clear(struct text *t); /* wipes, frees and zeroes */

/* Decimal or 0x hexadecimal, no sign, nothing behind, at most 32 bits (RFC 7143 §6.1). */
bool text_number(const char *s, uint32_t *ret);

#define TEXT_KEY_MAX   63
#define TEXT_VALUE_MAX 8192

/**
 * text_next() - take one pair off received text
 * @at, @n_left:  advanced past it
 *
 * Return: 1 and the two strings (NUL-terminated, inside the buffer: the "=" is
 * overwritten); 0 at the end; -EBADMSG for something that is not key=value NUL.
 */
int text_next(char **at, size_t *n_left, const char **ret_key, const char **ret_value);

/*
 * One side's view of a negotiation, from the first login request to full feature
 * phase. Bits of the masks are rows of the table.
 */
struct negotiation {
	const struct iscsi_params *offer;
	struct iscsi_params *result;
	uint32_t offered, settled;
	bool discovery; /* keys about SCSI data are not negotiated */
	bool leading;   /* session-wide keys belong to the first connection only */
	bool owes;      /* an offer of the target is answered in text that has not been sent yet */
	char why[160];  /* after a failure: the key and what was wrong with it */
};

void negotiation_init(struct negotiation *g, const struct iscsi_params *offer,
		      struct iscsi_params *result, bool discovery, bool leading);
/* Adds every key we want to settle and have not settled yet. */
void negotiation_offer(struct negotiation *g, struct text *out);
/**
 * negotiation_take() - one key of the target: the answer to an offer, an offer, or a declaration
 * @reply:  gets our answer to an offer
 *
 * Return: 0; -EPROTO when the value was not offered, is out of range or comes a
 * second time (g->why).
 */
int negotiation_take(struct negotiation *g, const char *key, const char *value, struct text *reply);
/**
 * params_take_change() - one key of a target in full feature phase
 * @params:     gets what it says of itself
 * @ret_mrdsl:  its new MaxRecvDataSegmentLength
 * @reply:      gets our answer where one is due
 *
 * Return: 0; -EPROTO when the value makes no sense or comes a second time.
 */
int params_take_change(struct iscsi_params *params, const char *key, const char *value,
		       uint32_t *ret_mrdsl, struct text *reply);
/* The last word: fills in defaults for what was not answered and checks values against each other.
 * 0 or -EPROTO. */
int negotiation_finish(struct negotiation *g);

#endif
