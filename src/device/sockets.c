/*
 * Up and down: the UDP sockets of all workers, opened together, exchanged while packets flow,
 * closed together.
 *
 * How it works. A set is a pair of sockets a worker, all on one port, and control's own handle on
 * the first of them. A set is opened whole before anything is done with it, so that a port that is
 * taken changes nothing. Then each worker in turn lets go of its old pair and watches the new one;
 * its counters are carried over. Its TUN queue waits meanwhile, which is a moment.
 *
 * The first socket is opened exclusively: another tunnel on this port would be joined silently.
 *
 * Sockets are open while the link is up, as the kernel does it: a port is taken by `up` and free
 * after `down`, and a tunnel that is down answers nobody.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/log/log.h>

#include "internal.h"

/* set[n_workers] and, at its end, control's. */
static void close_set(const struct cv_device *device, struct cv_udp *set)
{
	for (size_t i = device->n_workers + 1; i-- > 0;)
		cv_udp_close(&set[i]);
}

static int open_set(const struct cv_device *device, struct cv_udp *set)
{
	struct cv_udp_options options = device->udp_options;
	size_t n = device->n_workers;
	int r = 0;

	for (size_t i = 0; i <= n; i++)
		set[i] = (struct cv_udp){ .fd4 = -1, .fd6 = -1 };
	options.reuseport = n > 1;
	options.exclusive = true;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = cv_udp_open(&options, &set[i]);
		options.exclusive = false;
		if (r == 0)
			options.port = set[i].port;
	}
	if (r == 0)
		r = cv_udp_share(&set[0], &set[n]);
	if (r < 0) {
		close_set(device, set);
		cv_log_err("%s: cannot open UDP port %u: %s%s", device->iface.name, options.port,
			   strerror(-r),
			   r == -EADDRINUSE ? "; another program has it, take another ListenPort"
					    : "");
	}
	return r;
}

/* Counters go on, whichever socket they are counted at. */
static void exchange(struct cv_udp *used, struct cv_udp *other)
{
	struct cv_udp old = *used;

	*used = *other;
	*other = old;
	used->send_calls = old.send_calls;
	used->send_trains = old.send_trains;
	used->send_datagrams = old.send_datagrams;
	used->send_bytes = old.send_bytes;
	used->send_fallbacks = old.send_fallbacks;
	used->receive_calls = old.receive_calls;
	used->receive_trains = old.receive_trains;
	used->receive_datagrams = old.receive_datagrams;
	used->receive_bytes = old.receive_bytes;
}

int cv_sockets_open(struct cv_device *device)
{
	struct cv_udp *set = calloc(device->n_workers + 1, sizeof(*set));
	int r = set ? open_set(device, set) : -ENOMEM;

	for (size_t i = 0; r == 0 && i < device->n_workers; i++) {
		cv_worker_run(&device->workers[i], cv_worker_detach);
		exchange(&device->workers[i].udp, &set[i]);
		cv_worker_run(&device->workers[i], cv_worker_attach);
	}
	if (r == 0) {
		exchange(&device->udp, &set[device->n_workers]);
		close_set(device, set);
	}
	free(set);
	return r;
}

void cv_sockets_close(struct cv_device *device)
{
	for (size_t i = 0; i < device->n_workers; i++)
		cv_worker_run(&device->workers[i], cv_worker_detach);
	cv_udp_close(&device->udp);
	for (size_t i = 0; i < device->n_workers; i++)
		cv_udp_close(&device->workers[i].udp);
}

int cv_sockets_set_mark(struct cv_device *device, uint32_t fwmark)
{
	int r = 0;

	for (size_t i = 0; i < device->n_workers && r == 0; i++)
		r = cv_udp_set_mark(&device->workers[i].udp, fwmark);
	for (size_t i = 0; i < device->n_workers && r < 0; i++)
		cv_udp_set_mark(&device->workers[i].udp, device->udp_options.fwmark);
	return r;
}

int cv_device_go_up(struct cv_device *device)
{
	int r = cv_sockets_open(device);

	if (r < 0)
		return r;
	device->up = true;
	cv_device_peers_up(device, cv_clock_now());
	return 0;
}

void cv_device_go_down(struct cv_device *device)
{
	cv_device_say_goodbye(device, cv_clock_now());
	device->up = false;
	cv_sockets_close(device);
	cv_device_peers_down(device);
}
