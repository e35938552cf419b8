# SPDX-License-Identifier: Apache-2.0
"""Pages of the reference, each made from the code that it describes when the site is built (docs/hooks.py).

None is checked in, so none is ever old. tests/docs/test_reference.py fails when something of the code is missing from
its page. `python -m scripts.reference NAME` prints one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.reference.commands import command_reference
from scripts.reference.exit_codes import exit_code_reference
from scripts.reference.http_api import http_reference
from scripts.reference.manifest import manifest_reference
from scripts.reference.measures import measures_reference
from scripts.reference.metrics import metrics_reference
from scripts.reference.mqtt import mqtt_reference
from scripts.reference.smp import smp_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["PAGES"]

PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": command_reference,
    "exit-codes.md": exit_code_reference,
    "reference/manifest.md": manifest_reference,
    "reference/group-64.md": smp_reference,
    "reference/topics.md": mqtt_reference,
    "reference/http-api.md": http_reference,
    "reference/metrics.md": metrics_reference,
    "reference/measured.md": measures_reference,
}
"""Path of each page in the site, and what makes it."""
