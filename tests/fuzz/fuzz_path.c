/*
 * fuzz path: supers as the TUN may hand them over, sealed at one end and opened at the other.
 *
 * The input begins with what the other TUN accepts, and what the path carries. Then come loads: how
 * many supers, and the supers (fuzz_super.h).
 *
 * Oracle: a super is counted as dropped, or each of its segments leaves sealed under the next
 * number, in a train that is as it says, and comes out at the other end: all of them, once, whole,
 * in order inside a flow, though merged anew; nothing else comes out and nothing is dropped. None
 * is longer than the path carries but what may be fragmented, and no SYN says more.
 */
#include <convoy/config/config.h>
#include <convoy/crypto/init.h>
#include <convoy/noise/message.h>

#include "bare_end.h"
#include "fuzz_super.h"

enum {
	SUPERS_MAX = 8,     /* of a load */
	SEGS_MAX = 400,     /* of a super: smaller pieces only take longer */
	PACKETS_MAX = 8192, /* of an input */
	BYTES_MAX = 400000,
	FLOWS = 4096,
};

static struct end a, b;

/* A packet as it can be recognised at the other end. */
struct packet {
	uint64_t hash;
	uint64_t flow;
	uint32_t number; /* in order of departure */
	bool came;
};

static struct {
	struct packet list[PACKETS_MAX];
	size_t n, came;
	bool begun; /* something was sent */
	struct {
		uint64_t flow;
		uint32_t last; /* number of its packet that came last, from 1 */
	} flows[FLOWS];
	uint32_t mtu;                          /* of the path, 0: not known */
	uint64_t vnet_header, not_ip, too_big; /* drops expected */
	uint64_t supers;
	size_t bytes;
} all;

/* Whether lengths and checksums are right, so that it may be merged. */
static bool is_right(const uint8_t *packet, const struct cv_ip *ip)
{
	uint32_t l4_len = ip->len - ip->l4, header;

	if (ip->fragment)
		return false;
	if (ip->protocol == IPPROTO_UDP)
		return l4_len >= 8 && packet_is_right(packet, ip->len);
	if (ip->protocol != IPPROTO_TCP || l4_len < 20)
		return false;
	header = 4U * (packet[ip->l4 + 12] >> 4);
	return header >= 20 && header <= l4_len && packet_is_right(packet, ip->len);
}

static struct packet describe(const uint8_t *bytes, uint32_t len)
{
	static uint8_t copy[MADE_MAX];
	struct packet packet = { 0 };
	struct cv_ip ip;

	must(cv_ip_parse(bytes, len, &ip) == 0 && ip.len == len);
	memcpy(copy, bytes, len);
	if (is_right(bytes, &ip)) {
		forget_unkept(copy);
		put16(copy + ip.l4 + (ip.protocol == IPPROTO_TCP ? 16 : 6), 0);
		if (ip.family == AF_INET)
			put16(copy + 10, 0);
		packet.flow = 1 + get32(bytes + ip.l4);
	}
	packet.hash = hash_of(copy, len);
	packet.flow ^= hash_of((const uint8_t *)&ip.src, sizeof(ip.src)) +
		       3 * hash_of((const uint8_t *)&ip.dst, sizeof(ip.dst)) + ip.protocol;
	return packet;
}

/* Out ------------------------------------------------------------------------------------- */

/* Where the MSS stands that is to be said anew, behind what may be walked over; 0: nowhere. */
static uint32_t find_mss(const uint8_t *packet, uint32_t len, uint32_t l4)
{
	const uint8_t *tcp = packet + l4;
	uint32_t end, found = 0;

	if (len < l4 + 20 || !(tcp[13] & CV_TCP_SYN))
		return 0;
	end = 4U * (tcp[12] >> 4);
	if (l4 + end > len)
		return 0;
	for (uint32_t at = 20; at < end && tcp[at]; at += tcp[at] == 1 ? 1U : tcp[at + 1]) {
		if (tcp[at] == 1)
			continue;
		if (at + 2 > end || tcp[at + 1] < 2 || at + tcp[at + 1] > end || tcp[at] == 29)
			return 0;
		if (tcp[at] == 2 && (found || tcp[at + 1] != 4))
			return 0;
		if (tcp[at] == 2)
			found = l4 + at + 2;
	}
	return found;
}

/* Where TCP begins; 0: this is none, or a fragment. */
static uint32_t find_tcp(const uint8_t *packet, uint32_t len, const struct cv_ip *ip)
{
	uint8_t protocol = ip->protocol;
	uint32_t at = ip->l4;

	while (ip->family == AF_INET6 &&
	       (protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_DSTOPTS ||
		protocol == IPPROTO_ROUTING)) {
		if (at + 8 > len || (protocol == IPPROTO_ROUTING && packet[at + 3]) ||
		    at + 8 * (packet[at + 1] + 1U) > len)
			return 0;
		protocol = packet[at];
		at += 8 * (packet[at + 1] + 1U);
	}
	return protocol == IPPROTO_TCP && !ip->fragment ? at : 0;
}

