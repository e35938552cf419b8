# SPDX-License-Identifier: Apache-2.0
"""Takes the samples: every round runs every kernel once in every peer, so that whatever the machine does hits them all.

Contract: all peers get the same rounds; their checksums must agree, and none may be KERNEL_FAILED; the number kept per
kernel and peer is the median. A sample is the mean of as many calls as fill SAMPLE_NS, so that quick peers are measured
as steadily as slow ones. The order of peers turns by one each round. Does not decide what the numbers mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, log
from statistics import median
from typing import TYPE_CHECKING

from bench import BenchError, DisagreementError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.kernels import Built
    from bench.peers import Client

__all__ = ["KERNEL_FAILED", "KernelTimes", "geomean", "take_samples"]

KERNEL_FAILED = -1  # kernel.h
WARM_UP_ROUNDS = 1
SAMPLE_NS = 30_000_000
MOST_CALLS = 16


@dataclass
class KernelTimes:
    """All samples of one kernel: nanoseconds by peer, and what every peer computed."""

    name: str
    rounds: int
    wasm_bytes: int
    floating: bool
    checksum: int | None = None
    samples_ns: dict[str, list[int]] = field(default_factory=dict)

    def median_ms(self, peer: str) -> float:
        """Median time of one call in milliseconds."""
        return median(self.samples_ns[peer]) / 1e6

    def add(self, more: KernelTimes) -> None:
        """Add samples that the same peers took of the same work; DisagreementError if they computed something else."""
        if self.checksum != more.checksum:
            raise DisagreementError(f"{self.name}: computed {more.checksum:#x}, before {self.checksum:#x}")
        for peer, samples in more.samples_ns.items():
            self.samples_ns[peer] += samples

    def ratio(self, peer: str, base: str) -> float:
        """How many times as long as ``base`` it takes."""
        return self.median_ms(peer) / self.median_ms(base)

    def spread(self, peer: str) -> float:
        """Interquartile range over median: how far to trust the number."""
        ordered = sorted(self.samples_ns[peer])
        quarter = len(ordered) // 4
        return (ordered[-1 - quarter] - ordered[quarter]) / median(ordered)


def geomean(values: Iterable[float]) -> float:
    """Geometric mean; BenchError for no values or one that isn't positive."""
    numbers = list(values)
    if not numbers or min(numbers) <= 0:
        raise BenchError(f"no geometric mean of {numbers}")
    return exp(sum(log(number) for number in numbers) / len(numbers))


async def _call(client: Client, times: KernelTimes) -> int:
    nanoseconds, checksum = await client.run(times.name, times.rounds)
    where = f"{times.name} in {client.peer.name}"
    if checksum == KERNEL_FAILED:
        raise DisagreementError(f"{where}: the kernel's own check failed")
    if times.checksum is None:
        times.checksum = checksum
    elif times.checksum != checksum:
        raise DisagreementError(f"{where}: computed {checksum:#x}, others {times.checksum:#x}")
    return nanoseconds


async def _sample(client: Client, times: KernelTimes, calls: int) -> int:
    return sum([await _call(client, times) for _ in range(calls)]) // calls


async def take_samples(
    clients: Sequence[Client],
    kernels: Sequence[Built],
    *,
    rounds: int,
    scale: float,
    long_samples: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> list[KernelTimes]:
    """Load every kernel in every peer, then ``rounds`` interleaved rounds.

    ``scale`` multiplies the work of a call; without ``long_samples`` each sample is one call.
    """
    everything = [
        KernelTimes(
            built.kernel.name,
            max(1, round(built.kernel.rounds * scale)),
            built.wasm.stat().st_size,
            built.kernel.floating,
        )
        for built in kernels
    ]
    calls: dict[tuple[str, str], int] = {}
    for client in clients:
        for built, times in zip(kernels, everything, strict=True):
            await client.load(built.kernel.name, client.peer.module(built))
            await client.run(built.kernel.name, WARM_UP_ROUNDS)
            took = max(1, await _call(client, times)) if long_samples else SAMPLE_NS
            calls[client.peer.name, times.name] = min(MOST_CALLS, -(-SAMPLE_NS // took))
    for round_number in range(rounds):
        turn = round_number % len(clients)
        for times in everything:
            progress(f"round {round_number + 1}/{rounds}: {times.name}")
            for client in [*clients[turn:], *clients[:turn]]:
                samples = times.samples_ns.setdefault(client.peer.name, [])
                for _ in range(client.peer.extra_samples):
                    samples.append(await _sample(client, times, calls[client.peer.name, times.name]))
    return everything
