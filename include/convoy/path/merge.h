/* merge: runs of packets of a TCP or UDP flow into super-packets for one TUN write each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/packet/ip.h>
#include <convoy/packet/packet.h>

/* What the TUN accepts now. */
struct cv_merge_offloads {
	bool tcp;
	bool udp;
};

struct cv_merge;

/* Room for CV_BATCH_MAX packets, taken once. */
struct cv_merge *cv_merge_new(void);
void cv_merge_free(struct cv_merge *merge);

/* Forget everything; the next packets form a new batch. */
void cv_merge_reset(struct cv_merge *merge, struct cv_merge_offloads offloads);

/**
 * cv_merge_add() - join a packet to its flow's super, or begin a new one
 * @pkt:	authentic, its inner source allowed, trimmed to the IP length; borrowed until the
 *		next reset. At most CV_BATCH_MAX between two resets.
 * @ip:		what cv_ip_parse() said of it
 *
 * Order inside a flow is kept: a packet that may not join ends its flow's super. A packet joins
 * only when its own checksums are right (merging never launders corruption), its headers equal
 * the super's but for what must differ, and the run is one the kernel could have cut: adjacent
 * TCP sequence, payload sizes equal but the last, flags ACK or ACK|PSH (FIN as the last), same
 * options, TTL, TOS, DF. PSH does not end a run. v6: without extension headers. v4: without
 * options, not a fragment; without DF the ids must ascend by one.
 */
void cv_merge_add(struct cv_merge *merge, struct cv_pkt *pkt, const struct cv_ip *ip);

/**
 * cv_merge_finish() - the TUN writes that the batch makes, in order
 *
 * Gives: ret_gathers[n], borrowed until the next reset. vnet headers are filled: NEEDS_CSUM with
 * the pseudo-header seed where the checksum was verified, gso_type and gso_size where pkts > 1.
 */
size_t cv_merge_finish(struct cv_merge *merge, const struct cv_gather **ret_gathers);

/**
 * cv_merge_undo() - the packets of a gather as they came, because the TUN refused the super
 * @n:		index of the gather in the array of cv_merge_finish()
 * @ret_pkts:	ret_pkts[gather->pkts]; headers are as they were before merging
 *
 * Return: number of packets. Write each with an empty vnet header.
 */
size_t cv_merge_undo(struct cv_merge *merge, size_t n, struct cv_pkt **ret_pkts);
