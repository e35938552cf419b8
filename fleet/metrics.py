# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics of one server process: read from its parts when they are asked for; nothing is counted twice.

What the database knows (devices by state, rollouts by phase) every worker says alike: take the maximum over workers,
and the sum of the counters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from fleet import overview

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

    from fleet.context import Fleet
    from fleet.service import Service

__all__ = ["COUNTS", "MEASURES", "Measure", "registry_of"]

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

    def family(self, value: float) -> Metric:
        """Give it as Prometheus has it."""
        kind = CounterMetricFamily if self.counts else GaugeMetricFamily
        return kind(self.name, self.text, value=value)


def _gauge(name: str, text: str, read: Callable[[Fleet], float]) -> Measure:
    return Measure(name, text, counts=False, of_server=read)


def _counter(name: str, text: str, read: Callable[[Fleet], float]) -> Measure:
    return Measure(name, text, counts=True, of_server=read)


def _link_gauge(name: str, text: str, read: Callable[[Service], float]) -> Measure:
    return Measure(name, text, counts=False, of_service=read)


def _link_counter(name: str, text: str, read: Callable[[Service], float]) -> Measure:
    return Measure(name, text, counts=True, of_service=read)


MEASURES = (
    _gauge("wasel_leader", "Whether this worker leads.", lambda fleet: int(fleet.leads)),
    _counter("wasel_engine_steps", "Steps of the rollout engine.", lambda fleet: fleet.engine.steps),
    _counter("wasel_webhook_delivered", "Accepted deliveries.", lambda fleet: fleet.webhooks.delivered),
    _counter("wasel_webhook_failed", "Failed attempts to deliver.", lambda fleet: fleet.webhooks.failed),
    _link_gauge("wasel_broker_connected", "Whether the broker is there.", lambda it: int(it.link.connected.is_set())),
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


class _Collector:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        fleet, service = self._fleet, self._fleet.service
        with fleet.database.read() as session:
            counts = overview.counts(session)
        for name, text, label, key in COUNTS:
            family = GaugeMetricFamily(name, text, labels=[label] if label else [])
            for value, number in sorted(counts[key].items()) if label else [("", counts[key])]:
                family.add_metric([value] if label else [], number)
            yield family
        for measure in MEASURES:
            if measure.of_server is not None:
                yield measure.family(measure.of_server(fleet))
            elif measure.of_service is not None and service is not None:
                yield measure.family(measure.of_service(service))


def registry_of(fleet: Fleet) -> CollectorRegistry:
    """Give the registry of a server process."""
    registry = CollectorRegistry()
    registry.register(_Collector(fleet))
    return registry
