/*
 * stages: what each stage of the data path costs, one thread, no system calls.
 *
 *	stages [--json] [NAME=VALUE...]      facts about machine and build, printed with the figures
 *
 * How it works. Packets fly from one end to another (bare_end.h), as full as a turn of a worker
 * is: 16 loads out, each a TCP super of 45 segments or 64 small UDP packets read singly; and home
 * the 16 trains that they became. Each stage is then done alone on these very packets, and the two
 * compositions as a whole. What comes from the kernel in life, the kernel has just written; here it
 * was copied just before, so no figure is that of a cold cache.
 *
 *	out:  split, header (write the data header, pad), seal, train
 *	home: untrain, open, merge (with the parsing of the inner header)
 *	seal, open of another suite than WireGuard's: of the same packets, with a key of that suite
 *	outbound, inbound: cv_path_outbound() and cv_path_inbound() and what belongs to them
 *
 * The compositions hold more than the sum of the stages: inbound has the replay window, the inner
 * source and the timers; both have bookkeeping.
 */
#include "path/stages.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/crypto/aead.h>
#include <convoy/crypto/init.h>
#include <convoy/loop/loop.h>
#include <convoy/packet/csum.h>
#include <convoy/packet/ip.h>
#include <convoy/path/merge.h>
#include <convoy/path/split.h>

#include "bare_end.h"
#include "flow_packets.h"
#include "meter.h"
#include "tables.h"

enum {
	LOADS = 16, /* of a turn, as in device/worker.c */
	SEGS = 45,  /* of a full TCP super */
	TCP_OPTIONS = 12,
	MSS = END_MTU - 20 - 20 - TCP_OPTIONS,
	SMALL = 64,
};

static const cv_time now = 1000 * CV_NS_PER_S;
static const struct cv_merge_offloads offloads = { .tcp = true, .udp = true };

/* Of 1420 bytes and of 64; the payload of the first is that of the whole super. */
static const struct made large = { .family = AF_INET,
				   .protocol = IPPROTO_TCP,
				   .frag = CV_IP4_DF,
				   .ttl = 64,
				   .options = TCP_OPTIONS,
				   .option = 1 /* NOP */,
				   .payload = SEGS * MSS };
static const struct made small = { .family = AF_INET,
				   .protocol = IPPROTO_UDP,
				   .frag = CV_IP4_DF,
				   .ttl = 64,
				   .payload = SMALL - 20 - 8 };

/* Packets of one size on their way from end a to end b. */
struct flight {
	const struct made *made;
	struct end a, b;
	uint8_t *tun; /* the supers of a load, which are alike */
	struct cv_super supers[CV_PATH_SUPERS_MAX];
	size_t supers_n;   /* of a load */
	size_t pkts;       /* in all loads */
	uint32_t size;     /* IP bytes of a packet */
	uint32_t datagram; /* UDP payload bytes */
	uint8_t *sent;     /* all datagrams, sealed */
	uint8_t *slots;    /* the same as received: opened in place */
	struct cv_train trains[LOADS];
	struct cv_destination to;
	struct cv_aead_job jobs[CV_BATCH_MAX]; /* to open: of all steps of untrain */
	struct cv_pkt arrived[CV_BATCH_MAX];   /* likewise */
	struct cv_suite_key suite_key;         /* of a suite that is not the session's */
};

static uint8_t *arena_at(const struct flight *flight, size_t i)
{
	return flight->a.path.out->arena + i * flight->datagram;
}

/* TCP goes on where the last load ended, or b would not merge. */
static void begin_load(struct flight *flight, uint32_t load)
{
	if (flight->made->protocol == IPPROTO_TCP)
		put32(flight->tun + made_l4(flight->made) + 4, load * flight->made->payload);
}

static void run_outbound(void *arg)
{
	struct flight *flight = arg;
	struct cv_path *path = &flight->a.path;
	struct cv_train *trains;

	cv_path_sent(path, cv_path_trains(path, &trains), now);
	for (uint32_t load = 0; load < LOADS; load++) {
		begin_load(flight, load);
		cv_path_load(path, flight->supers, flight->supers_n, now);
		meter_must(cv_path_outbound(path, now), "a load did not fit");
	}
}

static void run_split(void *arg)
{
	struct flight *flight = arg;
	size_t n = 0;

	for (int load = 0; load < LOADS; load++)
		for (size_t i = 0; i < flight->supers_n; i++) {
			struct cv_split split;

			if (cv_split_begin(&split, &flight->supers[i]) < 0)
				break;
			while (cv_split_next(&split, arena_at(flight, n) + CV_HEADROOM))
				n++;
		}
	meter_must(n == flight->pkts, "split lost packets");
}

static void run_header(void *arg)
{
	struct flight *flight = arg;
	struct cv_outbound *out = flight->a.path.out;

	out->jobs_n = 0;
	for (size_t i = 0; i < flight->pkts; i++)
		cv_seal_add(out, &flight->a.keypair, i, arena_at(flight, i), flight->size, END_MTU);
}

