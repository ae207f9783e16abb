/* Receiving what a kernel may say in strange ways, through the receive seam. */
#include <errno.h>
#include <netinet/udp.h>

#include "trains.h"

static uint8_t slots[CV_UDP_RECEIVE_MAX * CV_UDP_SLOT_SIZE];
static struct cv_train trains[CV_UDP_RECEIVE_MAX];
static struct cv_udp udp;
static struct cv_drops drops;
static bool empty;

/* What the seam brings, message by message: of a length, with a GRO size when it has bytes. */
static struct incoming {
	unsigned len;
	int gro_size;
	size_t gro_bytes; /* of the cmsg's value */
	int flags;
} incoming[CV_UDP_RECEIVE_MAX];
static unsigned incomings, asked;
/* Errors that come before it; then EAGAIN when there is nothing. */
static int errors[32];
static size_t error;

static void message_write(struct msghdr *msg, const struct incoming *in)
{
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons(4660) };
	struct cmsghdr *cmsg = msg->msg_control;

	memcpy(msg->msg_name, &from, sizeof(from));
	msg->msg_namelen = sizeof(from);
	msg->msg_flags = in->flags;
	msg->msg_controllen = 0;
	if (in->gro_bytes == 0)
		return;
	*cmsg = (struct cmsghdr){ .cmsg_level = SOL_UDP, .cmsg_type = UDP_GRO };
	cmsg->cmsg_len = CMSG_LEN(in->gro_bytes);
	memcpy(CMSG_DATA(cmsg), &in->gro_size, in->gro_bytes);
	msg->msg_controllen = CMSG_SPACE(in->gro_bytes);
}

static int recvmmsg_bringing(int fd, struct mmsghdr *msgs, unsigned n, int flags,
			     struct timespec *wait)
{
	unsigned i;

	assert_int_equal(flags, MSG_DONTWAIT);
	assert_null(wait);
	asked = n;
	for (i = 0; i < n; i++) {
		/* All that the last call has overwritten is there again. */
		assert_true(msgs[i].msg_hdr.msg_controllen >=
			    2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)));
		assert_true(msgs[i].msg_hdr.msg_namelen >= sizeof(struct sockaddr_in6));
		assert_int_equal(msgs[i].msg_hdr.msg_flags, 0);
		assert_int_equal(msgs[i].msg_hdr.msg_iov->iov_len, CV_UDP_SLOT_SIZE);
		assert_ptr_equal(msgs[i].msg_hdr.msg_iov->iov_base, slots + i * CV_UDP_SLOT_SIZE);
	}
	errno = errors[error];
	if (errno != 0) {
		error++;
		return -1;
	}
	errno = EAGAIN;
	for (i = 0; i < n && i < incomings; i++) {
		msgs[i].msg_len = incoming[i].len;
		message_write(&msgs[i].msg_hdr, &incoming[i]);
	}
	return i > 0 ? (int)i : -1;
}

static int open_model(void **state)
{
	struct cv_udp_options options = { .gro = true };

	memset(&drops, 0, sizeof(drops));
	memset(incoming, 0, sizeof(incoming));
	memset(errors, 0, sizeof(errors));
	incomings = 0;
	error = 0;
	if (cv_udp_open(&options, &udp) < 0)
		return -1;
	udp.recvmmsg = recvmmsg_bringing;
	return 0;
}

static int close_model(void **state)
{
	cv_udp_close(&udp);
	return 0;
}

static int receive(void)
{
	return cv_udp_receive(&udp, udp.fd4, slots, trains, &drops, &empty);
}

static void the_gro_size_is_believed_only_when_it_makes_sense(void **state)
{
	static const struct {
		struct incoming in;
		unsigned seg_size, segs;
	} rows[] = {
		{ { 5500, 1000, 4, 0 }, 1000, 6 },   { { 5000, 1000, 4, 0 }, 1000, 5 },
		{ { 5001, 5000, 4, 0 }, 5000, 2 },   { { 5000, 5000, 4, 0 }, 5000, 1 },
		{ { 5000, 9000, 4, 0 }, 5000, 1 },   { { 5000, 0, 4, 0 }, 5000, 1 },
		{ { 5000, -1000, 4, 0 }, 5000, 1 },  { { 5000, INT32_MIN, 4, 0 }, 5000, 1 },
		{ { 5000, 1000, 2, 0 }, 5000, 1 },   { { 5000, 1000, 0, 0 }, 5000, 1 },
		{ { 65535, 1, 4, 0 }, 1, 65535 },    { { 1, 1, 4, 0 }, 1, 1 },
		{ { 65507, 1452, 4, 0 }, 1452, 46 },
	};
	const unsigned n = sizeof(rows) / sizeof(rows[0]);

	for (unsigned i = 0; i < n; i++)
		incoming[i] = rows[i].in;
	incomings = n;
	assert_int_equal(receive(), n);
	assert_true(empty);
	for (unsigned i = 0; i < n; i++) {
		assert_ptr_equal(trains[i].data, slots + i * CV_UDP_SLOT_SIZE);
		assert_int_equal(trains[i].len, rows[i].in.len);
		assert_int_equal(trains[i].seg_size, rows[i].seg_size);
		assert_int_equal(trains[i].segs, rows[i].segs);
		assert_int_equal(trains[i].remote.port, 4660);
		assert_int_equal(trains[i].local.addr.family, 0);
		assert_int_equal(trains[i].tos, 0);
	}
}

