/*
 * show: what running tunnels do, for people or as JSON.
 *
 * People get what `wg show` prints, in its words and its order (peers heard of last come first),
 * and between its lines those of ours. Rates need two looks: where a peer has a session, the
 * second follows the first by LOOK_MS.
 */
#include "show.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <convoy/base/drop.h>
#include <convoy/base/time.h>

#include "internal.h"
#include "look.h"

enum {
	LOOK_MS = 250,
	AGE_TEXT_MAX = 96,
	SIZE_TEXT_MAX = 32,
};

struct page {
	FILE *out;
	bool colours;
};

static const char bold[] = "\x1b[1m", green[] = "\x1b[32m", yellow[] = "\x1b[33m",
		  plain[] = "\x1b[0m";

static const char *style(const struct page *page, const char *code)
{
	return page->colours ? code : "";
}

static void put_title(const struct page *page, const char *what, const char *name,
		      const char *colour)
{
	fprintf(page->out, "%s%s%s%s: %s%s%s\n", style(page, colour), style(page, bold), what,
		style(page, plain), style(page, colour), name, style(page, plain));
}

/* "  label: value"; nothing when the value is NULL. */
static void put_text(const struct page *page, const char *label, const char *value)
{
	if (value)
		fprintf(page->out, "  %s%s%s: %s\n", style(page, bold), label, style(page, plain),
			value);
}

__attribute__((format(printf, 3, 4))) static void put(const struct page *page, const char *label,
						      const char *format, ...)
{
	va_list arguments;

	fprintf(page->out, "  %s%s%s: ", style(page, bold), label, style(page, plain));
	va_start(arguments, format);
	vfprintf(page->out, format, arguments);
	va_end(arguments);
	fputc('\n', page->out);
}

/* "1 day, 2 hours, 3 seconds": parts that are zero are left out. */
static const char *age_text(uint64_t seconds, char ret_text[AGE_TEXT_MAX])
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = {
		{ "year", 365 * 24 * 3600 },
		{ "day", 24 * 3600 },
		{ "hour", 3600 },
		{ "minute", 60 },
		{ "second", 1 },
	};
	int len = 0;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		uint64_t n = seconds / units[i].seconds;

		seconds %= units[i].seconds;
		if (n > 0)
			len += snprintf(ret_text + len, (size_t)(AGE_TEXT_MAX - len), "%s%llu %s%s",
					len ? ", " : "", (unsigned long long)n, units[i].name,
					n == 1 ? "" : "s");
	}
	if (len == 0)
		snprintf(ret_text, AGE_TEXT_MAX, "0 seconds");
	return ret_text;
}

static const char *size_text(double bytes, char ret_text[SIZE_TEXT_MAX])
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(ret_text, SIZE_TEXT_MAX, "%.0f B", bytes);
		return ret_text;
	}
	for (bytes /= 1024; bytes >= 1024 && unit < 3; unit++)
		bytes /= 1024;
	snprintf(ret_text, SIZE_TEXT_MAX, "%.2f %s", bytes, units[unit]);
	return ret_text;
}

/* One line, parts separated by commas, or what to say when there are none. */
static void put_list(const struct page *page, const char *label, const json_t *list,
		     const char *none, const char *behind)
{
	const json_t *item;
	size_t i;

	fprintf(page->out, "  %s%s%s: %s", style(page, bold), label, style(page, plain),
		json_array_size(list) ? "" : none);
	json_array_foreach(list, i, item)
		fprintf(page->out, "%s%s", i ? ", " : "",
			json_is_string(item) ? json_string_value(item) : "?");
	fprintf(page->out, "%s\n", json_array_size(list) ? behind : "");
}

/* Address = auto. */
static void put_handed_over(const struct page *page, const json_t *handed)
{
	if (!handed)
		return;
	put_list(page, "address", json_object_get(handed, "addresses"),
		 "none yet, the peer is asked", " (handed over)");
	if (json_array_size(json_object_get(handed, "dns")))
		put_list(page, "dns", json_object_get(handed, "dns"), "", " (handed over)");
	if (json_array_size(json_object_get(handed, "routes")))
		put_list(page, "routes", json_object_get(handed, "routes"), "", " (handed over)");
}

static void put_handshake(const struct page *page, double at, int64_t wall_s)
{
	char age[AGE_TEXT_MAX];

	if (at <= 0)
		return;
	if (at > (double)wall_s)
		put_text(page, "latest handshake",
			 "in the future: the system's clock was set back");
	else if (at == (double)wall_s)
		put_text(page, "latest handshake", "now");
	else
		put(page, "latest handshake", "%s ago",
		    age_text((uint64_t)((double)wall_s - at), age));
}

