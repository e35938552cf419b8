# SPDX-License-Identifier: Apache-2.0
"""Errors of the fleet server; each becomes an HTTP status, and at the command line an exit code.

The tree (HTTP status, exit code)::

    WaselError
    └── FleetError
        ├── NotFoundError  404, 1   there is no such device, artifact, rollout
        ├── ConflictError  409, 1   not in this state: the rollout is over, the name is taken
        ├── InvalidError   422, 2   the caller's request cannot be: a bad filter, an unknown tag
        ├── DeniedError    403, 3   known, but not allowed: role, second person, untrusted signature
        ├── LoginError     401, 3   not known: no or a wrong token
        ├── LimitError     429, 1   too many, too fast, too big
        └── ServerError    502, 1   at the command line: the server is unreachable or answers nonsense

RefusedError of `agent.errors` (a module that is malformed or wrongly signed) becomes 422 as well.
"""

from __future__ import annotations

from typing import ClassVar

from agent.errors import EXIT_REFUSED, EXIT_USAGE, WaselError

__all__ = [
    "ConflictError",
    "DeniedError",
    "FleetError",
    "InvalidError",
    "LimitError",
    "LoginError",
    "NotFoundError",
    "ServerError",
]


class FleetError(WaselError):
    """Anything that the server refuses, or a client could not do."""

    status: ClassVar[int] = 500


class NotFoundError(FleetError):
    """There is no such thing."""

    status = 404


class ConflictError(FleetError):
    """It is not in a state for that."""

    status = 409


class InvalidError(FleetError):
    """The request cannot be."""

    status = 422
    exit_code = EXIT_USAGE


class DeniedError(FleetError):
    """Known, but not allowed."""

    status = 403
    exit_code = EXIT_REFUSED


class LoginError(FleetError):
    """Who is that?."""

    status = 401
    exit_code = EXIT_REFUSED


class LimitError(FleetError):
    """Too many, too fast or too big."""

    status = 429


class ServerError(FleetError):
    """The server is unreachable, or its answer is none."""

    status = 502
