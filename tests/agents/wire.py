# SPDX-License-Identifier: Apache-2.0
"""What may be on a line, for the tests of its framings, and what the agent's decoder makes of it."""

from __future__ import annotations

from hypothesis import strategies as st

from agent.link.frames import FrameDecoder, FrameEvent

__all__ = ["LINE", "SMP", "events_of"]

# an SMP message: flags, the second byte, are 0
SMP = st.builds(lambda op, rest: bytes([op, 0]) + rest, st.sampled_from([0, 2, 8, 10]), st.binary(min_size=6))
LINE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40).map(lambda text: text.encode() + b"\n")


def events_of(data: bytes, step: int | None = None) -> list[FrameEvent]:
    """Decode bytes that come all at once, or `step` at a time."""
    decoder = FrameDecoder()
    events: list[FrameEvent] = []
    for at in range(0, len(data), step or max(1, len(data))):
        events += decoder.feed(data[at : at + (step or len(data))])
    return events
