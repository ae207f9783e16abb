/* From peers that run to peers of a file: what is said to the device, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/device/change.h>

#include "control/internal.h"

enum { PEERS = 8, PREFIXES = 8 };

/* A device that knows peers and does what it is told, and writes down what that was ------- */

struct peer {
	struct cv_peer_show show;
	struct cv_prefix allowed[PREFIXES];
	size_t n_allowed;
};

struct cv_device {
	struct peer peers[PEERS];
	size_t n;
	struct cv_key self;
	char said[1024]; /* "a+" made, "a:psk,endpoint,keepalive,extension,ips" changed, "a-"
			    removed */
};

static struct cv_device device;

static struct peer *find(struct cv_device *in, const struct cv_key *key)
{
	for (size_t i = 0; i < in->n; i++)
		if (cv_key_equal(&in->peers[i].show.public_key, key))
			return &in->peers[i];
	return NULL;
}

void cv_device_show(const struct cv_device *from, bool secrets, struct cv_device_show *ret_show)
{
	*ret_show = (struct cv_device_show){ .n_peers = from->n, .public_key = from->self };
}

bool cv_device_next_peer(const struct cv_device *from, struct cv_peer_cursor *cursor, bool secrets,
			 struct cv_peer_show *ret_show)
{
	assert_true(secrets);
	if (cursor->after == from->n)
		return false;
	*ret_show = from->peers[cursor->after++].show;
	return true;
}

void cv_device_each_allowed_ip(const struct cv_device *from, const struct cv_key *key,
			       void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg)
{
	for (size_t i = 0; i < from->n; i++)
		for (size_t j = 0; j < from->peers[i].n_allowed; j++)
			if (cv_key_equal(&from->peers[i].show.public_key, key))
				visit(arg, &from->peers[i].allowed[j]);
}

static void disown(struct peer *peer, const struct cv_prefix *prefix)
{
	for (size_t i = 0; i < peer->n_allowed; i++)
		if (cv_prefix_equal(&peer->allowed[i], prefix))
			peer->allowed[i] = peer->allowed[--peer->n_allowed];
}

static void write_down(const struct cv_peer_change *change, bool made)
{
	char *end = device.said + strlen(device.said);
	size_t room = sizeof(device.said) - strlen(device.said);
	const char *sign = change->remove ? "-" : made ? "+" : ":";

	assert_false(change->update_only);
	snprintf(end, room, "%c%s%s%s%s%s%s ", change->public_key.b[0], sign,
		 change->set_psk ? "psk," : "", change->set_endpoint ? "endpoint," : "",
		 change->set_keepalive ? "keepalive," : "",
		 change->set_extension ? "extension," : "",
		 change->replace_allowed_ips ? "ips," : "");
}

int cv_device_change_peer(struct cv_device *to, const struct cv_peer_change *change, cv_time now)
{
	struct peer *peer = find(to, &change->public_key);

	write_down(change, !peer);
	if (change->remove) {
		assert_non_null(peer);
		*peer = to->peers[--to->n];
		return 0;
	}
	if (!peer) {
		peer = &to->peers[to->n++];
		*peer = (struct peer){ .show.public_key = change->public_key };
	}
	if (change->set_psk)
		peer->show.psk = change->psk;
	if (change->set_endpoint)
		peer->show.endpoint = change->endpoint;
	if (change->set_keepalive)
		peer->show.keepalive_s = change->keepalive_s;
	if (change->set_extension)
		peer->show.extension_off = change->extension_off;
	if (change->replace_allowed_ips)
		peer->n_allowed = 0;
	for (size_t i = 0; i < change->n_allowed_ips; i++) {
		assert_false(change->allowed_ips[i].remove);
		for (size_t j = 0; j < to->n; j++)
			disown(&to->peers[j], &change->allowed_ips[i].prefix);
		peer->allowed[peer->n_allowed++] = change->allowed_ips[i].prefix;
	}
	return 0;
}

/* Files are written as a letter per peer, and what differs from the plain one -------------- */

static struct cv_config parsed(const char *text)
{
	struct cv_config config;
	struct cv_config_errors errors;
	int r = cv_config_parse(text, strlen(text), &config, &errors);

	if (r < 0)
		print_error("%s:%u: %s\n", text, errors.list[0].line, errors.list[0].message);
	cv_config_errors_free(&errors);
	assert_int_equal(r, 0);
	return config;
}

/* "a" is 32 times that letter. */
static const char *base64(char letter)
{
	static char text[4][CV_KEY_BASE64_LEN + 1];
	static unsigned next;
	struct cv_key key;

	memset(key.b, letter, sizeof(key.b));
	return cv_key_to_base64(&key, text[next++ % 4]);
}

/* "a EXTRA;b;...": a peer's letter, then lines to be added, "|" ends a line, "%" and a letter is a
 * key. */
static struct cv_config file(const char *peers)
{
	char text[4096] = "[Interface]\nPrivateKey = ";
	char copy[1024], *rest = copy, *word;

