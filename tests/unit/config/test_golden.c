/* Bad files and what is said about them: golden/CASE.conf must give golden/CASE.err, every byte. */
#include <dirent.h>
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

enum {
	TEXT_MAX = 1 << 16,
	CASES_MAX = 200,
};

struct text {
	char bytes[TEXT_MAX];
	size_t len;
};

static void read_golden(const char *name, const char *suffix, struct text *ret_text)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s%s", GOLDEN_DIR, name, suffix);
	file = fopen(path, "r");
	assert_non_null(file);
	ret_text->len = fread(ret_text->bytes, 1, sizeof(ret_text->bytes) - 1, file);
	ret_text->bytes[ret_text->len] = '\0';
	fclose(file);
}

static void print_all(const struct cv_config_errors *errors, const char *name,
		      struct text *ret_text)
{
	char file[300];

	snprintf(file, sizeof(file), "%s.conf", name);
	ret_text->len = 0;
	ret_text->bytes[0] = '\0';
	for (size_t i = 0; i < errors->n; i++) {
		size_t room = sizeof(ret_text->bytes) - ret_text->len;
		size_t len = cv_config_error_print(&errors->list[i], file,
						   ret_text->bytes + ret_text->len, room);

		assert_true(len < room);
		ret_text->len += len;
	}
}

static void file_gives_its_golden_text(void **state)
{
	static struct text file, expected, printed;
	const char *name = *state;
	struct cv_config_errors errors;
	struct cv_config config;
	int result;

	read_golden(name, ".conf", &file);
	read_golden(name, ".err", &expected);
	result = cv_config_parse(file.bytes, file.len, &config, &errors);
	print_all(&errors, name, &printed);
	assert_string_equal(printed.bytes, expected.bytes);
	assert_int_equal(result, strstr(expected.bytes, ": error: ") ? -22 : 0);
	if (!result)
		cv_config_free(&config);
	cv_config_errors_free(&errors);
}

static int is_case(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && strcmp(dot, ".conf") == 0;
}

int main(void)
{
	static struct CMUnitTest tests[CASES_MAX];
	struct dirent **files;
	int n = scandir(GOLDEN_DIR, &files, is_case, alphasort), result;

	if (n <= 0 || n > CASES_MAX || cv_crypto_init() < 0) {
		fprintf(stderr, "%s: no cases, or too many\n", GOLDEN_DIR);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		*strrchr(files[i]->d_name, '.') = '\0';
		tests[i] = (struct CMUnitTest){
			.name = files[i]->d_name,
			.test_func = file_gives_its_golden_text,
			.initial_state = files[i]->d_name,
		};
	}
	result = _cmocka_run_group_tests("golden", tests, (size_t)n, NULL, NULL);
	for (int i = 0; i < n; i++)
		free(files[i]);
	free(files);
	return result;
}
