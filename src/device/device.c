/*
 * A device: built from a config, torn down in the opposite order.
 *
 * How it works. The building steps stand in cv_device_new(), in the order in which each needs the
 * one before: secrets and tables, peers, the TUN and its interface, sockets, threads. Each step
 * leaves the device in a state that cv_device_free() can take apart, so a failure needs no ladder.
 * While it runs, control's loop tells of link changes (iface.h) and is woken by workers; what they
 * left is worked off in cv_device_turn().
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <convoy/crypto/init.h>
#include <convoy/crypto/random.h>
#include <convoy/device/change.h>
#include <convoy/log/log.h>

#include "internal.h"

enum {
	/* Socket buffers. 512 KiB reach 80 % of the speed of 2 MiB, more gains nothing on one
	 * machine; a real path has bursts. Measured on veth. */
	SOCKET_BUFFER_BYTES = 8 << 20,
	/* Peers may come later, and the index table does not grow: 128 KiB, touched where used.
	 * Kernel: 8192 chains for all. Not tuned. */
	INDEX_ENTRIES_MIN = 16384,
	/* Most workers taken without being asked. Not tuned. */
	AUTO_WORKERS_MAX = 4,
};

/* Building -------------------------------------------------------------------------------- */

static int make_secrets(struct cv_device *device, const struct cv_config *config)
{
	size_t larger = sizeof(*device->self) > sizeof(*device->cookies) ? sizeof(*device->self)
									 : sizeof(*device->cookies);
	uint8_t hash_key[16];

	cv_vault_init(&device->secrets, larger);
	cv_vault_init(&device->keypairs, sizeof(struct cv_keypair));
	cv_vault_init(&device->suites, sizeof(struct cv_suite_keys));
	device->self = cv_vault_take(&device->secrets);
	device->cookies = cv_vault_take(&device->secrets);
	if (!device->self || !device->cookies)
		return -ENOMEM;
	cv_identity_init(device->self, config->private_key.b);
	cv_device_init_limits(device);
	cv_random_bytes(hash_key, sizeof(hash_key));
	device->peers = cv_peers_new(hash_key);
	return device->peers ? 0 : -ENOMEM;
}

/* What we hold, of that what the config allows. */
static void make_offer(struct cv_device *device, const struct cv_config *config)
{
	for (unsigned suite = 0; suite < CV_SUITES; suite++) {
		if (config->ciphers && !(config->ciphers & 1u << suite))
			continue;
		device->offer.cost_ns[suite] = device->aead.cost_ns[suite];
		if (config->ciphers && !device->offer.cost_ns[suite])
			cv_log_warn("%s: this machine does not have %s, which Ciphers names",
				    config->name, cv_suite_name((enum cv_suite)suite));
	}
}

static int choose_aead(struct cv_device *device, const struct cv_config *config)
{
	const char *name = config->aead[0] ? config->aead : NULL;
	int r = cv_aead_choose(name, cv_clock_now, &device->aead);

	if (r < 0)
		cv_log_err("%s: the AEAD provider %s does not work here: %s", config->name,
			   name ? name : "libsodium", strerror(-r));
	make_offer(device, config);
	return r;
}

static int make_plane(struct cv_device *device, const struct cv_config *config)
{
	struct cv_plane *plane = &device->plane;
	uint32_t entries = (uint32_t)config->n_peers * 4;

	plane->routes = cv_routes_new(&device->graveyard);
	/* Three keypairs and a handshake each. */
	if (entries < INDEX_ENTRIES_MIN)
		entries = INDEX_ENTRIES_MIN;
	plane->index = cv_index_new(entries);
	plane->pool = cv_stage_pool_new();
	cv_wishes_init(&plane->wishes);
	if (!plane->routes || !plane->index || !plane->pool)
		return -ENOMEM;
	return cv_path_init(&device->path, plane, &device->aead);
}

