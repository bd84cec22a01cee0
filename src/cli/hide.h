/* SPDX-License-Identifier: MIT */
/*
 * Secrets among the arguments: out of the list of processes, and from a file
 */
#ifndef CLI_HIDE_H
#define CLI_HIDE_H

/**
 * secrets_hide() - before anything is asked or printed
 * @argv:  the command's name and its arguments; those that are secrets are moved away
 *         from where ps looks, also when there are too few or too many arguments
 * @file:  --secret-file, or NULL; its secret takes the place of each that is "-"
 *
 * What is moved is overwritten by secrets_wipe(). Return: NULL, or what is wrong, to be
 * freed.
 */
char *secrets_hide(int argc, char **argv, const char *file);
void secrets_wipe(int argc, char **argv);

#endif
