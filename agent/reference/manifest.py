# SPDX-License-Identifier: Apache-2.0
"""The page of the manifest's fields."""

from __future__ import annotations

from agent.manifest import LIMITS, Health, Manifest, Policy
from agent.reference.markdown import Attribute, attributes, cell, table

__all__ = ["manifest_reference"]

HEAD = """# The manifest's fields

Made from the code that reads them. `wasel sign --manifest FILE` takes them as TOML; what they are for, how they are
encoded and what a device checks: [signed modules](../signing.md). Unknown keys are refused.
"""


def _bounds(field: Attribute) -> str:
    """Say what of a field's values is allowed."""
    if field.name in Manifest.NUMBERS:
        least, most = Manifest.NUMBERS[field.name]
        return f"{least} to {most}"
    if field.name in Manifest.TEXTS:
        most, pattern = Manifest.TEXTS[field.name]
        return f"at most {most} bytes, `{cell(pattern.pattern)}`"
    if field.name == "env":
        return f"at most {LIMITS['STRINGS']}, of {LIMITS['TEXT']} bytes each"
    return ""


def manifest_reference() -> str:
    """Return the page."""
    rows = (
        (f"`{one.name}`", cell(one.type), "yes" if one.required else "", _bounds(one), cell(one.text))
        for one in attributes(Manifest)
    )
    limits = {name: f"`policy.limits.{name}`" for name in Policy.NUMBERS}
    policy = (
        (limits.get(one.name, f"`policy.{one.name}`"), cell(one.type), cell(one.text)) for one in attributes(Policy)
    )
    health = ((f"`health.{one.name}`", cell(one.type), cell(one.text)) for one in attributes(Health))
    strings = f"At most {LIMITS['STRINGS']} words of {LIMITS['TEXT']} bytes each."
    bounds = f"Exit codes are 0 to {LIMITS['EXIT']}, times 1 to {LIMITS['HEALTH_S']} s, a line has at most "
    return "".join(
        (
            HEAD,
            table(("key", "type", "required", "allowed", ""), rows),
            f"\nThe whole manifest has at most {LIMITS['MANIFEST']} bytes.\n",
            f"\n## Policy\n\n{cell(Policy.__doc__)} {strings}\n",
            table(("key", "type", ""), policy),
            f"\n## Health\n\n{cell(Health.__doc__)} {bounds}{LIMITS['TEXT']} bytes.\n",
            table(("key", "type", ""), health),
        )
    )
