# SPDX-License-Identifier: Apache-2.0
"""What pages of the reference are made of: tables, and what classes say of their fields.

A field's text is the string behind it in the source, as everywhere in this project; it is read from the source, so the
page says what the code says. A class whose source cannot be read is an OSError.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Described", "cell", "described", "first_line", "table"]


@dataclass(frozen=True)
class Described:
    """A field, or a member of an enumeration, as its class writes it down."""

    name: str
    type: str
    """Its annotation; "" if there is none."""
    default: str | None
    """Source of its value; None: it must be given."""
    text: str
    """What the class says of it; may be empty."""


def cell(text: str | None) -> str:
    """Make a text fit a cell of a table, outside of code."""
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table; its cells are Markdown already."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def first_line(item: object) -> str:
    """Give the first line of a docstring."""
    return (inspect.getdoc(item) or "").partition("\n")[0]


def described(cls: type) -> Iterator[Described]:
    """Yield what a class says of its own fields, in order; class variables, methods and private names left out."""
    source = textwrap.dedent(inspect.getsource(cls))
    tree = ast.parse(source).body[0]
    if not isinstance(tree, ast.ClassDef):
        raise TypeError(f"{cls} is not a class")
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                type_ = ast.unparse(annotation)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                type_ = ""
            case _:
                continue
        if name.startswith("_") or name == "model_config" or type_.startswith("ClassVar"):
            continue
        match following:
            case ast.Expr(value=ast.Constant(value=str(text))):
                pass
            case _:
                text = ""
        yield Described(name, type_, ast.unparse(value) if value is not None else None, text)
