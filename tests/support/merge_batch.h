/* Batches to try merge on, and how they came out, in a line of letters. */
#pragma once

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/path/merge.h>

#include "flow_packets.h"

enum {
	PKTS_MAX = CV_BATCH_MAX,
	SHAPE_MAX = 4 * PKTS_MAX,
};

static const struct made tcp4 = { .family = AF_INET,
				  .protocol = IPPROTO_TCP,
				  .frag = CV_IP4_DF,
				  .ttl = 64,
				  .seq = 1000,
				  .ack = 77,
				  .window = 500,
				  .payload = 100 };
static const struct made tcp6 = { .family = AF_INET6,
				  .protocol = IPPROTO_TCP,
				  .ttl = 64,
				  .label = 0x12345,
				  .seq = 1000,
				  .ack = 77,
				  .window = 500,
				  .payload = 100 };
static const struct made udp4 = {
	.family = AF_INET, .protocol = IPPROTO_UDP, .frag = CV_IP4_DF, .ttl = 64, .payload = 100
};
static const struct made udp6 = {
	.family = AF_INET6, .protocol = IPPROTO_UDP, .ttl = 64, .payload = 100
};

static const struct made tcp4_options = { .family = AF_INET,
					  .protocol = IPPROTO_TCP,
					  .frag = CV_IP4_DF,
					  .options = 12,
					  .option = 8,
					  .payload = 100 };

static const struct cv_merge_offloads both = { .tcp = true, .udp = true };

/* One batch: packets in memory of just their size, the same as they were, and what came of it. */
static struct {
	struct cv_merge *merge;
	size_t n, gathers_n;
	struct cv_pkt pkt[PKTS_MAX];
	uint8_t *before[PKTS_MAX];
	const struct cv_gather *gathers;
} batch;

static int begin_batch(void **state)
{
	batch.merge = cv_merge_new();
	return batch.merge ? 0 : -1;
}

static void free_packets(void)
{
	for (size_t i = 0; i < batch.n; i++) {
		free(batch.pkt[i].data);
		free(batch.before[i]);
	}
	batch.n = 0;
}

static int end_batch(void **state)
{
	free_packets();
	cv_merge_free(batch.merge);
	return 0;
}

/* Add one packet, of which the last `behind` bytes are not part of the IP packet. */
static void add_bytes(const uint8_t *data, uint32_t len, uint32_t behind)
{
	struct cv_pkt *pkt = &batch.pkt[batch.n];
	struct cv_ip ip;

	*pkt = (struct cv_pkt){ .data = malloc(len), .len = len };
	batch.before[batch.n] = malloc(len);
	assert_true(pkt->data && batch.before[batch.n]);
	memcpy(pkt->data, data, len);
	memcpy(batch.before[batch.n++], data, len);
	assert_int_equal(cv_ip_parse(pkt->data, len - behind, &ip), 0);
	assert_int_equal(ip.len, len - behind);
	cv_merge_add(batch.merge, pkt, &ip);
}

static void reset(struct cv_merge_offloads offloads)
{
	free_packets();
	cv_merge_reset(batch.merge, offloads);
}

static void finish(void)
{
	batch.gathers_n = cv_merge_finish(batch.merge, &batch.gathers);
}

static void merge_with(const struct made *made, size_t n, struct cv_merge_offloads offloads)
{
	static uint8_t bytes[MADE_MAX];

	reset(offloads);
	for (size_t i = 0; i < n; i++) {
		make_packet(bytes, &made[i]);
		add_bytes(bytes, made_len(&made[i]), 0);
	}
	finish();
}

static size_t packet_of(const void *data)
{
	size_t i = 0;

	while (i < batch.n && ((const uint8_t *)data < batch.pkt[i].data ||
			       (const uint8_t *)data >= batch.pkt[i].data + batch.pkt[i].len))
		i++;
	assert_true(i < batch.n);
	return i;
}

/*
 * The gathers in a line: packets are letters, gathers stand apart, '!' is a packet that is written
 * without a wish for its checksum.
 */
static const char *shape(void)
{
	static char text[SHAPE_MAX];
	char *p = text;

	for (size_t n = 0; n < batch.gathers_n; n++) {
		const struct cv_gather *gather = &batch.gathers[n];

		if (n)
			*p++ = ' ';
		assert_int_equal(gather->iovs, gather->pkts + 1);
		for (size_t i = 1; i < gather->iovs; i++)
			*p++ = (char)('a' + packet_of(gather->iov[i].iov_base));
		if (!gather->vnet.flags)
			*p++ = '!';
	}
	*p = 0;
	return text;
}

static void check(const struct made *made, size_t n, const char *want)
{
	merge_with(made, n, both);
	assert_string_equal(shape(), want);
}

/* Change two bytes of a packet, but let its transport checksum be right. */
static void put16_and_sum(uint8_t *packet, const struct made *made, uint32_t at, uint32_t value)
{
	uint32_t csum = made_l4(made) + (made->protocol == IPPROTO_TCP ? 16 : 6);
	uint32_t l4_len = made_len(made) - made_l4(made);

	put16(packet + at, value);
	put16(packet + csum, 0);
	put16(packet + csum, ~naive_sum(naive_pseudo(packet, made->protocol, l4_len),
					packet + made_l4(made), l4_len) &
				     0xffff);
}

/* n segments of one flow, as the kernel cuts them. */
static void run_of(struct made *made, size_t n, const struct made *first)
{
	for (size_t i = 0; i < n; i++) {
		made[i] = *first;
		made[i].id = (uint16_t)(first->id + i);
		made[i].at += (uint32_t)i * first->payload;
		if (first->protocol == IPPROTO_TCP)
			made[i].seq += (uint32_t)i * first->payload;
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin_batch, end_batch)
