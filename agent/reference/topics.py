# SPDX-License-Identifier: Apache-2.0
"""The page of the MQTT topics: who publishes which, and the keys of each body."""

from __future__ import annotations

from agent import messages
from agent.messages import BODIES, KEYS, DesiredSlot, Progress, SlotReport
from agent.reference.markdown import attribute_table, cell, first_line, table
from agent.topics import Topics

__all__ = ["topic_reference"]

HEAD = f"""# MQTT topics and their messages

Made from the code that speaks them. Bodies are CBOR maps with text keys and `"v": {messages.VERSION}`; what they do,
with an example of each byte for byte: [wasel over MQTT](../MQTT.md).
"""
PARTS = {DesiredSlot: "a slot of `desired`", SlotReport: "a slot of `state`", Progress: "`progress` of `state`"}
LIMITS = {
    "any message, bytes": messages.MAX_BODY,
    "data of a chunk, bytes": messages.MAX_CHUNK,
    "a module, bytes": messages.MAX_MODULE,
    "chunks asked for at once": messages.MAX_WINDOW,
    "slots": messages.MAX_SLOTS,
    "arguments and environment, strings": messages.MAX_STRINGS,
    "arguments and environment, bytes": messages.MAX_STRINGS_SIZE,
    "any other text, characters": messages.MAX_TEXT,
    "counters of a slot in one `met`": messages.MAX_COUNTERS,
}


def topic_reference() -> str:
    """Return the page."""
    names = [name for name, value in vars(Topics).items() if isinstance(value, property)]
    topics = Topics("DEVICE")
    rows = ((f"`{getattr(topics, name)}`", cell(getattr(Topics, name).__doc__)) for name in names)
    text = [HEAD, table(("topic", ""), rows)]
    for name in names:
        kind = BODIES.get(name)
        if kind is not None:
            text.append(f"\n## {name}\n\n{cell(first_line(kind))}\n{attribute_table(kind, keys=KEYS)}")
    for kind, title in PARTS.items():
        text.append(f"\n## {title}\n\n{cell(first_line(kind))}\n{attribute_table(kind, keys=KEYS)}")
    limits = ((what, str(most)) for what, most in LIMITS.items())
    return "".join((*text, "\n## At most\n", table(("", ""), limits)))
