/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A name of <rsmapi.h> that Solaris programs and their documentation use. */
#ifndef _SYS_RSM_RSM_COMMON_H
#define _SYS_RSM_RSM_COMMON_H

#include <rsmapi.h>

#endif
