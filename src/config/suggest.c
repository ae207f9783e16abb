/*
 * Suggestions for mistyped words.
 *
 * The distance is the edit distance with swaps of neighbours (optimal string alignment), by the
 * usual table of which three rows suffice. Words are short; a longer input is near to nothing.
 */
#include <string.h>
#include <strings.h>

#include <convoy/config/suggest.h>

enum {
	WORD_MAX = 32,
	PIECE_MIN = 4,
};

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		above[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *spare = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned other = lower(a[i - 1]) != lower(b[j - 1]);

			row[j] = least(above[j - 1] + other, least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
			    lower(a[i - 2]) == lower(b[j - 1]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = spare;
	}
	return above[b_len];
}

static int is_piece(const char *typed, size_t len, const char *word, size_t word_len)
{
	if (len < PIECE_MIN)
		return 0;
	for (size_t i = 0; i + len <= word_len; i++)
		if (strncasecmp(word + i, typed, len) == 0)
			return 1;
	return 0;
}

size_t cv_suggest_nearest(const char *typed, size_t len, const char *const *words, size_t n)
{
	unsigned best = WORD_MAX;
	size_t nearest = n;

	if (len == 0 || len > WORD_MAX)
		return n;
	for (size_t i = 0; i < n; i++) {
		size_t word_len = strnlen(words[i], WORD_MAX);
		unsigned limit = (unsigned)word_len / 3;
		unsigned far = distance(typed, len, words[i], word_len);

		if (far > limit && is_piece(typed, len, words[i], word_len))
			far = limit;
		if (far <= limit && far < best) {
			best = far;
			nearest = i;
		}
	}
	return nearest;
}
