/* The running daemon: one tunnel, its signals, its doors for operators, and its end. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

struct cv_config;

struct cv_control_options {
	/* The config file, absolute; NULL when there is none (convoy IFNAME). */
	const char *path;
	/**
	 * read() - read and check the file at path
	 * @findings: receives errors and warnings as text
	 * Return: 0 with ret_config named and to be freed, or -errno.
	 */
	int (*read)(const char *path, struct cv_config *ret_config, FILE *findings);
	/* Give up what a tunnel does not need; NULL: nothing. Called once, behind the keeper's fork
	 * and before the device: capabilities and Landlock belong to a thread and those it makes,
	 * so no other thread exists yet. Return: 0 or -errno after the reason was logged. */
	int (*restrict_self)(const struct cv_control_options *options,
			     const struct cv_config *config);
	/* The tunnel works (0), or it does not and the reason was logged (-errno); NULL: nobody
	 * waits. Called once. */
	void (*started)(int result);
	/* As wireguard-go: somebody else sets addresses and brings the link up, wg(8) sets the
	 * rest, and the end of the socket file is ours. */
	bool bare;
	int tun_fd;  /* made by somebody else, or -1 */
	int uapi_fd; /* listening, made by somebody else, or -1 */
};

/**
 * cv_control_run() - run a tunnel in this process until it is told to stop
 * @config:	parsed and named; taken over: emptied when the call returns
 *
 * Makes the interface, moves packets, and ends on SIGTERM, SIGINT, `convoy down`, or when the
 * interface or the UAPI socket goes; everything it made is taken back. SIGHUP reloads, SIGUSR2
 * prints the counters. Call once, from the main thread, before any other thread exists.
 *
 * Return: 0 after an orderly end, or -errno after the reason was logged.
 */
int cv_control_run(const struct cv_control_options *options, struct cv_config *config);
