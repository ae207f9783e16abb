/* How `convoy show` prints a tunnel. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/**
 * cv_show_print() - print a tunnel as people read it, in the manner of wg(8)
 * @now, @before: what it said, and a moment earlier, for rates; before may be NULL
 * @wall_s:	the time, seconds since the epoch
 *
 * Return: 0, or -ENOMEM when it was printed without its peers.
 */
int cv_show_print(FILE *out, const char *name, const json_t *now, const json_t *before,
		  int64_t wall_s, bool colours);
