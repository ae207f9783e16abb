/* Suites beside WireGuard's own: every provider seals as OpenSSL's one-shot does, with the header.
 */
#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/aead.h>
#include <convoy/crypto/init.h>

#include "hex.h"

enum { HEADER = CV_AEAD_HEADER_SIZE, TAG = CV_AEAD_TAG_SIZE, TAG_MAX = CV_AEAD_TAG_MAX };

static int setup(void **state)
{
	return cv_crypto_init();
}

/* A clock by which every provider takes as long. */
static cv_time even_clock(void)
{
	static cv_time now;

	return now += 1000000;
}

/* Run a test with every provider of AES-256-GCM that this machine has. */
static void with_each(void (*run)(struct cv_aead *aead))
{
	struct cv_aead_choice choice;
	struct cv_aead aead;

	for (const char *const *name = cv_aead_names(); *name; name++) {
		assert_int_equal(cv_aead_choose(*name, even_clock, &choice), 0);
		if (!choice.cost_ns[CV_SUITE_AES256_GCM])
			continue;
		assert_string_equal(choice.provider[CV_SUITE_AES256_GCM][CV_AEAD_LARGE]->name,
				    *name);
		assert_int_equal(cv_aead_init(&aead, &choice), 0);
		run(&aead);
		cv_aead_done(&aead);
	}
}

/* A key of 32 bytes that are all `byte`. */
static struct cv_suite_key make_key(const struct cv_aead *aead, enum cv_suite suite, uint8_t byte)
{
	uint8_t bytes[CV_AEAD_KEY_SIZE];
	struct cv_suite_key key;

	memset(bytes, byte, sizeof(bytes));
	assert_int_equal(cv_aead_key_prepare(aead, suite, bytes, &key), 0);
	assert_memory_equal(key.key.key, bytes, sizeof(bytes));
	assert_int_equal(key.key.suite, suite);
	return key;
}

/* AES-256-GCM as OpenSSL does it with a context of its own for each message. */
static void seal_by_reference(const struct cv_aead_job *job)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	uint8_t nonce[12] = { 0 };
	int len;

	for (int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(job->counter >> 8 * i);
	assert_int_equal(EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, job->key->key, nonce),
			 1);
	assert_int_equal(EVP_EncryptUpdate(context, NULL, &len, job->text - HEADER, HEADER), 1);
	assert_int_equal(EVP_EncryptUpdate(context, job->text, &len, job->text, (int)job->len), 1);
	assert_int_equal(EVP_EncryptFinal_ex(context, job->text + job->len, &len), 1);
	assert_int_equal(
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG, job->text + job->len), 1);
	EVP_CIPHER_CTX_free(context);
}

static uint8_t letter(uint32_t i, uint32_t j)
{
	return (uint8_t)(i * 5 + j * 3);
}

/* Every length up to 2048, every alignment within a cache line in turn, keys that change inside
 * the burst, counters about which a carry may go wrong; what lies around stays as it was. */
static void check_against_reference(struct cv_aead *aead)
{
	enum { LENGTHS = 2049, ROOM = 64 + HEADER + 2048 + TAG };
	static const uint64_t counters[] = { 0, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX - 15,
					     UINT64_MAX };
	uint8_t *ours = calloc(LENGTHS, ROOM), *theirs = calloc(LENGTHS, ROOM);
	struct cv_aead_job *jobs = calloc(LENGTHS, sizeof(*jobs));
	struct cv_suite_key keys[3];

	for (uint8_t i = 0; i < 3; i++)
		keys[i] = make_key(aead, CV_SUITE_AES256_GCM, i);
	for (uint32_t i = 0; i < LENGTHS; i++) {
		jobs[i] = (struct cv_aead_job){ .key = &keys[i % 3].key,
						.counter = i < 5 * 64 ? counters[i / 64] : i,
						.text = theirs + i * ROOM + HEADER + i % 64,
						.len = i };
		for (uint32_t j = 0; j < HEADER + i; j++)
			jobs[i].text[(int)j - HEADER] = letter(i, j);
	}
	memcpy(ours, theirs, (size_t)LENGTHS * ROOM);
	for (uint32_t i = 0; i < LENGTHS; i++) {
		seal_by_reference(&jobs[i]);
		jobs[i].text = ours + (jobs[i].text - theirs);
	}
	cv_aead_seal(aead, jobs, LENGTHS);
	assert_memory_equal(ours, theirs, (size_t)LENGTHS * ROOM);
	cv_aead_open(aead, jobs, LENGTHS);
	for (uint32_t i = 0; i < LENGTHS; i++) {
		assert_true(jobs[i].ok);
		for (uint32_t j = 0; j < HEADER + i; j++)
			assert_int_equal(jobs[i].text[(int)j - HEADER], letter(i, j));
	}
	free(ours);
	free(theirs);
	free(jobs);
}

