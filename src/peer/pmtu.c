/*
 * The search for what a path carries, as a state machine without a clock and without a socket.
 *
 * How it works. At first the path is taken to carry what the TUN does, and the first round is of
 * that size. Then, each second in which data flows, a round confirms the size in use: one probe and
 * its echo, if all is well. If not, the same size is tried again, and the base with it. Only while
 * the base comes back a big one that does not is told from a peer that is dead. With that verdict
 * the base is in use at once, so that data flows again, and rounds between the two sizes follow,
 * each halving what is left. What failed is forgotten after ten minutes: then the rounds go up
 * again.
 *
 * How fast. Black holes are found 1 s + CV_PMTU_TRIES * patience() after the first packet that they
 * swallow, 2.5 s where the round trip takes at most 200 ms. TCP inside of the tunnel tries about
 * 0.2, 0.6, 1.4 and 3 s after its last answer: the last of these passes.
 *
 * Source: RFC 8899, sections 5.1 to 5.3, whose Base, Search, Search Complete and Error are here: a
 * round of the base, `failed` known, the same with nothing left to try, and a round without a
 * verdict.
 */
#include <convoy/peer/pmtu.h>

enum {
	/* How long an echo may take: four round trips, but within these, so that a path is given up
	 * in time, and never less than one and a half. */
	PATIENCE_MIN_MS = 100,
	PATIENCE_MAX_MS = 300,
};

static cv_time patience(cv_time rtt)
{
	cv_time when = rtt ? 4 * rtt : PATIENCE_MAX_MS * CV_NS_PER_MS;

	if (when < PATIENCE_MIN_MS * CV_NS_PER_MS)
		when = PATIENCE_MIN_MS * CV_NS_PER_MS;
	if (when > PATIENCE_MAX_MS * CV_NS_PER_MS)
		when = PATIENCE_MAX_MS * CV_NS_PER_MS;
	return when < rtt + rtt / 2 ? rtt + rtt / 2 : when;
}

static uint32_t base(const struct cv_pmtu *pmtu)
{
	return pmtu->most < CV_PMTU_BASE ? pmtu->most : CV_PMTU_BASE;
}

static void end_round(struct cv_pmtu *pmtu, bool has_verdict)
{
	pmtu->trying = 0;
	pmtu->base_owed = false;
	pmtu->may_begin = has_verdict;
}

static void carries(struct cv_pmtu *pmtu, uint32_t size)
{
	if (pmtu->size < size)
		pmtu->size = size;
	if (pmtu->failed <= size)
		pmtu->failed = 0;
	pmtu->is_sure = true;
}

static void fails(struct cv_pmtu *pmtu, cv_time now)
{
	bool in_use = !pmtu->size || pmtu->trying <= pmtu->size;

	pmtu->failed = pmtu->trying;
	pmtu->raise = now + CV_PMTU_RAISE_S * CV_NS_PER_S;
	if (in_use) {
		pmtu->size = base(pmtu);
		pmtu->is_sure = true;
	}
	end_round(pmtu, true);
}

void cv_pmtu_flows(struct cv_pmtu *pmtu, cv_time now)
{
	if (pmtu->failed && now >= pmtu->raise)
		pmtu->failed = 0;
	pmtu->is_sure = false;
	pmtu->may_begin = true;
}

void cv_pmtu_echoed(struct cv_pmtu *pmtu, uint32_t size)
{
	if (size > pmtu->most)
		return;
	if (size == base(pmtu))
		pmtu->lives = true;
	if (pmtu->trying && size >= pmtu->trying) {
		carries(pmtu, size);
		end_round(pmtu, true);
	} else if (pmtu->size && size > pmtu->size) {
		carries(pmtu, size);
	}
}

void cv_pmtu_refused(struct cv_pmtu *pmtu, uint32_t size, cv_time now)
{
	if (size == pmtu->trying)
		fails(pmtu, now);
}

void cv_pmtu_moved(struct cv_pmtu *pmtu)
{
	end_round(pmtu, true);
	pmtu->failed = 0;
	pmtu->is_sure = false;
}

bool cv_pmtu_is_found(const struct cv_pmtu *pmtu)
{
	return pmtu->size && (pmtu->size >= pmtu->most ||
			      (pmtu->failed && pmtu->failed <= pmtu->size + CV_PMTU_STEP));
}

/* The TUN took another MTU. A path that carried all that there was is hoped to carry more as well,
 * as at first. */
static void bound(struct cv_pmtu *pmtu, uint32_t most)
{
	if (pmtu->size && pmtu->size == pmtu->most && most > pmtu->size) {
		end_round(pmtu, true);
		pmtu->size = 0;
		pmtu->is_sure = false;
	}
	pmtu->most = most;
	if (pmtu->size > most)
		pmtu->size = most;
	if (pmtu->failed > most)
		pmtu->failed = 0;
	if (pmtu->trying > most)
		end_round(pmtu, true);
}

/* What the next round is of; 0: there is nothing to find out. */
static uint32_t choose(const struct cv_pmtu *pmtu)
{
	if (!pmtu->is_sure)
		return pmtu->size ? pmtu->size : pmtu->most;
	if (cv_pmtu_is_found(pmtu))
		return 0;
	return pmtu->failed ? (pmtu->size + pmtu->failed) / 2 : pmtu->most;
}

static void begin_round(struct cv_pmtu *pmtu)
{
	pmtu->may_begin = false;
	pmtu->trying = choose(pmtu);
	pmtu->tries = pmtu->waits = 0;
	pmtu->lives = pmtu->base_owed = false;
}

/* No echo in time. */
static void wait_again(struct cv_pmtu *pmtu, cv_time now)
{
	pmtu->waits++;
	if (pmtu->tries == CV_PMTU_TRIES)
		fails(pmtu, now);
	else if (!pmtu->lives && pmtu->waits == CV_PMTU_TRIES)
		end_round(pmtu, false);
}

/* Of two big ones without an answer the base must tell whether there is anybody to give it. */
static uint32_t try_again(struct cv_pmtu *pmtu)
{
	if (pmtu->tries >= 2 && !pmtu->lives)
		return base(pmtu);
	pmtu->tries++;
	pmtu->base_owed = pmtu->tries == 2 && pmtu->trying != base(pmtu);
	return pmtu->trying;
}

uint32_t cv_pmtu_next(struct cv_pmtu *pmtu, uint32_t most, cv_time now, cv_time rtt)
{
	if (pmtu->most != most)
		bound(pmtu, most);
	if (pmtu->base_owed) {
		pmtu->base_owed = false;
		return base(pmtu);
	}
	if (pmtu->trying && now < pmtu->when)
		return 0;
	if (pmtu->trying)
		wait_again(pmtu, now);
	if (!pmtu->trying && pmtu->may_begin)
		begin_round(pmtu);
	if (!pmtu->trying)
		return 0;
	pmtu->when = now + patience(rtt);
	return try_again(pmtu);
}
