# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Makes abi.rs from abi.def: the same claims, for Rust's compiler to check.

BEGIN {
	print "// SPDX-License-Identifier: MIT OR Apache-2.0"
	print "// Made from abi.def by to-rust.awk. For include! where the types and constants"
	print "// of rsmapi.h are in scope."
	print ""
}

/^[A-Z]+\(/ {
	split($0, part, /[(),] */)
	if (part[1] == "TYPE") {
		printf "const _: () = assert!(size_of::<%s>() == %s);\n", part[2], part[3]
		printf "const _: () = assert!(align_of::<%s>() == %s);\n", part[2], part[4]
	} else if (part[1] == "FIELD") {
		printf "const _: () = assert!(core::mem::offset_of!(%s, %s) == %s);\n", part[2], part[3], part[4]
	} else if (part[1] == "VALUE") {
		printf "const _: () = assert!(%s as u64 == %s);\n", part[2], part[3]
	} else if (part[1] == "FUNCTION") {
		functions[count++] = part[2]
	}
}

END {
	print ""
	print "/// Every function that the shared library exports, and nothing else."
	printf "pub const FUNCTIONS: [&str; %d] = [\n", count
	for (i = 0; i < count; i++)
		printf "    \"%s\",\n", functions[i]
	print "];"
}
