# shellcheck shell=bash
# Sourced by tests/run: builds for machines that this one is not, without a word to its dpkg.
#
# The libraries of another architecture come by an apt of their own (lists, cache, and a status in
# which nothing is installed, so that it names all that is needed) and are unpacked into a folder.
# clang needs no more than that folder to compile for it.

# foreign_packages ARCH: what it takes to link and run its programs here. 1: nothing does.
foreign_packages() {
	case $(dpkg --print-architecture)-$1 in
	amd64-i386) ;;
	amd64-s390x | arm64-s390x) echo binutils-s390x-linux-gnu qemu-user ;;
	*) return 1 ;;
	esac
}

# foreign_root ARCH ROOT: what the build needs, in ROOT; nothing is done when it is there.
foreign_root() {
	local arch=$1 root=$2 apt=$2.apt package packages=(libcmocka-dev)
	[ ! -f "$root/complete" ] || return 0
	packages+=("libgcc-$(gcc -dumpversion)-dev")
	for package in "${BUILD_PACKAGES[@]}"; do
		[[ $package != lib*-dev || $package = libipsec-mb-dev ]] || packages+=("$package")
	done
	rm -rf "$apt" "$root"
	mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$root"
	: >"$apt/status"
	local get=(apt-get -q -y -o "Dir::State=$apt" -o "Dir::Cache=$apt" -o "Dir::State::status=$apt/status"
		-o "APT::Architecture=$arch" -o "APT::Architectures=$arch" -o APT::Sandbox::User=root)
	"${get[@]}" update || true # a part of it may do
	"${get[@]}" install --download-only --no-install-recommends "${packages[@]}" || return 1
	for package in "$apt"/archives/*.deb; do
		dpkg-deb -x "$package" "$root"
	done
	rm -rf "$apt"
	touch "$root/complete"
}

# foreign_cross ARCH ROOT: meson's cross file for it.
foreign_cross() {
	local arch=$1 root=$2 tuple=$1-linux-gnu family=$1 endian=little wrapper='' link=''
	case $arch in
	i386) # the kernel runs it, with the loader and libraries of ROOT; RPATH is for theirs, too
		family=x86
		link="'-Wl,--dynamic-linker=$root/lib/ld-linux.so.2', '-Wl,--disable-new-dtags',
			'-Wl,-rpath,$root/lib/$tuple:$root/usr/lib/$tuple'"
		;;
	s390x)
		endian=big
		wrapper="exe_wrapper = ['qemu-s390x', '-L', '$root']"
		;;
	esac
	cat <<-END
		[binaries]
		c = ['clang', '--target=$tuple', '--sysroot=$root']
		ar = 'ar'
		pkgconfig = 'pkg-config'
		$wrapper
		[properties]
		sys_root = '$root'
		pkg_config_libdir = '$root/usr/lib/$tuple/pkgconfig:$root/usr/share/pkgconfig'
		needs_exe_wrapper = $([ -n "$wrapper" ] && echo true || echo false)
		[built-in options]
		c_link_args = [$(echo "$link" | tr -d '\n\t')]
		[host_machine]
		system = 'linux'
		cpu_family = '$family'
		cpu = '$arch'
		endian = '$endian'
	END
}

# foreign_setup ARCH ROOT FILE: its libraries in ROOT, its cross file in FILE. 1: not on this machine.
foreign_setup() {
	if ! foreign_packages "$1" >/dev/null; then
		echo "programs of $1 do not run on $(dpkg --print-architecture)"
		return 1
	fi
	foreign_root "$1" "$2" && foreign_cross "$1" "$2" >"$3"
}
