/* SPDX-License-Identifier: MIT */
/*
 * A block device of ours: its gate, its holders, its cache
 *
 * The users of a block device are kept out by an exclusive claim of the whole disk,
 * which also keeps others from claiming a partition; opens without O_EXCL cannot be
 * kept out. While the gate is open the process has no descriptor of the device: then
 * the last close by its users has the meaning it has for any disk, which is that the
 * kernel writes its cache back and forgets it.
 *
 * What may do I/O on the device is done apart (apart.h).
 */
#ifndef DEVICE_BLOCKDEV_H
#define DEVICE_BLOCKDEV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct holders;

#define BLOCKDEV_STEP_NS   UINT64_C(10000000)    /* between two looks at something */
#define BLOCKDEV_PROBER_NS UINT64_C(500000000)   /* patience with those who only look, like udev */
#define BLOCKDEV_CLOSE_NS  UINT64_C(60000000000) /* a close with nothing to write back takes none \
						  */

struct blockdev {
	char name[32]; /* the kernel's: "loop0" */
	char path[40];
	dev_t devno;          /* 0: there is none (yet) */
	pthread_mutex_t lock; /* the members below */
	int gate_fd;          /* the exclusive claim; -1: gate open */
	bool was_claimed;     /* the claim found somebody else's, and nobody has asked whose */
};

void blockdev_init(struct blockdev *b);
/* Opens the gate, too. */
void blockdev_destroy(struct blockdev *b);
void blockdev_set(struct blockdev *b, const char *name, dev_t devno);
/* Where /dev is not kept by the kernel somebody has to make the nodes of partitions. */
void blockdev_make_nodes(const struct blockdev *b);

/* Control. 0; -EBUSY: somebody else has claimed it; -ENXIO: the name is another device; or -errno.
 */
int blockdev_close_gate(struct blockdev *b);
void blockdev_open_gate(struct blockdev *b);
/* The claim, which stays the device's; -1: the gate is open. */
int blockdev_gate_fd(struct blockdev *b);
/* The claim, which is the caller's now: the gate is open once he has closed it. */
int blockdev_take_gate(struct blockdev *b);

/*
 * Control: without a claim of its own, which for that moment would keep others from
 * theirs. After a blockdev_close_gate() with -EBUSY the first call tells of the claim
 * even when nobody is found.
 */
int blockdev_holders(struct blockdev *b, struct holders *h);

/* Control: write back what the kernel caches of it and of its partitions. */
int blockdev_flush(struct blockdev *b, uint64_t deadline_ns);

/*
 * Only in a step apart that was given the gate's descriptor: that, or one of the step's
 * own, exclusive unless @force.
 */
int blockdev_step_fd(const struct blockdev *b, bool force);

void blockdev_nap(void);

#endif
