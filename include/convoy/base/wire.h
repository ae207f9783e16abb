/* Integers as they stand on the wire: bytes with an order, which do not mix with host integers. */
#pragma once

#include <stdint.h>
#include <string.h>

/*
 * Each type is a struct of bytes: alignment 1, so wire structs need no `packed`, and arithmetic
 * on an unconverted field does not compile. cv_X_get() reads, cv_X_of() makes one.
 */
typedef struct {
	uint8_t b[2];
} cv_be16;

typedef struct {
	uint8_t b[4];
} cv_be32;

typedef struct {
	uint8_t b[8];
} cv_be64;

typedef struct {
	uint8_t b[4];
} cv_le32;

typedef struct {
	uint8_t b[8];
} cv_le64;

#define CV_WIRE_INT(name, bits, to_host)                \
	static inline uint##bits##_t name##_get(name w) \
	{                                               \
		uint##bits##_t v;                       \
		memcpy(&v, w.b, sizeof(v));             \
		return to_host(v);                      \
	}                                               \
	static inline name name##_of(uint##bits##_t v)  \
	{                                               \
		name w;                                 \
		v = to_host(v);                         \
		memcpy(w.b, &v, sizeof(v));             \
		return w;                               \
	}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define CV_SAME(v) (v)
CV_WIRE_INT(cv_be16, 16, __builtin_bswap16)
CV_WIRE_INT(cv_be32, 32, __builtin_bswap32)
CV_WIRE_INT(cv_be64, 64, __builtin_bswap64)
CV_WIRE_INT(cv_le32, 32, CV_SAME)
CV_WIRE_INT(cv_le64, 64, CV_SAME)
#else
#define CV_SAME(v) (v)
CV_WIRE_INT(cv_be16, 16, CV_SAME)
CV_WIRE_INT(cv_be32, 32, CV_SAME)
CV_WIRE_INT(cv_be64, 64, CV_SAME)
CV_WIRE_INT(cv_le32, 32, __builtin_bswap32)
CV_WIRE_INT(cv_le64, 64, __builtin_bswap64)
#endif
#undef CV_SAME
#undef CV_WIRE_INT
