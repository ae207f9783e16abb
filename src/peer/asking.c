/* A request at once, then after 1, 2, 4, ... 60 s until there is a grant; one in each new session
 * after that, for the peer's configuration may have changed. */
#include <convoy/peer/asking.h>

static cv_time pause_after(unsigned requests)
{
	unsigned doublings = requests > 0 ? requests - 1 : 0;
	cv_time s = doublings < 6 ? (cv_time)CV_ASKING_FIRST_S << doublings : CV_ASKING_LAST_S;

	return (s < CV_ASKING_LAST_S ? s : CV_ASKING_LAST_S) * CV_NS_PER_S;
}

void cv_asking_begin(struct cv_asking *asking, cv_time now)
{
	*asking = (struct cv_asking){ .on = true, .next = now };
}

void cv_asking_session(struct cv_asking *asking)
{
	asking->next = asking->earliest;
}

cv_time cv_asking_deadline(const struct cv_asking *asking)
{
	return asking->on ? asking->next : CV_TIME_NEVER;
}

void cv_asking_asked(struct cv_asking *asking, bool sent, cv_time now)
{
	asking->earliest = now + CV_ASKING_FIRST_S * CV_NS_PER_S;
	asking->next = now + CV_ASKING_LAST_S * CV_NS_PER_S;
	if (!sent) /* a session comes and tells */
		return;
	asking->unanswered += asking->unanswered < UINT8_MAX;
	asking->next = asking->granted ? CV_TIME_NEVER : now + pause_after(asking->unanswered);
}

bool cv_asking_answered(struct cv_asking *asking, cv_time now)
{
	if (!asking->on)
		return false;
	asking->unanswered = 0;
	asking->next = asking->granted ? CV_TIME_NEVER : now + CV_ASKING_LAST_S * CV_NS_PER_S;
	return true;
}

bool cv_asking_takes(struct cv_asking *asking, cv_time now)
{
	if (now < asking->take_from)
		return false;
	asking->take_from = now + CV_ASKING_TAKE_S * CV_NS_PER_S;
	return true;
}

void cv_asking_granted(struct cv_asking *asking)
{
	asking->granted = true;
	asking->next = CV_TIME_NEVER;
}

bool cv_asking_is_in_vain(const struct cv_asking *asking)
{
	return !asking->granted && asking->unanswered == CV_ASKING_IN_VAIN;
}
