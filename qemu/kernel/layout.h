/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that C and assembler share. kernel.ld links the kernel at KERNEL_BASE + RAM_BASE + IMAGE_OFFSET. */
#pragma once

#define KERNEL_BASE 0xffffff8000000000 /* kernel address of physical address 0 */
#define RAM_BASE 0x40000000
#define IMAGE_OFFSET 0x80000 /* where QEMU puts an arm64 image into RAM */
#define USER_TOP 0x10000000000 /* first address that no domain has */
