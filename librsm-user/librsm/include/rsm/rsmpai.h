/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* As the Programming Interfaces Guide misspells <rsm/rsmapi.h> in its example. */
#ifndef _RSM_RSMPAI_H
#define _RSM_RSMPAI_H

#include <rsmapi.h>

#endif