/* How it stands between us and the peer, and if nothing does, why. */
static void put_session(const struct page *page, const json_t *peer)
{
	const char *error = cv_look_text(peer, "sendError");
	double queued = cv_look_number(peer, "queuedPackets");
	char age[AGE_TEXT_MAX];

	if (json_object_get(peer, "sessionAge"))
		put(page, "session", "%s old",
		    age_text((uint64_t)cv_look_number(peer, "sessionAge"), age));
	else if (json_object_get(peer, "wantsSession") && !cv_look_text(peer, "endpoint"))
		put_text(page, "session",
			 "none: the peer has no endpoint yet and must speak first");
	else if (json_object_get(peer, "wantsSession"))
		put(page, "session", "none: %s%s",
		    error ? "handshakes cannot be sent: " : "handshakes go unanswered",
		    error ? error : "");
	put_text(page, "cipher", cv_look_text(peer, "cipher"));
	if (queued > 0)
		put(page, "waiting", "%.0f packet%s, for a session", queued,
		    queued == 1 ? "" : "s");
}

static void put_path(const struct page *page, const json_t *path)
{
	const json_t *rx = json_object_get(path, "rx"), *tx = json_object_get(path, "tx");
	double rtt = cv_look_number(path, "rtt"), unanswered = cv_look_number(path, "unanswered");
	double mtu = cv_look_number(path, "mtu");

	if (!path)
		return;
	if (mtu > 0)
		put(page, "path mtu", "%.0f", mtu);
	if (rtt > 0)
		put(page, "round trip", "%.2f ms", rtt * 1e3);
	put(page, "jitter", "%.2f ms received, %.2f ms sent", cv_look_number(rx, "jitter") * 1e3,
	    cv_look_number(tx, "jitter") * 1e3);
	put(page, "lost lately", "%.2f %% received, %.2f %% sent", cv_look_number(rx, "loss") * 100,
	    cv_look_number(tx, "loss") * 100);
	if (unanswered > 0)
		put(page, "unanswered", "%.0f probe%s", unanswered, unanswered == 1 ? "" : "s");
}

static void put_transfer(const struct page *page, const json_t *now, const json_t *before,
			 double seconds)
{
	double rx = cv_look_number(now, "transferRx"), tx = cv_look_number(now, "transferTx");
	double in = cv_look_rate(before, now, "transferRx", seconds) * 8e-6;
	double out = cv_look_rate(before, now, "transferTx", seconds) * 8e-6;
	char received[SIZE_TEXT_MAX], sent[SIZE_TEXT_MAX];

	if (rx > 0 || tx > 0)
		put(page, "transfer", "%s received, %s sent", size_text(rx, received),
		    size_text(tx, sent));
	if (in > 0 || out > 0)
		put(page, "rate", "%.2f Mbit/s received, %.2f Mbit/s sent", in, out);
}

static void put_peer(const struct page *page, const char *key, const json_t *now,
		     const json_t *before, double seconds, int64_t wall_s)
{
	double keepalive = cv_look_number(now, "persistentKeepalive");

	fputc('\n', page->out);
	put_title(page, "peer", key, yellow);
	put_text(page, "name", cv_look_text(now, "friendlyName"));
	put_text(page, "preshared key", cv_look_text(now, "presharedKey"));
	put_text(page, "endpoint", cv_look_text(now, "endpoint"));
	put_text(page, "our address", cv_look_text(now, "source"));
	put_list(page, "allowed ips", json_object_get(now, "allowedIps"), "(none)", "");
	put_handshake(page, cv_look_number(now, "latestHandshake"), wall_s);
	put_session(page, now);
	put_path(page, json_object_get(now, "path"));
	put_transfer(page, now, before, seconds);
	if (keepalive > 0)
		put(page, "persistent keepalive", "every %.0f second%s", keepalive,
		    keepalive == 1 ? "" : "s");
}

/* The reason's sentence; of one that we do not know, a newer daemon's, its name. */
static const char *sentence(const char *reason)
{
	for (int i = 0; i < CV_DROP_COUNT; i++)
		if (strcmp(reason, cv_drop_name((enum cv_drop)i)) == 0)
			return cv_drop_sentence((enum cv_drop)i);
	return reason;
}

static void put_drops(const struct page *page, json_t *drops)
{
	const char *reason;
	json_t *count;

	json_object_foreach(drops, reason, count) if (json_integer_value(count) > 0)
		put(page, "dropped", "%lld: %s (%s)", json_integer_value(count), sentence(reason),
		    reason);
}

static void put_capabilities(const struct page *page, json_t *capabilities)
{
	const char *what;
	json_t *how;

	fprintf(page->out, "  %scapabilities%s:", style(page, bold), style(page, plain));
	json_object_foreach(capabilities, what, how) if (json_is_string(how))
		fprintf(page->out, " %s=%s", what, json_string_value(how));
	fputc('\n', page->out);
}

