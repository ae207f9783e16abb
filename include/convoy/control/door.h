/* The door of a running tunnel for operators: HTTP on a Unix socket that only root may open.
 *
 * GET /metrics	Prometheus text format 0.0.4
 * GET /show	JSON: names of wg-json and ours, see json.c
 * POST /reload	200, or 422 when the file has an error; findings as text either way
 * POST /down	202, and the tunnel ends
 */
#pragma once

#define CV_DOOR_DIR "/run/convoy"
/* For printf(3) with the tunnel's name, at most IFNAMSIZ - 1 characters. */
#define CV_DOOR_PATH CV_DOOR_DIR "/%s.sock"
