/*
 * A frame of top: for each tunnel its traffic, how large the batches are, what is dropped, and its
 * peers, the busiest first.
 *
 * All numbers are of the moment between two looks. Where batches do not form the last three columns
 * read 1.0: packets a system call at the TUN, datagrams a train (one message, one send of
 * UDP_SEGMENT or one receive of UDP_GRO), datagrams a system call at the socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "look.h"
#include "top.h"

enum {
	WIDTH = 80,
	PEER_WIDTH = 24,
	ENDPOINT_WIDTH = 22,
	FIXED_ROWS = 7, /* of a tunnel: title, three of traffic, drops, head of peers, blank */
};

struct tunnel {
	const char *name;
	json_t *now;
	const json_t *before;
	double seconds;
};

struct line {
	const char *key;
	json_t *peer;
	double in, out; /* bit/s */
	size_t place;
};

/* At most `width` characters of UTF-8, the rest blank; '~' where it was cut. */
static void put_cell(FILE *out, const char *text, int width)
{
	const char *at = text;
	int n = 0;

	for (; *at && n < width; n++) {
		const char *next = at + 1;

		while ((*next & 0xc0) == 0x80)
			next++;
		if (n == width - 1 && *next)
			fputc('~', out);
		else
			fwrite(at, 1, (size_t)(next - at), out);
		at = next;
	}
	fprintf(out, "%*s", width - n, "");
}

/* "23s", "5m", "3h", "9d": one part, of three columns most often. */
static void put_age(FILE *out, double seconds)
{
	static const struct {
		char unit;
		double seconds;
	} units[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };
	size_t i = 0;

	while (i < 3 && seconds < units[i].seconds)
		i++;
	fprintf(out, " %6lld%c", (long long)(seconds / units[i].seconds), units[i].unit);
}

static double counter_rate(const struct tunnel *tunnel, const char *name)
{
	return cv_look_rate(json_object_get(tunnel->before, "counters"),
			    json_object_get(tunnel->now, "counters"), name, tunnel->seconds);
}

static double ratio(double of, double to)
{
	return to > 0 ? of / to : 0;
}

static const char *capability(const struct tunnel *tunnel, const char *name)
{
	const char *text = cv_look_text(json_object_get(tunnel->now, "capabilities"), name);

	return text ? text : "?";
}

static void put_title(FILE *out, const struct tunnel *tunnel)
{
	size_t peers = json_object_size(json_object_get(tunnel->now, "peers"));
	const char *workers = capability(tunnel, "workers");

	fprintf(out, "%s: %s, mtu %.0f, %zu peer%s, %s worker%s, %s, %s\n", tunnel->name,
		json_is_true(json_object_get(tunnel->now, "up")) ? "up" : "link down",
		cv_look_number(tunnel->now, "mtu"), peers, peers == 1 ? "" : "s", workers,
		strcmp(workers, "1") == 0 ? "" : "s", capability(tunnel, "loop"),
		capability(tunnel, "aead"));
}

static void put_traffic(FILE *out, const struct tunnel *tunnel)
{
	static const struct {
		const char *name, *bytes, *pkts, *supers, *datagrams, *trains, *calls;
	} ways[] = {
		{ "in", "path.in_bytes", "path.in_pkts", "path.in_supers", "udp.receive_datagrams",
		  "udp.receive_trains", "udp.receive_calls" },
		{ "out", "path.out_bytes", "path.out_pkts", "path.out_supers", "udp.send_datagrams",
		  "udp.send_trains", "udp.send_calls" },
	};

	fprintf(out, "%-4s %10s %10s %16s %16s %18s\n", "", "Mbit/s", "packets/s",
		"packets/TUN call", "datagrams/train", "datagrams/UDP call");
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		double pkts = counter_rate(tunnel, ways[i].pkts);
		double datagrams = counter_rate(tunnel, ways[i].datagrams);

		fprintf(out, "%-4s %10.2f %10.0f %16.1f %16.1f %18.1f\n", ways[i].name,
			counter_rate(tunnel, ways[i].bytes) * 8e-6, pkts,
			ratio(pkts, counter_rate(tunnel, ways[i].supers)),
			ratio(datagrams, counter_rate(tunnel, ways[i].trains)),
			ratio(datagrams, counter_rate(tunnel, ways[i].calls)));
	}
}

/* One line of those that happen now; what does not fit in it is left out. */
static void put_drops(FILE *out, const struct tunnel *tunnel)
{
	json_t *now = json_object_get(tunnel->now, "drops"), *count;
	const json_t *before = json_object_get(tunnel->before, "drops");
	char text[WIDTH];
	const char *reason;
	int len = 0;

	fputs("drops/s:", out);
	json_object_foreach(now, reason, count)
	{
		double rate = cv_look_rate(before, now, reason, tunnel->seconds);
		int n = snprintf(text, sizeof(text), " %s %.0f", reason, rate);

		if (rate <= 0 || n < 0 || len + n > WIDTH - (int)strlen("drops/s:") - 1)
			continue;
		fputs(text, out);
		len += n;
	}
	fputs(len ? "\n" : " none\n", out);
}

