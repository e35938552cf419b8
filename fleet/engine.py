# SPDX-License-Identifier: Apache-2.0
"""Drives rollouts: step by step, whenever devices report, people act or time passes (fleet.rollout_work has the steps).

The leader alone runs it, and each transaction begins by making sure that it still leads. A step of one rollout is one
transaction: a crash loses nothing and does nothing twice. Steps are small, so that reports of devices find their way
in between.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from sqlalchemy import and_, or_, select
from sqlalchemy.exc import SQLAlchemyError

from agent.patience import happens
from fleet.clock import now_ms
from fleet.lease import LostLeaseError
from fleet.machine import FLYING, Phase
from fleet.models import Rollout, RolloutDevice
from fleet.rollout_work import RolloutWork, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fleet.bus import Bus
    from fleet.database import Database
    from fleet.lease import LeaderLease

__all__ = ["Engine"]

ACTIVE = tuple(phase.value for phase in (Phase.GATE, Phase.APPROVAL, Phase.RUNNING, Phase.PAUSED, Phase.RETURNING))
"""Phases in which there is something to do; rollouts that stopped have devices on their way, too."""
_LEFT = (*(state.value for state in FLYING), "waiting", "penalised")


class Engine:
    """The task of the leader."""

    def __init__(
        self, database: Database, lease: LeaderLease, bus: Bus, ordered: Callable[[], None], tick_s: float
    ) -> None:
        self._database = database
        self._lease = lease
        self._bus = bus
        self._ordered = ordered
        self._tick_s = tick_s
        self._wanted = asyncio.Event()
        self._dirty: set[str] = set()
        self._whole = True
        """Look at every device on its way: this worker has just become the leader."""
        self.steps = 0

    def wake(self) -> None:
        """Say that a person did something."""
        self._wanted.set()

    def reported(self, names: Iterable[str]) -> None:
        """Say that devices reported."""
        self._dirty |= set(names)
        self._wanted.set()

    async def run(self) -> None:
        """Drive for ever. LostLeaseError: another worker does."""
        self._whole = True
        while True:
            await happens(self._wanted, self._tick_s)
            self._wanted.clear()
            dirty, self._dirty = self._dirty, set()
            whole, self._whole = self._whole, False
            try:
                await self._round(None if whole else dirty)
            except LostLeaseError:
                raise
            except SQLAlchemyError as error:
                print(f"wasel fleet: rollouts: {error}; trying again", file=sys.stderr, flush=True)
                self._whole = True
                await asyncio.sleep(1.0)

    async def _round(self, dirty: set[str] | None) -> None:
        for number in await asyncio.to_thread(self._active):
            step = await asyncio.to_thread(self._step, number, dirty)
            self.steps += 1
            if step.ordered:
                self._ordered()
            if step.again:
                self._wanted.set()
            if step.changed:
                self._bus.publish(f"rollout:{number}", "changed", {"id": number})
                self._bus.publish("fleet", "rollout", {"id": number})

    def _active(self) -> list[int]:
        flying = select(RolloutDevice.rollout_id).where(
            RolloutDevice.rollout_id == Rollout.id, RolloutDevice.state.in_(_LEFT)
        )
        stopped = Rollout.phase.in_((Phase.STOPPED.value, Phase.COMPLETED.value))
        query = select(Rollout.id).where(or_(Rollout.phase.in_(ACTIVE), and_(stopped, flying.exists())))
        with self._database.read() as session:
            return list(session.scalars(query.order_by(Rollout.id)))

    def _step(self, number: int, dirty: set[str] | None) -> Step:
        step = Step()
        with self._database.write() as session:
            self._lease.hold(session)
            rollout = session.scalar(select(Rollout).where(Rollout.id == number).with_for_update())
            if rollout is not None:
                RolloutWork(session, rollout, step, now_ms()).run(dirty)
        return step
