/* SPDX-License-Identifier: MIT */
/*
 * Intrusive doubly linked list
 *
 * A list is a ring through its head. A node that is in no list points at
 * itself, so removing it twice is harmless and list_linked() can tell.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"

struct list {
	struct list *prev;
	struct list *next;
};

#define LIST_INIT(name)          \
	{                        \
		&(name), &(name) \
	}

static inline void list_init(struct list *l)
{
	l->prev = l;
	l->next = l;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

/* True while the node is in a list; it must have been initialised. */
static inline bool list_linked(const struct list *node)
{
	return node->next != node;
}

static inline void list_insert_before(struct list *where, struct list *node)
{
	node->prev = where->prev;
	node->next = where;
	where->prev->next = node;
	where->prev = node;
}

static inline void list_append(struct list *head, struct list *node)
{
	list_insert_before(head, node);
}

static inline void list_prepend(struct list *head, struct list *node)
{
	list_insert_before(head->next, node);
}

static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Moves all nodes of @from to the end of @to; @from is empty afterwards. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_first(head, type, member) \
	(list_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))

#define list_for_each(pos, head, member)                                                         \
	for (pos = CONTAINER_OF((head)->next, __typeof__(*pos), member); &pos->member != (head); \
	     pos = CONTAINER_OF(pos->member.next, __typeof__(*pos), member))

/* The same where the body may remove @pos. */
#define list_for_each_safe(pos, tmp, head, member)                          \
	for (pos = CONTAINER_OF((head)->next, __typeof__(*pos), member),    \
	    tmp = CONTAINER_OF(pos->member.next, __typeof__(*pos), member); \
	     &pos->member != (head);                                        \
	     pos = tmp, tmp = CONTAINER_OF(tmp->member.next, __typeof__(*tmp), member))

#endif
