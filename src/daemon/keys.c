/* genkey, genpsk and pubkey: as wg(8) has them, one line of base64 in or out. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <convoy/crypto/key.h>
#include <convoy/crypto/secret.h>

#include "internal.h"

enum {
	INPUT_MAX = 4096, /* a key, and blanks around it */
};

void cv_warn_if_world_readable(void)
{
	struct stat status;

	if (fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode) &&
	    (status.st_mode & S_IRWXO))
		cv_complain("warning: writing a secret key to a file that everyone may read; "
			    "run `umask 077` first");
}

static int print_key(const struct cv_key *key)
{
	char text[CV_KEY_BASE64_LEN + 2];
	int result;

	cv_key_to_base64(key, text);
	memcpy(text + CV_KEY_BASE64_LEN, "\n", 2);
	result = cv_write_all(STDOUT_FILENO, text, CV_KEY_BASE64_LEN + 1);
	cv_wipe(text, sizeof(text));
	if (!result)
		return CV_EXIT_OK;
	cv_complain("cannot write the key: %s", strerror(-result));
	return CV_EXIT_FAILURE;
}

static int generate(void (*draw)(struct cv_key *ret_key))
{
	struct cv_key key;
	int result;

	cv_warn_if_world_readable();
	draw(&key);
	result = print_key(&key);
	cv_wipe(&key, sizeof(key));
	return result;
}

int cv_command_genkey(int n, char **arguments)
{
	return generate(cv_key_generate_private);
}

int cv_command_genpsk(int n, char **arguments)
{
	return generate(cv_key_generate_preshared);
}

int cv_command_pubkey(int n, char **arguments)
{
	struct cv_key private_key, public_key;
	struct cv_file input;
	int result = cv_file_read_fd(STDIN_FILENO, INPUT_MAX, &input);

	if (result && result != -EFBIG && result != -ENODEV) {
		cv_complain("cannot read the private key from stdin: %s", strerror(-result));
		return CV_EXIT_FAILURE;
	}
	if (!result) {
		result = cv_file_to_key(&input, &private_key);
		cv_file_done(&input);
	}
	if (result) {
		cv_complain("stdin holds no private key: %d characters of base64 are expected, "
			    "as `convoy genkey` prints them",
			    CV_KEY_BASE64_LEN);
		return CV_EXIT_FAILURE;
	}
	cv_key_public(&private_key, &public_key);
	cv_wipe(&private_key, sizeof(private_key));
	return print_key(&public_key);
}
