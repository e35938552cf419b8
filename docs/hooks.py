# SPDX-License-Identifier: Apache-2.0
"""Pages that the site makes when it is built, so that they are never old: the reference, out of the code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from agent.reference import (
    command_reference,
    error_reference,
    group_reference,
    manifest_reference,
    topic_reference,
)
from fleet.reference import http_reference, metric_reference

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

__all__ = ["PAGES", "on_files"]

PAGES = {
    "cli.md": command_reference,
    "reference/errors.md": error_reference,
    "reference/manifest.md": manifest_reference,
    "reference/group-64.md": group_reference,
    "reference/topics.md": topic_reference,
    "reference/http-api.md": http_reference,
    "reference/metrics.md": metric_reference,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    for path, page in PAGES.items():
        files.append(File.generated(config, path, content=page()))
    return files
