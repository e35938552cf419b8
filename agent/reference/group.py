# SPDX-License-Identifier: Apache-2.0
"""The page of SMP group 64: every command with its request, its answer and the group's errors."""

from __future__ import annotations

import inspect
from typing import Any

from agent.link import modules
from agent.link.modules import CandidateStatus, Command, ModuleError, RevertedStatus, SlotStatus
from agent.reference.markdown import attribute_table, cell, first_line, table

__all__ = ["group_reference"]

HEAD = f"""# SMP group {modules.GROUP}

Made from the code that speaks it: the keys of each request and answer, CBOR maps with text keys. Byte for byte, with
what the fields mean for a device: [the wire](../PROTOCOL.md#group-{modules.GROUP}-modules). Keys of an answer may be
added; those of a request that a device does not know, it ignores.
"""
PARTS = {SlotStatus: "slots", CandidateStatus: "candidate", RevertedStatus: "reverted"}
"""Maps inside an answer, and the key that they stand under."""


def _requests() -> dict[Command, Any]:
    """Give the request of each command."""
    found: dict[Command, Any] = {}
    kind: Any
    for _, kind in inspect.getmembers(modules, inspect.isclass):
        if getattr(kind, "_GROUP_ID", None) == modules.GROUP and "_Response" in getattr(
            kind, "__private_attributes__", {}
        ):
            found[Command(kind._COMMAND_ID)] = kind  # noqa: SLF001 - smp's own convention
    return found


def group_reference() -> str:
    """Return the page."""
    requests = _requests()
    text = [HEAD]
    for command in Command:
        kind = requests[command]
        answer = kind.__private_attributes__["_Response"].default
        way = "read" if "Read" in kind.__mro__[1].__name__ else "write"
        text.append(f"\n## {command.value} {command.name.lower()} ({way})\n\n{cell(first_line(kind))}\n")
        text.append(attribute_table(kind, "request"))
        text.append(f"\nAnswer: {cell(first_line(answer))}\n")
        text.append(attribute_table(answer, "answer", {"device_version": "version"}))
        if command is Command.STATUS:
            for part, key in PARTS.items():
                text.append(f"\n### `{key}`\n\n{cell(first_line(part))}\n{attribute_table(part)}")
    errors = ((str(error.value), error.name.lower().replace("_", " ")) for error in ModuleError)
    text.append(f"\n## Errors\n\n`rc` of this group's errors.\n{table(('rc', ''), errors)}")
    return "".join(text)
