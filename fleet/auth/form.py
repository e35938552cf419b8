# SPDX-License-Identifier: Apache-2.0
"""Small forms, read before the route: the guard looks for the CSRF token, the route gets the same bytes again.

Only `application/x-www-form-urlencoded`, at most 256 KiB and 1000 fields. Files don't come in forms: the page's script
sends them as the body of a request, with the token in a header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import Message, Receive

__all__ = ["FORM_TYPE", "MAX_SIZE", "parse", "read"]

FORM_TYPE = "application/x-www-form-urlencoded"
MAX_SIZE = 256 * 1024
"""Bytes of a body."""
MAX_FIELDS = 1000


async def read(receive: Receive) -> tuple[bytes, Receive]:
    """Read a body; also give a `receive` that tells it once more. HTTP 413 where it is too long."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise HTTPException(400, "the request ended early")
        body += message.get("body", b"")
        if len(body) > MAX_SIZE:
            raise HTTPException(413, f"a form may have at most {MAX_SIZE} bytes")
        if not message.get("more_body", False):
            break
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    return bytes(body), again


def parse(body: bytes) -> dict[str, str]:
    """Fields by name; of fields with the same name the last one. HTTP 400 where it is no form."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise HTTPException(400, "the body is no form") from error
    return dict(pairs)
