/*
 * Leases as text: a line each, read without trust.
 *
 * A line that is refused takes nothing else with it. Two of the same address are found by sorting
 * all addresses, so that no file makes this slow.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* An address, and the lease that it stands in. */
struct place {
	struct cv_addr addr;
	size_t at;
};

struct reader {
	struct cv_leases *leases;
	void (*flaw)(void *arg, uint32_t line, const char *why);
	void *arg;
	uint32_t *lines; /* of each lease */
	size_t lines_size;
};

/* "-" or an address of this family. */
static bool take_addr(struct cv_span word, uint8_t family, struct cv_addr *ret_addr)
{
	char text[CV_ADDR_TEXT_MAX];

	*ret_addr = (struct cv_addr){ 0 };
	if (word.len == 1 && word.at[0] == '-')
		return true;
	return cv_span_copy(word, text, sizeof(text)) && !cv_addr_parse(text, ret_addr) &&
	       ret_addr->family == family;
}

/* Return: what is wrong with the line, or NULL. */
static const char *take_words(struct cv_span line, struct cv_lease *ret_lease)
{
	struct cv_span word;

	if (!cv_span_next(&line, " ", &word) ||
	    cv_key_from_base64(word.at, word.len, &ret_lease->public_key) < 0)
		return "it does not begin with a public key";
	if (!cv_span_next(&line, " ", &word) ||
	    !take_addr(word, AF_INET, &ret_lease->addrs[CV_IPV4]))
		return "the second word is neither an IPv4 address nor -";
	if (!cv_span_next(&line, " ", &word) ||
	    !take_addr(word, AF_INET6, &ret_lease->addrs[CV_IPV6]))
		return "the third word is neither an IPv6 address nor -";
	if (cv_span_next(&line, " ", &word))
		return "there is more than a key and two addresses";
	return NULL;
}

static int note_line(struct reader *reader, size_t at, uint32_t line)
{
	if (at == reader->lines_size) {
		size_t size = at ? 2 * at : 64;
		uint32_t *lines = reallocarray(reader->lines, size, sizeof(*lines));

		if (!lines)
			return -ENOMEM;
		reader->lines = lines;
		reader->lines_size = size;
	}
	reader->lines[at] = line;
	return 0;
}

static int take_line(struct reader *reader, struct cv_span text, uint32_t number)
{
	struct cv_lease read = { 0 }, *lease;
	const char *why = take_words(text, &read);

	if (!why && cv_leases_find(reader->leases, &read.public_key))
		why = "a line before it has this key";
	if (why) {
		reader->flaw(reader->arg, number, why);
		return 0;
	}
	lease = cv_leases_add(reader->leases, &read.public_key);
	if (!lease)
		return -ENOMEM;
	memcpy(lease->addrs, read.addrs, sizeof(lease->addrs));
	return note_line(reader, reader->leases->n - 1, number);
}

static int by_addr(const void *left, const void *right)
{
	const struct place *a = left, *b = right;
	int order = memcmp(a->addr.b, b->addr.b, sizeof(a->addr.b));

	if (order)
		return order;
	return a->at < b->at ? -1 : a->at > b->at;
}

/* What is in two lines is the first one's. */
static int drop_repeated(struct reader *reader, int family)
{
	struct cv_leases *leases = reader->leases;
	struct place *places = calloc(leases->n + 1, sizeof(*places));
	size_t n = 0;

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < leases->n; i++)
		if (leases->list[i].addrs[family].family)
			places[n++] = (struct place){ leases->list[i].addrs[family], i };
	if (n > 1)
		qsort(places, n, sizeof(*places), by_addr);
	for (size_t i = 1; i < n; i++) {
		if (!cv_addr_equal(&places[i].addr, &places[i - 1].addr))
			continue;
		leases->list[places[i].at].addrs[family].family = 0;
		reader->flaw(reader->arg, reader->lines[places[i].at],
			     "a line before it has this address");
	}
	free(places);
	return 0;
}

int cv_leases_parse(const char *text, size_t len, struct cv_leases *ret_leases,
		    void (*flaw)(void *arg, uint32_t line, const char *why), void *arg)
{
	struct cv_leases leases = { 0 };
	struct reader reader = { .leases = &leases, .flaw = flaw, .arg = arg };
	const char *end = text + len;
	uint32_t number = 0;
	int r = 0;

	while (text < end && r == 0) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t size = (size_t)((stop ? stop : end) - text);

		number++;
		if (stop)
			r = take_line(&reader, (struct cv_span){ text, size }, number);
		else
			flaw(arg, number, "it is cut short");
		text += size + 1;
	}
	for (int family = 0; family < CV_FAMILIES && r == 0; family++)
		r = drop_repeated(&reader, family);
	free(reader.lines);
	if (r < 0)
		cv_leases_free(&leases);
	else
		*ret_leases = leases;
	return r;
}

static const char *addr_text(const struct cv_addr *addr, char ret_text[CV_ADDR_TEXT_MAX])
{
	return addr->family ? cv_addr_format(addr, ret_text) : "-";
}

size_t cv_leases_print(const struct cv_leases *leases, char *ret_text, size_t size)
{
	char key[CV_KEY_BASE64_LEN + 1], v4[CV_ADDR_TEXT_MAX], v6[CV_ADDR_TEXT_MAX];
	size_t len = 0;

	for (size_t i = 0; i < leases->n; i++) {
		const struct cv_lease *lease = &leases->list[i];
		const struct cv_addr *addrs = lease->addrs;

		if (!addrs[CV_IPV4].family && !addrs[CV_IPV6].family)
			continue;
		len += (size_t)snprintf(
			len < size ? ret_text + len : NULL, len < size ? size - len : 0,
			"%s %s %s\n", cv_key_to_base64(&lease->public_key, key),
			addr_text(&addrs[CV_IPV4], v4), addr_text(&addrs[CV_IPV6], v6));
	}
	return len;
}
