# SPDX-License-Identifier: Apache-2.0
"""Base of the tables. Times are milliseconds since the epoch (`_ms`), digests lower-case hexadecimal text."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Integer, MetaData
from sqlalchemy.orm import DeclarativeBase

__all__ = ["Base", "Id", "Number"]

Number = BigInteger()
Id = BigInteger().with_variant(Integer(), "sqlite")
"""A row's number: SQLite counts up by itself only what is called INTEGER."""


class Base(DeclarativeBase):
    """Of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, list[Any]: JSON, int: Number}
