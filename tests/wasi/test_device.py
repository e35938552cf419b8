# SPDX-License-Identifier: Apache-2.0
"""On a booted device, both kernels: awkward pointers of every call, and a live trace."""

from __future__ import annotations

import pytest

from agent.link.device import Device as Link
from agent.link.modules import TRACE_STREAM
from qemu.launcher import image_for, running_device
from sel4_bridge.trace import parse
from sel4_bridge.wasi_table import label
from tests.wasi.device import finished, flash, needs, output, records
from tests.wasi.test_pointers import ARGUMENTS, ENVIRONMENT, WITH_POINTERS, cases_of, module_text

pytestmark = pytest.mark.system
KERNELS = ["standin", "sel4"]


@pytest.mark.parametrize("kernel", KERNELS)
async def test_every_pointer(kernel, wat):
    needs(kernel)
    environment = tuple(tuple(entry.split("=")) for entry in ENVIRONMENT)
    async with (
        running_device("pointers", kernel=kernel, image=image_for(kernel)) as running,
        Link(running.record.port, name="device") as device,
    ):
        for call in WITH_POINTERS:
            cases = list(cases_of(call))
            await flash(device, 0, wat(module_text(call, cases)).read_bytes())
            await device.start(0, ARGUMENTS, environment)
            state = await finished(device, 0)
            assert (state.state, state.exit) == ("exited", 0), f"{call.name}: {cases[(state.exit or 1) - 1]}"


@pytest.mark.parametrize("kernel", KERNELS)
async def test_trace(kernel, tour):
    needs(kernel)
    async with (
        running_device("trace", kernel=kernel, image=image_for(kernel)) as running,
        Link(running.record.port, name="device") as device,
    ):
        await flash(device, 0, tour.read_bytes())
        await device.trace(0, on=True)
        await device.start(0, ("tour", "count", "5"), lossless=True)
        assert (await finished(device, 0)).exit == 0
        found = await records(device, 0)
        calls = [parse(content) for stream, _, content in found if stream == TRACE_STREAM]
        written = [call for call in calls if call.label == label("fd_write")]
        assert [call.data for call in written] == [b"line %d\n" % number for number in range(5)]
        assert all(call.sent == (1, 7) and call.received == (0, 7) for call in written)
        assert {"poll_oneoff", "args_get"} <= {call.name for call in calls}
        assert "pending" in {call.result for call in calls}
        assert [call.number for call in calls] == list(range(1, len(calls) + 1))
        await device.trace(0, on=False)
        before = (await device.slot(0)).log_next
        await device.start(0, ("tour", "hello"))
        assert (await finished(device, 0)).exit == 0
        assert await output(device, 0, before) == b"hello\n"
        assert not [stream for stream, _, _ in await records(device, 0, before) if stream == TRACE_STREAM]
