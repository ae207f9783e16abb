#compdef convoy
# zsh completion of convoy(8); installed as zsh/site-functions/_convoy

_convoy_files() {
	local -a names=(/etc/convoy/*.conf(N:t:r) /etc/wireguard/*.conf(N:t:r))
	_alternative 'names:tunnel:compadd -a names' 'files:file:_files -g "*.conf"'
}

# With "all": that word too.
_convoy_running() {
	local -a names=(/run/convoy/*.sock(N=:t:r) ${(M)@:#all})
	compadd -a names
}

_convoy_peers() {
	local -a tunnel names
	(( ${words[(I)--tunnel]} )) && tunnel=(--tunnel "${(Q)words[${words[(I)--tunnel]} + 1]}")
	names=(${(f)"$(convoy peer list $tunnel 2>/dev/null | sed '1d; s/  .*//; /^-$/d')"})
	compadd -a names
}

_convoy_peer() {
	local -a which=(
		'add:a new client: its keys, its address, its file'
		'list:the peers of the file, and how they are'
		'remove:take a peer out of the file'
	)
	local -a tunnel=('--tunnel[the file or name of the tunnel]:tunnel:_convoy_files')
	if (( CURRENT == 2 )); then
		_describe 'what to do' which
		return
	fi
	case $words[2] in
	add)
		shift words
		(( CURRENT-- ))
		_arguments $tunnel \
			'--endpoint[where clients reach this host]:HOST\:PORT:' \
			'--allowed-ips[what the client sends through the tunnel]:prefixes:' \
			'--psk[a preshared key as well]' \
			'--qr[print a QR code for phones]' \
			'--out[put the client'\''s file here]:file:_files' \
			'--help[tell more]' '1:name of the client:'
		;;
	list)
		shift words
		(( CURRENT-- ))
		_arguments $tunnel '--help[tell more]'
		;;
	remove)
		shift words
		(( CURRENT-- ))
		_arguments $tunnel '--help[tell more]' '1:peer:_convoy_peers'
		;;
	esac
}

_convoy() {
	local -a commands=(
		'run:run a tunnel in the foreground'
		'up:start a tunnel in the background'
		'down:end a tunnel'
		'reload:apply what changed in the config file'
		'check:say all that is wrong with a config file'
		'show:tell how running tunnels are'
		'top:watch running tunnels live'
		'peer:add, list or remove peers'
		'genkey:print a new private key'
		'pubkey:print the public key of the private key on stdin'
		'genpsk:print a new preshared key'
		'--foreground:make an interface for wg(8), and stay'
		'--help:list the commands'
		'--version:print the version'
	)
	if (( CURRENT == 2 )); then
		_describe 'command' commands
		return
	fi
	shift words
	(( CURRENT-- ))
	case $words[1] in
	run|up|check) _arguments '--help[tell more]' '1:tunnel:_convoy_files' ;;
	down|reload) _arguments '--help[tell more]' '1:tunnel:_convoy_running' ;;
	show) _arguments '--json[all there is, as JSON]' '--help[tell more]' \
		'1:tunnel:_convoy_running all' ;;
	top) _arguments '--once[print one table]' '--help[tell more]' \
		'1:tunnel:_convoy_running all' ;;
	peer) _convoy_peer ;;
	genkey|pubkey|genpsk) _arguments '--help[tell more]' ;;
	esac
}

_convoy "$@"
