/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over files, without a fuzzer: every build does this with the
 * corpus as a plain test. Arguments are files, or directories of them.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_inputs;

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes = NULL;
	long n = -1;
	bool whole;

	if (f && fseek(f, 0, SEEK_END) == 0)
		n = ftell(f);
	if (n >= 0)
		bytes = malloc(n ? (size_t)n
				 : 1); /* its own block, so that reading past it is seen */
	whole = bytes && fseek(f, 0, SEEK_SET) == 0 && fread(bytes, 1, (size_t)n, f) == (size_t)n;
	if (f)
		fclose(f);
	if (!whole) {
		fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
		free(bytes);
		return 1;
	}
	/* So that a crash names its input. */
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(bytes, (size_t)n);
	free(bytes);
	n_inputs++;
	return 0;
}

static int run_directory(const char *path)
{
	struct dirent **entry;
	int n = scandir(path, &entry, NULL, alphasort), failed = 0;

	if (n < 0) {
		fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
		return 1;
	}
	for (int i = 0; i < n; i++) {
		char *file = NULL;

		if (entry[i]->d_name[0] != '.' &&
		    asprintf(&file, "%s/%s", path, entry[i]->d_name) >= 0)
			failed |= run_file(file);
		free(file);
		free(entry[i]);
	}
	free(entry);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode))
			failed |= run_directory(argv[i]);
		else
			failed |= run_file(argv[i]);
	}
	if (!n_inputs) {
		fprintf(stderr, "no inputs\n");
		return 1;
	}
	return failed;
}