static int compare(const void *a, const void *b)
{
	const struct line *left = a, *right = b;
	double difference = right->in + right->out - left->in - left->out;

	if (difference != 0)
		return difference > 0 ? 1 : -1;
	return left->place < right->place ? -1 : 1;
}

static void put_peer(FILE *out, const struct line *line)
{
	const char *name = cv_look_text(line->peer, "friendlyName");
	const char *endpoint = cv_look_text(line->peer, "endpoint");

	put_cell(out, name ? name : line->key, PEER_WIDTH);
	fputc(' ', out);
	put_cell(out, endpoint ? endpoint : "-", ENDPOINT_WIDTH);
	if (json_object_get(line->peer, "sessionAge"))
		put_age(out, cv_look_number(line->peer, "sessionAge"));
	else
		fprintf(out, " %7s", "-");
	fprintf(out, " %11.2f %11.2f\n", line->in * 1e-6, line->out * 1e-6);
}

/* What more there is to tell of a peer, in a line of its own: in and out, as the columns above. */
static bool has_more(const json_t *peer)
{
	return json_object_get(peer, "path") || json_object_get(peer, "cipher");
}

static void put_more(FILE *out, const json_t *peer)
{
	const char *cipher = cv_look_text(peer, "cipher");
	const json_t *path = json_object_get(peer, "path");
	const json_t *rx = json_object_get(path, "rx"), *tx = json_object_get(path, "tx");

	fprintf(out, "  %s", cipher ? cipher : "");
	if (path)
		fprintf(out, "%srtt %.1f ms, jitter %.1f/%.1f ms, lost %.1f/%.1f %%",
			cipher ? ", " : "", cv_look_number(path, "rtt") * 1e3,
			cv_look_number(rx, "jitter") * 1e3, cv_look_number(tx, "jitter") * 1e3,
			cv_look_number(rx, "loss") * 100, cv_look_number(tx, "loss") * 100);
	fputc('\n', out);
}

/* How many of them the room holds, one row of it for those who are left out; 0: all. */
static size_t fit(const struct line *lines, size_t n, size_t room)
{
	size_t i = 0, end = 0, fits = 0;

	if (!room)
		return n;
	for (; i < n && end <= room; i++) {
		end += has_more(lines[i].peer) ? 2 : 1;
		if (end < room)
			fits = i + 1;
	}
	return end <= room ? n : fits;
}

/* Return: 0 or -ENOMEM. */
static int put_peers(FILE *out, const struct tunnel *tunnel, size_t room)
{
	json_t *peers = json_object_get(tunnel->now, "peers"), *peer;
	const json_t *before = json_object_get(tunnel->before, "peers");
	size_t all = json_object_size(peers), n = 0;
	struct line *lines;
	const char *key;

	if (all == 0)
		return 0;
	lines = calloc(all, sizeof(*lines));
	if (!lines) {
		fputs("not enough memory to show its peers\n", out);
		return -ENOMEM;
	}
	json_object_foreach(peers, key, peer)
	{
		const json_t *was = json_object_get(before, key);

		lines[n] = (struct line){
			key, peer, 8 * cv_look_rate(was, peer, "transferRx", tunnel->seconds),
			8 * cv_look_rate(was, peer, "transferTx", tunnel->seconds), n
		};
		n++;
	}
	qsort(lines, n, sizeof(*lines), compare);
	fprintf(out, "%-*s %-*s %7s %11s %11s\n", PEER_WIDTH, "PEER", ENDPOINT_WIDTH, "ENDPOINT",
		"SESSION", "IN Mbit/s", "OUT Mbit/s");
	n = fit(lines, n, room);
	for (size_t i = 0; i < n; i++) {
		put_peer(out, &lines[i]);
		if (has_more(lines[i].peer))
			put_more(out, lines[i].peer);
	}
	if (n < all)
		fprintf(out, "and %zu more\n", all - n);
	free(lines);
	return 0;
}

int cv_top_draw(FILE *out, json_t *now, const json_t *before, size_t rows)
{
	size_t n = json_object_size(now), room = 0, i = 0;
	struct tunnel tunnel;
	int r = 0;

	if (rows > 0 && n > 0)
		room = rows / n > FIXED_ROWS + 1 ? rows / n - FIXED_ROWS : 1;
	json_object_foreach(now, tunnel.name, tunnel.now)
	{
		tunnel.before = json_object_get(before, tunnel.name);
		tunnel.seconds = cv_look_seconds(tunnel.before, tunnel.now);
		put_title(out, &tunnel);
		put_traffic(out, &tunnel);
		put_drops(out, &tunnel);
		if (put_peers(out, &tunnel, room) < 0)
			r = -ENOMEM;
		if (++i < n)
			fputc('\n', out);
	}
	return r;
}
