/* Files that are cut, huge or broken anywhere: nothing breaks, and no secret is printed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/config/config.h>
#include <convoy/crypto/init.h>

#include "files.h"

/* Parse a copy that ends where the memory ends, so that the sanitizer sees any read beyond. */
static int parse_exactly(const char *text, size_t len, struct cv_config_errors *ret_errors)
{
	char *copy = malloc(len ? len : 1);
	struct cv_config config;
	int result;

	memcpy(copy, text, len);
	result = cv_config_parse(copy, len, &config, ret_errors);
	free(copy);
	if (!result)
		cv_config_free(&config);
	return result;
}

static void file_cut_at_any_byte_does_no_harm(void **state)
{
	struct cv_config_errors errors;

	for (size_t len = 0; len < sizeof(good); len++) {
		int result = parse_exactly(good, len, &errors);

		assert_true(result == 0 || result == -EINVAL);
		assert_int_equal(result == -EINVAL, errors.errors > 0);
		cv_config_errors_free(&errors);
	}
	assert_int_equal(parse_exactly(good, strlen(good), &errors), 0);
	cv_config_errors_free(&errors);
}

static void nul_bytes_are_reported_once(void **state)
{
	static const char text[] = "[Interface]\nPrivateKey = " PRIVATE "\nMTU\0 = 1\n\0\0\0\n";
	struct cv_config_errors errors;

	assert_int_equal(parse_exactly(text, sizeof(text) - 1, &errors), -EINVAL);
	assert_int_equal(errors.n, 1);
	assert_int_equal(errors.list[0].line, 3);
	assert_int_equal(errors.list[0].column, 4);
	cv_config_errors_free(&errors);
}

static void line_and_file_have_a_limit(void **state)
{
	static const char head[] = "[Interface]\nPrivateKey = " PRIVATE "\nPostUp = ";
	static char text[sizeof(head) + CV_CONFIG_LINE_MAX + 2];
	const size_t longest = strlen(head) + CV_CONFIG_LINE_MAX - strlen("PostUp = ");
	struct cv_config_errors errors;
	struct cv_config config;

	memset(text, 'x', sizeof(text));
	memcpy(text, head, strlen(head));
	assert_int_equal(parse_exactly(text, longest, &errors), 0);
	cv_config_errors_free(&errors);
	assert_int_equal(parse_exactly(text, longest + 1, &errors), -EINVAL);
	assert_int_equal(errors.list[0].column, CV_CONFIG_LINE_MAX + 1);
	cv_config_errors_free(&errors);
	/* The size alone decides, nothing is read. */
	assert_int_equal(cv_config_parse(text, (size_t)CV_CONFIG_FILE_MAX + 1, &config, &errors),
			 -EINVAL);
	cv_config_errors_free(&errors);
}

static void errors_and_warnings_beyond_the_limit_are_counted(void **state)
{
	enum { LINES = CV_CONFIG_ERRORS_MAX + 10 };
	static char text[LINES * 20 + 200];
	size_t len = (size_t)sprintf(text, "[Interface]\nPrivateKey = " PRIVATE "\n");
	struct cv_config_errors errors;

	for (int i = 0; i < LINES; i++)
		len += (size_t)sprintf(text + len, "# convoy: nothing\n");
	len += (size_t)sprintf(text + len, "Colour = blue\n");
	assert_int_equal(parse_exactly(text, len, &errors), -EINVAL);
	assert_int_equal(errors.warnings, LINES);
	assert_int_equal(errors.errors, 1);
	assert_int_equal(errors.n, CV_CONFIG_ERRORS_MAX + 1);
	assert_false(errors.list[errors.n - 1].warning);
	cv_config_errors_free(&errors);
}

/* A key whose text tells its number. */
static size_t put_peer(char *text, unsigned number)
{
	static const char digits[] = "ABCDEFGHIJKLMNOP";
	char key[] = KEY_B;

	for (int i = 0; i < 8; i++)
		key[i] = digits[number >> (4 * i) & 15];
	return (size_t)sprintf(text, "[Peer]\nPublicKey = %s\nAllowedIPs = 10.%u.%u.%u/32\n", key,
			       number >> 16 & 255, number >> 8 & 255, number & 255);
}

