/*
 * GET /metrics: the text format 0.0.4 of Prometheus.
 *
 * All samples of a metric stand together. Peers are walked once, though they have several metrics:
 * each metric is written to a text of its own, and the texts are joined.
 *
 * Counters come from the device by name. "drop.REASON" is one metric with a label, "hist.NAME.le_N"
 * are the buckets of a histogram (each for itself, of observations above the N before it and up to
 * its own; ascending), then "hist.NAME.sum" and "hist.NAME.count"; any other "part.what" is
 * convoy_part_what_total.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <convoy/base/time.h>

#include "internal.h"

enum { SENT, RECEIVED, HANDSHAKE, CIPHER, MTU, RTT, JITTER, EXPECTED, ACCEPTED, PEER_METRICS };

/* Names and labels of the first three are as prometheus_wireguard_exporter has them. */
static const struct {
	const char *name, *type, *help;
} peer_metrics[PEER_METRICS] = {
	{ "wireguard_sent_bytes_total", "counter", "Bytes sent to the peer" },
	{ "wireguard_received_bytes_total", "counter", "Bytes received from the peer" },
	{ "wireguard_latest_handshake_seconds", "gauge",
	  "Time of the last handshake, seconds since the epoch; 0: never" },
	{ "convoy_peer_cipher_info", "gauge", "Under what the session with the peer is sealed" },
	{ "convoy_peer_path_mtu_bytes", "gauge", "The largest packet that is carried to the peer" },
	{ "convoy_peer_rtt_seconds", "gauge", "Time there and back between two Convoys, smoothed" },
	{ "convoy_peer_jitter_seconds", "gauge", "Variation of the time one way, smoothed" },
	{ "convoy_peer_messages_expected_total", "counter",
	  "Messages that were sent, up to the last of a session that came" },
	{ "convoy_peer_messages_received_total", "counter",
	  "Messages of these that came; the others are lost" },
};

static void put_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: the format escapes these three. */
static void put_escaped(FILE *out, const char *value)
{
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '\\' || *value == '"')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
}

/* more: ",LABEL=\"" or NULL, and its value */
static void put_labels(FILE *out, const char *interface, const struct cv_roll *roll,
		       const char *more, const char *value)
{
	char key[CV_KEY_BASE64_LEN + 1], prefix[CV_PREFIX_TEXT_MAX];

	fprintf(out, "{interface=\"%s\",public_key=\"%s\",allowed_ips=\"", interface,
		cv_key_to_base64(&roll->peer.public_key, key));
	for (size_t i = 0; i < roll->n_allowed_ips; i++)
		fprintf(out, "%s%s", i ? "," : "", cv_prefix_format(&roll->allowed_ips[i], prefix));
	fputs("\",friendly_name=\"", out);
	put_escaped(out, roll->name);
	if (more)
		fprintf(out, "\"%s%s", more, value);
	fputs("\"}", out);
}

/* One peer's samples on their way out. */
struct samples {
	FILE *const *texts;
	const char *interface;
	const struct cv_roll *roll;
};

static FILE *put_sample(const struct samples *samples, int metric, const char *more,
			const char *value)
{
	FILE *out = samples->texts[metric];

	fputs(peer_metrics[metric].name, out);
	put_labels(out, samples->interface, samples->roll, more, value);
	return out;
}

static void put_way(const struct samples *samples, int way, const char *direction)
{
	static const char label[] = ",direction=\"";
	const struct cv_path_show *path = &samples->roll->peer.path;
	const struct cv_messages *messages = &path->way[way].messages;

	fprintf(put_sample(samples, JITTER, label, direction), " %.6f\n",
		path->way[way].jitter_us * 1e-6);
	fprintf(put_sample(samples, EXPECTED, label, direction), " %" PRIu64 "\n",
		messages->expected);
	fprintf(put_sample(samples, ACCEPTED, label, direction), " %" PRIu64 "\n",
		messages->accepted);
}

