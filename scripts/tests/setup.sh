#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# setup.sh [NAME]: tests of set-up, with the real scripts: what they do when
# they are killed, meet each other, find no disk space, no network, or are
# asked for what does not exist.  Prints what Rust's test harness would.

set -euo pipefail

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
filter=${1:-}
real_cache=${XDG_CACHE_HOME:-$HOME/.cache}/rsm
work=$(mktemp -d "${TMPDIR:-/tmp}/rsm-setup-tests.XXXXXX")
trap 'rm -rf "$work"' EXIT
unset RSM_NESTED FLAVOUR
SKIP=77

# ------------------------------------------------------------------ helpers

# An artefact of a few bytes, made as the real ones are.  It is not ready before
# the file GATE is gone and PACE seconds are over; FILL is how many bytes it has.
cat >"$work/make-thing" <<'END'
#!/bin/bash
. "$TREE_UNDER_TEST/scripts/lib.sh"
work() {
	head -c "${FILL:-100}" /dev/zero >"$TMP/half"
	while [ -e "${GATE:-/nowhere}" ]; do sleep 0.1; done
	sleep "${PACE:-0}"
	mv "$TMP/half" "$TMP/whole"
	echo made >>"$COUNT"
}
make_thing() {
	[ ! -d "$CACHE/thing" ] || return 0
	new_tmp thing
	step "Making a thing" thing work
	publish_dir "$TMP" "$CACHE/thing"
}
[ -d "$CACHE/thing" ] || with_lock thing make_thing
echo "$CACHE/thing"
END
chmod +x "$work/make-thing"
export TREE_UNDER_TEST=$tree

# Each test has a cache of its own; sets `cache`.
fresh_cache() {
	export XDG_CACHE_HOME=$work/cache-$1 COUNT=$work/count-$1
	cache=$XDG_CACHE_HOME/rsm
	: >"$COUNT"
}

# Closes the gate; sets `gate`.
close_gate() {
	gate=$work/gate-$1
	: >"$gate"
}

wait_for() { # CONDITION...
	local i
	for ((i = 0; i < 1000; i++)); do
		! "$@" 2>/dev/null || return 0
		sleep 0.1
	done
	echo "waited in vain for: $*"
	return 1
}

none_runs() {
	! pgrep -f "$1" >/dev/null
}

tmp_is_empty() {
	[ -z "$(ls -A "$cache/tmp")" ] || { ls -la "$cache/tmp"; return 1; }
}

no_root_was_made() {
	if compgen -G "$cache/root-*"; then return 1; fi
}

# expect_error TEXT COMMAND...: COMMAND fails with one error, which has TEXT.
expect_error() {
	local text=$1 output
	shift
	if output=$("$@" 2>&1 </dev/null); then
		echo "did not fail: $*"
		return 1
	fi
	echo "$output"
	[ "$(grep -c '^error:' <<<"$output")" -eq 1 ]
	grep -qF -- "$text" <<<"$output"
}

# Without a network, wherever user namespaces are allowed.
offline() {
	bwrap --dev-bind / / --unshare-net --die-with-parent "$@"
}

# With a cache on a disk of so many bytes.
small_disk() {
	local size=$1
	shift
	mkdir -p "$XDG_CACHE_HOME"
	bwrap --dev-bind / / --size "$size" --tmpfs "$XDG_CACHE_HOME" --die-with-parent "$@"
}

# A kernel as scripts/kernel would leave it, as far as choosing looks.
fake_kernel() { # RELEASE VERSION
	mkdir -p "$cache/kernel/$1"
	echo "$1" >"$cache/kernel/$1/release"
	echo "$2" >"$cache/kernel/$1/version"
	echo stock >"$cache/kernel/$1/kind"
}

# A prepared kernel of the real cache; sets `kernel`.
real_kernel() {
	kernel=$(find "$real_cache"/kernel/7.2.* -maxdepth 0 2>/dev/null | sort -V | tail -n 1)
	[ -n "$kernel" ]
}

