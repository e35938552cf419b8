# SPDX-License-Identifier: Apache-2.0
"""Fields of the manifest, out of the classes that parse it (agent/manifest.py)."""

from __future__ import annotations

from agent.manifest import LIMITS, MANIFEST_VERSION, SOCKET, Health, Manifest, Policy
from scripts.reference.text import Described, cell, described, table

__all__ = ["manifest_reference"]

HEAD = f"""# The manifest

What a signed module says of itself, out of the code that parses it. People write these keys as TOML, `wasel sign` puts
them into the module as CBOR with the same names, and a device checks them again. Unknown keys are refused by both. How
the section is encoded, signed and checked is in [signed modules](../signing.md).

Encoded it has `v` ({MANIFEST_VERSION}, the format) and `size` (bytes of the file before the section), too, and at most
{LIMITS["MANIFEST"]} bytes.
"""
POLICY = """
## policy

In TOML a table. In CBOR a list of words, the same as a start request's `grants`
([what they mean](../wasi-calls.md)). A signed module gets these and nothing
else, and a device that cannot enforce a word refuses the module.

"""
HEALTH = """
## health

Exactly one of `exit`, `line` and `alive_s`. What follows from it: [the wire](../PROTOCOL.md#group-1-images), "Trial".

"""


def _bounds(low: int, high: int) -> str:
    return f"{low:,} to {high:,}" if high < 1 << 62 else f"{low:,} to 2^{high.bit_length()} - 1"


def _manifest_value(field: Described) -> str:
    if field.name in Manifest.NUMBERS:
        return _bounds(*Manifest.NUMBERS[field.name])
    if field.name in Manifest.TEXTS:
        size, pattern = Manifest.TEXTS[field.name]
        return f"text, at most {size} bytes, `{cell(pattern.pattern)}`"
    if field.name == "env":
        return f"list of at most {LIMITS['STRINGS']} texts of {LIMITS['TEXT']} bytes (TOML: also a table)"
    return f"table, [below](#{field.name})"


def _policy_row(field: Described) -> tuple[str, str, str, str, str]:
    words = dict(Policy.LISTS)
    if field.name in words:
        shape = f", `{cell(SOCKET.pattern)}`" if field.name in {"sockets", "listen"} else ""
        value = f"list of at most {LIMITS['STRINGS']} texts of {Policy.MOST_TEXT} bytes{shape}"
        return f"`{field.name}`", value, "none", f"`{words[field.name]}=...`", cell(field.text)
    if field.name in Policy.FLAGS:
        return f"`{field.name}`", "true or false", "true", f"`{field.name}=off`", cell(field.text)
    return f"`limits.{field.name}`", _bounds(0, Policy.MOST_NUMBER), "no limit", f"`{field.name}=N`", cell(field.text)


def _health_value(field: Described) -> str:
    if field.name in Health.NUMBERS:
        return _bounds(*Health.NUMBERS[field.name])
    return f"text, at most {LIMITS['TEXT']} bytes"


def manifest_reference() -> str:
    """Return the page."""
    rows = [
        (
            f"`{field.name}`",
            _manifest_value(field),
            "required" if field.name in Manifest.REQUIRED else "",
            cell(field.text),
        )
        for field in described(Manifest)
    ]
    health = [(f"`{field.name}`", _health_value(field), cell(field.text)) for field in described(Health)]
    return (
        HEAD
        + "\n"
        + table(("key", "value", "", ""), rows)
        + POLICY
        + table(("key", "value", "default", "word", ""), map(_policy_row, described(Policy)))
        + HEALTH
        + table(("key", "value", ""), health)
    )
