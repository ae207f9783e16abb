# fish completion of convoy(8); installed as fish/vendor_completions.d/convoy.fish

function __convoy_files
    for file in /etc/convoy/*.conf /etc/wireguard/*.conf
        string replace -r '^.*/(.*)\.conf$' '$1' -- $file
    end
    __fish_complete_suffix .conf
end

function __convoy_running
    for door in /run/convoy/*.sock
        string replace -r '^.*/(.*)\.sock$' '$1' -- $door
    end
end

function __convoy_peers
    set -l words (commandline -opc)
    set -l at (contains -i -- --tunnel $words)
    and set -l tunnel --tunnel $words[(math $at + 1)]
    convoy peer list $tunnel 2>/dev/null | sed '1d; s/  .*//; /^-$/d'
end

function __convoy_wants_command
    test (count (commandline -opc)) = 1
end

function __convoy_wants_peer_command
    set -l words (commandline -opc)
    test (count $words) = 2; and test $words[2] = peer
end

function __convoy_peer_does
    set -l words (commandline -opc)
    test (count $words) -ge 3; and test $words[2] = peer; and contains -- $words[3] $argv
end

complete -c convoy -f
complete -c convoy -n __convoy_wants_command -a run -d 'Run a tunnel in the foreground'
complete -c convoy -n __convoy_wants_command -a up -d 'Start a tunnel in the background'
complete -c convoy -n __convoy_wants_command -a down -d 'End a tunnel'
complete -c convoy -n __convoy_wants_command -a reload -d 'Apply what changed in the config file'
complete -c convoy -n __convoy_wants_command -a check -d 'Say all that is wrong with a config file'
complete -c convoy -n __convoy_wants_command -a show -d 'Tell how running tunnels are'
complete -c convoy -n __convoy_wants_command -a top -d 'Watch running tunnels live'
complete -c convoy -n __convoy_wants_command -a peer -d 'Add, list or remove peers'
complete -c convoy -n __convoy_wants_command -a genkey -d 'Print a new private key'
complete -c convoy -n __convoy_wants_command -a pubkey -d 'Print the public key of a private key'
complete -c convoy -n __convoy_wants_command -a genpsk -d 'Print a new preshared key'
complete -c convoy -n __convoy_wants_command -s f -l foreground -d 'Make an interface for wg(8), and stay'
complete -c convoy -n __convoy_wants_command -l version -d 'Print the version'
complete -c convoy -l help -d 'Tell more'

complete -c convoy -n '__fish_seen_subcommand_from run up check; and not __fish_seen_subcommand_from peer' -a '(__convoy_files)'
complete -c convoy -n '__fish_seen_subcommand_from down reload; and not __fish_seen_subcommand_from peer' -a '(__convoy_running)'
complete -c convoy -n '__fish_seen_subcommand_from show top; and not __fish_seen_subcommand_from peer' -a 'all (__convoy_running)'
complete -c convoy -n '__fish_seen_subcommand_from show' -l json -d 'All there is, as JSON'
complete -c convoy -n '__fish_seen_subcommand_from top' -l once -d 'Print one table'

complete -c convoy -n __convoy_wants_peer_command -a add -d 'A new client: its keys, address and file'
complete -c convoy -n __convoy_wants_peer_command -a list -d 'The peers of the file, and how they are'
complete -c convoy -n __convoy_wants_peer_command -a remove -d 'Take a peer out of the file'
complete -c convoy -n '__convoy_peer_does add list remove' -l tunnel -x -a '(__convoy_files)' -d 'File or name of the tunnel'
complete -c convoy -n '__convoy_peer_does add' -l endpoint -x -d 'Where clients reach this host'
complete -c convoy -n '__convoy_peer_does add' -l allowed-ips -x -d 'What the client sends through the tunnel'
complete -c convoy -n '__convoy_peer_does add' -l psk -d 'A preshared key as well'
complete -c convoy -n '__convoy_peer_does add' -l qr -d 'Print a QR code for phones'
complete -c convoy -n '__convoy_peer_does add' -l out -r -d 'Put the client\'s file here'
complete -c convoy -n '__convoy_peer_does remove' -a '(__convoy_peers)'
