/*
 * A worker between a real TUN and a real socket, with the kernel's refusals put in by the seams of
 * the two edges: what it must do when a socket is full, and when the TUN does not take a super.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/init.h>
#include <convoy/noise/message.h>
#include <convoy/packet/csum.h>
#include <convoy/packet/ip.h>
#include <convoy/path/split.h>

#include "device/worker.h"
#include "end.h"

enum {
	DATAGRAMS = 300,
	SEGS = 20,
	WAIT_MS = 20000, /* a test that gets here has failed */
};

/* The worker's end, and the other one, which is only a path and a socket. */
struct scene {
	struct end near, far;
	struct cv_loop *control;
	struct cv_worker worker;
	int far_fd;
};

/* What the seams do. */
static int refusals;     /* atomic: sends that are still refused with EAGAIN */
static int tun_refusals; /* atomic: supers that were refused with EINVAL */
static int tun_pkts;     /* atomic: packets that were written singly */
static uint8_t tun_bytes[SEGS][2048];
static uint32_t tun_lens[SEGS];

static int send_refused_at_first(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
	if (__atomic_fetch_sub(&refusals, 1, __ATOMIC_RELAXED) > 0) {
		errno = EAGAIN;
		return -1;
	}
	return sendmmsg(fd, msgs, n, flags);
}

static ssize_t write_no_supers(int fd, const struct iovec *iov, int iovs)
{
	const struct virtio_net_hdr *vnet = iov[0].iov_base;
	int i = __atomic_load_n(&tun_pkts, __ATOMIC_RELAXED);

	if (vnet->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		__atomic_fetch_add(&tun_refusals, 1, __ATOMIC_RELAXED);
		errno = EINVAL;
		return -1;
	}
	assert_int_equal(iovs, 2);
	if (i < SEGS) {
		memcpy(tun_bytes[i], iov[1].iov_base, iov[1].iov_len);
		tun_lens[i] = (uint32_t)iov[1].iov_len;
	}
	__atomic_fetch_add(&tun_pkts, 1, __ATOMIC_RELEASE);
	return (ssize_t)(iov[0].iov_len + iov[1].iov_len);
}

static void link_up(const char *name, const char *address)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in *in = (void *)&ifr.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (address) {
		in->sin_family = AF_INET;
		inet_pton(AF_INET, address, &in->sin_addr);
		assert_int_equal(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	}
	ifr.ifr_flags = IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

/* The far socket; what is sent to it is of one size, so GRO would only join what we count. */
static void far_open(struct scene *scene)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(name);
	struct cv_endpoint remote = { .addr = { AF_INET, { 127, 0, 0, 1 } } };
	int bytes = 4 << 20;

	scene->far_fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(scene->far_fd, (struct sockaddr *)&name, size), 0);
	assert_int_equal(getsockname(scene->far_fd, (struct sockaddr *)&name, &size), 0);
	setsockopt(scene->far_fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	remote.port = ntohs(name.sin_port);
	cv_peer_set_endpoint(scene->near.peer, &remote);
}

static int scene_open(void **state)
{
	static const uint8_t one[32] = { 1 }, two[32] = { 2 };
	static const struct cv_udp_options options = { .gso = true, .gro = true };
	static const struct cv_tun_offloads offloads = { true, true };
	struct scene *scene = aligned_alloc(64, (sizeof(*scene) + 63) / 64 * 64);

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	memset(scene, 0, sizeof(*scene));
	end_open(&scene->near, 1, one, two, cv_clock_now());
	end_open(&scene->far, 2, two, one, cv_clock_now());
	end_connect(&scene->near);
	end_connect(&scene->far);
	assert_int_equal(cv_loop_new(CV_LOOP_AUTO, &scene->control), 0);
	assert_int_equal(cv_worker_init(&scene->worker, &scene->near.plane, NULL), 0);
	assert_int_equal(cv_tun_open("cvt0", offloads, 1, &scene->worker.tun), 0);
	link_up("lo", NULL);
	link_up("cvt0", "10.0.0.1");
	assert_int_equal(cv_udp_open(&options, &scene->worker.udp), 0);
	far_open(scene);
	scene->worker.control = scene->control;
	*state = scene;
	return 0;
}

