# SPDX-License-Identifier: Apache-2.0
"""Carries out what `agent.reconcile` plans: pulls, pushes, marks, starts, stops.

Contract: `converge` looks, plans and acts until the device is as desired or every slot that is not has a reason in
`failed`; it may be cancelled anywhere (a newer desired state, a dead link) and called again. Slots are worked on side
by side, uploads one at a time. What a crash must not forget is on disk before the device is told: the record of a
start, the bytes of a pull. `LinkError`s other than the device's own refusals pass through.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.errors import DeviceError, MessageError
from agent.follow import settle
from agent.messages import Chunk, Desired, DesiredSlot, Get, Progress
from agent.pull import WINDOW, Puller
from agent.reconcile import Activate, Fail, Halt, Observed, ObservedSlot, Pull, Push, Record, Start, Step, Stop, plan
from agent.signing import has_probe
from agent.text import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent.agent_state import AgentState
    from agent.files import ModuleCache
    from agent.link.device import Device

__all__ = ["Worker"]

PULL_ATTEMPTS = 3
NO_SPACE = (1, 9)
"""Group and code of an upload that does not fit beside the active module (docs/PROTOCOL.md)."""
TRIAL_POLL_S = 1.0
FAILURES = range(1, 5)
"""Numbers of `reverted` that are the module's fault (docs/PROTOCOL.md)."""
ROUNDS = 8
"""Plans in a row for one desired state."""


