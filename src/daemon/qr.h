/* A text as a QR code that a phone reads off the terminal. */
#pragma once

#include <stdbool.h>

/**
 * cv_qr_draw() - draw a QR code of UTF-8 half blocks
 * @colours:	set the terminal's colours
 * @ret_art:	lines, on the heap; as secret as the text
 *
 * Return: 0; -E2BIG when the text does not fit into any code; -ENOMEM.
 */
int cv_qr_draw(const char *text, bool colours, char **ret_art);
