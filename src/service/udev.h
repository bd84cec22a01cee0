/* SPDX-License-Identifier: MIT */
/*
 * What udev is told of a unit's device
 *
 * For each block device of the kernel's a file of properties below DEVICES/.udev, named as
 * the kernel calls the disk, with its sequence number: "ublkb0-17". The rules of
 * packaging/udev read it, whenever the kernel or somebody else says that the disk has changed,
 * and need nobody who answers. A disk that got the name of an earlier one has another sequence
 * number, so a file that was left behind tells lies of nobody.
 *
 * Where there is no udev nothing but the files is made.
 */
#ifndef SERVICE_UDEV_H
#define SERVICE_UDEV_H

struct manager;
struct unit;

void udev_prepare(struct manager *m);
/* Removes what a dead service left there, unless the disk itself is still there. */
void udev_sweep(const char *devices_dir);

/* Families locked: writes down what is known of the unit, and has udev look. */
void udev_tell(struct unit *u);
/* The device is gone, or about to. */
void udev_forget(struct unit *u);

#endif
