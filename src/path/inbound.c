/*
 * inbound: udp -> untrain -> open -> merge -> tun.
 *
 * How it works. One receive brings up to 64 trains. They are taken apart into batches of at most
 * CV_BATCH_MAX datagrams; each batch is opened as one burst and merged; the caller writes what
 * came out and asks for the next step. Nothing is copied: packets stay in the receive slots, in
 * the place where they were decrypted, until the TUN write has gathered them.
 */
#include "stages.h"

void cv_path_receive(struct cv_path *path, const struct cv_train *trains, size_t n)
{
	path->in->trains = trains;
	path->in->trains_n = n;
	path->in->train = 0;
	path->in->offset = 0;
}

bool cv_path_inbound(struct cv_path *path, struct cv_merge_offloads offloads, cv_time now,
		     struct cv_inbound_step *ret_step)
{
	struct cv_inbound *in = path->in;

	if (in->train == in->trains_n)
		return false;
	cv_untrain(path, now);
	cv_merge_reset(in->merge, offloads);
	cv_open(path, now);
	ret_step->gathers_n = cv_merge_finish(in->merge, &ret_step->gathers);
	ret_step->handshakes = in->handshakes;
	ret_step->handshakes_n = in->handshakes_n;
	ret_step->frames = in->frames;
	ret_step->frames_n = in->frames_n;
	path->counts.in_supers += ret_step->gathers_n;
	return true;
}

size_t cv_path_unmerge(struct cv_path *path, size_t n, struct cv_pkt **ret_pkts)
{
	return cv_merge_undo(path->in->merge, n, ret_pkts);
}
