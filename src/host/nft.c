/*
 * Firewall tables of ours, each replaced as a whole in one transaction of nft(8).
 *
 * A transaction first makes the table if there is none, so that deleting it cannot fail, and then
 * makes it anew: at no moment is there half a table, or none where there was one.
 *
 * A table carries the tunnel's name. Names of interfaces may have "=" and "+", which a name in nft
 * may not: they are written as "/3d" and "/2b", and "/" is in no interface's name.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void cv_nft_name(const char *kind, const char *tunnel, char ret_name[96])
{
	size_t len = (size_t)snprintf(ret_name, 96, "convoy-%.20s-", kind);

	for (const char *c = tunnel; *c && len + 4 < 96; c++) {
		if (*c == '=' || *c == '+')
			len += (size_t)snprintf(ret_name + len, 96 - len, "/%02x",
						(unsigned)(unsigned char)*c);
		else
			ret_name[len++] = *c;
	}
	ret_name[len] = '\0';
}

void cv_nft_to_prefixes(FILE *out, const struct cv_prefix *prefixes, size_t n, const char *verdict)
{
	static const struct {
		uint8_t family;
		const char *match;
	} each[] = { { AF_INET, "ip" }, { AF_INET6, "ip6" } };
	char text[CV_PREFIX_TEXT_MAX];

	for (int i = 0; i < 2; i++) {
		size_t found = 0;

		for (size_t j = 0; j < n; j++) {
			if (prefixes[j].addr.family != each[i].family)
				continue;
			if (found++ == 0)
				fprintf(out, "\t\t%s daddr {", each[i].match);
			fprintf(out, "%s %s", found > 1 ? "," : "",
				cv_prefix_format(&prefixes[j], text));
		}
		if (found > 0)
			fprintf(out, " } %s\n", verdict);
	}
}

static int load(const char *tunnel, const char *text)
{
	static const char *const argv[] = { "nft", "-f", "-", NULL };

	return cv_run(&(struct cv_run){ .tunnel = tunnel,
					.what = "nft",
					.level = CV_LOG_ERR,
					.argv = argv,
					.input = text,
					.cancel = -1 });
}

int cv_nft_replace(const char *kind, const char *tunnel, const char *body)
{
	char name[96], without[256], *text = NULL;
	int r;

	cv_nft_name(kind, tunnel, name);
	/* Taking back takes no memory. */
	snprintf(without, sizeof(without), "add table inet %s\ndelete table inet %s\n", name, name);
	if (!body)
		return load(tunnel, without);
	if (asprintf(&text, "%stable inet %s {\n%s}\n", without, name, body) < 0)
		return -ENOMEM;
	r = load(tunnel, text);
	free(text);
	return r;
}
