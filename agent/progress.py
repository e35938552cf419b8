# SPDX-License-Identifier: Apache-2.0
"""Progress bars on stderr where that is a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Progress", "Steps"]


class Progress:
    """Progress of `total` bytes; a context manager."""

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self._total = total
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - slow, and only terminals need it
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn  # noqa: PLC0415
            from rich.progress import Progress as RichBar  # noqa: PLC0415

            self._bar = RichBar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(binary_units=True),
                TransferSpeedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, title: str | None = None, total: int | None = None) -> None:
        """Show that `done` bytes are done; `total` where it has changed."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, description=title or self._title, total=total or self._total)


class Steps:
    """Progress in steps whose number is known later; a context manager. Nothing is shown before the first."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done; from any thread."""
        if self._bar is None and sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - slow, and only terminals need it
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415
            from rich.progress import Progress as RichBar  # noqa: PLC0415

            self._bar = RichBar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=total)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total)
