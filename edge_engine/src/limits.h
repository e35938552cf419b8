/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hard limits of the engine, beyond those of the arena. A module that exceeds one is refused with EE_UNSUPPORTED and
 * the limit's name (core spec, appendix "Implementation Limitations"; the numbers are those browsers agreed on, where
 * there is one: https://webassembly.github.io/spec/js-api/#limits).
 *
 * Not limited by a number but by the arena: types, functions, segments, tables, nesting of blocks, operand stack.
 */
#pragma once

#define EE_MAX_MODULE_SIZE (UINT32_MAX - 1u) /* bytes; offsets are 32 bits wide and one value means "none" */
#define EE_MAX_PARAMS 1000u                  /* of a function type */
#define EE_MAX_RESULTS 1000u                 /* of a function type */
#define EE_MAX_LOCALS 50000u                 /* of a function, with its parameters */
#define EE_MAX_PAGES 65536u                  /* of 64 KiB: 4 GiB; core spec 3.2.5 */
#define EE_MAX_BYTE_PAGES UINT32_MAX         /* of one byte: a count of pages has 32 bits (custom-page-sizes proposal) */
