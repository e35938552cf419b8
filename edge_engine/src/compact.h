/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions between EE_COMPACT and EE_COMPACT_END are compiled for size: everything but the handlers, whose time counts.
 * A compiler without the pragma compiles them as it was told.
 */
#pragma once

#if defined(__clang__)
#define EE_COMPACT _Pragma("clang attribute push(__attribute__((minsize)), apply_to = function)")
#define EE_COMPACT_END _Pragma("clang attribute pop")
#else
#define EE_COMPACT
#define EE_COMPACT_END
#endif
