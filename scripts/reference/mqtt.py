# SPDX-License-Identifier: Apache-2.0
"""MQTT topics and their bodies, out of agent/topics.py and of the code that checks each message (agent/messages.py).

The keys of a body are read from the source of its `parse`: every key is taken there with a getter that checks type and
bound, and what is not taken is refused or ignored.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent import messages
from agent.topics import LEAVES
from scripts.reference.text import cell, described, first_line, table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Key", "keys", "mqtt_reference"]

HEAD = f"""# MQTT topics and bodies

Who publishes what, and the keys of each body, out of the code that checks them. What the keys mean together, and each
message byte by byte, is in [the protocol](../MQTT.md).

Topics begin with `wasel/{messages.VERSION}/TENANT/DEVICE/`. The server is the fleet server or `wasel deploy`. Bodies
are CBOR maps with text keys and `"v"`: {messages.VERSION}, of at most {messages.MAX_BODY:,} bytes.
"""
TYPES = {
    "unsigned": "unsigned",
    "optional_unsigned": "unsigned",
    "optional_int": "integer, -2^31 to 2^32 - 1",
    "flag": "true or false",
    "optional_flag": "true or false",
    "text": f"text, at most {messages.MAX_TEXT:,} characters",
    "optional_text": f"text, at most {messages.MAX_TEXT:,} characters",
    "binary": "bytes",
    "digest": f"{messages.DIGEST_SIZE} bytes",
    "optional_digest": f"{messages.DIGEST_SIZE} bytes",
    "id": f"{messages.ID_SIZE} bytes",
    "strings": f"list of at most {messages.MAX_STRINGS} texts, {messages.MAX_STRINGS_SIZE:,} bytes together",
    "list": f"list of at most {messages.MAX_SLOTS} maps",
    "by_slot": f"map by slot number, at most {messages.MAX_SLOTS}",
}
"""What each getter of a message's fields takes."""
OPTIONAL_GETTERS = {"strings", "list", "by_slot"}
NAMES = {key: field for field, key in messages.KEYS.items()}
"""Keys whose field has another name."""
WITHIN = {("Desired", "slots"): messages.DesiredSlot, ("State", "progress"): messages.Progress}
"""Maps within messages, whose keys are taken from `entry`."""


@dataclass(frozen=True)
class Key:
    """A key of a body."""

    name: str
    value: str
    optional: bool


def _limit(node: ast.expr) -> int:
    return int(eval(ast.unparse(node), vars(messages)))  # noqa: S307 - an expression of our own source


def _taken(function: Any, variable: str) -> Iterator[Key]:
    """Yield what a function takes from the fields in `variable`, in order."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for node in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=name), attr=getter), args=[ast.Constant(value=str(key)), *rest]
            ) if name == variable and getter in TYPES:
                value = TYPES[getter]
                if getter == "unsigned":
                    most = _limit(rest[0]) - 1
                    value = f"0 to {most:,}" if most < 1 << 32 else f"0 to 2^{(most + 1).bit_length() - 1} - 1"
                elif getter == "binary":
                    value = f"at most {_limit(rest[0]):,} bytes"
                takes_default = len(rest) > (1 if getter in {"unsigned", "binary"} else 0) or bool(node.keywords)
                optional = takes_default or getter.startswith("optional_") or getter in OPTIONAL_GETTERS
                yield Key(key, value, optional)


def keys(cls: Any) -> list[Key]:
    """Give the keys of a message."""
    return list(_taken(cls.parse, "fields"))


def _rows(cls: type, found: list[Key]) -> str:
    texts = {field.name: field.text for field in described(cls)}
    rows = [
        (f"`{key.name}`", key.value, "optional" if key.optional else "", cell(texts.get(NAMES.get(key.name, key.name))))
        for key in found
    ]
    return table(("key", "value", "", ""), rows)


def mqtt_reference() -> str:
    """Return the page."""
    topics = [
        (
            f"[`{name}`](#{name})" if leaf.message else f"`{name}`",
            leaf.publisher,
            str(leaf.qos),
            "yes" if leaf.retained else "no",
            cell(leaf.text),
        )
        for name, leaf in LEAVES.items()
    ]
    parts = [HEAD, "\n", table(("topic", "published by", "QoS", "retained", "what"), topics)]
    for name, leaf in LEAVES.items():
        if not leaf.message:
            continue
        cls = getattr(messages, leaf.message)
        parts.append(f"\n## {name}\n\n{first_line(cls)}\n\n{_rows(cls, keys(cls))}")
        for (owner, key), below in WITHIN.items():
            if owner == leaf.message:
                parts.append(f"\nEach of `{key}`:\n\n{_rows(below, list(_taken(cls.parse, 'entry')))}")
        if cls is messages.State:
            slot = list(_taken(messages._slot_report, "fields"))  # noqa: SLF001 - where a slot's keys are taken
            states = ", ".join(f"`{state}`" for state in messages.STATES)
            parts.append(f"\nEach of `slots`, whose `state` is one of {states}:\n\n{_rows(messages.SlotReport, slot)}")
        if cls is messages.Command:
            parts.append(f"\n`do` is one of {', '.join(f'`{action}`' for action in messages.ACTIONS)}.\n")
    return "".join(parts)
