# SPDX-License-Identifier: Apache-2.0
"""When to send which bytes of an upload again, pure: answers and times in, chunks out.

Theory. The line keeps order and the device answers in order, so a chunk that is older than two answered ones is lost,
or its answer is. A timeout (RFC 6298, from the measured time of answers) is only needed where no answer comes at all,
and counts from the last one: as long as answers come, the line is only slow. Each
answer carries the offset up to which the device has everything, and whether it holds this chunk further on. Lost
chunks alone are sent again.

Two sizes adapt. The chunk doubles with each that came through until the first loss; from then on it shrinks by half
with a loss and grows by a quarter after twelve chunks in a row, which settles where about one in forty is lost: a clean
line gets the largest chunks, a bad one small ones. The window (chunks under way) grows by one with each window that
came through and shrinks where answers take more than half a second: a slow line gains nothing from a longer queue.
Losses do not shrink it: they come from noise, and nobody else waits for this line. Where the line goes over to cells
with parity (agent.link.loss) the chunk is as large as goes well there: `fix`.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

__all__ = ["Chunk", "Sender"]

LEAST_CHUNK = 16  # bytes
COSTLY_CHUNK = 32
"""Bytes below which a frame is mostly overhead; only a line that loses nearly all of those gets smaller ones."""
HOPELESS = 0.75
STREAK = 12
FIRST_CHUNK = 256  # bytes
LATER_ANSWERS = 2
MOST_CHUNKS = 16
"""Under way; the device holds at most 32 pieces out of order."""
FIRST_WINDOW = 2
LONG_ANSWER_S = 0.5
LEAST_TIMEOUT_S = 0.1
SMOOTH, SMOOTH_VARIANCE = 1 / 8, 1 / 4


@dataclass
class Chunk:
    """Bytes `begin` to `end` of the upload, sent once."""

    begin: int
    end: int
    sent_s: float
    number: int
    """Counts what was sent."""


class Sender:
    """The chunks of one upload of `size` bytes, from `offset` on."""

    def __init__(self, size: int, offset: int, *, most: int, window_bytes: int, timeout_s: float) -> None:
        self.size = size
        self.offset = offset
        """The device has everything below."""
        self.flying: dict[int, Chunk] = {}
        """By number; in the order in which they were sent."""
        self.sent_bytes = 0
        self.lost = 0
        """Chunks that were given up."""
        self._todo: list[tuple[int, int]] = [(offset, size)] if offset < size else []
        self._most = most
        self._chunk = min(FIRST_CHUNK, most)
        self._fixed: int | None = None
        self._clean = True
        self._streak = 0
        self._loss = 0.0
        self._window = float(FIRST_WINDOW)
        self._window_bytes = window_bytes
        self._number = 0
        self._srtt_s: float | None = None
        self._variance_s = 0.0
        self._first_timeout_s = timeout_s
        self._heard_s = 0.0
        """When the last answer came."""
        self._later: dict[int, int] = {}

    @property
    def done(self) -> bool:
        """The device has all of it."""
        return self.offset >= self.size

    @property
    def timeout_s(self) -> float:
        """How long an answer may take."""
        if self._srtt_s is None:
            return self._first_timeout_s
        return min(max(LEAST_TIMEOUT_S, self._srtt_s + 4 * self._variance_s), 4 * self._first_timeout_s)

    @property
    def chunk_size(self) -> int:
        """Bytes of the next chunk."""
        return self._fixed or self._chunk

    def fix(self, size: int | None) -> None:
        """Send chunks of this size, because the line has parity of its own; None: find out which is good."""
        if (size is None) != (self._fixed is None):
            self._srtt_s = None  # answers will take another time
            self._chunk = min(FIRST_CHUNK, self._most)
            self._clean = True
        self._fixed = size and max(1, min(size, self._most))

    @property
    def window(self) -> int:
        """Chunks that may be under way."""
        return max(1, min(int(self._window), self._window_bytes // self.chunk_size, MOST_CHUNKS))

    def next(self, now_s: float) -> Chunk | None:
        """Give the next chunk to send now, if the window has room for one."""
        while self._todo and self._todo[0][1] <= self.offset:
            self._todo.pop(0)
        if not self._todo or len(self.flying) >= self.window:
            return None
        begin, end = self._todo.pop(0)
        begin = max(begin, self.offset)
        cut = min(end, begin + self.chunk_size)
        if cut < end:
            self._todo.insert(0, (cut, end))
        chunk = Chunk(begin, cut, now_s, self._number)
        self._number += 1
        self.sent_bytes += cut - begin
        self.flying[chunk.number] = chunk
        return chunk

    def answered(self, chunk: Chunk, offset: int, now_s: float, *, held: bool = False) -> list[Chunk]:
        """Take the answer to a chunk; gives the chunks that are lost by what it says."""
        self._heard_s = now_s
        if self.flying.pop(chunk.number, None) is None:
            self.offset = max(self.offset, offset)
            return []
        self._measure(now_s - chunk.sent_s)
        self.offset = max(self.offset, offset)
        if offset < chunk.end and not held:
            self._again(chunk)
        else:
            self._came_through()
        lost = []
        for other in list(self.flying.values()):
            if other.end <= self.offset:
                del self.flying[other.number]  # it came; its answer did not
                continue
            if other.number < chunk.number:
                self._later[other.number] = self._later.get(other.number, 0) + 1
                if self._later[other.number] >= LATER_ANSWERS:
                    self._give_up(other)
                    lost.append(other)
        return lost

    def late(self, now_s: float) -> list[Chunk]:
        """Give the chunks under way if their time is over; they will be sent again."""
        if self.wait_s(now_s) > 0:
            return []
        lost = list(self.flying.values())
        for chunk in lost:
            self._give_up(chunk)
        return lost

    def wait_s(self, now_s: float) -> float:
        """Give the time until `late` has something to say if nothing comes."""
        if not self.flying:
            return 0.0
        since_s = max(self._heard_s, min(chunk.sent_s for chunk in self.flying.values()))
        return max(0.0, since_s + self.timeout_s - now_s)

    def _again(self, chunk: Chunk) -> None:
        self._later.pop(chunk.number, None)
        if chunk.end > self.offset:
            insort(self._todo, (max(chunk.begin, self.offset), chunk.end))

    def _give_up(self, chunk: Chunk) -> None:
        del self.flying[chunk.number]
        self._again(chunk)
        self.lost += 1
        if self._fixed is not None:
            return
        self._streak = 0
        self._clean = False
        self._loss += (1 - self._loss) / 16
        if chunk.end - chunk.begin >= self._chunk or chunk.end == self.size:
            least = LEAST_CHUNK if self._loss > HOPELESS else COSTLY_CHUNK
            self._chunk = max(min(least, self._most), self._chunk // 2)

    def _came_through(self) -> None:
        self._loss -= self._loss / 16
        if self._srtt_s is not None and self._srtt_s > LONG_ANSWER_S:
            self._window = max(FIRST_WINDOW, self._window - 1 / self._window)
        else:
            self._window = min(MOST_CHUNKS, self._window + 1 / self._window)
        if self._fixed is not None:
            return
        self._streak += 1
        if self._clean:
            self._grow(2 * self._chunk)
        elif self._streak >= STREAK:
            self._streak = 0
            self._grow(max(self._chunk * 5 // 4, COSTLY_CHUNK))

    def _grow(self, size: int) -> None:
        """Send larger chunks, whose answers may take longer in proportion."""
        size = min(size, self._most)
        if self._srtt_s is not None:
            self._srtt_s *= size / self._chunk
            self._variance_s *= size / self._chunk
        self._chunk = size

    def _measure(self, took_s: float) -> None:
        if self._srtt_s is None:
            self._srtt_s, self._variance_s = took_s, took_s / 2
            return
        self._variance_s += SMOOTH_VARIANCE * (abs(self._srtt_s - took_s) - self._variance_s)
        self._srtt_s += SMOOTH * (took_s - self._srtt_s)
