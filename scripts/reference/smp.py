# SPDX-License-Identifier: Apache-2.0
"""Group 64 of the serial protocol, out of the classes that make and check its messages (agent/link/modules.py).

The refusals come from the device's own list (sel4_bridge/supervisor/refusals.def).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args

from smp import message

from agent.link import modules
from edge_engine.paths import ROOT
from scripts.reference.text import Described, cell, described, first_line, table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["requests", "smp_reference"]

HEAD = f"""# SMP group {modules.GROUP}

Commands of wasel's own group, with the keys of each request and answer, out of the classes that make and check the
messages. What the commands do, framing, general errors and examples byte by byte are in [the wire](../PROTOCOL.md).

A key with a default may be absent; `null` counts as absent, unknown keys are ignored on both sides. An error of the
group is one of [these](#errors), a refusal one of [those](#refusals).
"""
TYPES = {
    "_Unsigned": "unsigned",
    "_Digest": "bytes, 32",
    "int": "integer",
    "str": "text",
    "bool": "true or false",
    "bytes": "bytes",
}
REFUSALS = ROOT / "sel4_bridge" / "supervisor" / "refusals.def"


def _type(text: str) -> str:
    """Say a field's annotation in words of CBOR."""
    text = text.removesuffix(" | None")
    if text in TYPES:
        return TYPES[text]
    found = re.fullmatch(r"(\w+)\[(.+)\]", text)
    if found is None:
        return f"map, [below](#{text.lower()})"
    kind, inner = found.groups()
    match kind:
        case "list":
            words = f"list of {_type(inner)}"
        case "Literal":
            words = " or ".join(f"`{word.strip(chr(39))}`" for word in inner.split(", "))
        case "tuple":
            words = "[number, stream, whether it ends a line, bytes]"
        case "Annotated":
            words = _bounded(*inner.split(", Field("))
        case _:
            raise TypeError(f"{text}: no words for this annotation")
    return words


def _bounded(kind: str, field: str) -> str:
    """Say `Annotated[kind, Field(...)]`."""
    bounds = dict(part.split("=") for part in field.rstrip(")").split(", "))
    if "alias" in bounds:
        return TYPES[kind]
    most = int(bounds["le"]) if "le" in bounds else int(bounds["lt"]) - 1
    return f"{bounds['ge']} to {most}"


def _key(cls: type, field: Described) -> str:
    """Give a field's name on the wire."""
    if cls is modules.StatusAnswer and field.name == "device_version":
        return "version"
    alias = re.search(r"alias='(\w+)'", field.type)
    return alias[1] if alias else field.name


def _fields(cls: type) -> str:
    rows = [
        (
            f"`{_key(cls, field)}`",
            _type(field.type),
            "" if field.default is None else "optional",
            cell(field.text),
        )
        for field in described(cls)
    ]
    return table(("key", "value", "", ""), rows) if rows else "An empty map.\n"


def _below(cls: type[Any]) -> Iterator[type]:
    """Yield the classes of maps within a message, each once."""
    for field in cls.model_fields.values():
        pending: list[Any] = [field.annotation]
        while pending:
            item = pending.pop()
            pending += get_args(item)
            if isinstance(item, type) and item.__module__ == modules.__name__:
                yield item
                yield from _below(item)


def _answer(request: Any) -> Any:
    """Give the class of the answer; pydantic keeps it as the default of a private attribute."""
    return getattr(request._Response, "default", request._Response)  # noqa: SLF001 - the `smp` package names it so


def requests() -> list[Any]:
    """Give every request of the group, by command, reads first."""
    classes = [
        item
        for item in vars(modules).values()
        if isinstance(item, type)
        and issubclass(item, message.ReadRequest | message.WriteRequest)
        and item.__module__ == modules.__name__
        and getattr(item, "_GROUP_ID", None) == modules.GROUP
    ]
    return sorted(classes, key=lambda cls: (cls._COMMAND_ID, issubclass(cls, message.WriteRequest)))


def _refusals() -> list[tuple[str, str]]:
    text = REFUSALS.read_text(encoding="utf-8")
    return [(number, cell(words)) for number, words in re.findall(r'SB_REFUSAL\((\d+), \w+, "(.*)"\)', text)]


def smp_reference() -> str:
    """Return the page."""
    parts = [HEAD]
    maps: dict[str, type] = {}
    for cls in requests():
        verb = "write" if issubclass(cls, message.WriteRequest) else "read"
        answer = _answer(cls)
        parts.append(f"\n## {int(cls._COMMAND_ID)} {cls._COMMAND_ID.name.lower()}, {verb}\n\n{first_line(cls)}\n")
        parts.append(f"\n**Request**\n\n{_fields(cls)}")
        parts.append(f"\n**Answer**: {first_line(answer)}\n\n")
        parts.append("See [counters](#counters).\n" if answer is modules.StatsAnswer else _fields(answer))
        maps |= {below.__name__: below for below in _below(answer)}
    for name, below in maps.items():
        parts.append(f"\n## {name}\n\n{first_line(below)}\n\n{_fields(below)}")
    counters = ((f"`{name}`", cell(text)) for name, text in modules.COUNTERS.items())
    parts.append("\n## Counters\n\nSince boot, all unsigned; keys may be added.\n\n" + table(("key", ""), counters))
    errors = [
        (str(int(modules.ModuleError[one.name])), f"`{one.name}`", cell(one.text))
        for one in described(modules.ModuleError)
        if modules.ModuleError[one.name]
    ]
    parts.append("\n## Errors\n\n" + table(("`rc`", "", ""), errors))
    parts.append("\n## Refusals\n\nGeneral error 11 with `rsn`.\n\n" + table(("number", "text"), _refusals()))
    return "".join(parts)