static void run_seal(void *arg)
{
	struct flight *flight = arg;
	struct cv_outbound *out = flight->a.path.out;

	cv_seal_burst(&flight->a.path);
	meter_must(!out->jobs_n, "seal left jobs");
}

static void run_train(void *arg)
{
	struct flight *flight = arg;
	struct cv_outbound *out = flight->a.path.out;

	out->trains_n = 0;
	for (size_t i = 0; i < flight->pkts; i++)
		cv_train_add(out, &flight->to, arena_at(flight, i), flight->datagram, 0);
	meter_must(out->trains_n == LOADS, "datagrams did not become trains");
}

/* b receives the trains again, as if for the first time. */
static void receive(void *arg)
{
	struct flight *flight = arg;

	memcpy(flight->slots, flight->sent, flight->pkts * flight->datagram);
	flight->b.keypair.replay = (struct cv_replay){ 0 };
	cv_path_receive(&flight->b.path, flight->trains, LOADS);
}

static void run_untrain(void *arg)
{
	struct flight *flight = arg;
	const struct cv_inbound *in = flight->b.path.in;
	size_t n = 0;

	cv_path_receive(&flight->b.path, flight->trains, LOADS);
	while (in->train < in->trains_n) {
		cv_untrain(&flight->b.path, now);
		n += in->batch.n;
	}
	meter_must(n == flight->pkts, "untrain lost datagrams");
}

static void prepare_open(void *arg)
{
	struct flight *flight = arg;
	const struct cv_inbound *in = flight->b.path.in;

	receive(arg);
	for (size_t n = 0; in->train < in->trains_n; n += in->batch.n) {
		cv_untrain(&flight->b.path, now);
		memcpy(flight->jobs + n, in->jobs, in->batch.n * sizeof(in->jobs[0]));
		memcpy(flight->arrived + n, in->batch.pkt, in->batch.n * sizeof(in->batch.pkt[0]));
	}
}

static void run_open(void *arg)
{
	struct flight *flight = arg;
	size_t ok = 0;

	cv_aead_open(&flight->b.path.aead, flight->jobs, flight->pkts);
	for (size_t i = 0; i < flight->pkts; i++)
		ok += flight->jobs[i].ok;
	meter_must(ok == flight->pkts, "a datagram could not be opened");
}

static void prepare_suite_seal(void *arg)
{
	struct flight *flight = arg;
	struct cv_outbound *out = flight->a.path.out;

	run_header(flight);
	for (size_t i = 0; i < out->jobs_n; i++)
		out->jobs[i].key = &flight->suite_key.key;
}

static void prepare_suite_open(void *arg)
{
	prepare_suite_seal(arg);
	run_seal(arg);
}

/* Where they were sealed: a's jobs are still there. */
static void run_suite_open(void *arg)
{
	struct flight *flight = arg;
	struct cv_aead_job *jobs = flight->a.path.out->jobs;
	size_t ok = 0;

	cv_aead_open(&flight->a.path.aead, jobs, flight->pkts);
	for (size_t i = 0; i < flight->pkts; i++)
		ok += jobs[i].ok;
	meter_must(ok == flight->pkts, "a datagram could not be opened");
}

static void prepare_merge(void *arg)
{
	prepare_open(arg);
	run_open(arg);
}

static void run_merge(void *arg)
{
	struct flight *flight = arg;
	struct cv_inbound *in = flight->b.path.in;
	const struct cv_gather *gathers;
	struct cv_ip ip;

	cv_merge_reset(in->merge, offloads);
	for (size_t i = 0; i < flight->pkts; i++) {
		meter_must(!cv_ip_parse(flight->arrived[i].data, flight->arrived[i].len, &ip),
			   "no packet");
		cv_merge_add(in->merge, &flight->arrived[i], &ip);
	}
	meter_must(cv_merge_finish(in->merge, &gathers) <= LOADS, "packets did not merge");
}

static void run_inbound(void *arg)
{
	struct flight *flight = arg;
	struct cv_path *path = &flight->b.path;
	uint64_t before = path->counts.in_pkts;
	struct cv_inbound_step step;

	while (cv_path_inbound(path, offloads, now, &step))
		;
	meter_must(path->counts.in_pkts - before == flight->pkts, "inbound lost packets");
}

static void run_csum(void *arg)
{
	const struct flight *flight = arg;
	cv_csum sum = 0;

	for (size_t i = 0; i < flight->pkts; i++)
		sum += cv_csum_fold(cv_csum_add(0, arena_at(flight, i), flight->size));
	meter_must(sum, "packets are not all zero");
}

/* The supers of a load, as the TUN gives them: checksums left to us. */
static void make_load(struct flight *flight)
{
	const struct made *made = flight->made;
	bool tcp = made->protocol == IPPROTO_TCP;
	struct cv_super super = { .len = made_len(made) };

	flight->supers_n = tcp ? 1 : CV_PATH_SUPERS_MAX;
	flight->size = tcp ? END_MTU : SMALL;
	flight->pkts = LOADS * (tcp ? SEGS : flight->supers_n);
	flight->tun = malloc(flight->supers_n * super.len);
	meter_must(flight->tun, "no memory");
	super.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	super.vnet.csum_start = (uint16_t)made_l4(made);
	super.vnet.csum_offset = tcp ? 16 : 6;
	if (tcp) {
		super.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		super.vnet.gso_size = MSS;
	}
	for (size_t i = 0; i < flight->supers_n; i++) {
		super.data = flight->tun + i * super.len;
		make_packet(super.data, made);
		make_seed(super.data, made);
		flight->supers[i] = super;
	}
}

