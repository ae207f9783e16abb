/* Addresses, prefixes and endpoints, and their text. */
#include <errno.h>
#include <sys/socket.h>

#include <convoy/base/addr.h>

#include "hex.h"

static struct cv_addr addr(const char *text)
{
	struct cv_addr addr;

	assert_int_equal(cv_addr_parse(text, &addr), 0);
	return addr;
}

static struct cv_prefix prefix(const char *text)
{
	struct cv_prefix prefix;

	assert_int_equal(cv_prefix_parse(text, &prefix), 0);
	return prefix;
}

static void addresses_are_read_with_unused_bytes_zero(void **state)
{
	struct cv_addr v4 = addr("192.0.2.255"), v6 = addr("2001:db8::ff");

	assert_int_equal(v4.family, AF_INET);
	assert_hex_equal(v4.b, "c00002ff000000000000000000000000");
	assert_int_equal(v6.family, AF_INET6);
	assert_hex_equal(v6.b, "20010db80000000000000000000000ff");
}

static void what_is_no_address_is_refused_and_nothing_written(void **state)
{
	const char *const bad[] = { "",          " 1.2.3.4",  "1.2.3.4 ",      "1.2.3",
				    "1.2.3.256", "1.2.3.4.5", "01.2.3.4",      "host",
				    "::1%1",     "[::1]",     "1:2:3:4:5:6:7", "1.2.3.4/32",
				    "0x1.2.3.4", ":",         "::g",           "1::2::3" };
	struct cv_addr out = { .family = 99 };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(cv_addr_parse(bad[i], &out), -EINVAL);
		assert_int_equal(out.family, 99);
	}
}

static void addresses_are_written_in_their_canonical_form(void **state)
{
	const struct cv_addr none = { 0 };
	const struct cv_addr v4 = addr("10.0.0.1"), v6 = addr("2001:0DB8:0:0:0:0:0:1");
	const struct cv_addr mapped = addr("::ffff:1.2.3.4");
	const struct cv_addr longest = addr("1111:2222:3333:4444:5555:6666:7777:8888");
	char text[CV_ADDR_TEXT_MAX];

	assert_string_equal(cv_addr_format(&v4, text), "10.0.0.1");
	assert_string_equal(cv_addr_format(&v6, text), "2001:db8::1");
	assert_string_equal(cv_addr_format(&mapped, text), "::ffff:1.2.3.4");
	assert_string_equal(cv_addr_format(&longest, text),
			    "1111:2222:3333:4444:5555:6666:7777:8888");
	assert_string_equal(cv_addr_format(&none, text), "none");
}

static void prefixes_are_read_with_host_bits_kept(void **state)
{
	struct cv_prefix a = prefix("10.1.2.3/8"), b = prefix("10.1.2.3"), c = prefix("::/0");
	struct cv_prefix d = prefix("2001:db8::1");

	assert_int_equal(a.bits, 8);
	assert_hex_equal(a.addr.b, "0a010203");
	assert_int_equal(b.bits, 32);
	assert_int_equal(c.bits, 0);
	assert_int_equal(d.bits, 128);
}

static void what_is_no_prefix_is_refused_and_nothing_written(void **state)
{
	const char *const bad[] = {
		"",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/ 8",
		"10.0.0.0/8 ",
		"10.0.0.0/08",
		"10.0.0.0/8/8",
		"::/129",
		"::/256",
		"::/4294967296",
		"::/18446744073709551616",
		"::/99999999999999999999999999",
		"10.0.0.0/255.0.0.0",
		/* One character more than the longest address has. */
		"1111:2222:3333:4444:5555:6666:255.255.255.2555/64",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb/64",
	};
	struct cv_prefix out = { .bits = 99 };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(cv_prefix_parse(bad[i], &out), -EINVAL);
		assert_int_equal(out.bits, 99);
	}
}

static void prefix_mask_zeroes_the_host_bits(void **state)
{
	static const struct {
		const char *text, *masked;
	} cases[] = {
		{ "255.255.255.255/0", "0.0.0.0/0" },
		{ "255.255.255.255/1", "128.0.0.0/1" },
		{ "255.255.255.255/7", "254.0.0.0/7" },
		{ "255.255.255.255/8", "255.0.0.0/8" },
		{ "255.255.255.255/9", "255.128.0.0/9" },
		{ "255.255.255.255/31", "255.255.255.254/31" },
		{ "255.255.255.255/32", "255.255.255.255/32" },
		{ "ffff::ffff/127", "ffff::fffe/127" },
		{ "ffff::ffff/128", "ffff::ffff/128" },
		{ "ffff:ffff::/17", "ffff:8000::/17" },
	};
	char text[CV_PREFIX_TEXT_MAX];
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cv_prefix p = prefix(cases[i].text);

		cv_prefix_mask(&p);
		assert_string_equal(cv_prefix_format(&p, text), cases[i].masked);
	}
}