	strcat(text, base64('Z'));
	strcat(text, "\n");
	snprintf(copy, sizeof(copy), "%s", peers);
	while ((word = strsep(&rest, ";")) && *word) {
		strcat(strcat(strcat(text, "[Peer]\nPublicKey = "), base64(word[0])), "\n");
		for (char *at = word + 1; *at; at++) {
			if (*at == '%')
				strcat(text, base64(*++at));
			else
				strcat(text, (char[]){ *at == '|' ? '\n' : *at, '\0' });
		}
		strcat(text, "\n");
	}
	return parsed(text);
}

static struct cv_control control;

/* Start with one file, go on to another. Return: what the device was told. */
static const char *reload(const char *from, const char *to)
{
	struct cv_peers_changed changed;
	struct cv_config next = file(to);

	cv_config_free(&control.config);
	control.config = file(from);
	if (device.n == 0) {
		struct cv_config first = control.config;

		cv_config_init(&control.config);
		assert_int_equal(cv_control_change_peers(&control, &first, 1, &changed), 0);
		control.config = first;
	}
	device.said[0] = '\0';
	assert_int_equal(cv_control_change_peers(&control, &next, 1, &changed), 0);
	cv_config_free(&next);
	if (device.said[0])
		device.said[strlen(device.said) - 1] = '\0';
	return device.said;
}

static int set_up(void **state)
{
	device = (struct cv_device){ 0 };
	control = (struct cv_control){ .device = &device };
	cv_config_init(&control.config);
	return 0;
}

static int tear_down(void **state)
{
	cv_config_free(&control.config);
	return 0;
}

static struct peer *peer(char letter)
{
	struct cv_key key;

	memset(key.b, letter, sizeof(key.b));
	return find(&device, &key);
}

#define SAME                                                                          \
	"a AllowedIPs=10.0.0.1/32, fd00::1/128|Endpoint=192.0.2.1:1|PresharedKey=%P|" \
	"PersistentKeepalive=25"

/* Each row: one file, the next, and what the device is told. */
static const struct {
	const char *what, *from, *to, *told;
} rows[] = {
	{ "nothing differs", SAME, SAME, "" },
	{ "a peer is added", "b", "b;a", "a+psk,keepalive," },
	{ "a peer goes", "a;b", "b", "a-" },
	{ "all go", "a;b;c", "", "a- b- c-" },
	{ "one for another", "a", "b", "b+psk,keepalive, a-" },
	{ "the order is another", "a;b;c", "c;a;b", "" },
	{ "a preshared key comes", "a", "a PresharedKey=%Q", "a:psk," },
	{ "a preshared key changes", "a PresharedKey=%P", "a PresharedKey=%Q", "a:psk," },
	{ "a preshared key goes", "a PresharedKey=%P", "a", "a:psk," },
	{ "a keepalive comes", "a", "a PersistentKeepalive=5", "a:keepalive," },
	{ "a keepalive goes", "a PersistentKeepalive=5", "a", "a:keepalive," },
	{ "extensions go", "a", "a Extensions=off", "a:extension," },
	{ "extensions come", "a Extensions=off", "a", "a:extension," },
	{ "a peer without extensions", "b", "b;a Extensions=off", "a+psk,keepalive,extension," },
	{ "an endpoint comes", "a", "a Endpoint=192.0.2.1:1", "a:endpoint," },
	{ "an endpoint's port changes", "a Endpoint=192.0.2.1:1", "a Endpoint=192.0.2.1:2",
	  "a:endpoint," },
	{ "an endpoint goes", "a Endpoint=192.0.2.1:1", "a", "" },
	{ "a name is the resolver's", "a", "a Endpoint=vpn.example.com:1", "" },
	{ "a new peer with a name", "b", "b;a Endpoint=vpn.example.com:1", "a+psk,keepalive," },
	{ "only one of many differs",
	  "c Endpoint=192.0.2.3:1;a Endpoint=192.0.2.1:1|PersistentKeepalive=1;b",
	  "b;a Endpoint=192.0.2.1:1|PersistentKeepalive=2;c Endpoint=192.0.2.3:1", "a:keepalive," },
	{ "an address for a name", "a Endpoint=vpn.example.com:1", "a Endpoint=192.0.2.1:1",
	  "a:endpoint," },
	{ "an allowed-IP comes", "a AllowedIPs=10.0.0.1/32",
	  "a AllowedIPs=10.0.0.1/32, 10.0.0.2/32", "a:ips," },
	{ "an allowed-IP goes", "a AllowedIPs=10.0.0.1/32, 10.0.0.2/32", "a AllowedIPs=10.0.0.2/32",
	  "a:ips," },
	{ "all allowed-IPs go", "a AllowedIPs=10.0.0.1/32", "a", "a:ips," },
	{ "only the length differs", "a AllowedIPs=10.0.0.0/24", "a AllowedIPs=10.0.0.0/25",
	  "a:ips," },
	{ "their order is another", "a AllowedIPs=10.0.0.1/32, fd00::1/128, 10.0.0.0/8",
	  "a AllowedIPs=10.0.0.0/8, 10.0.0.1/32, fd00::1/128", "" },
	{ "their order is another, and bytes are equal",
	  "a AllowedIPs=10.0.0.0/24, ::/0, 10.0.0.0/8, 0.0.0.0/0, 10.0.0.0/16",
	  "a AllowedIPs=0.0.0.0/0, 10.0.0.0/16, 10.0.0.0/24, ::/0, 10.0.0.0/8", "" },
	{ "one is there twice", "a AllowedIPs=10.0.0.1/32", "a AllowedIPs=10.0.0.1/32, 10.0.0.1/32",
	  "" },
	{ "an allowed-IP moves to a later peer", "a AllowedIPs=10.0.0.1/32;b",
	  "a;b AllowedIPs=10.0.0.1/32", "a:ips, b:ips," },
	{ "an allowed-IP moves to an earlier peer", "a;b AllowedIPs=10.0.0.1/32",
	  "a AllowedIPs=10.0.0.1/32;b", "a:ips," },
	{ "an allowed-IP of one that goes", "a AllowedIPs=10.0.0.1/32", "b AllowedIPs=10.0.0.1/32",
	  "b+psk,keepalive,ips, a-" },
	{ "our own key is nobody", "a", "a;Z", "" },
};

