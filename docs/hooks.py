# SPDX-License-Identifier: Apache-2.0
"""Pages that the site makes when it is built, so that they are never old: the reference of all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from agent.reference import command_reference

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

__all__ = ["on_files"]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add cli.md."""
    files.append(File.generated(config, "cli.md", content=command_reference()))
    return files
