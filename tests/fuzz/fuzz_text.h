/*
 * Texts with keys, out of input in which a byte stands for a whole key, so that no mutation breaks
 * one in half; and a mutator that knows lines.
 */
#pragma once

#include "fuzz.h"

/* Made for this: the hashes of "convoy fuzz 1" to 6. */
#define SECRET_1 "cZu+wYPm568w/UjGpWqHxZYeBKUx8P+sp6ONAjtjv28="
#define SECRET_2 "idzTf/J6p9vpEh1+ldaKdkK+gAGYflS8D+F5CYCoaB0="
#define PUBLIC_1 "eKEUSjMY927wAVFM6FueFcwQ4W3FBWRUU6yaHPqZdXE="
#define PUBLIC_2 "TOdM7GVFnDB6ACLCRS+XnVwDqWhEmqfkEKb6tTXwut4="
#define PUBLIC_3 "mF7DqGXNt9+q08sIaQ4WDWd22F5XgYX4NfaigJoqCJA="
#define PUBLIC_4 "BygbJI39sg7yRPDWFYShfTBxJyV5PL5wlBQ2olGIXps="

/* The byte n, from 1 on, is that key. */
static const char *const text_keys[] = { SECRET_1, SECRET_2, PUBLIC_1, PUBLIC_2, PUBLIC_3 };

enum {
	TEXT_KEYS = sizeof(text_keys) / sizeof(text_keys[0]),
	TEXT_SECRETS = 2,
	TEXT_KEY_LEN = sizeof(SECRET_1) - 1,
	TEXT_SHOWN_MAX = 12, /* characters of a secret that may be seen: 72 of 256 bits */
};

/* On the heap, of just its size. */
static inline char *text_of(const uint8_t *data, size_t size, size_t *ret_len)
{
	char *text = malloc(size * TEXT_KEY_LEN + 1), *cut;
	size_t len = 0;

	must(text);
	for (size_t i = 0; i < size; i++)
		if (data[i] >= 1 && data[i] <= TEXT_KEYS) {
			memcpy(text + len, text_keys[data[i] - 1], TEXT_KEY_LEN);
			len += TEXT_KEY_LEN;
		} else {
			text[len++] = (char)data[i];
		}
	cut = exact(text, len);
	free(text);
	*ret_len = len;
	return cut;
}

/* A number for four characters. */
__attribute__((no_sanitize("all"))) static inline uint16_t text_four(const char *at)
{
	uint32_t word;

	memcpy(&word, at, sizeof(word));
	return (uint16_t)(word * UINT32_C(2654435761) >> 16);
}

/* Whether `piece` characters (4 or more) of a secret stand there in a row. Not by strstr(3), from
 * which libFuzzer would learn what to write. */
__attribute__((no_sanitize("all"))) static inline bool text_shows_secret(const char *text,
									 size_t len, size_t piece)
{
	static bool begins[1 << 16]; /* whether a piece of a secret may begin with these four */
	static bool ready;
	size_t n;

	for (size_t i = 0; !ready && i < TEXT_SECRETS; i++)
		for (size_t at = 0; at + 4 < TEXT_KEY_LEN; at++)
			begins[text_four(text_keys[i] + at)] = true;
	ready = true;
	for (size_t at = 0; at + piece <= len; at++) {
		if (!begins[text_four(text + at)])
			continue;
		for (size_t i = 0; i < TEXT_SECRETS; i++)
			for (size_t from = 0; from + piece < TEXT_KEY_LEN; from++) {
				for (n = 0; n < piece && text[at + n] == text_keys[i][from + n];)
					n++;
				if (n == piece)
					return true;
			}
	}
	return false;
}

/* Mutating by lines ----------------------------------------------------------------------- */

/* libFuzzer's; AFL++ mutates by itself. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Lines that a target knows, without their ends; the last is NULL. */
static const char *const fuzz_lines[];

/* Where the n-th line begins, counted round; *ret_len with its end. */
static inline size_t text_line(const uint8_t *data, size_t size, unsigned n, size_t *ret_len)
{
	unsigned lines = 1;
	const uint8_t *end;
	size_t at = 0;

	for (size_t i = 0; i + 1 < size; i++)
		lines += data[i] == '\n';
	for (n %= lines; n; n--)
		at = (size_t)((const uint8_t *)memchr(data + at, '\n', size - at) - data) + 1;
	end = memchr(data + at, '\n', size - at);
	*ret_len = end ? (size_t)(end - data) + 1 - at : size - at;
	return at;
}

/* Put bytes in at a place. Return: the new size, the old one when there is no room. */
static inline size_t text_insert(uint8_t *data, size_t size, size_t max_size, size_t at,
				 const void *bytes, size_t len)
{
	uint8_t copy[512];

	if (len > sizeof(copy) || size + len > max_size)
		return size;
	memcpy(copy, bytes, len);
	memmove(data + at + len, data + at, size - at);
	memcpy(data + at, copy, len);
	return size + len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	unsigned n = seed >> 3, known = 0;
	size_t at, len, other, other_len;
	char line[128];

	while (fuzz_lines[known])
		known++;
	if (size == 0 || seed % 8 < 4)
		return LLVMFuzzerMutate(data, size, max_size);
	at = text_line(data, size, n, &len);
	other = text_line(data, size, n / 64, &other_len);
	switch (seed % 8) {
	case 4: /* a line goes */
		memmove(data + at, data + at + len, size - at - len);
		return size - len;
	case 5: /* one comes again elsewhere */
		return text_insert(data, size, max_size, other, data + at, len);
	default: /* a known one */
		len = (size_t)snprintf(line, sizeof(line), "%s\n", fuzz_lines[n / 64 % known]);
		return text_insert(data, size, max_size, at, line, len);
	}
}
