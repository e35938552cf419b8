# SPDX-License-Identifier: Apache-2.0
"""What the tests on a booted device share: kernels that are here, modules from start to end."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil

import pytest

from agent.errors import NoAnswerError

UPLOADS = 8
TIMEOUT_S = 600.0  # of one module, on a busy machine


def needs(kernel: str) -> None:
    """Skip the test where QEMU or the kernel is missing."""
    if shutil.which("qemu-system-aarch64") is None:
        pytest.skip("qemu-system-aarch64 is not installed")
    if kernel == "sel4" and not os.environ.get("MICROKIT_SDK"):
        pytest.skip("MICROKIT_SDK is not set: genuine seL4 needs the Microkit SDK")


async def flash(device, slot, content, base=None):
    """Upload and mark for the next start; on a machine that is too busy for the link's patience the upload goes on.

    Of a `base` that is the slot's active module, only what differs is sent.
    """

    def known(digest):
        return base if base is not None and hashlib.sha256(base).digest() == digest else None

    for attempt in range(UPLOADS):
        try:
            await device.upload(slot, content, base=known)
            break
        except NoAnswerError:
            if attempt + 1 == UPLOADS:
                raise
    await device.set_pending(hashlib.sha256(content).digest())


async def finished(device, slot):
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            state = await device.slot(slot)
            if state.state != "running":
                return state
            await asyncio.sleep(0.05)


async def records(device, slot, cursor=0):
    """All log records from `cursor` on, as (stream, ends_line, bytes)."""
    found = []
    while True:
        page = await device.logs(slot, cursor)
        if not page.records:
            return found
        found += [(stream, ends_line, content) for _, stream, ends_line, content in page.records]
        cursor = page.next


async def output(device, slot, cursor=0):
    """Standard output from record `cursor` on."""
    parts = await records(device, slot, cursor)
    return b"".join(content + (b"\n" if line else b"") for stream, line, content in parts if stream == 1)
