# SPDX-License-Identifier: Apache-2.0
"""Somebody who looks at the dashboard while the fleet works: a process of its own, as a browser is.

Contract: `python -m soak.pages URL EVERY_S PATH...` fetches the pages one after the other with the token in
`WASEL_SOAK_TOKEN` until its standard input ends, and prints the milliseconds of each answer by path as JSON; a page
that is refused or not answered ends it with exit code 1 and the reason on standard error. The first round, which fills
caches of the server, is not counted. `looking` runs it around a block, which begins after that round; an error of the
block comes first, always.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from agent.errors import WaselError
from qemu.bound import bound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

__all__ = ["Looked", "PagesError", "looking"]

ANSWER_TIMEOUT_S = 120.0
END_TIMEOUT_S = 2 * ANSWER_TIMEOUT_S
TOKEN = "WASEL_SOAK_TOKEN"  # noqa: S105 - the variable's name


class PagesError(WaselError):
    """A page was refused or not answered."""


@dataclass
class Looked:
    """How long answers took."""

    times_ms: dict[str, list[float]] = field(default_factory=dict)
    """By path; filled when the block has ended."""

    def at(self, share: float, path: str | None = None) -> float:
        """Give the time that this share of the answers (of one page) did not exceed."""
        values = sorted(ms for name, times in self.times_ms.items() if path in (None, name) for ms in times)
        return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0

    @property
    def count(self) -> int:
        """Give the number of answers."""
        return sum(map(len, self.times_ms.values()))


@contextlib.asynccontextmanager
async def looking(url: str, token: str, paths: Sequence[str], every_s: float = 0.1) -> AsyncIterator[Looked]:
    """Look at pages while the block runs. PagesError, unless the block itself failed."""
    looked = Looked()
    process = await asyncio.create_subprocess_exec(
        *bound([sys.executable, "-m", "soak.pages", url, str(every_s), *paths]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, TOKEN: token},
    )
    ready = await process.stdout.readline() if process.stdout is not None else b""
    ended = asyncio.gather(_read(process.stdout), _read(process.stderr), process.wait())
    if not ready:
        output, words, code = await ended
        _times(code or 1, output, words)
    failed = True
    try:
        yield looked
        failed = False
    finally:
        try:
            if process.stdin is not None:
                process.stdin.close()
            async with asyncio.timeout(END_TIMEOUT_S):
                output, words, code = await asyncio.shield(ended)
            looked.times_ms = _times(code, output, words)
        except (PagesError, TimeoutError):
            if not failed:
                raise
        finally:
            if process.returncode is None:
                process.kill()
            await asyncio.gather(ended, return_exceptions=True)


def _times(code: int, output: bytes, words: bytes) -> dict[str, list[float]]:
    if code:
        reason = words.decode("utf-8", "replace").strip().splitlines() or ["it says nothing"]
        raise PagesError(f"pages: {reason[-1]}")
    return dict(json.loads(output))


async def _read(pipe: asyncio.StreamReader | None) -> bytes:
    return await pipe.read() if pipe is not None else b""


def main(url: str, every_s: str, *paths: str) -> None:
    """Look until standard input ends."""
    stop = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    times: dict[str, list[float]] = {path: [] for path in paths}
    headers = {"Authorization": f"Bearer {os.environ[TOKEN]}", "Accept": "text/html, application/json"}
    with httpx.Client(base_url=url, headers=headers, timeout=ANSWER_TIMEOUT_S) as http:
        number = 0
        while not stop.is_set():
            path = paths[number % len(paths)]
            began_s = time.perf_counter()
            try:
                answer = http.get(path)
            except httpx.HTTPError as error:
                sys.exit(f"{path}: {error!r} after {time.perf_counter() - began_s:.1f} s")
            if answer.status_code != 200:  # noqa: PLR2004
                sys.exit(f"{path}: {answer.status_code}: {answer.text[:200]}")
            number += 1
            if number > len(paths):
                times[path].append((time.perf_counter() - began_s) * 1000)
            elif number == len(paths):
                print("ready", flush=True)
            stop.wait(float(every_s))
    print(json.dumps(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
