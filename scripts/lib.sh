# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash
#
# What all scripts here share: where things are, how progress looks, and how
# an artefact comes into being in the cache.  Sourced, never run.
#
# The rule that makes set-up resumable: an artefact is made in CACHE/tmp under
# its lock, flushed to disk, and renamed into place.  What has its final name
# is complete; what lies in CACHE/tmp without its lock held is rubbish.

set -euo pipefail

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${XDG_CACHE_HOME:-${HOME:?is not set, and XDG_CACHE_HOME is not either}/.cache}/rsm
LOGS=$CACHE/logs
TMP=            # set by new_tmp
# shellcheck disable=SC2034  # for the scripts that source this
SUITE=trixie

rsm_outermost=${RSM_NESTED:+no}
export RSM_NESTED=1

# ---------------------------------------------------------------- messages

if [ -t 2 ] && [ "${TERM:-dumb}" != dumb ]; then
	rsm_live=yes
	rsm_bold=$'\e[1m' rsm_dim=$'\e[2m' rsm_red=$'\e[31m' rsm_green=$'\e[32m' rsm_off=$'\e[0m'
	rsm_clear=$'\r\e[K'
else
	rsm_live='' rsm_bold='' rsm_dim='' rsm_red='' rsm_green='' rsm_off='' rsm_clear=''
fi
if [ -n "${NO_COLOR:-}" ]; then
	rsm_bold='' rsm_dim='' rsm_red='' rsm_green='' rsm_off=''
fi

# note TEXT: something worth knowing that is not an error.
note() {
	printf '%s  %s\n' "$rsm_clear" "$*" >&2
}

# die TEXT [ADVICE...]: the one error message, then what to do about it.
die() {
	printf '%s%serror:%s %s\n' "$rsm_clear" "$rsm_red$rsm_bold" "$rsm_off" "$1" >&2
	shift
	[ $# -eq 0 ] || printf '       %s\n' "$@" >&2
	exit 1
}

# A path as a person writes it.
pretty() {
	local path=$1
	[ -z "${HOME:-}" ] || path=${path/#"$HOME/"/'~/'}
	printf '%s' "$path"
}

duration() {
	printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# ---------------------------------------------------------------- long steps

rsm_step_pid=

# What the end of a log suggests doing.
rsm_advice() {
	local end
	end=$(tail -n 200 "$1")
	case $end in
	*"No space left on device"* | *"Disk quota exceeded"*)
		echo "The disk is full: $(df -h --output=avail "$CACHE" | tail -n 1 | tr -d ' ') left in $(pretty "$CACHE"). Make room, then run the same command again." ;;
	*"Temporary failure resolving"* | *"Could not resolve"* | *"Couldn't resolve"* | *"Network is unreachable"* | \
		*"Could not connect"* | *"Connection timed out"* | *"Connection refused"* | *"Failed to fetch"*)
		echo "The network did not answer. When it is back, run the same command again: it continues here." ;;
	*"NO_PUBKEY"* | *"isn't signed"* | *"is not signed"* | *"Missing key"*)
		echo "A signature could not be verified. Update the package debian-archive-keyring." ;;
	*"Out of memory"* | *"Cannot allocate memory"* | *"signal: 9"* | *": Killed"*)
		echo "Memory seems to have run out: 4 GiB should be free." ;;
	*) echo "Nothing half-made is kept: once the cause is gone, run the same command again." ;;
	esac
}

# Shows that a step lives.  Runs until the step has ended.
rsm_watch() {
	local pid=$1 title=$2 log=$3 start=$4 i=0
	local frames=(⠋ ⠙ ⠹ ⠸ ⠼ ⠴ ⠦ ⠧ ⠇ ⠏)
	case ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} in
	*[uU][tT][fF]*) ;;
	*) frames=('|' '/' '-' "\\") ;;
	esac
	while kill -0 "$pid" 2>/dev/null; do
		printf '%s%s %s  %s  %s%s%s' "$rsm_clear" "${frames[i++ % ${#frames[@]}]}" "$title" \
			"$(duration $((SECONDS - start)))" "$rsm_dim" "$(pretty "$log")" "$rsm_off" >&2
		sleep 0.2
	done
}

