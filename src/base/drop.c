/* Names of drop reasons. */
#include <assert.h>

#include <convoy/base/drop.h>

static const struct {
	const char *name;
	const char *sentence;
} reasons[] = {
#define X(name, text, sentence) { text, sentence },
	CV_DROP_REASONS(X)
#undef X
};

_Static_assert(sizeof(reasons) / sizeof(reasons[0]) == CV_DROP_COUNT, "one row a reason");

const char *cv_drop_name(enum cv_drop reason)
{
	assert((size_t)reason < CV_DROP_COUNT);
	return reasons[reason].name;
}

const char *cv_drop_sentence(enum cv_drop reason)
{
	assert((size_t)reason < CV_DROP_COUNT);
	return reasons[reason].sentence;
}
