/*
 * The name servers of a tunnel, by whatever manages them here.
 *
 * In this order: systemd-resolved when it runs, resolvconf(8) when there is one, else the file
 * itself. The first that is there is it: if it fails the tunnel does not come up, since names would
 * go to servers that the file does not want.
 *
 * As with wg-quick the tunnel's servers are asked for everything ("resolvconf -x", the domain "~."
 * of resolved), and search domains without servers are of no effect.
 */
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define RESOLVED_DIR    "/run/systemd/resolve"
#define INTERFACE_ORDER "/etc/resolvconf/interface-order"

/* Arguments of one program; grows, so that a long list of servers or domains fits. */
struct arguments {
	const char **list;
	size_t n;
};

static bool add(struct arguments *arguments, const char *argument)
{
	const char **list = realloc(arguments->list, (arguments->n + 2) * sizeof(*list));

	if (!list)
		return false;
	arguments->list = list;
	list[arguments->n++] = argument;
	list[arguments->n] = NULL;
	return true;
}

static int run(const char *tunnel, const char *const *argv, const char *input)
{
	return cv_run(&(struct cv_run){ .tunnel = tunnel,
					.what = argv[0],
					.level = CV_LOG_WARN,
					.argv = argv,
					.input = input,
					.cancel = -1 });
}

/* systemd-resolved ------------------------------------------------------------------------- */

static int resolved_set_servers(const struct cv_config *config)
{
	struct arguments arguments = { 0 };
	char(*texts)[CV_ADDR_TEXT_MAX] = calloc(config->n_dns, sizeof(*texts));
	bool ok = texts && add(&arguments, "resolvectl") && add(&arguments, "--") &&
		  add(&arguments, "dns") && add(&arguments, config->name);
	int r;

	for (size_t i = 0; i < config->n_dns && ok; i++)
		ok = add(&arguments, cv_addr_format(&config->dns[i], texts[i]));
	r = ok ? run(config->name, arguments.list, NULL) : -ENOMEM;
	free(texts);
	free(arguments.list);
	return r;
}

static int resolved_set_domains(const struct cv_config *config)
{
	struct arguments arguments = { 0 };
	bool ok = add(&arguments, "resolvectl") && add(&arguments, "--") &&
		  add(&arguments, "domain") && add(&arguments, config->name);
	int r;

	for (size_t i = 0; i < config->n_dns_search && ok; i++)
		ok = add(&arguments, config->dns_search[i]);
	ok = ok && add(&arguments, "~.");
	r = ok ? run(config->name, arguments.list, NULL) : -ENOMEM;
	free(arguments.list);
	return r;
}

static int resolved_set(const struct cv_config *config)
{
	const char *const route[] = {
		"resolvectl", "--", "default-route", config->name, "yes", NULL
	};
	int r = resolved_set_servers(config);

	if (r == 0)
		r = resolved_set_domains(config);
	return r < 0 ? r : run(config->name, route, NULL);
}

/* It forgets a link that is gone by itself. */
static void resolved_restore(const char *tunnel)
{
	const char *const argv[] = { "resolvectl", "--", "revert", tunnel, NULL };

	if (if_nametoindex(tunnel))
		run(tunnel, argv, NULL);
}

/* resolvconf ------------------------------------------------------------------------------- */

/* As wg-quick: Debian's resolvconf orders interfaces by name, and the first line with a "*" says
 * how those of tunnels begin ("tun*" makes "tun.wg0"). */
static void resolvconf_name(const char *tunnel, char ret_name[64])
{
	char line[64];
	FILE *order = fopen(INTERFACE_ORDER, "re");

	snprintf(ret_name, 64, "%s", tunnel);
	while (order && fgets(line, sizeof(line), order)) {
		size_t len = 0;

		while (isalnum((unsigned char)line[len]) || line[len] == '-')
			len++;
		if (len == 0 || strcmp(line + len, "*\n") != 0)
			continue;
		snprintf(ret_name, 64, "%.*s.%s", (int)len, line, tunnel);
		break;
	}
	if (order)
		fclose(order);
}

