# SPDX-License-Identifier: Apache-2.0
"""The server's own worker of the twin gate: takes jobs, runs them under QEMU, signs what it saw, hands it in.

The key that signs is made at first use in `<data>/twin.key`; the server takes reports signed by it and by the keys of
its settings. One job at a time: QEMU and the rollout engine share a machine. The leader alone runs it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from typing import TYPE_CHECKING, Any

from agent.keys import create_key_files, load_private_key, load_public_key, public_path
from agent.patience import happens
from fleet import twin_gate
from fleet.errors import DeniedError
from fleet.models import Artifact, Rollout
from fleet.plan import Plan
from fleet.twin_report import verify_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from agent.keys import PublicKey
    from fleet.artifacts import Shelf
    from fleet.database import Database
    from fleet.models import TwinJob
    from fleet.settings import Settings

__all__ = ["TwinWorker", "order_of", "report_table", "take_report", "trusted_keys"]

POLL_S = 1.0
CLOCK_MS = 300_000
"""How far the clock of a worker elsewhere may be behind ours."""


def trusted_keys(settings: Settings) -> tuple[PublicKey, ...]:
    """Give the keys whose reports count."""
    own = public_path(settings.data / "twin.key")
    paths = [*settings.twin_key_paths(), *([own] if settings.twin and own.is_file() else [])]
    return tuple(load_public_key(path) for path in paths)


def order_of(session: Session, job: TwinJob) -> dict[str, Any]:
    """Say what a worker has to do, as JSON."""
    rollout, artifact = session.get_one(Rollout, job.rollout_id), session.get_one(Artifact, job.digest)
    return {
        "job": job.id,
        "digest": job.digest,
        "name": artifact.file,
        "args": rollout.args,
        "env": rollout.env,
        "soak_s": Plan.parse(rollout.plan).twin_soak_s,
        "rollout": rollout.id,
    }


def take_report(session: Session, settings: Settings, number: int, data: bytes) -> TwinJob:
    """Take a signed report. RefusedError: not signed by a key that counts, or about something else."""
    keys = trusted_keys(settings)
    if not keys:
        raise DeniedError("this server trusts nobody's twin reports: start it with --twin or --twin-key")
    created_ms = twin_gate.find(session, number).created_ms

    def verify(report: bytes, digest: str) -> tuple[bool, str]:
        seen = verify_report(report, keys, digest=bytes.fromhex(digest), not_before_ms=created_ms - CLOCK_MS)
        return seen.passed, "; ".join(seen.reasons)

    return twin_gate.submit(session, number, data, verify)


def report_table(settings: Settings, job: TwinJob) -> dict[str, Any]:
    """Give a report as JSON. RefusedError: it is not, or no longer, trusted."""
    seen = verify_report(job.report or b"", trusted_keys(settings), digest=bytes.fromhex(job.digest))
    table = dataclasses.asdict(seen) | {"passed": seen.passed, "reasons": list(seen.reasons)}
    table |= {"cpu_percent": seen.cpu_percent, "job": job.id, "rollout": job.rollout_id}
    table["output"] = [
        {"at_ms": line.at_ms, "stream": line.stream, "text": line.data.decode("utf-8", "replace")}
        for line in seen.output
    ]
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in table.items()}


class TwinWorker:
    """The task of the leader."""

    def __init__(
        self, settings: Settings, database: Database, shelf: Shelf, worker: str, done: Callable[[int], None]
    ) -> None:
        self._settings = settings
        self._database = database
        self._shelf = shelf
        self._worker = worker
        self._done = done
        self._wanted = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be a job."""
        self._wanted.set()

    async def run(self) -> None:
        """Work for ever."""
        path = self._settings.data / "twin.key"
        await asyncio.to_thread(create_key_files, path, keep=True)
        while True:
            await happens(self._wanted, POLL_S)
            self._wanted.clear()
            while (order := await asyncio.to_thread(self._claim)) is not None:
                await self._work(order)

    def _claim(self) -> dict[str, Any] | None:
        with self._database.write() as session:
            job = twin_gate.claim(session, self._worker)
            return order_of(session, job) if job is not None else None

    async def _work(self, order: dict[str, Any]) -> None:
        from fleet.twin import TwinError, TwinJob, run_twin  # noqa: PLC0415 - brings QEMU's launcher
        from fleet.twin_report import sign_report  # noqa: PLC0415 - as above

        number = order["job"]
        try:
            module = await asyncio.to_thread(self._shelf.read, order["digest"])
            report = await run_twin(
                TwinJob(
                    module,
                    order["name"],
                    tuple(order["args"]),
                    tuple(order["env"]),
                    order["soak_s"],
                    self._settings.twin,
                )
            )
            key = load_private_key(self._settings.data / "twin.key")
            await asyncio.to_thread(self._submit, number, sign_report(report, key))
        except TwinError as error:
            print(f"wasel fleet: twin job {number}: {error}", file=sys.stderr, flush=True)
            await asyncio.to_thread(self._give_up, number, str(error))
        self._done(order["rollout"])

    def _submit(self, number: int, report: bytes) -> None:
        with self._database.write() as session:
            take_report(session, self._settings, number, report)

    def _give_up(self, number: int, why: str) -> None:
        with self._database.write() as session:
            twin_gate.give_up(session, number, why)
