/* What the files of this module share: the parser's state, its findings, the table of keys. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/config/config.h>
#include <convoy/config/error.h>
#include <convoy/config/lease.h>

/* A piece of the file's text. */
struct cv_span {
	const char *at;
	size_t len;
};

/* Where in the file: the line's first byte, its number and the column, both from 1. */
struct cv_config_place {
	uint32_t offset;
	uint32_t line; /* 0: nowhere */
	uint32_t column;
};

enum cv_config_section {
	CV_SECTION_NONE,
	CV_SECTION_INTERFACE,
	CV_SECTION_PEER,
	CV_SECTION_ANY,  /* of a rule: either of the two */
	CV_SECTION_SKIP, /* after an error that was reported: what follows is not judged */
};

enum cv_config_key {
	CV_KEY_PRIVATE_KEY,
	CV_KEY_LISTEN_PORT,
	CV_KEY_FWMARK,
	CV_KEY_ADDRESS,
	CV_KEY_DNS,
	CV_KEY_MTU,
	CV_KEY_TABLE,
	CV_KEY_PRE_UP,
	CV_KEY_POST_UP,
	CV_KEY_PRE_DOWN,
	CV_KEY_POST_DOWN,
	CV_KEY_SAVE_CONFIG,
	CV_KEY_WORKERS,
	CV_KEY_LOOP,
	CV_KEY_OFFLOAD,
	CV_KEY_AEAD,
	CV_KEY_EXTENSIONS,
	CV_KEY_CIPHERS,
	CV_KEY_LOG_LEVEL,
	CV_KEY_METRICS_LISTEN,
	CV_KEY_CLIENT_DNS,
	CV_KEY_CLIENT_ENDPOINT,
	CV_KEY_KILL_SWITCH,
	CV_KEY_KILL_SWITCH_ALLOW_LAN,
	CV_KEY_EXCLUDE_IPS,
	CV_KEY_POOL,
	CV_KEY_POOL_DNS,
	CV_KEY_POOL_ROUTES,
	CV_KEY_POOL_MTU,
	CV_KEY_ROUTES,
	CV_KEY_PRIVATE_KEY_FILE,
	CV_KEY_PUBLIC_KEY,
	CV_KEY_PRESHARED_KEY,
	CV_KEY_PRESHARED_KEY_FILE,
	CV_KEY_ALLOWED_IPS,
	CV_KEY_ENDPOINT,
	CV_KEY_KEEPALIVE,
	CV_KEYS,
};

/* How often a key may stand in its section. */
enum cv_config_times {
	CV_TIMES_MANY,
	CV_TIMES_LAST, /* once; again is a warning and the last one counts, as in wg-quick */
	CV_TIMES_ONCE, /* once; again is an error: it is not clear which key is meant */
};

enum {
	CV_IPV6_MTU_MIN = 1280, /* RFC 8200, section 5 */
};

struct cv_config_parser;

struct cv_config_rule {
	const char *name;
	enum cv_config_section section;
	enum cv_config_times times;
	bool secret; /* the value is never shown */
	bool own;    /* also as "# convoy: Key = value" */
	bool hook;   /* "#" is part of the value */
	bool empty;  /* may have no value */
	/* Put the value (trimmed, not empty) into parser->config, or report why not. */
	void (*take)(struct cv_config_parser *parser, const struct cv_config_rule *rule,
		     struct cv_span value);
};

/* Where the n-th allowed-ip of the file stands, and whose it is. */
struct cv_config_allowed {
	struct cv_config_place at;
	uint32_t peer;
	uint32_t index;
};

struct cv_config_parser {
	const char *text;
	size_t len;
	struct cv_config config;
	struct cv_config_errors errors;
	bool no_memory;

	enum cv_config_section section;
	struct cv_config_place line; /* being read, column 1 */
	bool nul_reported;
	struct cv_config_place interface_at;
	bool private_key_given;         /* well or badly, or under a name near to it */
	bool public_key_given;          /* the same in this [Peer] */
	struct cv_config_place peer_at; /* of the last [Peer] */
	struct cv_config_place mtu_at;
	struct cv_config_place auto_address_at, auto_dns_at, auto_routes_at;
	struct cv_config_place kill_switch_at;
	struct cv_config_place kill_switch_allow_lan_at;
	struct cv_config_place pool_at[CV_FAMILIES];
	struct cv_config_place pool_mtu_at;
	struct cv_config_place pool_more_at;  /* of the first key that means nothing without Pool */
	struct cv_config_place seen[CV_KEYS]; /* in this section */

	struct cv_config_place *public_key_at; /* place[config.n_peers], nowhere if not valid */
	struct cv_config_allowed *allowed;
	size_t n_allowed;
};

/* The parts of "key = value". Without "=" the key is the first word if it is a known one, or all.
 */
struct cv_config_line {
	struct cv_span key;
	struct cv_span value;
	const struct cv_config_rule *rule; /* NULL: unknown key */
	bool has_equals;
};

/* rules.c */
extern const struct cv_config_rule cv_config_rules[CV_KEYS];
/* Whether the key may stand in this section. */
bool cv_config_rule_fits(const struct cv_config_rule *rule, enum cv_config_section section);
const struct cv_config_rule *cv_config_rule_near(struct cv_span key, enum cv_config_section where,
						 bool secret_only);
struct cv_config_line cv_config_line_split(struct cv_span text);
/* If the text is a comment "# convoy: ...", what follows the colon. */
bool cv_config_comment_is_own(struct cv_span text, struct cv_span *ret_rest);

