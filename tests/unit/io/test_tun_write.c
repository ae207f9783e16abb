/* Writing super-packets into the kernel's TUN: what it cuts, what it refuses, what is counted. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdalign.h>

#include <convoy/io/tun.h>
#include <convoy/packet/ip.h>

#include "netns.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum { SEGMENT = 1000, SEGMENTS = 5, IP_SIZE = 20, BYTES_MAX = 8192 };

/* A super on its way in: gather.iov points at its vnet header and its bytes. */
struct outgoing {
	struct cv_gather gather;
	struct iovec iov[3];
	alignas(8) uint8_t bytes[BYTES_MAX];
};

static uint32_t sum_of(uint32_t sum, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The sum of the pseudo header: what NEEDS_CSUM wants to find in the field. */
static cv_be16 seed(const struct cv_ip4 *ip, uint32_t l4_len)
{
	return cv_be16_of((uint16_t)sum_of(ip->protocol + l4_len, ip->src, 8));
}

/* Lay out 10.9.0.2 -> 10.9.0.1 with l4_len bytes behind the IP header. */
static struct cv_ip4 *ip_lay_out(struct outgoing *out, uint8_t protocol, uint32_t l4_len)
{
	struct cv_ip4 *ip = (struct cv_ip4 *)out->bytes;

	memset(out, 0, sizeof(*out));
	*ip = (struct cv_ip4){ .version_ihl = 0x45,
			       .tot_len = cv_be16_of((uint16_t)(IP_SIZE + l4_len)),
			       .ttl = 64,
			       .protocol = protocol,
			       .src = { 10, 9, 0, 2 },
			       .dst = { 10, 9, 0, 1 } };
	ip->csum = cv_be16_of((uint16_t)~sum_of(0, out->bytes, IP_SIZE));
	out->gather.len = IP_SIZE + l4_len;
	out->gather.vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	out->gather.vnet.csum_start = IP_SIZE;
	out->gather.vnet.gso_size = SEGMENT;
	out->gather.iov = out->iov;
	out->gather.iovs = 3;
	out->gather.pkts = SEGMENTS;
	/* In three pieces, as merge leaves them. */
	out->iov[0] = (struct iovec){ &out->gather.vnet, CV_VNET_SIZE };
	out->iov[1] = (struct iovec){ out->bytes, IP_SIZE + l4_len / 2 };
	out->iov[2] = (struct iovec){ out->bytes + IP_SIZE + l4_len / 2, l4_len - l4_len / 2 };
	return ip;
}

/* Five UDP datagrams to port 5000, payload bytes telling which. */
static void udp_super(struct outgoing *out)
{
	const uint32_t l4_len = sizeof(struct cv_udp_header) + SEGMENTS * SEGMENT;
	struct cv_ip4 *ip = ip_lay_out(out, IPPROTO_UDP, l4_len);
	struct cv_udp_header *udp = (struct cv_udp_header *)(out->bytes + IP_SIZE);

	*udp = (struct cv_udp_header){ .src = cv_be16_of(5001),
				       .dst = cv_be16_of(5000),
				       .len = cv_be16_of((uint16_t)l4_len),
				       .csum = seed(ip, l4_len) };
	for (int i = 0; i < SEGMENTS; i++)
		memset(out->bytes + IP_SIZE + sizeof(*udp) + i * SEGMENT, 'a' + i, SEGMENT);
	out->gather.vnet.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	out->gather.vnet.hdr_len = IP_SIZE + sizeof(*udp);
	out->gather.vnet.csum_offset = offsetof(struct cv_udp_header, csum);
}

/* Five TCP segments to a port where nobody listens. */
static void tcp_super(struct outgoing *out)
{
	const uint32_t l4_len = sizeof(struct cv_tcp) + SEGMENTS * SEGMENT;
	struct cv_ip4 *ip = ip_lay_out(out, IPPROTO_TCP, l4_len);
	struct cv_tcp *tcp = (struct cv_tcp *)(out->bytes + IP_SIZE);

	*tcp = (struct cv_tcp){ .src = cv_be16_of(5001),
				.dst = cv_be16_of(5000),
				.seq = cv_be32_of(1),
				.ack = cv_be32_of(77),
				.doff = sizeof(*tcp) / 4 << 4,
				.flags = CV_TCP_ACK,
				.csum = seed(ip, l4_len) };
	out->gather.vnet.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	out->gather.vnet.hdr_len = IP_SIZE + sizeof(*tcp);
	out->gather.vnet.csum_offset = offsetof(struct cv_tcp, csum);
}

static struct cv_tun tun_up(void)
{
	struct cv_tun tun;

	run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
	assert_int_equal(cv_tun_open("tun0", (struct cv_tun_offloads){ true, true }, 1, &tun), 0);
	run("ip addr add 10.9.0.1/24 dev tun0");
	run("ip link set tun0 up");
	return tun;
}

static void a_udp_super_arrives_as_its_datagrams(void **state)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(5000) };
	struct pollfd wait = { .events = POLLIN };
	struct cv_tun tun = tun_up();
	struct outgoing out;
	uint8_t bytes[2 * SEGMENT];

	if (!tun.granted.uso)
		skip();
	wait.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(wait.fd, (struct sockaddr *)&here, sizeof(here)), 0);
	udp_super(&out);
	assert_int_equal(cv_tun_write(&tun, &out.gather), 0);
	for (int i = 0; i < SEGMENTS; i++) {
		assert_int_equal(poll(&wait, 1, 10000), 1);
		assert_int_equal(recv(wait.fd, bytes, sizeof(bytes), 0), SEGMENT);
		assert_int_equal(bytes[0], 'a' + i);
		assert_int_equal(bytes[SEGMENT - 1], 'a' + i);
	}
	assert_int_equal(tun.write_calls, 1);
	assert_int_equal(tun.write_pkts, SEGMENTS);
	assert_int_equal(tun.write_bytes, out.gather.len);
	close(wait.fd);
	cv_tun_close(&tun);
}

