/* The running daemon: one tunnel, its signals and its end. */
#pragma once

struct cv_config;

/**
 * cv_control_run() - run a tunnel in this process until it is told to stop
 * @config:	parsed and named; borrowed until the call returns, may not change
 *
 * Makes the interface, moves packets, and ends on SIGTERM or SIGINT, when everything it made is
 * taken back. Call once, from the main thread, before any other thread exists.
 *
 * Return: 0 after an orderly end, or -errno after the reason was logged.
 */
int cv_control_run(const struct cv_config *config);
