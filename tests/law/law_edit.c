/*
 * Laws of changing a config file as text: a peer that came in goes out without a trace; one that
 * goes takes no setting of another section along; a free address is the lowest that is free.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/config/edit.h>

#include "law.h"

enum {
	ROUNDS = 20000,
	LINES_MAX = 24,
	TEXT_MAX = LINES_MAX * 40 + 1,
	PREFIXES_MAX = 12,
};

/* Any mixture of these is a text; the second half are settings, and headers. */
static const char *const lines[] = {
	"",
	"",
	" \t",
	"# note",
	"#",
	"  # phones",
	"x = y",
	"# convoy: Workers = 2",
	"# friendly_name = a",
	"# PostUp = a",
	"PublicKey = a",
	"[Peer]",
	"[Peer] # b",
	"[Interface]",
};

enum {
	FIRST_SETTING = 6,
	FIRST_HEADER = 11,
	LINES = sizeof(lines) / sizeof(lines[0]),
};

struct text {
	char bytes[TEXT_MAX];
	size_t len;
	size_t n;
	uint32_t kind[LINES_MAX];    /* of each line */
	size_t start[LINES_MAX + 1]; /* where it begins */
};

static struct text draw_text(void)
{
	struct text text = { .n = below(LINES_MAX) };

	for (size_t i = 0; i < text.n; i++) {
		const char *end = below(4) == 0 ? "\r\n" : "\n";

		text.kind[i] = below(LINES);
		text.start[i] = text.len;
		if (i + 1 == text.n && below(3) == 0)
			end = "";
		text.len +=
			(size_t)sprintf(text.bytes + text.len, "%s%s", lines[text.kind[i]], end);
	}
	text.start[text.n] = text.len;
	return text;
}

static void append_then_cut_is_the_identity(void)
{
	struct text text = draw_text();
	char joined[TEXT_MAX + 256], *tail;
	struct cv_config_peer peer = { 0 };
	struct cv_config_range cut;
	uint32_t line = 1;
	size_t len;

	assert_int_equal(cv_config_edit_append(text.bytes, text.len, &peer, &tail), 0);
	len = (size_t)snprintf(joined, sizeof(joined), "%s%s", text.bytes, tail);
	free(tail);
	for (const char *at = joined; at < strstr(joined + text.len, "[Peer]"); at++)
		line += *at == '\n';
	assert_int_equal(cv_config_edit_peer(joined, len, line, &cut), 0);
	assert_int_equal(cut.end, len);
	joined[cut.start] = '\0';
	if (text.len > 0 && text.bytes[text.len - 1] != '\n')
		strcat(text.bytes, strstr(joined + text.len, "\r\n") ? "\r\n" : "\n");
	assert_string_equal(joined, text.bytes);
}

static void a_cut_takes_one_section_and_no_setting_of_another(void)
{
	struct text text = draw_text();
	struct cv_config_range cut;
	bool own = false;

	for (uint32_t header = 0; header < text.n; header++) {
		int result = cv_config_edit_peer(text.bytes, text.len, header + 1, &cut);

		assert_int_equal(result, text.kind[header] >= FIRST_HEADER ? 0 : -ENOENT);
		if (result < 0)
			continue;
		for (uint32_t i = 0; i < text.n; i++) {
			bool in = text.start[i] >= cut.start && text.start[i + 1] <= cut.end;
			bool out = text.start[i + 1] <= cut.start || text.start[i] >= cut.end;

			if (text.kind[i] >= FIRST_HEADER)
				own = i == header;
			assert_true(in || out || text.start[i] == text.start[i + 1]);
			if (text.kind[i] >= FIRST_SETTING)
				assert_int_equal(in, own);
		}
	}
}

static struct cv_prefix draw_prefix(const struct cv_prefix *near)
{
	struct cv_prefix prefix = *near;
	unsigned bits = cv_addr_bits(near->addr.family), last = bits / 8 - 1;

	prefix.bits = (uint8_t)(bits - below(9));
	prefix.addr.b[last] = (uint8_t)below(256);
	if (below(8) == 0)
		prefix.addr.b[last - 1] ^= 1;
	return prefix;
}

/* The slow way: ask each address whether somebody has it. */
static bool is_free(const struct cv_config *config, const struct cv_prefix *network,
		    const struct cv_addr *addr, uint32_t place, uint32_t size)
{
	const struct cv_config_peer *peer = &config->peers[0];

	if (size > 2 && (place == 0 || (addr->family == AF_INET && place == size - 1)))
		return false;
	for (size_t i = 0; i < config->n_addresses; i++)
		if (cv_addr_equal(&config->addresses[i].addr, addr))
			return false;
	for (size_t i = 0; i < peer->n_allowed_ips; i++)
		if (peer->allowed_ips[i].bits >= network->bits &&
		    cv_prefix_contains(&peer->allowed_ips[i], addr))
			return false;
	return true;
}

static bool find_slowly(const struct cv_config *config, struct cv_prefix network,
			struct cv_addr *ret_addr)
{
	unsigned last = cv_addr_bits(network.addr.family) / 8 - 1;
	uint32_t size = 1u << (cv_addr_bits(network.addr.family) - network.bits);
	struct cv_addr addr;

	cv_prefix_mask(&network);
	addr = network.addr;
	for (uint32_t place = 0; place < size; place++) {
		addr.b[last] = (uint8_t)(network.addr.b[last] + place);
		if (!is_free(config, &network, &addr, place, size))
			continue;
		*ret_addr = addr;
		return true;
	}
	return false;
}

static void the_free_address_is_the_lowest(void)
{
	static const char *const networks[] = { "10.77.1.0/24", "fd77::100/120", "255.255.255.0/24",
						"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00/120" };
	struct cv_prefix allowed[PREFIXES_MAX], near, got, full;
	struct cv_config_peer peer = { .allowed_ips = allowed,
				       .n_allowed_ips = below(PREFIXES_MAX) };
	struct cv_config config = {
		.addresses = &near, .n_addresses = 1, .peers = &peer, .n_peers = 1
	};
	struct cv_addr expected;
	int result;

	assert_int_equal(cv_prefix_parse(networks[below(4)], &near), 0);
	for (size_t i = 0; i < peer.n_allowed_ips; i++) {
		allowed[i] = draw_prefix(&near);
		cv_prefix_mask(&allowed[i]);
	}
	do
		near = draw_prefix(&near);
	while (near.bits == cv_addr_bits(near.addr.family));
	result = cv_config_free_addresses(&config, NULL, &got, 1, &full);
	if (!find_slowly(&config, near, &expected)) {
		assert_int_equal(result, -ENOSPC);
		return;
	}
	assert_int_equal(result, 1);
	assert_true(cv_addr_equal(&got.addr, &expected));
	assert_int_equal(got.bits, near.bits);
}

static void what_is_appended_is_cut_without_a_trace(void **state)
{
	for_all_seeds(ROUNDS, append_then_cut_is_the_identity);
}

static void what_is_cut_is_one_section(void **state)
{
	for_all_seeds(ROUNDS, a_cut_takes_one_section_and_no_setting_of_another);
}

static void free_addresses_are_the_lowest(void **state)
{
	for_all_seeds(ROUNDS, the_free_address_is_the_lowest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_appended_is_cut_without_a_trace,
					  name_failed_seed),
		cmocka_unit_test_teardown(what_is_cut_is_one_section, name_failed_seed),
		cmocka_unit_test_teardown(free_addresses_are_the_lowest, name_failed_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