static int add_peer(struct cv_device *device, const struct cv_config *config,
		    const struct cv_config_peer *from)
{
	struct cv_peer *peer;
	int r;

	/* As the kernel: a section with our own key is for the other end, not for us. */
	if (cv_device_is_us(device, &from->public_key))
		return 0;
	r = cv_device_add_peer(device, &from->public_key, &peer);
	if (r < 0)
		return r;
	if (from->has_psk)
		cv_handshake_set_psk(peer->handshake, from->psk.b);
	if (from->has_endpoint && !from->endpoint_is_name)
		cv_peer_set_endpoint(peer, &from->endpoint);
	peer->extension.off = config->no_extensions || from->no_extensions;
	cv_timers_set_persistent(&peer->timers, from->persistent_keepalive_s, cv_clock_now());
	for (size_t i = 0; i < from->n_allowed_ips && r == 0; i++)
		r = cv_routes_insert(device->plane.routes, &from->allowed_ips[i], peer);
	return r;
}

static int add_peers(struct cv_device *device, const struct cv_config *config)
{
	int r = 0;

	for (size_t i = 0; i < config->n_peers && r == 0; i++)
		r = add_peer(device, config, &config->peers[i]);
	if (r < 0)
		cv_log_err("%s: cannot add peers: %s", config->name, strerror(-r));
	return r;
}

/* One worker does what two cores can give to both ends of a tunnel; more cores, more workers. */
static size_t count_workers(const struct cv_config *config, const struct cv_device_options *options)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (options->tun_fd >= 0)
		return 1;
	if (config->workers)
		return config->workers;
	if (cores < 4)
		return 1;
	return cores / 2 > AUTO_WORKERS_MAX ? AUTO_WORKERS_MAX : (size_t)cores / 2;
}

enum cv_loop_kind cv_device_loop_kind(const struct cv_config *config)
{
	switch (config->loop) {
	case CV_CONFIG_LOOP_IO_URING:
		return CV_LOOP_IO_URING;
	case CV_CONFIG_LOOP_EPOLL:
		return CV_LOOP_EPOLL;
	default:
		return CV_LOOP_AUTO;
	}
}

static int adopt_tun(struct cv_device *device, int fd, struct cv_tun_offloads wanted)
{
	int r = cv_tun_adopt(fd, wanted, &device->workers[0].tun);

	if (r < 0)
		cv_log_err("%s: cannot use the TUN that was passed to us: %s", device->iface.name,
			   strerror(-r));
	return r;
}

/* CAP_NET_ADMIN, as far as this process knows. */
static bool may_administer(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	return syscall(SYS_capget, &header, data) < 0 ||
	       data[0].effective & (uint32_t)1 << CAP_NET_ADMIN;
}

static int open_tun(struct cv_device *device, const struct cv_config *config,
		    struct cv_tun_offloads wanted)
{
	struct cv_tun *tuns = calloc(device->n_workers, sizeof(*tuns));
	int r = tuns ? cv_tun_open(config->name, wanted, device->n_workers, tuns) : -ENOMEM;

	if (r == -EBUSY && !may_administer()) {
		device->iface.untouched = true;
		r = cv_tun_attach(config->name, wanted, device->n_workers, tuns);
	}
	for (size_t i = 0; r == 0 && i < device->n_workers; i++)
		device->workers[i].tun = tuns[i];
	free(tuns);
	switch (r) {
	case 0:
		break;
	case -EBUSY:
	case -EEXIST:
		cv_log_err("%s: an interface of this name exists already; is the tunnel running?",
			   config->name);
		break;
	case -EPERM:
	case -EACCES: /* of /dev/net/tun itself */
		if (device->iface.untouched)
			cv_log_err("%s: the interface was made for another user", config->name);
		else
			cv_log_err("%s: making an interface needs CAP_NET_ADMIN, or who has it "
				   "makes it for us: ip tuntap add mode tun user USER name %s",
				   config->name, config->name);
		break;
	case -EINVAL:
		cv_log_err("%s: the interface has not the %zu queues of %zu workers; set "
			   "Workers = 1, or make it with multi_queue",
			   config->name, device->n_workers, device->n_workers);
		break;
	case -ENOENT:
		cv_log_err(
			"%s: there is no /dev/net/tun; load the tun module or pass the device in",
			config->name);
		break;
	default:
		cv_log_err("%s: cannot make the interface: %s", config->name, strerror(-r));
	}
	return r;
}

