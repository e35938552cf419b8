# SPDX-License-Identifier: Apache-2.0
"""The other end of an agent until there is a fleet server: publish a desired state, serve chunks, follow the report.

The retained desired state is read first, so that other slots stay as they are, and its sequence is raised above both
the retained one and what the agent says it has accepted. It stays retained: an agent that comes later pulls as soon as
somebody serves the module again.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.arena import check_fits
from agent.errors import BrokerError, LinkError, MessageError, RefusedError, WaselError
from agent.follow import outcome
from agent.messages import Desired, DesiredSlot, Get, SlotReport, State, slice_module
from agent.mqtt import Broker
from agent.native import with_native_code
from agent.text import printable
from agent.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deployment", "Order"]

RETAINED_WAIT_S = 0.5
"""How long a retained message may take if the agent's state, which comes after it, does not."""
SUPERSEDED = "another deployment replaced this one"


@dataclass(frozen=True)
class Order:
    """What `wasel deploy` was asked for."""

    module: bytes
    name: str
    device: str
    slot: int
    args: tuple[str, ...]
    env: tuple[str, ...]
    native: bool = True
    """Add native code if the device runs it."""


class Deployment:
    """One deployment over one broker connection."""

    def __init__(self, order: Order, url: str, progress: Callable[[int, int, str], None]) -> None:
        self._order = order
        self.module = order.module
        """As it goes to the device."""
        self._digest = hashlib.sha256(order.module).digest()
        self._topics = Topics(order.device)
        self._progress = progress
        self._broker = Broker(url, on_message=self._message)
        self._retained: Desired | None = None
        self._states: asyncio.Queue[State] = asyncio.Queue(maxsize=64)
        self._gets: asyncio.Queue[Get] = asyncio.Queue(maxsize=64)
        self._seen_desired = asyncio.Event()
        self.state: State | None = None
        """The agent's last report."""

    async def run(self, timeout_s: float) -> SlotReport:
        """Deploy; gives the slot as reported when it runs or has ended by itself."""
        async with self._broker:
            sequence = await self._publish()
            serving = asyncio.ensure_future(self._serve())
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._follow(sequence)
            except TimeoutError:
                raise self._timeout(timeout_s) from None
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)

    def _message(self, topic: str, body: bytes) -> None:
        try:
            if topic == self._topics.get:
                if not self._gets.full():  # the agent asks again
                    self._gets.put_nowait(Get.parse(body))
            elif topic == self._topics.state and body:
                if self._states.full():
                    self._states.get_nowait()  # only the newest matter
                self._states.put_nowait(State.parse(body))
            elif topic == self._topics.desired:
                self._seen_desired.set()
                if body:
                    self._retained = Desired.parse(body)
        except MessageError:
            pass  # not for us to judge: the agent's next message may be better

    async def _publish(self) -> int:
        self._broker.subscribe(self._topics.desired, self._topics.state, qos=1)
        self._broker.subscribe(self._topics.get)
        try:
            # Retained messages come in the order of the subscription: after the state there is no desired to wait for.
            async with asyncio.timeout(RETAINED_WAIT_S):
                self.state = await self._states.get()
        except TimeoutError:
            self.state = None
        if self.state is not None:
            order, arena = self._order, self.state.arena
            if order.native:
                await self._compile(self.state.native)
            await asyncio.to_thread(check_fits, order.name, self.module, order.device, arena)
        before = self._retained or Desired(0)
        accepted = max(self.state.accepted, self.state.sequence) if self.state else 0
        sequence = max(before.sequence, accepted) + 1
        order = self._order
        slot = DesiredSlot(self._digest, len(self.module), order.args, order.env, order.name)
        desired = Desired(sequence, before.slots | {order.slot: slot})
        await self._broker.publish(self._topics.desired, desired.encode(), qos=1, retain=True)
        return sequence

    async def _compile(self, machine: str) -> None:
        loop = asyncio.get_running_loop()

        def compiled(done: int, everything: int) -> None:
            loop.call_soon_threadsafe(self._progress, done, everything, f"compiling for {machine}:")

        self.module = await asyncio.to_thread(with_native_code, self._order.name, self.module, machine, compiled)
        self._digest = hashlib.sha256(self.module).digest()

    async def _serve(self) -> None:
        while True:
            get = await self._gets.get()
            for chunk in slice_module(self.module, self._digest, get):
                try:
                    await self._broker.publish(self._topics.chunk, chunk.encode())
                except BrokerError:
                    break  # the agent asks again

    async def _follow(self, sequence: int) -> SlotReport:
        slot = self._order.slot
        while True:
            state = self.state = await self._states.get()
            progress = state.progress.get(slot)
            if progress is not None and progress.digest == self._digest:
                self._progress(progress.offset, len(self.module), progress.phase)
            if not state.online or not state.link or state.sequence < sequence:
                continue
            if slot in state.errors:
                if state.sequence > sequence:
                    raise WaselError(f"{self._order.device}: {SUPERSEDED} (sequence {state.sequence})")
                raise RefusedError(f"{self._order.device}: slot {slot}: {printable(state.errors[slot])}")
            report = next((entry for entry in state.slots if entry.slot == slot), None)
            if report is None or report.digest != self._digest:
                if state.sequence > sequence:
                    raise WaselError(f"{self._order.device}: {SUPERSEDED} (sequence {state.sequence})")
                continue
            return self._judge(report)

    def _judge(self, report: SlotReport) -> SlotReport:
        where = f"{self._order.device}: slot {report.slot}: {self._order.name}"
        if code := outcome(report, where):
            raise WaselError(f"{where}: ended with exit code {code}; see 'wasel logs --slot {report.slot}'")
        return report

    def _timeout(self, timeout_s: float) -> WaselError:
        name, state = self._order.device, self.state
        left = "the desired state stays on the broker"
        if state is None:
            return LinkError(
                f"{name}: no agent reported within {timeout_s:g} s; run 'wasel agent --device {name}' ({left})"
            )
        if not state.online:
            return LinkError(f"{name}: its agent is offline; start it with 'wasel agent --device {name}' ({left})")
        if not state.link:
            return LinkError(f"{name}: its agent does not reach the device; is it running? ({left})")
        return LinkError(f"{name}: not deployed within {timeout_s:g} s; wait longer with --timeout ({left})")
