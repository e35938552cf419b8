# SPDX-License-Identifier: Apache-2.0
"""The page of errors: each class of errors with the exit code that it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.errors import WaselError
from agent.reference.markdown import cell, first_line, table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["error_reference"]

HEAD = """# Errors and their exit codes

Made from the code. Every error is one line on stderr; which codes there are and what they mean for a script:
[exit codes](../exit-codes.md). An error below another one (further to the right) is a kind of it.
"""


def _below(kind: type[WaselError], depth: int) -> Iterator[tuple[str, str, str]]:
    indent = "&nbsp;" * 4 * depth
    status = getattr(kind, "status", None)
    yield (
        f"{indent}{kind.__name__}",
        str(kind.exit_code),
        cell(first_line(kind)) + (f" HTTP {status}." if status else ""),
    )
    for one in sorted(kind.__subclasses__(), key=lambda one: one.__name__):
        yield from _below(one, depth + 1)


def error_reference() -> str:
    """Return the page; of the parts that were imported."""
    return HEAD + table(("error", "exit code", ""), _below(WaselError, 0))
