# SPDX-License-Identifier: Apache-2.0
"""Pages that the site makes when it is built, so that they are never old: scripts/reference has one file for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from scripts.reference import PAGES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

__all__ = ["on_files"]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them."""
    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    return files
