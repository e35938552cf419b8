# SPDX-License-Identifier: Apache-2.0
"""Choose superinstructions from a corpus of modules: ``python -m edge_engine.superinstructions --count N MODULE...``.

Every function of every module is translated without superinstructions (``host/listing.c``); what follows what, without
a branch target in between, is counted by weight: every module counts the same, and code in loops counts more. Of large
modules an even sample is taken. A corpus never shows everything, so part of the weight of a sequence is spread over the
sequences of the same kinds of operations (``KINDS``), by how common these operations are. Pairs that occur in enough
modules are merged, the heaviest first, as in byte pair encoding; what remains is parsed as the translator does it
(longest match) and thinned to what saves most dispatches. ``FAMILIES`` are taken whole, whatever the corpus says.

Writes ``superinstructions.txt``, the only place where they stand, most useful first. Does not run any module.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import re
import subprocess
import sys
from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from edge_engine.generate import MAX_PARTS, SUPERINSTRUCTIONS, generated_sources
from edge_engine.operations import all_operations
from edge_engine.paths import BUILD
from edge_engine.sources import ENGINE_FLAGS, ENGINE_INCLUDE
from edge_engine.zig import HOST, ROOT, compile_objects, link

__all__ = ["build_listing", "choose", "list_runs"]

TRAINING = BUILD / "training"
# Operations that stand for each other, and the kind they are; the form (_ss_a ...) is part of the kind.
KINDS = (
    (r"i(32|64)_(?:add|sub|mul|and|or|xor|shl|shr_s|shr_u|rotl|rotr)(_[sak]+_[as])$", r"alu\1\2"),
    (r"i(32|64)_(?:eq|ne|lt_s|lt_u|gt_s|gt_u|le_s|le_u|ge_s|ge_u)(_[sak]+_[as])$", r"compare\1\2"),
    (r"f(32|64)_(?:add|sub|mul|div)(_[sak]+_[as])$", r"float\1\2"),
    (r"f(32|64)_(?:eq|ne|lt|gt|le|ge)(_[sak]+_[as])$", r"compare_float\1\2"),
    (r"i(32|64)_load(?:8_s|8_u|16_s|16_u|32_s|32_u|)(_[sak]+_[as])$", r"load\1\2"),
    (r"i(32|64)_store(?:8|16|32|)(_[sak]+)$", r"store\1\2"),
)
# A comparison with its branch, an address with its access: what design and not statistics says.
FAMILIES = (
    (r"i32_(eq|ne|[lg][te]_[su])_(ss|sk|as|ak|sa)_a|i64_eqz_[sa]_a", r"br_if_d"),
    (r"i32_add_(sk|ss|sa)_a|i32_shl_sk_a", r"[if](32|64)_load\w*_a_[as]"),
    (r"i32_add_sk_a", r"([if](32|64)_store|i32_store(8|16))_(as|ak|aa)"),
)
LEAST_SPREAD = 1e-6  # share of all weight below which a suggested sequence is forgotten
SAMPLE = 40_000  # operations of a module that are looked at, about
DEEPEST = 3  # loops around code beyond this don't count
HEADER = 4  # numbers before a run's operations
ROUNDS = 3  # of merging and thinning
Run = tuple[int, ...]


def build_listing() -> Path:
    """Build the program that lists operations, with plain handlers."""
    folder = TRAINING / "generated"
    sources = [*sorted((ENGINE_INCLUDE.parent / "src").glob("*.c")), *generated_sources(folder, plain=True)]
    flags = [f"-I{folder}", *ENGINE_FLAGS]
    flags.append("-DEE_PROFILE")
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


class _Merger:
    """Byte pair encoding over weighted runs, with pair weights kept up to date."""

    def __init__(self, corpus: Corpus, ends: set[int], longest: int, least_modules: int) -> None:
        self.parts: list[Run] = [(number,) for number in range(1 << 11)]
        self.runs = [list(run) for run in corpus.weights]
        self.weights = list(corpus.weights.values())
        self.modules = [corpus.modules[run] for run in corpus.weights]
        self.ends = ends
        self.longest = longest
        self.least_modules = least_modules
        self.pairs: dict[tuple[int, int], float] = defaultdict(float)
        self.where: dict[tuple[int, int], set[int]] = defaultdict(set)
        for index in range(len(self.runs)):
            self._count(index, 1)
        self.heap = [(-weight, pair) for pair, weight in self.pairs.items()]
        heapq.heapify(self.heap)

    def _count(self, index: int, sign: int) -> None:
        run = self.runs[index]
        for pair in itertools.pairwise(run):
            self.pairs[pair] += sign * self.weights[index]
            if sign > 0:
                self.where[pair].add(index)

    def _mergeable(self, pair: tuple[int, int]) -> bool:
        first, second = self.parts[pair[0]], self.parts[pair[1]]
        if len(first) + len(second) > self.longest or first[-1] in self.ends:
            return False
        found = 0
        for index in self.where[pair]:
            found |= self.modules[index]
        return found.bit_count() >= self.least_modules

    def merge(self) -> Run | None:
        """Merge the heaviest pair; its parts, or None if there is none left."""
        while self.heap:
            weight, pair = heapq.heappop(self.heap)
            now = self.pairs[pair]
            if now <= 0 or -weight > now * 1.000001:  # less than when it was put here
                if now > 0:
                    heapq.heappush(self.heap, (-now, pair))
                continue
            if self._mergeable(pair):
                return self._apply(pair)
        return None

    def _apply(self, pair: tuple[int, int]) -> Run:
        number = len(self.parts)
        self.parts.append(self.parts[pair[0]] + self.parts[pair[1]])
        grown: set[tuple[int, int]] = set()
        for index in self.where.pop(pair):
            self._count(index, -1)
            run, out, at = self.runs[index], [], 0
            while at < len(run):
                if at + 1 < len(run) and (run[at], run[at + 1]) == pair:
                    out.append(number)
                    at += 2
                else:
                    out.append(run[at])
                    at += 1
            self.runs[index] = out
            self._count(index, 1)
            grown.update(two for two in itertools.pairwise(out) if number in two)
        for two in grown:
            heapq.heappush(self.heap, (-self.pairs[two], two))
        return self.parts[number]


def _uses(runs: dict[Run, float], chosen: set[Run], longest: int) -> tuple[dict[Run, float], float]:
    """Weight of each chosen sequence's uses under longest match, and the weight of all dispatches."""
    uses: dict[Run, float] = defaultdict(float)
    dispatches = 0.0
    for run, weight in runs.items():
        at = 0
        while at < len(run):
            for length in range(min(longest, len(run) - at), 1, -1):
                if run[at : at + length] in chosen:
                    uses[run[at : at + length]] += weight
                    at += length
                    break
            else:
                at += 1
            dispatches += weight
    return uses, dispatches


