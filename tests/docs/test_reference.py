# SPDX-License-Identifier: Apache-2.0
"""The reference says what the code says: nothing is left out of it."""

import re
from pathlib import Path

import cbor2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from agent.errors import WaselError
from agent.link import modules
from agent.manifest import Health, Manifest, Policy
from agent.reference import error_reference, group_reference, manifest_reference, topic_reference
from agent.reference.markdown import attributes
from agent.topics import Topics
from docs.hooks import PAGES
from fleet import api
from fleet.app import create_app
from fleet.metrics import registry_of
from fleet.reference import http_reference, metric_reference
from fleet.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def first_cells(page: str) -> set[str]:
    """Return what the first column of all tables names."""
    return set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))


def keys_of(value: object) -> set[str]:
    """Return all text keys of maps within a value."""
    if isinstance(value, dict):
        own = {key for key in value if isinstance(key, str)}
        return own.union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def test_every_key_that_a_manifest_can_have():
    manifest = Manifest(
        name="a",
        version="1.0.0",
        sequence=1,
        downgrade_from=2,
        device_class="c",
        slot_class="s",
        arena=1 << 20,
        stack=4096,
        fuel=9,
        budget_us=1,
        period_us=2,
        env=("K=V",),
        policy=Policy(files=1),
        health=Health(alive_s=1),
    )
    page = first_cells(manifest_reference())
    assert set(manifest.table()) <= page
    lists = {name for name, _ in Policy.LISTS} | set(Policy.FLAGS)
    assert {f"policy.{name}" for name in lists} | {f"policy.limits.{name}" for name in Policy.NUMBERS} <= page
    assert {"health.exit", "health.line", "health.alive_s", "health.timeout_s"} <= page
    low, high = Manifest.NUMBERS["arena"]
    assert f"| {low} to {high} |" in manifest_reference()


def test_every_command_of_the_group_with_its_keys():
    page = group_reference()
    for command in modules.Command:
        assert f"\n## {command.value} {command.name.lower()} (" in page
    for error in modules.ModuleError:
        assert f"\n| {error.value} | {error.name.lower().replace('_', ' ')} |" in page
    fields = modules.SlotStatus.model_fields
    assert {field.alias or name for name, field in fields.items()} <= first_cells(page)
    assert {"args", "env", "grants", "lossless", "cursor", "root", "on"} <= first_cells(page)


def test_every_topic_and_every_key_of_the_examples():
    page = topic_reference()
    for name in (name for name, value in vars(Topics).items() if isinstance(value, property)):
        assert f"/DEVICE/{name}" in page
    text = (ROOT / "docs" / "MQTT.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^### (\w+).*?```\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 8
    for leaf, block in blocks:
        keys = keys_of(cbor2.loads(bytes.fromhex(re.sub(r"#.*", "", block)))) - {"v", "crc"}
        if leaf == "met":
            keys = {"slots"}  # below it are counters, which modules' devices name
        assert keys <= first_cells(page), leaf


def test_every_route_with_its_role():
    page = http_reference()
    app = FastAPI()
    for router in api.ROUTERS:
        app.include_router(router, prefix="/api/v1")
    paths = app.openapi()["paths"]
    assert len(paths) > 40
    for path, methods in paths.items():
        for method in methods:
            assert f"| `{method.upper()} {path}` | " in page
    assert "| `POST /api/v1/rollouts/{number}/approve` | approver |" in page
    assert "| `GET /healthz` | none |" in page
    assert "query `name`?, `limit`?, `offset`?" in page


def test_every_metric(tmp_path):
    with TestClient(create_app(Settings(data=tmp_path, engine=False))) as http:
        names = {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in registry_of(http.app.state.fleet).collect()
        }
    page = first_cells(metric_reference())
    assert {"wasel_devices", "wasel_artifacts", "wasel_engine_steps_total"} <= names <= page
    assert {"wasel_states_total", "wasel_broker_connected"} <= page


def test_every_error_with_its_exit_code():
    page = error_reference()
    pending = [WaselError]
    while pending:
        kind = pending.pop()
        assert f"{kind.__name__} | {kind.exit_code} |" in page
        pending += kind.__subclasses__()


@pytest.mark.parametrize("path", PAGES)
def test_no_table_is_empty_of_meaning(path):
    page = PAGES[path]()
    assert page.startswith("# ")
    assert "None.__" not in page
    for line in page.splitlines():
        assert not line.startswith("|") or line.count("|") >= 3


def test_a_field_says_what_stands_below_it():
    found = {one.name: one for one in attributes(Manifest)}
    assert found["sequence"].required
    assert found["sequence"].type == "int"
    assert found["arena"].type == "int"
    assert not found["arena"].required
    assert "refuses to go below" in found["sequence"].text
    assert "NUMBERS" not in found
