# SPDX-License-Identifier: Apache-2.0
"""The sender of an upload against a model of line and device, in the model's own time."""

from __future__ import annotations

import heapq
import random

import pytest

from agent.link.upload import MOST_CHUNKS, Chunk, Sender

OVERHEAD = 31  # bytes of a chunk's frame besides its data
RATE = 11_520  # bytes/s


class Model:
    """A line of RATE with losses per byte, in runs of `run` bytes, and a device that holds what comes early."""

    def __init__(self, size: int, loss: float, *, run: int = 1, seed: int = 0, most: int = 4096) -> None:
        self.sender = Sender(size, 0, most=most, window_bytes=32768, timeout_s=2.0)
        self.loss, self.run = loss / run, run
        self.dice = random.Random(seed)
        self.have = bytearray(size)
        self.now_s = 0.0
        self.free_s = 0.0
        self.wire_bytes = 0

    def survives(self, size: int) -> bool:
        return self.dice.random() < (1 - self.loss) ** (size + self.run - 1)

    def reached(self) -> int:
        end = self.have.find(0)
        return len(self.have) if end < 0 else end

    def go(self) -> None:
        answers: list[tuple[float, int, Chunk, int, bool]] = []
        for _ in range(1_000_000):
            if self.sender.done:
                return
            while (chunk := self.sender.next(self.now_s)) is not None:
                wire = chunk.end - chunk.begin + OVERHEAD
                self.wire_bytes += wire
                self.free_s = max(self.free_s, self.now_s) + wire / RATE
                if self.survives(wire):
                    self.have[chunk.begin : chunk.end] = b"x" * (chunk.end - chunk.begin)
                    reached = self.reached()
                    if self.survives(26):
                        held = chunk.begin > reached
                        heapq.heappush(answers, (self.free_s + 0.004, chunk.number, chunk, reached, held))
            assert len(self.sender.flying) <= MOST_CHUNKS
            late_s = self.now_s + self.sender.wait_s(self.now_s)
            if answers and answers[0][0] <= late_s:
                self.now_s, _, chunk, reached, held = heapq.heappop(answers)
                self.sender.answered(chunk, reached, self.now_s, held=held)
            else:
                self.now_s = max(late_s, self.now_s + 1e-6)
                self.sender.late(self.now_s)
        raise AssertionError("it does not end")


def test_a_clean_line_never_idles_and_nothing_is_sent_twice() -> None:
    model = Model(65536, 0.0)
    model.go()
    assert model.sender.sent_bytes == 65536
    assert model.sender.lost == 0
    assert 65536 / model.now_s >= 0.97 * RATE


@pytest.mark.parametrize("run", [1, 64])
@pytest.mark.parametrize("loss", [0.001, 0.01, 0.05])
@pytest.mark.parametrize("seed", range(3))
def test_everything_arrives_on_bad_lines(loss: float, run: int, seed: int) -> None:
    model = Model(16384, loss, run=run, seed=seed)
    model.go()
    assert bytes(model.have) == b"x" * 16384


def test_one_percent_of_bytes_lost_costs_about_five_times_the_time() -> None:
    clean, lossy = Model(65536, 0.0), Model(65536, 0.01)
    clean.go()
    lossy.go()
    assert lossy.now_s < 5.5 * clean.now_s


def test_one_percent_lost_in_runs_sends_little_again() -> None:
    model = Model(262144, 0.01, run=256)
    model.go()
    assert model.sender.sent_bytes <= 1.1 * 262144


def test_a_slow_line_gets_no_long_queue() -> None:
    model = Model(262144, 0.0)
    model.go()
    assert model.sender.timeout_s < 3.0


def test_a_lost_answer_is_no_lost_chunk() -> None:
    sender = Sender(1000, 0, most=100, window_bytes=1000, timeout_s=1.0)
    first, second = sender.next(0.0), sender.next(0.0)
    assert first is not None
    assert second is not None
    assert sender.answered(second, 200, 0.1) == []
    assert sender.flying == {}
    following = sender.next(0.1)
    assert following is not None
    assert following.begin == 200


def test_what_is_held_is_not_sent_again() -> None:
    sender = Sender(1000, 0, most=100, window_bytes=1000, timeout_s=1.0)
    sender._window = 4  # noqa: SLF001
    chunks = [chunk for _ in range(4) if (chunk := sender.next(0.0)) is not None]
    assert len(chunks) == 4
    for chunk in chunks[1:3]:
        sender.answered(chunk, 0, 0.1, held=True)
    assert chunks[0].number not in sender.flying  # two later ones were answered
    again = sender.next(0.1)
    assert again is not None
    assert again.begin == 0
    assert again.end <= 100