static void providers_agree_with_openssl_bit_for_bit(void **state)
{
	with_each(check_against_reference);
}

/*
 * AES-256-GCM by Python's cryptography, which one can ask again:
 *
 *	header = struct.pack("<IIQ", 4 | suite << 8, 0x11223344, counter)
 *	text = bytes(7 * i & 255 for i in range(n))
 *	AESGCM(bytes([9] * 32)).encrypt(bytes(4) + struct.pack("<Q", counter), text, header).hex()
 *
 * AEGIS by a plain transcript of the draft into Python, which gives the draft's own vectors as
 * well; nonces are bytes(8) and bytes(24) before the counter.
 */
static const struct {
	enum cv_suite suite;
	uint64_t counter;
	uint32_t n;
	const char *sealed;
} vectors[] = {
	{ CV_SUITE_AES256_GCM, 0, 0, "673aae9e2fde6f27151b16a1e0e4d042" },
	{ CV_SUITE_AES256_GCM, UINT64_C(1) << 32, 20,
	  "2d7aa4d2e8af4877c2240002b604b873b7f6c36641281ddf05594bab3c725bdf2bda300a" },
	{ CV_SUITE_AES256_GCM, UINT64_MAX - 15, 64,
	  "e65beb7a8be7a3818b0ac6c52a21514e0adfb00a425539a3e93393585d220d4572e2b5aff660"
	  "ec67ad7a4a02b5c8107c7df72325d3980c81bec355bac392252092f89075169e630e5efde53a"
	  "dca5225c" },
	{ CV_SUITE_AEGIS_128L, 0, 0,
	  "2296fc634722e3ddf42de3e1060e74e784873f513a07ffb909afb9a2d40eb4df" },
	{ CV_SUITE_AEGIS_128L, UINT64_C(1) << 32, 20,
	  "f75c2c7d6df7ec22f28289b79f9fbc5681c0569a424ad918aae8a66cda3f7b17db87bec89804"
	  "d7999928787da86a0f4b03111e1d" },
	{ CV_SUITE_AEGIS_128L, UINT64_MAX - 15, 64,
	  "677ac02963b60538842e909d716c43d8730675e1533254fc5a4942a28f4d03f67c04256e2d62"
	  "bf1ceb11b15d8a3474779be7057db005cf4ca5821807cac89eb9ac7515f1261eca1e22c2d977"
	  "c45cafe4641efcf86b9242a9fdab7b8508bc976b" },
	{ CV_SUITE_AEGIS_256, 0, 0,
	  "a69f1e4672ff96c178bd05526d6ac5b067c474b352dc23896e89ee2fa1e2306d" },
	{ CV_SUITE_AEGIS_256, UINT64_C(1) << 32, 20,
	  "3af3775587fadb83d490d888b69430dfee45195502d80719a2f52de14c5d3a3cdf89c983ee82"
	  "f2435e6a95bd6131a3bf31ad0fad" },
	{ CV_SUITE_AEGIS_256, UINT64_MAX - 15, 64,
	  "2de9a93848b9ae2b122bd09fb21edd71959ad8e9c4e39030ff20f298c461123ea90b4156cd03"
	  "9a21d499f741d098f247fc3497c0009e1a983e2fba9c9d8e4dc759665663919dcd3138b73e0c"
	  "639c85979d749c8f1216572d42cceb3581298d1e" },
};

static void check_vectors(struct cv_aead *aead)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const enum cv_suite suite = vectors[i].suite;
		const struct {
			cv_le32 type, receiver;
			cv_le64 counter;
		} header = { cv_le32_of(4 | (uint32_t)suite << 8), cv_le32_of(0x11223344),
			     cv_le64_of(vectors[i].counter) };
		uint8_t message[HEADER + 64 + TAG_MAX];
		struct cv_suite_key key;
		struct cv_aead_job job = { .key = &key.key,
					   .counter = vectors[i].counter,
					   .text = message + HEADER,
					   .len = vectors[i].n };

		if (!aead->lanes[suite][CV_AEAD_LARGE].provider)
			continue;
		key = make_key(aead, suite, 9);
		memcpy(message, &header, HEADER);
		for (uint32_t j = 0; j < job.len; j++)
			job.text[j] = (uint8_t)(7 * j);
		cv_aead_seal(aead, &job, 1);
		assert_hex_equal(job.text, vectors[i].sealed);
	}
}