# in_copy TARGET VARIABLE...: make, in a copy of the tree.
in_copy() {
	rsync -a --exclude .git --exclude target --exclude '*.ko' "$tree/" "$work/copy/"
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s --no-print-directory -C "$work/copy" "$@"
}

# A build directory, as far as `make module` looks before it builds; sets `kdir`.
fake_build_directory() { # RELEASE
	kdir=$work/build-$1
	mkdir -p "$kdir/include/config" "$kdir/rust"
	echo "$1" >"$kdir/include/config/kernel.release"
	echo CONFIG_RUST=y >"$kdir/.config"
	: >"$kdir/rust/libkernel.rmeta"
}

# -------------------------------------------------------------------- tests

test_kill_leaves_nothing_half_made() {
	fresh_cache kill
	close_gate kill
	GATE=$gate "$work/make-thing" &
	wait_for test -e "$cache/tmp/thing.$!/half"
	kill -9 $!
	wait $! || true
	[ ! -e "$cache/thing" ]
	rm "$gate"
	"$work/make-thing"
	[ -e "$cache/thing/whole" ]
	tmp_is_empty
}

test_ctrl_c_stops_all_and_says_so() {
	fresh_cache ctrl-c
	# A process group of its own, as a terminal would give it.
	PACE=1234.$$ setsid env --default-signal=INT "$work/make-thing" 2>"$work/ctrl-c.err" &
	wait_for test -s "$cache/locks/thing.lock"
	local pid
	pid=$(cat "$cache/locks/thing.lock")
	wait_for test -e "$cache/tmp/thing.$pid/half"
	kill -INT -- "-$pid"
	wait_for test ! -d "/proc/$pid"
	cat "$work/ctrl-c.err"
	grep -q 'Stopped' "$work/ctrl-c.err"
	[ ! -e "$cache/thing" ]
	tmp_is_empty
	# It has been told to end, and may do so a moment later.
	wait_for none_runs "sleep 1234[.]$$"
}

test_two_at_once_make_it_once() {
	fresh_cache two
	close_gate two
	GATE=$gate "$work/make-thing" >"$work/first" 2>&1 &
	local first=$! second
	wait_for test -e "$cache/tmp/thing.$first/half"
	"$work/make-thing" >"$work/second" 2>&1 &
	second=$!
	wait_for grep -q 'Waiting: another run is busy with thing' "$work/second"
	rm "$gate"
	wait $first
	wait $second
	cat "$work/first" "$work/second"
	[ "$(wc -l <"$COUNT")" -eq 1 ]
	[ "$(tail -n 1 "$work/first")" = "$(tail -n 1 "$work/second")" ]
}

test_an_orphan_is_waited_for() {
	fresh_cache orphan
	close_gate orphan
	GATE=$gate "$work/make-thing" &
	local pid=$! second
	wait_for test -e "$cache/tmp/thing.$pid/half"
	kill -9 $pid
	wait $pid || true
	# What it had started still runs and must not meet us.
	"$work/make-thing" >"$work/orphan" 2>&1 &
	second=$!
	wait_for grep -q 'Waiting: another run is busy with thing' "$work/orphan"
	rm "$gate"
	wait $second
	cat "$work/orphan"
	[ -e "$cache/thing/whole" ]
	tmp_is_empty
}

test_full_disk_is_named_and_survived() {
	fresh_cache full
	# shellcheck disable=SC2016
	small_disk 4000000 bash -c '
		set -eu
		if FILL=8000000 "$1"; then echo "it fitted?"; exit 1; fi 2>&1 | tee "$2"
		ls -lA "$XDG_CACHE_HOME/rsm/tmp"
		[ ! -e "$XDG_CACHE_HOME/rsm/thing" ]
		[ -z "$(ls -A "$XDG_CACHE_HOME/rsm/tmp")" ]
		FILL=1000 "$1"
		[ -e "$XDG_CACHE_HOME/rsm/thing/whole" ]' - "$work/make-thing" "$work/full"
	grep -q 'The disk is full' "$work/full"
}

test_small_disk_is_refused_before_the_work() {
	fresh_cache small
	expect_error 'not enough disk space' small_disk 100000000 "$tree/scripts/toolchain-root"
}

