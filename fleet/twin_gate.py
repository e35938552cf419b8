# SPDX-License-Identifier: Apache-2.0
"""Stage 0: jobs for a twin, and what became of them. Who runs them is fleet.twin, or a worker elsewhere over HTTP.

A job is given to one worker at a time, for JOB_S; one that says nothing loses it to the next. A report is taken only
if it is signed by a key that the server's settings name, and speaks of the job's module (fleet.twin_report).

Contract: without a report that passed no rollout leaves its gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from fleet import journal
from fleet.clock import now_ms
from fleet.errors import ConflictError, NotFoundError
from fleet.models import Rollout, TwinJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

__all__ = ["claim", "find", "submit", "verdict"]

JOB_S = 900
MAX_ATTEMPTS = 3
"""Of a job whose workers vanish."""


def verdict(session: Session, rollout: Rollout, now: int) -> tuple[bool, str] | None:
    """Say whether the rollout's module passed and why; None: not known yet. Makes the job if there is none."""
    job = session.scalar(select(TwinJob).where(TwinJob.rollout_id == rollout.id).order_by(TwinJob.id.desc()).limit(1))
    if job is None:
        session.add(TwinJob(rollout_id=rollout.id, digest=rollout.digest, state="waiting", created_ms=now))
        session.flush()
        return None
    if job.state == "passed":
        return True, f"twin report {job.id}"
    if job.state == "failed":
        return False, f"twin: {job.error}"
    if job.state == "running" and job.until_ms < now:
        if job.attempts >= MAX_ATTEMPTS:
            job.state, job.error, job.ended_ms = "failed", f"no report after {job.attempts} attempts", now
            return False, f"twin: {job.error}"
        job.state = "waiting"
    return None


def find(session: Session, number: int) -> TwinJob:
    """Give a job. NotFoundError."""
    job = session.scalar(select(TwinJob).where(TwinJob.id == number).with_for_update())
    if job is None:
        raise NotFoundError(f"twin job {number}: there is none")
    return job


def claim(session: Session, worker: str) -> TwinJob | None:
    """Give the oldest job that waits to a worker; None: there is none."""
    query = select(TwinJob).where(TwinJob.state == "waiting").order_by(TwinJob.id).limit(1)
    job = session.scalar(query.with_for_update(skip_locked=True))
    if job is None:
        return None
    job.state, job.worker, job.until_ms = "running", worker[:64], now_ms() + JOB_S * 1000
    job.attempts += 1
    return job


def submit(session: Session, number: int, report: bytes, verify: Callable[[bytes, str], tuple[bool, str]]) -> TwinJob:
    """Take a signed report; `verify` gives whether it passed and why not, or raises.

    Raises:
        DeniedError: nobody may sign reports here, or not this one.
        ConflictError: the job is not running.

    """
    job = find(session, number)
    if job.state != "running":
        raise ConflictError(f"twin job {number} is {job.state}")
    passed, why = verify(report, job.digest)
    job.report, job.state, job.error, job.ended_ms = report, "passed" if passed else "failed", why[:1000], now_ms()
    text = f"twin of rollout {job.rollout_id}: {job.state}{f': {why}' if why else ''}"
    journal.add_event(
        session, f"twin.{job.state}", text, "info" if passed else "error", rollout_id=job.rollout_id, job=number
    )
    return job


def give_up(session: Session, number: int, why: str) -> None:
    """Say that a worker could not run the job: another one may, or the gate stays shut."""
    job = find(session, number)
    if job.state != "running":
        return
    job.error = why[:1000]
    if job.attempts >= MAX_ATTEMPTS:
        job.state, job.ended_ms = "failed", now_ms()
    else:
        job.state, job.until_ms = "waiting", 0
