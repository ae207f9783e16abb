/* Burst AEADs: every provider of the build gives the same bytes and refuses the same messages. */
#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/aead.h>
#include <convoy/crypto/hash.h>
#include <convoy/crypto/init.h>

#include "hex.h"

static const char key_rfc[] = "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0";
static const char text_rfc[] =
	"496e7465726e65742d4472616674732061726520647261667420646f63756d656e74732076616c696420666f"
	"722061206d6178696d756d206f6620736978206d6f6e74687320616e64206d61792062652075706461746564"
	"2c207265706c616365642c206f72206f62736f6c65746564206279206f7468657220646f63756d656e747320"
	"617420616e792074696d652e20497420697320696e617070726f70726961746520746f2075736520496e7465"
	"726e65742d447261667473206173207265666572656e6365206d6174657269616c206f7220746f2063697465"
	"207468656d206f74686572207468616e206173202fe2809c776f726b20696e2070726f67726573732e2fe280"
	"9d";
static const char box_rfc[] =
	"64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e"
	"382d26b0bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd"
	"60f982b1ff37c8559797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c76"
	"7b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a"
	"0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a67276"
	"27097a1049e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b0270"
	"9b";

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

static const char *chosen(const struct cv_aead_choice *choice, enum cv_aead_class class)
{
	return choice->provider[CV_SUITE_CHACHA20_POLY1305][class]->name;
}

/* Run a test with every provider. */
static void with_each(void (*run)(struct cv_aead *aead))
{
	const char *const *name;
	struct cv_aead_choice choice;
	struct cv_aead aead;

	for (name = cv_aead_names(); *name; name++) {
		assert_int_equal(cv_aead_choose(*name, even_clock, &choice), 0);
		assert_string_equal(chosen(&choice, CV_AEAD_LARGE), *name);
		assert_int_equal(cv_aead_init(&aead, &choice), 0);
		run(&aead);
		cv_aead_done(&aead);
	}
}

/* A clock that makes every call of a provider but the first one's take long. */
static cv_time fake_now;
static unsigned fake_calls;

static cv_time fake_clock(void)
{
	/* Two readings a round and burst: a round ends at once, and the first rounds are short. */
	fake_now += fake_calls++ < 2 * 3 * 2 ? 1000000 : 5000000;
	return fake_now;
}

static void the_provider_that_measures_best_is_chosen(void **state)
{
	struct cv_aead_choice choice;

	assert_int_equal(cv_aead_choose(NULL, fake_clock, &choice), 0);
	assert_string_equal(chosen(&choice, CV_AEAD_LARGE), cv_aead_names()[0]);
	assert_string_equal(chosen(&choice, CV_AEAD_SMALL), cv_aead_names()[0]);
}

static void unknown_provider_is_refused(void **state)
{
	struct cv_aead_choice choice;

	assert_int_equal(cv_aead_choose("rot13", even_clock, &choice), -ENOENT);
}

/* Each class to another provider: a burst of both comes out as one of a single provider. */
static void a_burst_of_both_classes_is_shared_out(void **state)
{
	enum { JOBS = 9, ROOM = 2048 };
	static uint8_t one[JOBS][ROOM], other[JOBS][ROOM];
	const uint32_t lens[JOBS] = { 1, 2000, 1500, 512, 513, 0, 100, 1420, 7 };
	const struct cv_aead_key key = { { 9 } };
	struct cv_aead_choice small, large, mixed;
	struct cv_aead_job jobs[JOBS];
	struct cv_aead aead;

	assert_int_equal(cv_aead_choose(cv_aead_names()[0], even_clock, &small), 0);
	assert_int_equal(cv_aead_choose(cv_aead_names()[1], even_clock, &large), 0);
	mixed = large;
	mixed.provider[0][CV_AEAD_SMALL] = small.provider[0][CV_AEAD_SMALL];
	for (int i = 0; i < JOBS; i++)
		jobs[i] = (struct cv_aead_job){
			.key = &key, .counter = (uint64_t)i, .text = one[i], .len = lens[i]
		};
	assert_int_equal(cv_aead_init(&aead, NULL), 0);
	cv_aead_seal(&aead, jobs, JOBS);
	cv_aead_done(&aead);
	for (int i = 0; i < JOBS; i++)
		jobs[i].text = other[i];
	assert_int_equal(cv_aead_init(&aead, &mixed), 0);
	cv_aead_seal(&aead, jobs, JOBS);
	assert_memory_equal(one, other, sizeof(one));
	cv_aead_open(&aead, jobs, JOBS);
	for (int i = 0; i < JOBS; i++)
		assert_true(jobs[i].ok);
	cv_aead_done(&aead);
}

