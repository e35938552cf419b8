# SPDX-License-Identifier: Apache-2.0
"""The twin gate's work: boot the image in QEMU, install the very bytes that devices would get, watch, report.

Contract: `run_twin(job)` gives a report whatever the module does: refusals, traps and failed probes are facts in it. It
raises `TwinError` when the machine failed, not the module (no QEMU, no boot, a dead link): nothing is known then, the
job may be tried again, and no device is touched meanwhile. The device is down when it returns.
Does NOT: sign (fleet.twin_report), decide (`judge` there), keep anything.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.errors import DeviceError, LinkError, RefusedError, WaselError
from agent.follow import Pace
from agent.link.device import Device as Link
from agent.signing import read_signed
from fleet.twin_report import MAX_LINE, MAX_LINES, MAX_TEXT, Line, TwinReport
from qemu.launcher import image_for, running_device

if TYPE_CHECKING:
    from pathlib import Path

    from agent.link.modules import SlotStatus, StatusAnswer
    from agent.manifest import Health, Manifest

__all__ = ["TwinError", "TwinJob", "image_digest", "run_twin"]

SLOT = 0
POLL_MAX_S = 0.1
KEEP_FIRST = MAX_LINES // 4
DEAD_LINK_ATTEMPTS = 3
SETTLE_S = 1.0
"""A module that ended is watched so much longer: its last lines are still on their way."""


class TwinError(WaselError):
    """The twin gate could not look: QEMU, the image or the link failed."""


@dataclass(frozen=True)
class TwinJob:
    """What to look at."""

    module: bytes
    """The file as devices get it."""
    name: str = "module"
    """The program's name, its argument 0."""
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    """"K=V" each."""
    soak_s: float = 10.0
    """How long it is watched; longer if its probe needs that."""
    kernel: str = "standin"
    """Or "sel4"."""
    image: Path | None = None
    """None: the current one, built if need be."""
    root: Path | None = None
    """Folder of the device's files, None for a temporary one."""


