# shellcheck shell=bash
# Sourced by peers that speak WireGuard: keys, and files in wg-quick's format.

server_name() {
	echo "${BENCH_LABEL}b"
}

client_name() {
	echo "${BENCH_LABEL}a$1"
}

# A file is called after its interface.
file_of() {
	echo "$BENCH_DIR/$1.conf"
}

interface_section() {
	printf '[Interface]\nPrivateKey = %s\nAddress = %s\nMTU = %s\n' "$1" "$2" "$BENCH_MTU"
}

# Peers that never call, with addresses of their own. Any 32 bytes are a public key: 42 random
# base64 digits, and one that ends the 256th bit.
idle_peers() {
	local count=$((BENCH_PEERS - BENCH_CLIENTS)) number=0 digits
	[ $count -gt 0 ] || return 0
	head -c $((33 * count)) /dev/urandom | base64 -w 44 | while read -r digits; do
		printf '[Peer]\nPublicKey = %sA=\nAllowedIPs = 10.%d.%d.%d/32, fd78::%x/128\n' \
			"${digits:0:42}" $((128 + number / 62500)) $((number / 250 % 250)) \
			$((number % 250 + 1)) "$number"
		number=$((number + 1))
	done
}

# write_files COMMAND: all files; what COMMAND prints are further keys of each [Interface].
write_files() {
	local more=$1 secret server i key addresses=() peers=''
	umask 077
	secret=$(wg genkey)
	server=$(wg pubkey <<<"$secret")
	for i in $(clients); do
		key=$(wg genkey)
		{
			interface_section "$key" "10.77.$i.1/24, fd77:0:0:$i::1/64"
			"$more"
			printf '[Peer]\nPublicKey = %s\nEndpoint = %s:51820\n' "$server" "$BENCH_OUTER_B"
			printf 'AllowedIPs = 10.77.%s.2/32, fd77:0:0:%s::2/128\n' "$i" "$i"
		} >"$(file_of "$(client_name "$i")")"
		addresses+=("10.77.$i.2/24" "fd77:0:0:$i::2/64")
		peers+=$(printf '[Peer]\nPublicKey = %s\nAllowedIPs = %s/32, %s/128' \
			"$(wg pubkey <<<"$key")" "10.77.$i.1" "fd77:0:0:$i::1")$'\n'
	done
	{
		interface_section "$secret" "$(IFS=, && echo "${addresses[*]}")"
		echo 'ListenPort = 51820'
		"$more"
		printf '%s' "$peers"
		idle_peers
	} >"$(file_of "$(server_name)")"
}
