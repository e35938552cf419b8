# SPDX-License-Identifier: Apache-2.0
"""The fleet server's HTTP API, out of its routes: what each takes (OpenAPI, made by FastAPI) and which role it needs.

The role is the one that fleet.auth.guard enforces. Of the dashboard only the pages' JSON twins are part of it.
"""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.app import create_app
from fleet.auth.guard import routes
from fleet.settings import Settings
from scripts.reference.text import cell, table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["http_reference"]

HEAD = """# HTTP API

Routes of the fleet server, out of the server's own. A client sends `Authorization: Bearer TOKEN`
(`wasel fleet token create`); each role may do what the ones before it may: viewer, operator, approver, admin. Bodies
and answers are JSON unless it says otherwise. An error is `{"detail": text}` with its status: 401 who is that, 403 not
allowed, 404 there is no such thing, 409 not in that state, 413 too large, 422 malformed, 429 too fast.

The same as OpenAPI 3.1 is at `/api/v1/openapi.json` of every server.
"""


def _type(schema: dict[str, Any]) -> str:
    """Say a JSON schema in a few words."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"array of {_type(schema.get('items', {}))}"
    bounds = [
        f"{words} {schema[key]:,}"
        for key, words in (("minimum", "at least"), ("maximum", "at most"), ("minLength", "at least"))
        if key in schema
    ]
    if "maxLength" in schema:
        bounds.append(f"at most {schema['maxLength']:,} characters")
    return ", ".join([kind, *bounds])


def _default(schema: dict[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    default = schema.get("default")
    return "" if default in (None, "", [], {}) else f"`{default}`"


def _parameters(operation: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for one in operation.get("parameters", ()):
        required = bool(one.get("required"))
        yield f"`{one['name']}`", one["in"], cell(_type(one["schema"])), _default(one["schema"], required=required)


def _of_path(path: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield the parameters that a path has, for routes that take them from the request themselves."""
    for name in re.findall(r"\{(\w+)\}", path):
        yield f"`{name}`", "path", "string", "required"


def _body(operation: dict[str, Any], schemas: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield the keys of a JSON body."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    for key, value in schemas.get(name, {}).get("properties", {}).items():
        required = key in schemas[name].get("required", ())
        yield f"`{key}`", "body", cell(_type(value)), _default(value, required=required)


def http_reference() -> str:
    """Return the page."""
    with tempfile.TemporaryDirectory(prefix="wasel-reference-") as folder:
        server = create_app(Settings(data=Path(folder), engine=False))
        server.state.fleet.database.close()
    description = server.openapi()
    schemas = description.get("components", {}).get("schemas", {})
    sections: dict[str, list[str]] = defaultdict(list)
    for _, path, methods, says in routes(server):
        plain = path.replace(":path}", "}")
        for method in sorted(methods):
            operation = description["paths"].get(plain, {}).get(method.lower())
            if operation is None:
                continue  # a page, or the description itself
            role = says.role.text if says is not None and says.role is not None else "everybody"
            tag = (operation.get("tags") or ["server"])[0]
            text = operation.get("description") or operation.get("summary", "")
            lines = [f"\n### `{method} {plain}`\n\n{cell(text)} Role: **{role}**.\n"]
            rows = [*_parameters(operation), *_body(operation, schemas)]
            told = {row[0] for row in rows}
            rows[:0] = [row for row in _of_path(plain) if row[0] not in told]
            if rows:
                lines.append("\n" + table(("name", "in", "type", "default"), rows))
            sections[tag].append("".join(lines))
    return HEAD + "".join(f"\n## {tag}\n{''.join(parts)}" for tag, parts in sections.items())
