/* peer list: the peers of a tunnel's file, and how those that run are doing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "look.h"
#include "peer.h"

enum {
	NAME_WIDTH_MAX = 32, /* a longer name shifts its own line */
	IPS_WIDTH_MAX = 48,
	IPS_TEXT_MAX = 256,
};

json_t *cv_peer_live(const char *tunnel)
{
	json_t *tunnels, *live;

	cv_look(tunnel, false, &tunnels);
	live = json_incref(json_object_get(tunnels, tunnel));
	json_decref(tunnels);
	return live;
}

/* Characters of UTF-8: all bytes but those that continue one. */
static int width(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static void put_cell(const char *text, int columns)
{
	printf("%s%*s  ", text, width(text) < columns ? columns - width(text) : 0, "");
}

static const char *name_of(const struct cv_config_peer *peer)
{
	return peer->friendly_name ? peer->friendly_name : "-";
}

/* "10.77.0.2/32, fd77::2/128"; "..." for what does not fit. */
static const char *ips_text(const struct cv_config_peer *peer, char ret_text[IPS_TEXT_MAX])
{
	const size_t last = IPS_TEXT_MAX - CV_PREFIX_TEXT_MAX - sizeof(", ...");
	char prefix[CV_PREFIX_TEXT_MAX];
	size_t len = 0;

	strcpy(ret_text, "-");
	for (size_t i = 0; i < peer->n_allowed_ips && len < last; i++) {
		len += (size_t)sprintf(ret_text + len, "%s%s", i ? ", " : "",
				       cv_prefix_format(&peer->allowed_ips[i], prefix));
		if (len >= last && i + 1 < peer->n_allowed_ips)
			strcpy(ret_text + len, ", ...");
	}
	return ret_text;
}

/* Columns of the widest, up to their bounds. */
static void measure(const struct cv_config *config, int *ret_name, int *ret_ips)
{
	int name = (int)strlen("NAME"), ips = (int)strlen("ALLOWED IPS");
	char text[IPS_TEXT_MAX];

	for (size_t i = 0; i < config->n_peers; i++) {
		int own_name = width(name_of(&config->peers[i]));
		int own_ips = width(ips_text(&config->peers[i], text));

		if (own_name > name)
			name = own_name;
		if (own_ips > ips)
			ips = own_ips;
	}
	*ret_name = name < NAME_WIDTH_MAX ? name : NAME_WIDTH_MAX;
	*ret_ips = ips < IPS_WIDTH_MAX ? ips : IPS_WIDTH_MAX;
}

static void put_live(const json_t *live)
{
	time_t at = (time_t)cv_look_number(live, "latestHandshake");
	char text[32] = "never";
	struct tm local;

	if (at > 0 && localtime_r(&at, &local))
		strftime(text, sizeof(text), "%F %T", &local);
	printf("%-19s  %12.2f  %12.2f", text, cv_look_number(live, "transferRx") / (1 << 20),
	       cv_look_number(live, "transferTx") / (1 << 20));
}

static void put_peer(const struct cv_config_peer *peer, const json_t *peers, int name_width,
		     int ips_width)
{
	char key[CV_KEY_BASE64_LEN + 1], ips[IPS_TEXT_MAX];

	cv_key_to_base64(&peer->public_key, key);
	ips_text(peer, ips);
	put_cell(name_of(peer), name_width);
	put_cell(key, CV_KEY_BASE64_LEN);
	if (peers) {
		put_cell(ips, ips_width);
		put_live(json_object_get(peers, key));
	}
	puts(peers ? "" : ips);
}

int cv_peer_list(const struct cv_peer_options *options)
{
	json_t *live, *peers;
	struct cv_edit edit;
	int name, ips;

	if (cv_edit_begin(options->tunnel, false, &edit) < 0)
		return CV_EXIT_FAILURE;
	live = cv_peer_live(edit.name);
	peers = json_object_get(live, "peers");
	measure(&edit.config, &name, &ips);
	put_cell("NAME", name);
	put_cell("PUBLIC KEY", CV_KEY_BASE64_LEN);
	if (peers) {
		put_cell("ALLOWED IPS", ips);
		printf("%-19s  %12s  %12s\n", "LATEST HANDSHAKE", "MiB RECEIVED", "MiB SENT");
	} else {
		puts("ALLOWED IPS");
	}
	for (size_t i = 0; i < edit.config.n_peers; i++)
		put_peer(&edit.config.peers[i], peers, name, ips);
	json_decref(live);
	cv_edit_done(&edit);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CV_EXIT_OK;
	cv_complain("cannot write to stdout: %s", strerror(errno));
	return CV_EXIT_FAILURE;
}
