# SPDX-License-Identifier: Apache-2.0
"""Pages of the documentation that the code itself writes, so that they are never old: Markdown, one function a page."""

from __future__ import annotations

from agent.reference.commands import command_reference
from agent.reference.errors import error_reference
from agent.reference.group import group_reference
from agent.reference.manifest import manifest_reference
from agent.reference.topics import topic_reference

__all__ = ["command_reference", "error_reference", "group_reference", "manifest_reference", "topic_reference"]
