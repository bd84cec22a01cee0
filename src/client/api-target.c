/* SPDX-License-Identifier: MIT */
/*
 * Targets that were added by hand, and what is known about a target
 */
#include "client/client.h"

#include <string.h>

static ISDSC_STATUS static_target_add(enum form form, const void *target, const void *alias,
				      ISCSI_TARGET_FLAGS flags, BOOLEAN persist,
				      const void *mapping, const void *options, const void *group)
{
	struct args a = args_begin();

	args_text(&a, "targetName", form, target, MAX_ISCSI_NAME_LEN);
	args_text_or_null(&a, "targetAlias", form, alias, MAX_ISCSI_ALIAS_LEN, true);
	args_number(&a, "targetFlags", flags);
	args_bool(&a, "persist", persist);
	if (mapping)
		args_mapping(&a, form, mapping);
	else
		args_null(&a, "mapping");
	args_options(&a, options);
	args_portal_group(&a, "portalGroup", form, group);
	return args_call(&a, "AddStaticTarget", QUERY_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI AddIScsiStaticTargetA(PSTR target, PSTR alias, ISCSI_TARGET_FLAGS flags,
						 BOOLEAN persist, PISCSI_TARGET_MAPPINGA mapping,
						 PISCSI_LOGIN_OPTIONS options,
						 PISCSI_TARGET_PORTAL_GROUPA group)
{
	return static_target_add(FORM_A, target, alias, flags, persist, mapping, options, group);
}

EXPORT ISDSC_STATUS WINAPI AddIScsiStaticTargetW(PWSTR target, PWSTR alias,
						 ISCSI_TARGET_FLAGS flags, BOOLEAN persist,
						 PISCSI_TARGET_MAPPINGW mapping,
						 PISCSI_LOGIN_OPTIONS options,
						 PISCSI_TARGET_PORTAL_GROUPW group)
{
	return static_target_add(FORM_W, target, alias, flags, persist, mapping, options, group);
}

static ISDSC_STATUS static_target_remove(enum form form, const void *target)
{
	struct args a = args_begin();

	args_text(&a, "targetName", form, target, MAX_ISCSI_NAME_LEN);
	return args_call(&a, "RemoveStaticTarget", QUERY_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiStaticTargetA(PSTR target)
{
	return static_target_remove(FORM_A, target);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiStaticTargetW(PWSTR target)
{
	return static_target_remove(FORM_W, target);
}

/* -- portal groups in a row -- */

/* From one group to the next, as programs that walk along them reckon it. */
static size_t group_stride(enum form form, size_t n_portals)
{
	static const size_t size[] = {sizeof(ISCSI_TARGET_PORTAL_GROUPA),
				      sizeof(ISCSI_TARGET_PORTAL_GROUPW)};

	if (n_portals == 0)
		return sizeof(ULONG);
	return (size[form] + (n_portals - 1) * record_portal.size[form] + 3) / 4 * 4;
}

/* @dst: room for group_stride(), or NULL to look for mistakes only. */
static ISDSC_STATUS group_write(enum form form, json_t *portals, uint8_t *dst)
{
	uint8_t scratch[sizeof(ISCSI_TARGET_PORTALW)];
	json_t *portal;
	size_t i;

	if (dst) {
		memset(dst, 0, group_stride(form, json_array_size(portals)));
		ulong_put(dst, (ULONG)json_array_size(portals));
	}
	json_array_foreach(portals, i, portal)
	{
		ISDSC_STATUS status = record_write(form, &record_portal, portal, scratch, NULL);

		if (status)
			return status;
		if (dst)
			memcpy(dst + sizeof(ULONG) + i * record_portal.size[form], scratch,
			       record_portal.size[form]);
	}
	return ERROR_SUCCESS;
}

/* Their number and then one after the other; of no groups nothing at all. */
static ISDSC_STATUS groups_write(struct list *l, json_t *information)
{
	json_t *groups = list_of(information, "portalGroups");
	uint64_t need = sizeof(ULONG);
	uint8_t *p = l->buffer;
	ISDSC_STATUS status;
	json_t *group;
	size_t i;

	if (!groups)
		return ISDSC_NON_SPECIFIC_ERROR;
	json_array_foreach(groups, i, group)
	{
		json_t *portals = list_of(group, "portals");

		status = portals ? group_write(l->form, portals, NULL) : ISDSC_NON_SPECIFIC_ERROR;
		if (status)
			return status;
		need += group_stride(l->form, json_array_size(portals));
	}
	if (json_array_size(groups) == 0)
		need = 0;
	status = list_fits(l, need, 0);
	if (status || need == 0)
		return status;
	ulong_put(p, (ULONG)json_array_size(groups));
	p += sizeof(ULONG);
	json_array_foreach(groups, i, group)
	{
		json_t *portals = json_object_get(group, "portals");

		group_write(l->form, portals, p);
		p += group_stride(l->form, json_array_size(portals));
	}
	return ERROR_SUCCESS;
}

/* -- what is known about a target -- */

/* Of what a target does not have there is nothing to store. */
static ISDSC_STATUS part_write(struct list *l, const struct record *rec, json_t *information,
			       const char *key)
{
	json_t *part = json_object_get(information, key);

	if (!part)
		return detail_fail_reply("GetTargetInformation", key);
	return json_is_null(part) ? ERROR_SUCCESS : list_one_record(l, rec, part);
}

static ISDSC_STATUS information_write(struct list *l, TARGET_INFORMATION_CLASS class,
				      json_t *information)
{
	switch (class) {
	case ProtocolType: return list_one_number(l, information, "protocolType");
	case TargetAlias: return list_one_text(l, information, "targetAlias");
	case PortalGroups: return groups_write(l, information);
	case PersistentTargetMappings:
		return part_write(l, &record_mapping, information, "mapping");
	case InitiatorName: return list_one_text(l, information, "initiatorName");
	case TargetFlags: return list_one_number(l, information, "targetFlags");
	case LoginOptions: return part_write(l, &record_login_options, information, "loginOptions");
	case DiscoveryMechanisms: break; /* comes from another method */
	}
	return ERROR_INVALID_PARAMETER;
}

static ISDSC_STATUS target_information(enum form form, const void *target, const void *mechanism,
				       TARGET_INFORMATION_CLASS class, void *size, void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list(&a, &l, form, buffer, size);
	l.in_bytes = true;
	args_text(&a, "targetName", form, target, MAX_ISCSI_NAME_LEN);
	if (class == DiscoveryMechanisms) {
		status = args_call(&a, "ListDiscoveryMechanisms", QUERY_MS, &reply);
		return status ? status : list_names(&l, reply, "mechanisms", TEXT_MAX);
	}
	if (!a.status && (ULONG) class > LoginOptions)
		a.status = detail_fail(ERROR_INVALID_PARAMETER, "InfoClass: %u", (ULONG) class);
	args_text(&a, "discoveryMechanism", form, mechanism, TEXT_MAX - 1);
	status = args_call(&a, "GetTargetInformation", QUERY_MS, &reply);
	return status ? status
		      : information_write(&l, class, json_object_get(reply, "information"));
}

EXPORT ISDSC_STATUS WINAPI GetIScsiTargetInformationA(PSTR target, PSTR mechanism,
						      TARGET_INFORMATION_CLASS class, PULONG size,
						      PVOID buffer)
{
	return target_information(FORM_A, target, mechanism, class, size, buffer);
}

EXPORT ISDSC_STATUS WINAPI GetIScsiTargetInformationW(PWSTR target, PWSTR mechanism,
						      TARGET_INFORMATION_CLASS class, PULONG size,
						      PVOID buffer)
{
	return target_information(FORM_W, target, mechanism, class, size, buffer);
}
