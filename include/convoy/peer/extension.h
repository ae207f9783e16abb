/* Whether a peer is a Convoy: what was said, what was answered, what follows. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/addr.h>

enum cv_extension_state {
	CV_EXTENSION_UNKNOWN,
	CV_EXTENSION_CONVOY,  /* a frame of its came */
	CV_EXTENSION_FOREIGN, /* another implementation: no more is said to it */
};

/* Hellos without an answer after which a peer is foreign. */
enum { CV_EXTENSION_HELLOS = 3 };

/* All zero at first. Control thread only. conf/convoy-wire.md, "Discovery". */
struct cv_extension {
	bool off; /* as the config wishes: nothing is said and nothing answered */
	enum cv_extension_state state;
	uint8_t unanswered;       /* hellos */
	struct cv_endpoint where; /* the peer was, at the last of them */
};

/* A session that we began is there. Return: whether it begins with a hello. */
bool cv_extension_greets(struct cv_extension *extension, const struct cv_endpoint *where);
/* A frame of the peer came. Return: whether we heed it. */
bool cv_extension_heard(struct cv_extension *extension);
/* The key is another one: whoever has it may be another program. */
void cv_extension_forget(struct cv_extension *extension);
