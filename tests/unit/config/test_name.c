/* Interface names and where their files are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/config/config.h>

static void file_names_its_interface(void **state)
{
	static const struct {
		const char *path, *name;
	} cases[] = {
		{ "wg0.conf", "wg0" },
		{ "./wg0.conf", "wg0" },
		{ "/etc/convoy/new_york=+.-.conf", "new_york=+.-" },
		{ "/srv/../123456789012345.conf", "123456789012345" },
		{ "a.conf.conf", "a.conf" },
	};
	char name[IFNAMSIZ];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cv_config_name_from_path(cases[i].path, name), 0);
		assert_string_equal(name, cases[i].name);
	}
}

static void file_that_cannot_name_an_interface_is_refused(void **state)
{
	static const char *const paths[] = {
		"",           "wg0",
		".conf",      "/etc/wg0.conf/",
		"wg0.CONF",   "wg 0.conf",
		"wg0\n.conf", "1234567890123456.conf",
		"wg:0.conf",  "w\xc3\xa4.conf",
		"..conf",     "...conf",
	};
	char name[IFNAMSIZ] = "same";

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(cv_config_name_from_path(paths[i], name), -EINVAL);
		assert_string_equal(name, "same");
	}
}

static void bare_name_is_looked_for_in_two_places(void **state)
{
	char paths[2][CV_CONFIG_PATH_MAX];

	assert_int_equal(cv_config_path_candidates("123456789012345", paths), 0);
	assert_string_equal(paths[0], "/etc/convoy/123456789012345.conf");
	assert_string_equal(paths[1], "/etc/wireguard/123456789012345.conf");
}

static void path_is_no_bare_name(void **state)
{
	static const char *const paths[] = {
		"", "./wg0", "wg0.conf", "/etc/wg0.conf", "1234567890123456", ".."
	};
	char found[2][CV_CONFIG_PATH_MAX] = { "same" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(cv_config_path_candidates(paths[i], found), -EINVAL);
	assert_string_equal(found[0], "same");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_names_its_interface),
		cmocka_unit_test(file_that_cannot_name_an_interface_is_refused),
		cmocka_unit_test(bare_name_is_looked_for_in_two_places),
		cmocka_unit_test(path_is_no_bare_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
