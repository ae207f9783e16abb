/* Running tunnels as JSON. What a tunnel says is taken as it comes: what is missing reads as 0. */
#include "look.h"

#include <errno.h>
#include <string.h>

#include "internal.h"

/* Takes: reply. Adds what it says to tunnels. */
static int take_reply(struct cv_reply *reply, json_t *tunnels)
{
	json_t *said = NULL;
	int r;

	if (reply->status == 200)
		said = json_loadb(reply->body, reply->len, 0, NULL);
	cv_reply_done(reply);
	if (!json_is_object(said)) {
		json_decref(said);
		return -EBADMSG;
	}
	r = json_object_update(tunnels, said);
	json_decref(said);
	return r < 0 ? -ENOMEM : 0;
}

static int look_at(const char *name, json_t *tunnels)
{
	struct cv_reply reply;
	int r = cv_client_try(name, "GET", "/show", &reply);

	return r < 0 ? r : take_reply(&reply, tunnels);
}

static void complain(const char *name, int error)
{
	if (error == -EBADMSG)
		cv_complain("the daemon of %s gave an answer that is not understood; is it of "
			    "another version?",
			    name);
	else
		cv_client_complain(name, name, false, error);
}

/* All that have a door. One that was killed has left its door behind; that is said once, however
 * often we look. */
static int look_at_all(bool loud, json_t *tunnels)
{
	static bool told;
	struct cv_tunnels running;
	int result = cv_client_list(&running);

	if (result < 0)
		return result;
	for (size_t i = 0; i < running.n; i++) {
		const char *name = running.name[i];
		int r = look_at(name, tunnels);
		bool killed = r == -ECONNREFUSED;

		if (killed && loud && !told)
			cv_complain("warning: the daemon of %s was killed, ignoring; `convoy down "
				    "%s` takes back what it left behind",
				    name, name);
		if (r == 0 || killed || r == -ENOENT)
			continue;
		result = r;
		if (loud)
			complain(name, r);
	}
	told = told || loud;
	cv_tunnels_done(&running);
	return result;
}

int cv_look(const char *name, bool loud, json_t **ret_tunnels)
{
	int r;

	*ret_tunnels = json_object();
	if (!name || strcmp(name, "all") == 0)
		return look_at_all(loud, *ret_tunnels);
	r = look_at(name, *ret_tunnels);
	if (r < 0 && loud)
		complain(name, r);
	return r;
}

double cv_look_number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

const char *cv_look_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

double cv_look_rate(const json_t *before, const json_t *now, const char *name, double seconds)
{
	double growth = cv_look_number(now, name) - cv_look_number(before, name);

	return before && seconds > 0 && growth > 0 ? growth / seconds : 0;
}

double cv_look_seconds(const json_t *before, const json_t *now)
{
	double seconds = cv_look_number(now, "clock") - cv_look_number(before, "clock");

	return before && seconds > 0 ? seconds : 0;
}
