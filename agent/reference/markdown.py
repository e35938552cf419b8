# SPDX-License-Identifier: Apache-2.0
"""What the pages of the reference are made of: tables, and the fields of a class with the texts behind them."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Attribute", "attribute_table", "attributes", "cell", "first_line", "table"]

ANNOTATED = re.compile(r"Annotated\[(\w+), Field\([^)]*\)\]")
PLAIN = (("_Unsigned", "unsigned"), ("_Digest", "bytes (32)"), ("tuple[str, ...]", "list[str]"))


@dataclass(frozen=True)
class Attribute:
    """A field of a class as its source has it."""

    name: str
    type: str
    required: bool
    text: str


def cell(text: str | None) -> str:
    """Make a text one cell of a table."""
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")


def first_line(thing: object) -> str:
    """Give the first paragraph of a docstring, as one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table; without rows, nothing."""
    lines = [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join(["\n| ", " | ".join(head), " |\n", "|---" * len(head), "|\n", *lines]) if lines else ""


def _type(annotation: ast.expr) -> str:
    text = ANNOTATED.sub(r"\1", ast.unparse(annotation)).removesuffix(" | None")
    for long, short in PLAIN:
        text = text.replace(long, short)
    return text


def _alias(annotation: ast.expr) -> str | None:
    """Give the key that pydantic uses in place of the name."""
    found = re.search(r"alias='(\w+)'", ast.unparse(annotation))
    return found[1] if found else None


def attributes(kind: type) -> Iterator[Attribute]:
    """Read the annotated public fields of a class, each with the string that follows it (PEP 257)."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - what the source of a class is
    for item, following in zip(body.body, [*body.body[1:], None], strict=True):
        if not isinstance(item, ast.AnnAssign) or not isinstance(item.target, ast.Name):
            continue
        name = _alias(item.annotation) or item.target.id
        if item.target.id.startswith("_") or "ClassVar" in ast.unparse(item.annotation):
            continue
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = " ".join(str(following.value.value).split())
        yield Attribute(name, _type(item.annotation), item.value is None, text)


def attribute_table(kind: type, key: str = "key", keys: Mapping[str, str] | None = None) -> str:
    """Make the table of a class's fields; `keys` has those that are called otherwise on the wire."""
    rows = []
    for one in attributes(kind):
        name = (keys or {}).get(one.name, one.name)
        rows.append((f"`{name}`", cell(one.type), "yes" if one.required else "", cell(one.text)))
    return table((key, "type", "always", ""), rows)
