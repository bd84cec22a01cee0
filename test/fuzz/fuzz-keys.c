/* SPDX-License-Identifier: MIT */
/*
 * A target's text against our negotiation. The first bytes choose what we offer
 * and when; the rest is what the target says. What comes out of a negotiation that
 * succeeds must be within every key's range and within what we offered, and what
 * we reply must be text again.
 */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_is_text(const struct text *t)
{
	char *copy, *at;
	size_t n = t->n;
	const char *key, *value;
	int r;

	if (!n)
		return;
	at = copy = malloc(n);
	assert(copy);
	memcpy(copy, t->bytes, n);
	while ((r = text_next(&at, &n, &key, &value)) > 0)
		assert(*key && strlen(key) <= TEXT_KEY_MAX && strlen(value) <= TEXT_VALUE_MAX);
	assert(r == 0);
	free(copy);
}

static bool in(uint32_t v, uint32_t lo, uint32_t hi)
{
	return lo <= v && v <= hi;
}

static void check_result(const struct iscsi_params *o, const struct iscsi_params *p, bool discovery)
{
	assert(p->HeaderDigest <= 1 && p->DataDigest <= 1);
	assert(o->HeaderDigest != ISCSI_OFFER_NONE || !p->HeaderDigest);
	assert(o->HeaderDigest != ISCSI_OFFER_CRC32C || p->HeaderDigest);
	assert(o->DataDigest != ISCSI_OFFER_NONE || !p->DataDigest);
	assert(o->DataDigest != ISCSI_OFFER_CRC32C || p->DataDigest);
	assert(in(p->TargetMaxRecvDataSegmentLength, 512, 0xffffff));
	assert(in(p->MaxBurstLength, 512, o->MaxBurstLength));
	assert(in(p->FirstBurstLength, 512, o->FirstBurstLength));
	assert(in(p->MaxConnections, 1, o->MaxConnections));
	assert(in(p->MaxOutstandingR2T, 1, o->MaxOutstandingR2T));
	assert(in(p->DefaultTime2Wait, o->DefaultTime2Wait, 3600));
	assert(p->DefaultTime2Retain <= o->DefaultTime2Retain);
	assert(p->ErrorRecoveryLevel <= o->ErrorRecoveryLevel);
	assert(p->InitialR2T >= o->InitialR2T && p->InitialR2T <= 1);
	assert(p->ImmediateData <= o->ImmediateData);
	assert(p->DataPDUInOrder >= o->DataPDUInOrder && p->DataPDUInOrder <= 1);
	assert(p->DataSequenceInOrder >= o->DataSequenceInOrder && p->DataSequenceInOrder <= 1);
	if (!discovery && !(p->InitialR2T && !p->ImmediateData))
		assert(p->FirstBurstLength <= p->MaxBurstLength);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iscsi_params offer, result = {0};
	struct negotiation g;
	struct text said = {0}, reply = {0};
	const char *key, *value;
	char *copy, *at;
	size_t n;
	unsigned n_before;
	bool discovery;
	int r;

	if (size < 3)
		return 0;
	discovery = data[0] & 1;
	n_before = data[0] >> 1 & 7; /* pairs that come before our offer */
	iscsi_params_default_offer(&offer);
	offer.HeaderDigest = data[1] & 3;
	offer.DataDigest = data[1] >> 2 & 3;
	offer.InitialR2T = data[1] >> 4 & 1;
	offer.ImmediateData = data[1] >> 5 & 1;
	offer.MaxBurstLength = 512u << (data[2] & 15);
	if (offer.MaxBurstLength > 0xffffff)
		offer.MaxBurstLength = 0xffffff;
	offer.FirstBurstLength = offer.MaxBurstLength >> (data[2] >> 4 & 3);
	if (offer.FirstBurstLength < 512)
		offer.FirstBurstLength = 512;
	offer.MaxConnections = 1 + (data[2] >> 6);
	offer.ErrorRecoveryLevel = data[0] >> 6 & 1;
	offer.DataPDUInOrder = ~data[0] >> 4 & 1;
	offer.DataSequenceInOrder = ~data[0] >> 5 & 1;
	assert(iscsi_params_offer_valid(&offer));
	data += 3;
	n = size - 3;
	copy = malloc(n + 1);
	assert(copy);
	memcpy(copy, data, n);
	at = copy;

	negotiation_init(&g, &offer, &result, discovery, true);
	for (r = 0;; n_before--) {
		if (n_before == 0)
			negotiation_offer(&g, &said);
		r = text_next(&at, &n, &key, &value);
		if (r <= 0)
			break;
		if (negotiation_take(&g, key, value, &reply)) {
			assert(g.why[0] && strlen(g.why) < sizeof(g.why));
			r = -1;
			break;
		}
	}
	check_is_text(&said);
	check_is_text(&reply);
	if (r == 0) {
		g.owes = false;
		if (negotiation_finish(&g) == 0)
			check_result(&offer, &result, discovery);
	}
	text_clear(&said);
	text_clear(&reply);
	free(copy);
	return 0;
}
