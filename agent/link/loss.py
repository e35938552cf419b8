# SPDX-License-Identifier: Apache-2.0
"""How bad a line is, and how to send over it, pure: frames without answers and measured cells in, a `Way` out.

Theory. A clean line gets whole COBS frames. The first frame that is lost, either way, makes the line a bad one: from
then on messages go in cells (agent.link.cells), at first in the smallest with the most parity. Both ends measure what
share of the other's cells arrives; from that and the cells' size comes a rate of faults per byte, and from the rate the
size that carries most (few bytes of overhead against few cells lost) and the loss class, which says how much parity.
Where frames are lost all the same, because faults come in runs, the class is one worse than measured. When no cell at
all was lost for long enough the line is clean again; each time that proves wrong it takes twice as long.
"""

from __future__ import annotations

import math

from agent.link.cells import CELL_OVERHEAD, CLASSES, LEAST_SIZE, MOST_SIZE, SURVIVALS, Way, most_message

__all__ = ["Loss"]

WORST_RATE = 0.07
"""Faults per byte, until they are measured."""
TRUST_CELLS = 128
"""How exact a measured share is taken to be: as if so many cells had been counted."""
REPORT_ALL = 255
STAY = 0.8
"""A size that is so near to the best stays: a new one begins the measuring anew."""
CALM_ANSWERS = 64
"""Answers without a lost frame after which less parity is tried."""
OLD_REPORTS = 3
"""Answers in cells of a new size that still report about the size before."""
CLEAN_ANSWERS = 32
MOST_CLEAN_ANSWERS = 1024
MOST_DATA = 96
"""Cells of content in a frame of an upload: larger ones carry little more, and everybody else waits for them."""


class Loss:
    """What is known of one line."""

    def __init__(self) -> None:
        self.way: Way | None = None
        """How to send in cells; None: the line is clean, and frames go whole."""
        self.frames_lost = 0
        self._rates = [WORST_RATE, WORST_RATE]
        """Faults per byte, from us and to us."""
        self._size = self._same = 0
        """Of the cells in the last answers, and in how many."""
        self._worse = 0
        self._calm = 0
        self._clean = 0
        self._patience = CLEAN_ANSWERS
        self._since_clean: int | None = None
        """Answers since the line was taken to be clean again."""

    def begin(self) -> None:
        """Send in cells from now on."""
        self._rates = [WORST_RATE, WORST_RATE]
        self._worse = self._calm = self._clean = 0
        self.way = Way(LEAST_SIZE, CLASSES - 1)

    def lost(self, way: Way | None) -> None:
        """Take note of a frame that was sent this way and got no answer."""
        self.frames_lost += 1
        self._clean = 0
        if self.way is None:
            if self._since_clean is not None and self._since_clean < MOST_CLEAN_ANSWERS:
                self._patience = min(2 * self._patience, MOST_CLEAN_ANSWERS)
            self.begin()
        elif way is not None:
            self._worse = min(self._worse + 1, CLASSES - 1)
            self._calm = 0
            self._choose()

    def answered(self, way: Way | None, report: int, measured: int, size: int) -> None:
        """Take note of an answer: how it came, what it says arrives there, and what arrives here in cells of `size`."""
        if self.way is None:
            if self._since_clean is not None:
                self._since_clean += 1
            return
        if way is None:
            return
        self._calm += 1
        if self._calm % CALM_ANSWERS == 0:
            self._worse = max(0, self._worse - 1)
        self._same = self._same + 1 if way.size == self._size else 1
        self._size = way.size
        if report and self._same > OLD_REPORTS:
            self._rates[0] = _rate(report, way.size)
        if measured:
            self._rates[1] = _rate(measured, size)
        self._clean = self._clean + 1 if report == measured == REPORT_ALL else 0
        if self._clean >= self._patience:
            self.way, self._since_clean = None, 0
            return
        self._choose()

    def room(self) -> int | None:
        """Bytes of a message that goes well as one frame; None: as long as it likes."""
        return most_message(self.way, MOST_DATA) if self.way is not None else None

    def _choose(self) -> None:
        if self.way is None:
            return
        rate = max(self._rates)
        size = self.way.size
        best = _best_size(rate)
        if not STAY <= size / best <= 1 / STAY or best == MOST_SIZE:
            size = best
        share = 100 * (1 - rate) ** (size + CELL_OVERHEAD + 1)
        good = next((number for number, least in enumerate(SURVIVALS) if share >= least), CLASSES - 1)
        self.way = Way(size, min(good + self._worse, CLASSES - 1))


def _rate(report: int, size: int) -> float:
    """Faults per byte, rather more than fewer, where this share of cells arrives: its bytes and both zeros are well."""
    share = min(report / REPORT_ALL, 1 - 1 / (4 * TRUST_CELLS))
    low = max(share - math.sqrt(share * (1 - share) / TRUST_CELLS), 0.02)
    return 1 - math.exp(math.log(low) / (size + CELL_OVERHEAD + 1))


def _best_size(rate: float) -> int:
    """Bytes of content that carry most: where size * (1 - rate) ** size / (size + overhead) is greatest."""
    decay = -math.log1p(-rate)
    size = (math.sqrt(CELL_OVERHEAD**2 + 4 * CELL_OVERHEAD / decay) - CELL_OVERHEAD) / 2
    return min(max(round(size), LEAST_SIZE), MOST_SIZE)