/* span.c */
/* Whether base64 has this character, "=" aside. */
bool cv_is_base64(char c);
struct cv_span cv_span_trim(struct cv_span span);
bool cv_span_is(struct cv_span span, const char *word);
bool cv_span_starts(struct cv_span span, const char *word);
/* Whether it consists of these characters only. */
bool cv_span_of(struct cv_span span, const char *characters);
/* Cut off and return the part before the first of `separators`, trimmed; false at the end. */
bool cv_span_next(struct cv_span *rest, const char *separators, struct cv_span *ret_item);
/* As a C string; false when it does not fit or holds a NUL byte. */
bool cv_span_copy(struct cv_span span, char *ret_text, size_t size);
/* Digits (with hex also "0x" and hex digits) up to max; false otherwise. */
bool cv_span_number(struct cv_span span, bool hex, uint32_t max, uint32_t *ret_number);
/* Heap copy, or NULL. */
char *cv_span_dup(struct cv_span span);

/* error.c: report at a place, with a hint or NULL. Messages never quote values. */
__attribute__((format(printf, 4, 5))) void cv_config_error(struct cv_config_parser *parser,
							   struct cv_config_place at,
							   const char *hint, const char *format,
							   ...);
__attribute__((format(printf, 4, 5))) void cv_config_warning(struct cv_config_parser *parser,
							     struct cv_config_place at,
							     const char *hint, const char *format,
							     ...);
/* The place of a byte of the line being read. */
struct cv_config_place cv_config_at(const struct cv_config_parser *parser, const char *byte);
void cv_config_errors_sort(struct cv_config_errors *errors);

/* excerpt.c: what may be shown of the line around `column` (from 0), and where the caret goes. */
void cv_config_excerpt(struct cv_span line, size_t column, struct cv_config_error *ret_error);

/* config.c: room for one more behind n; capacities are powers of two. Old memory is wiped. */
bool cv_config_grow(struct cv_config_parser *parser, void **list, size_t n, size_t size);

/* range.c: struct cv_ranges, addresses of one family that are taken. All zero: none. */
struct cv_range {
	struct cv_addr first, last; /* both included */
};

struct cv_range cv_range_of(const struct cv_prefix *prefix);
/* One more, in no order. */
void cv_ranges_add(struct cv_ranges *ranges, const struct cv_prefix *prefix);
/* When all were added and before what follows: put them in order. Return: 0, or -ENOMEM when one of
 * them is lacking. */
int cv_ranges_order(struct cv_ranges *ranges);
bool cv_ranges_contain(const struct cv_ranges *ranges, const struct cv_addr *addr);
/* One more, which none contains, in its place. Return: 0 or -ENOMEM. */
int cv_ranges_insert(struct cv_ranges *ranges, const struct cv_addr *addr);
/* The first address from this one on that none contains, if it still lies in the network. */
bool cv_ranges_gap(const struct cv_ranges *ranges, const struct cv_prefix *network,
		   const struct cv_addr *from, struct cv_addr *ret_addr);
void cv_ranges_free(struct cv_ranges *ranges);

/* lease.c: one more lease of a key that has none yet; NULL when there is no memory. */
struct cv_lease *cv_leases_add(struct cv_leases *leases, const struct cv_key *public_key);

/* print.c: one section with an empty line before it, as cv_config_print() has it. */
size_t cv_config_print_peer(const struct cv_config_peer *peer, char *ret_text, size_t size);

/* check.c: what only the whole file can tell. */
void cv_config_check_peer(struct cv_config_parser *parser);
void cv_config_check(struct cv_config_parser *parser);

/* list.c: an item as a prefix, host bits kept; reports why it is none. */
bool cv_config_take_prefix(struct cv_config_parser *parser, struct cv_span item,
			   struct cv_prefix *ret_prefix);
/* The same, host bits zero. */
bool cv_config_take_network(struct cv_config_parser *parser, struct cv_span item,
			    struct cv_prefix *ret_network);

/* pool.c */
void cv_config_check_pool(struct cv_config_parser *parser);

/* value.c: which of the words the value is; n with an error when it is none. */
size_t cv_config_take_word(struct cv_config_parser *parser, const struct cv_config_rule *rule,
			   struct cv_span value, const char *const *words, size_t n);

/* value.c, list.c, pool.c: the `take` of the rules. */
#define CV_TAKE(name)                                               \
	void cv_config_take_##name(struct cv_config_parser *parser, \
				   const struct cv_config_rule *rule, struct cv_span value)
CV_TAKE(key);
CV_TAKE(key_file);
CV_TAKE(port);
CV_TAKE(fwmark);
CV_TAKE(mtu);
CV_TAKE(table);
CV_TAKE(hook);
CV_TAKE(save_config);
CV_TAKE(workers);
CV_TAKE(loop);
CV_TAKE(offload);
CV_TAKE(aead);
CV_TAKE(extensions);
CV_TAKE(ciphers);
CV_TAKE(log_level);
CV_TAKE(kill_switch);
CV_TAKE(exclude_ips);
CV_TAKE(pool);
CV_TAKE(pool_dns);
CV_TAKE(pool_routes);
CV_TAKE(pool_mtu);
CV_TAKE(routes);
CV_TAKE(metrics_listen);
CV_TAKE(keepalive);
CV_TAKE(address);
CV_TAKE(dns);
CV_TAKE(client_dns);
CV_TAKE(allowed_ips);
CV_TAKE(endpoint);
