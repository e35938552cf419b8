# SPDX-License-Identifier: Apache-2.0
"""`python -m soak`: run the parts one after another, print a table, write build/soak/results.json.

What a part printed is in build/soak/NAME.log. Exit codes: 0 everything held, 1 a violation or a part that failed,
2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from soak import LeftOut, Measured, Progress, Violation, find_part, part_names, read_event

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "soak"
WIDTH = 116  # of the table where the terminal doesn't say
LAST_LINES = 8  # of a failed part's log
EVENT_LIMIT = 1 << 20  # bytes of one event


@dataclass
class Outcome:
    """What came of one part."""

    name: str
    measured: list[Measured] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    failure: str = ""  # why it did not come to its end
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether it came to its end and saw nothing that must not be."""
        return not self.failure and not self.violations


def arguments(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("part", nargs="*", help="only these (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of it, 1.0: as the parts say")
    parser.add_argument("--list", action="store_true", help="print what there is and run nothing")
    parser.add_argument("--json", action="store_true", help="the list or the results as JSON")
    options = parser.parse_args(argv)
    unknown = set(options.part) - set(part_names())
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(part_names())}")
    if options.scale <= 0:
        parser.error(f"--scale {options.scale:g}: must be above 0")
    return options


async def run_part(name: str, *, seed: int, scale: float, progress: Callable[[str], None]) -> Outcome:
    """Run one part in a process of its own, killed with its process group when its time is over."""
    outcome = Outcome(name)
    bound_s = find_part(name).timeout_s * max(1.0, scale)
    started = time.monotonic()
    FOLDER.mkdir(parents=True, exist_ok=True)
    log = FOLDER / f"{name}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "soak.worker", name, str(seed), repr(scale)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            limit=EVENT_LIMIT,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(bound_s):
            await _follow(process, outcome, progress)
            code = await process.wait()
        if code != 0:
            outcome.failure = f"ended with {code}: {_last_words(log)}"
    except TimeoutError:
        outcome.failure = f"not done after {bound_s:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome


async def _follow(process: asyncio.subprocess.Process, outcome: Outcome, progress: Callable[[str], None]) -> None:
    if process.stdout is None:
        raise RuntimeError("a part without a pipe for its events")
    async for line in process.stdout:
        match read_event(line.decode()):
            case Measured() as measured:
                outcome.measured.append(measured)
            case Violation(text):
                outcome.violations.append(text)
            case LeftOut(text):
                outcome.left_out.append(text)
            case Progress(text):
                progress(text)


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " / ".join(lines[-LAST_LINES:]) or "it said nothing"


def show(outcomes: list[Outcome], console: Console) -> None:
    """Print the table, then what must not be."""
    table = Table(title="soak")
    for name in ("part", "measured"):
        table.add_column(name)
    table.add_column("value", justify="right")
    table.add_column("limit")
    table.add_column("result")
    for outcome in outcomes:
        rows = [(one.what, f"{one.value:,g} {one.unit}".strip(), one.limit) for one in outcome.measured]
        rows.append(("wall-clock time", f"{outcome.seconds:,.0f} s", ""))
        for number, row in enumerate(rows):
            first = number == 0
            result = ("holds" if outcome.holds else "DOES NOT HOLD") if first else ""
            table.add_row(outcome.name if first else "", *row, result, end_section=number == len(rows) - 1)
    console.print(table)
    for outcome in outcomes:
        for text in outcome.left_out:
            console.print(f"{outcome.name}: left out: {text}", markup=False)
        for text, times in Counter(outcome.violations).items():
            console.print(f"{outcome.name}: {text}" + (f" ({times} times)" if times > 1 else ""), markup=False)
        if outcome.failure:
            console.print(f"{outcome.name}: {outcome.failure}", markup=False)


def show_list(console: Console, *, as_json: bool) -> None:
    """Print what parts there are."""
    parts = {name: find_part(name) for name in part_names()}
    if as_json:
        rows = [{"name": name, "what": part.what, "timeout_s": part.timeout_s} for name, part in parts.items()]
        print(json.dumps(rows))
        return
    for name, part in parts.items():
        console.print(f"{name:12} {part.what} (at most {part.timeout_s:g} s)", markup=False)


async def soak(options: argparse.Namespace, console: Console) -> list[Outcome]:
    """Run the parts that were asked for."""
    outcomes = []
    for name in options.part or part_names():
        with console.status(name) as status:

            def progress(text: str, name: str = name, update: Callable[[str], None] = status.update) -> None:
                update(f"{name}: {text}")

            outcomes.append(await run_part(name, seed=options.seed, scale=options.scale, progress=progress))
    return outcomes


def results(options: argparse.Namespace, outcomes: list[Outcome]) -> dict[str, Any]:
    """Return what was seen as JSON holds it."""
    parts = [{**asdict(outcome), "holds": outcome.holds} for outcome in outcomes]
    return {"seed": options.seed, "scale": options.scale, "parts": parts}


def main(argv: list[str]) -> int:
    """Run; returns the exit code."""
    options = arguments(argv)
    console = Console(highlight=False, stderr=options.json, width=None if sys.stdout.isatty() else WIDTH)
    if options.list:
        show_list(console, as_json=options.json)
        return 0
    outcomes = asyncio.run(soak(options, console))
    content = results(options, outcomes)
    temporary = FOLDER / f".results.{os.getpid()}"
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(FOLDER / "results.json")
    if options.json:
        print(json.dumps(content))
    else:
        show(outcomes, console)
    return 0 if all(outcome.holds for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
