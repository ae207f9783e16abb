/* Reaching into other network namespaces: a socket belongs to where its maker was. */
#include <errno.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "internal.h"

struct visit {
	int netns_fd;
	int (*make)(void *arg);
	void *arg;
	int ret;
};

/* A namespace is a thread's: this one goes there and ends there. */
static void *visit(void *arg)
{
	struct visit *visit = arg;

	visit->ret = setns(visit->netns_fd, CLONE_NEWNET) ? -errno : visit->make(visit->arg);
	return NULL;
}

int cv_netns_run(int netns_fd, int (*make)(void *arg), void *arg)
{
	struct visit there = { .netns_fd = netns_fd, .make = make, .arg = arg };
	pthread_t thread;
	int ret;

	if (netns_fd < 0)
		return make(arg);
	ret = pthread_create(&thread, NULL, visit, &there);
	if (ret)
		return -ret;
	pthread_join(thread, NULL);
	return there.ret;
}

int cv_tun_netns(int tun_fd)
{
	int fd = ioctl(tun_fd, TUNGETDEVNETNS);

	return fd < 0 ? -errno : fd;
}
