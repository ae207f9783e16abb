/* The TUN edge against the kernel's TUN, each test in a network namespace of its own. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdalign.h>

#include <convoy/io/tun.h>

#include "netns.h"

/* linux/virtio_net.h of Linux 6.2. */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum { MEM_SIZE = 1 << 20, SUPERS = 16 };

static const struct cv_tun_offloads nothing;
static const struct cv_tun_offloads all = { .tso = true, .uso = true };

static struct reader {
	alignas(64) uint8_t mem[MEM_SIZE];
	struct cv_super supers[SUPERS];
	struct cv_drops drops;
	bool empty;
} reader;

static int read_some(struct cv_tun *tun, size_t enough, size_t max)
{
	memset(&reader.drops, 0, sizeof(reader.drops));
	return cv_tun_read(tun, reader.mem, MEM_SIZE, enough, reader.supers, max, &reader.drops,
			   &reader.empty);
}

/* A TUN that is up with 10.9.0.1/24 and speaks no IPv6 of its own accord. */
static struct cv_tun tun_up(struct cv_tun_offloads offloads)
{
	struct cv_tun tun;

	run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
	assert_int_equal(cv_tun_open("tun0", offloads, 1, &tun), 0);
	run("ip addr add 10.9.0.1/24 dev tun0");
	run("ip link set tun0 up");
	return tun;
}

/* A UDP socket on 10.9.0.1:5000 that sends to 10.9.0.2:5001. */
static int socket_inside(void)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(5000) };
	struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = htons(5001) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, "10.9.0.1", &here.sin_addr);
	inet_pton(AF_INET, "10.9.0.2", &there.sin_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof(here)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&there, sizeof(there)), 0);
	return fd;
}

static void opens_under_the_name_it_was_given(void **state)
{
	struct cv_tun tun;

	assert_int_equal(cv_tun_open("fifteen-letters", nothing, 1, &tun), 0);
	assert_string_equal(tun.name, "fifteen-letters");
	assert_int_not_equal(if_nametoindex("fifteen-letters"), 0);
	assert_true(fcntl(tun.fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(tun.fd, F_GETFD) & FD_CLOEXEC);
	cv_tun_close(&tun);
	assert_int_equal(if_nametoindex("fifteen-letters"), 0);
	cv_tun_close(&tun);
}

static void percent_d_takes_the_next_free_number(void **state)
{
	struct cv_tun first, second;

	assert_int_equal(cv_tun_open("cv%d", nothing, 1, &first), 0);
	assert_int_equal(cv_tun_open("cv%d", nothing, 1, &second), 0);
	assert_string_equal(first.name, "cv0");
	assert_string_equal(second.name, "cv1");
	cv_tun_close(&first);
	cv_tun_close(&second);
}

static void illegal_names_are_refused(void **state)
{
	static const char *const names[] = { "",    ".",    "..",
					     "a/b", "a b",  "a\tb",
					     "a:b", "a\nb", "sixteen-letters!",
					     "a%s", "%d%d", "a very much longer name" };
	struct cv_tun tun = { .fd = -7 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(cv_tun_open(names[i], nothing, 1, &tun), -EINVAL);
	assert_int_equal(cv_tun_open("tun0", nothing, 0, &tun), -EINVAL);
	assert_int_equal(cv_tun_open("tun0", nothing, CV_TUN_QUEUES_MAX + 1, &tun), -EINVAL);
	assert_int_equal(tun.fd, -7);
}

static void taken_names_are_busy_whoever_has_them(void **state)
{
	struct cv_tun tun, two[2], other;

	assert_int_equal(cv_tun_open("tun0", nothing, 2, two), 0);
	assert_int_equal(cv_tun_open("tun0", nothing, 1, &other), -EBUSY);
	assert_int_equal(cv_tun_open("tun0", nothing, 2, &other), -EBUSY);
	/* Not a TUN; and one that nobody has open. */
	assert_int_equal(cv_tun_open("lo", nothing, 1, &other), -EBUSY);
	run("ip tuntap add dev kept mode tun");
	assert_int_equal(cv_tun_open("kept", nothing, 1, &other), -EBUSY);
	assert_int_equal(cv_tun_open("free", nothing, 1, &tun), 0);
	cv_tun_close(&tun);
	cv_tun_close(&two[0]);
	cv_tun_close(&two[1]);
}

static void tun_made_beforehand_is_used_and_stays(void **state)
{
	struct cv_tun tun, other, two[2];

	run("ip tuntap add dev plain mode tun");
	assert_int_equal(cv_tun_attach("plain", nothing, 2, two), -EINVAL);
	assert_int_equal(cv_tun_attach("plain", all, 1, &tun), 0);
	assert_true(tun.granted.tso);
	assert_int_equal(cv_tun_attach("plain", nothing, 1, &other), -EBUSY);
	cv_tun_close(&tun);
	assert_int_not_equal(if_nametoindex("plain"), 0);

	run("ip tuntap add dev many mode tun multi_queue");
	assert_int_equal(cv_tun_attach("many", nothing, 2, two), 0);
	assert_int_equal(cv_tun_attach("many", nothing, 1, &tun), 0);
	cv_tun_close(&two[0]);
	cv_tun_close(&two[1]);
	cv_tun_close(&tun);

	assert_int_equal(cv_tun_attach("lo", nothing, 1, &tun), -EINVAL);
}

static void queues_are_all_of_one_device(void **state)
{
	struct cv_tun tuns[4];

	assert_int_equal(cv_tun_open("cv%d", all, 4, tuns), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(tuns[i].name, "cv0");
		assert_true(tuns[i].granted.tso);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_not_equal(if_nametoindex("cv0"), 0);
		cv_tun_close(&tuns[i]);
	}
	assert_int_equal(if_nametoindex("cv0"), 0);
}

static bool device_has_tso(const char *name)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GTSO };
	struct ifreq ifr = { .ifr_data = (void *)&value };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(ifr.ifr_name, name, strlen(name));
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &ifr), 0);
	close(fd);
	return value.data != 0;
}

