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

enum { PEER_METRICS = 3 };

/* Names and labels as prometheus_wireguard_exporter has them. */
static const struct {
	const char *name, *type, *help;
} peer_metrics[PEER_METRICS] = {
	{ "wireguard_sent_bytes_total", "counter", "Bytes sent to the peer" },
	{ "wireguard_received_bytes_total", "counter", "Bytes received from the peer" },
	{ "wireguard_latest_handshake_seconds", "gauge",
	  "Time of the last handshake, seconds since the epoch; 0: never" },
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

static void put_labels(FILE *out, const char *interface, const struct cv_roll *roll)
{
	char key[CV_KEY_BASE64_LEN + 1], prefix[CV_PREFIX_TEXT_MAX];

	fprintf(out, "{interface=\"%s\",public_key=\"%s\",allowed_ips=\"", interface,
		cv_key_to_base64(&roll->peer.public_key, key));
	for (size_t i = 0; i < roll->n_allowed_ips; i++)
		fprintf(out, "%s%s", i ? "," : "", cv_prefix_format(&roll->allowed_ips[i], prefix));
	fputs("\",friendly_name=\"", out);
	put_escaped(out, roll->name);
	fputs("\"}", out);
}

static void put_peer(FILE *const texts[PEER_METRICS], const char *interface,
		     const struct cv_roll *roll)
{
	const uint64_t values[PEER_METRICS] = {
		roll->peer.tx_bytes,
		roll->peer.rx_bytes,
		(uint64_t)(roll->peer.last_handshake_wall / CV_NS_PER_S),
	};

	for (int i = 0; i < PEER_METRICS; i++) {
		fputs(peer_metrics[i].name, texts[i]);
		put_labels(texts[i], interface, roll);
		fprintf(texts[i], " %" PRIu64 "\n", values[i]);
	}
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
		if (r == 0) {
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