/* Two ends, a load, and what it looks like on the wire. */
static void take_off(struct flight *flight, const struct made *made)
{
	static const uint8_t there[32] = { 1 }, back[32] = { 2 };
	struct cv_train *trains;
	size_t bytes;

	*flight = (struct flight){ .made = made };
	end_open(&flight->a, 1, there, back, now);
	end_open(&flight->b, 2, back, there, now);
	end_connect(&flight->a);
	make_load(flight);
	run_outbound(flight);
	meter_must(cv_path_trains(&flight->a.path, &trains) == LOADS,
		   "loads did not become trains");
	flight->datagram = trains[0].seg_size;
	bytes = flight->pkts * flight->datagram;
	flight->sent = malloc(bytes);
	flight->slots = malloc(bytes);
	meter_must(flight->sent && flight->slots, "no memory");
	memcpy(flight->sent, flight->a.path.out->arena, bytes);
	memcpy(flight->trains, trains, sizeof(flight->trains));
	for (int i = 0; i < LOADS; i++)
		flight->trains[i].data =
			flight->slots + (trains[i].data - flight->a.path.out->arena);
	receive(flight);
	flight->to = (struct cv_destination){ .peer = flight->a.peer, .remote = trains[0].remote };
}

static void land(struct flight *flight)
{
	end_close(&flight->a);
	end_close(&flight->b);
	free(flight->tun);
	free(flight->sent);
	free(flight->slots);
}

struct stage {
	const char *name;
	void (*prepare)(void *arg);
	void (*run)(void *arg);
};

static void measure(struct flight *flight, const char *provider, const char *suite,
		    const struct stage *stages, size_t n)
{
	for (size_t i = 0; i < n; i++)
		meter_print(
			&(struct label){ stages[i].name, provider, suite, flight->size },
			&(struct work){ stages[i].prepare, stages[i].run, flight, flight->pkts });
}

/* All other suites of the provider; not those that this CPU or build lacks. */
static void measure_suites(struct flight *flight, const char *name)
{
	static const struct stage stages[] = {
		{ "seal", prepare_suite_seal, run_seal },
		{ "open", prepare_suite_open, run_suite_open },
	};
	static const uint8_t key[CV_AEAD_KEY_SIZE] = { 3 };

	for (int i = CV_SUITE_CHACHA20_POLY1305 + 1; i < CV_SUITES; i++) {
		enum cv_suite suite = (enum cv_suite)i;

		if (!cv_aead_key_prepare(&flight->a.path.aead, suite, key, &flight->suite_key))
			measure(flight, name, cv_suite_name(suite), stages,
				sizeof(stages) / sizeof(stages[0]));
	}
}

/* The stages that work with keys, by one provider; not at all when this CPU cannot. */
static void measure_provider(struct flight *flight, const char *name)
{
	static const struct stage stages[] = {
		{ "seal", run_header, run_seal },
		{ "open", prepare_open, run_open },
		{ "outbound", NULL, run_outbound },
		{ "inbound", receive, run_inbound },
	};
	struct cv_aead *aeads[] = { &flight->a.path.aead, &flight->b.path.aead };
	struct cv_aead_choice choice;

	if (cv_aead_choose(name, cv_clock_now, &choice) < 0)
		return;
	for (int i = 0; i < 2; i++) {
		cv_aead_done(aeads[i]);
		meter_must(!cv_aead_init(aeads[i], &choice), "no AEAD");
	}
	measure(flight, name, cv_suite_name(CV_SUITE_CHACHA20_POLY1305), stages,
		sizeof(stages) / sizeof(stages[0]));
	measure_suites(flight, name);
}

int main(int argc, char **argv)
{
	static const struct stage stages[] = {
		{ "csum", NULL, run_csum },       { "split", NULL, run_split },
		{ "header", NULL, run_header },   { "train", NULL, run_train },
		{ "untrain", NULL, run_untrain }, { "merge", prepare_merge, run_merge },
	};
	static const struct made *const sizes[] = { &small, &large };
	bool json = argc > 1 && !strcmp(argv[1], "--json");
	struct flight flight;

	meter_must(!cv_crypto_init(), "no crypto");
	meter_open(json, argv + 1 + json, (size_t)(argc - 1 - json));
	for (int i = 0; i < 2; i++) {
		take_off(&flight, sizes[i]);
		measure(&flight, NULL, NULL, stages, sizeof(stages) / sizeof(stages[0]));
		for (const char *const *name = cv_aead_names(); *name; name++)
			measure_provider(&flight, *name);
		land(&flight);
	}
	tables_measure();
	return 0;
}
