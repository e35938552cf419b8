# SPDX-License-Identifier: Apache-2.0
"""Generated modules beside wasmtime: a bounded number here, more by ``python -m tests.fuzz``."""

from __future__ import annotations

import random

import pytest
import wasmtime

from edge_engine import ArenaTooSmall
from tests.fuzz.differential import Peer, compare, run_ours
from tests.fuzz.modules import generate

FIXED = range(60)
FRESH = 40


def test_generated_modules_are_valid_and_repeatable() -> None:
    engine = wasmtime.Engine()
    for seed in range(0, 4000, 40):
        data = generate(seed)
        wasmtime.Module.validate(engine, data)
        assert data == generate(seed)


def describe(seed: int) -> str:
    """How to have a seed's module again, and the module."""
    return f"python -m tests.fuzz.differential --first {seed} --count 1; module: {generate(seed).hex()}"


def test_same_as_wasmtime() -> None:
    """Fixed seeds, and fresh ones that a failure names."""
    fresh = random.SystemRandom().randrange(1 << 40)
    seeds = [*FIXED, *range(fresh, fresh + FRESH)]
    calls = returned = reached = 0
    problems = []
    with Peer() as peer:
        peer.ask(seeds[0])
        for n, seed in enumerate(seeds):
            if n + 1 < len(seeds):
                peer.ask(seeds[n + 1])
            try:
                problem, outcome = compare(seed, peer)
            except Exception as error:  # whatever it is, its seed must be known
                raise AssertionError(f"seed {seed}: {error!r}\n{describe(seed)}") from error
            problems += [f"{problem}\n{describe(seed)}"] if problem else []
            steps = [step[1] for step in outcome.steps if isinstance(step, list) and str(step[0]).startswith("f")]
            calls += len(steps)
            returned += sum(not isinstance(step, str) for step in steps)
            reached += len(outcome.calls)
    assert not problems, "\n".join(problems)
    # Were this to fall, the comparison would be of traps alone. About three calls of ten return.
    assert returned > calls // 10, f"fresh seeds from {fresh}"
    assert reached > len(seeds), f"fresh seeds from {fresh}"


@pytest.mark.parametrize("arena_size", [160 << 10, 224 << 10, 320 << 10])
def test_little_room_is_an_answer_too(arena_size: int) -> None:
    """In an arena that hardly holds it a module is refused, ends for want of room, or runs to its end."""
    compared = 0
    for seed in range(30):
        whole = run_ours(generate(seed))
        try:
            tight = run_ours(generate(seed), limits={"arena_size": arena_size, "stack_size": 16 << 10})
        except ArenaTooSmall:
            continue
        assert len(tight.steps) == len(whole.steps) or tight.steps[0] in {"NO_MEMORY", "STACK_EXHAUSTED"}
        compared += 1
    assert compared
