# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics of a server: what the database knows, and what its processes count, put together.

The process that is asked puts together what it counts itself and what the others told it (`Numbers`): the sum, the
largest or the smallest. A process that is gone leaves its counters, so that a sum never goes back, and nothing else.
With PostgreSQL every server at the same database knows all of them: let Prometheus ask one.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from fleet import overview

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from fleet.context import Fleet
    from fleet.service import Service

__all__ = ["COUNTERS", "COUNTS", "MEASURES", "Measure", "Numbers", "numbers_of", "registry_of"]

COUNTERS = "counters"
"""Topic of the bus, on which processes tell what they count."""
FORGET_S = 15.0
"""After which a process that says nothing is gone."""
MOST_WORKERS = 256

COUNTS = (
    ("wasel_devices", "Devices by state.", "state", "states"),
    ("wasel_rollouts", "Rollouts by phase.", "phase", "rollouts"),
    ("wasel_artifacts", "Modules on the server.", "", "artifacts"),
)
"""Name, text, label, and key of the overview's counts."""


@dataclass(frozen=True)
class Measure:
    """A number of a server process."""

    name: str
    """Counters get `_total` behind it."""
    text: str
    counts: bool
    """It only grows: a counter."""
    of_server: Callable[[Fleet], float] | None = None
    of_service: Callable[[Service], float] | None = None
    """Known only where the process speaks MQTT."""
    together: Callable[[Iterable[float]], float] = sum
    """Puts the numbers of several processes together."""

    def family(self, value: float) -> Metric:
        """Give it as Prometheus has it."""
        kind = CounterMetricFamily if self.counts else GaugeMetricFamily
        return kind(self.name, self.text, value=value)


def _gauge(name: str, text: str, read: Callable[[Fleet], float]) -> Measure:
    return Measure(name, text, counts=False, of_server=read, together=max)


def _counter(name: str, text: str, read: Callable[[Fleet], float]) -> Measure:
    return Measure(name, text, counts=True, of_server=read)


def _link_gauge(name: str, text: str, read: Callable[[Service], float]) -> Measure:
    return Measure(name, text, counts=False, of_service=read)


def _link_counter(name: str, text: str, read: Callable[[Service], float]) -> Measure:
    return Measure(name, text, counts=True, of_service=read)


MEASURES = (
    _gauge("wasel_leader", "Whether a process leads.", lambda fleet: int(fleet.leads)),
    _counter("wasel_engine_steps", "Steps of the rollout engine.", lambda fleet: fleet.engine.steps),
    _counter("wasel_webhook_delivered", "Accepted deliveries.", lambda fleet: fleet.webhooks.delivered),
    _counter("wasel_webhook_failed", "Failed attempts to deliver.", lambda fleet: fleet.webhooks.failed),
    Measure(
        "wasel_broker_connected",
        "Whether the broker is there, for all processes.",
        counts=False,
        of_service=lambda it: int(it.link.connected.is_set()),
        together=min,
    ),
    _link_counter("wasel_broker_reconnections", "Lost connections to it.", lambda it: it.link.reconnections),
    _link_gauge("wasel_link_buffered_bytes", "Bytes that wait for the socket.", lambda it: it.link.buffered),
    _link_counter("wasel_states", "Reports of devices taken.", lambda it: it.ingest.states),
    _link_counter(
        "wasel_dropped", "Messages dropped because too many waited.", lambda it: it.ingest.dropped + it.chunks.dropped
    ),
    _link_counter("wasel_malformed", "Messages that are none.", lambda it: it.ingest.malformed),
    _link_counter(
        "wasel_unknown", "Messages of devices that are not enrolled.", lambda it: it.ingest.unknown + it.ignored
    ),
    _link_counter("wasel_write_seconds", "Spent writing reports into the database.", lambda it: it.ingest.write_s),
    _link_counter("wasel_chunks_sent", "Pieces of modules sent.", lambda it: it.chunks.sent),
    _link_gauge("wasel_gets_waiting", "Devices that wait for pieces.", lambda it: it.chunks.waiting),
    _link_counter("wasel_published", "Desired states published.", lambda it: it.publisher.published),
)


def numbers_of(fleet: Fleet) -> dict[str, float]:
    """Give what this process counts, by name of the measure."""
    numbers: dict[str, float] = {}
    for measure in MEASURES:
        if measure.of_server is not None:
            numbers[measure.name] = measure.of_server(fleet)
        elif measure.of_service is not None and fleet.service is not None:
            numbers[measure.name] = measure.of_service(fleet.service)
    return numbers


class Numbers:
    """What other processes told of themselves last."""

    def __init__(self) -> None:
        self._told: OrderedDict[str, tuple[float, dict[str, float]]] = OrderedDict()

    def take(self, worker: str, numbers: Mapping[str, float]) -> None:
        """Note what a process counts; on the loop."""
        self._told[worker] = time.monotonic(), dict(numbers)
        self._told.move_to_end(worker)
        if len(self._told) > MOST_WORKERS:
            self._told.popitem(last=False)

    def together(self, own: Mapping[str, float]) -> dict[str, float]:
        """Give the numbers of all processes, by name of the measure: of `own` and those heard."""
        told = [(True, own)]
        told += [(time.monotonic() - at_s < FORGET_S, numbers) for at_s, numbers in list(self._told.values())]
        found: dict[str, float] = {}
        for measure in MEASURES:
            name = measure.name
            values = [numbers[name] for lives, numbers in told if name in numbers and (lives or measure.counts)]
            if values:
                found[name] = measure.together(values)
        return found


class _Collector:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        fleet = self._fleet
        with fleet.database.read() as session:
            counts = overview.counts(session)
        for name, text, label, key in COUNTS:
            family = GaugeMetricFamily(name, text, labels=[label] if label else [])
            for value, number in sorted(counts[key].items()) if label else [("", counts[key])]:
                family.add_metric([value] if label else [], number)
            yield family
        numbers = fleet.numbers.together(numbers_of(fleet))
        for measure in MEASURES:
            if measure.name in numbers:
                yield measure.family(numbers[measure.name])


def registry_of(fleet: Fleet) -> CollectorRegistry:
    """Give the registry of a server process."""
    registry = CollectorRegistry()
    registry.register(_Collector(fleet))
    return registry