static int resolvconf_set(const char *tunnel, const char *text)
{
	char name[64];
	const char *const argv[] = { "resolvconf", "-a", name, "-m", "0", "-x", NULL };

	resolvconf_name(tunnel, name);
	return run(tunnel, argv, text);
}

static void resolvconf_restore(const char *tunnel)
{
	char name[64];
	const char *const argv[] = { "resolvconf", "-d", name, "-f", NULL };

	resolvconf_name(tunnel, name);
	run(tunnel, argv, NULL);
}

/* The door --------------------------------------------------------------------------------- */

/* As resolv.conf(5) has it. */
static char *print_text(const struct cv_config *config)
{
	char *text = NULL, addr[CV_ADDR_TEXT_MAX];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (size_t i = 0; i < config->n_dns; i++)
		fprintf(out, "nameserver %s\n", cv_addr_format(&config->dns[i], addr));
	for (size_t i = 0; i < config->n_dns_search; i++)
		fprintf(out, "%s%s%s", i ? " " : "search ", config->dns_search[i],
			i + 1 == config->n_dns_search ? "\n" : "");
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static enum cv_host_dns choose(void)
{
	if (access(RESOLVED_DIR, F_OK) == 0 && cv_run_exists("resolvectl"))
		return CV_HOST_DNS_RESOLVED;
	return cv_run_exists("resolvconf") ? CV_HOST_DNS_RESOLVCONF : CV_HOST_DNS_FILE;
}

int cv_dns_set(struct cv_host_state *state, const struct cv_config *config)
{
	char *text;
	int r;

	if (config->n_dns == 0) {
		cv_dns_restore(state);
		return 0;
	}
	text = print_text(config);
	if (!text)
		return -ENOMEM;
	if (state->dns == CV_HOST_DNS_NONE)
		state->dns = choose();
	r = cv_host_state_save(state);
	if (r == 0 && state->dns == CV_HOST_DNS_RESOLVED)
		r = resolved_set(config);
	else if (r == 0 && state->dns == CV_HOST_DNS_RESOLVCONF)
		r = resolvconf_set(config->name, text);
	else if (r == 0)
		r = cv_resolvconf_write(config->name, text);
	free(text);
	return r;
}

void cv_dns_restore(struct cv_host_state *state)
{
	if (state->dns == CV_HOST_DNS_RESOLVED)
		resolved_restore(state->name);
	else if (state->dns == CV_HOST_DNS_RESOLVCONF)
		resolvconf_restore(state->name);
	else if (state->dns == CV_HOST_DNS_FILE)
		cv_resolvconf_restore(state->name);
	state->dns = CV_HOST_DNS_NONE;
	cv_host_state_save(state);
}

static bool is_loopback(const struct cv_addr *addr)
{
	static const struct cv_addr one = { .family = AF_INET6, .b = { [15] = 1 } };

	return addr->family == AF_INET ? addr->b[0] == 127 : cv_addr_equal(addr, &one);
}

static size_t read_servers(const char *path, struct cv_addr *ret_servers, size_t max)
{
	char line[256], text[CV_ADDR_TEXT_MAX];
	FILE *file = fopen(path, "re");
	size_t n = 0;

	while (file && n < max && fgets(line, sizeof(line), file))
		if (sscanf(line, " nameserver %45s", text) == 1 &&
		    cv_addr_parse(text, &ret_servers[n]) == 0 && !is_loopback(&ret_servers[n]))
			n++;
	if (file)
		fclose(file);
	return n;
}

size_t cv_dns_servers(struct cv_addr ret_servers[CV_DNS_SERVERS_MAX])
{
	size_t n = read_servers("/etc/resolv.conf", ret_servers, CV_DNS_SERVERS_MAX);

	/* What stands behind the cache of systemd-resolved. */
	return n +
	       read_servers(RESOLVED_DIR "/resolv.conf", ret_servers + n, CV_DNS_SERVERS_MAX - n);
}
