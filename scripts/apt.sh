# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash
#
# Where Debian's packages come from: the mirror and the proxy of this
# machine's own apt configuration, with signatures always verified against
# the Debian archive keyring.  Sourced after lib.sh.

# The keyring, which must know the keys of the suite we use.
apt_keyring() {
	local dir=/usr/share/keyrings keyring
	compgen -G "$dir/debian-archive-$SUITE-*" >/dev/null ||
		die "the Debian archive keyring on this machine has no keys of $SUITE." \
			"Update it: apt-get update && apt-get install debian-archive-keyring"
	for keyring in $dir/debian-archive-keyring.{pgp,gpg}; do
		if [ -e "$keyring" ]; then
			echo "$keyring"
			return
		fi
	done
	die "$dir/debian-archive-keyring.gpg is missing." \
		"Install it: apt-get install debian-archive-keyring"
}

# Prints "main URI" and "security URI" as far as this machine's apt knows
# them.  Before the first `apt-get update` apt knows no origin: then go by the
# usual names of the directories.
apt_mirrors() {
	if [ -n "${RSM_MIRROR:-}" ]; then
		echo "main $RSM_MIRROR"
		return
	fi
	# shellcheck disable=SC2016  # apt's variables, not ours
	apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		awk -F '|' '
			$3 ~ /^cdrom:/ { next }
			$1 == "Debian" && $2 == "Debian"          { main[++m] = $3 }
			$1 == "Debian" && $2 == "Debian-Security" { security[++s] = $3 }
			$1 !~ /^Debian/ && $3 ~ /\/debian\/?$/          { guess_main = $3 }
			$1 !~ /^Debian/ && $3 ~ /\/debian-security\/?$/ { guess_security = $3 }
			END {
				if (!m) { main[1] = guess_main; security[1] = guess_security }
				if (main[1] != "") print "main", main[1]
				if (main[1] != "" && security[1] != "") print "security", security[1]
			}'
}

# The sources.list for the suite.  Empty if this machine's apt knows no
# Debian mirror (mmdebstrap then uses its own default).
apt_sources() {
	local keyring kind uri each
	keyring=$(apt_keyring)
	while read -r kind uri; do
		case $kind in
		main)
			for each in "$SUITE" "$SUITE-updates" "$SUITE-backports"; do
				echo "deb [signed-by=$keyring] $uri $each main"
			done
			;;
		security) echo "deb [signed-by=$keyring] $uri $SUITE-security main" ;;
		esac
	done < <(apt_mirrors)
}

# How this machine's apt reaches the network: proxies, certificates, timeouts.
apt_network_options() {
	apt-config dump | grep -E '^Acquire::(http|https|ftp|Retries)\b.* "[^"]+";' || true
}