static void seal_gives_the_vectors_of_another_implementation(void **state)
{
	with_each(check_vectors);
}

static void check_flips_of(struct cv_aead *aead, enum cv_suite suite)
{
	enum { LEN = 20, SIZE = HEADER + LEN + TAG_MAX };
	const uint32_t bits = 8 * (HEADER + LEN + cv_suite_tag_size(suite));
	struct cv_suite_key key = make_key(aead, suite, 9);
	uint8_t sealed[SIZE] = { 0 }, messages[8 * SIZE][SIZE];
	struct cv_aead_job jobs[8 * SIZE];
	struct cv_aead_job job = { .key = &key.key, .text = sealed + HEADER, .len = LEN };

	cv_aead_seal(aead, &job, 1);
	for (size_t bit = 0; bit < bits; bit++) {
		memcpy(messages[bit], sealed, SIZE);
		/* Every third is left whole: a bad neighbour must not spoil it. */
		if (bit % 3)
			messages[bit][bit / 8] ^= (uint8_t)(1 << bit % 8);
		jobs[bit] = job;
		jobs[bit].text = messages[bit] + HEADER;
	}
	cv_aead_open(aead, jobs, bits);
	for (size_t bit = 0; bit < bits; bit++)
		assert_int_equal(jobs[bit].ok, bit % 3 == 0);
	job.counter = 1;
	cv_aead_open(aead, &job, 1);
	assert_false(job.ok);
}

static void check_flips(struct cv_aead *aead)
{
	for (int suite = CV_SUITE_AES256_GCM; suite < CV_SUITES; suite++)
		if (aead->lanes[suite][CV_AEAD_LARGE].provider)
			check_flips_of(aead, (enum cv_suite)suite);
}

static void one_wrong_bit_of_header_text_or_tag_spoils_its_message(void **state)
{
	with_each(check_flips);
}

/* Two suites, two keys of each, both classes, in no order: the same as one by one. */
static void check_mixed(struct cv_aead *aead)
{
	enum { JOBS = 64, ROOM = HEADER + 1500 + TAG };
	static uint8_t together[JOBS][ROOM], alone[JOBS][ROOM];
	struct cv_suite_key keys[4];
	struct cv_aead_job jobs[JOBS];

	for (uint8_t i = 0; i < 4; i++)
		keys[i] = make_key(aead, i & 1 ? CV_SUITE_AES256_GCM : CV_SUITE_CHACHA20_POLY1305,
				   i / 2);
	memset(together, 7, sizeof(together));
	memset(alone, 7, sizeof(alone));
	for (uint32_t i = 0; i < JOBS; i++) {
		uint32_t random = i * 2654435761U;

		jobs[i] = (struct cv_aead_job){ .key = &keys[random >> 30].key,
						.counter = i,
						.text = alone[i] + HEADER,
						.len = random >> 20 & 1 ? 1420 : random >> 8 & 63 };
		cv_aead_seal(aead, &jobs[i], 1);
		jobs[i].text = together[i] + HEADER;
	}
	cv_aead_seal(aead, jobs, JOBS);
	assert_memory_equal(together, alone, sizeof(alone));
	together[17][HEADER] ^= 1;
	cv_aead_open(aead, jobs, JOBS);
	for (uint32_t i = 0; i < JOBS; i++)
		assert_int_equal(jobs[i].ok, i != 17);
}

static void a_burst_may_mix_suites_keys_and_sizes(void **state)
{
	with_each(check_mixed);
}

/* A key prepared for one class by a provider that needs a schedule, for the other by one that
 * needs none. */
static void a_key_serves_the_providers_of_both_classes(void **state)
{
	struct cv_aead_choice small, mixed;
	struct cv_aead aead;

	assert_int_equal(cv_aead_choose(cv_aead_names()[0], even_clock, &small), 0);
	assert_int_equal(cv_aead_choose("openssl", even_clock, &mixed), 0);
	if (!small.cost_ns[CV_SUITE_AES256_GCM])
		skip();
	for (int suite = 0; suite < CV_SUITES; suite++)
		mixed.provider[suite][CV_AEAD_SMALL] = small.provider[suite][CV_AEAD_SMALL];
	assert_int_equal(cv_aead_init(&aead, &mixed), 0);
	check_against_reference(&aead);
	check_mixed(&aead);
	cv_aead_done(&aead);
}

