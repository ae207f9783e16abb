/* Running tunnels as show and top see them: the JSON of GET /show, and numbers out of it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/**
 * cv_look() - ask tunnels how they are
 * @name:	of one, or NULL or "all" for each that runs
 * @loud:	say why a tunnel gave no answer
 * @ret_tunnels: { name: what it said, ... }, a new reference; tunnels without answer are missing
 *
 * Return: 0; -errno of the last failure, with ret_tunnels set to what there is all the same.
 */
int cv_look(const char *name, bool loud, json_t **ret_tunnels);

/* A number, 0 when it is not there. */
double cv_look_number(const json_t *object, const char *name);
/* A text, NULL when it is not there. Borrowed. */
const char *cv_look_text(const json_t *object, const char *name);
/* How a number grew in seconds, a second; 0 when it is unknown or began anew. */
double cv_look_rate(const json_t *before, const json_t *now, const char *name, double seconds);
/* Seconds between two answers of the same tunnel; 0: not known. */
double cv_look_seconds(const json_t *before, const json_t *now);
