/*
 * From one config to another while packets flow.
 *
 * How it works. What can fail for reasons outside of us comes first: the file itself, the port,
 * the firewall and DNS. When one of them fails, those before it are put back and nothing has
 * changed. The rest is ours and fails only when there is no memory. Each step is the difference
 * between what runs and what the file says, so that what both agree on is not touched: sessions and
 * counters live on, no packet is lost.
 *
 * What threads and rings were made from cannot change under them; that it waits for the next start
 * is said, and is no error. Hooks do not run.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include <convoy/crypto/secret.h>
#include <convoy/device/change.h>
#include <convoy/log/log.h>

#include "internal.h"

static void report(FILE *findings, const struct cv_control *control, const char *what, int error)
{
	/* Only the port can be in use. */
	fprintf(findings, "%s: error: %s: %s%s; nothing was changed\n", control->options->path,
		what, strerror(-error),
		error == -EADDRINUSE ? "; another program has it, take another ListenPort" : "");
}

static void report_fixed(const struct cv_control *control, const struct cv_config *to,
			 FILE *findings)
{
	const struct cv_config *from = &control->config;
	const struct {
		const char *key;
		bool differs;
	} fixed[] = {
		{ "Workers", from->workers != to->workers },
		{ "Loop", from->loop != to->loop },
		{ "Offload", from->offload.tun_tso != to->offload.tun_tso ||
				     from->offload.tun_uso != to->offload.tun_uso ||
				     from->offload.udp_gso != to->offload.udp_gso ||
				     from->offload.udp_gro != to->offload.udp_gro },
		{ "AeadProvider", strcmp(from->aead, to->aead) != 0 },
		{ "Ciphers", from->ciphers != to->ciphers },
		{ "Pool", !control->pool && cv_config_has_pool(to) },
	};

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (fixed[i].differs)
			fprintf(findings,
				"%s: warning: %s stays as it was until the tunnel is started "
				"anew, ignoring\n",
				control->options->path, fixed[i].key);
}

/* wg(8) may have set another port than the old file; then the new file has the last word. */
static int change_port(struct cv_control *control, const struct cv_config *to)
{
	struct cv_device_show show;

	cv_device_show(control->device, false, &show);
	if (to->listen_port == control->config.listen_port &&
	    (!to->listen_port || to->listen_port == show.listen_port))
		return 0;
	return cv_device_set_listen_port(control->device, to->listen_port);
}

/* What may fail, and is put back if it does. */
static int change_outside(struct cv_control *control, const struct cv_config *to, FILE *findings)
{
	char what[32];
	int r = change_port(control, to);

	if (r < 0) {
		snprintf(what, sizeof(what), "UDP port %u", to->listen_port);
		report(findings, control, what, r);
		return r;
	}
	r = cv_host_change(control->host, to);
	if (r < 0) {
		report(findings, control, "hooks, DNS or firewall", r);
		cv_device_set_listen_port(control->device, control->config.listen_port);
	}
	return r;
}

static int change_inside(struct cv_control *control, const struct cv_config *to)
{
	cv_time now = cv_clock_now();
	struct cv_peers_changed changed = { 0 };
	int r = cv_device_set_private_key(control->device, &to->private_key, now), host;

	if (r == 0)
		r = cv_control_change_peers(control, to, now, &changed);
	host = cv_device_change_host(control->device, &control->config, to);
	if (r == 0)
		r = host;
	cv_log_info("%s: reloaded: peers %zu added, %zu removed, %zu changed", to->name,
		    changed.added, changed.removed, changed.changed);
	return r;
}

static int apply(struct cv_control *control, struct cv_config *to, FILE *findings)
{
	int r, changed;

	cv_control_adopt(control, to);
	r = cv_control_keep_grant(control, to);
	if (r == 0)
		r = change_outside(control, to, findings);
	if (r < 0) {
		cv_control_adopt(control, &control->config);
		cv_config_free(to);
		return r;
	}
	report_fixed(control, to, findings);
	r = change_inside(control, to);
	cv_config_free(&control->config);
	control->config = *to;
	cv_control_ask(control);
	cv_host_change_mark(control->host, cv_control_guard_mark(control));
	changed = cv_resolver_change(control->resolver);
	cv_pool_announce(control->pool);
	if (r == 0)
		r = changed;
	if (control->http)
		cv_http_change(control->http);
	if (r < 0)
		fprintf(findings, "%s: error: not all of it could be applied: %s\n",
			control->options->path, strerror(-r));
	return r;
}

static int reload(struct cv_control *control, FILE *findings)
{
	const struct cv_control_options *options = control->options;
	struct cv_config to;
	int r;

	if (!options->path) {
		fprintf(findings, "%s: error: it was started without a config file\n",
			control->config.name);
		return -ENOENT;
	}
	r = options->read(options->path, &to, findings);
	if (r < 0) {
		cv_log_err("%s: %s was not taken over: %s", control->config.name, options->path,
			   r == -EINVAL ? "it has errors" : strerror(-r));
		return r;
	}
	return apply(control, &to, findings);
}

int cv_control_reload(struct cv_control *control, FILE *findings)
{
	int r;

	cv_notify_reloading(control->notify);
	r = reload(control, findings);
	/* With many peers the old file and the comparison were large. */
	malloc_trim(0);
	cv_notify_ready(control->notify,
			r < 0 ? "running; the last reload failed" : cv_control_status(control));
	return r;
}
