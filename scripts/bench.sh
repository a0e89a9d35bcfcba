# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash
#
# What the benchmarks share.  Sourced after lib.sh, never run.

# bench_guest NAME MIB [OPTION...] -- ARGUMENT...: runs rsm-bench in a guest of
# so much memory with a stock kernel.  KERNEL= and FLAVOUR= choose the kernel,
# ACCEL= how it runs, by default counting instructions.  The table goes to
# standard output, all figures as JSON to LOGS/NAME.json, whose name is then in
# `json`.  The guest's verdict is in `status`.
bench_guest() {
	local name=$1 memory=$2 available kernel module programs output
	shift 2
	available=$(($(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) / 1024))
	[ "$memory" -le "$available" ] ||
		die "the guest needs $memory MiB of memory, $available MiB are available."

	kernel=$(kernel_for "${KERNEL:-newest}")
	module=$("$TREE/scripts/module" "$kernel" real)
	programs=$("$TREE/scripts/user" programs)

	note "Booting Linux $(cat "$kernel/release") under QEMU ..."
	private_tmp bench
	output=$TMP/output status=0
	# One source of chance less: addresses.
	# shellcheck disable=SC2034  # for the caller
	"$TREE/scripts/sandbox" "$(inside "$programs")/rsm-vm" run --kernel "$(inside "$kernel")" \
		--module "$(inside "$module")" --bin "$(inside "$programs")/rsm-bench" \
		--memory "$memory" --timeout 1800 --accel "${ACCEL:-icount}" --append norandmaps "$@" --json |
		tee "$output" | grep --line-buffered -v '^{' || status=$?
	json=$LOGS/$name.json
	if ! grep '^{' "$output" >"$TMP/json"; then
		die "the guest has not measured anything."
	fi
	mv "$TMP/json" "$json"
	note "All figures: $(pretty "$json")"
}
