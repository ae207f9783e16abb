/* What the files of this module ask of each other. */
#pragma once

#include <convoy/peer/peer.h>

/* liburcu's caa_container_of() casts const away on its way, which our warnings do not let pass. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* The peer is being removed: nobody queues it any more. Return: whether it is queued already (or
 * just about to be); then the take that meets it lets go of it. Control thread. */
bool cv_wishes_forget(struct cv_peer *peer);
