# SPDX-License-Identifier: Apache-2.0
"""A worker of the twin gate: takes jobs one after the other, runs them in QEMU, signs what it saw."""

from __future__ import annotations

import asyncio

from agent.keys import create_key_files, load_private_key
from fleet import rollouts, twin_gate
from fleet.plan import Plan
from fleet.twin import TwinJob, run_twin
from fleet.twin_report import sign_report, verify_report

__all__ = ["TwinWorker"]


class TwinWorker:
    def __init__(self, folder, fleet):
        self._fleet = fleet
        self._public = create_key_files(folder / "twin.key")
        self._key = load_private_key(folder / "twin.key")

    async def run(self):
        while True:
            taken = await asyncio.to_thread(self._claim)
            if taken is None:
                await asyncio.sleep(0.2)
                continue
            number, rollout, job = taken
            report = sign_report(await run_twin(job), self._key)
            await asyncio.to_thread(self._submit, number, report)
            self._fleet.rollouts_changed(rollout)

    def _claim(self):
        with self._fleet.database.write() as session:
            row = twin_gate.claim(session, "twin-worker")
            if row is None:
                return None
            rollout = rollouts.find(session, row.rollout_id)
            soak_s = Plan.parse(rollout.plan).twin_soak_s
            module = self._fleet.shelf.read(row.digest)
            return row.id, rollout.id, TwinJob(module=module, args=tuple(rollout.args), soak_s=soak_s)

    def _submit(self, number, report):
        def verdict(data, digest):
            found = verify_report(data, [self._public], digest=bytes.fromhex(digest))
            return found.passed, "; ".join(found.reasons)

        with self._fleet.database.write() as session:
            twin_gate.submit(session, number, report, verdict)