static void hundred_thousand_peers_are_read_and_a_double_is_found(void **state)
{
	enum { PEERS = 100000 };
	char *text = malloc((size_t)PEERS * 120);
	size_t len = (size_t)sprintf(text, "[Interface]\nPrivateKey = " PRIVATE "\n");
	struct cv_config_errors errors;
	struct cv_config config;

	for (unsigned i = 0; i < PEERS; i++)
		len += put_peer(text + len, i);
	assert_int_equal(cv_config_parse(text, len, &config, &errors), 0);
	assert_int_equal(errors.n, 0);
	assert_int_equal(config.n_peers, PEERS);
	assert_int_equal(config.peers[0x1234].allowed_ips[0].addr.b[2], 0x12);
	cv_config_free(&config);
	cv_config_errors_free(&errors);

	len += put_peer(text + len, 7);
	assert_int_equal(cv_config_parse(text, len, &config, &errors), -EINVAL);
	assert_int_equal(errors.errors, 1);
	assert_int_equal(errors.warnings, 1);
	assert_int_equal(errors.list[0].line, 3 + 3 * PEERS + 1);
	assert_non_null(strstr(errors.list[0].hint, "line 25"));
	cv_config_errors_free(&errors);
	free(text);
}

/* No piece of a secret of more than 12 characters (72 of its 256 bits) may be in the text; that
 * it ends in "=" is no secret. */
static void assert_no_secret(const char *text)
{
	static const char *const secrets[] = { PRIVATE, PSK };
	enum { PIECE = 13 };
	char piece[PIECE + 1] = "";

	for (size_t i = 0; i < 2; i++) {
		for (size_t at = 0; at + PIECE < strlen(secrets[i]); at++) {
			memcpy(piece, secrets[i] + at, PIECE);
			if (strstr(text, piece))
				fail_msg("secret shown in: %s", text);
		}
	}
}

static void assert_findings_without_secret(const char *text, size_t len)
{
	struct cv_config_errors errors;
	char printed[1024];

	parse_exactly(text, len, &errors);
	for (size_t i = 0; i < errors.n; i++) {
		size_t size = cv_config_error_print(&errors.list[i], "f", printed, sizeof(printed));

		assert_true(size < sizeof(printed));
		assert_no_secret(printed);
	}
	cv_config_errors_free(&errors);
}

static void secrets_are_not_shown_whatever_byte_is_wrong(void **state)
{
	static const char wrong[] = "\n=# \tx,[\0\r\xff";
	char text[sizeof(good) + 1];
	size_t len = strlen(good);

	for (size_t i = 0; i < len; i++) {
		for (size_t j = 0; j < sizeof(wrong); j++) {
			memcpy(text, good, len); /* another byte */
			text[i] = wrong[j];
			assert_findings_without_secret(text, len);
			memcpy(text, good, i); /* one too many */
			text[i] = wrong[j];
			memcpy(text + i + 1, good + i, len - i);
			assert_findings_without_secret(text, len + 1);
		}
		memcpy(text, good, i); /* one missing */
		memcpy(text + i, good + i + 1, len - i - 1);
		assert_findings_without_secret(text, len - 1);
	}
}

static void secrets_are_not_shown_under_any_name(void **state)
{
	static const char *const forms[] = {
		"%s",
		"ListenPort = %s",
		"PublicKey = %s",
		"Secret = %s",
		"PrivateKey %s",
		"PrivateKey: %s",
		"private_key = %s # %s",
		"PreSharedkey = %s%s",
		"Endpoint = %s",
		"PostUp = echo %s",
		"# convoy: PrivateKey = %s",
		"# convoy: %s",
		"[%s]",
		"Table = x %s",
	};
	char line[256], text[1024];

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(line, sizeof(line), forms[i], PRIVATE, PSK);
#pragma GCC diagnostic pop
		snprintf(text, sizeof(text), "[Interface]\n%s\n[Peer]\n%s\n%s\n", line, line, line);
		assert_findings_without_secret(text, strlen(text));
	}
}

static int setup(void **state)
{
	return cv_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_cut_at_any_byte_does_no_harm),
		cmocka_unit_test(nul_bytes_are_reported_once),
		cmocka_unit_test(line_and_file_have_a_limit),
		cmocka_unit_test(errors_and_warnings_beyond_the_limit_are_counted),
		cmocka_unit_test(hundred_thousand_peers_are_read_and_a_double_is_found),
		cmocka_unit_test(secrets_are_not_shown_whatever_byte_is_wrong),
		cmocka_unit_test(secrets_are_not_shown_under_any_name),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
