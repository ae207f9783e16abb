/*
 * A QR code for a terminal: a character stands for two modules, one above the other.
 *
 * Light modules are drawn and dark ones are left out, for most terminals are dark; where colours
 * are allowed they are set, so that it comes out right on a light terminal too.
 */
#include "qr.h"

#include <errno.h>
#include <qrencode.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/crypto/secret.h>

enum {
	QUIET_ZONE = 4, /* modules; ISO/IEC 18004, section 5.3.8 */
	BLOCK_LEN = 3,  /* bytes of a block in UTF-8 */
};

#define COLOURS_ON  "\033[97;40m"
#define COLOURS_OFF "\033[0m"

/* Also for places around the code, which are light. */
static bool is_dark(const QRcode *code, int x, int y)
{
	return x >= 0 && y >= 0 && x < code->width && y < code->width &&
	       (code->data[y * code->width + x] & 1);
}

static char *put(char *at, const char *text)
{
	return stpcpy(at, text);
}

static char *draw_line(const QRcode *code, int y, bool colours, char *at)
{
	/* By whether the upper and the lower module are dark. */
	static const char *const blocks[2][2] = { { "\u2588", "\u2580" }, { "\u2584", " " } };

	at = put(at, colours ? COLOURS_ON : "");
	for (int x = -QUIET_ZONE; x < code->width + QUIET_ZONE; x++)
		at = put(at, blocks[is_dark(code, x, y)][is_dark(code, x, y + 1)]);
	return put(at, colours ? COLOURS_OFF "\n" : "\n");
}

static int draw(const QRcode *code, bool colours, char **ret_art)
{
	size_t modules = (size_t)code->width + 2 * QUIET_ZONE;
	size_t line = modules * BLOCK_LEN + strlen(COLOURS_ON COLOURS_OFF "\n");
	char *art = malloc((modules / 2 + 1) * line + 1), *at = art;

	if (!art)
		return -ENOMEM;
	for (int y = -QUIET_ZONE; y < code->width + QUIET_ZONE; y += 2)
		at = draw_line(code, y, colours, at);
	*ret_art = art;
	return 0;
}

int cv_qr_draw(const char *text, bool colours, char **ret_art)
{
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
	int result;

	if (!code)
		return errno == ERANGE ? -E2BIG : -errno;
	result = draw(code, colours, ret_art);
	cv_wipe(code->data, (size_t)code->width * (size_t)code->width);
	QRcode_free(code);
	return result;
}
