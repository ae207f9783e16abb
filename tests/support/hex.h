/* Known answers as hexadecimal text. Includes cmocka with what it needs. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* cmocka.h wants the ones above before it. */
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

/* Bytes of a hexadecimal text; out has room for them. Return: how many. */
static inline size_t unhex(const char *text, void *out)
{
	uint8_t *bytes = out;
	unsigned byte;
	size_t n = 0;

	for (; text[0] && text[1]; text += 2) {
		assert_int_equal(sscanf(text, "%2x", &byte), 1);
		bytes[n++] = (uint8_t)byte;
	}
	return n;
}

/* Fail unless the bytes at `bytes` are, whole, what the text says. */
#define assert_hex_equal(bytes, text)                    \
	do {                                             \
		uint8_t want_[4096];                     \
		size_t len_ = unhex(text, want_);        \
		assert_memory_equal(bytes, want_, len_); \
	} while (0)
