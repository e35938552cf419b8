# SPDX-License-Identifier: Apache-2.0
"""Does a module fit a device? Asked before a byte is pushed.

The engine itself says what a module needs; it is a part that may be missing here (entry-point group
`wasel.inspectors`), and then the device alone decides, when it starts the module.

Errors: RefusedError for a module that does not fit. An invalid one is left for the device to refuse, in its words.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from agent.errors import RefusedError, WaselError

if TYPE_CHECKING:
    from agent.manifest import Manifest

__all__ = ["check_fits", "engine_view", "manifest_of"]

GROUP = "wasel.inspectors"


def engine_view(data: bytes, *, stack_size: int = 0, metered: bool = False) -> dict[str, Any] | None:
    """Give the engine's description of a module (sel4_bridge/inspection.py), or None without an engine here."""
    for entry in entry_points(group=GROUP, name="engine"):
        try:
            inspect = entry.load()
        except ImportError:
            continue
        view: dict[str, Any] = inspect(data, stack_size=stack_size, metered=metered)
        return view
    return None


def manifest_of(data: bytes) -> Manifest | None:
    """Read the manifest inside a module; None if it has none or a broken one, which is for others to refuse."""
    from agent.manifest import Manifest  # noqa: PLC0415 - only signed modules need it
    from agent.module_file import MANIFEST_SECTION, custom_section  # noqa: PLC0415

    try:
        section = custom_section(data, MANIFEST_SECTION)
        return Manifest.from_cbor(section, 0) if section is not None else None
    except WaselError:
        return None


def check_fits(name: str, data: bytes, where: str, arena_size: int, *, metered: bool = False) -> None:
    """Raise RefusedError if the module can't even be loaded into that arena (bytes; 0: unknown, nothing is checked)."""
    if arena_size == 0:
        return
    manifest = manifest_of(data)
    own = manifest.arena if manifest else None
    given = min(arena_size, own or arena_size)
    stack = (manifest.stack if manifest else None) or 0
    try:
        view = engine_view(data, stack_size=stack, metered=metered)
    except RefusedError:
        return
    if view is None:
        return
    memory = sum(entry["minimum"] * entry["page_size"] for entry in view["memories"] if not entry["imported"])
    need = view["arena"]["load"] if view["arena"] else memory
    if need > given:
        whose = f"its manifest asks for {given}" if own and own < arena_size else f"{where} has {given}"
        raise RefusedError(
            f"{name}: needs {need} bytes of arena ({memory} of them linear memory), {whose}; "
            "nothing was sent. See 'wasel inspect'"
        )