/* Bit for bit against libsodium's own AEAD: every length up to 2048, every alignment of the text
 * within a cache line in turn, keys that change inside the burst. */
static void check_against_reference(struct cv_aead *aead)
{
	enum { LENGTHS = 2049, ROOM = 2048 + 64 + CV_AEAD_TAG_SIZE };
	uint8_t *ours = calloc(LENGTHS, ROOM), *theirs = calloc(LENGTHS, ROOM);
	struct cv_aead_job *jobs = calloc(LENGTHS, sizeof(*jobs));
	struct cv_aead_key keys[3] = { { { 1 } }, { { 2 } }, { { 3 } } };

	for (uint32_t i = 0; i < LENGTHS; i++) {
		jobs[i] = (struct cv_aead_job){ .key = &keys[i % 3],
						.counter = i,
						.text = theirs + i * ROOM + i % 64,
						.len = i };
		for (uint32_t j = 0; j < i; j++)
			jobs[i].text[j] = (uint8_t)(i * 5 + j * 3);
	}
	memcpy(ours, theirs, (size_t)LENGTHS * ROOM);
	for (uint32_t i = 0; i < LENGTHS; i++) {
		const struct {
			uint8_t zero[4];
			cv_le64 counter;
		} nonce = { .counter = cv_le64_of(i) };

		crypto_aead_chacha20poly1305_ietf_encrypt_detached(
			jobs[i].text, jobs[i].text + i, NULL, jobs[i].text, i, NULL, 0, NULL,
			(const uint8_t *)&nonce, jobs[i].key->key);
	}
	for (uint32_t i = 0; i < LENGTHS; i++)
		jobs[i].text = ours + i * ROOM + i % 64;
	cv_aead_seal(aead, jobs, LENGTHS);
	assert_memory_equal(ours, theirs, (size_t)LENGTHS * ROOM);
	cv_aead_open(aead, jobs, LENGTHS);
	for (uint32_t i = 0; i < LENGTHS; i++) {
		assert_true(jobs[i].ok);
		for (uint32_t j = 0; j < i; j++)
			assert_int_equal(jobs[i].text[j], (uint8_t)(i * 5 + j * 3));
	}
	free(ours);
	free(theirs);
	free(jobs);
}

static void providers_agree_with_libsodium_bit_for_bit(void **state)
{
	with_each(check_against_reference);
}

/* RFC 8439, appendix A.5: its nonce is one of ours; its tag covers additional data, so the tag here
 * is another implementation's without them. */
static void check_rfc(struct cv_aead *aead)
{
	uint8_t buffer[sizeof(text_rfc) / 2 + CV_AEAD_TAG_SIZE];
	struct cv_aead_key key = { .suite = CV_SUITE_CHACHA20_POLY1305 };
	struct cv_aead_job job = {
		.key = &key,
		.counter = UINT64_C(0x0807060504030201),
		.text = buffer,
	};

	unhex(key_rfc, key.key);
	job.len = (uint32_t)unhex(text_rfc, buffer);
	cv_aead_seal(aead, &job, 1);
	assert_hex_equal(buffer, box_rfc);
	assert_hex_equal(buffer + job.len, "6e3570b1acaaf1f24f2a644f01acd12b");
	cv_aead_open(aead, &job, 1);
	assert_true(job.ok);
	assert_hex_equal(buffer, text_rfc);
}

static void seal_gives_the_vector_of_rfc_8439_a_5(void **state)
{
	with_each(check_rfc);
}

