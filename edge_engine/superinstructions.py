# SPDX-License-Identifier: Apache-2.0
"""Choose superinstructions from a corpus of modules: ``python -m edge_engine.superinstructions --bytes N MODULE...``.

Every function of every module is translated without superinstructions (``host/listing.c``); what follows what, without
a branch target in between, is counted by weight: every module counts the same, and code in loops counts more. Of large
modules an even sample is taken. A corpus never shows everything, so part of the weight of a sequence is spread over the
sequences of the same kinds of operations (``KINDS``), by how common these operations are. ``FAMILIES`` are taken whole,
whatever the corpus says. Of the other sequences those are taken that save most dispatches per byte of code, until the
bytes are used up; in a few rounds, because what one saves depends on which others there are: in each the corpus is
parsed as the translator does it (longest match) and whatever turned out to be worth least gives way.

Writes ``superinstructions.txt``, the only place where they stand, most useful first. Does not run any module.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_engine.generate import MAX_PARTS, SUPERINSTRUCTIONS, generated_sources
from edge_engine.operations import Operation, all_operations
from edge_engine.paths import BUILD
from edge_engine.sources import ENGINE_FLAGS, ENGINE_INCLUDE
from edge_engine.zig import HOST, ROOT, compile_objects, link

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["build_listing", "choose", "list_runs"]

TRAINING = BUILD / "training"
# Operations that stand for each other, and the kind they are; the form (_ss_a ...) is part of the kind.
KINDS = (
    (r"(?:int|i32)_(?:add|sub|mul|and|or|xor|shl|shr_s|shr_u|rotl|rotr)(_[sak]+_[as])$", r"alu\1"),
    (r"i64_(?:shl|shr_s|shr_u|rotl|rotr)(_[sak]+_[as])$", r"alu64\1"),
    (r"i(32|64)_(?:eq|ne|lt_s|lt_u|gt_s|gt_u|le_s|le_u|ge_s|ge_u)(_[sak]+_[as])$", r"compare\1\2"),
    (r"f(32|64)_(?:add|sub|mul|div)(_[sak]+_[as])$", r"float\1\2"),
    (r"f(32|64)_(?:eq|ne|lt|gt|le|ge)(_[sak]+_[as])$", r"compare_float\1\2"),
    (r"i(32|64)_load(?:8_s|8_u|16_s|16_u|32_s|32_u|)(_[sakc]+_[as])$", r"load\1\2"),
    (r"i(32|64)_store(?:8|16|32|)(_[sakc]+)$", r"store\1\2"),
)
# A comparison with its branch, an address with its access, multiply and add, shift and mix: what design and not
# statistics says.
FAMILIES = (
    (r"i32_(eq|ne|[lg][te]_[su])_(ss|sk|as|ak|sa)_a|i64_eqz_[sa]_a", r"br_if_d"),
    (r"int_add_(ss|sa)_a|i32_shl_sk_a", r"[if](32|64)_load\w*_a_[as]"),
    (r"f32_(load_[ac]_a|mul_(ss|sa|as)_a)", r"f32_(add|sub)_(sa|as)_[as]"),
    (r"f64_(load_[ac]_a|mul_(ss|sa|as)_a)", r"f64_(add|sub)_(sa|as)_[as]"),
    (r"f32_load_[ac]_a", r"f32_mul_(sa|as)_[as]"),
    (r"f64_load_[ac]_a", r"f64_mul_(sa|as)_[as]"),
    (r"i32_(shl|shr_u|rotl)_(sk|ak)_a", r"int_(xor|add|or)_(sa|as)_[as]"),
)
# Bytes of code on aarch64: of an operand (read and used, or written), of an operation, of dispatch and table entries.
OPERAND_COST = {"s": 8, "d": 8, "h": 4, "i": 4, "q": 4, "L": 24}
OPERATION_COST, ACCESS_COST, CHECK_COST, SEQUENCE_COST = 4, 4, 24, 24
LEAST_SPREAD = 1e-6  # share of all weight below which a suggested sequence is forgotten
SAMPLE = 40_000  # operations of a module that are looked at, about
DEEPEST = 3  # loops around code beyond this don't count
HEADER = 2  # numbers before a run's operations
ROUNDS = 4  # of adding and thinning
END = -1  # key of a matcher's node where a sequence ends
Run = tuple[int, ...]


def build_listing() -> Path:
    """Build the program that lists operations, with plain handlers."""
    folder = TRAINING / "generated"
    sources = [*sorted((ENGINE_INCLUDE.parent / "src").glob("*.c")), *generated_sources(folder, plain=True)]
    flags = [f"-I{folder}", *ENGINE_FLAGS]
    objects = compile_objects(sources, TRAINING / "objects", HOST, flags)
    hosted = [flag for flag in flags if flag != "-ffreestanding"]
    program = ROOT / "edge_engine" / "host" / "listing.c"
    objects += compile_objects([program], TRAINING / "objects", HOST, [*hosted, "-D_DEFAULT_SOURCE"])
    return link(objects, TRAINING / "listing", HOST)


@dataclass
class Corpus:
    """Runs, their weights, and the modules they occur in as bits of a number."""

    weights: dict[Run, float] = field(default_factory=lambda: defaultdict(float))
    modules: dict[Run, int] = field(default_factory=lambda: defaultdict(int))
    count: int = 0

    def add(self, runs: list[tuple[Run, float]]) -> None:
        """Count a module's runs, each with its weight in the module."""
        length = sum(len(run) for run, _ in runs)
        step = -(-length // SAMPLE)
        runs = runs[::step]
        total = sum(len(run) * weight for run, weight in runs)
        for run, weight in runs:
            self.weights[run] += weight / total
            self.modules[run] |= 1 << self.count
        self.count += 1


def list_runs(modules: list[Path], loop_factor: float) -> Corpus:
    """Weight of every sequence that occurs; operations that end a sequence are its last."""
    output = subprocess.run(
        [str(build_listing()), *map(str, modules)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=600,
    ).stdout
    numbers = array("H", output)
    corpus = Corpus()
    module: list[tuple[Run, float]] = []
    at = 0
    while at < len(numbers):
        length = numbers[at]
        if length:
            run = tuple(numbers[at + HEADER : at + HEADER + length])
            if length > 1:
                module.append((run, loop_factor ** min(numbers[at + 1], DEEPEST)))
            at += HEADER + length
            continue
        corpus.add(module)
        module = []
        at += 1
    return corpus


def _kinds(names: list[str]) -> list[int]:
    """Give each operation the number of its kind; those of no common kind are kinds of their own."""
    texts = []
    for name in names:
        found = (re.sub(pattern, kind, name) for pattern, kind in KINDS if re.match(pattern, name))
        texts.append(next(found, name))
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    return [numbers[text] for text in texts]


def families(names: list[str]) -> set[Run]:
    """List all pairs that a row of FAMILIES stands for."""
    pairs: set[Run] = set()
    for first, second in FAMILIES:
        before = [number for number, name in enumerate(names) if re.fullmatch(first, name)]
        behind = [number for number, name in enumerate(names) if re.fullmatch(second, name)]
        pairs.update((a, b) for a in before for b in behind)
    return pairs


def _members(single: dict[int, float], kinds: list[int]) -> dict[int, list[tuple[float, int]]]:
    """Operations of each kind with their share of it, largest first."""
    of_kind: dict[int, float] = defaultdict(float)
    for operation, weight in single.items():
        of_kind[kinds[operation]] += weight
    members: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for operation, weight in sorted(single.items(), key=lambda item: -item[1]):
        members[kinds[operation]].append((weight / of_kind[kinds[operation]], operation))
    return members


def spread(corpus: Corpus, kinds: list[int], ends: set[int], share: float) -> Corpus:
    """Add, with ``share`` of their weight, the pairs and triples that the corpus's kinds of operations suggest."""
    single: dict[int, float] = defaultdict(float)
    sequences: dict[Run, float] = defaultdict(float)
    for run, weight in corpus.weights.items():
        for operation in run:
            single[operation] += weight
        run_kinds = [kinds[operation] for operation in run]
        for length, at in itertools.product((2, 3), range(len(run) - 1)):
            if at + length <= len(run) and ends.isdisjoint(run[at : at + length - 1]):
                sequences[tuple(run_kinds[at : at + length])] += weight / (length - 1)
    members = _members(single, kinds)
    least = LEAST_SPREAD * sum(single.values())
    wider = Corpus(defaultdict(float, corpus.weights), defaultdict(int, corpus.modules), corpus.count)
    for sequence, weight in sequences.items():
        partial: list[tuple[Run, float]] = [((), weight * share)]
        for kind in sequence:
            partial = [
                ((*run, operation), total * part)
                for run, total in partial
                for part, operation in members[kind]
                if total * part >= least
            ]
        for run, total in partial:
            wider.weights[run] += total
            wider.modules[run] |= (1 << corpus.count) - 1
    return wider


class _Matcher:
    """A set of sequences, and the translator's way through a run: the longest that matches, again and again."""

    def __init__(self, chosen: Iterable[Run]) -> None:
        self._root: dict[int, Any] = {}
        for run in chosen:
            node = self._root
            for operation in run:
                node = node.setdefault(operation, {})
            node[END] = True

    def parse(self, run: Run, *, forbidden: Run = ()) -> list[int]:
        """Lengths of the instructions that a run becomes, without the use of one sequence."""
        lengths = []
        at = 0
        while at < len(run):
            best, end = 1, at
            node: dict[int, Any] | None = self._root
            while node is not None and end < len(run):
                node = node.get(run[end])
                end += 1
                if node is not None and END in node and run[at:end] != forbidden:
                    best = end - at
            lengths.append(best)
            at += best
        return lengths


def costs(operations: Sequence[Operation]) -> list[int]:
    """Estimate the bytes that each operation adds to a superinstruction."""
    found = []
    for operation in operations:
        cost = OPERATION_COST + sum(OPERAND_COST[kind] for kind in operation.operands)
        cost += ACCESS_COST * ("mem + ea" in operation.body)
        cost += CHECK_COST * ("EE_TRAP" in operation.body or "call" in operation.name or operation.name == "return")
        found.append(cost)
    return found


def _candidates(corpus: Corpus, ends: set[int], longest: int, least_modules: int) -> dict[Run, float]:
    """All sequences that occur in enough modules, with their weight."""
    weights: dict[Run, float] = defaultdict(float)
    modules: dict[Run, int] = defaultdict(int)
    for run, weight in corpus.weights.items():
        found = corpus.modules[run]
        for at in range(len(run) - 1):
            for end in range(at + 1, min(at + longest, len(run)) + 1):
                if end - at > 1:
                    weights[run[at:end]] += weight
                    modules[run[at:end]] |= found
                if run[end - 1] in ends:
                    break
    return {run: weight for run, weight in weights.items() if modules[run].bit_count() >= least_modules}


def _uses(runs: dict[Run, float], matcher: _Matcher) -> tuple[dict[Run, float], float]:
    """Weight of each sequence's uses, and the weight of all dispatches."""
    uses: dict[Run, float] = defaultdict(float)
    dispatches = 0.0
    for run, weight in runs.items():
        at = 0
        for length in matcher.parse(run):
            if length > 1:
                uses[run[at : at + length]] += weight
            dispatches += weight
            at += length
    return uses, dispatches


@dataclass(frozen=True)
class Settings:
    """What the choice is bounded by."""

    total_bytes: int
    longest: int
    least_modules: int


def choose(
    corpus: Corpus, operations: Sequence[Operation], settings: Settings, always: set[Run]
) -> tuple[list[Run], float]:
    """Sequences with ``always`` among them, those that save most per byte first, and the share of dispatches left."""
    ends = {number for number, operation in enumerate(operations) if operation.ends}
    cost = costs(operations)

    def size(run: Run) -> int:
        return SEQUENCE_COST + sum(cost[operation] for operation in run)

    candidates = _candidates(corpus, ends, settings.longest, settings.least_modules)
    before = sum(len(run) * weight for run, weight in corpus.weights.items())
    chosen = set(always)
    values: dict[Run, float] = {}
    after = before
    for number in range(ROUNDS):
        matcher = _Matcher(chosen)
        gains = [
            (weight * (len(matcher.parse(run)) - 1) / size(run), run)
            for run, weight in candidates.items()
            if run not in chosen
        ]
        gains.sort(key=lambda item: (-item[0], item[1]))
        room = settings.total_bytes - sum(map(size, chosen))
        room = max(room, settings.total_bytes // (2 * number + 2))  # later rounds exchange less
        for _, run in gains:
            if room <= 0:
                break
            chosen.add(run)
            room -= size(run)
        matcher = _Matcher(chosen)
        uses, after = _uses(corpus.weights, matcher)
        values = {run: uses[run] * (len(matcher.parse(run, forbidden=run)) - 1) / size(run) for run in chosen}
        kept = set(always)
        total = sum(map(size, kept))
        for run in sorted(chosen - always, key=lambda run: (-values[run], run)):
            if values[run] > 0 and total + size(run) <= settings.total_bytes:
                kept.add(run)
                total += size(run)
        chosen = kept
    _, after = _uses(corpus.weights, _Matcher(chosen))
    return sorted(chosen, key=lambda run: (-values.get(run, 0.0), run)), after / before


def main() -> None:
    """Parse the command line, choose, write."""
    parser = argparse.ArgumentParser(prog="python -m edge_engine.superinstructions", description=__doc__)
    parser.add_argument("modules", nargs="+", type=Path)
    parser.add_argument("--bytes", type=int, default=55_000, help="of code and tables on aarch64, as estimated")
    parser.add_argument("--longest", type=int, default=6, choices=range(2, MAX_PARTS + 1))
    parser.add_argument("--loop-factor", type=float, default=2.0, help="how much more each loop around code counts")
    parser.add_argument("--least-modules", type=int, default=8, help="in how many modules a sequence must occur")
    parser.add_argument(
        "--spread", type=float, default=1.0, help="share of weight given to operations of the same kinds"
    )
    parser.add_argument("--output", type=Path, default=SUPERINSTRUCTIONS)
    options = parser.parse_args()
    operations, _ = all_operations()
    names = [operation.name for operation in operations]
    ends = {number for number, operation in enumerate(operations) if operation.ends}
    corpus = list_runs(options.modules, options.loop_factor)
    corpus = spread(corpus, _kinds(names), ends, options.spread)
    settings = Settings(options.bytes, options.longest, options.least_modules)
    chosen, share = choose(corpus, operations, settings, families(names))
    lines = ["# Sequences of operations (operations.py) with a handler of their own, one a line, most useful first."]
    lines.append("# Chosen by edge_engine/superinstructions.py; do not edit by hand.")
    lines += [" ".join(names[number] for number in run) for run in chosen]
    options.output.write_text("\n".join(lines) + "\n")
    sys.stdout.write(f"{len(chosen)} superinstructions; {share:.3f} of the dispatches remain\n")


if __name__ == "__main__":
    main()
