/*
 * What is left of a prefix when others are cut out of it.
 *
 * A prefix without holes is one part, a prefix inside a hole is none; any other is halved, and each
 * half gets the holes that lie in it, which in a list in order are those before and behind one
 * place. A half is only made where a hole ends, so the parts are as large as can be.
 */
#include <string.h>

#include <convoy/base/remainder.h>

struct walk {
	void (*visit)(void *arg, const struct cv_prefix *part);
	void *arg;
};

int cv_prefix_compare(const struct cv_prefix *a, const struct cv_prefix *b)
{
	int order;

	if (a->addr.family != b->addr.family)
		return a->addr.family < b->addr.family ? -1 : 1;
	order = memcmp(a->addr.b, b->addr.b, cv_addr_size(a->addr.family));
	return order ? order : (int)a->bits - (int)b->bits;
}

bool cv_prefix_covers(const struct cv_prefix *a, const struct cv_prefix *b)
{
	return a->bits <= b->bits && cv_prefix_contains(a, &b->addr);
}

size_t cv_prefixes_disjoin(struct cv_prefix *list, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !cv_prefix_covers(&list[kept - 1], &list[i]))
			list[kept++] = list[i];
	return kept;
}

/* The first of the list that does not come before the prefix. */
static size_t find(const struct cv_prefix *list, size_t n, const struct cv_prefix *prefix)
{
	size_t start = 0, end = n;

	while (start < end) {
		size_t middle = start + (end - start) / 2;

		if (cv_prefix_compare(&list[middle], prefix) < 0)
			start = middle + 1;
		else
			end = middle;
	}
	return start;
}

/* All holes lie inside the prefix, or the only one is the prefix. */
static void visit_left(const struct walk *walk, const struct cv_prefix *prefix,
		       const struct cv_prefix *holes, size_t n)
{
	struct cv_prefix half = *prefix;
	size_t first;

	if (n == 0) {
		walk->visit(walk->arg, prefix);
		return;
	}
	if (holes[0].bits == prefix->bits)
		return;
	half.bits++;
	half.addr.b[prefix->bits / 8] |= (uint8_t)(0x80 >> prefix->bits % 8);
	first = find(holes, n, &half);
	visit_left(walk, &(struct cv_prefix){ prefix->addr, half.bits }, holes, first);
	visit_left(walk, &half, holes + first, n - first);
}

void cv_prefix_each_left(const struct cv_prefix *prefix, const struct cv_prefix *holes, size_t n,
			 void (*visit)(void *arg, const struct cv_prefix *part), void *arg)
{
	const struct walk walk = { visit, arg };
	size_t first = find(holes, n, prefix), inside = 0;

	if (n == 0) { /* there may be no list at all */
		visit(arg, prefix);
		return;
	}
	if (first > 0 && cv_prefix_covers(&holes[first - 1], prefix))
		return;
	while (first + inside < n && cv_prefix_covers(prefix, &holes[first + inside]))
		inside++;
	visit_left(&walk, prefix, holes + first, inside);
}