static void prefix_contains_compares_only_its_bits(void **state)
{
	static const struct {
		const char *prefix, *addr;
		bool inside;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.0.0.0/9", "10.127.0.0", true },
		{ "10.0.0.0/9", "10.128.0.0", false },
		{ "10.99.99.99/8", "10.0.0.1", true },
		{ "0.0.0.0/0", "255.1.2.3", true },
		{ "0.0.0.0/0", "::", false },
		{ "::/0", "0.0.0.0", false },
		{ "::/0", "ffff::", true },
		{ "1.2.3.4/32", "1.2.3.4", true },
		{ "1.2.3.4/32", "1.2.3.5", false },
		{ "2001:db8::1/128", "2001:db8::1", true },
		{ "2001:db8::1/128", "2001:db8::2", false },
		{ "2001:db8::/33", "2001:db8:7fff::", true },
		{ "2001:db8::/33", "2001:db8:8000::", false },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cv_prefix p = prefix(cases[i].prefix);
		struct cv_addr a = addr(cases[i].addr);

		assert_int_equal(cv_prefix_contains(&p, &a), cases[i].inside);
	}
}

static void equality_looks_at_every_field(void **state)
{
	const struct cv_addr a = addr("1.2.3.4"), b = addr("1.2.3.5"), six = addr("102:304::");
	const struct cv_endpoint e = { a, 5, 0 }, port = { a, 6, 0 }, scope = { a, 5, 1 };
	const struct cv_endpoint host = { b, 5, 0 };
	const struct cv_source s = { a, 1 }, iface = { a, 2 }, local = { b, 1 };
	const struct cv_prefix p = { a, 24 }, bits = { a, 25 }, base = { b, 24 };

	assert_true(cv_addr_equal(&a, &a));
	assert_false(cv_addr_equal(&a, &b));
	assert_false(cv_addr_equal(&a, &six));
	assert_true(cv_endpoint_equal(&e, &e));
	assert_false(cv_endpoint_equal(&e, &port));
	assert_false(cv_endpoint_equal(&e, &scope));
	assert_false(cv_endpoint_equal(&e, &host));
	assert_true(cv_source_equal(&s, &s));
	assert_false(cv_source_equal(&s, &iface));
	assert_false(cv_source_equal(&s, &local));
	assert_true(cv_prefix_equal(&p, &p));
	assert_false(cv_prefix_equal(&p, &bits));
	assert_false(cv_prefix_equal(&p, &base));
}

static void link_local_is_known_in_both_families(void **state)
{
	static const struct {
		const char *addr;
		bool link_local;
	} cases[] = {
		{ "169.254.0.1", true }, { "169.253.0.1", false }, { "fe80::1", true },
		{ "febf::1", true },     { "fec0::1", false },     { "fe00::1", false },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cv_addr a = addr(cases[i].addr);

		assert_int_equal(cv_addr_is_link_local(&a), cases[i].link_local);
	}
}

static void endpoints_come_back_as_they_were_written(void **state)
{
	static const char *const texts[] = {
		"1.2.3.4:5",
		"255.255.255.255:65535",
		"[::1]:51820",
		"[fe80::1%7]:1",
		"[1111:2222:3333:4444:5555:6666:7777:8888%4294967295]:65535",
	};
	char text[CV_ENDPOINT_TEXT_MAX];
	struct cv_endpoint endpoint;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(cv_endpoint_parse(texts[i], &endpoint), 0);
		assert_string_equal(cv_endpoint_format(&endpoint, text), texts[i]);
	}
	assert_int_equal(endpoint.port, 65535);
	assert_int_equal(endpoint.scope, UINT32_MAX);
}

static void what_is_no_endpoint_is_refused_and_nothing_written(void **state)
{
	const char *const bad[] = {
		"",
		":",
		"1.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:65536",
		":5",
		"[::1]",
		"[::1]:",
		"::1:5",
		"[1.2.3.4]:5",
		"[::1:5",
		"::1]:5",
		"[]:5",
		"[::1%]:5",
		"[::1%eth0]:5",
		"[::1%1%2]:5",
		"[::1%4294967296]:5",
		"host:5",
		"1.2.3.4:-5",
		"1.2.3.4: 5",
		"[::1]5",
		"[::1] :5",
		"1.2.3.4%1:5",
		"[:5",
		"]:5",
		/* One character more than the longest endpoint has. */
		"[1111:2222:3333:4444:5555:6666:255.255.255.255%0000000000000000000000000]:5",
		"[1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222:3333:4444:5555:6666]:5",
	};
	struct cv_endpoint out = { .port = 99 };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(cv_endpoint_parse(bad[i], &out), -EINVAL);
		assert_int_equal(out.port, 99);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_with_unused_bytes_zero),
		cmocka_unit_test(what_is_no_address_is_refused_and_nothing_written),
		cmocka_unit_test(addresses_are_written_in_their_canonical_form),
		cmocka_unit_test(prefixes_are_read_with_host_bits_kept),
		cmocka_unit_test(what_is_no_prefix_is_refused_and_nothing_written),
		cmocka_unit_test(prefix_mask_zeroes_the_host_bits),
		cmocka_unit_test(prefix_contains_compares_only_its_bits),
		cmocka_unit_test(equality_looks_at_every_field),
		cmocka_unit_test(link_local_is_known_in_both_families),
		cmocka_unit_test(endpoints_come_back_as_they_were_written),
		cmocka_unit_test(what_is_no_endpoint_is_refused_and_nothing_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