# step TITLE NAME COMMAND...: run COMMAND with its output in LOGS/NAME.log.
# If it fails, show the end of the log and what to do, and exit.  The variable
# `advice` may hold a further line of advice.
step() {
	try_step "$@"
	[ "$step_status" -eq 0 ] || die "$1 failed." "$(rsm_advice "$LOGS/$2.log")" ${advice:+"$advice"}
}

# As step, but leaves the verdict in step_status for the caller to judge.  (An
# exit status would be judged with `if` or `||`, and those switch `set -e` off
# in all that they call.)
#
# COMMAND may be a function, and `set -e` holds in it.  It runs in a process
# group of its own, so that all of it can be stopped when we are.
try_step() {
	local title=$1 log=$LOGS/$2.log start=$SECONDS rc=0
	shift 2
	printf '# %s\n# %s\n' "$(date '+%F %T')" "$*" >"$log" ||
		die "cannot write $log" "Is the disk full? $(df -h --output=avail "$CACHE" | tail -n 1 | tr -d ' ') left."
	[ -n "$rsm_live" ] || printf '  %s ... (log: %s)\n' "$title" "$(pretty "$log")" >&2
	set -m
	rsm_step_pid=pending
	(
		set +m -e
		trap - EXIT INT TERM HUP
		"$@"
	) </dev/null >>"$log" 2>&1 &
	rsm_step_pid=$!
	set +m
	[ -z "$rsm_live" ] || rsm_watch "$rsm_step_pid" "$title" "$log" "$start"
	wait "$rsm_step_pid" || rc=$?
	rsm_step_pid='' step_status=$rc
	if [ "$rc" -eq 0 ]; then
		printf '%s%s %s  %s%s%s\n' "$rsm_clear" "$rsm_green✓$rsm_off" "$title" \
			"$rsm_dim" "$(duration $((SECONDS - start)))" "$rsm_off" >&2
		return 0
	fi
	printf '%s%s %s failed after %s; the end of %s:\n' "$rsm_clear" "$rsm_red✗$rsm_off" "$title" \
		"$(duration $((SECONDS - start)))" "$(pretty "$log")" >&2
	tail -n "${tail_lines:-20}" "$log" | sed 's/^/    | /' >&2
}

# background COMMAND...: runs COMMAND beside all else, in a process group of its
# own, which ends with us.
rsm_background_pid=
background() {
	set -m
	(
		set +m
		trap - EXIT INT TERM HUP
		"$@"
	) </dev/null &
	rsm_background_pid=$!
	set +m
}

# Waits for it; its exit status is ours.
await_background() {
	local rc=0
	wait "$rsm_background_pid" || rc=$?
	rsm_background_pid=
	return $rc
}

# ---------------------------------------------------------------- locks

# with_lock NAME COMMAND...: one at a time, also between two runs.  The lock
# is inherited by what COMMAND starts: should we be killed, another run waits
# until that has ended too.
with_lock() {
	# COMMAND sees these: hence the long names.
	local rsm_lock=$CACHE/locks/$1.lock rsm_lock_fd
	exec {rsm_lock_fd}>>"$rsm_lock"
	if ! flock -n "$rsm_lock_fd"; then
		note "Waiting: another run is busy with $1$(sed -n 's/^/ (process /;s/$/)/;$p' "$rsm_lock") ..."
		flock "$rsm_lock_fd"
	fi
	echo $$ >"$rsm_lock" || true
	shift
	"$@"
	exec {rsm_lock_fd}>&-
}

# ---------------------------------------------------------------- artefacts

# need_space GIB WHAT: stop early, with a clear message, if the disk is small.
need_space() {
	local avail
	avail=$(df --output=avail -k "$CACHE" | tail -n 1)
	[ "$avail" -ge $(($1 * 1024 * 1024)) ] ||
		die "not enough disk space for $2: needs $1 GiB, $((avail / 1024)) MiB are free in $CACHE." \
			"Make room, or point XDG_CACHE_HOME to a larger disk, then run the same command again."
}

# new_tmp NAME: an empty directory to make artefact NAME in; sets TMP.  Call
# it with the lock NAME held: whatever an earlier run has left goes away.
new_tmp() {
	find "$CACHE/tmp" -maxdepth 1 -name "$1.*" -regex '.*\.[0-9]+' -exec rm -rf {} +
	private_tmp "$1"
}

