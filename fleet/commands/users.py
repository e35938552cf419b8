# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet user` and `wasel fleet token`."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.commands.common import Json, Token, Url, client, show, show_table, when

__all__ = ["tokens", "users"]

users = typer.Typer(help="Users and their roles.", no_args_is_help=True)
tokens = typer.Typer(help="Tokens of programs.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the user.")]
TokenName = Annotated[str, typer.Argument(metavar="NAME", help="What the token is for.")]
RoleName = Annotated[str, typer.Option("--role", help="viewer, operator, approver or admin.")]


@users.command("list")
def list_users(json: Json = False, url: Url = None, token: Token = None) -> None:
    """List users."""
    rows = client(url, token).get("/users")
    if json:
        show(rows)
        return
    show_table(
        ("NAME", "ROLE", "STATE", "LAST LOGIN"),
        [(row["name"], row["role"], "disabled" if row["disabled"] else "", when(row["login_ms"])) for row in rows],
    )


@users.command()
def add(name: Name, role: RoleName, url: Url = None, token: Token = None) -> None:
    """Add a user (without a password: give them a token, or set one in the browser)."""
    client(url, token).post("/users", {"name": name, "role": role})


@users.command()
def change(
    name: Name,
    role: Annotated[
        str | None, typer.Option("--role", help="viewer, operator, approver or admin; default: as before.")
    ] = None,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Whether the user is kept out; default: as before.")
    ] = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Change a user's role, disable or enable."""
    client(url, token).request("PATCH", f"/users/{name}", json={"role": role, "disabled": disabled})


@tokens.command("list")
def list_tokens(json: Json = False, url: Url = None, token: Token = None) -> None:
    """List tokens."""
    rows = client(url, token).get("/tokens")
    if json:
        show(rows)
        return
    show_table(
        ("ID", "USER", "NAME", "ROLE", "EXPIRES", "LAST USE"),
        [
            (row["id"], row["user"], row["name"], row["role"], when(row["expires_ms"]), when(row["used_ms"]))
            for row in rows
        ],
    )


@tokens.command()
def create(
    name: TokenName,
    user: Annotated[str | None, typer.Option("--user", help="For whom; default: oneself.")] = None,
    role: Annotated[str | None, typer.Option("--role", help="At most.")] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="Until it expires.")] = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Make a token and print it: it cannot be read again."""
    body = {"name": name, "user": user, "role": role, "days": days}
    print(client(url, token).post("/tokens", body)["token"])


@tokens.command()
def revoke(
    number: Annotated[int, typer.Argument(metavar="ID", help="As 'token list' shows it.")],
    url: Url = None,
    token: Token = None,
) -> None:
    """End a token."""
    client(url, token).request("DELETE", f"/tokens/{number}")
