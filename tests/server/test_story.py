# SPDX-License-Identifier: Apache-2.0
"""The story that the dashboard is for, in a browser: a module goes out in waves, a bad one is stopped at the canary.

Twenty virtual devices and one in QEMU; the twin gate is QEMU, too. With WASEL_SCREENSHOTS=DIR the pages are kept.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fleet.access import Role
from tests.server.browser import DESKTOP, PHONE, chromium, until  # noqa: F401 - fixtures
from tests.server.routes import PASSWORD
from tests.server.world import World, signed_module

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("qemu-system-aarch64") is None, reason="qemu-system-aarch64 is not installed"),
]
VIRTUAL = 20
ALL = VIRTUAL + 1
PATIENCE_MS = 900_000


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("world"), VIRTUAL) as running:
        yield running


@pytest.fixture
def person(world, chromium):  # noqa: F811
    """Give a browser of its own to a user, logged in."""
    contexts = []

    def start(role, **options):
        context = chromium.new_context(base_url=world.url, viewport=DESKTOP, **options)
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.goto("/login")
        page.get_by_label("Name").fill(role.text)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(world.url + "/")
        return page

    yield start
    for context in contexts:
        context.close()


def keep(page, name, **options):
    """Keep a picture, if somebody wants them."""
    if folder := os.environ.get("WASEL_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), **options)


def upload(page, path, commit):
    page.goto("/artifacts")
    page.get_by_label("A signed .wasm file").set_input_files(path)
    page.get_by_text("Where it comes from").click()
    page.get_by_label("Repository").fill("https://git.example/plant/pump")
    page.get_by_label("Commit").fill(commit)
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/artifacts/*")


def roll_out(page, name):
    page.get_by_role("link", name="Roll out", exact=True).click()
    page.get_by_label("Name of the rollout").fill(name)
    page.get_by_label("Waves").fill("1, 40 %, 100 %")
    page.get_by_label("Watch each wave for (s)").fill("1")
    page.get_by_label("Without trouble for (s)").fill("3")
    until(page, f"document.querySelector('#preview').textContent.startsWith('{ALL} enrolled')")
    keep(page, "new-rollout")
    page.get_by_role("button", name="Start the rollout").click()
    page.wait_for_url("**/rollouts/*")


def phase(page, words):
    page.locator("[data-part=phase]", has_text=words).wait_for()


def outcome(page, name):
    return page.locator(".numbers div", has_text=name).locator("dd").inner_text()


def running(page, version):
    """How many devices report that version, as the artifact's page counts them."""
    page.goto("/artifacts")
    page.get_by_role("link", name=f"pump {version}").click()
    page.wait_for_url("**/artifacts/*")
    return page.locator("[data-part=measured] h2").inner_text()


def test_a_module_goes_out_and_a_bad_one_comes_back(world, person, tmp_path):  # noqa: PLR0915 - one story
    good, bad = tmp_path / "pump-1.0.0.wasm", tmp_path / "pump-1.1.0.wasm"
    good.write_bytes(signed_module(tmp_path, "1.0.0", 1, "print pump 1.0.0"))
    bad.write_bytes(signed_module(tmp_path, "1.1.0", 2, "print pump 1.1.0", "after 1 trap unreachable"))

    operator = person(Role.OPERATOR)
    until_devices(operator)
    keep(operator, "fleet-before")
    upload(operator, good, "4f2a9be1c07d55e38a90")
    roll_out(operator, "pump 1.0.0 everywhere")

    # The twin runs it first; then somebody else has to agree.
    phase(operator, "waits for approval")
    assert operator.locator("[data-part=twin]").get_by_text("passed").count() == 1
    assert operator.get_by_role("button", name="Approve").count() == 0
    keep(operator, "rollout-approval")
    approver = person(Role.APPROVER)
    approver.goto(operator.url)
    approver.get_by_role("button", name="Approve").click()
    approver.locator("#ask").get_by_role("button", name="Approve").click()

    # The operator's page moves by itself.
    phase(operator, "rolling out")
    until(operator, "document.querySelectorAll('#map .cell.ok').length >= 1")
    keep(operator, "rollout-running")
    phase(operator, "completed")
    assert outcome(operator, "Succeeded") == str(ALL)
    until(operator, f"document.querySelectorAll('#map .cell.ok').length === {ALL}")
    keep(operator, "rollout-completed", full_page=True)
    assert running(operator, "1.0.0") == f"Measured by {ALL} devices"
    keep(operator, "artifact", full_page=True)

    # The device in QEMU runs it: its output comes live.
    operator.goto("/devices/qemu-1")
    operator.locator("#log", has_text="pressure").wait_for()
    lines = operator.locator("#log > div").count()
    until(operator, f"document.querySelectorAll('#log > div').length > {lines}")
    operator.locator("#slot-0").get_by_role("button", name="Trace", exact=True).click()
    operator.locator("#log .trace", has_text="fd_write(").first.wait_for()
    keep(operator, "device", full_page=True)
    operator.locator("#slot-0").get_by_role("button", name="End trace").click()
    operator.wait_for_url("**/devices/qemu-1")

    # A version that passes the twin and fails on devices is stopped at the canary and taken back.
    upload(operator, bad, "91c3d07e22ab4f6610cd")
    roll_out(operator, "pump 1.1.0 everywhere")
    phase(operator, "waits for approval")
    approver.goto(operator.url)
    approver.get_by_role("button", name="Approve").click()
    approver.locator("#ask").get_by_role("button", name="Approve").click()
    phase(operator, "rolled back")
    assert outcome(operator, "Failed") == "1"
    assert outcome(operator, "Succeeded") == "0"
    assert operator.locator("[data-part=troubles]").get_by_text("unreachable").count() >= 1
    keep(operator, "rollout-stopped", full_page=True)
    assert running(operator, "1.0.0") == f"Measured by {ALL} devices"
    assert running(operator, "1.1.0") == "Measured by 0 devices"

    # Who did what.
    operator.goto("/audit")
    assert operator.get_by_text("is whole").count() == 1
    for action in ("artifact.upload", "rollout.create", "rollout.start", "rollout.approve", "login"):
        assert operator.get_by_role("cell", name=action, exact=True).count() >= 1, action
    keep(operator, "audit")
    operator.goto("/")
    until(operator, f"document.querySelectorAll('#map .cell.ok').length === {ALL}")
    keep(operator, "fleet")
    dark = person(Role.OPERATOR, color_scheme="dark")
    until_devices(dark)
    keep(dark, "fleet-dark")
    operator.set_viewport_size(PHONE)
    operator.goto("/")
    until_devices(operator)
    keep(operator, "fleet-phone")


def until_devices(page):
    """The map shows every device online."""
    page.goto("/")
    until(page, f"document.querySelectorAll('#map .cell.ok').length === {ALL}")
