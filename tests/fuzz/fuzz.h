/* What the fuzz targets share: an oracle's word, copies of exact size, and a reader of input. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The engine calls it with each input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

__attribute__((noreturn)) static inline void fuzz_failed(const char *what, const char *file,
							 int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

/* Like assert(), whatever the build. */
#define must(holds) ((holds) ? (void)0 : fuzz_failed(#holds, __FILE__, __LINE__))

/* A copy in memory of just its size, so that every step beyond it is seen. */
static inline void *exact(const void *data, size_t len)
{
	void *copy = malloc(len ? len : 1);

	must(copy);
	if (len)
		memcpy(copy, data, len);
	return copy;
}

/* Input that is read piece by piece; behind its end stand zeros. */
struct input {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t read8(struct input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->at++;
}

static inline uint16_t read16(struct input *input)
{
	uint16_t high = read8(input);

	return (uint16_t)(high << 8 | read8(input));
}

static inline uint32_t read32(struct input *input)
{
	uint32_t high = read16(input);

	return high << 16 | read16(input);
}

/* The next len bytes, or as many as there are. Return: how many. */
static inline size_t read_piece(struct input *input, size_t len, const uint8_t **ret_piece)
{
	len = len < input->left ? len : input->left;
	*ret_piece = input->at;
	input->at += len;
	input->left -= len;
	return len;
}

/* The next len bytes, zeros where the input has ended. */
static inline void read_bytes(struct input *input, void *ret_bytes, size_t len)
{
	const uint8_t *piece;
	size_t n = read_piece(input, len, &piece);

	memset(ret_bytes, 0, len);
	if (n)
		memcpy(ret_bytes, piece, n);
}

/* What stands before the next `end`, which is skipped, or all of it. Return: its length. */
static inline size_t read_until(struct input *input, uint8_t end, const uint8_t **ret_piece)
{
	const uint8_t *found = input->left ? memchr(input->at, end, input->left) : NULL;
	size_t len = found ? (size_t)(found - input->at) : input->left;

	len = read_piece(input, len, ret_piece);
	read8(input);
	return len;
}

/* A number that another input does not have, for keys: an engine that watches comparisons learns
 * tags from us, which must be worth nothing in the next input. FNV-1a. */
static inline uint64_t hash_of(const uint8_t *data, size_t size)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
	return hash;
}
