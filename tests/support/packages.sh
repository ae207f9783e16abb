# shellcheck shell=bash
# Sourced by tests/run and the bench: root, Debian packages, and build directories.

need_root() {
	if [ "$(id -u)" != 0 ]; then
		echo "$0: network namespaces and TUN devices need root: sudo $0" >&2
		exit 1
	fi
}

# Install those of the named Debian packages that are missing.
need_packages() {
	local package missing=()
	for package in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "installing: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	local install=(apt-get install -qq -y --no-install-recommends "${missing[@]}")
	# The lists may be absent or old: only then are they fetched.
	"${install[@]}" >/dev/null 2>&1 || { apt-get update -qq && "${install[@]}" >/dev/null; }
}

# What it takes to build: compiler, meson, libraries.
# shellcheck disable=SC2034  # used by those who source this
BUILD_PACKAGES=(gcc libc6-dev binutils meson ninja-build pkg-config libsodium-dev libssl-dev
	libmnl-dev liburing-dev liburcu-dev libmicrohttpd-dev libjansson-dev libseccomp-dev libqrencode-dev)
# Only there for x86-64; without it the build has one AEAD provider less.
[ "$(dpkg --print-architecture)" != amd64 ] || BUILD_PACKAGES+=(libipsec-mb-dev)
# What it takes to make namespaces and traffic.
# shellcheck disable=SC2034
NET_PACKAGES=(iproute2 iputils-ping util-linux procps iperf3 wireguard-tools nftables python3
	python3-cryptography)

# What it takes to make a Debian package, and to judge it.
# shellcheck disable=SC2034
PACKAGE_PACKAGES=(debhelper dpkg-dev lintian)

# The folder for build directories: the tree, or a temporary one when the tree is read-only.
build_root() {
	if mkdir -p build-probe 2>/dev/null && rmdir build-probe; then
		pwd
	else
		mktemp -d -t convoy-build-XXXXXX
	fi
}

# meson setup, or the same options again in a directory that is there. build_setup DIR OPTION...
build_setup() {
	local dir=$1
	shift
	if [ -f "$dir/build.ninja" ]; then
		meson setup --reconfigure "$dir" "$@"
	else
		rm -rf "$dir"
		meson setup --wrap-mode=nodownload "$dir" "$@"
	fi
}
