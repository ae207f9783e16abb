/*
 * fuzz edit: a peer's name, its AllowedIPs and its Endpoint as people type them, each ended by a
 * zero, and a config file (keys as in fuzz_text.h).
 *
 * Oracle: what is put behind any text is cut out again without a trace, but for the newline that
 * the text lacked; a good file with a peer more or less is a good file that differs in this peer
 * only, and the new one is what was asked for; a free address is one that nobody has.
 */
#include <errno.h>

#include <convoy/config/edit.h>
#include <convoy/crypto/init.h>

#include "fuzz_same.h"
#include "fuzz_text.h"

static const char *const fuzz_lines[] = {
	"[Interface]",
	"PrivateKey = \1",
	"Address = 10.77.0.1/24, fd77::1/64",
	"Address = 10.0.0.0/31 fd::fffe/127",
	"[Peer]",
	"PublicKey = \3",
	"[Peer] # one more",
	"PublicKey = \4",
	"AllowedIPs = 10.77.0.2/32, fd77::2/128",
	"AllowedIPs = 10.77.0.0/25",
	"# friendly_name = Alice",
	"# a note",
	"# Endpoint = old:51820",
	"# convoy: PresharedKeyFile = psk",
	"# convoy: Workers = 2",
	"#",
	"",
	"\r",
	"\xef\xbb\xbf# friendly_name = Bob",
	NULL,
};

enum { ADDRESSES_MAX = 4 };

struct file {
	char *text;
	size_t len;
	bool good;
	struct cv_config config; /* when good */
};

/* Takes: text. */
static struct file file_of(char *text, size_t len)
{
	struct file file = { .text = text, .len = len };
	struct cv_config_errors errors;

	file.good = cv_config_parse(text, len, &file.config, &errors) == 0;
	cv_config_errors_free(&errors);
	return file;
}

static void file_free(struct file *file)
{
	if (file->good)
		cv_config_free(&file->config);
	free(file->text);
}

static struct file file_without(const struct file *file, struct cv_config_range cut)
{
	size_t len = file->len - (cut.end - cut.start);
	char *text = malloc(len ? len : 1);

	must(text);
	memcpy(text, file->text, cut.start);
	memcpy(text + cut.start, file->text + cut.end, file->len - cut.end);
	return file_of(text, len);
}

/* All of `more` but its peer at `place` is what `less` says. */
static void must_differ_in_one_peer(struct cv_config *more, const struct cv_config *less,
				    size_t place)
{
	struct cv_config_peer *peers = more->peers, extra = peers[place];

	memmove(peers + place, peers + place + 1, (more->n_peers - place - 1) * sizeof(extra));
	more->n_peers--;
	must_be_same(more, less);
	memmove(peers + place + 1, peers + place, (more->n_peers - place) * sizeof(extra));
	peers[place] = extra;
	more->n_peers++;
}

static void check_cuts(struct file *file)
{
	struct cv_config_range cut;

	for (size_t i = 0; i < file->config.n_peers && i < 8; i++) {
		struct file less;

		must(cv_config_edit_peer(file->text, file->len, file->config.peers[i].line, &cut) ==
		     0);
		must(cut.start < cut.end && cut.end <= file->len);
		must(cut.start == 0 || file->text[cut.start - 1] == '\n');
		must(cut.end == file->len || file->text[cut.end - 1] == '\n');
		less = file_without(file, cut);
		must(less.good);
		must_differ_in_one_peer(&file->config, &less.config, i);
		file_free(&less);
	}
}

static void check_append(const struct file *file, const struct cv_config_peer *peer)
{
	size_t ending = file->len && file->text[file->len - 1] != '\n', len;
	struct cv_config_range cut;
	struct file more;
	uint32_t line = 1;
	char *tail, *text;

	must(cv_config_edit_append(file->text, file->len, peer, &tail) == 0);
	if (ending && tail[0] == '\r')
		ending = 2;
	len = file->len + strlen(tail);
	text = malloc(len);
	must(text);
	memcpy(text, file->text, file->len);
	memcpy(text + file->len, tail, strlen(tail));
	more = file_of(text, len);
	for (const char *at = text; at < text + file->len + (strstr(tail, "[Peer]") - tail); at++)
		line += *at == '\n';
	free(tail);

	must(cv_config_edit_peer(text, len, line, &cut) == 0);
	must(cut.end == len && cut.start == file->len + ending);
	if (file->good) {
		must(more.good && more.config.n_peers == file->config.n_peers + 1);
		must_differ_in_one_peer(&more.config, &file->config, more.config.n_peers - 1);
		must_be_same_peer(&more.config.peers[more.config.n_peers - 1], peer);
	}
	file_free(&more);
}