class Worker:
    """The hands of one agent; outlives links and desired states."""

    def __init__(
        self,
        state: AgentState,
        cache: ModuleCache,
        ask: Callable[[Get], Awaitable[None]],
        changed: Callable[[], None],
        started: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self._state = state
        self._cache = cache
        self._ask = ask
        self._changed = changed
        self._started = started
        self._note = note
        self._pulls: dict[bytes, asyncio.Queue[Chunk]] = {}
        self._pull_locks: dict[bytes, asyncio.Lock] = {}
        self._uploading = asyncio.Lock()
        self.progress: dict[int, Progress] = {}
        """Modules on their way, by slot."""
        self.failed: dict[int, str] = {}
        """Slots that are left as they are, and why; whoever wants them tried again clears it."""

    def chunk(self, chunk: Chunk) -> None:
        """Take a chunk from the broker; one that nobody waits for is dropped, one too many is asked for again."""
        queue = self._pulls.get(chunk.digest)
        if queue is not None and not queue.full():
            queue.put_nowait(chunk)

    async def converge(self, device: Device) -> int:
        """Make the device as desired; gives the sequence of the desired state that was worked on."""
        desired = self._state.desired
        for _ in range(ROUNDS):
            cached = {want.digest for want in desired.slots.values() if self._cache.has(want.digest)}
            todo = plan(desired, await _observe(device), self._state.records, cached)
            left = {slot: steps for slot, steps in todo.items() if slot not in self.failed}
            if not left:
                break
            tasks = [
                asyncio.ensure_future(self._carry_out(device, desired, slot, steps)) for slot, steps in left.items()
            ]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        else:
            for slot in left:
                self.failed.setdefault(slot, f"not as desired after {ROUNDS} attempts")
        self._cache.evict({want.digest for want in desired.slots.values()})
        return desired.sequence

    async def _carry_out(self, device: Device, desired: Desired, slot: int, steps: tuple[Step, ...]) -> None:
        try:
            for step in steps:
                await self._step(device, desired, step)
        except (DeviceError, MessageError) as error:
            self.failed[slot] = str(error)
            self._note(f"slot {slot}: {error}")
        finally:
            self.progress.pop(slot, None)

    async def _step(self, device: Device, desired: Desired, step: Step) -> None:
        match step:
            case Pull(slot, digest, size):
                await self._pull(slot, digest, size)
            case Push(slot, digest):
                await self._push(device, slot, digest)
            case Activate(_, digest):
                data = await asyncio.to_thread(self._cache.read, digest)
                await device.set_pending(digest, confirm=data is None or not has_probe(data))
            case Halt(slot):
                await device.stop(slot)
            case Start(slot, record):
                await self._start(device, slot, desired.slots[slot], record)
            case Stop(slot):
                await self._stop(device, slot)
            case Fail(_, reason):
                raise MessageError(reason)

    async def _start(self, device: Device, slot: int, want: DesiredSlot, record: Record) -> None:
        self._state.records[slot] = record
        self._state.save()
        before = (await device.slot(slot)).log_next
        env = tuple((key, value) for key, _, value in (entry.partition("=") for entry in want.env))
        await device.start(slot, (want.name, *want.args), env)
        self._started()
        await settle(device, slot, before)

    async def _stop(self, device: Device, slot: int) -> None:
        try:
            await device.stop(slot)
        except DeviceError as error:
            self._note(f"slot {slot}: {error}")  # another device than last time: there is nothing to stop
        del self._state.records[slot]
        self._state.save()

    async def _push(self, device: Device, slot: int, digest: bytes) -> None:
        data = await asyncio.to_thread(self._cache.read, digest)
        if data is None:
            return  # damaged on disk and dropped: the next round pulls it again

        def moved(offset: int) -> None:
            self._moved(slot, Progress(digest, offset, len(data), "push"))

        async with self._uploading:
            await _trial_over(device, slot)
            try:
                await device.upload(slot, data, moved, base=self._cache.read)
            except DeviceError as error:
                if (error.group, error.code) != NO_SPACE:
                    raise
                self._note(f"slot {slot}: no room for both modules: the old one is stopped and erased first")
                await device.stop(slot)
                await device.erase_active(slot)
                await device.upload(slot, data, moved, base=self._cache.read)

    def _moved(self, slot: int, progress: Progress) -> None:
        self.progress[slot] = progress
        self._changed()

    async def _pull(self, slot: int, digest: bytes, size: int) -> None:
        async with self._pull_locks.setdefault(digest, asyncio.Lock()):
            for _ in range(PULL_ATTEMPTS):
                if self._cache.has(digest):
                    return
                await self._pull_once(slot, digest, size)
                if await asyncio.to_thread(self._cache.finish, digest):
                    return
        raise MessageError(f"what the broker's side sends for {digest.hex()[:12]} has another digest")

    async def _pull_once(self, slot: int, digest: bytes, size: int) -> None:
        loop = asyncio.get_running_loop()
        puller = Puller(digest, size, self._cache.offset(digest, size))
        queue = self._pulls[digest] = asyncio.Queue(maxsize=2 * WINDOW)
        try:
            while not puller.done:
                if (get := puller.want(loop.time())) is not None:
                    await self._ask(get)
                try:
                    async with asyncio.timeout(puller.wait_s(loop.time())):
                        chunk = await queue.get()
                except TimeoutError:
                    continue
                if data := puller.feed(chunk, loop.time()):
                    self._cache.append(digest, data)
                    self._moved(slot, Progress(digest, puller.offset, size, "pull"))
        finally:
            del self._pulls[digest]


async def _trial_over(device: Device, slot: int) -> None:
    """Wait while the slot's module is on trial: until its probe has decided, the device takes no other one."""
    while (left_ms := (await device.slot(slot)).probe_ms) is not None:  # noqa: ASYNC110 - asked, it does not call
        await asyncio.sleep(min(left_ms / 1000 + TRIAL_POLL_S / 10, TRIAL_POLL_S))


async def _observe(device: Device) -> Observed:
    status, images = await device.status(), await device.images()
    candidates = {(image.image or 0): image for image in images if image.slot == 1}
    return Observed(
        tuple(
            ObservedSlot(
                slot.digest,
                slot.state == "running",
                slot.starts,
                bytes(candidates[slot.slot].hash or b"") if slot.slot in candidates else None,
                pending=slot.slot in candidates and bool(candidates[slot.slot].pending),
                failed=slot.reverted.digest if slot.reverted and slot.reverted.why in FAILURES else None,
                failure=printable(slot.reverted.reason) if slot.reverted else "",
                probe_ms=slot.probe_ms,
            )
            for slot in status.slots
        ),
        status.module_max or 1 << 62,
    )