def image_digest(path: Path) -> bytes:
    """Give the SHA-256 of a device image."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


async def run_twin(job: TwinJob) -> TwinReport:
    """Look at a module.

    Raises:
        TwinError: the machine failed, nothing is known.

    """
    try:
        image = await asyncio.to_thread(image_for, job.kernel) if job.image is None else job.image
        digest = await asyncio.to_thread(image_digest, image)
        async with running_device("twin", kernel=job.kernel, image=image, root=job.root) as device:
            boot_ms = round(device.record.ready_ms or 0)
            async with Link(device.record.port, name="twin") as link:
                return await _Watch(job, link, digest, boot_ms).run()
    except TwinError:
        raise
    except (WaselError, OSError) as error:
        raise TwinError(f"twin gate: {error}") from error


@dataclass
class _Watch:
    """One run on a booted device."""

    job: TwinJob
    link: Link
    image: bytes
    boot_ms: int
    lines: list[Line] = field(default_factory=list)
    count: int = 0
    traps: list[str] = field(default_factory=list)
    probe_ms: int | None = None
    peak: int = 0
    first_line_ms: int | None = None
    cursor: int = 0
    started_s: float = 0.0

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256(self.job.module).digest()
        self.manifest = self._manifest()
        self.health: Health | None = self.manifest.health if self.manifest else None
        alive_s = self.health.alive_s if self.health and self.health.alive_s else 0
        self.soak_s = max(self.job.soak_s, float(alive_s))

    def _manifest(self) -> Manifest | None:
        try:
            return read_signed(self.job.module).manifest
        except RefusedError:
            return None  # unsigned or malformed: the device says what it thinks of that

    async def run(self) -> TwinReport:
        began_ms = time.time_ns() // 1_000_000
        status = await self.link.status()
        began_s = time.monotonic()
        try:
            await self.link.seed(secrets.token_bytes(32))
            await self.link.set_clock(dt.datetime.now(dt.UTC))
            await self._upload()
            await self.link.set_pending(self.digest)
            install_ms = self._ms_since(began_s)
            env = tuple((key, value) for key, _, value in (entry.partition("=") for entry in self.job.env))
            self.cursor = (await self.link.slot(SLOT)).log_next
            self.started_s = time.monotonic()
            await self.link.start(SLOT, (self.job.name, *self.job.args), env)
        except DeviceError as error:
            refused = str(error).removeprefix("twin: ")[:MAX_TEXT]
            return self._report(status, began_ms, self._ms_since(began_s), None, {}, refused)
        final = await self._follow()
        stats = {name: value for name, value in (await self.link.stats(SLOT)).items() if type(value) is int}
        refused = (final.error or "it does not say why") if final.state == "refused" else ""
        return self._report(status, began_ms, install_ms, final, stats, refused[:MAX_TEXT])

    @staticmethod
    def _ms_since(began_s: float) -> int:
        return round((time.monotonic() - began_s) * 1000)

    async def _upload(self) -> None:
        """Upload, from the device's own offset again if a loaded machine makes it slow to answer."""
        for attempt in range(1, DEAD_LINK_ATTEMPTS + 1):
            try:
                await self.link.upload(SLOT, self.job.module)
            except DeviceError:
                raise
            except LinkError:
                if attempt == DEAD_LINK_ATTEMPTS:
                    raise
            else:
                return

    async def _follow(self) -> SlotStatus:
        """Watch until the time is over, or the module has ended and said everything."""
        pace = Pace(most_s=POLL_MAX_S)
        end_s, ended_s = self.started_s + self.soak_s, None
        while True:
            slot = await self.link.slot(SLOT)
            self._look(slot)
            moved = await self._read(slot)
            now_s = time.monotonic()
            if slot.state != "running":
                ended_s = ended_s or now_s
                if not moved and now_s >= ended_s + SETTLE_S:
                    return slot
            elif now_s >= end_s and self._probe_is_over(now_s):
                return slot
            if moved:
                pace.hit()
            await asyncio.sleep(pace.wait_s())

    def _probe_is_over(self, now_s: float) -> bool:
        """Whether a probe that waits for a line or an exit is content or late."""
        if self.health is None or self.health.alive_s is not None or self.probe_ms is not None:
            return True
        return now_s >= self.started_s + (self.health.timeout_s or 30.0)

    def _look(self, slot: SlotStatus) -> None:
        self.peak = max(self.peak, slot.memory + slot.bookkeeping)
        if slot.state == "trapped":
            text = f"{slot.trap or 'unknown'}\n{slot.backtrace or ''}".strip()[:MAX_TEXT]
            if text not in self.traps and len(self.traps) < MAX_LINES:
                self.traps.append(text)
        health, at_ms = self.health, self._ms_since(self.started_s)
        if health is None or self.probe_ms is not None:
            return
        if health.exit is not None and slot.state == "exited" and slot.exit == health.exit:
            self.probe_ms = at_ms
        if health.alive_s is not None and slot.state == "running" and at_ms >= 1000 * health.alive_s:
            self.probe_ms = at_ms

    async def _read(self, slot: SlotStatus) -> bool:
        """Read new output; says whether there was some."""
        if slot.log_next == self.cursor:
            return False
        answer = await self.link.logs(SLOT, self.cursor)
        at_ms = self._ms_since(self.started_s)
        for _, stream, _, data in answer.records:
            if stream == 1 and self.health is not None and self.probe_ms is None:
                line = data.decode("utf-8", "replace").rstrip("\r")
                self.probe_ms = at_ms if line == self.health.line else None
            if stream in (1, 2):
                self.first_line_ms = at_ms if self.first_line_ms is None else self.first_line_ms
            self._keep(Line(at_ms, stream, data[:MAX_LINE]))
        moved, self.cursor = answer.next != self.cursor, answer.next
        return moved

    def _keep(self, line: Line) -> None:
        """Keep the first lines and the last ones."""
        self.count += 1
        self.lines.append(line)
        if len(self.lines) > MAX_LINES:
            del self.lines[KEEP_FIRST]

    def _report(
        self,
        status: StatusAnswer,
        began_ms: int,
        install_ms: int,
        final: SlotStatus | None,
        stats: dict[str, int],
        refused: str,
    ) -> TwinReport:
        manifest = self.manifest
        return TwinReport(
            digest=self.digest,
            size=len(self.job.module),
            image=self.image,
            kernel=status.kernel,
            device_version=status.device_version,
            device_image=status.image,
            name=manifest.name if manifest else "",
            version=manifest.version if manifest else "",
            sequence=manifest.sequence if manifest else 0,
            health=dict(self.health.table()) if self.health else {},
            began_ms=began_ms,
            boot_ms=self.boot_ms,
            guest_boot_ms=status.boot_ms,
            install_ms=install_ms,
            soak_ms=round(self.soak_s * 1000),
            ran_ms=self._ms_since(self.started_s) if self.started_s else 0,
            refused=refused,
            state=final.state if final else "",
            active=(final.digest or b"") if final else b"",
            exit=final.exit if final else None,
            traps=tuple(self.traps),
            starts=final.starts if final else 0,
            probe_ms=self.probe_ms,
            arena=status.arena,
            arena_peak=max(self.peak, stats.get("arena_peak", 0)),
            cpu_us=stats.get("cpu_us", 0),
            first_line_ms=self.first_line_ms,
            tier=(final.tier or "") if final else "",
            stats=stats,
            output=tuple(self.lines),
            output_lines=self.count,
        )
