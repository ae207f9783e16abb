/*
 * The replay window: RFC 6479.
 *
 * Bit c mod 8192 of the ring stands for counter c. The ring always holds 128 whole words of
 * counters, the last of which is the one with the highest counter; when that moves on into another
 * word, only the words it enters are zeroed and nothing is shifted.
 *
 *   words  H-127      ...       H-1   H        H = highest / 64
 *          |x........................|..1.......|
 *                                       ^ highest = next - 1
 *
 * Depending on where the highest stands in its word, up to 63 counters of the oldest word are
 * already overwritten by what follows it, so a window of 8192 - 64 is what can be promised.
 */
#include <convoy/noise/keypair.h>
#include <convoy/noise/replay.h>

enum {
	WORD_BITS = 64,
	WORDS = CV_REPLAY_BITS / WORD_BITS,
};

/* Make `counter` the highest: zero the words behind the present one up to its own. */
static void advance(struct cv_replay *replay, uint64_t counter)
{
	uint64_t word = replay->next ? (replay->next - 1) / WORD_BITS : 0;
	uint64_t steps = counter / WORD_BITS - word;

	if (steps > WORDS)
		steps = WORDS;
	for (; steps > 0; steps--)
		replay->bits[++word % WORDS] = 0;
	replay->next = counter + 1;
}

bool cv_replay_accept(struct cv_replay *replay, uint64_t counter)
{
	uint64_t bit = UINT64_C(1) << (counter % WORD_BITS);
	uint64_t *word = &replay->bits[counter / WORD_BITS % WORDS];

	if (counter >= CV_REJECT_AFTER_MESSAGES)
		return false;
	if (counter >= replay->next)
		advance(replay, counter);
	else if (replay->next - 1 - counter > CV_REPLAY_WINDOW)
		return false;
	if (*word & bit)
		return false;
	*word |= bit;
	replay->accepted++;
	return true;
}