static void only_what_differs_is_told(void **state)
{
	int wrong = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *told;

		device = (struct cv_device){ 0 };
		memset(device.self.b, 'Z', sizeof(device.self.b));
		told = reload(rows[i].from, rows[i].to);
		if (strcmp(told, rows[i].told) != 0) {
			print_error("%s: told \"%s\", wanted \"%s\"\n", rows[i].what, told,
				    rows[i].told);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void a_peer_that_roamed_stays_unless_the_file_sends_it_elsewhere(void **state)
{
	struct cv_endpoint roamed;
	char text[CV_ENDPOINT_TEXT_MAX];

	reload("a Endpoint=192.0.2.1:1", "a Endpoint=192.0.2.1:1");
	cv_endpoint_parse("198.51.100.1:7", &roamed);
	peer('a')->show.endpoint = roamed;
	assert_string_equal(
		reload("a Endpoint=192.0.2.1:1", "a Endpoint=192.0.2.1:1|PersistentKeepalive=5"),
		"a:keepalive,");
	assert_true(cv_endpoint_equal(&peer('a')->show.endpoint, &roamed));
	reload("a Endpoint=192.0.2.1:1", "a Endpoint=192.0.2.2:1");
	assert_string_equal(cv_endpoint_format(&peer('a')->show.endpoint, text), "192.0.2.2:1");
}

/* As wg(8) would have done behind the back of the file. */
static void what_runs_counts_and_not_the_old_file(void **state)
{
	reload("a AllowedIPs=10.0.0.1/32;b", "a AllowedIPs=10.0.0.1/32;b");
	peer('a')->n_allowed = 0;
	peer('a')->show.psk.b[5] = 1;
	peer('b')->show.keepalive_s = 7;
	assert_string_equal(reload("a AllowedIPs=10.0.0.1/32;b", "a AllowedIPs=10.0.0.1/32;b"),
			    "a:psk,ips, b:keepalive,");
	device.n--; /* b */
	assert_string_equal(reload("a AllowedIPs=10.0.0.1/32;b", "a AllowedIPs=10.0.0.1/32;b"),
			    "b+psk,keepalive,");
}

static void the_order_in_which_the_device_tells_allowed_ips_is_nothing(void **state)
{
	static const char peers[] = "a AllowedIPs=10.0.0.1/32, 10.0.0.2/32, fd00::1/128";
	struct cv_prefix first;

	reload(peers, peers);
	first = peer('a')->allowed[0];
	peer('a')->allowed[0] = peer('a')->allowed[2];
	peer('a')->allowed[2] = first;
	assert_string_equal(reload(peers, peers), "");
}

static void a_peer_ends_with_what_the_file_says(void **state)
{
	reload("a", SAME);
	assert_int_equal(peer('a')->n_allowed, 2);
	assert_int_equal(peer('a')->show.keepalive_s, 25);
	assert_int_equal(peer('a')->show.psk.b[0], 'P');
	reload(SAME, "a");
	assert_int_equal(peer('a')->n_allowed, 0);
	assert_int_equal(peer('a')->show.keepalive_s, 0);
	assert_true(cv_key_is_zero(&peer('a')->show.psk));
}

static void changes_are_counted(void **state)
{
	struct cv_peers_changed changed;
	struct cv_config next;

	reload("a;b;c", "a;b;c");
	next = file("a;b PersistentKeepalive=1;d;e");
	assert_int_equal(cv_control_change_peers(&control, &next, 1, &changed), 0);
	cv_config_free(&next);
	assert_int_equal(changed.added, 2);
	assert_int_equal(changed.changed, 1);
	assert_int_equal(changed.removed, 1);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(only_what_differs_is_told),
		STORY(a_peer_that_roamed_stays_unless_the_file_sends_it_elsewhere),
		STORY(what_runs_counts_and_not_the_old_file),
		STORY(the_order_in_which_the_device_tells_allowed_ips_is_nothing),
		STORY(a_peer_ends_with_what_the_file_says),
		STORY(changes_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
