# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Makes the linker's version script of abi/abi.def: the public functions, in
# the version that they have on Solaris, and nothing else.

BEGIN { print "SUNWprivate_1.1 {\n\tglobal:" }
/^FUNCTION\(/ {
	sub(/^FUNCTION\(/, "")
	sub(/\).*/, "")
	print "\t\t" $0 ";"
}
END { print "\tlocal:\n\t\t*;\n};" }