/* What a SYN says at the other end; its sum stays right or wrong. Of a super, where none belongs,
 * only that end looks for it. */
static void expect_mss(uint8_t *packet, uint32_t len, const struct cv_ip *ip, bool single)
{
	uint32_t mtu = single && all.mtu && all.mtu < END_MTU ? all.mtu : END_MTU;
	uint32_t mss = mtu - (ip->family == AF_INET ? 40 : 60);
	uint32_t l4 = find_tcp(packet, len, ip), at = l4 ? find_mss(packet, len, l4) : 0;
	uint8_t *sum = packet + l4 + 16;
	uint8_t inverse[60];
	uint32_t header;

	if (!at || get16(packet + at) <= mss)
		return;
	header = 4U * (packet[l4 + 12] >> 4);
	for (uint32_t i = 0; i < header; i++)
		inverse[i] = (uint8_t)~packet[l4 + i];
	put16(packet + at, mss);
	put16(sum,
	      ~naive_sum(naive_sum(~get16(sum) & 0xffff, inverse, header), packet + l4, header));
}

/* What goes, and how it is cut, when it is longer than the path carries. */
static bool expect_fit(struct cv_split *split)
{
	bool v4 = split->ip.family == AF_INET;
	uint32_t least = v4 || all.mtu > 1280 ? all.mtu : 1280;

	if (v4 && !(split->data[6] & 0x40))
		return true;
	return cv_split_shrink(split, all.mtu) != -EMSGSIZE || split->header + split->size <= least;
}

/* Return: false when a packet is larger than any MTU of ours, which the kernel would refuse to
 * send, or becomes too many. */
static bool expect_super(const struct cv_super *super)
{
	static uint8_t segment[MADE_MAX];
	struct cv_split split;
	int r = cv_split_begin(&split, super);
	bool single = split.gso == VIRTIO_NET_HDR_GSO_NONE, fits = true;
	uint32_t len;

	if (r == 0 && split.header + split.size > CV_CONFIG_MTU_MAX)
		return false;
	if (r < 0) {
		*(r == -EPROTO ? &all.not_ip : &all.vnet_header) += 1;
		return true;
	}
	if (all.mtu && split.header + split.size > all.mtu)
		fits = expect_fit(&split);
	if (split.segs > SEGS_MAX + 1)
		return false;
	all.supers++;
	if (!fits) {
		all.too_big += split.segs;
		return true;
	}
	while ((len = cv_split_next(&split, segment))) {
		must(all.n < PACKETS_MAX);
		expect_mss(segment, len, &split.ip, single);
		all.list[all.n] = describe(segment, len);
		all.list[all.n].number = (uint32_t)all.n + 1;
		all.n++;
	}
	return true;
}

static size_t read_load(struct input *input, struct cv_super *supers)
{
	size_t n = 0, wanted = read8(input) % SUPERS_MAX + 1U;

	while (n < wanted && input->left) {
		struct cv_super *super = &supers[n];

		read_super(input, super);
		if (super->vnet.gso_size && super->len / super->vnet.gso_size >= SEGS_MAX)
			super->vnet.gso_size = (uint16_t)(super->len / SEGS_MAX + 1);
		if (all.bytes + super->len > BYTES_MAX || all.n + SEGS_MAX + 1 > PACKETS_MAX) {
			free(super->data);
			input->left = 0;
			break;
		}
		all.bytes += super->len;
		if (expect_super(super))
			n++;
		else
			free(super->data);
	}
	return n;
}

/* Home ------------------------------------------------------------------------------------ */