static void scene_start(struct scene *scene)
{
	assert_int_equal(cv_worker_start(&scene->worker), 0);
	cv_worker_run(&scene->worker, cv_worker_attach);
}

static int scene_close(void **state)
{
	struct scene *scene = *state;

	cv_worker_stop(&scene->worker);
	cv_worker_done(&scene->worker);
	cv_loop_free(scene->control);
	end_close(&scene->near);
	end_close(&scene->far);
	close(scene->far_fd);
	free(scene);
	return 0;
}

/* Send numbered datagrams into the TUN from a socket of this host. */
static void send_into_tun(int n)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, "10.255.255.1", &to.sin_addr);
	/* On a bound device IPv4 needs no route. */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "cvt0", 5), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(sendto(fd, &i, sizeof(i), 0, (struct sockaddr *)&to, sizeof(to)),
				 sizeof(i));
	close(fd);
}

static bool is_datagram_of_ours(const uint8_t *packet, const struct cv_ip *ip)
{
	const struct cv_udp_header *udp = (const void *)(packet + ip->l4);

	return ip->family == AF_INET && ip->protocol == IPPROTO_UDP && cv_be16_get(udp->dst) == 9;
}

/* Open one datagram at the far end. Return: the number in it, or -1 when it is none of ours (the
 * kernel talks on a new link too). */
static int far_receive(struct scene *scene)
{
	static const struct cv_merge_offloads none = { false, false };
	static uint8_t slot[65536];
	struct pollfd poll_fd = { .fd = scene->far_fd, .events = POLLIN };
	struct cv_train train = { .data = slot, .segs = 1 };
	struct cv_inbound_step step;
	int number = -1;

	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
	train.len = (uint32_t)recv(scene->far_fd, slot, sizeof(slot), 0);
	train.seg_size = (uint16_t)train.len;
	cv_path_receive(&scene->far.path, &train, 1);
	while (cv_path_inbound(&scene->far.path, none, cv_clock_now(), &step))
		for (size_t i = 0; i < step.gathers_n; i++) {
			const uint8_t *packet = step.gathers[i].iov[1].iov_base;
			struct cv_ip ip;

			assert_int_equal(cv_ip_parse(packet, step.gathers[i].len, &ip), 0);
			if (is_datagram_of_ours(packet, &ip))
				memcpy(&number, packet + ip.l4 + 8, sizeof(number));
		}
	return number;
}

static void a_full_socket_stops_the_tun_and_loses_nothing(void **state)
{
	struct scene *scene = *state;

	scene->worker.udp.sendmmsg = send_refused_at_first;
	__atomic_store_n(&refusals, 50, __ATOMIC_RELAXED);
	scene_start(scene);
	send_into_tun(DATAGRAMS);
	for (int next = 0; next < DATAGRAMS;) {
		int number = far_receive(scene);

		if (number < 0)
			continue;
		assert_int_equal(number, next); /* each one, in order */
		next++;
	}
	assert_true(__atomic_load_n(&refusals, __ATOMIC_RELAXED) < 0);
	for (int reason = 0; reason < CV_DROP_COUNT; reason++)
		assert_int_equal(scene->far.path.drops.count[reason], 0);
}

