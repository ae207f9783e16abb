/* Whose files may have hooks: root's, in folders of root, with nobody else's hand near them. */
#include "world.h"

#define DIR_AT "/etc/convoy"

static int trust(void)
{
	listen_to_log();
	return cv_trust_file("wg0", FILE_AT);
}

static int setup(void **state)
{
	if (enter(state))
		return -1;
	write_file(FILE_AT, "", 0600);
	return 0;
}

static void file_of_root_is_trusted(void **state)
{
	assert_int_equal(trust(), 0);
	assert_int_equal(chmod(FILE_AT, 0644), 0);
	assert_int_equal(trust(), 0);
}

static void file_of_another_user_is_not(void **state)
{
	assert_int_equal(chown(FILE_AT, 1000, 0), 0);
	assert_int_equal(trust(), -EPERM);
	assert_shows(said(), FILE_AT " belongs to user 1000; run chown root " FILE_AT "\n");
}

static void file_that_others_may_write_is_not(void **state)
{
	assert_int_equal(chmod(FILE_AT, 0620), 0);
	assert_int_equal(trust(), -EPERM);
	assert_shows(said(), "others than root may write to " FILE_AT "; run chmod go-w " FILE_AT);
	assert_int_equal(chmod(FILE_AT, 0602), 0);
	assert_int_equal(trust(), -EPERM);
}

static void file_in_a_folder_that_others_may_write_is_not(void **state)
{
	assert_int_equal(chmod(DIR_AT, 0775), 0);
	assert_int_equal(trust(), -EPERM);
	assert_shows(said(), "others than root may write to " DIR_AT "; run chmod go-w " DIR_AT);
	assert_int_equal(chmod(DIR_AT, 01777), 0);
	assert_int_equal(trust(), -EPERM);
	assert_int_equal(chmod(DIR_AT, 0755), 0);
	assert_int_equal(chown(DIR_AT, 1000, 0), 0);
	assert_int_equal(trust(), -EPERM);
}

static void folders_further_up_count(void **state)
{
	assert_int_equal(chmod("/etc", 0777), 0);
	assert_int_equal(trust(), -EPERM);
	assert_shows(said(), "may write to /etc; ");
	assert_int_equal(chmod("/etc", 01777), 0);
	assert_int_equal(trust(), 0);
	assert_int_equal(chown("/etc", 1000, 0), 0);
	assert_int_equal(trust(), -EPERM);
}

/* The link itself may be anywhere; what counts is where it leads. */
static void link_is_judged_by_where_it_leads(void **state)
{
	assert_int_equal(mkdir("/etc/theirs", 0777), 0);
	assert_int_equal(chmod("/etc/theirs", 0777), 0);
	write_file("/etc/theirs/wg0.conf", "", 0600);
	assert_int_equal(unlink(FILE_AT), 0);
	assert_int_equal(symlink("/etc/theirs/wg0.conf", FILE_AT), 0);
	assert_int_equal(trust(), -EPERM);
	assert_shows(said(), "may write to /etc/theirs; ");
}

static void missing_file_is_an_error(void **state)
{
	assert_int_equal(unlink(FILE_AT), 0);
	assert_int_equal(trust(), -ENOENT);
}

#define TRUST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TRUST(file_of_root_is_trusted),
		TRUST(file_of_another_user_is_not),
		TRUST(file_that_others_may_write_is_not),
		TRUST(file_in_a_folder_that_others_may_write_is_not),
		TRUST(folders_further_up_count),
		TRUST(link_is_judged_by_where_it_leads),
		TRUST(missing_file_is_an_error),
	};

	RUN(tests);
}
