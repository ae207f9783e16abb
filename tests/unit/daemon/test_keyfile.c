/* Keys in files of their own: where they are looked for, and what is said when they are not good.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/crypto/init.h>

#include "daemon/internal.h"

#define KEY_A "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define KEY_B "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="

static char folder[64], credentials[96];
static char said[4096];

static void put(const char *name, const char *text, mode_t mode)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(name, mode), 0);
}

/* Parse a file with these keys in both sections, and load what it names. */
static int load(const char *own, const char *peer, struct cv_config *ret_config)
{
	FILE *findings = fmemopen(said, sizeof(said), "w");
	struct cv_config_errors errors;
	char text[1024];
	int r;

	memset(said, 0, sizeof(said));
	snprintf(text, sizeof(text), "[Interface]\n%s\n[Peer]\nPublicKey = " KEY_B "\n%s\n", own,
		 peer);
	assert_int_equal(cv_config_parse(text, strlen(text), ret_config, &errors), 0);
	cv_config_errors_free(&errors);
	r = cv_keys_load("./tunnel.conf", ret_config, findings);
	fclose(findings);
	return r;
}

static void assert_private_key(const struct cv_config *config, const char *text)
{
	char base64[CV_KEY_BASE64_LEN + 1];

	assert_true(config->has_private_key);
	assert_string_equal(cv_key_to_base64(&config->private_key, base64), text);
}

static void key_is_read_beside_the_config(void **state)
{
	struct cv_config config;

	put("own.key", KEY_A "\n", 0600);
	put("shared.key", KEY_B " \r\n\n", 0600);
	assert_int_equal(load("PrivateKeyFile = own.key", "# convoy: PresharedKeyFile = shared.key",
			      &config),
			 0);
	assert_string_equal(said, "");
	assert_private_key(&config, KEY_A);
	assert_true(config.peers[0].has_psk);
	assert_memory_equal(&config.peers[0].psk, &config.peers[0].public_key, CV_KEY_SIZE);
	cv_config_free(&config);
}

static void key_is_read_from_an_absolute_path(void **state)
{
	struct cv_config config;
	char line[160];

	put("own.key", KEY_A, 0600);
	snprintf(line, sizeof(line), "# convoy: PrivateKeyFile = %s/own.key", folder);
	assert_int_equal(load(line, "", &config), 0);
	assert_private_key(&config, KEY_A);
	cv_config_free(&config);
}

static void bare_name_is_a_credential_where_there_are_credentials(void **state)
{
	struct cv_config config;

	put("own.key", KEY_A, 0600);
	put("credentials/own.key", KEY_B, 0400);
	setenv("CREDENTIALS_DIRECTORY", credentials, 1);
	assert_int_equal(load("PrivateKeyFile = own.key", "", &config), 0);
	assert_private_key(&config, KEY_B);
	cv_config_free(&config);
	assert_int_equal(load("PrivateKeyFile = ./own.key", "", &config), 0);
	assert_private_key(&config, KEY_A);
	cv_config_free(&config);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void every_key_that_is_missing_is_named(void **state)
{
	struct cv_config config;

	assert_int_equal(load("PrivateKeyFile = none.key", "PresharedKeyFile = nil.key", &config),
			 -EINVAL);
	assert_false(config.has_private_key);
	assert_false(config.peers[0].has_psk);
	assert_string_equal(
		said,
		"./tunnel.conf:2: error: PrivateKeyFile: cannot read ./none.key: No such file or "
		"directory\n"
		"  hint: make it by: umask 077; convoy genkey > ./none.key\n"
		"./tunnel.conf:5: error: PresharedKeyFile: cannot read ./nil.key: No such file or "
		"directory\n"
		"  hint: make it by: umask 077; convoy genpsk > ./nil.key\n");
	cv_config_free(&config);
}

static void file_without_a_key_is_refused_and_not_shown(void **state)
{
	static const char *const texts[] = {
		"", "\n", "secret", KEY_A "=", (KEY_A "\n" KEY_B "\n"), (" " KEY_A)
	};
	struct cv_config config;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		put("own.key", texts[i], 0600);
		assert_int_equal(load("PrivateKeyFile = own.key", "", &config), -EINVAL);
		assert_false(config.has_private_key);
		assert_string_equal(
			said, "./tunnel.conf:2: error: PrivateKeyFile: ./own.key holds no key\n"
			      "  hint: it is to hold the 44 characters that `convoy genkey` "
			      "prints\n");
		cv_config_free(&config);
	}
}

static void file_that_everyone_may_read_warns(void **state)
{
	struct cv_config config;

	put("own.key", KEY_A, 0644);
	assert_int_equal(load("PrivateKeyFile = own.key", "", &config), 0);
	assert_private_key(&config, KEY_A);
	assert_string_equal(
		said, "./tunnel.conf:2: warning: PrivateKeyFile: everyone may read ./own.key\n"
		      "  hint: chmod 600 ./own.key\n");
	cv_config_free(&config);
}

static void what_is_no_file_is_refused(void **state)
{
	struct cv_config config;

	assert_int_equal(load("PrivateKeyFile = /", "", &config), -EINVAL);
	assert_non_null(strstr(said, "cannot read /: Is a directory\n"));
	cv_config_free(&config);
	assert_int_equal(load("PrivateKeyFile = /dev/zero", "", &config), -EINVAL);
	assert_non_null(strstr(said, "cannot read /dev/zero: it is neither a file nor a pipe\n"));
	cv_config_free(&config);
}

static int make_folders(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/cv-XXXXXX");
	if (cv_crypto_init() < 0 || !mkdtemp(folder))
		return -1;
	snprintf(credentials, sizeof(credentials), "%s/credentials", folder);
	unsetenv("CREDENTIALS_DIRECTORY");
	return chdir(folder) || mkdir(credentials, 0700);
}

static int remove_folders(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(key_is_read_beside_the_config),
		cmocka_unit_test(key_is_read_from_an_absolute_path),
		cmocka_unit_test(bare_name_is_a_credential_where_there_are_credentials),
		cmocka_unit_test(every_key_that_is_missing_is_named),
		cmocka_unit_test(file_without_a_key_is_refused_and_not_shown),
		cmocka_unit_test(file_that_everyone_may_read_warns),
		cmocka_unit_test(what_is_no_file_is_refused),
	};

	return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
