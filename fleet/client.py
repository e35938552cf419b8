# SPDX-License-Identifier: Apache-2.0
"""The HTTP client of `wasel fleet ...`: address and token from options, environment or the file that `serve` wrote.

Order: --url/--token, `$WASEL_FLEET_URL`/`$WASEL_FLEET_TOKEN`, `<state>/fleet/client.json` (mode 0600). Errors: a
server's refusal becomes the error of fleet.errors with its text; no or a strange answer is ServerError.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from agent.errors import UsageError
from agent.files import replace_file
from agent.registry import state_root
from fleet import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Access", "Client", "client_file", "save_access"]

TIMEOUT_S = 300.0
"""Generous: a server's first look at a module may build the engine first."""
_BY_STATUS = {
    kind.status: kind
    for kind in (
        errors.NotFoundError,
        errors.ConflictError,
        errors.InvalidError,
        errors.DeniedError,
        errors.LoginError,
        errors.LimitError,
    )
}


def client_file(root: Path | None = None) -> Path:
    """Path of the file with address and token."""
    return (root or state_root()) / "fleet" / "client.json"


@dataclass(frozen=True)
class Access:
    """Where a server is and who we are there."""

    url: str
    token: str

    @classmethod
    def find(cls, url: str | None = None, token: str | None = None) -> Access:
        """Put together what was given, what the environment says, and the file."""
        saved: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            saved = json.loads(client_file().read_text(encoding="utf-8"))
        url = url or os.environ.get("WASEL_FLEET_URL") or saved.get("url")
        token = token or os.environ.get("WASEL_FLEET_TOKEN") or saved.get("token")
        if not url or not token:
            raise UsageError("which server? give --url and --token, or set WASEL_FLEET_URL and WASEL_FLEET_TOKEN")
        return cls(url.rstrip("/"), token)


def save_access(access: Access, root: Path | None = None) -> Path:
    """Write the file for commands of the same user."""
    path = client_file(root)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path.with_name(path.name + ".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    replace_file(path, json.dumps({"url": access.url, "token": access.token}).encode())
    return path


class Client:
    """One command's connection."""

    def __init__(self, access: Access, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(
            base_url=f"{access.url}/api/v1",
            headers={"Authorization": f"Bearer {access.token}"},
            timeout=TIMEOUT_S,
            transport=transport,
        )
        self._url = access.url

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Ask, and give the answer's JSON (bytes where it is no JSON, None where it is empty)."""
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise errors.ServerError(f"{self._url}: {error}; is 'wasel fleet serve' running there?") from error
        if answer.is_error:
            raise self._refusal(answer)
        if not answer.content:
            return None
        return (
            answer.json() if answer.headers.get("content-type", "").startswith("application/json") else answer.content
        )

    def get(self, path: str, **params: Any) -> Any:
        """GET with query parameters; those that are None are left out."""
        return self.request("GET", path, params={key: value for key, value in params.items() if value is not None})

    def post(self, path: str, body: Any = None) -> Any:
        """POST JSON."""
        return self.request("POST", path, json=body if body is not None else {})

    def events(self, *topics: str) -> Iterator[dict[str, Any]]:
        """Give messages of the server's stream as they come."""
        try:
            with self._http.stream("GET", "/stream", params={"topic": list(topics)}, timeout=None) as answer:
                if answer.is_error:
                    answer.read()
                    raise self._refusal(answer)
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        yield json.loads(line.removeprefix("data: "))
        except httpx.HTTPError as error:
            raise errors.ServerError(f"{self._url}: {error}") from error

    @staticmethod
    def _refusal(answer: httpx.Response) -> errors.FleetError:
        try:
            detail = answer.json()["detail"]
            if isinstance(detail, list):  # FastAPI's own: a list of what is wrong where
                detail = "; ".join(f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in detail)
        except (ValueError, KeyError, TypeError):
            detail = f"the server answered {answer.status_code}"
        return _BY_STATUS.get(answer.status_code, errors.ServerError)(str(detail))
