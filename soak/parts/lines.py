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
FAST_BYTES_PER_S = 8 * UART_BYTES_PER_S  # a slower one would only take longer
SIZE = 65_536  # bytes
SMALL = 8_192  # for lines that carry next to nothing
KINDS = {"lost": "drop", "flipped": "corrupt", "doubled": "duplicate", "swapped": "swap"}
SHARES = (0.001, 0.01, 0.05)
CHANGE = 300  # bytes of the function that changes
RUN = 64  # bytes of one fault, where they come in runs
UPDATES = 4  # of each kind
TIME_LIMIT_S = 900.0


@dataclass(frozen=True)
class Sent:
    """One update."""

    seconds: float
    bytes: int


async def _send(link: Link, line: FaultyLine, module: bytes, faults: Faults) -> Sent | None:
    """Upload with these faults; None: the device has not what was sent."""
    await link.erase_candidate(0)
    began_s = time.monotonic()
    line.faults = faults
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            sent = await link.upload(0, module)
    finally:
        line.faults = Faults()
    took_s = time.monotonic() - began_s
    await asyncio.sleep(0.2)  # what still is on the line
    return Sent(took_s, sent) if await link.candidate(0) == hashlib.sha256(module).digest() else None


async def _run(soak: Soak) -> None:
    async with running_simulator() as simulator:
        line = FaultyLine(soak.seed, bytes_per_s=UART_BYTES_PER_S)
        await line.open(simulator.port)
        try:
            async with Link(line.port, name="device", timeout_s=5.0) as link:
                await _rate(soak, link, line)
                await _change(soak, link)
                await _table(soak, link, line)
        finally:
            await line.close()


async def _rate(soak: Soak, link: Link, line: FaultyLine) -> None:
    rates = []
    for _ in range(3):
        sent = await _send(link, line, soak.random.randbytes(SIZE), Faults())
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


async def _table(soak: Soak, link: Link, line: FaultyLine) -> None:
    updates = soak.times(UPDATES)
    clean = {}
    for size, bytes_per_s in ((SIZE, UART_BYTES_PER_S), (SMALL, FAST_BYTES_PER_S)):
        line.bytes_per_s = bytes_per_s
        found = [await _send(link, line, soak.random.randbytes(size), Faults()) for _ in range(3)]
        clean[size] = min(sent.seconds for sent in found if sent)
    for run in (1, RUN):
        for kind, field in KINDS.items():
            for share in SHARES:
                hopeless = run == 1 and share == SHARES[-1]  # nearly no frame comes through
                size = SMALL if hopeless else SIZE
                line.bytes_per_s = FAST_BYTES_PER_S if hopeless else UART_BYTES_PER_S
                faults = Faults(run=run)
                setattr(faults, field, share)
                name = f"{100 * share:g} % of bytes {kind}{'' if run == 1 else f', in runs of {run}'}"
                await _line(soak, link, line, name, faults, size, clean[size], updates)


async def _line(
    soak: Soak, link: Link, line: FaultyLine, name: str, faults: Faults, size: int, clean_s: float, updates: int
) -> None:
    done = []
    for number in range(updates):
        soak.progress(f"{name}: update {number + 1} of {updates}")
        try:
            sent = await _send(link, line, soak.random.randbytes(size), faults)
        except (WaselError, TimeoutError) as error:
            soak.check(False, f"{name}: {error!r}")
            continue
        soak.check(sent is not None, f"{name}: the device has another module than was sent")
        done += [sent] if sent else []
    soak.measure(f"{name}: delivered", 100 * len(done) / updates, "%", at_least=100)
    if done:
        slower = sum(sent.seconds for sent in done) / len(done) / clean_s
        again = 100 * (sum(sent.bytes for sent in done) / len(done) / size - 1)
        soak.measure(f"{name}: time, of a clean line's", round(slower, 2), "times")
        soak.measure(f"{name}: bytes sent again", round(again, 1), "%")


PART = Part(
    "updates over lines that lose, flip, double and swap bytes, and at 115,200 baud",
    timeout_s=2 * 3600,
    run=_run,
)
