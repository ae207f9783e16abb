/* GET /metrics, as Prometheus would read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include "control/internal.h"
#include "fake_device.h"

static struct cv_device device;
static struct cv_control control;
static char *text;
static int statm;

/* In place of that of http.c. */
int cv_http_statm(const struct cv_http *http)
{
	return statm;
}

static int begin(void **state)
{
	device = (struct cv_device){ .name = "wg0" };
	control = (struct cv_control){ .device = &device };
	cv_config_init(&control.config);
	text = NULL;
	statm = -1;
	return 0;
}

static int end(void **state)
{
	cv_config_free(&control.config);
	free(text);
	return 0;
}

static const char *written(void)
{
	size_t len;
	FILE *out;

	free(text);
	text = NULL;
	out = open_memstream(&text, &len);
	assert_non_null(out);
	cv_metrics_write(&control, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

/* Whole lines of the text, one behind the other. */
static void assert_lines(const char *lines)
{
	const char *at = strstr(text, lines);

	if (!at)
		print_message("missing:\n%sin\n%s", lines, text);
	assert_non_null(at);
	assert_true(at == text || at[-1] == '\n');
}

static void name_peer(size_t number, const char *name)
{
	struct cv_config *config = &control.config;
	void *peers = realloc(config->peers, (config->n_peers + 1) * sizeof(*config->peers));

	assert_non_null(peers);
	config->peers = peers;
	config->peers[config->n_peers++] = (struct cv_config_peer){
		.public_key = fake_key(number),
		.friendly_name = name ? strdup(name) : NULL,
	};
}

static void peers_have_the_names_and_labels_of_the_exporters(void **state)
{
	char key[CV_KEY_BASE64_LEN + 1], lines[1024];
	struct cv_key public_key = fake_key(0);

	device.n_peers = 1;
	name_peer(0, "Alice");
	written();
	cv_key_to_base64(&public_key, key);
	snprintf(lines, sizeof(lines),
		 "wireguard_sent_bytes_total{interface=\"wg0\",public_key=\"%s\","
		 "allowed_ips=\"10.77.0.0/16,10.77.0.0/24,10.77.0.3/32,fd77::2/128\","
		 "friendly_name=\"Alice\"} 1000\n",
		 key);
	assert_lines(lines);
	assert_lines("# TYPE wireguard_sent_bytes_total counter\nwireguard_sent_bytes_total{");
	assert_lines("# TYPE wireguard_received_bytes_total counter\n"
		     "wireguard_received_bytes_total{");
	assert_non_null(strstr(text, "friendly_name=\"Alice\"} 1099511627776\n"));
	assert_lines("# TYPE wireguard_latest_handshake_seconds gauge\n"
		     "wireguard_latest_handshake_seconds{");
	assert_non_null(strstr(text, "friendly_name=\"Alice\"} 1700000000\n"));
}

static void path_and_cipher_are_told_where_there_is_one(void **state)
{
	device.n_peers = 2;
	written();
	assert_lines("# TYPE convoy_peer_rtt_seconds gauge\nconvoy_peer_rtt_seconds{");
	assert_non_null(strstr(text, "friendly_name=\"\"} 0.012345678\n"));
	assert_lines("# TYPE convoy_peer_path_mtu_bytes gauge\nconvoy_peer_path_mtu_bytes{");
	assert_non_null(strstr(text, "friendly_name=\"\"} 1380\n"));
	assert_non_null(strstr(text, "friendly_name=\"\",direction=\"in\"} 0.001500\n"));
	assert_non_null(strstr(text, "friendly_name=\"\",direction=\"out\"} 0.000010\n"));
	assert_lines("# TYPE convoy_peer_messages_expected_total counter\n"
		     "convoy_peer_messages_expected_total{");
	assert_non_null(strstr(text, "friendly_name=\"\",direction=\"in\"} 800\n"));
	assert_lines("# TYPE convoy_peer_messages_received_total counter\n"
		     "convoy_peer_messages_received_total{");
	assert_non_null(strstr(text, "friendly_name=\"\",direction=\"in\"} 700\n"));
	assert_non_null(strstr(text, "friendly_name=\"\",cipher=\"ChaCha20-Poly1305\"} 1\n"));
	/* The other peer has neither. */
	assert_null(strstr(strstr(text, "\nconvoy_peer_rtt_seconds{") + 1,
			   "\nconvoy_peer_rtt_seconds{"));
	assert_null(strstr(strstr(text, "\nconvoy_peer_cipher_info{") + 1,
			   "\nconvoy_peer_cipher_info{"));
}

static void names_find_their_peers_whatever_the_order(void **state)
{
	char key[CV_KEY_BASE64_LEN + 1], lines[256];

	device.n_peers = 5;
	name_peer(3, "three");
	name_peer(9, "nobody");
	name_peer(0, "zero");
	name_peer(2, NULL);
	name_peer(1, "one");
	written();
	for (size_t i = 0; i < 5; i++) {
		static const char *const names[] = { "zero", "one", "", "three", "" };
		struct cv_key public_key = fake_key(i);

		snprintf(lines, sizeof(lines),
			 "wireguard_sent_bytes_total{interface=\"wg0\",public_key=\"%s\"",
			 cv_key_to_base64(&public_key, key));
		assert_lines(lines);
		snprintf(lines, sizeof(lines), "friendly_name=\"%s\"} ", names[i]);
		assert_memory_equal(strstr(strstr(text, key), "friendly_name"), lines,
				    strlen(lines));
	}
	assert_null(strstr(text, "nobody"));
}

static void samples_of_a_metric_stand_together(void **state)
{
	const char *sent, *received, *last;

	device.n_peers = 100;
	written();
	sent = strstr(text, "# TYPE wireguard_sent_bytes_total");
	received = strstr(text, "# HELP wireguard_received_bytes_total");
	assert_true(sent && received && sent < received);
	last = sent;
	for (int i = 0; i < 100; i++) {
		last = strstr(last + 1, "\nwireguard_sent_bytes_total{");
		assert_true(last && last < received);
	}
	assert_null(strstr(received, "wireguard_sent_bytes_total"));
}

static void odd_names_cannot_spoil_the_text(void **state)
{
	device.n_peers = 1;
	device.name = "a\"\x80\n";
	name_peer(0, "Zo\xc3\xab \"x\\\" \xff\xc3(\xed\xa0\x80\xf4\x90\x80\x80 \xf0\x9f\x90\xa7");
	written();
	assert_non_null(strstr(text, "friendly_name=\"Zo\xc3\xab \\\"x\\\\\\\" ?\?(??\????? "
				     "\xf0\x9f\x90\xa7\"} "));
	assert_lines("convoy_up{interface=\"a\\\"??\"} 1\n");
	assert_null(strstr(text, "\x80\n"));
}

static void long_name_is_cut_between_characters(void **state)
{
	char name[1000] = "", *end;

	for (size_t i = 0; i < 300; i++)
		strcat(name, "\xe2\x82\xac");
	device.n_peers = 1;
	name_peer(0, name);
	end = strstr(strstr(written(), "friendly_name"), "\"} ");
	assert_non_null(end);
	assert_memory_equal(end - 3, "\xe2\x82\xac", 3);
}

static void no_secret_is_told(void **state)
{
	struct cv_key secret;
	char base64[CV_KEY_BASE64_LEN + 1];

	memset(secret.b, 0x5e, sizeof(secret.b));
	memset(control.config.private_key.b, 0x5e, CV_KEY_SIZE);
	device.n_peers = 3;
	assert_null(strstr(written(), cv_key_to_base64(&secret, base64)));
}

static void count_drops(void (*visit)(void *arg, const char *name, uint64_t value), void *arg)
{
	char name[64];

	visit(arg, "udp.send_calls", 7);
	for (int reason = 0; reason < CV_DROP_COUNT; reason++) {
		snprintf(name, sizeof(name), "drop.%s", cv_drop_name((enum cv_drop)reason));
		visit(arg, name, (uint64_t)reason);
	}
	visit(arg, "handshake.sessions", UINT64_MAX);
	visit(arg, "peer.KEY.rx_bytes", 9);
}

static void counters_keep_their_names_and_every_drop_has_its_reason(void **state)
{
	char line[128];

	device.count = count_drops;
	written();
	assert_lines("# TYPE convoy_udp_send_calls_total counter\n"
		     "convoy_udp_send_calls_total{interface=\"wg0\"} 7\n");
	assert_lines("# TYPE convoy_drops_total counter\n"
		     "convoy_drops_total{interface=\"wg0\",reason=\"vnet_header\"} 0\n");
	for (int reason = 0; reason < CV_DROP_COUNT; reason++) {
		snprintf(line, sizeof(line),
			 "convoy_drops_total{interface=\"wg0\",reason=\"%s\"} %d\n",
			 cv_drop_name((enum cv_drop)reason), reason);
		assert_lines(line);
	}
	assert_null(strstr(strstr(text, "TYPE convoy_drops_total") + 1, "TYPE convoy_drops_total"));
	assert_lines("convoy_handshake_sessions_total{interface=\"wg0\"} 18446744073709551615\n");
	assert_null(strstr(text, "KEY"));
}

static void count_histograms(void (*visit)(void *arg, const char *name, uint64_t value), void *arg)
{
	visit(arg, "hist.send_batch.le_1", 5);
	visit(arg, "hist.send_batch.le_2", 0);
	visit(arg, "hist.send_batch.le_4", 2);
	visit(arg, "hist.send_batch.sum", 40);
	visit(arg, "hist.send_batch.count", 10);
	visit(arg, "hist.tun.write.le_1", 1);
	visit(arg, "hist.tun.write.sum", 1);
	visit(arg, "hist.tun.write.count", 1);
	visit(arg, "loop.turns", 3);
}

static void histograms_are_cumulative_and_end_in_infinity(void **state)
{
	device.count = count_histograms;
	written();
	assert_lines("# TYPE convoy_send_batch histogram\n"
		     "convoy_send_batch_bucket{interface=\"wg0\",le=\"1\"} 5\n"
		     "convoy_send_batch_bucket{interface=\"wg0\",le=\"2\"} 5\n"
		     "convoy_send_batch_bucket{interface=\"wg0\",le=\"4\"} 7\n"
		     "convoy_send_batch_bucket{interface=\"wg0\",le=\"+Inf\"} 10\n"
		     "convoy_send_batch_sum{interface=\"wg0\"} 40\n"
		     "convoy_send_batch_count{interface=\"wg0\"} 10\n"
		     "# TYPE convoy_tun_write histogram\n"
		     "convoy_tun_write_bucket{interface=\"wg0\",le=\"1\"} 1\n"
		     "convoy_tun_write_bucket{interface=\"wg0\",le=\"+Inf\"} 1\n"
		     "convoy_tun_write_sum{interface=\"wg0\"} 1\n"
		     "convoy_tun_write_count{interface=\"wg0\"} 1\n"
		     "# TYPE convoy_loop_turns_total counter\n");
}

static void tunnel_tells_what_it_runs_on(void **state)
{
	device.n_peers = 3;
	written();
	assert_lines("# TYPE convoy_info gauge\n"
		     "convoy_info{interface=\"wg0\",version=\"");
	assert_non_null(
		strstr(text, ",loop=\"epoll\",workers=\"1\",aead=\"ipsec-mb/openssl\"} 1\n"));
	assert_lines("convoy_peers{interface=\"wg0\"} 3\n");
	assert_null(strstr(text, "process_resident_memory_bytes"));
	assert_lines("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ");
}

static void memory_is_told_each_time_anew(void **state)
{
	char line[80];

	statm = memfd_create("statm", 0);
	for (long pages = 100; pages <= 300; pages += 200) {
		assert_int_equal(ftruncate(statm, 0), 0);
		assert_int_equal(dprintf(statm, "999 %ld 5 5 0 5 0\n", pages) > 0, 1);
		assert_int_equal(lseek(statm, 0, SEEK_SET), 0);
		written();
		snprintf(line, sizeof(line), "process_resident_memory_bytes %ld\n",
			 pages * sysconf(_SC_PAGESIZE));
		assert_lines(line);
	}
	close(statm);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(peers_have_the_names_and_labels_of_the_exporters),
		CASE(path_and_cipher_are_told_where_there_is_one),
		CASE(names_find_their_peers_whatever_the_order),
		CASE(samples_of_a_metric_stand_together),
		CASE(odd_names_cannot_spoil_the_text),
		CASE(long_name_is_cut_between_characters),
		CASE(no_secret_is_told),
		CASE(counters_keep_their_names_and_every_drop_has_its_reason),
		CASE(histograms_are_cumulative_and_end_in_infinity),
		CASE(tunnel_tells_what_it_runs_on),
		CASE(memory_is_told_each_time_anew),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
