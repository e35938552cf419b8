# SPDX-License-Identifier: Apache-2.0
"""Lay the interpreter's handlers out for QEMU: ``python -m bench.layout`` writes ``edge_engine/handler_order.txt``.

Where a handler jumps to the next one, QEMU looks the address up in a direct-mapped cache of 64 entries for each page of
4 KiB (``tb_jmp_cache``); two handlers of one page with the same entry that follow each other in a loop cost several
times what a jump costs. And a handler that reaches into the next page is two blocks of code to it, with a jump between.
So the pages are filled one after the other with handlers whose entries differ, as far as there are enough; where an
entry is taken already, a handler stands that is seldom used (vector operations and ``SELDOM``). The sizes are those of
code for the device.

Run it when superinstructions or bodies of operations have changed: an order that doesn't fit is slower and still right.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from bench.engine import EngineSources
from bench.kernels import BUILD
from bench.sizes import HANDLER, function_sizes
from edge_engine.files import write_if_changed
from edge_engine.generate import ORDER, handler_keys
from edge_engine.operations_simd import vector_forms
from edge_engine.zig import DEVICE, compile_objects

PAGE = 4096
ENTRIES = 64
TRIES = 400  # ways to fill a page, of which the best one is taken
SEED = 1
SELDOM = re.compile(
    r"\w*(?:copysign|min|max|trunc|convert|nearest|ceil|floor|popcnt|clz|ctz|rem_|div_|demote|promote|reinterpret|sqrt"
    r"|table_|memory_|elem_|data_|extend8|extend16|rotr|_q_|_aq|_sq|i64_[gl][te]_)\w*$"
)
HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# Handlers in the order of their addresses, by their parts. Written by python -m bench.layout.
"""


def _entry(address: int) -> int:
    """Which of a page's entries QEMU looks an address up in (its hash's lower part; the higher one is the page)."""
    return (address ^ address >> 6) % ENTRIES


def _measure() -> dict[str, int]:
    """Bytes of each handler as built for the device."""
    sources = EngineSources.generate(BUILD / "generated")  # anew each time: the order is one of its inputs
    files = tuple(file for file in sources.files if file.name == "handlers.c")
    (compiled,) = compile_objects(files, BUILD / "device", DEVICE, sources.flags)
    sizes = function_sizes(compiled)
    return {name.removeprefix(HANDLER): size for name, size in sizes.items() if name.startswith(HANDLER)}


@dataclass
class _Page:
    """One way to fill a page: which handlers by class (seldom used or not) and size; how many share an entry."""

    chosen: list[tuple[bool, int]] = field(default_factory=list)
    clashes: int = 0
    left: int = 0  # bytes at its end that nothing fits into

    def cost(self) -> float:
        """Less is better. Handlers seldom used are worth something: there are just enough of them."""
        return self.clashes + 4 * bool(self.left) + 0.5 * sum(seldom for seldom, _ in self.chosen)


def _fill(begin: int, stocks: dict[bool, Counter[int]], chance: random.Random) -> _Page:
    """Fill a page from ``begin`` on, at random; ``stocks`` are the numbers of handlers by class and size."""
    stocks = {seldom: stock.copy() for seldom, stock in stocks.items()}
    page = _Page()
    taken: set[int] = set()
    at = begin
    while at < PAGE:
        entry = _entry(at)
        for seldom in (entry in taken, entry not in taken):
            fitting = [size for size, count in stocks[seldom].items() if count and at + size <= PAGE]
            if fitting:
                break
        else:
            page.left = PAGE - at
            break
        taken_then = taken if seldom else taken | {entry}
        exact = [size for size in fitting if at + size == PAGE]
        choice = exact or [size for size in fitting if _entry(at + size) not in taken_then] or fitting
        (size,) = chance.choices(choice, [stocks[seldom][size] for size in choice])
        page.clashes += not seldom and entry in taken
        taken = taken_then
        page.chosen.append((seldom, size))
        stocks[seldom][size] -= 1
        at += size
    return page


def arrange(sizes: dict[str, int], seldom: set[str]) -> tuple[list[str], int]:
    """Return names in the order of their addresses, from the beginning of a page, and how many entries clash."""
    chance = random.Random(SEED)  # noqa: S311 - an arrangement, not a secret
    names: defaultdict[tuple[bool, int], list[str]] = defaultdict(list)
    for name in sorted(sizes, reverse=True):
        names[name in seldom, sizes[name]].append(name)
    order: list[str] = []
    clashes = begin = 0
    while len(order) < len(sizes):
        stocks = {
            kind: Counter({size: len(names[k, size]) for k, size in names if k == kind}) for kind in (False, True)
        }
        page = min((_fill(begin, stocks, chance) for _ in range(TRIES)), key=_Page.cost)
        order += [names[key].pop() for key in page.chosen]
        clashes += page.clashes
        begin = 0
        if page.left and len(order) < len(sizes):  # the smallest one left reaches into the next page
            key = min((key for key, those in names.items() if those), key=lambda key: key[1])
            order.append(names[key].pop())
            begin = key[1] - page.left
    return order, clashes


def main() -> int:
    """Write the file and print what is left to clash.

    The size of a few handlers depends on where they stand: they get the last places, where they move no others.
    """
    keys = handler_keys()
    vectors = {form.name for form in vector_forms()[0]}
    seldom = {name for name in keys if name in vectors or SELDOM.match(name)}
    sizes = _measure()
    unsteady: set[str] = set()
    while True:
        order, clashes = arrange({name: size for name, size in sizes.items() if name not in unsteady}, seldom)
        order += sorted(unsteady)
        write_if_changed(ORDER, HEAD + "".join(f"{keys[name]}\n" for name in order))
        now = _measure()
        changed = {name for name, size in now.items() if size != sizes[name]} - unsteady
        if not changed:
            break
        unsteady |= changed
        sizes = now
    print(f"{len(order)} handlers; often used ones that share an entry of QEMU's cache: {clashes}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
