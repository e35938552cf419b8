/* SPDX-License-Identifier: Apache-2.0 */
/* What the linker script gives a domain on a device: the IPC buffer, and no constructors (the loader ran them). */
#include <sel4/sel4.h>

seL4_IPCBuffer __sel4_ipc_buffer_obj;
void (*const sim_no_init_array[1])(void);
