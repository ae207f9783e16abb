# shellcheck shell=bash
# Sourced by the scripts of peers: starting and stopping daemons. bench/README.md has the contract.

server() {
	nsenter --net="/run/netns/$BENCH_B" -- "$@"
}

client() {
	nsenter --net="/run/netns/$BENCH_A" -- "$@"
}

# The numbers of the clients: 0 up to how many were asked for.
clients() {
	seq 0 $((BENCH_CLIENTS - 1))
}

# Say that this peer cannot do what was asked; the bench shows "-".
unsupported() {
	exit 77
}

# launch server|client NAME COMMAND...: a daemon in a session of its own, so that ^C reaches the
# bench alone; nsenter and setsid exec, so the pid is the command's.
launch() {
	local where=$1 name=$2 namespace=$BENCH_A
	shift 2
	[ "$where" = client ] || namespace=$BENCH_B
	: >"$BENCH_DIR/$name.log" # whoever looks into it finds it
	setsid nsenter --net="/run/netns/$namespace" -- "$@" \
		</dev/null >>"$BENCH_DIR/$name.log" 2>&1 &
	echo $! >"$BENCH_DIR/$name.pid"
}

# await WHAT COMMAND...: ask until it succeeds, for at most 10 seconds.
await() {
	local what=$1 tries=0
	shift
	until "$@"; do
		if [ $((tries += 1)) -gt 500 ]; then
			echo "waited in vain: $what" >&2
			return 1
		fi
		sleep 0.02
	done
}

# A zombie has no program any more: whether its parent has asked for it does not matter.
gone() {
	[ -z "$(readlink "/proc/$1/exe")" ]
}

# End every daemon that was launched, in good order.
stop_all() {
	local file pid
	for file in "$BENCH_DIR"/*.pid; do
		[ ! -e "$file" ] || kill -TERM "$(cat "$file")" 2>/dev/null || true
	done
	for file in "$BENCH_DIR"/*.pid; do
		[ -e "$file" ] || continue
		pid=$(cat "$file")
		await "the end of $(basename "$file" .pid)" gone "$pid" || kill -KILL "$pid"
	done
}

# each_option CALLBACK: call it with key and value of each option that was given.
each_option() {
	local line
	while IFS= read -r line; do
		[ -z "$line" ] || "$1" "${line%%=*}" "${line#*=}"
	done <<<"$BENCH_OPTIONS"
}
