# SPDX-License-Identifier: Apache-2.0
"""Two rows in every table of a database, whatever its schema: what a migration or a backup has to bring through."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, LargeBinary, MetaData, String, create_engine, insert, select
from sqlalchemy.engine import make_url

__all__ = ["contents", "fill"]


def _engine(url):
    return create_engine(make_url(url))


def _value(column, number):
    kind = column.type
    if isinstance(kind, JSON):
        return {"n": number, "text": "\N{SNOWMAN}"}
    if isinstance(kind, Boolean):
        return bool(number % 2)
    if isinstance(kind, LargeBinary):
        return bytes([0, number, 255])
    if isinstance(kind, String):
        text = f"{column.name}{number}\N{SNOWMAN}"
        return text[: kind.length] if kind.length else text
    return number


def fill(url, count=2):
    """Put rows into all tables; gives what they hold."""
    engine = _engine(url)
    tables = MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            if table.name == "alembic_version":
                continue
            for number in range(1, count + 1):
                row = {}
                for column in table.columns:
                    foreign = next(iter(column.foreign_keys), None)
                    column = foreign.column if foreign is not None else column  # noqa: PLW2901 - its parent's value
                    row[column.name if foreign is None else foreign.parent.name] = _value(column, number)
                connection.execute(insert(table).values(row))
    engine.dispose()
    return contents(url)


def contents(url):
    """Give the rows of all tables, as dicts, in order."""
    engine = _engine(url)
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        found = {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in tables.sorted_tables
            if table.name != "alembic_version"
        }
    engine.dispose()
    return {name: sorted(rows, key=repr) for name, rows in found.items()}