static void put_interface(const struct page *page, const char *name, const json_t *tunnel)
{
	double port = cv_look_number(tunnel, "listenPort"), mtu = cv_look_number(tunnel, "mtu");
	double fwmark = cv_look_number(tunnel, "fwmark");

	put_title(page, "interface", name, green);
	put_text(page, "public key", cv_look_text(tunnel, "publicKey"));
	put_text(page, "private key", cv_look_text(tunnel, "privateKey"));
	if (port > 0)
		put(page, "listening port", "%.0f", port);
	if (fwmark > 0)
		put(page, "fwmark", "0x%x", (unsigned)fwmark);
	if (!json_is_true(json_object_get(tunnel, "up")))
		put(page, "link", "down; `ip link set %s up` brings it up", name);
	if (mtu > 0)
		put(page, "mtu", "%.0f", mtu);
	put_handed_over(page, json_object_get(tunnel, "handedOver"));
	put_capabilities(page, json_object_get(tunnel, "capabilities"));
	put_drops(page, json_object_get(tunnel, "drops"));
}

/* A peer in the list that is sorted; the place in it breaks ties. */
struct ranked {
	const char *key;
	const json_t *peer;
	double handshake;
	size_t place;
};

static int compare(const void *a, const void *b)
{
	const struct ranked *left = a, *right = b;

	if (left->handshake != right->handshake)
		return left->handshake > right->handshake ? -1 : 1;
	return left->place < right->place ? -1 : 1;
}

int cv_show_print(FILE *out, const char *name, const json_t *now, const json_t *before,
		  int64_t wall_s, bool colours)
{
	const struct page page = { out, colours };
	json_t *peers = json_object_get(now, "peers"), *peer;
	const json_t *peers_before = json_object_get(before, "peers");
	struct ranked *list = calloc(json_object_size(peers) + 1, sizeof(*list));
	const char *key;
	size_t n = 0;

	put_interface(&page, name, now);
	if (!list)
		return -ENOMEM;
	json_object_foreach(peers, key, peer)
	{
		list[n] = (struct ranked){ key, peer, cv_look_number(peer, "latestHandshake"), n };
		n++;
	}
	qsort(list, n, sizeof(*list), compare);
	for (size_t i = 0; i < n; i++)
		put_peer(&page, list[i].key, list[i].peer,
			 json_object_get(peers_before, list[i].key), cv_look_seconds(before, now),
			 wall_s);
	free(list);
	return 0;
}

static bool has_sessions(json_t *tunnels)
{
	const char *name;
	json_t *tunnel, *peer;

	json_object_foreach(tunnels, name, tunnel)
	{
		json_object_foreach(json_object_get(tunnel, "peers"), name,
				    peer) if (json_object_get(peer, "sessionAge")) return true;
	}
	return false;
}

static int print_people(const char *name, json_t *tunnels)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * CV_NS_PER_MS };
	bool colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR"), first = true;
	json_t *before = NULL, *tunnel;
	int r = 0;

	if (has_sessions(tunnels)) {
		before = json_incref(tunnels);
		nanosleep(&pause, NULL);
		if (cv_look(name, false, &tunnels) < 0) {
			json_decref(tunnels);
			tunnels = json_incref(before); /* no rates then */
		}
	} else {
		json_incref(tunnels);
	}
	json_object_foreach(tunnels, name, tunnel)
	{
		if (!first)
			putchar('\n');
		first = false;
		if (cv_show_print(stdout, name, tunnel, json_object_get(before, name), time(NULL),
				  colours) < 0)
			r = -ENOMEM;
	}
	if (first)
		cv_complain("no tunnel is running; `convoy up NAME` starts one");
	json_decref(before);
	json_decref(tunnels);
	return r;
}

static int print_json(const json_t *tunnels)
{
	int r = json_dumpf(tunnels, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));

	putchar('\n');
	return r < 0 && !ferror(stdout) ? -ENOMEM : 0;
}

static int refuse(const char *argument)
{
	static const char *const names[] = { "--json" };

	if (argument[0] == '-' && strcmp(argument, names[0]) != 0)
		cv_complain_option("show", argument, names, 1);
	return CV_EXIT_USAGE;
}

int cv_command_show(int n, char **arguments)
{
	const char *name = NULL;
	bool json = false;
	json_t *tunnels;
	int r, shown = 0;

	for (int i = 0; i < n; i++) {
		if (strcmp(arguments[i], "--json") == 0 && !json)
			json = true;
		else if (arguments[i][0] != '-' && !name)
			name = arguments[i];
		else
			return refuse(arguments[i]);
	}
	r = cv_look(name, true, &tunnels);
	if (r == 0 || json_object_size(tunnels) > 0)
		shown = json ? print_json(tunnels) : print_people(name, tunnels);
	json_decref(tunnels);
	if (shown < 0) {
		cv_complain("not enough memory to show all of it");
		r = shown;
	}
	if (r == 0 && (fflush(stdout) == EOF || ferror(stdout))) {
		cv_complain("cannot write to stdout: %s", strerror(errno));
		r = -EIO;
	}
	return r < 0 ? CV_EXIT_FAILURE : CV_EXIT_OK;
}
