/* The word that a mistyped one was probably meant to be. */
#pragma once

#include <stddef.h>

/**
 * cv_suggest_nearest() - find the word of a list that is nearest to what was typed
 * @typed:	len bytes, any bytes; case does not count
 * @words:	word[n]
 *
 * Near is at most a third of the word's letters wrong (missing, too many, other, or two swapped),
 * or at least four letters of it in one piece ("Port" for "ListenPort").
 *
 * Return: index of the nearest word, the first of equals; n when none is near.
 */
size_t cv_suggest_nearest(const char *typed, size_t len, const char *const *words, size_t n);