static void put_peer(FILE *const texts[PEER_METRICS], const char *interface,
		     const struct cv_roll *roll)
{
	const struct samples samples = { texts, interface, roll };
	const struct cv_peer_show *peer = &roll->peer;
	const uint64_t values[] = {
		[SENT] = peer->tx_bytes,
		[RECEIVED] = peer->rx_bytes,
		[HANDSHAKE] = (uint64_t)(peer->last_handshake_wall / CV_NS_PER_S),
	};

	for (int i = SENT; i <= HANDSHAKE; i++)
		fprintf(put_sample(&samples, i, NULL, NULL), " %" PRIu64 "\n", values[i]);
	if (peer->has_session)
		fputs(" 1\n",
		      put_sample(&samples, CIPHER, ",cipher=\"", cv_suite_name(peer->suite)));
	if (!peer->has_path)
		return;
	if (peer->path.mtu)
		fprintf(put_sample(&samples, MTU, NULL, NULL), " %u\n", peer->path.mtu);
	if (peer->path.rtt)
		fprintf(put_sample(&samples, RTT, NULL, NULL), " %.9f\n",
			(double)peer->path.rtt * 1e-9);
	put_way(&samples, CV_QUALITY_IN, "in");
	put_way(&samples, CV_QUALITY_OUT, "out");
}

static int put_peers(FILE *out, struct cv_control *control, const char *interface)
{
	FILE *texts[PEER_METRICS] = { NULL };
	char *bytes[PEER_METRICS] = { NULL };
	size_t lens[PEER_METRICS] = { 0 };
	struct cv_roll roll;
	int r = 0;

	for (int i = 0; i < PEER_METRICS; i++)
		if (!(texts[i] = open_memstream(&bytes[i], &lens[i])))
			r = -ENOMEM;
	if (r == 0) {
		cv_roll_begin(&roll, control);
		while (cv_roll_next(&roll))
			put_peer(texts, interface, &roll);
		r = cv_roll_end(&roll);
	}
	for (int i = 0; i < PEER_METRICS; i++) {
		if (texts[i] && fclose(texts[i]) == EOF)
			r = -ENOMEM;
		if (r == 0 && lens[i]) {
			put_head(out, peer_metrics[i].name, peer_metrics[i].type,
				 peer_metrics[i].help);
			fwrite(bytes[i], 1, lens[i], out);
		}
		free(bytes[i]);
	}
	return r;
}

/* Counters on their way out. */
struct counters {
	FILE *out;
	const char *interface;
	bool drops_begun;
	size_t histogram_len; /* of "hist.NAME." in the name visited last; 0: none */
	char histogram[64];
	uint64_t below; /* observations in the buckets so far */
	uint64_t sum;
};

static void put_drop(struct counters *counters, const char *reason, uint64_t value)
{
	if (!counters->drops_begun)
		put_head(counters->out, "convoy_drops_total", "counter",
			 "Packets that were not passed on, by reason");
	counters->drops_begun = true;
	fprintf(counters->out, "convoy_drops_total{interface=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
		counters->interface, reason, value);
}

/* Dots and whatever else a metric's name may not have become underscores. */
static void put_name(FILE *out, const char *name, size_t len)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789";

	fputs("convoy_", out);
	for (size_t i = 0; i < len; i++)
		fputc(strchr(allowed, name[i]) ? name[i] : '_', out);
}

static void put_bucket(struct counters *counters, const char *name, size_t len, const char *bound,
		       uint64_t value)
{
	put_name(counters->out, name, len);
	fprintf(counters->out, "_bucket{interface=\"%s\",le=\"%s\"} %" PRIu64 "\n",
		counters->interface, bound, value);
}

static void put_histogram_end(struct counters *counters, const char *name, size_t len,
			      uint64_t count)
{
	put_bucket(counters, name, len, "+Inf", count);
	put_name(counters->out, name, len);
	fprintf(counters->out, "_sum{interface=\"%s\"} %" PRIu64 "\n", counters->interface,
		counters->sum);
	put_name(counters->out, name, len);
	fprintf(counters->out, "_count{interface=\"%s\"} %" PRIu64 "\n", counters->interface,
		count);
}

/* name: "NAME.le_N", "NAME.sum" or "NAME.count" */
static void put_histogram(struct counters *counters, const char *name, uint64_t value)
{
	const char *what = strrchr(name, '.');
	size_t len = what ? (size_t)(what - name) : 0;

	if (len == 0 || len >= sizeof(counters->histogram))
		return;
	if (len != counters->histogram_len || memcmp(counters->histogram, name, len) != 0) {
		memcpy(counters->histogram, name, len);
		counters->histogram_len = len;
		counters->below = counters->sum = 0;
		fputs("# TYPE ", counters->out);
		put_name(counters->out, name, len);
		fputs(" histogram\n", counters->out);
	}
	if (strncmp(what, ".le_", 4) == 0)
		put_bucket(counters, name, len, what + 4, counters->below += value);
	else if (strcmp(what, ".sum") == 0)
		counters->sum = value;
	else
		put_histogram_end(counters, name, len, value);
}

