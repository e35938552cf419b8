# SPDX-License-Identifier: Apache-2.0
"""Requests for every route of a server, made from its route table: a new route is covered at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.auth.guard import routes

if TYPE_CHECKING:
    from fleet.access import Role

__all__ = ["Call", "calls", "login"]

VALUES = {"name": "dev1", "device": "dev1", "digest": "00" * 32, "number": "1", "slot": "0", "key": "site"}
PASSWORD = "correct horse battery staple"  # noqa: S105


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    role: Role | None
    form: bool

    @property
    def url(self):
        def value(match):
            return VALUES.get(match[1], "1")

        return re.sub(r"\{(\w+)(?::\w+)?\}", value, self.path)

    @property
    def id(self):
        return f"{self.method} {self.path}"


def calls(app):
    """Each method of each route with what it declares; static files aside."""
    return [
        Call(method, path, says.role, says.form)
        for _, path, methods, says in routes(app)
        if path != "/static"
        for method in sorted(methods)
    ]


def login(http, name, password=PASSWORD):
    """Log a client in and give its CSRF token."""
    http.cookies.clear()
    page = http.get("/login").text
    csrf = re.search(r'name="csrf" value="(\w+)"', page)[1]
    answer = http.post(
        "/login", data={"csrf": csrf, "name": name, "password": password, "next": "/account"}, follow_redirects=False
    )
    assert answer.status_code == 303, answer.text
    return re.search(r'name="csrf" value="(\w+)"', http.get("/account").text)[1]
