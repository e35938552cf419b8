# SPDX-License-Identifier: Apache-2.0
"""Tokens, roles and users; every route asks for a role."""

import re

import pytest

from fleet import api
from fleet.access import Role


def test_without_a_token_there_is_no_data(server):
    answer = server.get("/api/v1/audit")
    assert answer.status_code == 401
    assert "token" in answer.json()["detail"]


@pytest.mark.parametrize("scheme", ["Bearer nonsense", "Basic YTpi", "Bearer ", "Bearer wft_" + "a" * 43])
def test_a_wrong_token_is_refused(server, scheme):
    assert server.get("/api/v1/me", headers={"Authorization": scheme}).status_code == 401


def test_roles_include_the_ones_before(acting):
    for role in Role:
        assert acting(role, "GET", "/me").json() == {"name": role.text, "role": role.text}
        assert acting(role, "GET", "/users").status_code == (200 if role == Role.ADMIN else 403)


def test_a_token_can_be_less_than_its_user_but_not_more(acting, server):
    weak = acting(Role.ADMIN, "POST", "/tokens", json={"name": "ci", "role": "viewer"}).json()["token"]
    headers = {"Authorization": f"Bearer {weak}"}
    assert server.get("/api/v1/me", headers=headers).json()["role"] == "viewer"
    assert server.get("/api/v1/users", headers=headers).status_code == 403
    stronger = server.post("/api/v1/tokens", headers=headers, json={"name": "more", "role": "admin"})
    assert stronger.status_code == 403
    assert acting(Role.VIEWER, "POST", "/tokens", json={"name": "x", "role": "admin"}).status_code == 403


def test_a_revoked_token_and_a_disabled_user_are_out(acting):
    number = acting(Role.OPERATOR, "GET", "/tokens").json()[0]["id"]
    assert acting(Role.VIEWER, "DELETE", f"/tokens/{number}").status_code == 404
    assert acting(Role.OPERATOR, "DELETE", f"/tokens/{number}").status_code == 204
    assert acting(Role.OPERATOR, "GET", "/me").status_code == 401
    assert acting(Role.ADMIN, "PATCH", "/users/viewer", json={"disabled": True}).status_code == 200
    assert acting(Role.VIEWER, "GET", "/me").status_code == 401


def test_the_last_admin_stays(acting):
    assert acting(Role.ADMIN, "PATCH", "/users/admin", json={"role": "viewer"}).status_code == 409
    assert acting(Role.ADMIN, "PATCH", "/users/admin", json={"disabled": True}).status_code == 409


OPEN = {"/healthz", "/enroll", "/ca.pem"}


def role_of(dependant):
    """Give the role that a route asks for, None if for none."""
    own = getattr(dependant.call, "role", None)
    return next((role for role in (own, *map(role_of, dependant.dependencies)) if role), None)


def routes():
    for prefix, router in (*(("/api/v1", router) for router in api.ROUTERS), ("", api.metrics_router)):
        for route in router.routes:
            for method in route.methods:
                yield pytest.param(prefix, route, method, id=f"{method} {route.path}")


@pytest.mark.parametrize(("prefix", "route", "method"), list(routes()))
def test_every_route_refuses_who_may_not(server, tokens, prefix, route, method):
    path = prefix + re.sub(r"{[^}]*}", "1", route.path)
    needed = role_of(route.dependant)
    if route.path in OPEN:
        assert needed is None
        return
    assert needed is not None
    assert server.request(method, path).status_code == 401
    for role in Role:
        if role < needed:
            headers = {"Authorization": f"Bearer {tokens[role]}"}
            assert server.request(method, path, headers=headers).status_code == 403


def test_bodies_with_unknown_keys_are_refused(acting):
    assert acting(Role.ADMIN, "POST", "/users", json={"name": "a", "role": "viewer", "x": 1}).status_code == 422
