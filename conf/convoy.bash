# bash completion of convoy(8); installed as bash-completion/completions/convoy

# Tunnels that have a file, and tunnels that run.
_convoy_files() {
	local file
	for file in /etc/convoy/*.conf /etc/wireguard/*.conf; do
		[ -r "$file" ] && file=${file##*/} && echo "${file%.conf}"
	done
}

_convoy_running() {
	local door
	for door in /run/convoy/*.sock; do
		[ -S "$door" ] && door=${door##*/} && echo "${door%.sock}"
	done
}

# The names of the peers of the tunnel that --tunnel says, one a line.
_convoy_peers() {
	local i tunnel=()
	for ((i = 2; i < ${#COMP_WORDS[@]} - 1; i++)); do
		[ "${COMP_WORDS[i]}" = --tunnel ] && tunnel=(--tunnel "${COMP_WORDS[i + 1]}")
	done
	convoy peer list "${tunnel[@]}" 2>/dev/null | sed '1d; s/  .*//; /^-$/d'
}

# What of these lines begins with the word that is typed, quoted where it must be.
_convoy_offer() {
	local typed=$1 word
	while IFS= read -r word; do
		[[ -n $word && $word == "$typed"* ]] && COMPREPLY+=("$(printf %q "$word")")
	done <<<"$2"
}

_convoy_offer_files() {
	_convoy_offer "$1" "$(_convoy_files)"
	compopt -o filenames 2>/dev/null
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(
		compgen -d -- "$1"
		compgen -f -X '!*.conf' -- "$1"
	)
}

_convoy_peer() {
	local word=$1 before=$2
	if [ "$COMP_CWORD" = 2 ]; then
		_convoy_offer "$word" $'add\nlist\nremove'
		return
	fi
	case $before in
	--tunnel) _convoy_offer_files "$word" ;;
	--out) compopt -o default 2>/dev/null ;;
	--endpoint | --allowed-ips) ;;
	*)
		case ${COMP_WORDS[2]}:$word in
		add:-*) _convoy_offer "$word" \
			$'--tunnel\n--endpoint\n--allowed-ips\n--psk\n--qr\n--out\n--help' ;;
		*:-*) _convoy_offer "$word" $'--tunnel\n--help' ;;
		remove:*) _convoy_offer "$word" "$(_convoy_peers)" ;;
		esac
		;;
	esac
}

_convoy() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		_convoy_offer "$word" $'run\nup\ndown\nreload\ncheck\nshow\ntop\npeer\ngenkey\npubkey\ngenpsk\n--foreground\n--help\n--version'
		return
	fi
	case ${COMP_WORDS[1]}:$word in
	peer:*) _convoy_peer "$word" "$before" ;;
	show:-*) _convoy_offer "$word" $'--json\n--help' ;;
	top:-*) _convoy_offer "$word" $'--once\n--help' ;;
	*:-*) _convoy_offer "$word" --help ;;
	show:* | top:*) _convoy_offer "$word" "all"$'\n'"$(_convoy_running)" ;;
	down:* | reload:*) _convoy_offer "$word" "$(_convoy_running)" ;;
	run:* | up:* | check:*) _convoy_offer_files "$word" ;;
	esac
}

complete -F _convoy convoy