static void a_suite_that_is_not_there_has_no_keys(void **state)
{
	static const uint8_t bytes[CV_AEAD_KEY_SIZE];
	struct cv_suite_key key;
	struct cv_aead_choice choice;
	struct cv_aead aead;

	assert_int_equal(cv_aead_choose("openssl", even_clock, &choice), 0);
	for (int class = 0; class < CV_AEAD_CLASSES; class ++)
		choice.provider[CV_SUITE_AES256_GCM][class] = NULL;
	assert_int_equal(cv_aead_init(&aead, &choice), 0);
	assert_int_equal(cv_aead_key_prepare(&aead, CV_SUITE_AES256_GCM, bytes, &key), -ENOTSUP);
	cv_aead_done(&aead);
}

/* Without a choice the suites are there, and say what another thread's provider says. */
static void the_reference_has_every_suite(void **state)
{
	struct cv_aead aead;

	assert_int_equal(cv_aead_init(&aead, NULL), 0);
	check_against_reference(&aead);
	check_mixed(&aead);
	cv_aead_done(&aead);
}

/* A clock of a machine where libsodium is best with small messages and ipsec-mb with large ones:
 * two readings a round, three rounds a class. */
static unsigned readings;

static cv_time split_clock(void)
{
	static cv_time now;
	unsigned measurement = readings++ / 2 / 3 % 6;

	if (measurement == 0)
		now += 1000000;
	else
		now += measurement == 2 * 2 + 1 ? 2000000 : 5000000;
	return now;
}

/* Three providers of two suites; one of AEGIS, if at all, whose times mean nothing then. */
static bool all_were_measured(const struct cv_aead_choice *choice)
{
	unsigned aegis = choice->cost_ns[CV_SUITE_AEGIS_128L] ? 2 : 0;

	return readings == 2 * 3 * 2 * (3 * 2 + aegis);
}

static void two_providers_with_a_schedule_do_not_share_a_suite(void **state)
{
	struct cv_aead_choice choice;

	readings = 0;
	assert_int_equal(cv_aead_choose(NULL, split_clock, &choice), 0);
	if (!all_were_measured(&choice))
		skip();
	for (int suite = 0; suite <= CV_SUITE_AES256_GCM; suite++)
		assert_string_equal(choice.provider[suite][CV_AEAD_LARGE]->name, "ipsec-mb");
	assert_string_equal(choice.provider[CV_SUITE_CHACHA20_POLY1305][CV_AEAD_SMALL]->name,
			    "libsodium");
	assert_string_equal(choice.provider[CV_SUITE_AES256_GCM][CV_AEAD_SMALL]->name, "ipsec-mb");
}

/* One burst of 32 in 2 ms. */
static void costs_are_those_of_a_large_message_by_the_best(void **state)
{
	struct cv_aead_choice choice;

	readings = 0;
	assert_int_equal(cv_aead_choose(NULL, split_clock, &choice), 0);
	if (!all_were_measured(&choice))
		skip();
	for (int suite = 0; suite <= CV_SUITE_AES256_GCM; suite++)
		assert_int_equal(choice.cost_ns[suite], 2000000 / 32 + 1);
}

static void suites_have_names(void **state)
{
	enum cv_suite suite;

	for (int i = 0; i < CV_SUITES; i++) {
		assert_int_equal(cv_suite_by_name(cv_suite_name((enum cv_suite)i), &suite), 0);
		assert_int_equal(suite, i);
	}
	assert_int_equal(cv_suite_by_name("AES-256-GCM", &suite), 0);
	assert_int_equal(suite, 1);
	assert_int_equal(cv_suite_by_name("AES-128-GCM", &suite), -ENOENT);
	assert_int_equal(cv_suite_by_name("", &suite), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(providers_agree_with_openssl_bit_for_bit),
		cmocka_unit_test(seal_gives_the_vectors_of_another_implementation),
		cmocka_unit_test(one_wrong_bit_of_header_text_or_tag_spoils_its_message),
		cmocka_unit_test(a_burst_may_mix_suites_keys_and_sizes),
		cmocka_unit_test(a_key_serves_the_providers_of_both_classes),
		cmocka_unit_test(a_suite_that_is_not_there_has_no_keys),
		cmocka_unit_test(the_reference_has_every_suite),
		cmocka_unit_test(two_providers_with_a_schedule_do_not_share_a_suite),
		cmocka_unit_test(costs_are_those_of_a_large_message_by_the_best),
		cmocka_unit_test(suites_have_names),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