static void truncated_datagrams_are_counted_and_passed_over(void **state)
{
	const struct incoming in[] = { { 10, 0, 0, MSG_TRUNC },
				       { 20, 0, 0, 0 },
				       { 65536, 1000, 4, MSG_TRUNC },
				       { 0, 0, 0, 0 },
				       { 30, 0, 0, 0 } };

	memcpy(incoming, in, sizeof(in));
	incomings = 5;
	assert_int_equal(receive(), 2);
	assert_int_equal(trains[0].len, 20);
	assert_ptr_equal(trains[0].data, slots + CV_UDP_SLOT_SIZE);
	assert_int_equal(trains[1].len, 30);
	assert_int_equal(drops.count[CV_DROP_RECV_TRUNCATED], 1 + 66);
	assert_int_equal(drops.count[CV_DROP_MALFORMED], 1);
	/* In = passed on + dropped. */
	assert_int_equal(udp.receive_trains, 5);
	assert_int_equal(udp.receive_datagrams, 1 + 1 + 66 + 1 + 1);
}

static void nothing_left_of_a_full_call_is_not_an_empty_queue(void **state)
{
	for (unsigned i = 0; i < CV_UDP_RECEIVE_TRAINS; i++)
		incoming[i] = (struct incoming){ 10, 0, 0, MSG_TRUNC };
	incomings = CV_UDP_RECEIVE_TRAINS;
	empty = true;
	assert_int_equal(receive(), 0);
	assert_false(empty);
}

static void small_messages_are_asked_for_by_the_many(void **state)
{
	for (unsigned i = 0; i < CV_UDP_RECEIVE_MAX; i++)
		incoming[i] = (struct incoming){ 1000, 0, 0, 0 };
	incomings = CV_UDP_RECEIVE_MAX;
	assert_int_equal(receive(), CV_UDP_RECEIVE_TRAINS);
	assert_false(empty);
	assert_int_equal(asked, CV_UDP_RECEIVE_TRAINS);
	assert_int_equal(receive(), CV_UDP_RECEIVE_MAX);
	assert_int_equal(asked, CV_UDP_RECEIVE_MAX);
	/* Nothing changes nothing; the other family goes by its own traffic. */
	incomings = 0;
	assert_int_equal(receive(), 0);
	assert_true(empty);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cv_udp_receive(&udp, udp.fd6, slots, trains, &drops, &empty), 0);
		assert_int_equal(asked, CV_UDP_RECEIVE_TRAINS);
	}
	/* A train among them: as long as 64 of their mean are no more than 16 full ones. */
	incomings = 2;
	incoming[1] = (struct incoming){ 31768, 1000, 4, 0 };
	for (int i = 0; i < 2; i++) {
		assert_int_equal(receive(), 2);
		assert_int_equal(asked, CV_UDP_RECEIVE_MAX);
	}
	incoming[1] = (struct incoming){ 31770, 1000, 4, 0 };
	receive();
	receive();
	assert_int_equal(asked, CV_UDP_RECEIVE_TRAINS);
}

static void errors_pending_on_the_socket_are_read_over(void **state)
{
	static const int pending[] = { ECONNREFUSED, EHOSTUNREACH, EINTR,
				       ENETUNREACH,  ENOMEM,       EPROTO };

	memcpy(errors, pending, sizeof(pending));
	incoming[0] = (struct incoming){ 10, 0, 0, 0 };
	incomings = 1;
	assert_int_equal(receive(), 1);
	assert_true(empty);
	assert_int_equal(udp.receive_calls, 7);
	error = 0;
	incomings = 0;
	assert_int_equal(receive(), 0);
	assert_true(empty);
}

static void nothing_but_errors_is_said(void **state)
{
	for (int i = 0; i < 32; i++)
		errors[i] = EBADF;
	empty = false;
	assert_int_equal(receive(), -EBADF);
	assert_false(empty);
}

#define on_model(test) cmocka_unit_test_setup_teardown(test, open_model, close_model)

static const struct CMUnitTest tests[] = {
	on_model(the_gro_size_is_believed_only_when_it_makes_sense),
	on_model(truncated_datagrams_are_counted_and_passed_over),
	on_model(nothing_left_of_a_full_call_is_not_an_empty_queue),
	on_model(small_messages_are_asked_for_by_the_many),
	on_model(errors_pending_on_the_socket_are_read_over),
	on_model(nothing_but_errors_is_said),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