static int make_workers(struct cv_device *device, const struct cv_config *config,
			const struct cv_device_options *options)
{
	struct cv_tun_offloads wanted = { config->offload.tun_tso, config->offload.tun_uso };
	size_t n = count_workers(config, options);
	int r = 0;

	device->workers = calloc(n, sizeof(*device->workers));
	if (!device->workers)
		return -ENOMEM;
	device->n_workers = n;
	for (size_t i = 0; i < device->n_workers; i++) {
		struct cv_worker *worker = &device->workers[i];

		worker->control = device->loop;
		worker->team = device->workers;
		worker->team_n = device->n_workers;
		worker->answered = &device->answered;
		worker->loop_kind = cv_device_loop_kind(config);
		worker->want_gso = config->offload.udp_gso;
		worker->tun.fd = -1;
	}
	for (size_t i = 0; i < device->n_workers && r == 0; i++)
		r = cv_worker_init(&device->workers[i], &device->plane, &device->aead);
	if (r < 0)
		return r;
	return options->tun_fd >= 0 ? adopt_tun(device, options->tun_fd, wanted)
				    : open_tun(device, config, wanted);
}

static int start_workers(struct cv_device *device)
{
	for (size_t i = 0; i < device->n_workers; i++) {
		int r = cv_worker_start(&device->workers[i]);

		if (r < 0) {
			cv_log_err("%s: cannot start a worker: %s", device->iface.name,
				   strerror(-r));
			return r;
		}
	}
	return 0;
}

/* The interface changed: called from control's loop. */
static void iface_changed(void *arg)
{
	struct cv_device *device = arg;
	struct cv_iface *iface = &device->iface;

	__atomic_store_n(&device->plane.mtu, iface->mtu, __ATOMIC_RELAXED);
	if (iface->up == device->up || iface->gone)
		return;
	cv_log_info("%s: the link went %s", iface->name, iface->up ? "up" : "down");
	if (iface->up)
		cv_device_go_up(device); /* on failure the next change tries again */
	else
		cv_device_go_down(device);
}

/* The mark that keeps our datagrams out of the tunnel is another one. */
static int iface_marked(void *arg)
{
	struct cv_device *device = arg;
	int r = cv_device_set_fwmark(device, device->iface.policy.fwmark);

	if (r < 0)
		cv_log_err("%s: cannot mark packets: %s", device->iface.name, strerror(-r));
	return r;
}

/* The door -------------------------------------------------------------------------------- */

static int build(struct cv_device *device, const struct cv_config *config,
		 const struct cv_device_options *options)
{
	int r = cv_crypto_init();

	device->udp_options = (struct cv_udp_options){
		.port = config->listen_port,
		.fwmark = config->fwmark,
		.gso = config->offload.udp_gso,
		.gro = config->offload.udp_gro,
		.buffer_size = SOCKET_BUFFER_BYTES,
	};
	if (r == 0)
		r = make_secrets(device, config);
	if (r == 0)
		r = choose_aead(device, config);
	if (r == 0)
		r = make_plane(device, config);
	if (r == 0)
		r = add_peers(device, config);
	if (r == 0)
		r = make_workers(device, config, options);
	if (r == 0)
		r = cv_iface_setup(&device->iface, config, device->loop, &device->workers[0].tun);
	if (r < 0)
		return r;
	device->plane.mtu = device->iface.mtu;
	r = start_workers(device);
	return r < 0 || !device->iface.up ? r : cv_device_go_up(device);
}

int cv_device_new(const struct cv_config *config, const struct cv_device_options *options,
		  struct cv_loop *loop, struct cv_device **ret_device)
{
	struct cv_device *device = calloc(1, sizeof(*device));
	int r;

	if (!device)
		return -ENOMEM;
	device->loop = loop;
	device->udp.fd4 = device->udp.fd6 = -1;
	snprintf(device->iface.name, sizeof(device->iface.name), "%s", config->name);
	device->iface.bare = options->bare;
	device->iface.adopted = options->tun_fd >= 0;
	device->iface.changed = iface_changed;
	device->iface.marked = iface_marked;
	device->iface.arg = device;
	r = build(device, config, options);
	if (r < 0) {
		cv_device_free(device);
		return r;
	}
	if (!cv_vault_is_locked(&device->secrets) || !cv_peers_is_locked(device->peers))
		cv_log_warn("%s: cannot lock all key memory (RLIMIT_MEMLOCK): keys may reach swap, "
			    "ignoring",
			    config->name);
	*ret_device = device;
	return 0;
}

