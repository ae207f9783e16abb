/*
 * top: what tunnels do, live.
 *
 * The terminal is borrowed: its second screen, no cursor, no echo. However the program ends it is
 * given back; signals only end the wait, and the loop ends by itself.
 */
#include "top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <convoy/base/time.h>

#include "internal.h"
#include "look.h"

enum {
	ONCE_MS = 500, /* between the two looks of a single table */
	DEFAULT_ROWS = 24,
	DEFAULT_COLUMNS = 80,
};

static volatile sig_atomic_t ended;

static void note_end(int number)
{
	ended = 1;
}

static void note_nothing(int number)
{
}

/* Signals come only while we wait. */
static void catch_signals(sigset_t *ret_waiting)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = note_end };
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		sigaddset(&blocked, ends[i]);
		sigaction(ends[i], &action, NULL);
	}
	action.sa_handler = note_nothing; /* the wait ends and the next frame fits */
	sigaddset(&blocked, SIGWINCH);
	sigaction(SIGWINCH, &action, NULL);
	sigprocmask(SIG_BLOCK, &blocked, ret_waiting);
}

static void borrow_terminal(struct termios *ret_before)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, ret_before) == 0) {
		raw = *ret_before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		raw.c_cc[VSUSP] = _POSIX_VDISABLE;
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	fputs("\x1b[?1049h\x1b[?25l", stdout);
}

static void return_terminal(const struct termios *before)
{
	fputs("\x1b[?25h\x1b[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, before);
}

/* The lines of the text, cut to the terminal, over what was there. */
static void put_screen(const char *text, size_t rows, size_t columns)
{
	fputs("\x1b[H", stdout);
	for (size_t row = 0; row + 1 < rows && *text; row++) {
		size_t shown = 0;

		for (; *text && *text != '\n'; text++) {
			shown += (*text & 0xc0) != 0x80; /* bytes that begin a character */
			if (shown <= columns)
				putchar(*text);
		}
		text += *text == '\n';
		fputs("\x1b[K\r\n", stdout);
	}
	fputs("\x1b[J", stdout);
	fflush(stdout);
}

static void draw_screen(json_t *now, const json_t *before)
{
	struct winsize size = { 0 };
	size_t rows, columns, len;
	char *text = NULL;
	FILE *out;

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	rows = size.ws_row ? size.ws_row : DEFAULT_ROWS;
	columns = size.ws_col ? size.ws_col : DEFAULT_COLUMNS;
	out = open_memstream(&text, &len);
	if (!out)
		return;
	cv_top_draw(out, now, before, rows - 1);
	if (fclose(out) == 0)
		put_screen(text, rows, columns);
	free(text);
}

/* A second passes, or a key or signal comes. False: it was one to quit. */
static bool wait_for_key(const sigset_t *waiting)
{
	const struct timespec second = { .tv_sec = 1 };
	struct pollfd keys = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	if (ppoll(&keys, 1, &second, waiting) <= 0)
		return !ended;
	return read(STDIN_FILENO, &key, 1) == 1 && key != 'q' && key != 'Q';
}

/* Takes: now. Return: true when the user left, false when the tunnels did. */
static bool watch(const char *name, json_t *now)
{
	json_t *before = NULL;
	struct termios terminal = { 0 };
	sigset_t waiting;
	bool quit;

	catch_signals(&waiting);
	borrow_terminal(&terminal);
	do {
		draw_screen(now, before);
		quit = !wait_for_key(&waiting);
		if (quit)
			break;
		json_decref(before);
		before = now;
		cv_look(name, false, &now);
	} while (json_object_size(now) > 0);
	return_terminal(&terminal);
	json_decref(before);
	json_decref(now);
	return quit;
}

/* Takes: before. */
static int print_once(const char *name, json_t *before)
{
	const struct timespec pause = { .tv_nsec = ONCE_MS * CV_NS_PER_MS };
	json_t *now;
	int r, drawn;

	nanosleep(&pause, NULL);
	r = cv_look(name, true, &now);
	drawn = cv_top_draw(stdout, now, before, 0);
	json_decref(before);
	json_decref(now);
	if (drawn < 0) {
		cv_complain("not enough memory to show all of it");
		return drawn;
	}
	if (r == 0 && fflush(stdout) == EOF) {
		r = -errno;
		cv_complain("cannot write to stdout: %s", strerror(errno));
	}
	return r;
}

static int refuse(const char *argument)
{
	static const char *const names[] = { "--once" };

	if (argument[0] == '-')
		cv_complain_option("top", argument, names, 1);
	return CV_EXIT_USAGE;
}

int cv_command_top(int n, char **arguments)
{
	const char *name = NULL;
	bool once = !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
	json_t *tunnels;
	int r;

	for (int i = 0; i < n; i++) {
		if (strcmp(arguments[i], "--once") == 0)
			once = true;
		else if (arguments[i][0] != '-' && !name)
			name = arguments[i];
		else
			return refuse(arguments[i]);
	}
	r = cv_look(name, true, &tunnels);
	if (json_object_size(tunnels) == 0) {
		json_decref(tunnels);
		if (r == 0)
			cv_complain("no tunnel is running; `convoy up NAME` starts one");
		return r == 0 ? CV_EXIT_OK : CV_EXIT_FAILURE;
	}
	if (once)
		return print_once(name, tunnels) < 0 ? CV_EXIT_FAILURE : CV_EXIT_OK;
	if (watch(name, tunnels))
		return CV_EXIT_OK;
	cv_complain("%s gives no answer any more: it ended", name ? name : "the last tunnel");
	return CV_EXIT_FAILURE;
}
