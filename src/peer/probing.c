/*
 * Probes that are out, in a ring by number: what is sent later takes the place of what is eight
 * older.
 *
 * A probe that was given up stays in its place. Where the way there and back is longer than our
 * patience, its echo comes late each time, and still tells how long.
 */
#include <convoy/peer/probing.h>

bool cv_probing_goes(struct cv_probing *probing, const struct cv_addr *here,
		     const struct cv_addr *there)
{
	bool leaves = here->family && !cv_addr_equal(&probing->here, here);
	bool moved = (leaves && probing->here.family) ||
		     (probing->there.family && !cv_addr_equal(&probing->there, there));

	if (leaves)
		probing->here = *here;
	probing->there = *there;
	return moved;
}

void cv_probing_sent(struct cv_probing *probing, uint16_t size, cv_time now)
{
	probing->out[probing->next % CV_PROBES_OUT] = (struct cv_probe){
		.sent = now,
		.due = now + cv_quality_patience(&probing->quality),
		.number = probing->next,
		.size = size,
	};
	probing->next++;
}

bool cv_probing_echoed(struct cv_probing *probing, uint32_t number, uint16_t size, cv_time when,
		       struct cv_probe *ret_probe)
{
	struct cv_probe *probe = &probing->out[number % CV_PROBES_OUT];

	if (!probe->size || probe->number != number || probe->size != size)
		return false;
	*ret_probe = *probe;
	probe->size = 0;
	cv_quality_echoed(&probing->quality, when - probe->sent);
	return true;
}

bool cv_probing_give_up(struct cv_probing *probing, cv_time now, struct cv_probe *ret_probe)
{
	for (int i = 0; i < CV_PROBES_OUT; i++) {
		struct cv_probe *probe = &probing->out[i];

		if (!probe->size || probe->due > now)
			continue;
		*ret_probe = *probe;
		probe->due = CV_TIME_NEVER;
		cv_quality_missed(&probing->quality);
		return true;
	}
	return false;
}

cv_time cv_probing_due(const struct cv_probing *probing)
{
	cv_time due = CV_TIME_NEVER;

	for (int i = 0; i < CV_PROBES_OUT; i++)
		if (probing->out[i].size && probing->out[i].due < due)
			due = probing->out[i].due;
	return due;
}

bool cv_probing_may_echo(struct cv_probing *probing, cv_time now)
{
	const cv_time interval = CV_NS_PER_S / CV_ECHOES_PER_S;
	cv_time from = probing->echoes_until > now ? probing->echoes_until : now;

	if (from - now > (CV_ECHOES_BURST - 1) * interval)
		return false;
	probing->echoes_until = from + interval;
	return true;
}