static void free_peers(struct cv_device *device)
{
	if (!device->peers)
		return;
	cv_device_clear_peers(device);
	cv_graveyard_done(&device->graveyard);
	cv_peers_free(device->peers);
}

void cv_device_free(struct cv_device *device)
{
	if (!device)
		return;
	if (device->up)
		cv_device_say_goodbye(device, cv_clock_now());
	cv_iface_undo(&device->iface);
	for (size_t i = 0; i < device->n_workers; i++)
		cv_worker_stop(&device->workers[i]);
	for (size_t i = 0; i < device->n_workers; i++)
		cv_worker_done(&device->workers[i]);
	cv_udp_close(&device->udp);
	free_peers(device);
	cv_graveyard_done(&device->graveyard);
	cv_routes_free(device->plane.routes);
	cv_index_free(device->plane.index);
	cv_stage_pool_free(device->plane.pool);
	cv_deadlines_done(&device->deadlines);
	cv_path_done(&device->path);
	cv_vault_return(device->self);
	cv_vault_return(device->cookies);
	cv_vault_done(&device->secrets);
	cv_vault_done(&device->keypairs);
	cv_vault_done(&device->suites);
	free(device->workers);
	free(device);
}

cv_time cv_device_deadline(const struct cv_device *device)
{
	const struct cv_deadline *first = cv_deadlines_first(&device->deadlines);
	cv_time asking = cv_device_asking_deadline(device);

	if (device->messages_left)
		return 0;
	return first && first->when < asking ? first->when : asking;
}

/* liburcu's caa_container_of() casts const away, which clang's -Wcast-qual does not let pass. */
static struct cv_peer *peer_of(struct cv_deadline *deadline)
{
	return (struct cv_peer *)((char *)deadline - offsetof(struct cv_peer, deadline));
}

void cv_device_turn(struct cv_device *device, cv_time now)
{
	struct cv_deadline *first;

	cv_device_receive_handshakes(device, now);
	cv_device_grant_wishes(device, now);
	while ((first = cv_deadlines_first(&device->deadlines)) && first->when <= now)
		cv_device_fire_timers(device, peer_of(first), now);
	cv_device_go_on_asking(device, now);
	cv_graveyard_bury(&device->graveyard);
}

bool cv_device_is_gone(const struct cv_device *device)
{
	return device->iface.gone;
}

const char *cv_device_capabilities(const struct cv_device *device,
				   char ret_text[CV_CAPABILITIES_TEXT_MAX])
{
	const struct cv_worker *worker = &device->workers[0];
	static const char *const yes_no[] = { "no", "yes" };
	const char *large = device->aead.provider[CV_SUITE_CHACHA20_POLY1305][CV_AEAD_LARGE]->name;
	const char *small = device->aead.provider[CV_SUITE_CHACHA20_POLY1305][CV_AEAD_SMALL]->name;

	snprintf(ret_text, CV_CAPABILITIES_TEXT_MAX,
		 "loop=%s workers=%zu tso=%s uso=%s gso=%s gro=%s aead=%s%s%s",
		 cv_loop_name(worker->loop), device->n_workers, yes_no[worker->tun.granted.tso],
		 yes_no[worker->tun.granted.uso], yes_no[worker->udp.gso], yes_no[worker->udp.gro],
		 large, small == large ? "" : "/", small == large ? "" : small);
	return ret_text;
}

size_t cv_device_workers(const struct cv_device *device)
{
	return device->n_workers;
}

void cv_device_poke(struct cv_device *device)
{
	for (size_t i = 0; i < device->n_workers; i++)
		cv_loop_wake(device->workers[i].loop);
}

uint64_t cv_device_pulse(const struct cv_device *device, size_t worker)
{
	return __atomic_load_n(&device->workers[worker].turns, __ATOMIC_RELAXED);
}