static void a_tcp_super_is_taken_for_tcp(void **state)
{
	static uint8_t mem[2 * 65536];
	struct cv_tun tun = tun_up();
	struct pollfd wait = { .fd = tun.fd, .events = POLLIN };
	struct cv_super super;
	struct cv_drops drops;
	struct outgoing out;
	struct cv_tcp tcp;
	bool empty;

	tcp_super(&out);
	assert_int_equal(cv_tun_write(&tun, &out.gather), 0);
	/* The kernel resets a connection it does not know, from the number it was told. */
	assert_int_equal(poll(&wait, 1, 10000), 1);
	assert_int_equal(cv_tun_read(&tun, mem, sizeof(mem), 1, &super, 1, &drops, &empty), 1);
	memcpy(&tcp, super.data + IP_SIZE, sizeof(tcp));
	assert_int_equal(super.data[9], IPPROTO_TCP);
	assert_int_equal(tcp.flags & CV_TCP_RST, CV_TCP_RST);
	assert_int_equal(cv_be32_get(tcp.seq), 77);
	cv_tun_close(&tun);
}

static void hostile_writes_are_refused_and_not_counted(void **state)
{
	struct cv_tun tun = tun_up();
	struct outgoing out;

	udp_super(&out);
	out.iov[0].iov_len = CV_VNET_SIZE - 1;
	out.gather.iovs = 1;
	assert_int_equal(cv_tun_write(&tun, &out.gather), -EINVAL);
	udp_super(&out);
	out.gather.vnet = (struct virtio_net_hdr){ 0 };
	out.gather.iovs = 1;
	assert_int_equal(cv_tun_write(&tun, &out.gather), -EINVAL);
	udp_super(&out);
	out.bytes[0] = 0x75;
	assert_int_equal(cv_tun_write(&tun, &out.gather), -EINVAL);
	udp_super(&out);
	out.gather.vnet.csum_start = 60000;
	assert_int_equal(cv_tun_write(&tun, &out.gather), -EINVAL);
	udp_super(&out);
	out.gather.vnet.gso_type = 0x66;
	assert_int_equal(cv_tun_write(&tun, &out.gather), -EINVAL);
	tcp_super(&out);
	out.gather.vnet.gso_size = 0;
	assert_int_equal(cv_tun_write(&tun, &out.gather), -EINVAL);
	/* More segments than the kernel puts into one super. */
	udp_super(&out);
	out.gather.vnet.gso_size = 1;
	assert_int_equal(cv_tun_write(&tun, &out.gather), -EINVAL);
	assert_int_equal(tun.write_calls, 7);
	assert_int_equal(tun.write_pkts, 0);
	assert_int_equal(tun.write_bytes, 0);
	cv_tun_close(&tun);
}

static void a_link_that_is_down_says_eio(void **state)
{
	struct cv_tun tun = tun_up();
	struct outgoing out;

	run("ip link set tun0 down");
	udp_super(&out);
	assert_int_equal(cv_tun_write(&tun, &out.gather), -EIO);
	cv_tun_close(&tun);
}

static void a_deleted_device_says_ebadfd(void **state)
{
	static uint8_t mem[2 * 65536];
	struct cv_tun tun = tun_up();
	struct cv_super super;
	struct cv_drops drops;
	struct outgoing out;
	bool empty;

	run("ip link del tun0");
	udp_super(&out);
	assert_int_equal(cv_tun_write(&tun, &out.gather), -EBADFD);
	assert_int_equal(cv_tun_read(&tun, mem, sizeof(mem), 1, &super, 1, &drops, &empty),
			 -EBADFD);
	assert_int_equal(cv_tun_set_offloads(&tun, (struct cv_tun_offloads){ 0 }), -EBADFD);
	cv_tun_close(&tun);
}

static const struct CMUnitTest tests[] = {
	in_netns(a_udp_super_arrives_as_its_datagrams),
	in_netns(a_tcp_super_is_taken_for_tcp),
	in_netns(hostile_writes_are_refused_and_not_counted),
	in_netns(a_link_that_is_down_says_eio),
	in_netns(a_deleted_device_says_ebadfd),
};

NETNS_MAIN(tests)
