/*
 * The counters of a device, by name.
 *
 * Each thread owns its counters and only it touches them. A worker is asked to copy its own
 * between two of its turns; the copies are summed with control's and visited.
 */
#include <stdio.h>
#include <string.h>

#include <convoy/crypto/key.h>

#include "internal.h"

/* Where a number lies in a snapshot, and its name. */
struct counter {
	const char *name;
	size_t offset;
};

#define AT(name, field)                                          \
	{                                                        \
		name, offsetof(struct cv_worker_snapshot, field) \
	}

static const struct counter counters[] = {
#define X(name) AT("path." #name, path.name),
	CV_PATH_COUNTS(X)
#undef X
		AT("loop.turns", turns),
	AT("tun.read_calls", tun.read_calls),
	AT("tun.read_supers", tun.read_supers),
	AT("tun.read_bytes", tun.read_bytes),
	AT("tun.write_calls", tun.write_calls),
	AT("tun.write_supers", tun.write_supers),
	AT("tun.write_pkts", tun.write_pkts),
	AT("tun.write_bytes", tun.write_bytes),
	AT("udp.send_calls", udp.send_calls),
	AT("udp.send_trains", udp.send_trains),
	AT("udp.send_datagrams", udp.send_datagrams),
	AT("udp.send_bytes", udp.send_bytes),
	AT("udp.send_fallbacks", udp.send_fallbacks),
	AT("udp.receive_calls", udp.receive_calls),
	AT("udp.receive_trains", udp.receive_trains),
	AT("udp.receive_datagrams", udp.receive_datagrams),
	AT("udp.receive_bytes", udp.receive_bytes),
};

static void take_snapshot(struct cv_worker *worker)
{
	struct cv_worker_snapshot *snapshot = &worker->snapshot;

	snapshot->drops = worker->path.drops;
	snapshot->path = worker->path.counts;
	snapshot->udp = worker->udp;
	snapshot->tun = worker->tun;
	snapshot->turns = worker->turns;
}

/* The same for histograms. */
static const struct counter histograms[] = {
	AT("hist.send_datagrams", udp.send_sizes),
	AT("hist.receive_datagrams", udp.receive_sizes),
	AT("hist.write_pkts", tun.write_sizes),
};

static void add_histogram(struct cv_histogram *sum, const struct cv_worker_snapshot *snapshot,
			  const struct counter *counter)
{
	const struct cv_histogram *histogram =
		(const void *)((const char *)snapshot + counter->offset);

	for (int i = 0; i < CV_HISTOGRAM_BUCKETS; i++)
		sum->bucket[i] += histogram->bucket[i];
	sum->sum += histogram->sum;
}

/* "hist.NAME.le_N" for each bucket but the last, which is what is left of "hist.NAME.count". */
static void visit_histogram(const struct cv_histogram *histogram, const char *title,
			    void (*visit)(void *arg, const char *name, uint64_t value), void *arg)
{
	uint64_t count = 0;
	char name[80];

	for (int i = 0; i < CV_HISTOGRAM_BUCKETS; i++) {
		count += histogram->bucket[i];
		if (i == CV_HISTOGRAM_BUCKETS - 1)
			break;
		snprintf(name, sizeof(name), "%s.le_%u", title, 1u << i);
		visit(arg, name, histogram->bucket[i]);
	}
	snprintf(name, sizeof(name), "%s.sum", title);
	visit(arg, name, histogram->sum);
	snprintf(name, sizeof(name), "%s.count", title);
	visit(arg, name, count);
}

static uint64_t read_counter(const struct cv_worker_snapshot *snapshot,
			     const struct counter *counter)
{
	uint64_t value;

	memcpy(&value, (const char *)snapshot + counter->offset, sizeof(value));
	return value;
}

static void visit_peer(struct cv_peer *peer,
		       void (*visit)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct cv_key key;
	char base64[CV_KEY_BASE64_LEN + 1], name[80];

	memcpy(key.b, peer->public_key, sizeof(key.b));
	cv_key_to_base64(&key, base64);
	snprintf(name, sizeof(name), "peer.%s.rx_bytes", base64);
	visit(arg, name, __atomic_load_n(&peer->rx_bytes, __ATOMIC_RELAXED));
	snprintf(name, sizeof(name), "peer.%s.tx_bytes", base64);
	visit(arg, name, __atomic_load_n(&peer->tx_bytes, __ATOMIC_RELAXED));
	snprintf(name, sizeof(name), "peer.%s.last_handshake", base64);
	visit(arg, name,
	      (uint64_t)__atomic_load_n(&peer->last_handshake_wall, __ATOMIC_RELAXED) /
		      (uint64_t)CV_NS_PER_S);
}

void cv_device_stats(struct cv_device *device,
		     void (*visit)(void *arg, const char *name, uint64_t value), void *arg)
{
	struct cv_worker_snapshot own = {
		.drops = device->path.drops,
		.path = device->path.counts,
		.udp = device->udp,
	};
	struct cv_peer *peer = NULL;
	char name[80];

	for (size_t i = 0; i < device->n_workers; i++)
		cv_worker_run(&device->workers[i], take_snapshot);
	for (size_t c = 0; c < sizeof(counters) / sizeof(counters[0]); c++) {
		uint64_t sum = read_counter(&own, &counters[c]);

		for (size_t i = 0; i < device->n_workers; i++)
			sum += read_counter(&device->workers[i].snapshot, &counters[c]);
		visit(arg, counters[c].name, sum);
	}
	for (size_t h = 0; h < sizeof(histograms) / sizeof(histograms[0]); h++) {
		struct cv_histogram sum = { 0 };

		add_histogram(&sum, &own, &histograms[h]);
		for (size_t i = 0; i < device->n_workers; i++)
			add_histogram(&sum, &device->workers[i].snapshot, &histograms[h]);
		visit_histogram(&sum, histograms[h].name, visit, arg);
	}
	for (int reason = 0; reason < CV_DROP_COUNT; reason++) {
		uint64_t sum = own.drops.count[reason];

		for (size_t i = 0; i < device->n_workers; i++)
			sum += device->workers[i].snapshot.drops.count[reason];
		snprintf(name, sizeof(name), "drop.%s", cv_drop_name((enum cv_drop)reason));
		visit(arg, name, sum);
	}
	visit(arg, "handshake.initiations_sent", device->counts.initiations_sent);
	visit(arg, "handshake.responses_sent", device->counts.responses_sent);
	visit(arg, "handshake.cookies_sent", device->counts.cookies_sent);
	visit(arg, "handshake.sessions", device->counts.sessions);
	visit(arg, "handover.grants", device->counts.grants);
	visit(arg, "handover.grants_empty", device->counts.grants_empty);
	while ((peer = cv_peers_next(device->peers, peer)))
		visit_peer(peer, visit, arg);
}
