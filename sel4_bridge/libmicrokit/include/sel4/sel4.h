/* SPDX-License-Identifier: Apache-2.0 */
/* Everything of the kernel interface that our protection domains use. See types.h for what this subset is. */
#pragma once

#include <sel4/constants.h>
#include <sel4/invocations.h>
#include <sel4/syscalls.h>
#include <sel4/types.h>