# The real thing, killed while it unpacks.
test_a_killed_toolchain_root_is_not_used() {
	fresh_cache root
	"$tree/scripts/toolchain-root" 2>"$work/root.err" &
	wait_for test -e "$cache/tmp/toolchain-root.$!/root"
	kill -9 $!
	wait $! || true
	no_root_was_made
	# What it had started ends with the group of the step.
	local step
	step=$(pgrep -f "mmdebstrap.*$cache/tmp" | head -n 1) || true
	[ -z "$step" ] || kill -TERM -- "-$(ps -o pgid= -p "$step" | tr -d ' ')" || true
	wait_for flock -n "$cache/locks/toolchain-root.lock" true
	"$work/make-thing"	# any run sweeps
	tmp_is_empty
	no_root_was_made
}

test_no_user_namespaces_is_named() {
	fresh_cache namespaces
	mkdir -p "$work/bin"
	printf '#!/bin/sh\necho "bwrap: No permissions to create new namespace" >&2\nexit 1\n' >"$work/bin/bwrap"
	chmod +x "$work/bin/bwrap"
	PATH=$work/bin:$PATH expect_error 'Allow user namespaces' "$tree/scripts/toolchain-root"
}

test_unsigned_archive_is_refused() {
	fresh_cache unsigned
	local dist=$work/mirror/dists/trixie-backports
	mkdir -p "$dist/main/binary-amd64"
	: >"$dist/main/binary-amd64/Packages"
	printf 'Origin: Debian\nSuite: trixie-backports\nCodename: trixie-backports\nComponents: main\nArchitectures: amd64\nSHA256:\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages\n' >"$dist/Release"
	RSM_MIRROR=file:${work// /%20}/mirror expect_error 'A signature could not be verified' "$tree/scripts/kernel" 7.2
}

test_kernel_names_are_checked() {
	fresh_cache names
	expect_error 'is not a kernel version' "$tree/scripts/kernel" latest
	expect_error 'is not a kernel version' "$tree/scripts/kernel" '../7.2'
	expect_error 'too old' "$tree/scripts/kernel" 6.12
	FLAVOUR=rt expect_error 'unknown FLAVOUR' "$tree/scripts/kernel" 7.2
}

test_unknown_kernel_lists_what_is_there() {
	[ -e "$real_cache/apt/refreshed" ] || return $SKIP
	local before output
	before=$(ls "$real_cache/kernel")
	if output=$("$tree/scripts/kernel" 9.9 2>&1 </dev/null); then return 1; fi
	! grep -q 'The network did not answer' <<<"$output" || return $SKIP
	expect_error 'It has: 7.' "$tree/scripts/kernel" 9.9
	expect_error 'It has: 7.' "$tree/scripts/kernel" 7.2.999
	[ "$(ls "$real_cache/kernel")" = "$before" ]
}

test_kernel_choice_offline() {
	fresh_cache choice
	fake_kernel 7.2.9+deb13-cloud-amd64 7.2.9-1~bpo13+1
	fake_kernel 7.2.12+deb13-cloud-amd64 7.2.12-1~bpo13+1
	fake_kernel 7.3.4+deb13-cloud-amd64 7.3.4-1~bpo13+1
	fake_kernel 7.3.5+deb13-amd64 7.3.5-1~bpo13+1
	choose() { basename "$(offline "$tree/scripts/kernel" "$1")"; }
	[ "$(choose 7.2)" = 7.2.12+deb13-cloud-amd64 ]
	[ "$(choose newest)" = 7.3.4+deb13-cloud-amd64 ]
	[ "$(choose 7.2.9)" = 7.2.9+deb13-cloud-amd64 ]
	[ "$(choose 7.2.9-1~bpo13+1)" = 7.2.9+deb13-cloud-amd64 ]
	[ "$(FLAVOUR=amd64 choose newest)" = 7.3.5+deb13-amd64 ]
	expect_error 'The network did not answer' offline "$tree/scripts/kernel" 7.4
}

# The index names a kernel that is gone, newer than the one in the cache.
test_a_kernel_that_left_the_archive_is_passed_over() {
	local dir apt list output
	dir=$(find "$real_cache"/kernel/7.2.* -maxdepth 0 2>/dev/null | sort -V | tail -n 1)
	[ -n "$dir" ] && [ -e "$real_cache/apt/refreshed" ] || return $SKIP
	fresh_cache left
	mkdir -p "$cache/kernel"
	ln -s "$dir" "$cache/kernel/"
	ln -s "$real_cache"/root-* "$cache/"
	cp -a "$real_cache/apt" "$cache/apt"
	apt=$cache/apt
	sed -i "s,$real_cache/apt,$apt,g" "$apt/apt.conf"
	# shellcheck disable=SC2016  # apt's variable, not ours
	list=$(apt-get -c "$apt/apt.conf" indextargets --format '$(FILENAME)' 'Created-By: Packages')
	/usr/lib/apt/apt-helper -c "$apt/apt.conf" cat-file "$list" >"$work/list"
	rm "$list"
	local package
	for package in linux-headers-7.2.99+deb13-cloud-amd64 linux-binary-7.2.99+deb13-cloud-amd64 \
		linux-modules-7.2.99+deb13-cloud-amd64 linux-source-7.2; do
		printf 'Package: %s\nVersion: 7.2.99-1\nArchitecture: amd64\nMaintainer: x\nFilename: pool/none/%s.deb\nSize: 9\nSHA256: %064d\nDescription: x\n\n' \
			"$package" "$package" 0 >>"$work/list"
	done
	mv "$work/list" "${list%_Packages*}_Packages"
	if ! output=$("$tree/scripts/kernel" 7.2 2>&1 </dev/null); then
		echo "$output"
		! grep -q 'The network did not answer' <<<"$output" || return $SKIP
		return 1
	fi
	echo "$output"
	grep -q '7.2.99+deb13-cloud-amd64 cannot be downloaded' <<<"$output"
	[ "$(tail -n 1 <<<"$output")" = "$cache/kernel/$(basename "$dir")" ]
}

test_second_run_needs_no_network() {
	compgen -G "$real_cache/kernel/7.2.*" >/dev/null || return $SKIP
	offline timeout 120 "$tree/scripts/kernel" 7.2
	offline timeout 120 "$tree/scripts/toolchain-root"
	offline timeout 120 "$tree/scripts/sandbox" true
}

test_demo_file_is_checked_first() {
	fresh_cache demo
	FILE=$work/missing expect_error 'does not exist' "$tree/scripts/demo"
	FILE=$work expect_error 'not a regular file' "$tree/scripts/demo"
	echo small >"$work/small"
	FILE=$work/small expect_error 'less than one page' "$tree/scripts/demo"
	truncate -s 2G "$work/large"
	FILE=$work/large expect_error 'larger than' "$tree/scripts/demo"
	if [ "$(id -u)" -ne 0 ]; then
		cp "$work/large" "$work/secret"
		chmod 0 "$work/secret"
		FILE=$work/secret expect_error 'cannot be read' "$tree/scripts/demo"
	fi
	no_root_was_made
}

test_kernels_argument_is_checked() {
	fresh_cache kernels
	KERNELS=nonsense expect_error 'unknown KERNELS=nonsense' "$tree/scripts/test"
	no_root_was_made
}

test_module_says_what_kdir_lacks() {
	fresh_cache kdir
	local kdir=$work/kdir
	KDIR=$kdir expect_error 'make kernel KERNEL=' "$tree/scripts/build-module" build
	mkdir -p "$kdir/include/config"
	KDIR=$kdir expect_error 'not the build directory' "$tree/scripts/build-module" build
	echo 7.2.0 >"$kdir/include/config/kernel.release"
	echo '# CONFIG_RUST is not set' >"$kdir/.config"
	KDIR=$kdir expect_error 'without Rust' "$tree/scripts/build-module" build
	echo CONFIG_RUST=y >"$kdir/.config"
	KDIR=$kdir expect_error 'no Rust metadata' "$tree/scripts/build-module" build
}

test_module_of_an_unknown_series_is_refused() {
	fresh_cache series
	local kdir output
	fake_build_directory 9.9.1
	# shellcheck disable=SC2016  # for make
	printf '%s\n' 'VERSION = 9' 'PATCHLEVEL = 9' 'include $(M)/Kbuild' 'modules: ; @:' >"$kdir/Makefile"
	if output=$(in_copy module KDIR="$kdir" 2>&1); then return 1; fi
	echo "$output"
	grep -qF '*** rsm is for Linux 7.2 7.3, not 9.9. RSM_ANY_SERIES=1 builds it all the same' <<<"$output"
	if grep -q 'is built for' <<<"$output"; then return 1; fi
	in_copy module KDIR="$kdir" RSM_ANY_SERIES=1
}

test_module_is_built_and_installed() {
	local kernel kdir release root=$work/root
	real_kernel || return $SKIP
	release=$(cat "$kernel/release")
	expect_error 'rsm.ko is not built yet' in_copy modules_install KDIR="$kernel/build" INSTALL_MOD_PATH="$root"
	in_copy module KDIR="$kernel/build"
	tr '\0' '\n' <"$work/copy/rsm.ko" | grep "^vermagic=$release "

	fake_build_directory 7.2.99
	expect_error "rsm.ko is built for Linux $release, not for 7.2.99" \
		in_copy modules_install KDIR="$kdir" INSTALL_MOD_PATH="$root"
	[ ! -e "$root" ]
	# Its directory stands for the build directory in it.
	in_copy modules_install KDIR="$kernel" INSTALL_MOD_PATH="$root"
	[ "$(cd "$root" && find . -type f -printf '%m %P\n')" = "644 lib/modules/$release/updates/rsm.ko" ]
	cmp "$work/copy/rsm.ko" "$root/lib/modules/$release/updates/rsm.ko"

	# Where there are other modules, it can be found by its name.
	PATH=$PATH:/usr/sbin:/sbin
	command -v depmod >/dev/null || return 0
	touch "$root/lib/modules/$release/modules.order"
	in_copy modules_install KDIR="$kernel/build" INSTALL_MOD_PATH="$root"
	grep -q '^updates/rsm.ko:' "$root/lib/modules/$release/modules.dep"
}

test_install_puts_everything_in_place() {
	local RSM_PROGRAMS=$real_cache/target/x86_64-unknown-linux-gnu/release RSM_LIBRARY=$real_cache/out/user/library
	local program to=$work/installed usr=$work/installed/usr etc=$work/installed/etc
	for program in "$RSM_PROGRAMS"/{rsmctl,rsm-bench} "$RSM_LIBRARY/librsm.so.2"; do
		[ -x "$program" ] || return $SKIP
	done
	export RSM_PROGRAMS RSM_LIBRARY
	install_all() { in_copy install DESTDIR="$to" PREFIX=/usr LIBDIR=/usr/lib64 SYSCONFDIR=/etc; }
	install_all
	(cd "$to" && find . ! -type d -printf '%M %P\n' | sort -k 2)

	for program in rsmctl rsm-bench; do
		[ "$(stat -c %a "$usr/bin/$program")" = 755 ]
		"$usr/bin/$program" --help >/dev/null
	done
	[ "$("$usr/bin/rsmctl" --version)" = "rsmctl $(sed -n 's/^Version: //p' "$usr/lib64/pkgconfig/librsm.pc")" ]
	bash -n "$usr/share/bash-completion/completions/rsmctl"
	local completions
	for completions in bash-completion/completions/rsmctl zsh/site-functions/_rsmctl fish/vendor_completions.d/rsmctl.fish; do
		grep -q publish "$usr/share/$completions"
	done

	cmp "$RSM_LIBRARY/librsm.a" "$usr/lib64/librsm.a"
	[ "$(readlink "$usr/lib64/librsm.so")" = librsm.so.2 ]
	if grep @ "$usr/lib64/pkgconfig/librsm.pc"; then return 1; fi
	cmp "$tree/include/uapi/linux/rsm.h" "$usr/include/linux/rsm.h"
	diff -r --exclude linux "$tree/librsm-user/librsm/include" "$usr/include"
	[ -s "$usr/share/man/man8/rsmctl.8" ]
	[ "$(find "$usr/share/man/man3" -name 'rsm_*.3' | wc -l)" -ge 42 ]
	[ -z "$(find "$to" -xtype l)" ]
	diff -r "$tree/Documentation" "$usr/share/doc/rsm/Documentation"
	[ -s "$usr/lib/udev/rules.d/60-rsm.rules" ]

	# Once more: what has been changed in /etc stays, all else is new.
	local file
	for file in modules-load.d/rsm.conf modprobe.d/rsm.conf rsm/rsm.segmentid; do
		[ -s "$etc/$file" ]
		echo changed >"$etc/$file"
	done
	echo changed >"$usr/bin/rsmctl"
	install_all
	[ "$(sort -u "$etc"/{modules-load.d/rsm.conf,modprobe.d/rsm.conf,rsm/rsm.segmentid})" = changed ]
	cmp "$RSM_PROGRAMS/rsmctl" "$usr/bin/rsmctl"
}

# With a pipe in place of a person.
test_shell_has_the_module_and_the_tools() {
	local kernel tool
	real_kernel && [ -x "$real_cache/target/x86_64-unknown-linux-gnu/release/rsm-vm" ] || return $SKIP
	# shellcheck disable=SC2016  # for the shell in the guest
	echo 'rsmctl doctor; echo "it says $?"; for tool in rsmctl rsm-demo rsm-bench; do command -v $tool; done' |
		TERM=dumb timeout 600 make -s -C "$tree" shell KERNEL=7.2 | tr -d '\r' >"$work/shell"
	cat "$work/shell"
	grep -q 'module .* rsm is loaded' "$work/shell"
	grep -qx 'it says 0' "$work/shell"
	for tool in rsmctl rsm-demo rsm-bench; do
		grep -qx "/rsm/bin/$tool" "$work/shell"
	done
}

test_distclean_waits_for_nobody_and_hurts_nobody() {
	fresh_cache distclean
	close_gate distclean
	GATE=$gate "$work/make-thing" &
	wait_for test -e "$cache/tmp/thing.$!/half"
	# A tree without anything to clean, with the real script.
	mkdir -p "$work/tree/scripts"
	cp "$tree/scripts/clean" "$work/tree/scripts/"
	expect_error 'another run is using' "$work/tree/scripts/clean" all
	rm "$gate"
	wait $!
	[ -e "$cache/thing/whole" ]
	"$work/tree/scripts/clean" all
	[ ! -e "$cache" ]
}

# ------------------------------------------------------------------ harness

mapfile -t tests < <(declare -F | sed -n 's/^declare -f test_//p')
passed=0 failed=0 skipped=0 filtered=0 failures=()
printf '\nrunning %d tests\n' "$(printf 'setup::%s\n' "${tests[@]}" | grep -cF -- "$filter" || true)"
for name in "${tests[@]}"; do
	if [[ setup::$name != *"$filter"* ]]; then
		filtered=$((filtered + 1))
		continue
	fi
	printf 'test setup::%s ... ' "$name"
	set +e
	(
		set -e
		"test_$name"
	) >"$work/output" 2>&1
	status=$?
	set -e
	case $status in
	0) passed=$((passed + 1)) && echo ok ;;
	"$SKIP") skipped=$((skipped + 1)) && echo ignored ;;
	*)
		failed=$((failed + 1))
		echo FAILED
		failures+=("---- setup::$name ----" "$(cat "$work/output")" "")
		;;
	esac
done
[ $failed -eq 0 ] || printf '\nfailures:\n\n%s\n' "$(printf '%s\n' "${failures[@]}")"
verdict=ok
[ $failed -eq 0 ] || verdict=FAILED
printf '\ntest result: %s. %d passed; %d failed; %d ignored; 0 measured; %d filtered out; finished in %d.00s\n\n' \
	$verdict $passed $failed $skipped $filtered $SECONDS
[ $failed -eq 0 ]
