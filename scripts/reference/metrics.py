# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics of the fleet server, out of the tables that it collects them from (fleet/metrics.py)."""

from __future__ import annotations

from fleet.metrics import COUNTS, MEASURES
from scripts.reference.text import cell, table

__all__ = ["metrics_reference"]

HEAD = """# Metrics

`GET /metrics` of the fleet server gives these in Prometheus' text format, with a viewer's token: what all its processes
count, put together. Of several servers at one database ask one.

What a module and its device count, `wasel stats` and the topic `met` say: [counters](group-64.md#counters).

"""


def metrics_reference() -> str:
    """Return the page."""
    counts = [(f"`{name}`", "gauge", f"`{label}`" if label else "", "", cell(text)) for name, text, label, _ in COUNTS]
    measures = [
        (
            f"`{one.name}{'_total' if one.counts else ''}`",
            "counter" if one.counts else "gauge",
            "",
            "" if one.of_service is None else "with a broker",
            cell(one.text),
        )
        for one in MEASURES
    ]
    return HEAD + table(("metric", "type", "label", "", ""), [*counts, *measures])
