# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics of one server process: read from its parts when they are asked for; nothing is counted twice.

What the database knows (devices by state, rollouts by phase) every worker says alike: take the maximum over workers,
and the sum of the counters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from fleet import overview

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from fleet.context import Fleet

__all__ = ["registry_of"]


class _Collector:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterator[Metric]:
        with self._fleet.database.read() as session:
            counts = overview.counts(session)
        yield _labelled("wasel_devices", "Devices by state.", "state", counts["states"])
        yield _labelled("wasel_rollouts", "Rollouts by phase.", "phase", counts["rollouts"])
        yield _gauge("wasel_artifacts", "Modules on the server.", counts["artifacts"])
        yield _gauge("wasel_leader", "Whether this worker leads.", int(self._fleet.leads))
        yield _counter("wasel_engine_steps", "Steps of the rollout engine.", self._fleet.engine.steps)
        yield _counter("wasel_webhook_delivered", "Accepted deliveries.", self._fleet.webhooks.delivered)
        yield _counter("wasel_webhook_failed", "Failed attempts to deliver.", self._fleet.webhooks.failed)
        yield from self._service()

    def _service(self) -> Iterator[Metric]:
        service = self._fleet.service
        if service is None:
            return
        ingest, chunks = service.ingest, service.chunks
        yield _gauge("wasel_broker_connected", "Whether the broker is there.", int(service.link.connected.is_set()))
        yield _counter("wasel_broker_reconnections", "Lost connections to it.", service.link.reconnections)
        yield _gauge("wasel_link_buffered_bytes", "Bytes that wait for the socket.", service.link.buffered)
        yield _counter("wasel_states", "Reports of devices taken.", ingest.states)
        yield _counter("wasel_dropped", "Messages dropped because too many waited.", ingest.dropped + chunks.dropped)
        yield _counter("wasel_malformed", "Messages that are none.", ingest.malformed)
        yield _counter("wasel_unknown", "Messages of devices that are not enrolled.", ingest.unknown + service.ignored)
        yield _counter("wasel_write_seconds", "Spent writing reports into the database.", ingest.write_s)
        yield _counter("wasel_chunks_sent", "Pieces of modules sent.", chunks.sent)
        yield _gauge("wasel_gets_waiting", "Devices that wait for pieces.", chunks.waiting)
        yield _counter("wasel_published", "Desired states published.", service.publisher.published)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def registry_of(fleet: Fleet) -> CollectorRegistry:
    """Give the registry of a server process."""
    registry = CollectorRegistry()
    registry.register(_Collector(fleet))
    return registry