static int by_hash(const void *left, const void *right)
{
	const struct packet *x = left, *y = right;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* The first that left, looks like this and has not come yet. */
static struct packet *find(uint64_t hash)
{
	size_t low = 0, high = all.n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (all.list[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	while (low < all.n && all.list[low].hash == hash && all.list[low].came)
		low++;
	must(low < all.n && all.list[low].hash == hash);
	return &all.list[low];
}

static void take_packet(const uint8_t *bytes, uint32_t len)
{
	struct packet packet = describe(bytes, len), *left = find(packet.hash);
	size_t slot = packet.flow % FLOWS;

	left->came = true;
	all.came++;
	if (all.flows[slot].flow != left->flow)
		all.flows[slot].last = 0;
	must(left->number > all.flows[slot].last);
	all.flows[slot].flow = left->flow;
	all.flows[slot].last = left->number;
}

static void take_gather(const struct cv_gather *gather)
{
	static uint8_t bytes[MADE_MAX], segment[MADE_MAX];
	struct cv_super super = { .vnet = gather->vnet, .data = bytes };
	struct cv_split split;
	uint32_t len;

	for (size_t k = 1; k < gather->iovs; k++) {
		memcpy(bytes + super.len, gather->iov[k].iov_base, gather->iov[k].iov_len);
		super.len += (uint32_t)gather->iov[k].iov_len;
	}
	must(super.len == gather->len && super.len <= CV_IP_MAX + 40);
	must(cv_split_begin(&split, &super) == 0 && split.segs == gather->pkts);
	while ((len = cv_split_next(&split, segment)))
		take_packet(segment, len);
}

static void check_train(const struct cv_train *train)
{
	static uint64_t counter;
	struct cv_message_data header;

	must(train->seg_size && train->segs == (train->len - 1) / train->seg_size + 1);
	must(train->segs == 1 ||
	     (train->segs <= CV_TRAIN_SEGS_MAX && train->len <= CV_TRAIN_BYTES_MAX));
	for (uint32_t at = 0; at < train->len; at += train->seg_size) {
		memcpy(&header, train->data + at, sizeof(header));
		must(cv_le32_get(header.type) == CV_MESSAGE_DATA);
		must(cv_le32_get(header.receiver_index) == b.keypair.local_index);
		counter = all.begun ? counter + 1 : 0;
		all.begun = true;
		must(cv_le64_get(header.counter) == counter);
	}
}

/* Carry what is in a's trains to b. */
static void carry(struct cv_merge_offloads offloads, cv_time now)
{
	struct cv_train *trains;
	struct cv_inbound_step step;
	size_t n = cv_path_trains(&a.path, &trains);

	for (size_t i = 0; i < n; i++) {
		struct cv_train arrived = trains[i];

		check_train(&trains[i]);
		arrived.data = exact(trains[i].data, trains[i].len);
		cv_path_receive(&b.path, &arrived, 1);
		while (cv_path_inbound(&b.path, offloads, now, &step)) {
			must(step.handshakes_n == 0);
			for (size_t g = 0; g < step.gathers_n; g++)
				take_gather(&step.gathers[g]);
		}
		free(arrived.data);
	}
	cv_path_sent(&a.path, n, now);
}

static void check_counts(void)
{
	const struct cv_path_counts *out = &a.path.counts, *in = &b.path.counts;
	const uint64_t *drops = a.path.drops.count;
	uint64_t sum = 0;

	must(drops[CV_DROP_VNET_HEADER] == all.vnet_header);
	must(drops[CV_DROP_NOT_IP] == all.not_ip);
	must(drops[CV_DROP_TOO_BIG] == all.too_big);
	for (int i = 0; i < CV_DROP_COUNT; i++) {
		must(!b.path.drops.count[i]);
		sum += drops[i];
	}
	must(sum == all.vnet_header + all.not_ip + all.too_big);
	must(out->out_supers == all.supers && out->out_pkts == all.n && !out->staged_pkts);
	must(in->in_datagrams == all.n && in->in_pkts == all.n && all.came == all.n);
	must(in->in_bytes == out->out_bytes);
}

static void reset_end(struct end *end, uint64_t key, cv_time now)
{
	uint32_t bits;

	while (cv_wishes_take(&end->plane.wishes, &bits))
		;
	memset(&end->path.drops, 0, sizeof(end->path.drops));
	memset(&end->path.counts, 0, sizeof(end->path.counts));
	memset(&end->keypair.replay, 0, sizeof(end->keypair.replay));
	memcpy(end->keypair.send.key, &key, sizeof(key));
	memcpy(end->keypair.receive.key, &key, sizeof(key));
	end->keypair.send_counter = 0;
	end->keypair.birth = now;
	cv_timers_init(&end->peer->timers);
}

static void begin(void)
{
	static const uint8_t key[32];

	must(cv_crypto_init() == 0);
	end_open(&a, 1, key, key, CV_NS_PER_S);
	end_open(&b, 2, key, key, CV_NS_PER_S);
	end_connect(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	const cv_time now = 1000 * CV_NS_PER_S;
	struct cv_super supers[SUPERS_MAX];
	struct cv_merge_offloads offloads;
	uint8_t how = read8(&input);

	if (!a.peer)
		begin();
	memset(&all, 0, sizeof(all));
	reset_end(&a, hash_of(data, size), now);
	reset_end(&b, hash_of(data, size), now);
	offloads = (struct cv_merge_offloads){ .tcp = how & 1, .udp = how & 2 };
	all.mtu = how >> 2 ? 200 + 32U * (how >> 2) : 0;
	cv_peer_set_mtu(a.peer, all.mtu);
	while (input.left) {
		size_t first = all.n, n = read_load(&input, supers);

		qsort(all.list, all.n, sizeof(all.list[0]), by_hash);
		cv_path_load(&a.path, supers, n, now);
		while (!cv_path_outbound(&a.path, now))
			carry(offloads, now);
		carry(offloads, now);
		must(all.came == all.n && all.n >= first);
		for (size_t i = 0; i < n; i++)
			free(supers[i].data);
	}
	check_counts();
	return 0;
}