static void offloads_are_granted_and_taken_back(void **state)
{
	struct cv_tun tun;

	assert_int_equal(cv_tun_open("tun0", all, 1, &tun), 0);
	assert_true(tun.granted.tso);
	assert_true(device_has_tso("tun0"));
	assert_int_equal(cv_tun_set_offloads(&tun, nothing), 0);
	assert_false(tun.granted.tso || tun.granted.uso);
	assert_false(device_has_tso("tun0"));
	assert_int_equal(cv_tun_set_offloads(&tun, (struct cv_tun_offloads){ .tso = true }), 0);
	assert_true(tun.granted.tso && !tun.granted.uso);
	assert_true(device_has_tso("tun0"));
	cv_tun_close(&tun);
}

static void packets_are_read_one_behind_the_other(void **state)
{
	struct cv_tun tun = tun_up(nothing);
	int fd = socket_inside();

	for (uint8_t i = 0; i < 5; i++)
		assert_int_equal(send(fd, (uint8_t[100]){ i }, 10u + i, 0), 10 + i);
	assert_int_equal(read_some(&tun, SIZE_MAX, SUPERS), 5);
	assert_true(reader.empty);
	for (uint8_t i = 0; i < 5; i++) {
		const struct cv_super *super = &reader.supers[i];

		assert_int_equal(super->vnet.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_ptr_equal(super->data, reader.mem + i * 64);
		assert_int_equal(super->len, 38 + i);
		assert_int_equal(super->data[0] >> 4, 4);
		assert_int_equal(super->data[28], i);
	}
	assert_int_equal(tun.read_calls, 6);
	assert_int_equal(tun.read_supers, 5);
	assert_int_equal(tun.read_bytes, 5 * 38 + 10);
	assert_int_equal(read_some(&tun, SIZE_MAX, SUPERS), 0);
	assert_true(reader.empty);
	close(fd);
	cv_tun_close(&tun);
}

static void reading_stops_at_max_at_enough_and_at_the_end_of_memory(void **state)
{
	struct cv_tun tun = tun_up(nothing);
	int fd = socket_inside();

	for (int i = 0; i < 8; i++)
		assert_int_equal(send(fd, "0123456789", 10, 0), 10);
	assert_int_equal(read_some(&tun, SIZE_MAX, 2), 2);
	assert_false(reader.empty);
	/* 38 bytes a packet: the second one is enough. */
	assert_int_equal(read_some(&tun, 2 * 38, SUPERS), 2);
	assert_false(reader.empty);
	/* Room for the largest packet behind one small one, but not behind two. */
	assert_int_equal(cv_tun_read(&tun, reader.mem, CV_VNET_SIZE + CV_IP_MAX + 64, SIZE_MAX,
				     reader.supers, SUPERS, &reader.drops, &reader.empty),
			 2);
	assert_false(reader.empty);
	/* Memory that does not begin on a cache line: the packet still does. */
	assert_int_equal(cv_tun_read(&tun, reader.mem + 1, CV_VNET_SIZE + CV_IP_MAX + 63, SIZE_MAX,
				     reader.supers, SUPERS, &reader.drops, &reader.empty),
			 1);
	assert_ptr_equal(reader.supers[0].data, reader.mem + 64);
	assert_int_equal(read_some(&tun, SIZE_MAX, SUPERS), 1);
	assert_true(reader.empty);
	close(fd);
	cv_tun_close(&tun);
}

/* TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6, as Linux 6.2 has them. */
static bool kernel_has_uso(const struct cv_tun *tun)
{
	return ioctl(tun->fd, TUNSETOFFLOAD, 0x61) == 0 && ioctl(tun->fd, TUNSETOFFLOAD, 0x67) == 0;
}

static void with_uso_a_train_is_read_as_one_super(void **state)
{
	struct cv_tun tun = tun_up(all);
	int fd = socket_inside();
	uint8_t bytes[5000] = { 0 };
	int size = 1000;

	assert_true(tun.granted.tso);
	assert_true(tun.granted.uso == kernel_has_uso(&tun));
	if (!tun.granted.uso)
		skip();
	assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)), 0);
	assert_int_equal(send(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	assert_int_equal(read_some(&tun, SIZE_MAX, SUPERS), 1);
	assert_int_equal(reader.supers[0].vnet.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
	assert_int_equal(reader.supers[0].vnet.gso_size, 1000);
	assert_int_equal(reader.supers[0].len, 5028);
	close(fd);
	cv_tun_close(&tun);
}

/* What the readv seam answers, in order. */
static struct answer {
	ssize_t n;
	int error;
} answers[8];
static size_t answer;

static ssize_t readv_answering(int fd, const struct iovec *iov, int iovs)
{
	assert_int_equal(iovs, 2);
	assert_int_equal(iov[0].iov_len, CV_VNET_SIZE);
	errno = answers[answer].error;
	return answers[answer++].n;
}

static void reads_too_short_are_counted_and_passed_over(void **state)
{
	struct cv_tun tun = { .fd = -1, .readv = readv_answering };

	memcpy(answers,
	       (struct answer[]){ { 0 },
				  { CV_VNET_SIZE },
				  { -1, EINTR },
				  { CV_VNET_SIZE + 1 },
				  { 9 },
				  { -1, EAGAIN } },
	       6 * sizeof(answers[0]));
	answer = 0;
	assert_int_equal(read_some(&tun, SIZE_MAX, SUPERS), 1);
	assert_true(reader.empty);
	assert_int_equal(reader.supers[0].len, 1);
	assert_int_equal(reader.drops.count[CV_DROP_VNET_HEADER], 3);
	/* Short reads alone end as well. */
	answer = 0;
	assert_int_equal(read_some(&tun, SIZE_MAX, 2), 0);
	assert_false(reader.empty);
}

static void an_error_behind_packets_waits_for_the_next_call(void **state)
{
	struct cv_tun tun = { .fd = -1, .readv = readv_answering };

	memcpy(answers, (struct answer[]){ { 50 }, { -1, EBADFD }, { -1, EBADFD } },
	       3 * sizeof(answers[0]));
	answer = 0;
	assert_int_equal(read_some(&tun, SIZE_MAX, SUPERS), 1);
	assert_false(reader.empty);
	assert_int_equal(read_some(&tun, SIZE_MAX, SUPERS), -EBADFD);
}

static const struct CMUnitTest tests[] = {
	in_netns(opens_under_the_name_it_was_given),
	in_netns(percent_d_takes_the_next_free_number),
	in_netns(illegal_names_are_refused),
	in_netns(taken_names_are_busy_whoever_has_them),
	in_netns(tun_made_beforehand_is_used_and_stays),
	in_netns(queues_are_all_of_one_device),
	in_netns(offloads_are_granted_and_taken_back),
	in_netns(packets_are_read_one_behind_the_other),
	in_netns(reading_stops_at_max_at_enough_and_at_the_end_of_memory),
	in_netns(with_uso_a_train_is_read_as_one_super),
	in_netns(reads_too_short_are_counted_and_passed_over),
	in_netns(an_error_behind_packets_waits_for_the_next_call),
};

NETNS_MAIN(tests)
