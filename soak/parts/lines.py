# SPDX-License-Identifier: Apache-2.0
"""Updates over lines that lose, flip, double and swap bytes, singly and in runs; and at 115,200 baud."""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass

from agent.errors import WaselError
from agent.link.device import Device as Link
from qemu.faulty_line import Faults, FaultyLine
from qemu.sim import running_simulator
from soak import Part, Soak

UART_BYTES_PER_S = 11_520.0  # 115,200 baud, 8N1
SIZE = 65_536  # bytes
KINDS = {"lost": "drop", "flipped": "corrupt", "doubled": "duplicate", "swapped": "swap"}
SHARES = (0.001, 0.01, 0.05)
CHANGE = 300  # bytes of the function that changes
RUN = 64  # bytes of one fault, where they come in runs
UPDATES = 3  # of each kind
TIME_LIMITS = {0.01: 5.0}  # times what a clean line takes
MOST_AGAIN = 10.0  # % of the module's bytes
TIME_LIMIT_S = 900.0


@dataclass(frozen=True)
class Sent:
    """One update."""

    seconds: float
    bytes: int
    """Of the module."""
    wire_bytes: int
    parity_bytes: int
    """Of those on the wire."""


async def _send(soak: Soak, link: Link, line: FaultyLine, module: bytes, faults: Faults) -> Sent | None:
    """Upload with these faults; None: the device has not what was sent."""
    await link.erase_candidate(0)
    counters = link.transport.counters
    wire_bytes, parity_bytes = counters.sent_bytes, counters.parity_bytes
    began_s = time.monotonic()
    line.faults = faults
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            sent = await link.upload(0, module)
    finally:
        took_s = time.monotonic() - began_s
        line.faults = Faults()
        await asyncio.sleep(0.5)  # what still is on the line
        found = await link.candidate(0)
        good = found == hashlib.sha256(module).digest()
        soak.check(good or found is None, f"a corrupt install: {found and found.hex()} with {faults}")
    wire_bytes, parity_bytes = counters.sent_bytes - wire_bytes, counters.parity_bytes - parity_bytes
    return Sent(took_s, sent, wire_bytes, parity_bytes) if good else None


async def _fresh(soak: Soak, line: FaultyLine, faults: Faults) -> Sent | None:
    """Upload over a link that knows nothing of the line yet."""
    async with Link(line.port, name="device", timeout_s=5.0) as link:
        return await _send(soak, link, line, soak.random.randbytes(SIZE), faults)


async def _run(soak: Soak) -> None:
    async with running_simulator() as simulator:
        line = FaultyLine(soak.seed, bytes_per_s=UART_BYTES_PER_S)
        await line.open(simulator.port)
        try:
            async with Link(line.port, name="device", timeout_s=5.0) as link:
                await _rate(soak, link, line)
                await _change(soak, link)
            await _table(soak, line)
        finally:
            await line.close()


async def _rate(soak: Soak, link: Link, line: FaultyLine) -> None:
    rates = []
    for _ in range(3):
        sent = await _send(soak, link, line, soak.random.randbytes(SIZE), Faults())
        rates.append(SIZE / 1024 / sent.seconds if sent else 0.0)
    soak.measure("64 KiB at 115,200 baud, uncompressed", round(max(rates), 2), "KiB/s", at_least=10.5)


async def _change(soak: Soak, link: Link) -> None:
    """One function of a module changes; all that comes behind it moves."""
    base = soak.random.randbytes(SIZE)
    await link.upload(1, base)
    await link.set_pending(hashlib.sha256(base).digest())
    await link.start(1)
    at = SIZE // 2
    module = base[:at] + soak.random.randbytes(CHANGE) + base[at + CHANGE - 10 :]
    began_s = time.monotonic()
    sent = await link.upload(1, module, base=lambda _: base)
    took_s = time.monotonic() - began_s
    arrived = await link.candidate(1) == hashlib.sha256(module).digest()
    soak.check(arrived, "one changed function: the device has another module than was sent")
    soak.measure("the next version, one function changed, at 115,200 baud", round(took_s, 3), "s", at_most=1.0)
    soak.measure("the next version, one function changed: bytes sent", sent)


async def _table(soak: Soak, line: FaultyLine) -> None:
    updates = soak.times(UPDATES)
    clean_s = min([sent.seconds for _ in range(3) if (sent := await _fresh(soak, line, Faults()))], default=0.0)
    if clean_s == 0.0:
        soak.check(False, "not one of three updates over a clean line arrived")
        return
    for run in (1, RUN):
        for kind, field in KINDS.items():
            for share in SHARES:
                faults = Faults(run=run)
                setattr(faults, field, share)
                name = f"{100 * share:g} % of bytes {kind}{'' if run == 1 else f', in runs of {run}'}"
                await _line(soak, line, name, faults, TIME_LIMITS.get(share), clean_s, updates)


async def _line(
    soak: Soak, line: FaultyLine, name: str, faults: Faults, limit: float | None, clean_s: float, updates: int
) -> None:
    done = []
    for number in range(updates):
        soak.progress(f"{name}: update {number + 1} of {updates}")
        try:
            sent = await _fresh(soak, line, faults)
        except (WaselError, TimeoutError) as error:
            soak.check(False, f"{name}: {error!r}")
            continue
        done += [sent] if sent else []
    soak.measure(f"{name}: delivered", 100 * len(done) / updates, "%", at_least=100)
    if not done:
        return
    slower = sum(sent.seconds for sent in done) / len(done) / clean_s
    again = 100 * (sum(sent.bytes for sent in done) / len(done) / SIZE - 1)
    parity = 100 * sum(sent.parity_bytes for sent in done) / sum(sent.wire_bytes for sent in done)
    soak.measure(f"{name}: time, of a clean line's", round(slower, 2), "times", at_most=limit)
    soak.measure(f"{name}: bytes sent again", round(again, 1), "%", at_most=MOST_AGAIN)
    soak.measure(f"{name}: parity, of the bytes on the wire", round(parity, 1), "%")


PART = Part(
    "updates over lines that lose, flip, double and swap bytes, and at 115,200 baud",
    timeout_s=2 * 3600,
    run=_run,
)
