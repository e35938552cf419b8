# SPDX-License-Identifier: Apache-2.0
"""Pulling a module over an unreliable message bus, pure: times and chunks in, requests and bytes out.

The puller asks for windows of chunks ahead of what it has, takes chunks in any order, any number of times, and asks
again from the first missing byte when nothing useful came for a while. It gives its bytes out strictly in order, so
that a file holding them is always a correct prefix; whether the whole is right the digest says afterwards, elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.messages import Chunk, Get

__all__ = ["Puller"]

CHUNK_SIZE = 16 * 1024
WINDOW = 8
"""Chunks on the way."""
FIRST_TIMEOUT_S = 1.0
LAST_TIMEOUT_S = 8.0


@dataclass
class Puller:
    """One module from `offset` (what is already on disk) to `size`."""

    digest: bytes
    size: int
    offset: int
    """Bytes that are complete and in order."""
    chunk_size: int = CHUNK_SIZE
    window: int = WINDOW
    asked: int = field(init=False)
    """Everything below this was asked for."""
    _held: dict[int, bytes] = field(default_factory=dict)
    _deadline_s: float = 0.0
    _timeout_s: float = FIRST_TIMEOUT_S

    def __post_init__(self) -> None:
        if not 0 <= self.offset <= self.size:
            raise ValueError(f"offset {self.offset} of {self.size}")
        self.asked = self.offset

    @property
    def done(self) -> bool:
        """All bytes were given out."""
        return self.offset == self.size

    def want(self, now_s: float) -> Get | None:
        """Give the request to send now, if any."""
        if self.done:
            return None
        if self.asked > self.offset and now_s >= self._deadline_s:
            self.asked = self.offset
            self._timeout_s = min(self._timeout_s * 2, LAST_TIMEOUT_S)
        ahead = -(-(self.asked - self.offset) // self.chunk_size)
        if self.asked >= self.size or ahead > self.window // 2:
            return None
        count = min(self.window - ahead, -(-(self.size - self.asked) // self.chunk_size))
        get = Get(self.digest, self.asked, self.chunk_size, count)
        self.asked = min(self.asked + count * self.chunk_size, self.size)
        self._deadline_s = now_s + self._timeout_s
        return get

    @property
    def deadline_s(self) -> float:
        """When `want` has something to ask if nothing comes before."""
        return self._deadline_s

    def wait_s(self, now_s: float) -> float:
        """Give the time until `want` should be asked again if nothing comes."""
        return max(0.0, self._deadline_s - now_s)

    def feed(self, chunk: Chunk, now_s: float) -> bytes:
        """Take a chunk and give the bytes that are now next in order."""
        wanted = min(self.chunk_size, self.size - chunk.offset)
        if chunk.digest != self.digest or not self.offset <= chunk.offset < self.asked or len(chunk.data) != wanted:
            return b""
        self._held[chunk.offset] = chunk.data
        out = bytearray()
        while (data := self._held.pop(self.offset, None)) is not None:
            out += data
            self.offset += len(data)
        if out:
            self._timeout_s = FIRST_TIMEOUT_S
            self._deadline_s = now_s + self._timeout_s
            self.asked = max(self.asked, self.offset)
        return bytes(out)