/* The lowest is law/edit's business. */
static void check_addresses(const struct cv_config *config)
{
	struct cv_prefix found[ADDRESSES_MAX], full;
	int n = cv_config_free_addresses(config, NULL, found, ADDRESSES_MAX, &full);

	must(n >= 0 || n == -ENOSPC || n == -E2BIG);
	for (int i = 0; i < n; i++) {
		const struct cv_prefix *own = NULL;

		for (size_t k = 0; k < config->n_addresses; k++) {
			must(!cv_addr_equal(&config->addresses[k].addr, &found[i].addr));
			if (cv_prefix_contains(&config->addresses[k], &found[i].addr) &&
			    config->addresses[k].bits == found[i].bits)
				own = &config->addresses[k];
		}
		must(own);
		for (size_t p = 0; p < config->n_peers; p++)
			for (size_t k = 0; k < config->peers[p].n_allowed_ips; k++) {
				const struct cv_prefix *taken = &config->peers[p].allowed_ips[k];

				must(taken->bits < found[i].bits ||
				     !cv_prefix_contains(taken, &found[i].addr));
			}
	}
}

/* A C string in memory of just its size. */
static char *word(struct input *input)
{
	const uint8_t *piece;
	size_t len = read_until(input, 0, &piece);
	char *text = malloc(len + 1);

	must(text);
	if (len)
		memcpy(text, piece, len);
	text[len] = '\0';
	return text;
}

static void take(const char *key, const char *value, struct cv_config_peer *peer)
{
	struct cv_config_error error;
	int r = cv_config_take_peer_value(key, value, peer, &error);

	must(r == 0 || r == -EINVAL);
	must(r == 0 || (error.message[0] && !error.warning));
	must(!error.message[0] || error.column <= strlen(value) + 1);
}

static void read_peer(struct input *input, struct cv_config_peer *ret_peer)
{
	char *name = word(input), *allowed = word(input), *endpoint = word(input);
	char interface[IFNAMSIZ], paths[2][CV_CONFIG_PATH_MAX];

	*ret_peer = (struct cv_config_peer){ .has_psk = name[0] == 'p' };
	must(cv_key_from_base64(PUBLIC_4, TEXT_KEY_LEN, &ret_peer->public_key) == 0);
	if (ret_peer->has_psk)
		must(cv_key_from_base64(SECRET_2, TEXT_KEY_LEN, &ret_peer->psk) == 0);
	take("AllowedIPs", allowed, ret_peer);
	take("Endpoint", endpoint, ret_peer);
	if (cv_config_name_from_path(name, interface) == 0)
		must(strlen(interface) < IFNAMSIZ && strstr(name, interface));
	if (cv_config_path_candidates(name, paths) == 0)
		must(!strchr(name, '/') && strstr(paths[0], name) && strstr(paths[1], name));
	if (!cv_config_name_flaw(name))
		ret_peer->friendly_name = name;
	else
		free(name);
	free(allowed);
	free(endpoint);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct input input = { data, size };
	struct cv_config_peer peer;
	struct file file;
	size_t len;
	char *text;

	if (!ready)
		must(cv_crypto_init() == 0);
	ready = true;
	read_peer(&input, &peer);
	text = text_of(input.at, input.left, &len);
	file = file_of(text, len);
	if (file.good) {
		check_cuts(&file);
		check_addresses(&file.config);
	}
	check_append(&file, &peer);
	file_free(&file);
	free(peer.friendly_name);
	free(peer.allowed_ips);
	free(peer.host);
	return 0;
}
