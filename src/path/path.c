/* The path's memory: taken once, given back at the end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stages.h"

static void open_alone(struct cv_path *path, struct cv_aead_job *jobs, size_t n)
{
	cv_aead_open(&path->aead, jobs, n);
}

int cv_path_init(struct cv_path *path, struct cv_plane *plane, const struct cv_aead_choice *choice)
{
	int r;

	*path = (struct cv_path){ .plane = plane, .open_burst = open_alone };
	r = cv_aead_init(&path->aead, choice);
	if (r < 0)
		return r;
	path->out = calloc(1, sizeof(*path->out));
	path->in = calloc(1, sizeof(*path->in));
	if (path->out)
		path->out->arena = aligned_alloc(64, CV_PATH_ARENA_SIZE);
	if (path->in)
		path->in->merge = cv_merge_new();
	if (path->out && path->out->arena && path->in && path->in->merge)
		return 0;
	cv_path_done(path);
	return -ENOMEM;
}

void cv_path_done(struct cv_path *path)
{
	if (path->out) {
		free(path->out->arena);
		free(path->out);
	}
	if (path->in) {
		cv_merge_free(path->in->merge);
		free(path->in);
	}
	cv_aead_done(&path->aead);
	*path = (struct cv_path){ 0 };
}
