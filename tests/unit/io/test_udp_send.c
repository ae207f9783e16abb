/* Sending on a model kernel: what messages say, in which calls, and what a full socket leaves. */
#include "rig.h"

static int interrupt_once(int fd, const struct message *m)
{
	int now = rig.refused;

	rig.refused = 0;
	return now;
}

static void trains_of_a_family_share_a_call(void **state)
{
	struct cv_train trains[] = { train("10.0.0.1", 0), train("fd00::1", 1),
				     train("10.0.0.2", 2), train("fd00::2", 3) };
	size_t at = 0;

	send_all(trains, 4);
	at = assert_wire(at, V4, rig.mem, LEN, SEG);
	at = assert_wire(at, V4, rig.mem + 2 * LEN, LEN, SEG);
	at = assert_wire(at, V6, rig.mem + LEN, LEN, SEG);
	at = assert_wire(at, V6, rig.mem + 3 * LEN, LEN, SEG);
	assert_int_equal(model.wires, at);
	assert_int_equal(model.calls, 2);
	assert_int_equal(rig.udp.send_calls, 2);
	assert_int_equal(rig.udp.send_trains, 4);
	assert_int_equal(rig.udp.send_datagrams, 4 * SEGS);
	assert_int_equal(rig.udp.send_bytes, 4 * LEN);
	assert_int_equal(rig.udp.send_fallbacks, 0);
	send_all(NULL, 0);
	assert_int_equal(model.calls, 2);
}

static void messages_say_only_what_they_must(void **state)
{
	struct cv_train t = train("10.0.0.1", 0);

	t.len = SEG;
	t.segs = 1;
	send_all(&t, 1);
	assert_int_equal(model.messages, 1);
	assert_int_equal(model.tos, 0);
	/* A train that is no longer than its segment is a plain datagram, whatever it says. */
	rig.refused = EIO;
	model.refuse = refuse_segment;
	t.segs = 2;
	send_all(&t, 1);
	assert_int_equal(model.messages, 2);
	assert_true(rig.udp.gso);
	t.local = (struct cv_source){ addr_of("10.0.0.9"), 1 };
	send_all(&t, 1);
	assert_true(model.wire[2].has_source);
	t.local.addr = addr_of("fd00::9");
	send_all(&t, 1);
	assert_false(model.wire[3].has_source);
}

static void names_hold_address_port_and_scope(void **state)
{
	struct cv_train t = train("10.0.0.1", 0);
	struct sockaddr_in v4;

	t.remote.port = 0x1234;
	t.tos = 2;
	send_all(&t, 1);
	memcpy(&v4, &model.name, sizeof(v4));
	assert_int_equal(v4.sin_family, AF_INET);
	assert_int_equal(v4.sin_port, htons(0x1234));
	assert_int_equal(v4.sin_addr.s_addr, htonl(0x0a000001));
	assert_int_equal(model.tos, 2);
	t.remote = (struct cv_endpoint){ addr_of("fe80::1"), 0x4321, 7 };
	send_all(&t, 1);
	assert_int_equal(model.name.sin6_family, AF_INET6);
	assert_int_equal(model.name.sin6_port, htons(0x4321));
	assert_int_equal(model.name.sin6_scope_id, 7);
	assert_memory_equal(&model.name.sin6_addr, t.remote.addr.b, 16);
	assert_int_equal(model.tos, 2);
}

static void short_counts_are_followed_up(void **state)
{
	struct cv_train trains[] = { train("10.0.0.1", 0), train("10.0.0.2", 1),
				     train("10.0.0.3", 2) };

	model.at_most = 1;
	trains[1].plain = true;
	send_all(trains, 3);
	assert_all_on_the_wire(3);
	assert_int_equal(model.calls, 2 + SEGS);
}

static void an_interrupted_call_is_made_again(void **state)
{
	struct cv_train t = train("10.0.0.1", 0);

	rig.refused = EINTR;
	model.refuse = interrupt_once;
	send_all(&t, 1);
	assert_all_on_the_wire(1);
	assert_int_equal(model.calls, 2);
	assert_no_drops();
}

static void eagain_leaves_a_tail_that_goes_later(void **state)
{
	struct cv_train trains[] = { train("10.0.0.1", 0), train("10.0.0.2", 1),
				     train("10.0.0.3", 2) };

	trains[1].plain = true;
	model.room[0] = 3;
	assert_int_equal(cv_udp_send(&rig.udp, trains, 3, &rig.drops, &rig.sent, &rig.blocked),
			 -EAGAIN);
	assert_int_equal(rig.sent, 1);
	assert_int_equal(rig.blocked, V4);
	/* Two datagrams of the plain one are gone. */
	assert_ptr_equal(trains[1].data, rig.mem + LEN + 2 * SEG);
	assert_int_equal(trains[1].len, LEN - 2 * SEG);
	assert_int_equal(trains[1].segs, SEGS - 2);
	assert_int_equal(trains[2].len, LEN);
	model.room[0] = -1;
	rig.blocked = -1;
	send_all(trains + 1, 2);
	assert_all_on_the_wire(3);
	assert_no_drops();
}

static void a_blocked_family_does_not_stop_the_other(void **state)
{
	struct cv_train trains[] = { train("10.0.0.1", 0), train("fd00::1", 1),
				     train("10.0.0.2", 2), train("fd00::2", 3),
				     train("10.0.0.3", 4) };
	unsigned done = 0;
	size_t at;

	model.room[0] = 1;
	assert_int_equal(cv_udp_send(&rig.udp, trains, 5, &rig.drops, &rig.sent, &rig.blocked),
			 -EAGAIN);
	assert_int_equal(rig.blocked, V4);
	assert_int_equal(rig.sent, 3);
	assert_ptr_equal(trains[3].owner, rig.mem + 2);
	assert_ptr_equal(trains[4].owner, rig.mem + 4);
	for (int i = 0; i < 3; i++)
		done |= 1u << ((uint8_t *)trains[i].owner - rig.mem);
	assert_int_equal(done, 1u << 0 | 1u << 1 | 1u << 3);
	model.room[0] = -1;
	rig.blocked = -1;
	send_all(trains + 3, 2);
	at = assert_wire(0, V4, rig.mem, LEN, SEG);
	at = assert_wire(at, V6, rig.mem + LEN, LEN, SEG);
	at = assert_wire(at, V6, rig.mem + 3 * LEN, LEN, SEG);
	at = assert_wire(at, V4, rig.mem + 2 * LEN, LEN, SEG);
	at = assert_wire(at, V4, rig.mem + 4 * LEN, LEN, SEG);
	assert_int_equal(model.wires, at);
}

static const struct CMUnitTest tests[] = {
	on_rig(trains_of_a_family_share_a_call),
	on_rig(messages_say_only_what_they_must),
	on_rig(names_hold_address_port_and_scope),
	on_rig(short_counts_are_followed_up),
	on_rig(an_interrupted_call_is_made_again),
	on_rig(eagain_leaves_a_tail_that_goes_later),
	on_rig(a_blocked_family_does_not_stop_the_other),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