/* A run of SEGS segments of one TCP flow, sealed at the far end as one train. */
static void far_send_flow(struct scene *scene, uint8_t sent[SEGS][2048], uint32_t *ret_len)
{
	enum { MSS = 1000 };
	static uint8_t mem[20 + 20 + SEGS * MSS];
	struct cv_ip4 *ip = (void *)mem;
	struct cv_tcp *tcp = (void *)(mem + 20);
	struct cv_super super = { .data = mem, .len = sizeof(mem) };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(scene->worker.udp.port) };
	struct cv_split split;
	struct cv_train *trains;

	*ip = (struct cv_ip4){ .version_ihl = 0x45, .ttl = 64, .protocol = IPPROTO_TCP };
	ip->tot_len = cv_be16_of(sizeof(mem));
	ip->frag = cv_be16_of(CV_IP4_DF);
	ip->src[0] = ip->dst[0] = 10;
	*tcp = (struct cv_tcp){ .doff = 5 << 4, .flags = CV_TCP_ACK };
	for (size_t i = 40; i < sizeof(mem); i++)
		mem[i] = (uint8_t)(i * 31);
	super.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	super.vnet.gso_size = MSS;
	assert_int_equal(cv_split_begin(&split, &super), 0);
	for (int i = 0; i < SEGS; i++)
		*ret_len = cv_split_next(&split, sent[i]);

	cv_path_load(&scene->far.path, &super, 1, cv_clock_now());
	assert_true(cv_path_outbound(&scene->far.path, cv_clock_now()));
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	for (size_t n = cv_path_trains(&scene->far.path, &trains); n > 0; n--, trains++) {
		int size = trains->seg_size;

		setsockopt(scene->far_fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size));
		assert_int_equal(sendto(scene->far_fd, trains->data, trains->len, 0,
					(struct sockaddr *)&to, sizeof(to)),
				 trains->len);
	}
}

static void a_super_that_the_tun_refuses_goes_out_singly(void **state)
{
	static uint8_t sent[SEGS][2048];
	struct scene *scene = *state;
	uint32_t len;

	scene->worker.tun.writev = write_no_supers;
	scene_start(scene);
	far_send_flow(scene, sent, &len);
	while (__atomic_load_n(&tun_pkts, __ATOMIC_ACQUIRE) < SEGS)
		sched_yield();
	assert_true(__atomic_load_n(&tun_refusals, __ATOMIC_RELAXED) > 0);
	for (int i = 0; i < SEGS; i++) {
		assert_int_equal(tun_lens[i], len);
		assert_memory_equal(tun_bytes[i], sent[i], len);
	}
}

static void far_send_initiation(struct scene *scene, uint8_t mac2)
{
	struct cv_message_initiation message = { .type = cv_le32_of(CV_MESSAGE_INITIATION) };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(scene->worker.udp.port) };

	memset(message.macs.mac2, mac2, sizeof(message.macs.mac2));
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	assert_int_equal(
		sendto(scene->far_fd, &message, sizeof(message), 0, (void *)&to, sizeof(to)),
		sizeof(message));
}

/* Nobody takes them out of the ring. */
static void wait_for_messages(struct scene *scene, uint32_t n)
{
	for (int ms = 0; ms < WAIT_MS && cv_ring_count(&scene->worker.ring) < n; ms++)
		poll(NULL, 0, 1);
	assert_int_equal(cv_ring_count(&scene->worker.ring), n);
}

static void who_shows_a_cookie_finds_room_behind_those_who_do_not(void **state)
{
	struct scene *scene = *state;

	scene_start(scene);
	for (uint32_t i = 1; i <= CV_RING_SLOTS_OF_ALL; i++) {
		far_send_initiation(scene, 0);
		wait_for_messages(scene, i);
	}
	for (int i = 0; i < 10; i++)
		far_send_initiation(scene, 0);
	far_send_initiation(scene, 1);
	wait_for_messages(scene, CV_RING_SLOTS_OF_ALL + 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_full_socket_stops_the_tun_and_loses_nothing,
						scene_open, scene_close),
		cmocka_unit_test_setup_teardown(a_super_that_the_tun_refuses_goes_out_singly,
						scene_open, scene_close),
		cmocka_unit_test_setup_teardown(
			who_shows_a_cookie_finds_room_behind_those_who_do_not, scene_open,
			scene_close),
	};

	if (geteuid() != 0)
		return 77; /* skipped: needs a TUN and a namespace */
	if (cv_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
