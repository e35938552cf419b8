# SPDX-License-Identifier: Apache-2.0
r"""The filter language: which devices? Parsed to a tree, compiled to SQL with bound parameters.

    filter   = or
    or       = and { "or" and }
    and      = not { "and" not }
    not      = "not" not | "(" or ")" | "all" | test
    test     = field [ op value | "in" "(" value { "," value } ")" ]
    op       = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"
    value    = word | "text in quotes, with \" and \\"

A field alone tests a flag (`online`) or that a tag is there (`tag.site`). `~` compares with a pattern of `*` and `?`
and ignores the case of ASCII letters. `<` and its kin need a number on both sides. `!=` is "not =": a device without
that tag, slot or text matches. Fields: FIELDS below, `tag.KEY`, `slot.N.FIELD` (SLOT_FIELDS).

Examples: `all` · `tag.site = lab and not tag.hold` · `name ~ "pump-*" and slot.0.state in (running, exited)`

Contract: pure; `parse` gives a tree or raises InvalidError naming the place; nothing of the text reaches SQL but as a
parameter. Bounded: MAX_LENGTH characters, MAX_TESTS tests, MAX_DEPTH parentheses and nots.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Boolean, ColumnElement, Integer, String, and_, exists, func, literal, not_, or_, select, true

from fleet.errors import InvalidError
from fleet.models import Artifact, Device, DeviceSlot, DeviceTag

if TYPE_CHECKING:
    from sqlalchemy.orm import InstrumentedAttribute

__all__ = ["FIELDS", "SLOT_FIELDS", "All", "And", "Filter", "Not", "Or", "Test", "compile_filter", "parse"]

MAX_LENGTH = 2000
MAX_TESTS = 64
MAX_DEPTH = 32
MAX_VALUES = 256
"""In the lists of one filter, together."""
MAX_SLOT = 64

FIELDS: dict[str, InstrumentedAttribute[object]] = {
    "name": Device.name,
    "serial": Device.serial,
    "class": Device.device_class,
    "status": Device.status,
    "kernel": Device.kernel,
    "version": Device.version,
    "image": Device.image,
    "online": Device.online,
    "link": Device.link,
    "arena": Device.arena,
    "failures": Device.failures,
}
"""Columns of a device."""
SLOT_FIELDS: dict[str, InstrumentedAttribute[object]] = {
    "state": DeviceSlot.state,
    "digest": DeviceSlot.digest,
    "starts": DeviceSlot.starts,
    "memory": DeviceSlot.memory,
    "module": Artifact.name,
    "version": Artifact.version,
    "sequence": Artifact.sequence,
}
"""Of a slot; the last three are known for modules that the server has."""

_TOKEN = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\["\\])*")|(?P<op><=|>=|!=|[=<>~(),])|(?P<word>[\w.:/*?@+-]+))')
_WORDS = frozenset({"and", "or", "not", "in", "all"})
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class All:
    """Every device."""


@dataclass(frozen=True)
class And:
    """All of these."""

    terms: tuple[Filter, ...]


@dataclass(frozen=True)
class Or:
    """Any of these."""

    terms: tuple[Filter, ...]


@dataclass(frozen=True)
class Not:
    """Not that."""

    term: Filter


@dataclass(frozen=True)
class Test:
    """A field compared with a value (`in`: with several); op "" asks whether it is there, or true."""

    field: str
    op: str = ""
    values: tuple[str, ...] = ()


Filter = All | And | Or | Not | Test


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._tests = 0
        self._values = 0
        self._depth = 0

    def _peek(self) -> tuple[str, str, int]:
        """Give kind, content and end of the next token; kind "" at the end."""
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            rest = self._text[self._at :].strip()
            if rest:
                raise self._error(f"{rest[:20]!r} is not understood")
            return "", "", self._at
        kind = match.lastgroup or ""
        content = match[kind]
        if kind == "text":
            content = re.sub(r"\\(.)", r"\1", content[1:-1])
        return kind, content, match.end()

    def _take(self) -> tuple[str, str]:
        kind, content, self._at = self._peek()
        return kind, content

    def _next_is(self, kind: str, *contents: str) -> bool:
        found, content, _ = self._peek()
        return found == kind and content in contents

    def _error(self, what: str) -> InvalidError:
        return InvalidError(f"filter: {what}, at character {self._at + 1}")

    def parse(self) -> Filter:
        found = self._or()
        kind, content, _ = self._peek()
        if kind:
            raise self._error(f"{content!r} comes after the end; 'and' or 'or' missing?")
        return found

    def _or(self) -> Filter:
        terms = [self._and()]
        while self._next_is("word", "or"):
            self._take()
            terms.append(self._and())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _and(self) -> Filter:
        terms = [self._not()]
        while self._next_is("word", "and"):
            self._take()
            terms.append(self._not())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _not(self) -> Filter:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH} levels")
        found: Filter
        if self._next_is("word", "not"):
            self._take()
            found = Not(self._not())
        elif self._next_is("op", "("):
            self._take()
            found = self._or()
            self._expect(")")
        elif self._next_is("word", "all"):
            self._take()
            found = All()
        else:
            found = self._test()
        self._depth -= 1
        return found

    def _expect(self, content: str) -> None:
        if not self._next_is("op", content):
            raise self._error(f"{content!r} is missing")
        self._take()

    def _test(self) -> Filter:
        kind, field = self._take()
        if kind != "word" or field in _WORDS:
            raise self._error(f"a field is missing before {field!r}" if field else "a field is missing at the end")
        self._tests += 1
        if self._tests > MAX_TESTS:
            raise self._error(f"more than {MAX_TESTS} tests")
        if self._next_is("word", "in"):
            self._take()
            self._expect("(")
            values = [self._value()]
            while self._next_is("op", ","):
                self._take()
                values.append(self._value())
            self._expect(")")
            test = Test(field, "in", tuple(values))
        elif self._next_is("op", "=", "!=", "<", "<=", ">", ">=", "~"):
            _, op = self._take()
            test = Test(field, op, (self._value(),))
        else:
            test = Test(field)
        _check(test)
        return test

    def _value(self) -> str:
        kind, content = self._take()
        if kind not in ("word", "text"):
            raise self._error("a value is missing")
        self._values += 1
        if self._values > MAX_VALUES:
            raise self._error(f"more than {MAX_VALUES} values")
        return content


def parse(text: str) -> Filter:
    """Read a filter. InvalidError."""
    if len(text) > MAX_LENGTH:
        raise InvalidError(f"filter: more than {MAX_LENGTH} characters")
    if not text.strip():
        raise InvalidError("filter: is empty; write 'all' for every device")
    if not text.isprintable():
        raise InvalidError("filter: has a character that is not printable")
    return _Parser(text).parse()


def _column(field: str) -> InstrumentedAttribute[object] | None:
    """Give the column of a field that is one; None for tags. InvalidError for a field that there is not."""
    kind, _, rest = field.partition(".")
    if kind == "tag" and _KEY.fullmatch(rest):
        return None
    if kind == "slot":
        number, _, name = rest.partition(".")
        if number.isascii() and number.isdigit() and int(number) < MAX_SLOT and name in SLOT_FIELDS:
            return SLOT_FIELDS[name]
    if field in FIELDS:
        return FIELDS[field]
    raise InvalidError(
        f"filter: unknown field {field!r:.60}; there are {', '.join(FIELDS)}, tag.KEY, "
        f"slot.N.FIELD with {', '.join(SLOT_FIELDS)}"
    )


def _check(test: Test) -> None:
    column = _column(test.field)
    kind = column.type if column is not None else String()
    if isinstance(kind, Boolean):
        if test.op not in ("", "=", "!=") or any(value not in ("true", "false") for value in test.values):
            raise InvalidError(f"filter: {test.field} is a flag: write '{test.field}', or '= true' or '= false'")
    elif isinstance(kind, Integer):
        if test.op in ("", "~") or not all(re.fullmatch(r"[0-9]{1,18}", value) for value in test.values):
            raise InvalidError(f"filter: {test.field} is a number: compare it with a number")
    elif test.op in ("<", "<=", ">", ">="):
        raise InvalidError(f"filter: {test.field} is a text: it cannot be {test.op} something")
    elif not test.op and column is not None:
        raise InvalidError(f"filter: {test.field} is compared with nothing")


def _pattern(text: str) -> str:
    escaped = text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def _compare(column: InstrumentedAttribute[object], op: str, values: tuple[str, ...]) -> ColumnElement[bool]:
    """Compile a comparison but "!=", which is the negation of a whole test."""
    parsed: list[object] = list(values)
    if isinstance(column.type, Boolean):
        parsed = [value == "true" for value in values] or [True]
    elif isinstance(column.type, Integer):
        parsed = [int(value) for value in values]
    if op == "in":
        return column.in_(parsed)
    if op == "~":
        return func.lower(column).like(_pattern(values[0]), escape="\\")
    value = parsed[0]
    compared: ColumnElement[bool]
    match op:
        case "<":
            compared = column < value
        case "<=":
            compared = column <= value
        case ">":
            compared = column > value
        case ">=":
            compared = column >= value
        case _:
            compared = column == value
    return compared


def _test(test: Test) -> ColumnElement[bool]:
    if test.op == "!=":
        return not_(_test(Test(test.field, "=", test.values)))
    kind, _, rest = test.field.partition(".")
    if kind == "tag":
        found = exists().where(DeviceTag.device_id == Device.id, DeviceTag.key == rest)
        return found.where(_compare(DeviceTag.value, test.op, test.values)) if test.op else found
    column = _column(test.field)
    assert column is not None  # noqa: S101 - only tags have none
    if kind == "slot":
        number, _, name = rest.partition(".")
        rows = select(literal(1)).where(DeviceSlot.device_id == Device.id, DeviceSlot.slot == int(number))
        if name not in ("state", "digest", "starts", "memory"):
            rows = rows.where(Artifact.digest == DeviceSlot.digest)
        return rows.where(_compare(column, test.op, test.values)).correlate(Device).exists()
    # A text or number that is NULL does not match; coalesced, so that "not" of it does.
    return func.coalesce(_compare(column, test.op, test.values), False)


def compile_filter(tree: Filter) -> ColumnElement[bool]:
    """Give the condition on `Device`."""
    match tree:
        case All():
            return true()
        case And(terms):
            return and_(*map(compile_filter, terms))
        case Or(terms):
            return or_(*map(compile_filter, terms))
        case Not(term):
            return not_(compile_filter(term))
        case Test():
            return _test(tree)
