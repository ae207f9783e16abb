/*
 * The guard of a default route: what wg-quick does about it with nft and sysctl.
 *
 * A packet to one of the tunnel's addresses that did not come through the tunnel, and not from this
 * host either, is a neighbour who wants to find out about our connections or to slip something into
 * them (CVE-2019-14899).
 *
 * The rules of a default route go by our mark. A reply to one of our datagrams has none, so that a
 * reverse path filter would look up the way back to its sender through the tunnel, and drop it. The
 * mark is kept with the connection and put back onto its replies; with src_valid_mark the filter
 * looks at it.
 *
 * Without nft the tunnel works as long as no such filter is strict, so that is a warning.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define KIND           "guard"
#define SRC_VALID_MARK "/proc/sys/net/ipv4/conf/all/src_valid_mark"

char *cv_guard_text(const struct cv_config *config, uint32_t mark)
{
	char *text = NULL, addr[CV_ADDR_TEXT_MAX];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fputs("\tchain preraw {\n\t\ttype filter hook prerouting priority -300;\n", out);
	for (size_t i = 0; i < config->n_addresses; i++)
		fprintf(out,
			"\t\tiifname != \"%s\" %s daddr %s fib saddr type != local counter drop\n",
			config->name, config->addresses[i].addr.family == AF_INET ? "ip" : "ip6",
			cv_addr_format(&config->addresses[i].addr, addr));
	fprintf(out,
		"\t}\n"
		"\tchain postmangle {\n"
		"\t\ttype filter hook postrouting priority -150;\n"
		"\t\tmeta l4proto udp meta mark 0x%x ct mark set meta mark\n"
		"\t}\n"
		"\tchain premangle {\n"
		"\t\ttype filter hook prerouting priority -150;\n"
		"\t\tmeta l4proto udp ct mark 0x%x meta mark set ct mark\n"
		"\t}\n",
		mark, mark);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

/* One digit. Return: what it was, or -errno. */
static int read_switch(void)
{
	char digit = 0;
	int fd = open(SRC_VALID_MARK, O_RDONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (read(fd, &digit, 1) != 1 || digit < '0' || digit > '9')
		r = -EIO;
	close(fd);
	return r < 0 ? r : digit - '0';
}

static int write_switch(int value)
{
	char digit = (char)('0' + value);
	int fd = open(SRC_VALID_MARK, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, &digit, 1) != 1)
		r = -errno;
	close(fd);
	return r;
}

static void set_src_valid_mark(struct cv_host_state *state)
{
	int before = read_switch(), r;

	if (before == 1)
		return;
	r = before < 0 ? before : write_switch(1);
	if (r == 0)
		state->src_valid_mark = before;
	else
		cv_log_warn("%s: cannot set %s to 1: %s; a strict rp_filter would drop what comes "
			    "from the peer, ignoring",
			    state->name, SRC_VALID_MARK, strerror(-r));
}

void cv_guard_install(struct cv_host_state *state, const struct cv_config *config, uint32_t mark)
{
	char *text = cv_guard_text(config, mark);

	/* First the note, then the deed: what is noted and not done is undone without harm. */
	if (state->src_valid_mark < 0)
		set_src_valid_mark(state);
	state->guard = true;
	cv_host_state_save(state);
	if (text && cv_nft_replace(KIND, config->name, text) == 0) {
		free(text);
		return;
	}
	free(text);
	state->guard = false;
	cv_host_state_save(state);
	cv_log_warn("%s: no guard for the addresses of the tunnel, ignoring", state->name);
}

void cv_guard_remove(struct cv_host_state *state)
{
	if (state->guard)
		cv_nft_replace(KIND, state->name, NULL);
	if (state->src_valid_mark >= 0)
		write_switch(state->src_valid_mark);
	state->guard = false;
	state->src_valid_mark = -1;
	cv_host_state_save(state);
}
