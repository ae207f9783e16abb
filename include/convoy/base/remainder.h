/* Sets of prefixes: order, what one covers, and what is left of one when others are cut out of it.
 *
 * Host bits of all prefixes are zero (cv_prefix_mask()).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <convoy/base/addr.h>

/* By family, address, length: a prefix stands right before those that lie inside it. As memcmp. */
int cv_prefix_compare(const struct cv_prefix *a, const struct cv_prefix *b);
/* Whether all of b lies inside a. */
bool cv_prefix_covers(const struct cv_prefix *a, const struct cv_prefix *b);
/* Drop those that another one covers from a list in order. Return: how many are left, in order. */
size_t cv_prefixes_disjoin(struct cv_prefix *list, size_t n);

/**
 * cv_prefix_each_left() - visit what is left of a prefix without some others
 * @holes:	hole[n], in order and disjoint; those outside of the prefix do not count
 * @visit:	called with each part in order, each as large as can be
 *
 * A hole makes at most 32 parts of an IPv4 prefix, 128 of an IPv6 one; n holes take
 * O(n * 128) steps.
 */
void cv_prefix_each_left(const struct cv_prefix *prefix, const struct cv_prefix *holes, size_t n,
			 void (*visit)(void *arg, const struct cv_prefix *part), void *arg);
