/* How `convoy top` draws tunnels. */
#pragma once

#include <jansson.h>
#include <stdio.h>

/**
 * cv_top_draw() - write what tunnels do now, as lines that end in a newline
 * @now, @before: the tunnels, and the same a moment earlier, as cv_look() gives them
 * @rows:	lines that there is room for; peers that do not fit are counted. 0: no limit
 *
 * Lines have at most 80 columns, fewer when nothing needs them.
 *
 * Return: 0, or -ENOMEM when a line says that there was no memory for a tunnel's peers.
 */
int cv_top_draw(FILE *out, json_t *now, const json_t *before, size_t rows);