# private_tmp NAME: the same for what never becomes an artefact; needs no lock.
private_tmp() {
	TMP=$CACHE/tmp/$1.$$
	mkdir "$TMP"
	rsm_tmps+=("$TMP")
}

# publish_dir DIR FINAL: give a finished directory (or file) its final name.
publish_dir() {
	local old
	sync -f "$1"
	mkdir -p "$(dirname "$2")"
	if [ -e "$2" ]; then
		old=$CACHE/tmp/old-$(basename "$2").$$
		mv -T "$2" "$old"
		mv -T "$1" "$2"
		rm -rf "$old"
	else
		mv -T "$1" "$2"
	fi
	sync "$(dirname "$2")"
}

# hash_of: a short name for what is on stdin.
hash_of() {
	sha256sum | cut -c 1-12
}

# Throw away what killed runs have left: entries NAME.PID of CACHE/tmp whose
# process is gone and whose lock nobody holds.
rsm_sweep() {
	local entry name fd
	for entry in "$CACHE"/tmp/*.[0-9]*; do
		[[ $entry =~ \.[0-9]+$ ]] || continue
		! kill -0 "${entry##*.}" 2>/dev/null || continue
		name=$(basename "${entry%.*}")
		exec {fd}>>"$CACHE/locks/$name.lock"
		if flock -n "$fd"; then rm -rf "$entry"; fi
		exec {fd}>&-
	done
}

# ---------------------------------------------------------------- for callers

# The directory of the kernel a person names: a series, a version, "newest",
# or "debug".
kernel_for() {
	case $1 in
	debug) "$TREE/scripts/debug-kernel" ;;
	*) "$TREE/scripts/kernel" "$1" ;;
	esac
}

# How bubblewrap gets its rights: root has them, anyone else takes them in a
# user namespace, and is root in there.
if [ "$(id -u)" -eq 0 ]; then
	bwrap_user=()
else
	# shellcheck disable=SC2034  # for the scripts that source this
	bwrap_user=(--unshare-user --uid 0 --gid 0)
fi

# module_sources PART...: the files a module is built from, ended by zero
# bytes; not what a build in the tree has left among them.
module_sources() {
	find "$@" -type f \( -name '*.rs' -o -name '*.[ch]' -o -name Kbuild \) \
		! -name '*_generated.rs' ! -name '*.mod.c' ! -path '*/target/*' -print0 | LC_ALL=C sort -z
}

# A path as it is in the sandbox.
inside() {
	case $1 in
	"$CACHE"/*) echo "/cache${1#"$CACHE"}" ;;
	"$TREE"/*) echo "/rsm${1#"$TREE"}" ;;
	*) die "$1 is neither in the tree nor in the cache." ;;
	esac
}

# ---------------------------------------------------------------- life cycle

rsm_tmps=()

rsm_at_exit() {
	local rc=$? pid
	# Stopped between starting a step and noting its number?
	[ "$rsm_step_pid" != pending ] || rsm_step_pid=${!:-}
	for pid in $rsm_step_pid $rsm_background_pid; do
		kill -TERM -- "-$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	[ ${#rsm_tmps[@]} -eq 0 ] || rm -rf "${rsm_tmps[@]}"
	exit "$rc"
}

rsm_on_signal() {
	trap '' INT TERM HUP
	[ "$rsm_outermost" = no ] ||
		printf '%sStopped. Nothing half-made is kept; the same command continues where this was.\n' "$rsm_clear" >&2
	exit "$1"
}

trap rsm_at_exit EXIT
trap 'rsm_on_signal 129' HUP
trap 'rsm_on_signal 130' INT
trap 'rsm_on_signal 143' TERM

# Everything that uses the cache holds this lock shared, so that distclean
# does not take it away under a run.  It may have done so while we waited:
# then start with a new one.
rsm_open_cache() {
	local fd
	while :; do
		mkdir -p "$CACHE"/{tmp,logs,locks,home,cargo,target,kernel,out,source} ||
			die "cannot make the cache directory $CACHE" "Make it writable, or set XDG_CACHE_HOME."
		exec {fd}>>"$CACHE/locks/in-use.lock"
		flock -s "$fd"
		[ ! "/dev/fd/$fd" -ef "$CACHE/locks/in-use.lock" ] || break
		exec {fd}>&-
	done
	rsm_sweep
}
rsm_open_cache
