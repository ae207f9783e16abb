/*
 * Address = auto: what a peer hands over, taken into use.
 *
 * How it works. The device asks, and control looks after each turn whether something was granted.
 * What the file allows of it (config/grant.h) makes another config of the one that runs, with lists
 * in the place of "auto", and the host goes from one to the other as in a reload: addresses, MTU
 * and routes by the device, name servers and kill switch by the keeper, which gets addresses and
 * judges them once more. A reload puts what was granted into the new file's config, if it
 * asks the same peer.
 *
 * A tunnel that comes up waits for its addresses for some seconds, so that hooks, and what systemd
 * starts behind it, find them; then it says why there are none, and goes on asking.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/config/grant.h>
#include <convoy/device/asking.h>
#include <convoy/device/change.h>
#include <convoy/log/log.h>

#include "internal.h"

/* Bytes only, but for padding behind the end. */
static bool are_equal(const struct cv_grant *a, const struct cv_grant *b)
{
	return memcmp(a, b, offsetof(struct cv_grant, routes) + sizeof(a->routes)) == 0;
}

static void put_prefix(FILE *out, const char *before, const struct cv_prefix *prefix)
{
	char text[CV_PREFIX_TEXT_MAX];

	if (prefix->addr.family)
		fprintf(out, "%s%s", before, cv_prefix_format(prefix, text));
}

static void tell(const struct cv_control *control)
{
	const struct cv_grant *grant = &control->handed.admitted;
	char key[CV_KEY_BASE64_LEN + 1], addr[CV_ADDR_TEXT_MAX], *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	put_prefix(out, ", address ", &grant->address4);
	put_prefix(out, ", address ", &grant->address6);
	for (size_t i = 0; i < grant->dns_n; i++)
		fprintf(out, ", name server %s", cv_addr_format(&grant->dns[i], addr));
	for (size_t i = 0; i < grant->routes_n; i++)
		put_prefix(out, ", route ", &grant->routes[i]);
	if (grant->mtu)
		fprintf(out, ", MTU %u", grant->mtu);
	if (fclose(out) == 0)
		cv_log_info("%s: handed over by peer %.8s...: %s", control->config.name,
			    cv_key_to_base64(&control->handed.by, key), text + 2);
	free(text);
}

static void tell_refused(void *arg, const char *what, const char *why)
{
	const struct cv_control *control = arg;

	cv_log_warn("%s: the peer hands over %s: %s, ignoring", control->config.name, what, why);
}

static void tell_empty(struct cv_control *control)
{
	if (!control->handed.is_empty)
		cv_log_warn("%s: the peer has no address for us: its owner gives one with Pool =, "
			    "or says what to put behind Address = here, asking on",
			    control->config.name);
	control->handed.is_empty = true;
}

/* Another config that runs. Return: 0 or the first -errno. */
static int use(struct cv_control *control)
{
	struct cv_config to = control->config;
	int r = cv_config_hand_over(&to, &control->handed.admitted), host;

	if (r < 0)
		return r;
	r = cv_device_change_host(control->device, &control->config, &to);
	cv_config_forget_grant(&control->config);
	control->config = to;
	host = cv_host_hand_over(control->host, &to, &control->handed.admitted);
	cv_host_change_mark(control->host, cv_control_guard_mark(control));
	return r < 0 ? r : host;
}

static void change_to(struct cv_control *control, const struct cv_grant *admitted)
{
	int r;

	control->handed.admitted = *admitted;
	control->handed.has = true;
	tell(control);
	r = use(control);
	if (r < 0)
		cv_log_err("%s: not all that was handed over is in use: %s", control->config.name,
			   strerror(-r));
}

bool cv_control_take_grant(struct cv_control *control)
{
	struct cv_handed *handed = &control->handed;
	struct cv_grant grant, admitted;
	bool news;

	if (!cv_device_take_grant(control->device, cv_clock_now(), &grant, &handed->endpoint))
		return false;
	news = !are_equal(&grant, &handed->came);
	cv_config_admit(&control->config, &grant, &handed->endpoint, news ? tell_refused : NULL,
			control, &admitted);
	handed->came = grant;
	if (!cv_grant_has_address(&admitted)) {
		tell_empty(control);
		return false;
	}
	cv_device_granted(control->device);
	handed->is_empty = false;
	if (handed->has && are_equal(&admitted, &handed->admitted))
		return false;
	change_to(control, &admitted);
	return true;
}

void cv_control_ask(struct cv_control *control)
{
	const struct cv_config *config = &control->config;
	const struct cv_key *whom = config->auto_address ? &config->peers[0].public_key : NULL;

	if (!whom || !cv_key_equal(whom, &control->handed.by))
		control->handed = (struct cv_handed){ 0 };
	if (whom)
		control->handed.by = *whom;
	cv_device_ask(control->device, whom, cv_clock_now());
}

int cv_control_keep_grant(struct cv_control *control, struct cv_config *to)
{
	struct cv_handed *handed = &control->handed;

	if (!handed->has || !to->auto_address ||
	    !cv_key_equal(&to->peers[0].public_key, &handed->by))
		return 0;
	cv_config_admit(to, &handed->came, &handed->endpoint, tell_refused, control,
			&handed->admitted);
	return cv_config_hand_over(to, &handed->admitted);
}

static void tell_why_none(const struct cv_control *control)
{
	if (!control->handed.is_empty && !cv_device_asks_in_vain(control->device))
		cv_log_warn("%s: no address yet, the peer has not answered for %d s: are its "
			    "Endpoint and its PublicKey right? asking on",
			    control->config.name, CV_GRANT_AWAIT_S);
}

int cv_control_await_grant(struct cv_control *control)
{
	cv_time until = cv_clock_now() + CV_GRANT_AWAIT_S * CV_NS_PER_S;
	int r = 0;

	if (!control->config.auto_address)
		return 0;
	while (r == 0 && !control->stop && !control->handed.has && !control->handed.is_empty &&
	       !cv_device_asks_in_vain(control->device) && cv_clock_now() < until) {
		r = cv_control_turn(control, until);
		cv_control_take_grant(control);
	}
	if (control->stop)
		return -EINTR;
	if (r == 0 && !control->handed.has)
		tell_why_none(control);
	return r;
}

const char *cv_control_status(const struct cv_control *control)
{
	return control->config.auto_address && !control->handed.has
		       ? "running; the peer has not handed over an address yet"
		       : "running";
}
