/* SPDX-License-Identifier: MIT */
#include "cli/hide.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SECRET_MAX 1024 /* of a file; longer than any that a target takes */
#define N_AT       2    /* secrets of one command */

/* Where the secrets of a command are, behind its name; 0: nowhere. */
static const struct {
	const char *name;
	int at[N_AT];
} places[] = {
	{"AddTarget", {14, 0}},      {"AddTargetPortal", {13, 0}},
	{"LoginTarget", {15, 17}},   {"PersistentLoginTarget", {15, 17}},
	{"AddConnection", {14, 16}}, {"CHAPSecret", {1, 0}},
	{"GroupKey", {1, 0}},        {"PSKey", {6, 0}},
	{"QLoginTarget", {3, 0}},    {"QAddTargetPortal", {3, 0}},
	{"QAddConnection", {5, 0}},
};

static const int *places_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (strcasecmp(places[i].name, name) == 0)
			return places[i].at;
	}
	return NULL;
}

/* All of it, at most @n bytes. Return: how many, or -errno. */
static ssize_t file_read(const char *path, char *buf, size_t n)
{
	int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t r = fd < 0 ? -errno : 1;

	while (r > 0 && have < n) {
		r = read(fd, buf + have, n - have);
		if (r < 0 && errno == EINTR)
			r = 1;
		else if (r < 0)
			r = -errno;
		else
			have += (size_t)r;
	}
	if (fd > STDIN_FILENO)
		close(fd);
	return r < 0 ? r : (ssize_t)have;
}

/* As an argument that means just these bytes, also where they begin with "*"; NULL: no memory. */
static char *secret_spell(const char *text, size_t n)
{
	char *arg = malloc(2 * n + 3);

	if (!arg)
		return NULL;
	if (n >= 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		memcpy(arg, text, n);
		arg[n] = '\0';
		return arg;
	}
	memcpy(arg, "0x", 3);
	for (size_t i = 0; i < n; i++)
		snprintf(arg + 2 + 2 * i, 3, "%02x", (unsigned char)text[i]);
	return arg;
}

__attribute__((format(printf, 1, 2))) static char *complain(const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return text ? text : strdup("Out of memory");
}

/* The first line of the file, spelled as an argument. Return: what is wrong, or NULL. */
static char *secret_load(const char *file, char **ret)
{
	char buf[SECRET_MAX + 2];
	ssize_t n = file_read(file, buf, sizeof(buf));
	const char *end = n > 0 ? memchr(buf, '\n', (size_t)n) : NULL;
	char *wrong = NULL;

	if (end)
		n = end - buf;
	if (n > 0 && buf[n - 1] == '\r')
		n--;
	if (n < 0)
		wrong = complain("%s cannot be read: %s", file, strerror((int)-n));
	else if (n == 0)
		wrong = complain("%s has no secret in its first line", file);
	else if (n > SECRET_MAX)
		wrong = complain("The secret in %s has more than %d bytes", file, SECRET_MAX);
	else if (!(*ret = secret_spell(buf, (size_t)n)))
		wrong = complain("Out of memory");
	explicit_bzero(buf, sizeof(buf));
	return wrong;
}

/* In memory of its own; the original is overwritten. */
static void move_away(char **arg, const char *instead)
{
	static char none[1];
	char *copy = strdup(instead ? instead : *arg);

	explicit_bzero(*arg, strlen(*arg));
	*arg = copy ? copy : none;
}

char *secrets_hide(int argc, char **argv, const char *file)
{
	CLEANUP(freep) char *secret = NULL;
	const int *at = places_of(argv[0]);
	char *wrong = file ? secret_load(file, &secret) : NULL;
	bool used = false;

	for (int i = 0; at && i < N_AT && at[i] > 0 && at[i] < argc; i++) {
		bool instead = secret && strcmp(argv[at[i]], "-") == 0;

		used = used || instead;
		move_away(&argv[at[i]], instead ? secret : NULL);
	}
	if (secret)
		explicit_bzero(secret, strlen(secret));
	if (secret && !used)
		wrong = complain("--secret-file: no secret among the arguments of %s is -",
				 argv[0]);
	return wrong;
}

void secrets_wipe(int argc, char **argv)
{
	const int *at = places_of(argv[0]);

	for (int i = 0; at && i < N_AT; i++) {
		if (at[i] > 0 && at[i] < argc)
			explicit_bzero(argv[at[i]], strlen(argv[at[i]]));
	}
}