static void put_counter(struct counters *counters, const char *name, uint64_t value)
{
	size_t len = strlen(name);

	fputs("# TYPE ", counters->out);
	put_name(counters->out, name, len);
	fputs("_total counter\n", counters->out);
	put_name(counters->out, name, len);
	fprintf(counters->out, "_total{interface=\"%s\"} %" PRIu64 "\n", counters->interface,
		value);
}

static void visit(void *arg, const char *name, uint64_t value)
{
	struct counters *counters = arg;

	if (strncmp(name, "peer.", 5) == 0)
		return; /* told with their labels */
	if (strncmp(name, "drop.", 5) == 0)
		put_drop(counters, name + 5, value);
	else if (strncmp(name, "hist.", 5) == 0)
		put_histogram(counters, name + 5, value);
	else
		put_counter(counters, name, value);
}

/* Each word of the capabilities is "what=how": labels of a metric that is always 1. */
static void put_info(FILE *out, struct cv_control *control, const char *interface)
{
	char text[CV_CAPABILITIES_TEXT_MAX], *rest = text, *word;

	cv_device_capabilities(control->device, text);
	put_head(out, "convoy_info", "gauge", "What the tunnel runs on");
	fprintf(out, "convoy_info{interface=\"%s\",version=\"" CV_VERSION "\"", interface);
	while ((word = strsep(&rest, " "))) {
		const char *what = strsep(&word, "=");

		if (!word)
			continue;
		fprintf(out, ",%s=\"", what);
		put_escaped(out, word);
		fputc('"', out);
	}
	fputs("} 1\n", out);
}

static void put_gauge(FILE *out, const char *interface, const char *name, const char *help,
		      uint64_t value)
{
	put_head(out, name, "gauge", help);
	fprintf(out, "%s{interface=\"%s\"} %" PRIu64 "\n", name, interface, value);
}

/* Under the names that every Prometheus client gives them. */
static void put_process(FILE *out, int statm)
{
	char text[64] = "";
	uint64_t pages;
	struct rusage usage;

	if (pread(statm, text, sizeof(text) - 1, 0) > 0 &&
	    sscanf(text, "%*u %" SCNu64, &pages) == 1) {
		put_head(out, "process_resident_memory_bytes", "gauge", "Resident memory in bytes");
		fprintf(out, "process_resident_memory_bytes %" PRIu64 "\n",
			pages * (uint64_t)sysconf(_SC_PAGESIZE));
	}
	if (getrusage(RUSAGE_SELF, &usage) < 0)
		return;
	put_head(out, "process_cpu_seconds_total", "counter", "User and system CPU time spent");
	fprintf(out, "process_cpu_seconds_total %.6f\n",
		(double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6);
}

/* Whoever renames the interface may give it any name: made a label's value once for all. */
static int name_interface(const char *name, char ret_text[2 * IFNAMSIZ])
{
	char clean[IFNAMSIZ];
	FILE *out = fmemopen(ret_text, 2 * IFNAMSIZ, "w");

	if (!out)
		return -ENOMEM;
	cv_text_clean(name, clean, sizeof(clean));
	put_escaped(out, clean);
	fputc('\0', out); /* fmemopen() ends only a text that is not empty */
	return fclose(out) == EOF ? -ENOMEM : 0;
}

int cv_metrics_write(struct cv_control *control, FILE *out)
{
	struct cv_device_show show;
	char interface[2 * IFNAMSIZ];
	struct counters counters = { .out = out, .interface = interface };

	cv_device_show(control->device, false, &show);
	if (name_interface(show.name, interface) < 0)
		return -ENOMEM;
	put_info(out, control, interface);
	put_gauge(out, interface, "convoy_up", "Whether the link is up", show.up);
	put_gauge(out, interface, "convoy_peers", "Peers that are configured", show.n_peers);
	put_process(out, cv_http_statm(control->http));
	cv_device_stats(control->device, visit, &counters);
	return put_peers(out, control, interface);
}