/* The answer is the hash of all boxes, from Python's cryptography. */
static void check_lengths(struct cv_aead *aead)
{
	static const uint32_t long_ones[] = { 511,  512,  513,  1023, 1024, 1025,
					      1419, 1420, 1421, 4095, 65535 };
	enum { LENGTHS = 260 + sizeof(long_ones) / sizeof(long_ones[0]), TOTAL = 120000 };
	uint8_t *all = malloc(TOTAL), *at = all, hash[CV_HASH_SIZE];
	struct cv_aead_job jobs[LENGTHS];
	struct cv_aead_key key = { .suite = CV_SUITE_CHACHA20_POLY1305 };
	uint32_t i, j;

	assert_non_null(all);
	for (i = 0; i < CV_AEAD_KEY_SIZE; i++)
		key.key[i] = (uint8_t)i;
	for (i = 0; i < LENGTHS; i++) {
		uint32_t len = i < 260 ? i : long_ones[i - 260];

		jobs[i] = (struct cv_aead_job){
			.key = &key,
			.counter = UINT64_C(0x0102030405060700) + len,
			.text = at,
			.len = len,
		};
		for (j = 0; j < len; j++)
			at[j] = (uint8_t)(len + 7 * j);
		at += len + CV_AEAD_TAG_SIZE;
	}
	assert_true(at <= all + TOTAL);
	cv_aead_seal(aead, jobs, LENGTHS);
	cv_hash(&(struct cv_piece){ all, (size_t)(at - all) }, 1, hash);
	assert_hex_equal(hash, "e4928464a745905855fa874313cc1020ff249516bbdb17c5c4552b1ade03b5dd");
	cv_aead_open(aead, jobs, LENGTHS);
	for (i = 0; i < LENGTHS; i++) {
		assert_true(jobs[i].ok);
		for (j = 0; j < jobs[i].len; j++)
			assert_int_equal(jobs[i].text[j], (uint8_t)(jobs[i].len + 7 * j));
	}
	free(all);
}

static void bursts_of_all_lengths_agree_with_another_implementation(void **state)
{
	with_each(check_lengths);
}

static void check_keys(struct cv_aead *aead)
{
	struct cv_aead_key keys[2] = { { { 1 } }, { { 2 } } };
	uint8_t text[3][8 + CV_AEAD_TAG_SIZE] = { { 0 } };
	struct cv_aead_job jobs[3] = {
		{ .key = &keys[0], .counter = 5, .text = text[0], .len = 8 },
		{ .key = &keys[1], .counter = 5, .text = text[1], .len = 8 },
		{ .key = &keys[0], .counter = 6, .text = text[2], .len = 8 },
	};

	cv_aead_seal(aead, jobs, 3);
	assert_memory_not_equal(text[0], text[1], 24);
	assert_memory_not_equal(text[0], text[2], 24);
	jobs[1].key = &keys[0];
	jobs[2].counter = 5;
	jobs[1].ok = jobs[2].ok = true;
	cv_aead_open(aead, jobs, 3);
	assert_true(jobs[0].ok);
	assert_false(jobs[1].ok);
	assert_false(jobs[2].ok);
}

static void every_job_has_its_own_key_and_counter(void **state)
{
	with_each(check_keys);
}

static void check_flips(struct cv_aead *aead)
{
	enum { LEN = 20, SIZE = LEN + CV_AEAD_TAG_SIZE };
	struct cv_aead_key key = { { 9 } };
	uint8_t sealed[SIZE] = { 0 }, texts[8 * SIZE][SIZE];
	struct cv_aead_job jobs[8 * SIZE];
	size_t bit;

	cv_aead_seal(aead, &(struct cv_aead_job){ .key = &key, .text = sealed, .len = LEN }, 1);
	for (bit = 0; bit < 8 * SIZE; bit++) {
		memcpy(texts[bit], sealed, SIZE);
		/* Every third is left whole: a bad neighbour must not spoil it. */
		if (bit % 3)
			texts[bit][bit / 8] ^= (uint8_t)(1 << bit % 8);
		jobs[bit] = (struct cv_aead_job){ .key = &key, .text = texts[bit], .len = LEN };
	}
	cv_aead_open(aead, jobs, 8 * SIZE);
	for (bit = 0; bit < 8 * SIZE; bit++)
		assert_int_equal(jobs[bit].ok, bit % 3 == 0);
}

static void one_wrong_bit_spoils_its_message_and_no_other(void **state)
{
	with_each(check_flips);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_provider_that_measures_best_is_chosen),
		cmocka_unit_test(a_burst_of_both_classes_is_shared_out),
		cmocka_unit_test(providers_agree_with_libsodium_bit_for_bit),
		cmocka_unit_test(unknown_provider_is_refused),
		cmocka_unit_test(seal_gives_the_vector_of_rfc_8439_a_5),
		cmocka_unit_test(bursts_of_all_lengths_agree_with_another_implementation),
		cmocka_unit_test(every_job_has_its_own_key_and_counter),
		cmocka_unit_test(one_wrong_bit_spoils_its_message_and_no_other),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