def choose(
    corpus: Corpus, ends: set[int], count: int, longest: int, least_modules: int, always: set[Run]
) -> tuple[list[Run], float]:
    """``count`` sequences with ``always`` among them, those that save most first, and the share of dispatches left."""
    merger = _Merger(corpus, ends, longest, least_modules)
    runs = corpus.weights
    chosen = set(always)
    before = sum(len(run) * weight for run, weight in runs.items())
    for _ in range(ROUNDS):
        while len(chosen) < count + count // 8:
            merged = merger.merge()
            if merged is None:
                break
            chosen.add(merged)
        uses, _ = _uses(runs, chosen, longest)
        keep = sorted(chosen, key=lambda run: (run not in always, -uses[run] * (len(run) - 1)))[:count]
        chosen = set(keep) | always
    uses, after = _uses(runs, chosen, longest)
    return sorted(chosen, key=lambda run: (-uses[run] * (len(run) - 1), run)), after / before


def main() -> None:
    """Parse the command line, choose, write."""
    parser = argparse.ArgumentParser(prog="python -m edge_engine.superinstructions", description=__doc__)
    parser.add_argument("modules", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--longest", type=int, default=3, choices=range(2, MAX_PARTS + 1))
    parser.add_argument("--loop-factor", type=float, default=2.0, help="how much more each loop around code counts")
    parser.add_argument("--least-modules", type=int, default=8, help="in how many modules a sequence must occur")
    parser.add_argument(
        "--spread", type=float, default=0.2, help="share of weight given to operations of the same kinds"
    )
    parser.add_argument("--output", type=Path, default=SUPERINSTRUCTIONS)
    options = parser.parse_args()
    operations, _ = all_operations()
    names = [operation.name for operation in operations]
    ends = {number for number, operation in enumerate(operations) if operation.ends}
    corpus = list_runs(options.modules, options.loop_factor)
    corpus = spread(corpus, _kinds(names), ends, options.spread)
    chosen, share = choose(corpus, ends, options.count, options.longest, options.least_modules, families(names))
    lines = ["# Sequences of operations (operations.py) with a handler of their own, one a line, most useful first."]
    lines.append("# Chosen by edge_engine/superinstructions.py; do not edit by hand.")
    lines += [" ".join(names[number] for number in run) for run in chosen]
    options.output.write_text("\n".join(lines) + "\n")
    sys.stdout.write(f"{len(chosen)} superinstructions; {share:.3f} of the dispatches remain\n")


if __name__ == "__main__":
    main()
